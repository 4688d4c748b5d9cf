"""Clients that stall, flood, cut off and never read, against handlers that are no better."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from pierhead import Conversation, Server, connect
from pierhead.errors import PierheadError
from pierhead.protocols import lines

FORMAT = lines.wire_format()


async def shout(conversation: Conversation[str, str]) -> None:
    async for line in conversation:
        await conversation.send(line.upper())


def check_accounts(server: Server) -> None:
    """What arrived was received, undecodable, dropped or lost; every connection has ended."""
    total = server.metrics.total
    assert total("connections_open") == 0
    assert total("frames_received_total") == (
        total("messages_received_total")
        + total("dropped_total", reason="undecodable")
        + total("messages_lost_total", direction="in")
    )


async def ended(server: Server) -> None:
    """Wait until no connection is open."""
    async with asyncio.timeout(10):
        while server.metrics.total("connections_open"):
            await asyncio.sleep(0.005)


def place(server: Server) -> tuple[str, int]:
    host, _, port = server.addresses[0].removeprefix("tcp:").rpartition(":")
    return host, int(port)


@contextmanager
def dialled(server: Server, number: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as closing:
        yield [
            closing.enter_context(socket.create_connection(place(server))) for _ in range(number)
        ]


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def end(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_WR)


# -- how a client ends, at each state ----------------------------------------------------------


@pytest.mark.parametrize("last", [socket.socket.close, end, reset], ids=["FIN", "half", "RST"])
@pytest.mark.parametrize(
    "said",
    [b"", b"half a li", b"one\n", b"one\ntw", b"a\n" * 500, random.Random(7).randbytes(5000)],
    ids=["nothing", "half a message", "one", "one and a half", "many", "random octets"],
)
async def test_clients_that_end_at_each_state(
    said: bytes, last: Callable[[socket.socket], None]
) -> None:
    async with Server(lines.converse(shout), "tcp:127.0.0.1:0", linger_timeout=0.05) as server:
        with dialled(server, 5) as socks:
            for sock in socks:
                sock.sendall(said)
                last(sock)
            await asyncio.sleep(0.01)
            await ended(server)
            async with connect(server.addresses[0], FORMAT).conversation() as well:
                await well.send("well")
                assert await well.receive() == "WELL"
    assert list(server.lost) == []
    check_accounts(server)


async def test_a_line_without_an_end_is_cut_off_at_its_limit() -> None:
    async with Server(lines.converse(shout), "tcp:127.0.0.1:0") as server:
        tracemalloc.start()
        try:
            reader, writer = await asyncio.open_connection(*place(server))
            with suppress(ConnectionError):
                for _ in range(80):
                    writer.write(bytes(65_536))
                    await writer.drain()
                while await reader.read(65_536):
                    pass
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        writer.close()
        await ended(server)
        assert server.metrics.total("connections_closed_total", reason="framing") == 1
    assert most < 1_000_000
    check_accounts(server)


# -- who does not keep up ----------------------------------------------------------------------


async def test_many_who_pipeline_into_a_slow_handler_take_a_bounded_share(server: Any) -> None:
    """Each offers 1 MB; it holds what waits for its handler, one read, and its own output."""
    go = asyncio.Event()

    async def slow(conversation: Conversation[str, str]) -> None:
        await go.wait()
        conversation.abort()

    await server(lines.converse(slow), "mem:b", max_connections=1000, idle_timeout=3600)
    client = connect("mem:b", FORMAT, max_write_buffer_bytes=1024)
    line, number = "x" * 1000, 90

    async def pipeline() -> None:
        try:
            async with client.conversation() as conversation:
                for _ in range(1000):
                    await conversation.send(line)
        except PierheadError:
            pass

    tracemalloc.start()
    try:
        everyone = asyncio.gather(*(pipeline() for _ in range(number)))
        await asyncio.sleep(0.1)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    go.set()
    await everyone
    assert held / number < 300_000


async def test_who_never_reads_costs_its_bound_and_is_cut_off(server: Any, clock: Any) -> None:
    async def flood(conversation: Conversation[str, str]) -> None:
        while True:
            await conversation.send("x" * 10_000)

    started = await server(lines.converse(flood), "mem:b", write_timeout=3)
    client = connect("mem:b", FORMAT, idle_timeout="off", linger_timeout=0.01)

    async def never_reads() -> None:
        async with client.conversation() as conversation:
            await conversation.wait_closing()

    tracemalloc.start()
    try:
        everyone = asyncio.gather(*(never_reads() for _ in range(50)))
        await clock.advance(1)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / 50 < 400_000
    await clock.advance(5)
    await everyone
    assert started.metrics.total("connections_closed_total", reason="write") == 50
    assert started.metrics.total("connections_open") == 0


# -- handlers ----------------------------------------------------------------------------------


async def test_a_handler_that_swallows_cancellation_is_named_and_does_not_hold_up_the_end(
    server: Any, clock: Any
) -> None:
    release = asyncio.Event()

    async def deaf(conversation: Conversation[str, str]) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    started = await server(lines.converse(deaf), "mem:b", drain_timeout=1)
    began = clock.monotonic()
    async with connect("mem:b", FORMAT, linger_timeout=0.01).conversation():
        await asyncio.sleep(0.1)
        await started.__aexit__(None, None, None)
        assert clock.monotonic() - began < 3
    assert [lost.reason for lost in started.lost] == ["drain"]
    release.set()
    await asyncio.sleep(0.1)


async def test_a_handler_that_stays_after_its_peer_is_cancelled_and_counted_once(
    server: Any, clock: Any
) -> None:
    release = asyncio.Event()

    async def deaf(conversation: Conversation[str, str]) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    started = await server(lines.converse(deaf), "mem:b", handler_timeout=1)
    async with connect("mem:b", FORMAT).conversation() as conversation:
        await asyncio.sleep(0.1)
        conversation.abort()
    await clock.advance(5)
    assert started.metrics.total("conversations_cancelled_total") == 1
    release.set()
    await clock.advance(1)
    assert started.metrics.total("connections_open") == 0


async def test_ten_thousand_conversations_leave_nothing_behind(server: Any) -> None:
    started = await server(lines.converse(shout), "mem:b")
    client = connect("mem:b", FORMAT, linger_timeout=0.01)

    async def some(number: int) -> None:
        for _ in range(number):
            async with client.conversation() as conversation:
                await conversation.send("a")
                assert await conversation.receive() == "A"

    await some(50)
    await asyncio.sleep(1)
    gc.collect()
    before = len(gc.get_objects())
    await asyncio.gather(*(some(50) for _ in range(20)))
    await asyncio.sleep(1)
    gc.collect()
    assert len(gc.get_objects()) - before < 200
    assert started.metrics.total("connections_open") == 0
    assert client.metrics.total("connections_open") == 0
    check_accounts(started)


# -- processes ---------------------------------------------------------------------------------

PEER = """
import socket, sys, time
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sock.sendall(b"hello\\n")
print(sock.recv(100).decode().strip(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("sign", [signal.SIGSTOP, signal.SIGKILL], ids=["stopped", "killed"])
async def test_a_peer_that_is_stopped_or_killed(sign: signal.Signals) -> None:
    """A killed one is known at once; a stopped one when it does not take what it is sent."""

    async def talk(conversation: Conversation[str, str]) -> None:
        await conversation.send((await conversation.receive()).upper())
        while True:
            await conversation.send("x" * 60_000)

    limits: Any = {"write_timeout": 0.3, "linger_timeout": 0.05}
    async with Server(lines.converse(talk), "tcp:127.0.0.1:0", **limits) as server:
        host, port = place(server)
        with subprocess.Popen(  # noqa: ASYNC220  # a fork; what it says is awaited
            [sys.executable, "-S", "-c", PEER, host, str(port)], stdout=subprocess.PIPE
        ) as peer:
            assert peer.stdout is not None
            assert await asyncio.to_thread(peer.stdout.readline) == b"HELLO\n"
            os.kill(peer.pid, sign)
            await ended(server)
            peer.kill()
        closed = {
            reason: server.metrics.total("connections_closed_total", reason=reason)
            for reason in ("write", "peer_gone", "eof")
        }
        assert closed["write"] == (sign == signal.SIGSTOP)
        assert sum(closed.values()) == 1
