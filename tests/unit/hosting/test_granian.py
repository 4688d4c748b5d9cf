from __future__ import annotations

import socket
import sys

import pytest

from pierhead import hosting


def test_without_granian_the_program_ends_with_the_line_that_installs_it(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] == "granian"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "pierhead.hosting.granian.server", raising=False)
    monkeypatch.setitem(sys.modules, "granian", None)
    with pytest.raises(SystemExit) as ended:
        hosting.granian.run("nowhere:app", "127.0.0.1:0")
    assert ended.value.code == 2
    assert "pip install 'pierhead[granian]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("addresses", "code", "message"),
    [
        ([], 2, "no address"),
        (["127.0.0.1"], 2, "the port is missing"),
        (["tls+127.0.0.1:0?cert=a"], 3, "tls+ works between"),
        (["udp:127.0.0.1:0"], 3, "is datagram, expected streams"),
        (["vsock:any:any"], 3, "granian accepts only TCP and UNIX connections"),
        (["mem:a"], 3, "a memory network has no socket"),
        (["inetd"], 3, "one connection"),
        (["127.0.0.1:0?maxconn=3"], 3, "maxconn"),
    ],
)
def test_an_address_that_cannot_be_ends_the_program_with_a_message(
    addresses, code, message, capsys
):
    if addresses[:1] == ["vsock:any:any"] and not _has_vsock():
        pytest.skip("no vsock here")
    with pytest.raises(SystemExit) as ended:
        hosting.granian.run("nowhere:app", *addresses)
    assert ended.value.code == code
    assert message in capsys.readouterr().err


def _has_vsock():
    try:
        socket.socket(socket.AF_VSOCK).close()
    except (AttributeError, OSError):
        return False
    return True
