"""``vsock:`` from the address to the answer: for real where there is a way, pretended elsewhere.

A connection from this machine to itself needs Linux's vsock_loopback. Without it the sockets
below are Unix sockets that say they are of the other family; all above them is as ever.
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest
import uvloop
from tls_client import Certificates

from pierhead import Context, Server
from pierhead.errors import ListenError
from pierhead.listener.bind import vsock
from pierhead.protocols import lines

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_VSOCK"), reason="no vsock here")

KINDS = {"vsock": socket.SOCK_STREAM, "vsockseq": socket.SOCK_SEQPACKET}
CID, FREE_PORT, PEER = 3, 49_152, (2, 1025)
ANY = 2**32 - 1
both_loops = pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])


class Pretending(socket.socket):
    """A Unix socket that says it is a vsock one: family, names, and who connects."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.setblocking(False)

    @property
    def family(self):
        return socket.AF_VSOCK

    def bind(self, address):
        cid, port = address
        self.bound = (cid, FREE_PORT if port == ANY else port)
        super().bind(unix_name(self.bound[1]))

    def getsockname(self):
        return getattr(self, "bound", (CID, FREE_PORT))

    def setsockopt(self, level, option, value):
        if level == socket.AF_VSOCK:
            self.asked = {**getattr(self, "asked", {}), option: value}
        else:
            super().setsockopt(level, option, value)

    def accept(self):
        descriptor, _ = self._accept()
        return Pretending(socket.AF_UNIX, self.type, fileno=descriptor), PEER


def unix_name(port):
    return f"\0pierhead-vsock-{os.getpid()}-{port}"


@pytest.fixture
def pretended(monkeypatch):
    """Open vsock addresses as Unix sockets; a list of those that were opened."""
    opened = []

    def make(spec, kind):
        opened.append(Pretending(socket.AF_UNIX, kind))
        return opened[-1]

    monkeypatch.setattr(vsock, "_socket", make)
    return opened


async def who(line: str, context: Context) -> str:
    via = context.via
    return f"{line.upper()} {context.peer} {via.scheme} {via.local} {via.transport.value}"


async def ask(client: socket.socket, line: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, line)
    return await asyncio.wait_for(loop.sock_recv(client, 200), 20)


@both_loops
@pytest.mark.parametrize("scheme", KINDS)
def test_from_the_address_to_the_answer(factory, pretended, scheme):
    async def main():
        address = f"{scheme}:any:any?backlog=5&rcvbuf=64KiB&idle-timeout=9s&name=guest"
        async with Server(lines.serve(who), address) as server:
            assert server.addresses == [f"{scheme}:any:{FREE_PORT}"]
            (listening,) = pretended
            assert listening.asked == {
                socket.SO_VM_SOCKETS_BUFFER_MAX_SIZE: 65_536,
                socket.SO_VM_SOCKETS_BUFFER_SIZE: 65_536,
            }
            with socket.socket(socket.AF_UNIX, KINDS[scheme]) as client:
                client.setblocking(False)
                client.connect(unix_name(FREE_PORT))
                answer = await ask(client, b"a\n" if scheme == "vsock" else b"a")
                transport = "stream" if scheme == "vsock" else "seqpacket"
                expected = f"A 2:1025 {scheme} {scheme}:any:{FREE_PORT} {transport}"
                assert answer.decode().strip() == expected
                client.shutdown(socket.SHUT_WR)
                assert (
                    await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 10), 20)
                    == b""
                )
            total = server.metrics.total("connections_accepted_total", listener="guest")
            assert total == 1

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


async def test_a_rate_and_a_limit_hold_there_too(pretended):
    async with Server(lines.serve(who), f"vsock:{CID}:7000?maxconn=1&maxrate=100") as server:
        with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
            for client in (first, second):
                client.setblocking(False)
            loop = asyncio.get_running_loop()
            first.connect(unix_name(7000))
            assert (await ask(first, b"a\n")).startswith(b"A 2:1025")
            second.connect(unix_name(7000))  # the first is idle, and gives way
            assert await asyncio.wait_for(loop.sock_recv(first, 10), 20) == b""
            assert (await ask(second, b"b\n")).startswith(b"B 2:1025")
        assert server.metrics.total("connections_closed_total", reason="evicted") == 1


async def test_tls_runs_over_it(pretended, tmp_path):
    certificates = Certificates(tmp_path)
    cert = certificates.issue("guest.example")
    async with Server(lines.serve(who), f"tls+vsock:any:7001?cert={cert}") as server:
        assert server.addresses == ["tls+vsock:any:7001"]
        context = certificates.client_context()
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            client.connect(unix_name(7001))
            reader, writer = await asyncio.open_connection(
                sock=client, ssl=context, server_hostname="guest.example"
            )
            writer.write(b"a\n")
            answer = await asyncio.wait_for(reader.readline(), 20)
            assert answer.decode().startswith("A 2:1025 ")
            writer.close()
            await writer.wait_closed()


async def test_an_inherited_one_is_served_under_its_own_name(leave):
    """A real socket: adopting it needs no connection."""
    try:
        sock = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    except OSError as error:
        pytest.skip(f"no vsock here: {error}")
    sock.bind((ANY, ANY))
    sock.listen()
    port = sock.getsockname()[1]
    number = leave(sock)
    async with Server(lines.serve(who), f"fd:{number}?rcvbuf=64KiB&type=stream") as server:
        assert server.addresses == [f"vsock:any:{port}"]


async def test_options_that_do_not_apply_to_vsock_are_refused(leave):
    try:
        sock = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    except OSError as error:
        pytest.skip(f"no vsock here: {error}")
    sock.bind((ANY, ANY))
    sock.listen()
    number = leave(sock)
    for key in ("sndbuf=64KiB", "nodelay", "allow-uid=0"):
        with pytest.raises(ListenError, match="has no effect on"):
            async with Server(lines.serve(who), f"fd:{number}?{key}"):
                pass


@pytest.mark.parametrize("scheme", KINDS)
async def test_a_real_connection(scheme):
    """Over vsock_loopback, where this machine has it."""
    if not Path("/sys/module/vsock_loopback").exists():
        pytest.skip("a connection to oneself needs vsock_loopback (modprobe vsock_loopback)")
    async with Server(lines.serve(who), f"{scheme}:any:any") as server:
        port = int(server.addresses[0].rpartition(":")[2])
        with socket.socket(socket.AF_VSOCK, KINDS[scheme]) as client:
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await asyncio.wait_for(loop.sock_connect(client, (1, port)), 20)
            assert (await ask(client, b"a\n")).startswith(b"A 1:")
