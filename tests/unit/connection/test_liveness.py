"""Liveness: a dead peer is known in time, at both ends, and a quiet one stays."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

import pytest

from pierhead import Conversation, Liveness, Server, connect, converse
from pierhead.errors import ConnectionEnded, UsageError
from pierhead.net.memory import Network
from pierhead.protocols import lines

FORMAT = lines.wire_format()


def pings(every: float = 30, within: float = 10) -> Liveness[str, str]:
    return Liveness(
        make=lambda: "PING",
        is_pong=lambda line: line == "PONG",
        is_ping=lambda line: line == "PING",
        pong=lambda line: "PONG",
        every=every,
        within=within,
    )


class Handler:
    """Keeps what it hears, and how it ended."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.ended: list[tuple[float, str]] = []

    async def __call__(self, conversation: Conversation[str, str]) -> None:
        try:
            async for line in conversation:
                self.heard.append(line)
        except ConnectionEnded as end:
            self.ended.append((asyncio.get_running_loop().time(), end.reason))


@pytest.mark.parametrize("address", ["mem:b", "memgram:b"])
async def test_a_quiet_peer_stays_and_pings_reach_no_handler(server, clock, address) -> None:
    handler = Handler()
    started = await server(lines.converse(handler, liveness=pings()), address, idle_timeout=100_000)
    client = connect(address, FORMAT, idle_timeout="off")
    async with client.conversation(liveness=pings(every=1000)) as conversation:
        await conversation.send("hello")
        await clock.advance(600)
        await conversation.send("still here")
        await clock.advance(1)
        assert not conversation.closed
        assert handler.heard == ["hello", "still here"]
        assert handler.ended == []
        sent = started.metrics.total("pings_sent_total")
        assert 18 <= sent <= 21
        assert client.metrics.total("signs_of_life_received_total") == sent
        assert client.metrics.total("messages_received_total") == 0
        conversation.abort()
    await client.close()


@pytest.mark.parametrize("address", ["mem:b", "memgram:b"])
async def test_a_cut_is_known_in_time_at_both_ends(server, clock, address: str) -> None:
    handler = Handler()
    started = await server(lines.converse(handler, liveness=pings()), address, idle_timeout=100_000)
    client = connect(address, FORMAT, idle_timeout="off", source=f"{address[:-1]}a")
    async with client.conversation(liveness=pings()) as conversation:
        await conversation.send("hello")
        await clock.advance(123)
        Network.current().between("a", "b").lose(1.0, seed=1)
        Network.current().between("a", "b").delay(1e6)
        cut_at = clock.monotonic()
        with pytest.raises(ConnectionEnded, match="liveness"):
            await conversation.receive()
        assert clock.monotonic() - cut_at <= 40
        await clock.advance(cut_at + 40 - clock.monotonic())
        assert len(handler.ended) == 1
        assert handler.ended[0][0] - cut_at <= 40
    kind = "connections" if address == "mem:b" else "conversations"
    assert started.metrics.total(f"{kind}_closed_total", reason="liveness") == 1
    assert client.metrics.total("connections_closed_total", reason="liveness") == 1
    await client.close()


async def test_any_traffic_counts(server, clock) -> None:
    started = await server(
        lines.converse(Handler(), liveness=pings(every=10, within=1)), "mem:b", idle_timeout=1000
    )
    async with connect("mem:b", FORMAT).conversation() as conversation:
        for _ in range(20):
            await clock.advance(9)
            await conversation.send("x")
        assert started.metrics.total("pings_sent_total") == 0
        await clock.advance(11)
        assert started.metrics.total("connections_closed_total", reason="liveness") == 1


