"""A callback of streams and a protocol of asyncio's own, on every kind of listener."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from tests.processes import PATIENCE_S, Running, free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="abstract names, systemd")

ACTIVATOR = Path(__file__).with_name("activator.py")

PROGRAM = """
import asyncio, sys
from pierhead import run
from pierhead.adapters import protocol, streams

def reply(line, transport):
    return f"{line.decode().strip().upper()} {transport.get_extra_info('peer')}\\n".encode()

async def shout(reader, writer):
    while line := await reader.readline():
        writer.write(reply(line, writer))
        await writer.drain()

class Shout(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        for line in data.splitlines():
            self.transport.write(reply(line, self.transport))

endpoints = {"streams": streams.serve(shout), "protocol": protocol.serve(Shout)}
run(endpoints[sys.argv[1]], *sys.argv[2:])
"""


@pytest.fixture(params=["streams", "protocol"])
def served(request, tmp_path: Path) -> list[str]:
    """The command line of the server; addresses follow."""
    program = tmp_path / "asyncio_program.py"
    program.write_text(PROGRAM)
    return [sys.executable, "-W", "error", str(program), request.param]


def connected(address: str | tuple[str, int]) -> socket.socket:
    client = socket.socket(socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX)
    client.settimeout(PATIENCE_S)
    client.connect(address)
    return client


def asked(client: socket.socket, octets: bytes = b"hello\n") -> bytes:
    """Send this and end the input; return everything that comes."""
    with client:
        client.sendall(octets)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(1000), b""))


def port_of(running: Running) -> int:
    found = re.search(r"127\.0\.0\.1:(\d+)", running.line("ready "))
    assert found, str(running)
    return int(found[1])


def test_over_tcp_unix_and_abstract_of_one_server(served, tmp_path: Path) -> None:
    path, name = tmp_path / "s", f"pierhead-{tmp_path.name}-{free_port()}"
    with Running([*served, "127.0.0.1:0", f"unix:{path}", f"@{name}"]) as running:
        port = port_of(running)
        for address in (("127.0.0.1", port), str(path), f"\0{name}"):
            assert asked(connected(address)).startswith(b"HELLO ")
        assert running.stop() == 0
    assert not path.exists()


def test_over_the_sockets_of_a_name_that_systemd_passes(served, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "ab"]
    sockets = [f"lines=stream:{path}" for path in paths]
    activate = [sys.executable, str(ACTIVATOR), *sockets, "--"]
    with Running([*activate, *served, "sd-listen:lines"]) as running:
        running.line("ready ")
        for path in paths:
            assert asked(connected(str(path))).startswith(b"HELLO ")


def test_under_inetd_it_ends_with_its_one_connection(served) -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE_S)
    with theirs:
        process = subprocess.Popen(
            [*served, "inetd"], stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL
        )
    try:
        assert asked(ours).startswith(b"HELLO ")
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()


def test_over_tls(served, tmp_path: Path) -> None:
    authority = trustme.CA()
    pem = tmp_path / "server.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with Running([*served, f"tls+127.0.0.1:0?cert={pem}"]) as running:
        plain = connected(("127.0.0.1", port_of(running)))
        with trusting.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(b"hello\n")
            assert client.recv(1000).startswith(b"HELLO 127.0.0.1:")


def test_behind_a_proxy_the_peer_is_whom_it_names(served) -> None:
    address = "proxy+127.0.0.1:0?proxy.from=127.0.0.1"
    with Running([*served, address]) as running:
        client = connected(("127.0.0.1", port_of(running)))
        header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n"
        assert asked(client, header + b"hello\n") == b"HELLO 192.0.2.7:4711\n"
