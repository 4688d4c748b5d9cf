"""A peer that sends requests and does not read costs only the documented memory."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from fakes import Bench, settle

from pierhead.codec import Lines
from pierhead.codec.base import Order, WireFormat
from pierhead.server.framed import framed
from pierhead.server.seqpacket import packets
from pierhead.server.serve import serve
from pierhead.server.server import Server
from pierhead.service import FrameHandler

LIMIT = 65_536
ANSWER = b"x" * 60_000
#: The limit once in the transport and once on the way there, and a reply beyond each.
BOUND = 2 * (LIMIT + len(ANSWER) + 1)


def held(it: Bench) -> int:
    return it.connection.unsent_bytes


async def in_place(frame: bytes, context: Any) -> bytes:
    return ANSWER


async def many(frame: bytes, context: Any) -> Any:
    async def replies() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield ANSWER

    return replies()


def ready(frame: bytes, peer: Any, via: Any) -> bytes | None:
    return ANSWER


HANDLERS = {
    "in place": FrameHandler(in_place),
    "ready": FrameHandler(in_place, answer_now=ready),
    "many": FrameHandler(many),
}


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize("connect", [lambda h, o: framed(h, Lines(), o), packets])
async def test_no_request_begins_while_replies_wait(connect: Any, kind: str, order: Order) -> None:
    it = Bench(connect(HANDLERS[kind], order), takes=False)
    most = 0
    for _ in range(40):
        if it.transport.reading:
            it.feed(b"?\n")
        await settle(3)
        most = max(most, held(it))
    it.feed(b"?\n" * 200)
    await settle(60)
    most = max(most, held(it))
    assert LIMIT < most <= BOUND
    assert not it.transport.reading


@pytest.mark.parametrize("kind", ["in place", "ready"])
async def test_replies_behind_a_slow_one_count_as_waiting(kind: str) -> None:
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def first_waits(frame: bytes, context: Any) -> bytes:
        if frame == b"slow":
            await gate
        return ANSWER

    def now(frame: bytes, peer: Any, via: Any) -> bytes | None:
        return ANSWER if kind == "ready" and frame != b"slow" else None

    handler = FrameHandler(first_waits, answer_now=now)
    it = Bench(framed(handler, Lines(), Order.IN_ORDER))
    it.feed(b"slow\n" + b"?\n" * 100)
    await settle()
    assert held(it) <= LIMIT + len(ANSWER) + 1
    gate.set_result(None)
    for _ in range(100):
        await settle()
    assert it.output.count(b"\n") == 101


async def test_everything_is_answered_once_the_peer_reads_again() -> None:
    it = Bench(framed(HANDLERS["in place"], Lines()), takes=False)
    it.feed(b"?\n" * 100)
    await settle()
    assert it.output.count(b"\n") < 5
    it.transport.takes = True
    it.transport.take_all()
    for _ in range(100):
        await settle()
    assert it.output.count(b"\n") == 100
    assert it.metrics.total("requests_answered_total") == 100
    assert it.transport.reading


class Octets:
    """The codec of services of bytes."""

    def decode(self, frame: bytes) -> bytes:
        return frame

    def encode(self, reply: bytes) -> bytes:
        return reply


CONNECTIONS = 6


@pytest.mark.parametrize("scheme", ["tcp", "tls+tcp", "unix", "unixseq"])
async def test_the_memory_of_a_connection_whose_peer_never_reads(
    scheme: str, tmp_path: Path
) -> None:
    """The documented bound of ``max_write_buffer_bytes``, measured on real sockets."""
    authority = trustme.CA()
    certificate = tmp_path / "cert.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
    path = tmp_path / "s"
    address = {
        "tcp": "tcp:127.0.0.1:0?sndbuf=8192",
        "tls+tcp": f"tls+tcp:127.0.0.1:0?sndbuf=8192&cert={certificate}",
        "unix": f"unix:{path}?sndbuf=8192",
        "unixseq": f"unixseq:{path}?sndbuf=131072",
    }[scheme]
    endpoint = serve(in_place, WireFormat(Lines(), Octets()))
    async with Server(endpoint, address, drain_timeout=0, linger_timeout=0) as server:
        clients = [await asker(scheme, server.addresses[0], authority) for _ in range(CONNECTIONS)]
        for client in clients:  # everything that is created once exists by now
            client.sendall(b"?" if scheme == "unixseq" else b"?\n")
        await until(lambda: server.metrics.total("frames_received_total") >= CONNECTIONS)
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for client in clients:
                for _ in range(60):
                    client.sendall(b"?" if scheme == "unixseq" else b"?\n" * 10)
            await until(lambda: server.metrics.total("writes_paused_total") >= CONNECTIONS)
            gc.collect()
            growth = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        for client in clients:
            client.close()
        # The system buffers whole packets, and those of a seqpacket socket are large.
        assert growth / CONNECTIONS > (0 if scheme == "unixseq" else LIMIT / 2)
        assert growth / CONNECTIONS <= BOUND + 16_384


async def asker(scheme: str, address: str, authority: trustme.CA) -> Any:
    """Return a connected client with a small buffer, after its handshake."""
    kind = socket.SOCK_SEQPACKET if scheme == "unixseq" else socket.SOCK_STREAM
    target: Any = address.partition(":")[2].partition("?")[0]
    if scheme.endswith("tcp"):
        host, _, port = address.removeprefix(f"{scheme}:").rpartition(":")
        target = host, int(port)
    raw = socket.socket(socket.AF_INET if scheme.endswith("tcp") else socket.AF_UNIX, kind)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)

    def connect() -> Any:
        raw.settimeout(10)
        raw.connect(target)
        if scheme != "tls+tcp":
            return raw
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(context)
        return context.wrap_socket(raw, server_hostname="localhost")

    return await asyncio.to_thread(connect)


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)
