"""What an address says about listening itself reaches the kernel."""

from __future__ import annotations

import socket
import struct
import sys
from pathlib import Path

import pytest

from pierhead.errors import ListenError


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the backlog")
@pytest.mark.parametrize(("option", "expected"), [("?backlog=7", 7), ("", 1024)])
async def test_the_backlog_of_the_address_is_set(opened, option, expected):
    (listener,) = await opened(f"tcp:127.0.0.1:0{option}")
    allowed = int(Path("/proc/sys/net/core/somaxconn").read_text())
    with socket.socket(fileno=socket.dup(listener.fileno())) as same:
        facts = same.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    # Of a listening socket, tcpi_sacked is the largest its queue may grow (tcp_diag_get_info).
    (backlog,) = struct.unpack_from("=I", facts, 28)
    assert backlog == min(expected, allowed)


@pytest.mark.parametrize(("option", "expected"), [("v6only", 1), ("v6only=off", 0)])
async def test_v6only_is_set_as_the_address_says(opened, option, expected):
    try:
        (listener,) = await opened(f"tcp:[::]:0?{option}")
    except ListenError:
        pytest.skip("no IPv6 here")
    with socket.socket(fileno=socket.dup(listener.fileno())) as same:
        assert same.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == expected
