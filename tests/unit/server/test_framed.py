from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest
from fakes import Bench, settle  # type: ignore[import-not-found]

from pierhead.buffer import BufferPool
from pierhead.codec import LengthPrefixed, Lines
from pierhead.codec.base import Order
from pierhead.connection.read_buffer import ReadBuffer
from pierhead.errors import DecodeError, FramingError, Overloaded, ServiceFailed, TimedOut
from pierhead.server.framed import framed
from pierhead.service import FrameHandler
from pierhead.service.admission import Answer, Drop
from pierhead.service.coding import coded


def refuse(error: Exception, frame: bytes) -> bytes:
    return type(error).__name__.encode()


def bench(service: Any, order: Order = Order.IN_ORDER, **given: Any) -> Bench:
    handler = FrameHandler(service, given.pop("reject", refuse), given.pop("answer_now", None))
    framing = given.pop("framing", Lines(max_length_bytes=1000))
    return Bench(framed(handler, framing, order), **given)


class Gates:
    """A service whose requests end when the test allows it."""

    def __init__(self) -> None:
        self.open: dict[bytes, asyncio.Future[bytes]] = {}

    async def __call__(self, frame: bytes, context: Any) -> bytes:
        self.open[frame] = asyncio.get_running_loop().create_future()
        return await self.open[frame]

    def answer(self, frame: bytes) -> None:
        self.open[frame].set_result(frame.upper())


async def upper(frame: bytes, context: Any) -> bytes:
    return frame.upper()


async def test_replies_of_one_loop_iteration_leave_in_one_write() -> None:
    it = bench(upper)
    it.feed(b"a\nb\nc\n")
    await settle()
    assert it.transport.written == [b"A\nB\nC\n"]


async def test_replies_keep_the_order_of_requests_where_the_protocol_has_no_identifiers() -> None:
    gates = Gates()
    it = bench(gates)
    it.feed(b"a\nb\n")
    await settle()
    gates.answer(b"b")
    await settle()
    assert it.output == b""
    gates.answer(b"a")
    await settle()
    assert it.output == b"A\nB\n"


@pytest.mark.rfc("7766", "7")
async def test_replies_leave_as_they_are_ready_where_the_protocol_matches_them() -> None:
    gates = Gates()
    it = bench(gates, Order.ANY)
    it.feed(b"a\nb\n")
    await settle()
    gates.answer(b"b")
    await settle()
    assert it.output == b"B\n"
    gates.answer(b"a")
    await settle()
    assert it.output == b"B\nA\n"


@pytest.mark.parametrize("order", list(Order))
async def test_a_full_window_pauses_reading_and_nothing_accepted_is_dropped(order: Order) -> None:
    gates = Gates()
    it = bench(gates, order, max_requests_per_connection=2)
    it.feed(b"a\nb\nc\nd\n")
    await settle()
    assert sorted(gates.open) == [b"a", b"b"]
    assert not it.transport.reading
    gates.answer(b"a")
    gates.answer(b"b")
    await settle()
    assert sorted(gates.open) == [b"a", b"b", b"c", b"d"]
    gates.answer(b"c")
    gates.answer(b"d")
    await settle()
    assert it.output == b"A\nB\nC\nD\n"
    assert it.transport.reading


@pytest.mark.parametrize("order", list(Order))
async def test_requests_in_flight_are_bounded_in_octets(order: Order) -> None:
    gates = Gates()
    most = 4096
    it = bench(gates, order, max_request_bytes_per_connection=most)
    lines = [b"%02d" % n + b"x" * 998 for n in range(12)]
    for line in lines:
        if it.transport.reading:
            it.feed(line + b"\n")
    await settle()
    assert sorted(gates.open) == lines[:5]  # the fifth reached the limit
    assert not it.transport.reading
    gates.answer(lines[0])
    gates.answer(lines[1])
    await settle()
    assert it.transport.reading
    it.feed(b"\n".join([*lines[5:], b""]))
    await settle()
    assert sorted(gates.open) == lines[:7]
    for line in lines[2:]:
        gates.answer(line)
        await settle()
    assert sorted(it.output.splitlines()) == [line.upper() for line in lines]


