"""A callback of streams and a protocol of asyncio's own, on every kind of listener."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from tests.processes import PATIENCE_S, ROOT, Running, free_port, ready_port, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="abstract names, systemd")

ACTIVATOR = Path(__file__).with_name("activator.py")

EXAMPLE = ROOT / "examples" / "asyncio_callback.py"


@pytest.fixture(params=["callback", "protocol"])
def kind(request) -> str:
    return request.param


@pytest.fixture
def served(kind: str) -> list[str]:
    """The command line of the server; addresses follow."""
    return [sys.executable, "-W", "error", str(EXAMPLE), kind]


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


def test_over_tcp(served) -> None:
    with Running([*served, "127.0.0.1:0"]) as running:
        assert asked(connected(("127.0.0.1", ready_port(running)))) == b"HELLO\n"
        assert running.stop() == 0


def test_over_a_unix_socket_and_an_abstract_one_of_one_server(served, tmp_path: Path) -> None:
    path, name = tmp_path / "s", f"pierhead-{tmp_path.name}-{free_port()}"
    with Running([*served, f"unix:{path}", f"@{name}"]) as running:
        running.line("ready ")
        for address in (str(path), f"\0{name}"):
            assert asked(connected(address)) == b"HELLO\n"
        assert running.stop() == 0
    assert not path.exists()


def test_over_all_sockets_of_a_name_that_systemd_passes(served, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "ab"]
    sockets = [f"lines=stream:{path}" for path in paths]
    activate = [sys.executable, str(ACTIVATOR), *sockets, "--"]
    with Running([*activate, *served, "sd-listen:lines"]) as running:
        running.line("ready ")
        for path in paths:
            assert asked(connected(str(path))) == b"HELLO\n"


def test_started_by_the_first_client(program, served, tmp_path: Path) -> None:
    path = tmp_path / "s"
    activate = [program("systemd-socket-activate"), "-l", str(path)]
    with Running([*activate, *served, "sd-listen"]) as running:
        wait_until(path.exists, running)
        assert asked(connected(str(path))) == b"HELLO\n"


def test_under_inetd_each_connection_has_a_process_that_ends(served) -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE_S)
    with theirs:
        process = subprocess.Popen(
            [*served, "inetd"], stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL
        )
    try:
        assert asked(ours) == b"HELLO\n"
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
        plain = connected(("127.0.0.1", ready_port(running)))
        with trusting.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(b"hello\n")
            assert client.recv(1000) == b"HELLO\n"


PEER = """
import asyncio, sys
from pierhead import run
from pierhead import hosting

async def tell(reader, writer):
    writer.write(str(writer.get_extra_info("peer")).encode())
    await reader.read()

class Tell(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(str(transport.get_extra_info("peer")).encode())

served = {"callback": hosting.streams.serve(tell), "protocol": hosting.protocol.serve(Tell)}
run(served[sys.argv[1]], sys.argv[2])
"""


def test_behind_a_proxy(kind) -> None:
    address = "proxy+127.0.0.1:0?proxy.from=127.0.0.1"
    with Running([sys.executable, "-W", "error", "-c", PEER, kind, address]) as running:
        client = connected(("127.0.0.1", ready_port(running)))
        header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n"
        assert asked(client, header) == b"192.0.2.7:4711"
