"""Setting the options of an address on a socket: what a failure says."""

from __future__ import annotations

import socket
import sys

import pytest

from pierhead.net.socket_option import OptionMissing, set_options


@pytest.fixture
def sock():
    with socket.socket() as one:
        yield one


def test_each_option_is_set(sock) -> None:
    set_options(sock, [("nodelay", True), ("reuseaddr", True)])
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


def test_one_that_the_system_refuses_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        with pytest.raises(OSError, match="option nodelay: "):
            set_options(sock, [("nodelay", True)])


def test_one_that_this_platform_lacks_is_named(sock, monkeypatch) -> None:
    monkeypatch.delattr(socket, "TCP_NODELAY")
    with pytest.raises(OptionMissing, match=f"does not exist on {sys.platform}") as missing:
        set_options(sock, [("nodelay", True)])
    assert missing.value.key == "nodelay"