async def test_what_waits_for_older_replies_is_not_held_with_its_request() -> None:
    gates = Gates()
    it = bench(gates, max_request_bytes_per_connection=1024)
    first, *others = [b"%d" % n + b"x" * 600 for n in range(6)]
    it.feed(first + b"\n")
    for line in others:
        it.feed(line + b"\n")
        await settle()
        gates.answer(line)
        await settle()
        assert it.transport.reading
    held = [request.frame for request in it.connection._exchange.queue]
    assert held == [first] + [b""] * len(others)


class Resettable:
    """A socket whose peer may reset the connection."""

    error = 0

    def getsockopt(self, level: int, name: int) -> int:
        return self.error


@pytest.mark.parametrize("ends", ["", "drain"])
async def test_a_reset_is_noticed_while_reading_is_paused(ends: str) -> None:
    gates = Gates()
    it = bench(gates, max_requests_per_connection=2)
    sock = it.transport._extra["socket"] = Resettable()
    it.feed(b"a\nb\nc\n")
    await settle()
    if ends:
        it.connection.drain()
    it.after(1.0)
    assert not it.transport.closed
    sock.error = errno.ECONNRESET
    it.after(1.0)
    await settle()
    assert it.transport.aborted
    assert (it.closed, it.close_reasons()) == (1, ["peer_gone"])
    assert it.lost == ["peer_gone"] * 3


async def test_what_is_lost_after_the_end_of_input_is_lost_to_the_peer() -> None:
    it = bench(Gates())
    it.feed(b"a\n")
    it.connection.eof_received()
    await settle()
    it.connection.connection_lost(ConnectionResetError())
    await settle()
    assert it.lost == ["peer_gone"]
    assert it.close_reasons() == ["eof"]


@pytest.mark.rfc("7766", "6.2.4")
async def test_a_peer_that_has_finished_sending_still_gets_every_answer() -> None:
    gates = Gates()
    it = bench(gates, max_requests_per_connection=1)
    it.feed(b"a\nb\nlast")
    assert it.connection.eof_received() is True
    for frame in (b"a", b"b", b"last"):
        await settle()
        assert not it.transport.closed
        gates.answer(frame)
    await settle()
    assert it.output == b"A\nB\nLAST\n"
    assert it.transport.closed
    assert it.closed == 1
    assert it.close_reasons() == ["eof"]


async def test_a_frame_cut_off_by_the_end_of_input_is_refused_after_the_answers() -> None:
    it = bench(upper, framing=LengthPrefixed(2))
    it.feed(b"\0\2ab\0\5abc")
    it.connection.eof_received()
    await settle()
    assert it.output == b"\0\2AB" + b"\0\x0cFramingError"
    assert it.transport.closed


async def test_a_line_too_long_is_refused_then_the_server_lingers_for_the_peer() -> None:
    it = bench(upper)
    it.feed(b"ok\n" + b"x" * 1001)
    await settle()
    assert it.output == b"OK\nFramingError\n"
    assert it.transport.eof_sent
    assert not it.transport.closed
    it.feed(b"y" * 5000)  # still sending: read and discarded, so that no reset is sent
    it.after(1.0)
    assert it.transport.closed
    await settle()
    assert it.close_reasons() == ["framing"]


async def test_a_lingering_server_closes_as_soon_as_the_peer_does() -> None:
    it = bench(upper)
    it.feed(b"x" * 1001)
    await settle()
    it.connection.eof_received()
    assert it.transport.closed


async def test_a_framing_error_waits_for_the_answers_still_due() -> None:
    gates = Gates()
    it = bench(gates)
    it.feed(b"a\n" + b"x" * 1001)
    await settle()
    assert it.output == b""
    gates.answer(b"a")
    await settle()
    assert it.output == b"A\nFramingError\n"


