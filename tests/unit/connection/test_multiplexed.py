"""Multiplexed streams with windows, chunked bodies and a goodbye run on Exchange and Life."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.connection.multiplexed import Chunk, Goodbye, Multiplexed, Window
from tests.unit.service.test_respond import CONTEXT, Bench, Waiting

from pierhead.connection.life import State
from pierhead.service import FrameHandler
from pierhead.service.context import Context
from pierhead.service.respond import Outcome

TIMEOUTS: Any = SimpleNamespace(
    first_byte_timeout=3.0, message_timeout=5.0, write_timeout=7.0, linger_timeout=2.0
)


async def upper(body: bytes, context: Context) -> bytes:
    if body == b"slow":
        await Waiting()
    return body.upper()


def served(**windows: int) -> Multiplexed:
    return Multiplexed(Bench(FrameHandler(upper)).responder, CONTEXT, TIMEOUTS, **windows)


def test_a_body_in_chunks_is_answered_in_chunks() -> None:
    it = served()
    it.receive(Chunk(1, b"ab"), 0.0)
    it.receive(Chunk(1, b"cdef", is_last=True), 0.0)
    assert it.to_send(0.0) == [Chunk(1, b"ABCD"), Chunk(1, b"EF", is_last=True)]


def test_a_slow_stream_delays_no_other() -> None:
    it = served()
    it.receive(Chunk(1, b"slow", is_last=True), 0.0)
    it.receive(Chunk(3, b"fast", is_last=True), 0.0)
    assert it.to_send(0.0) == [Chunk(3, b"FAST", is_last=True)]
    it.answer(it.suspended[1], Outcome.ANSWERED, b"SLOW")
    assert it.to_send(0.0) == [Chunk(1, b"SLOW", is_last=True)]


def test_a_closed_window_stops_its_stream_and_the_connection_window_stops_all() -> None:
    it = served(window=9, stream_window=4)
    it.receive(Chunk(1, b"abcdef", is_last=True), 0.0)
    it.receive(Chunk(3, b"gh", is_last=True), 0.0)
    assert it.to_send(0.0) == [Chunk(1, b"ABCD"), Chunk(3, b"GH", is_last=True)]
    it.receive(Window(1, 10), 0.0)
    assert it.to_send(0.0) == [Chunk(1, b"EF", is_last=True)]
    it.receive(Chunk(5, b"ij", is_last=True), 0.0)
    assert it.to_send(0.0) == []
    it.receive(Window(0, 10), 0.0)
    assert it.to_send(0.0) == [Chunk(5, b"IJ", is_last=True)]


def test_after_a_goodbye_open_streams_are_answered_and_new_ones_are_not() -> None:
    it = served()
    it.receive(Chunk(1, b"slow", is_last=True), 0.0)
    it.goodbye("drain")
    assert it.to_send(0.0) == [Goodbye(1)]
    it.receive(Chunk(3, b"late", is_last=True), 0.0)
    assert it.to_send(0.0) == []
    it.answer(it.suspended[1], Outcome.ANSWERED, b"SLOW")
    assert it.to_send(1.0) == [Chunk(1, b"SLOW", is_last=True)]
    assert (it.life.state, it.life.reason) == (State.LINGERING, "drain")
    assert not it.sweep(2.9)
    assert it.sweep(3.0)


def test_a_body_that_never_ends_times_out() -> None:
    it = served()
    it.receive(Chunk(1, b"ab"), 0.0)
    assert not it.sweep(4.9)
    assert it.sweep(5.0)
    assert it.life.reason == "message"


BODIES = st.lists(st.binary(max_size=20), min_size=1, max_size=6)
OPENED = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 5)), max_size=40)


@given(bodies=BODIES, order=st.randoms(use_true_random=False), opened=OPENED)
def test_in_any_order_bodies_arrive_whole_and_windows_are_respected(
    bodies: list[bytes], order: Any, opened: list[tuple[int, int]]
) -> None:
    it = served(window=0, stream_window=0)
    chunks = [
        [Chunk(2 * n + 1, body[i : i + 3]) for i in range(0, len(body), 3)]
        + [Chunk(2 * n + 1, b"", is_last=True)]
        for n, body in enumerate(bodies)
    ]
    for first in chunks:  # ids of new streams grow
        it.receive(first.pop(0), 0.0)
    while any(chunks):
        it.receive(order.choice([c for c in chunks if c]).pop(0), 0.0)
    got: dict[int, bytes] = {}
    ended: set[int] = set()
    allowed = {0: 0}

    def take() -> None:
        for chunk in it.to_send(0.0):
            assert chunk.stream not in ended
            got[chunk.stream] = got.get(chunk.stream, b"") + chunk.data
            ended.update([chunk.stream] if chunk.is_last else [])
            assert len(got[chunk.stream]) <= allowed.get(chunk.stream, 0)
        assert sum(map(len, got.values())) <= allowed[0]

    for index, octets in opened:
        stream = 0 if index == 0 else 2 * index - 1
        allowed[stream] = allowed.get(stream, 0) + octets
        it.receive(Window(stream, octets), 0.0)
        take()
    for stream in [2 * n + 1 for n in range(len(bodies))] + [0]:
        allowed[stream] = 1000
        it.receive(Window(stream, 1000), 0.0)
    take()
    assert [got[2 * n + 1] for n in range(len(bodies))] == [body.upper() for body in bodies]
    assert it.exchange.is_idle
