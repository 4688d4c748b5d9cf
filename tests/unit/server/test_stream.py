from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from typing import Any

import pytest
from fakes import FakeTransport, HandClock, settle  # type: ignore[import-not-found]

from pierhead.address import ListenSpec
from pierhead.buffer import BufferPool
from pierhead.codec import Lines
from pierhead.connection.frame_budget import FrameBudget
from pierhead.connection.tasks import EagerTasks
from pierhead.errors import HandshakeError
from pierhead.listener.base import HandshakeResult, OutOfDescriptors
from pierhead.metrics import Metrics
from pierhead.server.framed import framed
from pierhead.server.lost_requests import LostRequest
from pierhead.server.options import ServerOptions
from pierhead.server.stream import StreamServer
from pierhead.service import FrameHandler
from pierhead.service.admission import Drop
from pierhead.service.context import Peer, Transport


class FakeAccepted:
    def __init__(self, name: str) -> None:
        self.peer = Peer(name)
        self.local = "mem:test"
        self.transport = FakeTransport()
        self.closed = False

    async def attach(self, protocol: Any) -> FakeTransport:
        self.transport.protocol = protocol
        protocol.connection_made(self.transport)
        return self.transport

    def close(self) -> None:
        self.closed = True

    def send(self, data: bytes) -> None:
        buffer = self.transport.protocol.get_buffer(-1)
        buffer[: len(data)] = data
        self.transport.protocol.buffer_updated(len(data))


class FakeHandshaking(FakeAccepted):
    names_peer = False

    def __init__(self, name: str, through: asyncio.Future[None]) -> None:
        super().__init__(name)
        self.through = through

    async def handshake(self) -> HandshakeResult:
        try:
            await self.through
        except BaseException:
            self.closed = True
            raise
        return HandshakeResult(peer=self.peer)


class FakeListener:
    transport = Transport.STREAM
    spec = ListenSpec.parse("mem:test")
    local = "mem:test"

    def __init__(self) -> None:
        self.queue: asyncio.Queue[FakeAccepted | OSError] = asyncio.Queue()
        self.closed = False

    async def accept(self) -> FakeAccepted:
        item = await self.queue.get()
        if isinstance(item, OSError):
            raise item
        return item

    def close(self) -> None:
        self.closed = True


class Bench:
    def __init__(self, service: Any = None, checks: tuple[Any, ...] = (), **options: Any) -> None:
        async def upper(frame: bytes, context: Any) -> bytes:
            return frame.upper()

        self.listener = FakeListener()
        self.clock = HandClock()
        self.metrics = Metrics()
        self.lost: list[LostRequest] = []
        self.server = StreamServer(
            self.listener,  # type: ignore[arg-type]
            framed(FrameHandler(service or upper), Lines(max_length_bytes=100)),
            options=ServerOptions().changed(options),
            admission=None,
            connection_admission=checks,
            clock=self.clock,
            metrics=self.metrics,
            tasks=EagerTasks(),
            budget=FrameBudget(),
            relieve=lambda: self.server.relieve(),
            buffers=BufferPool(),
            on_lost=self.lost.append,
            wake_sweep=lambda: None,
        )
        self.server.start()

    async def connect(
        self, name: str = "client", handshake: asyncio.Future[None] | None = None
    ) -> FakeAccepted:
        accepted = FakeAccepted(name) if handshake is None else FakeHandshaking(name, handshake)
        self.listener.queue.put_nowait(accepted)
        await settle()
        return accepted

    async def stop(self) -> None:
        self.server.drain()
        await asyncio.wait_for(self.server.wait_drained(), 1)


async def test_connections_are_served_until_they_end() -> None:
    it = Bench()
    client = await it.connect()
    client.send(b"a\n")
    await settle()
    assert client.transport.written == [b"A\n"]
    assert it.metrics.total("connections_open") == 1
    client.transport.close()
    await settle()
    assert it.metrics.total("connections_open") == 0
    await it.stop()


async def test_when_full_the_longest_idle_connection_is_evicted() -> None:
    it = Bench(max_connections=2)
    first = await it.connect()
    it.clock.now += 1
    second = await it.connect()
    third = await it.connect()
    assert first.transport.aborted
    assert not second.transport.closed
    assert not third.closed
    await it.stop()