async def test_draining_answers_complete_requests_then_closes() -> None:
    gates = Gates()
    it = bench(gates, max_requests_per_connection=1, linger_timeout=0)
    it.feed(b"a\nb\nhalf")
    it.connection.drain()
    await settle()
    gates.answer(b"a")
    await settle()
    gates.answer(b"b")
    await settle()
    assert it.output == b"A\nB\n"
    assert it.transport.closed
    assert it.lost == []


async def test_draining_an_idle_connection_closes_it_at_once() -> None:
    it = bench(upper)
    it.connection.drain()
    assert it.transport.closed


@pytest.mark.parametrize(
    ("before", "seconds", "reason"),
    [
        (b"", 10.0, "first_byte"),
        (b"a\n", 30.0, "idle"),
        (b"a\nhal", 5.0, "message"),
    ],
)
async def test_each_deadline_closes_the_connection(
    before: bytes, seconds: float, reason: str
) -> None:
    it = bench(upper)
    it.feed(before)
    await settle()
    it.after(seconds - 0.01)
    assert not it.transport.closed
    it.after(0.01)
    assert it.transport.closed
    await settle()
    assert it.close_reasons() == [reason]


@pytest.mark.rfc("9210", "4.3")
async def test_single_bytes_do_not_extend_the_deadline_of_a_message() -> None:
    it = bench(upper)
    for _ in range(5):
        it.feed(b"x")
        it.after(1.0)
    assert it.transport.closed


async def test_a_new_message_has_its_own_deadline() -> None:
    it = bench(upper)
    for _ in range(10):
        it.feed(b"x\ny")  # ends one line and begins the next
        await settle()
        it.after(4.0)
    assert not it.transport.closed


async def test_a_connection_with_a_slow_service_is_not_idle() -> None:
    gates = Gates()
    it = bench(gates, request_timeout=1000)
    it.feed(b"a\n")
    await settle()
    it.after(500.0)
    gates.answer(b"a")
    await settle()
    assert it.output == b"A\n"
    assert not it.transport.closed


async def test_a_peer_that_takes_nothing_is_aborted_and_its_replies_reported_lost() -> None:
    it = bench(upper, takes=False)
    it.feed(b"a\n")
    await settle()
    it.after(0)
    it.after(9.9)
    assert not it.transport.closed
    it.after(0.2)
    assert it.transport.aborted
    await settle()
    assert it.lost == ["write"]
    assert it.close_reasons() == ["write"]


async def test_a_peer_that_takes_its_replies_slowly_but_steadily_is_not_aborted() -> None:
    it = bench(upper, takes=False)
    for _ in range(20):
        it.feed(b"abcd\n")
        await settle()
        it.after(5.0)
        it.transport.taken += 5
    assert not it.transport.closed


async def test_a_peer_that_does_not_read_stops_being_read() -> None:
    it = bench(upper, takes=False, max_write_buffer_bytes=1024)
    it.feed((b"x" * 600 + b"\n") * 3)
    await settle()
    assert not it.transport.reading
    it.feed(b"more\n")  # already in transit when reading paused
    await settle()
    assert b"MORE" not in it.output
    it.transport.take_all()
    await settle()
    assert it.output.endswith(b"MORE\n")
    assert it.transport.reading


async def test_the_deadline_of_a_request_becomes_the_refusal_of_the_protocol() -> None:
    gates = Gates()
    it = bench(gates, request_timeout=2.0)
    it.feed(b"a\n")
    await settle()
    it.after(2.0)
    await settle()
    assert it.output == TimedOut.__name__.encode() + b"\n"
    assert it.metrics.total("requests_failed_total", reason="deadline") == 1