async def test_a_handler_that_does_not_read_is_not_its_peers_death(server, clock) -> None:
    gate = asyncio.Event()

    async def busy(conversation: Conversation[str, str]) -> None:
        await gate.wait()
        async for _ in conversation:
            pass

    started = await server(
        lines.converse(busy, liveness=pings(every=1, within=1)), "mem:b", idle_timeout=1000
    )
    client = connect("mem:b", FORMAT, idle_timeout="off")
    async with client.conversation(liveness=pings(every=500)) as conversation:
        for _ in range(100):
            await conversation.send("x")
        await clock.advance(60)
        assert started.metrics.total("connections_open") == 1
        gate.set()
        await clock.advance(60)
        assert started.metrics.total("messages_received_total") == 100
        assert started.metrics.total("connections_open") == 1


STOPPED = """
import asyncio, sys
from pierhead import Liveness, connect
from pierhead.protocols import lines

async def main():
    pings = Liveness(is_ping=lambda line: line == "PING", pong=lambda line: "PONG")
    async with connect(sys.argv[1], lines.wire_format()).conversation(liveness=pings) as talk:
        await talk.send("hello")
        async for line in talk:
            print(line)

asyncio.run(main())
"""


async def test_a_stopped_process_is_known_in_time() -> None:
    """Its sockets stay open and its kernel acknowledges: nothing else would tell."""
    async with asyncio.TaskGroup() as both:
        both.create_task(_stop_a_process("tcp:127.0.0.1:0"))
        both.create_task(_stop_a_process("udp:127.0.0.1:0"))


async def _stop_a_process(address: str) -> None:
    handler = Handler()
    loop = asyncio.get_running_loop()
    endpoint = converse(handler, FORMAT, liveness=pings(every=1, within=1))
    async with asyncio.timeout(30), Server(endpoint, address, drain_timeout=1) as started:
        process: Any = await asyncio.create_subprocess_exec(
            sys.executable, "-c", STOPPED, started.addresses[0]
        )
        try:
            while started.metrics.total("signs_of_life_received_total") < 2:
                await asyncio.sleep(0.02)
            os.kill(process.pid, signal.SIGSTOP)
            stopped_at = loop.time()
            while not handler.ended:
                await asyncio.sleep(0.02)
            assert handler.ended[0][1] == "liveness"
            assert handler.ended[0][0] - stopped_at <= 2 + 0.5  # a busy machine is given some
        finally:
            process.kill()
            await process.wait()


async def test_thousands_of_idle_connections_are_not_swept(server, clock) -> None:
    """While nothing is due, a sweep passes an idle connection."""
    swept = 0
    handler = Handler()
    started = await server(lines.converse(handler, liveness=pings()), "mem:b", idle_timeout=1000)
    async with connect("mem:b", FORMAT).conversation() as conversation:
        await conversation.send("hello")
        await clock.advance(5)
        (connection,) = started._slots[0].servers[0]._connections.values()
        sweep = connection.sweep

        def counted(now: float) -> None:
            nonlocal swept
            swept += 1
            sweep(now)

        connection.sweep = counted
        await clock.advance(20)
        assert swept == 0
        await conversation.send("again")
        await clock.advance(2)
        assert swept == 1
        started.reconfigure(idle_timeout=1)
        await clock.advance(2)
        assert started.metrics.total("connections_closed_total", reason="idle") == 1


async def test_a_handler_that_is_cancelled_as_its_peer_ends_is_no_mistake(server, caplog) -> None:
    async def wait(conversation: Conversation[str, str]) -> None:
        receiving = asyncio.ensure_future(conversation.receive())
        await asyncio.sleep(0)
        receiving.cancel()
        conversation.end_of_input(None)
        with pytest.raises(asyncio.CancelledError):
            await receiving

    await server(lines.converse(wait), "mem:b")
    async with connect("mem:b", FORMAT).conversation() as conversation:
        assert [line async for line in conversation] == []
    assert caplog.records == []


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(UsageError, match=r"every is 0\.5"):
        Liveness(make=lambda: "", every=0.5)
    with pytest.raises(UsageError, match="give both"):
        Liveness[str, str](is_ping=lambda line: True)
    with pytest.raises(UsageError, match="one peer"):
        converse(Handler(), FORMAT, per="socket", liveness=pings())  # type: ignore[call-overload]
