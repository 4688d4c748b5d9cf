"""Frames on a transport that a test holds: the ends of a stream, and what is counted as lost."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from typing import Any

import pytest
from tests.unit.server.fakes import FakeTransport, HandClock

from pierhead.buffer import BufferPool
from pierhead.client.options import ClientOptions
from pierhead.codec import Lines
from pierhead.connection.frame_budget import FrameBudget
from pierhead.connection.frame_stream import FrameStream
from pierhead.connection.read_buffer import ReadBuffer
from pierhead.errors import PierheadError
from pierhead.metrics import Metrics


class Counters:
    def __init__(self) -> None:
        count = Metrics().counter
        self.frames_received, self.frames_sent = count("received"), count("sent")
        self.bytes_received, self.bytes_sent = count("bytes_received"), count("bytes_sent")
        self.reads_paused, self.writes_paused = count("reads"), count("writes")


class Stream(FrameStream):
    """Has room for as many frames as a test says."""

    def __init__(self, framing: Any, clock: HandClock) -> None:
        super().__init__(
            framing,
            limits=ClientOptions(),
            read_buffer=ReadBuffer(BufferPool(2 * 65_536)),
            clock=clock,
            budget=FrameBudget.of_this_loop(),
            counters=Counters(),
        )
        self.places = 1000
        self.arrived: list[bytes] = []
        self.said: list[Any] = []

    def room(self) -> int:
        return self.places - len(self.arrived)

    def frames_arrived(self, frames: Sequence[bytes]) -> None:
        self.arrived += frames

    def input_ended(self, error: PierheadError | None) -> None:
        self.said.append(error)

    def writable(self) -> None:
        self.said.append("writable")

    def failed(self, mistake: Exception) -> None:
        self.said.append(mistake)

    def gone(self, reason: str, error: Exception | None) -> None:
        self.said.append(reason)

    def read(self, data: bytes) -> None:
        self.get_buffer(-1)[: len(data)] = data
        self.buffer_updated(len(data))


def made(*, takes: bool = True, framing: Any = None) -> tuple[Stream, FakeTransport]:
    stream = Stream(framing or Lines(), HandClock())
    transport = FakeTransport(takes=takes)
    transport.protocol = stream
    stream.connection_made(transport)
    return stream, transport


async def test_after_a_half_close_what_has_no_room_yet_still_arrives() -> None:
    stream, transport = made()
    stream.end_output()
    stream.places = 1
    stream.read(b"one\ntwo\nthree")
    stream.eof_received()
    assert not transport.closed
    stream.places = 3
    stream.pump()
    assert stream.arrived == [b"one", b"two", b"three"]
    assert transport.closed
    await asyncio.sleep(0)
    assert stream.said == [None, "eof"]


async def test_what_a_closing_transport_does_not_take_is_lost_and_counted() -> None:
    stream, transport = made()
    stream.put(b"taken")
    await asyncio.sleep(0)
    stream.put(b"lost")
    transport.close()
    for _ in range(3):
        await asyncio.sleep(0)
    assert stream.take_unsent() == 1


async def test_a_half_close_after_a_reset_is_nobodys_mistake() -> None:
    stream, transport = made()

    def not_connected() -> None:
        raise OSError(errno.ENOTCONN, "not connected")

    transport.write_eof = not_connected  # type: ignore[method-assign]
    stream.end_output()
    assert not stream.may_send


async def test_a_drain_before_the_connection_is_made_is_remembered() -> None:
    stream = Stream(Lines(), HandClock())
    stream.end_reading()
    transport = FakeTransport()
    transport.protocol = stream
    stream.connection_made(transport)
    assert stream.said == [None]
    assert not transport.reading


async def test_a_stream_aborted_before_it_is_made_is_aborted_then() -> None:
    stream = Stream(Lines(), HandClock())
    stream.abort("drain")
    transport = FakeTransport()
    transport.protocol = stream
    stream.connection_made(transport)
    await asyncio.sleep(0)
    assert transport.aborted
    assert stream.said == ["drain"]


async def test_a_reset_is_noticed_while_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, transport = made()
    stream.places = 1
    stream.read(b"one\ntwo\n")
    assert not transport.reading
    monkeypatch.setattr("pierhead.connection.frame_stream.was_reset", lambda transport: True)
    stream.sweep(1000.0)
    await asyncio.sleep(0)
    assert stream.said[-1] == "peer_gone"


class Fragile:
    """A framing with a bug."""

    def new(self) -> Any:
        class Framer:
            buffered = 0

            def feed(self, data: bytes) -> None:
                raise KeyError("a bug of the framing")

        return Framer()

    def frame(self, payload: bytes) -> bytes:
        return payload


async def test_a_bug_of_the_framing_is_told_once_and_ends_the_stream() -> None:
    stream, transport = made(framing=Fragile())
    stream.read(b"one")
    stream.read(b"two")
    for _ in range(3):
        await asyncio.sleep(0)
    (mistake, reason) = stream.said
    assert isinstance(mistake, KeyError)
    assert reason == "error"
    assert transport.aborted


@pytest.mark.parametrize("is_truncated", [False, True])
async def test_an_end_that_is_not_authenticated_is_known(
    monkeypatch: pytest.MonkeyPatch, is_truncated: bool
) -> None:
    stream, transport = made()
    monkeypatch.setattr(
        transport, "get_extra_info", lambda name, default=None: is_truncated or default
    )
    stream.read(b"one\n")
    stream.eof_received()
    assert stream.said == [None]
    assert stream.is_cut_off is is_truncated


async def test_frames_that_arrived_before_a_fault_are_passed_on_first() -> None:
    stream, _ = made(framing=Lines(max_length_bytes=5))
    stream.read(b"one\ntwo\n" + b"x" * 10)
    assert stream.arrived == [b"one", b"two"]
    (error,) = stream.said
    assert isinstance(error, PierheadError)