async def test_a_service_that_raises_becomes_the_refusal_of_the_protocol(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails(frame: bytes, context: Any) -> bytes:
        raise KeyError("mine\n")

    it = bench(fails)
    it.feed(b"a\nb\n")
    await settle()
    assert it.output == ServiceFailed.__name__.encode() + b"\n" + b"ServiceFailed\n"
    errors = [r for r in caplog.records if r.levelname == "ERROR"]
    assert len(errors) == 1  # the second within a second is counted, not written
    assert "KeyError" in errors[0].getMessage()
    assert "\n" not in errors[0].getMessage()
    assert errors[0].exc_info is None


async def test_a_service_that_cancels_itself_has_failed() -> None:
    async def cancels(frame: bytes, context: Any) -> bytes:
        raise asyncio.CancelledError

    it = bench(cancels)
    it.feed(b"a\n")
    await settle()
    assert it.output == b"ServiceFailed\n"


async def test_an_undecodable_frame_is_refused_and_the_connection_stays_open() -> None:
    async def picky(frame: bytes, context: Any) -> bytes:
        if frame == b"bad":
            raise DecodeError("no such thing")
        return frame

    it = bench(picky)
    it.feed(b"bad\ngood\n")
    await settle()
    assert it.output == b"DecodeError\ngood\n"
    assert it.metrics.total("dropped_total", reason="undecodable") == 1


async def test_many_replies_are_sent_one_by_one_and_the_iterator_is_closed() -> None:
    closed = []

    async def countdown(frame: bytes, context: Any) -> AsyncIterator[bytes]:
        async def numbers() -> AsyncIterator[bytes]:
            try:
                for n in range(int(frame), 0, -1):
                    yield b"%d" % n
            finally:
                closed.append(frame)

        return numbers()

    it = bench(countdown)
    it.feed(b"3\n2\n")
    await settle(20)
    assert it.output == b"3\n2\n1\n2\n1\n"
    assert closed == [b"3", b"2"]


class Replies:
    """Many replies that hold something until they are closed, whether or not they have begun."""

    is_closed = False

    def __aiter__(self) -> Replies:
        return self

    async def __anext__(self) -> bytes:
        return b"more"

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.is_closed = True


@pytest.mark.parametrize("by", ["abort", "failure", "codec"])
async def test_many_replies_of_a_request_given_up_are_closed(by: str) -> None:
    replies = Replies()

    async def service(frame: bytes, context: Any) -> Any:
        if frame in (b"fail", "fail"):
            await asyncio.sleep(0)
            raise ValueError
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            return replies

    handler: Any = coded(service, Utf8()).service if by == "codec" else service
    it = bench(handler, reject=None)
    it.feed(b"fail\nmany\n" if by == "failure" else b"many\n")
    await settle()
    if by != "failure":
        it.connection.abort("because")
    await settle()
    assert replies.is_closed
    assert it.connection.in_flight == 0
    assert it.lost == ["unanswered" if by == "failure" else "because"]


class Utf8:
    """A codec of text."""

    def decode(self, frame: bytes) -> str:
        return frame.decode()

    def encode(self, reply: str) -> bytes:
        return reply.encode()


async def test_many_replies_wait_for_a_slow_reader_and_end_when_it_goes() -> None:
    made = 0
    closed = False

    async def endless(frame: bytes, context: Any) -> AsyncIterator[bytes]:
        async def frames() -> AsyncIterator[bytes]:
            nonlocal made, closed
            try:
                while True:
                    made += 1
                    yield b"x" * 500
            finally:
                closed = True

        return frames()

    it = bench(endless, takes=False, max_write_buffer_bytes=1024)
    it.feed(b"go\n")
    await settle(50)
    assert made <= 4
    it.transport.take_all()
    await settle(50)
    assert 4 < made <= 8
    it.transport.close()
    await settle()
    assert closed
    assert it.closed == 1
    assert it.lost == ["peer_gone"]


async def test_a_service_may_close_the_connection_after_its_reply() -> None:
    async def bye(frame: bytes, context: Any) -> bytes:
        context.connection.close_after_reply()
        return frame

    it = bench(bye, linger_timeout=0)
    it.feed(b"a\n")
    await settle()
    assert it.output == b"a\n"
    assert it.transport.closed
    await settle()
    assert it.close_reasons() == ["service"]


async def test_a_service_may_close_the_connection_without_a_reply() -> None:
    async def bye(frame: bytes, context: Any) -> None:
        context.connection.close_after_reply()

    it = bench(bye, linger_timeout=0)
    it.feed(b"a\n")
    await settle()
    assert it.output == b""
    assert it.transport.closed


async def test_a_service_may_close_its_connection_once_it_is_idle() -> None:
    async def service(frame: bytes, context: Any) -> bytes:
        context.connection.set_idle_timeout(0)
        assert context.connection.idle_timeout == 0
        return frame

    it = bench(service)
    it.feed(b"a\nb\n")
    await settle()
    it.after(0)
    await settle()
    assert it.output == b"a\nb\n"
    assert it.close_reasons() == ["idle"]


async def test_a_service_may_shorten_the_idle_timeout_of_its_connection() -> None:
    async def hurry(frame: bytes, context: Any) -> bytes:
        context.connection.set_idle_timeout(2.0)
        return frame

    it = bench(hurry)
    it.feed(b"a\n")
    await settle()
    it.after(2.0)
    assert it.transport.closed


async def test_ready_answers_keep_their_place_in_the_order() -> None:
    gates = Gates()
    it = bench(gates, answer_now=lambda frame, peer, via: b"now" if frame == b"r" else None)
    it.feed(b"a\nr\n")
    await settle()
    assert it.output == b""
    gates.answer(b"a")
    await settle()
    assert it.output == b"A\nnow\n"


async def test_admission_comes_before_ready_answers_and_the_service() -> None:
    verdicts = {b"drop": Drop("nasty"), b"answer": Answer("told", b"no")}
    it = bench(
        upper,
        admission=lambda frame, peer, via: verdicts.get(frame),
        answer_now=lambda frame, peer, via: b"ready" if frame != b"a" else None,
    )
    it.feed(b"drop\nanswer\na\n")
    await settle()
    assert it.output == b"no\nA\n"
    assert it.metrics.total("dropped_total", reason="nasty") == 1
    assert it.metrics.total("dropped_total", reason="told") == 1


async def test_a_disconnect_cancels_the_requests_and_they_are_reported_lost() -> None:
    gates = Gates()
    it = bench(gates)
    it.feed(b"a\nb\n")
    await settle()
    it.connection.connection_lost(ConnectionResetError())
    assert it.closed == 0  # the requests unwind first
    await settle()
    assert it.closed == 1
    assert it.lost == ["peer_gone", "peer_gone"]
    assert all(gate.cancelled() for gate in gates.open.values())


async def test_a_request_that_never_waits_is_answered_in_the_same_iteration() -> None:
    it = bench(upper)
    it.feed(b"a\n")
    it.connection.abort("forced")
    await settle()
    assert it.transport.written == [b"A\n"]
    assert it.lost == []
    assert it.closed == 1


async def test_a_store_of_ready_answers_is_asked_even_if_it_is_falsy() -> None:
    class Store(dict[bytes, bytes]):
        def __call__(self, frame: bytes, peer: object, via: object) -> bytes | None:
            return b"ready" if frame == b"known" else None

    it = bench(upper, answer_now=Store())
    it.feed(b"known\nother\n")
    await settle()
    assert b"".join(it.transport.written) == b"ready\nOTHER\n"


async def test_an_exhausted_buffer_pool_closes_the_connection_with_a_reason() -> None:
    class Empty:
        def acquire(self, size_bytes: int) -> bytearray:
            raise Overloaded("max_buffer_bytes")

        def release(self, buffer: bytearray) -> None:
            raise AssertionError("no buffer was lent")

    it = bench(upper)
    it.scope.read_buffer = ReadBuffer(Empty())
    buffer = it.connection.get_buffer(-1)
    buffer[:2] = b"a\n"
    it.connection.buffer_updated(2)
    await settle()
    assert it.transport.aborted
    assert it.metrics.total("dropped_total", reason="max_buffer_bytes") == 1


async def test_a_refusal_that_cannot_be_framed_leaves_the_request_unanswered() -> None:
    async def fails(frame: bytes, context: Any) -> bytes:
        raise ValueError

    handler = FrameHandler(fails, lambda error, frame: b"two\nlines")
    it = Bench(framed(handler, Lines(max_length_bytes=100)))
    it.feed(b"a\n")
    await settle()
    assert it.output == b""
    assert it.close_reasons() == ["unanswered"]


async def test_a_reply_that_cannot_be_framed_counts_as_failed() -> None:
    async def two_lines(frame: bytes, context: Any) -> bytes:
        return b"two\nlines"

    it = bench(two_lines)
    it.feed(b"a\n")
    assert it.output == b"ServiceFailed\n"
    assert it.metrics.total("requests_answered_total") == 0
    assert it.metrics.total("requests_failed_total", reason="error") == 1


async def test_a_framing_that_raises_on_a_reply_fails_only_that_request() -> None:
    class Picky(Lines):
        def frame(self, frame: bytes) -> bytes:
            return super().frame(frame + bytes([0 if frame == b"ServiceFailed" else len(frame)]))

    it = bench(upper, framing=Picky(max_length_bytes=1000))
    it.feed(b"a\n" + b"b" * 256 + b"\nc\n")
    assert it.output == b"A\x01\nServiceFailed\x00\nC\x01\n"


@pytest.mark.parametrize("is_many", [False, True])
async def test_a_keyboard_interrupt_in_a_service_leaves_no_request_in_flight(is_many: bool) -> None:
    async def interrupted(frame: bytes, context: Any) -> Any:
        async def replies() -> AsyncIterator[bytes]:
            raise KeyboardInterrupt
            yield b""

        if is_many:
            return replies()
        raise KeyboardInterrupt

    it = bench(interrupted)
    with pytest.raises(KeyboardInterrupt):
        it.feed(b"a\nb\n")
    await settle()
    assert it.connection.in_flight == 0
    assert it.lost == ["cancelled", "unanswered"]
    assert it.close_reasons() == ["unanswered"]


async def test_generator_exit_raised_by_a_service_is_a_failure() -> None:
    async def mistaken(frame: bytes, context: Any) -> bytes:
        raise GeneratorExit

    it = bench(mistaken)
    it.feed(b"a\nb\n")
    await settle()
    assert it.output == b"ServiceFailed\n" * 2
    assert it.connection.in_flight == 0


async def test_no_reply_follows_a_request_cancelled_by_another() -> None:
    tasks: dict[bytes, Any] = {}

    async def service(frame: bytes, context: Any) -> bytes:
        tasks[frame] = asyncio.current_task()
        if frame == b"kill":
            tasks[b"victim"].cancel()
            return b"killed"
        await asyncio.get_running_loop().create_future()
        return b"not reached"

    it = bench(service)
    it.feed(b"victim\nkill\n")
    await settle()
    assert it.output == b""
    assert it.lost == ["cancelled", "unanswered"]
    assert it.close_reasons() == ["unanswered"]


async def test_a_request_that_aborts_its_connection_is_the_last_to_begin() -> None:
    begun = []

    async def service(frame: bytes, context: Any) -> bytes:
        begun.append(frame)
        if frame == b"2":
            it.connection.abort("because")
        return frame

    it = bench(service)
    it.feed(b"".join(b"%d\n" % number for number in range(200)))
    await settle()
    assert begun == [b"0", b"1", b"2"]
    assert it.output == b""
    received = it.metrics.total("frames_received_total")
    assert it.lost == ["because"] * int(received)
    assert it.closed == 1


async def test_context_variables_set_by_a_service_are_visible_to_its_iterator_of_replies() -> None:
    note: ContextVar[bytes] = ContextVar("note", default=b"nothing")

    async def service(frame: bytes, context: Any) -> Any:
        async def replies() -> AsyncIterator[bytes]:
            yield note.get()
            yield note.get()

        before = note.get()
        note.set(frame + before)
        return replies()

    it = bench(service)
    it.feed(b"a\nb\n")
    await settle()
    assert it.output == b"anothing\nanothing\nbnothing\nbnothing\n"


async def test_a_failure_without_refusal_ends_a_connection_with_ordered_replies() -> None:
    """The peer would take the next reply for the missing one."""

    async def fails_on_b(frame: bytes, context: Any) -> bytes:
        if frame == b"b":
            raise ValueError
        return frame

    it = Bench(framed(FrameHandler(fails_on_b), Lines(max_length_bytes=100)), linger_timeout=0)
    it.feed(b"a\nb\n")
    await settle()
    assert it.output == b"a\n"
    assert it.close_reasons() == ["unanswered"]


async def test_no_reply_follows_a_missing_one() -> None:
    gates = Gates()

    async def fails_on_b(frame: bytes, context: Any) -> bytes:
        if frame == b"b":
            raise ValueError
        return await gates(frame, context)

    it = Bench(framed(FrameHandler(fails_on_b), Lines(max_length_bytes=100)), linger_timeout=0)
    it.feed(b"a\nb\nc\nd\n")
    await settle()
    gates.answer(b"c")
    await settle()
    assert it.output == b""
    gates.answer(b"a")
    await settle()
    assert it.output == b"A\n"
    assert it.transport.closed
    assert it.lost == ["unanswered", "unanswered"]  # c was finished, d was not
    assert it.metrics.total("requests_lost_total", reason="unanswered") == 2
    assert it.closed == 1


async def test_an_admission_check_that_raises_is_reported_and_the_connection_stays_open_or_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def check(frame: bytes, peer: Any, via: Any) -> None:
        if frame == b"b":
            raise KeyError("mine")

    it = bench(upper, Order.ANY, admission=check)
    it.feed(b"a\nb\nc\n")
    await settle()
    assert it.output == b"A\nC\n"
    assert it.metrics.total("dropped_total", reason="admission_error") == 1
    in_order = bench(upper, admission=check, linger_timeout=0)
    in_order.feed(b"a\nb\nc\n")
    await settle()
    assert in_order.output == b"A\n"
    assert in_order.transport.closed
    assert "KeyError" in caplog.text


async def test_a_ready_answer_that_cannot_be_framed_is_a_failure_and_refused() -> None:
    it = bench(upper, Order.ANY, answer_now=lambda f, p, v: b"two\nlines" if f == b"b" else None)
    it.feed(b"a\nb\nc\n")
    await settle()
    assert it.output == b"A\nServiceFailed\nC\n"
    assert it.metrics.total("requests_failed_total") == 1
    assert it.metrics.total("ready_answers_total") == 0


async def test_the_reason_of_a_disconnect_is_kept_even_after_the_end_of_input() -> None:
    gates = Gates()
    it = bench(gates)
    it.feed(b"a\n")
    it.connection.eof_received()
    await settle()
    it.connection.connection_lost(ConnectionResetError())
    await settle()
    assert it.lost == ["peer_gone"]


async def test_lost_replies_are_counted_as_often_as_they_are_listed() -> None:
    it = bench(upper, takes=False)
    it.feed(b"a\n")
    await settle()
    it.connection.abort("write")
    it.connection.abort("drain")
    await settle()
    assert it.lost == ["write"]
    assert it.metrics.total("requests_lost_total") == 1


async def test_a_failure_without_refusal_is_silence_if_replies_are_matched() -> None:
    async def fails_on_b(frame: bytes, context: Any) -> bytes:
        if frame == b"b":
            raise ValueError
        return frame

    it = Bench(framed(FrameHandler(fails_on_b), Lines(max_length_bytes=100), Order.ANY))
    it.feed(b"a\nb\nc\n")
    await settle()
    assert it.output == b"a\nc\n"
    assert not it.transport.closed


@pytest.mark.parametrize("raised", [SystemExit(3), BaseExceptionGroup("two", [SystemExit()])])
async def test_system_exit_raised_by_a_service_is_a_failure(raised: BaseException) -> None:
    async def quits(frame: bytes, context: Any) -> bytes:
        raise raised

    it = bench(quits)
    it.feed(b"a\n")
    await settle()
    assert it.output == b"ServiceFailed\n"


async def test_an_error_whose_str_raises_is_a_failure_like_others() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    async def fails(frame: bytes, context: Any) -> bytes:
        raise Mute

    it = bench(fails)
    it.feed(b"a\n")
    await settle()
    assert it.output == b"ServiceFailed\n"


async def test_an_idle_connection_holds_no_buffer_however_its_last_read_ended() -> None:
    pool = BufferPool()
    shared = ReadBuffer(pool)
    many = [bench(upper) for _ in range(50)]
    for it in many:
        it.scope.read_buffer = shared
        it.feed(b"a\n")
        it.connection.get_buffer(-1)  # borrowed, and then there was nothing to read
        await settle()
        assert it.output == b"A\n"
    assert pool.lent_bytes == many[0].scope.options.read_size_bytes
    shared.close()
    assert pool.lent_bytes == 0


async def test_dropped_frames_count_against_the_frame_budget() -> None:
    it = bench(upper, admission=lambda frame, peer, via: Drop("empty") if not frame else None)
    it.feed(b"\n" * 1000 + b"a\n")
    dropped = it.metrics.total("dropped_total", reason="empty")
    assert dropped <= 128 + 32
    assert not it.transport.reading
    await settle(40)
    assert it.metrics.total("dropped_total", reason="empty") == 1000
    assert it.output == b"A\n"
    assert it.transport.reading


def test_framing_errors_are_decode_errors() -> None:
    assert issubclass(FramingError, DecodeError)


async def test_a_service_may_wait_and_then_give_many_replies() -> None:
    async def service(frame: bytes, context: Any) -> Any:
        await asyncio.sleep(0)

        async def replies() -> AsyncIterator[bytes]:
            yield frame
            await asyncio.sleep(0)
            yield frame.upper()

        return replies()

    it = bench(service)
    it.feed(b"a\n")
    for _ in range(5):
        await settle()
    assert it.output == b"a\nA\n"
    assert it.metrics.total("requests_answered_total") == 1
    assert it.lost == []


@pytest.mark.parametrize("waits", [False, True])
async def test_a_refusal_that_cannot_be_framed_counts_its_request_once(waits: bool) -> None:
    async def service(frame: bytes, context: Any) -> bytes:
        if waits:
            await asyncio.sleep(0)
        raise ValueError

    it = bench(service, reject=lambda error, frame: b"two\nlines")
    it.feed(b"a\n")
    await settle()
    assert it.metrics.total("requests_failed_total") == 1
    assert it.output == b""
    assert it.transport.closed


async def test_a_last_refusal_that_cannot_be_framed_closes_all_the_same() -> None:
    it = bench(upper, framing=Lines(max_length_bytes=10), reject=lambda error, frame: b"x" * 11)
    it.feed(b"y" * 50)
    await settle()
    assert it.output == b""
    assert it.transport.closed


async def test_nothing_is_read_while_held_replies_are_over_the_limit() -> None:
    gates = Gates()

    async def service(frame: bytes, context: Any) -> bytes:
        return await gates(frame, context) if frame == b"slow" else b"x" * 3000

    it = bench(service)
    it.feed(b"slow\n" + b"b\n" * 40)
    await settle()
    assert not it.transport.reading


@pytest.mark.parametrize("fails", ["feed", "frames"])
async def test_a_framing_with_a_bug_closes_its_connection_and_is_reported_in_one_line(
    fails: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Buggy(Lines):
        def new(self) -> Any:
            framer = super().new()

            class Framer(type(framer)):  # type: ignore[misc]
                __slots__ = ()

            def fail(self: Any, *arguments: Any) -> Any:
                raise TypeError("of the framing")

            setattr(Framer, fails, fail)
            return Framer(self)

    it = bench(upper, framing=Buggy(max_length_bytes=100))
    it.feed(b"a\n")
    await settle()
    assert it.transport.aborted
    assert len([r for r in caplog.records if "of the framing" in r.getMessage()]) == 1


async def test_replies_swallowed_by_a_failed_write_are_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    it = bench(upper)

    def fail(data: bytes) -> None:
        it.transport.closed = True  # as asyncio's transports do, with their buffer emptied

    monkeypatch.setattr(it.transport, "write", fail)
    it.feed(b"a\nb\n")
    it.feed(b"c\n")
    it.connection.connection_lost(ConnectionResetError())
    await settle()
    assert it.metrics.total("requests_answered_total") == 0
    assert it.lost == ["peer_gone"] * 3