@pytest.mark.parametrize("when_full", ["evict", "refuse"])
async def test_out_of_descriptors_the_largest_network_is_evicted_as_if_the_listener_were_full(
    when_full: str,
) -> None:
    it = Bench(linger_timeout=0, when_full=when_full)
    flood = [await it.connect("flood") for _ in range(100)]
    honest = await it.connect("honest")
    it.listener.queue.put_nowait(OutOfDescriptors(errno.EMFILE, "Too many open files", 0))
    async with asyncio.timeout(10):
        while not it.metrics.total("accept_errors_total"):
            await asyncio.sleep(0)
        late = FakeAccepted("late")
        it.listener.queue.put_nowait(late)
        while not late.transport.protocol:
            await asyncio.sleep(0.001)
    await settle()
    gave_way = sum(one.transport.aborted for one in flood)
    # One more for the new connection: 64 descriptors stay free.
    assert gave_way == (65 if when_full == "evict" else 0)
    assert not honest.transport.aborted
    assert not late.transport.aborted
    if when_full == "evict":
        await it.connect("later")  # no more descriptors than before
        assert len(it.server) <= 101 - 64 + 1
        it.clock.now += 61
        held = len(it.server)
        await it.connect("much later")
        assert len(it.server) == held + 1
    it.server.abort("end")
    await it.stop()


async def test_each_connection_counts_once_while_others_come() -> None:
    it = Bench(max_connections=2)
    second = FakeAccepted("second")

    class First(FakeAccepted):
        async def attach(self, protocol: Any) -> FakeTransport:
            it.listener.queue.put_nowait(second)  # it arrives while this one is being attached
            return await super().attach(protocol)

    first = First("first")
    it.listener.queue.put_nowait(first)
    await settle()
    assert len(it.server) == 2
    assert not first.transport.aborted
    assert it.metrics.total("connections_closed_total", reason="evicted") == 0
    await it.stop()


async def test_when_full_of_busy_connections_a_new_one_is_closed() -> None:
    gate = asyncio.get_running_loop().create_future()

    async def waits(frame: bytes, context: Any) -> bytes:
        await gate
        return frame

    it = Bench(waits, max_connections=1)
    first = await it.connect()
    first.send(b"a\n")
    second = await it.connect()
    assert second.closed
    assert it.metrics.total("dropped_total", reason="max_connections") == 1
    gate.set_result(None)
    await settle()
    assert first.transport.written == [b"a\n"]
    first.transport.protocol.eof_received()
    await it.stop()


async def test_a_handshake_counts_as_a_connection_and_is_evicted_first() -> None:
    never = [asyncio.get_running_loop().create_future() for _ in range(2)]
    it = Bench(max_connections=3, linger_timeout=0)
    idle = await it.connect()
    idle.send(b"a\n")
    await settle()
    handshakes = [await it.connect(handshake=one) for one in never]
    newcomers = [await it.connect() for _ in range(2)]
    assert [one.closed for one in handshakes] == [True, True]
    assert not any(one.closed for one in newcomers)
    assert not idle.transport.closed
    assert it.metrics.total("connections_closed_total", reason="evicted") == 2
    assert len(it.server) == 3
    await it.stop()


async def test_busy_connections_of_a_flood_are_evicted_for_another_network_and_listed() -> None:
    async def never(frame: bytes, context: Any) -> bytes:
        await asyncio.get_running_loop().create_future()
        return frame

    it = Bench(never, max_connections=3)
    flood = [await it.connect("flood") for _ in range(3)]
    for client in flood:
        client.send(b"a\n")
    await settle()
    assert (await it.connect("flood")).closed
    assert not (await it.connect("honest")).closed
    assert [client.transport.aborted for client in flood] == [True, False, False]
    assert it.lost == [LostRequest("mem:test", "flood", "evicted")]
    it.server.abort("drain")
    await it.stop()


async def test_evicted_connections_that_do_not_close_are_bounded() -> None:
    gate = asyncio.get_running_loop().create_future()

    async def stubborn(frame: bytes, context: Any) -> bytes:
        while not gate.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(gate)
        return frame

    it = Bench(stubborn, max_connections=10)
    for n in range(200):
        client = await it.connect(f"{n % 2}")  # each takes what the other has
        if not client.closed:
            client.send(b"a\n")
        if n % 10 == 0:
            await it.connect(f"newcomer {n}")
    assert len(it.server) <= 10 + 64
    gate.set_result(None)
    it.server.abort("drain")
    await it.stop()


async def test_a_handshake_counts_as_a_connection_and_has_a_deadline() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    it = Bench(max_connections=1, handshake_timeout=0.01, when_full="refuse")
    first = await it.connect(handshake=never)
    second = await it.connect()
    assert second.closed
    while not first.closed:
        await asyncio.sleep(0)
    await settle()
    assert it.metrics.total("connections_closed_total", reason="handshake") == 1
    assert it.metrics.total("handshakes_failed_total", reason="handshake") == 1
    third = await it.connect()
    assert not third.closed
    await it.stop()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (HandshakeError("tls", "no shared cipher"), "tls"),
        (HandshakeError("of_their_own", "a wrapper of the program's"), "of_their_own"),
        (ConnectionResetError(errno.ECONNRESET, "the client left"), "peer_gone"),
        (TimeoutError(), "handshake"),
    ],
)
async def test_a_failed_handshake_is_counted_by_its_reason_and_closes_one_connection(
    error: Exception, reason: str
) -> None:
    through: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    it = Bench()
    through.set_exception(error)
    await it.connect(handshake=through)
    assert it.metrics.total("handshakes_failed_total", reason=reason) == 1
    assert it.metrics.total("connections_closed_total", reason=reason) == 1
    assert it.metrics.total("handshakes_failed_total") == 1
    await it.stop()


