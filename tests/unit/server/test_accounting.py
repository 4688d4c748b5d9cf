"""Every accepted request is counted once, whatever its outcome and that of its connection."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fakes import Bench, FakeDatagramListener, HandClock, settle
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pierhead.codec import Lines
from pierhead.codec.base import Order, WireFormat
from pierhead.connection.life import Waits
from pierhead.connection.tasks import EagerTasks
from pierhead.errors import DecodeError, PierheadError
from pierhead.listener.own_addresses import OwnAddresses
from pierhead.metrics import Metrics
from pierhead.server.datagram import DatagramServer
from pierhead.server.framed import framed
from pierhead.server.hosted import hosted
from pierhead.server.lost_requests import REASONS, LostRequests
from pierhead.server.options import ServerOptions
from pierhead.server.seqpacket import packets
from pierhead.server.serve import serve
from pierhead.server.server import Server
from pierhead.service import FrameHandler
from pierhead.service.admission import Answer, Drop


class Octets:
    """The codec of services of bytes."""

    def decode(self, frame: bytes) -> bytes:
        return frame

    def encode(self, reply: bytes) -> bytes:
        return reply


#: What a request may do; each is a line with one letter.
KINDS = b"aswgGmMeudkqftxy"
#: A reply that no socket takes as a datagram.
TOO_LARGE = b"too large" * 9
GATES: list[asyncio.Future[None]] = []


async def service(frame: bytes, context: Any) -> Any:
    kind = frame[:1]
    if kind == b"s":  # silence
        return None
    if kind == b"w":  # waits
        await gate()
        return b"waited" * 30
    if kind in b"gG":  # many replies, some behind a wait
        return many(kind == b"G")
    if kind in b"mM":  # many replies after a wait
        await gate()
        return many(kind == b"M")
    if kind == b"f":
        return b"two\nlines"  # which no line can carry
    if kind == b"t":
        return TOO_LARGE
    if kind == b"e":
        raise ValueError("a mistake of the service's")
    if kind == b"u":
        raise DecodeError("no message")
    if kind == b"d":  # waits for ever
        await asyncio.get_running_loop().create_future()
    if kind == b"k":
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)
    if kind == b"q" and context.connection is not None:
        context.connection.close_after_reply()
    return b"now" * 40


async def many(waits: bool) -> AsyncIterator[bytes]:
    for _ in range(3):
        if waits:
            await gate()
        yield b"one of many" * 10


async def gate() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    GATES.append(future)
    await future


def open_gates() -> None:
    while GATES:
        future = GATES.pop()
        if not future.done():
            future.set_result(None)


def answer_now(frame: bytes, peer: Any, via: Any) -> bytes | None:
    return b"ready" * 10 if frame[:1] == b"r" else None


def reject(error: PierheadError, frame: bytes) -> bytes | None:
    return b"refused" if frame[1:2] == b"!" else None


def admit(frame: bytes, peer: Any, via: Any) -> Drop | Answer | None:
    if frame[:1] == b"x":
        return Drop("unwanted")
    return Answer("redirected", TOO_LARGE) if frame[:1] == b"y" else None


HANDLER = FrameHandler(service, reject=reject, answer_now=answer_now)


def accounted(metrics: Metrics, lost: list[str]) -> None:
    """Check the equation of docs/explanation/the-path.md, and why requests were lost.

    What cannot be split into frames is dropped, and is no frame.
    """
    total = metrics.total
    endings = {
        "answered": total("requests_answered_total"),
        "ready": total("ready_answers_total"),
        "silent": total("requests_silent_total"),
        "failed": total("requests_failed_total"),
        "dropped": total("dropped_total") - total("dropped_total", reason="framing"),
        "lost": total("requests_lost_total"),
    }
    received = total("frames_received_total") + total("datagrams_received_total")
    assert received == sum(endings.values()), endings
    assert len(lost) == endings["lost"]
    assert set(lost) <= {*REASONS, "because"}


LINES = st.lists(
    st.sampled_from([bytes((k,)) + more for k in b"r" + KINDS for more in (b"", b"!")])
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), LINES),
        st.sampled_from(
            [
                ("turn",),
                ("tick",),
                ("gates",),
                ("take",),
                ("later",),
                ("eof",),
                ("too long",),
                ("drain",),
                ("stall",),
            ]
        ),
    ),
    max_size=14,
)
ENDS = st.sampled_from(["close", "reset", "abort", "drain"])


async def driven(connect: Any, steps: list[Any], end: str, separator: bytes) -> Bench:
    GATES.clear()
    options = {"max_write_buffer_bytes": 1024, "max_requests_per_connection": 4}
    it = Bench(connect, takes=True, admission=admit, **options)
    for step, *arguments in steps:
        if it.transport.closed:
            break
        if step == "feed":
            for line in arguments[0]:
                if it.transport.reading:
                    it.feed(line + separator)
        elif step == "turn":
            await settle(2)
        elif step == "tick":
            await settle(1)
        elif step == "gates":
            open_gates()
        elif step == "take":
            it.transport.takes = True
            it.transport.take_all()
        elif step == "stall":
            it.transport.takes = False
        elif step == "later":
            it.after(4.0)
        elif step == "eof":
            it.connection.eof_received()
        elif step == "too long":
            if it.transport.reading:
                it.feed(bytes(600) + separator)
        else:
            it.connection.drain()
    await finished(it, end)
    return it


async def finished(it: Bench, end: str) -> None:
    if end == "abort":
        it.connection.abort("because")
    elif end == "reset" and not it.transport.closed:
        it.transport.closed = True
        it.connection.connection_lost(ConnectionResetError())
    elif end == "drain":
        it.connection.drain()
    for _ in range(40):
        open_gates()
        await settle(3)
        it.transport.takes = True
        it.transport.take_all()
        it.after(30.0)
        if it.closed:
            break
    assert it.closed == 1
    assert it.connection.in_flight == 0


@pytest.mark.parametrize("order", Order)
@settings(max_examples=100, deadline=None)
@given(steps=STEPS, end=ENDS)
@example(steps=[("feed", [b"k", b"w"])], end="close")
def test_every_request_of_a_framed_connection_is_counted_once(
    order: Order, steps: list[Any], end: str
) -> None:
    async def run() -> None:
        it = await driven(framed(HANDLER, Lines(max_length_bytes=400), order), steps, end, b"\n")
        accounted(it.metrics, it.lost)

    asyncio.run(run())


@pytest.mark.parametrize("order", Order)
@settings(max_examples=50, deadline=None)
@given(steps=STEPS, end=ENDS)
@example(steps=[("feed", [b"k", b"w"])], end="close")
def test_every_request_of_a_seqpacket_connection_is_counted_once(
    order: Order, steps: list[Any], end: str
) -> None:
    async def run() -> None:
        it = await driven(packets(HANDLER, order), steps, end, b"")
        accounted(it.metrics, it.lost)

    asyncio.run(run())


@settings(max_examples=100, deadline=None)
@given(
    batches=st.lists(LINES, max_size=6),
    steps=st.lists(st.sampled_from(["gates", "turn", "later", "room"]), max_size=6),
    end=st.sampled_from(["drain", "abort"]),
    full=st.sets(st.sampled_from([b"waited" * 30, b"now" * 40, b"ready" * 10, b"refused"])),
)
def test_every_request_in_a_datagram_is_counted_once(
    batches: list[list[bytes]], steps: list[str], end: str, full: set[bytes]
) -> None:
    async def run() -> None:
        GATES.clear()
        clock, metrics, lost = HandClock(), Metrics(), LostRequests()
        listener = FakeDatagramListener()
        listener.refuse.update({TOO_LARGE: errno.EMSGSIZE, **dict.fromkeys(full, errno.EAGAIN)})
        server = DatagramServer(
            listener,
            HANDLER,
            options=ServerOptions().changed({"max_requests": 6, "max_replies_per_datagram": 2}),
            admission=admit,
            clock=clock,
            metrics=metrics,
            tasks=EagerTasks(),
            on_lost=lost.add,
            wake_sweep=lambda: None,
            own_addresses=OwnAddresses(),
        )
        server.start()
        for number, batch in enumerate(batches):
            listener.arrive(*batch)
            step = steps[number] if number < len(steps) else "turn"
            if step == "gates":
                open_gates()
            elif step == "later":
                clock.now += 11
                list(server.sweep(clock.now))
            elif step == "room":
                for reply in full:
                    listener.refuse.pop(reply, None)
            await settle(2)
        server.drain()
        if end == "abort":
            server.abort("because")
        for _ in range(20):
            open_gates()
            await settle(3)
            clock.now += 11
            list(server.sweep(clock.now))
        assert server.in_flight == 0
        server.close()
        accounted(metrics, [one.reason for one in lost])

    asyncio.run(run())


async def test_requests_in_flight_and_unsent_octets_are_gauges() -> None:
    async with Server(serve(service, WireFormat(Lines(), Octets())), "tcp:127.0.0.1:0") as server:
        GATES.clear()
        host, _, port = server.addresses[0].removeprefix("tcp:").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"w\nw\n")
        async with asyncio.timeout(10):
            while server.metrics.total("requests_in_flight") < 2:
                await asyncio.sleep(0)
        assert server.metrics.total("unsent_bytes") == 0
        open_gates()
        assert await reader.readline() == b"waited" * 30 + b"\n"
        assert server.metrics.total("requests_in_flight") == 0
        writer.close()
    assert server.metrics.total("requests_in_flight") == 0


class Counting(asyncio.Protocol):
    """A guest's protocol: each octet is a request, answered when the test allows it."""

    def __init__(self, guest: CountingGuest) -> None:
        self.guest = guest

    def connection_made(self, transport: Any) -> None:
        self.guest.transport = transport

    def data_received(self, data: bytes) -> None:
        self.guest.accepted += len(data)
        self.guest.in_flight += len(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.guest.has_left = True


class CountingGuest:
    waits = Waits.ACTIVITY

    def __init__(self) -> None:
        self.protocol: asyncio.BaseProtocol = Counting(self)
        self.transport: Any = None
        self.accepted = self.answered = self.in_flight = 0
        self.is_finishing = self.has_left = False

    def answer(self) -> None:
        if self.in_flight and not self.transport.is_closing():
            self.in_flight -= 1
            self.answered += 1
            self.transport.write(b"answer" * 40)
        if self.is_finishing and not self.in_flight and not self.transport.is_closing():
            self.transport.close()

    def end_of_input(self, transport: Any) -> bool:
        return False

    def finish(self, transport: Any) -> None:
        self.is_finishing = True
        if not self.in_flight:
            transport.close()

    def unfinished(self) -> tuple[()]:
        return ()


HOSTED_STEPS = st.lists(
    st.sampled_from(["feed", "answer", "stall", "take", "later", "eof", "drain", "turn"]),
    max_size=16,
)


@settings(max_examples=120, deadline=None)
@given(steps=HOSTED_STEPS, end=ENDS)
def test_every_request_of_a_guest_is_counted_once(steps: list[str], end: str) -> None:
    async def run() -> None:
        guest = CountingGuest()
        it: Any = Bench(hosted(lambda _: guest), max_write_buffer_bytes=1024)
        connection, transport = it.connection, it.transport
        for step in steps:
            if transport.closed:
                break
            if step == "feed" and transport.reading:
                connection.data_received(b"..")
            elif step == "answer":
                guest.answer()
            elif step == "stall":
                transport.takes = False
            elif step == "take":
                transport.takes = True
                transport.take_all()
            elif step == "later":
                it.after(4.0)
            elif step == "eof":
                connection.eof_received()
            elif step == "drain":
                connection.drain()
            await settle(1)
        if end == "abort":
            connection.abort("because")
        elif end == "reset" and not transport.closed:
            transport.closed = True
            connection.connection_lost(ConnectionResetError())
        else:
            connection.drain()
        for _ in range(60):
            guest.answer()
            transport.take_all()
            it.after(20.0)
            await settle(2)
        assert it.closed == 1
        assert len(it.lost) == it.metrics.total("requests_lost_total")
        # Of a guest that shows activity alone, what it works on is not told from waiting.
        was_idle = it.metrics.total("connections_closed_total", reason="idle")
        left = guest.in_flight if was_idle else 0
        assert guest.accepted == guest.answered + len(it.lost) + left

    asyncio.run(run())
