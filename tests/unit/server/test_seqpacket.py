"""Seqpacket connections: a packet is a frame; everything else is as on a stream."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import pytest

from pierhead import Context, Endpoint, Server
from pierhead.errors import ListenError
from pierhead.protocols import lines
from pierhead.service.context import Transport

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs seqpacket")

ADDRESS = "unixseq:@{name}"


async def upper(line: str, context: Context) -> str:
    return line.upper()


@pytest.fixture
def client(request):
    """A function that connects to a server of this test."""
    sockets = []

    def connect(server: Server) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sockets.append(sock)
        sock.setblocking(False)
        sock.connect("\0" + server.addresses[0].partition("@")[2])
        return sock

    yield connect
    for sock in sockets:
        sock.close()


@pytest.fixture
def address(request) -> str:
    import os

    return f"unixseq:@pierhead-test-{os.getpid()}-{request.node.name[:40]}"


async def receive(sock: socket.socket) -> bytes:
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 100_000), 20)


async def test_each_packet_is_answered_by_one(address, client) -> None:
    async def via(line: str, context: Context) -> str:
        assert context.connection is not None
        return f"{line} {context.via.transport.value} {context.via.scheme}"

    async with Server(lines.serve(via), address, linger_timeout=0) as server:
        sock = client(server)
        for packet in (b"a", b"", b"b"):
            sock.send(packet)
        assert [await receive(sock) for _ in range(3)] == [
            b"a seqpacket unixseq",
            b" seqpacket unixseq",
            b"b seqpacket unixseq",
        ]
        assert server.metrics.total("frames_sent_total") == 3


async def test_replies_keep_the_order_of_the_requests(address, client) -> None:
    gate = asyncio.Event()

    async def first_waits(line: str, context: Context) -> str:
        if line == "a":
            await gate.wait()
        else:
            gate.set()
        return line.upper()

    async with Server(lines.serve(first_waits), address, linger_timeout=0) as server:
        sock = client(server)
        sock.send(b"a")
        sock.send(b"b")
        assert [await receive(sock), await receive(sock)] == [b"A", b"B"]


async def test_each_of_many_replies_is_a_packet(address, client) -> None:
    async def count(line: str, context: Context) -> Any:
        for n in range(int(line)):
            yield str(n)

    async with Server(lines.serve(count), address, linger_timeout=0) as server:
        sock = client(server)
        sock.send(b"3")
        assert [await receive(sock) for _ in range(3)] == [b"0", b"1", b"2"]


async def test_draining_answers_what_was_accepted_and_ends_the_connection(address, client) -> None:
    gate, begun = asyncio.Event(), asyncio.Event()

    async def waits(line: str, context: Context) -> str:
        begun.set()
        await gate.wait()
        return line

    server = Server(lines.serve(waits), address)
    async with server:
        sock = client(server)
        sock.send(b"a")
        await begun.wait()
        asyncio.get_running_loop().call_soon(gate.set)
        draining = asyncio.ensure_future(server.drain())
        assert await receive(sock) == b"a"
        assert await receive(sock) == b""
        sock.close()
        await draining
    assert not server.lost


async def test_a_client_that_ends_its_side_gets_its_answers(address, client) -> None:
    async with Server(lines.serve(upper), address) as server:
        sock = client(server)
        sock.send(b"a")
        sock.shutdown(socket.SHUT_WR)
        assert await receive(sock) == b"A"
        assert await receive(sock) == b""


async def test_limits_and_deadlines_apply(address, client) -> None:
    async with Server(
        lines.serve(upper), f"{address}?maxconn=1&idle-timeout=50ms", first_byte_timeout=0.05
    ) as server:
        silent = client(server)
        assert await receive(silent) == b""
        one = client(server)
        one.send(b"a")
        assert await receive(one) == b"A"
        assert await receive(one) == b""
        assert server.metrics.total("connections_closed_total", reason="first_byte") == 1
        assert server.metrics.total("connections_closed_total", reason="idle") == 1


async def test_a_packet_larger_than_a_read_is_counted_and_discarded(address, client) -> None:
    async with Server(lines.serve(upper), address, read_size_bytes=512, linger_timeout=0) as server:
        sock = client(server)
        sock.send(b"x" * 600)
        sock.send(b"a")
        assert await receive(sock) == b"A"
        assert server.metrics.total("dropped_total", reason="truncated") == 1


async def test_a_reply_too_large_for_a_packet_ends_the_connection(address, client) -> None:
    async def huge(line: str, context: Context) -> str:
        return "x" * 2_000_000

    async with Server(lines.serve(huge), f"{address}?sndbuf=4KiB") as server:
        sock = client(server)
        sock.send(b"a")
        assert await receive(sock) == b""
        while not server.metrics.total("connections_closed_total"):
            await asyncio.sleep(0)
        assert server.metrics.total("connections_closed_total", reason="reply_too_large") == 1


async def test_a_slow_reader_loses_nothing(address, client) -> None:
    async def many(line: str, context: Context) -> Any:
        for n in range(300):
            yield f"{n:04} " + "x" * 995

    async with Server(
        lines.serve(many), f"{address}?sndbuf=8KiB", max_write_buffer_bytes=4096, linger_timeout=0
    ) as server:
        sock = client(server)
        sock.send(b"go")
        while not server.metrics.total("writes_paused_total"):
            await asyncio.sleep(0)
        got = [await receive(sock) for _ in range(300)]
        assert [int(packet[:4]) for packet in got] == list(range(300))
        assert {len(packet) for packet in got} == {1000}


async def test_an_endpoint_without_frames_does_not_serve_packets(address) -> None:
    endpoint = Endpoint(name="streams", stream=lines.serve(upper).stream)
    with pytest.raises(ListenError, match="does not serve seqpacket connections"):
        async with Server(endpoint, address):
            pass


def test_the_transport_is_named_as_in_the_grammar() -> None:
    assert Transport.SEQPACKET.value == "seqpacket"