async def test_what_breaks_without_or_after_a_handshake_is_no_failed_handshake() -> None:
    it = Bench(max_connections=1)
    through: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    through.set_result(None)
    for client in (FakeAccepted("plain"), FakeHandshaking("through", through)):
        client.attach = breaks  # type: ignore[method-assign]
        it.listener.queue.put_nowait(client)
        await settle()
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    await it.connect(handshake=never)
    await it.connect()  # the handshake gives way to it
    assert it.metrics.total("connections_closed_total", reason="peer_gone") == 2
    assert it.metrics.total("connections_closed_total", reason="evicted") == 1
    assert it.metrics.total("handshakes_failed_total") == 0
    await it.stop()


async def breaks(protocol: Any) -> Any:
    raise ConnectionResetError(errno.ECONNRESET, "the client left")


async def test_a_refused_address_is_closed_before_anything_is_read() -> None:
    class NotYou:
        def __call__(self, frame: bytes, peer: Peer, via: Any) -> None:
            return None

        def admit_connection(self, peer: Peer, via: Any) -> Drop | None:
            return Drop("not_you") if peer.host == "mallory" else None

    it = Bench(checks=(NotYou(),))
    assert (await it.connect("mallory")).closed
    assert not (await it.connect("alice")).closed
    assert it.metrics.total("dropped_total", reason="not_you") == 1
    await it.stop()


async def test_an_accept_error_is_logged_once_and_accepting_continues(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pierhead.server.stream._SHORTEST_BACK_OFF_S", 0.0)
    it = Bench()
    for _ in range(5):
        it.listener.queue.put_nowait(OSError(errno.EMFILE, "Too many open files"))
    client = await it.connect()
    await settle(40)
    assert client.transport.protocol is not None
    assert it.metrics.total("accept_errors_total") == 5
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1
    await it.stop()


async def test_draining_closes_the_listener_first_and_waits_for_answers() -> None:
    gate = asyncio.get_running_loop().create_future()

    async def waits(frame: bytes, context: Any) -> bytes:
        await gate
        return frame

    it = Bench(waits, linger_timeout=0)
    client = await it.connect()
    client.send(b"a\n")
    await settle()
    it.server.drain()
    assert it.listener.closed
    drained = asyncio.ensure_future(it.server.wait_drained())
    await settle()
    assert not drained.done()
    gate.set_result(None)
    await drained
    assert client.transport.written == [b"a\n"]
    assert it.lost == []


async def test_a_connection_that_was_being_attached_when_draining_began_is_drained_too() -> None:
    handshake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    it = Bench()
    client = await it.connect(handshake=handshake)
    it.server.drain()
    drained = asyncio.ensure_future(it.server.wait_drained())
    await settle()
    handshake.set_result(None)
    await drained
    assert client.transport.closed


async def test_aborting_lists_the_lost_requests() -> None:
    async def never(frame: bytes, context: Any) -> bytes:
        await asyncio.get_running_loop().create_future()
        return frame

    it = Bench(never)
    client = await it.connect("bob")
    client.send(b"a\nb\n")
    await settle()
    it.server.drain()
    it.server.abort("drain")
    await it.server.wait_drained()
    assert it.lost == [LostRequest("mem:test", "bob", "drain")] * 2


@pytest.mark.parametrize("aborts", [True, False])
async def test_a_connection_whose_sweep_fails_is_given_up_alone(
    aborts: bool, caplog: pytest.LogCaptureFixture
) -> None:
    it = Bench(first_byte_timeout=1.0)
    broken, fine = await it.connect(), await it.connect()
    connection = broken.transport.protocol

    def fail(*given: object) -> None:
        raise ZeroDivisionError("a bug")

    connection.sweep = fail
    if not aborts:
        connection.abort = fail
    for _ in range(3):
        list(it.server.sweep(it.clock.now + 1.0))
    await settle()
    assert fine.transport.closed
    assert broken.transport.closed == aborts
    assert len(it.server) == 0
    assert caplog.text.count("ZeroDivisionError") == 1
    broken.transport.close()
    await it.stop()


async def test_reconfiguring_reaches_open_connections() -> None:
    it = Bench()
    client = await it.connect()
    client.send(b"a\n")
    await settle()
    it.server.reconfigure(ServerOptions(idle_timeout=1.0))
    list(it.server.sweep(it.clock.now + 1.0))
    assert client.transport.closed
    await settle()
    await it.stop()
