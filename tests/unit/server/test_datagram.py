from __future__ import annotations

import asyncio
import contextvars
import errno
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fakes import FakeDatagramListener, HandClock, settle  # type: ignore[import-not-found]

from pierhead.connection.tasks import EagerTasks
from pierhead.listener.own_addresses import OwnAddresses
from pierhead.metrics import Metrics
from pierhead.server.datagram import DatagramServer
from pierhead.server.lost_requests import LostRequest
from pierhead.server.options import ServerOptions
from pierhead.service import FrameHandler
from pierhead.service.admission import Answer, Drop


class Bench:
    def __init__(
        self, service: Any, *, reject: Any = None, answer_now: Any = None, **given: Any
    ) -> None:
        self.listener = FakeDatagramListener()
        self.clock = HandClock()
        self.metrics = Metrics()
        self.lost: list[LostRequest] = []
        self.woken = 0
        self.server = DatagramServer(
            self.listener,
            FrameHandler(service, reject, answer_now),
            admission=given.pop("admission", None),
            options=ServerOptions().changed(given),
            clock=self.clock,
            metrics=self.metrics,
            tasks=EagerTasks(),
            on_lost=self.lost.append,
            wake_sweep=self._wake,
            own_addresses=OwnAddresses(),
        )
        self.server.start()

    def _wake(self) -> None:
        self.woken += 1


async def upper(frame: bytes, context: Any) -> bytes:
    return frame.upper()


def refuse(error: Exception, frame: bytes) -> bytes:
    return type(error).__name__.encode()


async def test_a_batch_is_answered_in_one_send() -> None:
    it = Bench(upper)
    it.listener.arrive(b"a", b"b", b"c")
    await settle()
    assert it.listener.batches == [[(b"A", "client"), (b"B", "client"), (b"C", "client")]]


async def test_a_slow_request_delays_no_neighbour() -> None:
    gate = asyncio.get_running_loop().create_future()

    async def slow_for_some(frame: bytes, context: Any) -> bytes:
        if frame == b"slow":
            await gate
        return frame

    it = Bench(slow_for_some)
    it.listener.arrive(b"slow", b"quick")
    await settle()
    assert it.listener.sent == [b"quick"]
    gate.set_result(None)
    await settle()
    assert it.listener.sent == [b"quick", b"slow"]


async def test_context_variables_do_not_leak_between_requests() -> None:
    marked: contextvars.ContextVar[str] = contextvars.ContextVar("marked", default="clean")

    async def marks(frame: bytes, context: Any) -> bytes:
        before = marked.get()
        marked.set("dirty")
        return before.encode()

    it = Bench(marks)
    it.listener.arrive(b"a", b"b")
    await settle()
    assert it.listener.sent == [b"clean", b"clean"]


async def test_requests_above_the_limit_are_shed_with_the_protocols_refusal() -> None:
    gate = asyncio.get_running_loop().create_future()

    async def waits(frame: bytes, context: Any) -> bytes:
        await gate
        return frame

    it = Bench(waits, reject=refuse, max_requests=2)
    it.listener.arrive(b"a", b"b", b"c", b"d")
    await settle()
    assert it.listener.sent == [b"Overloaded", b"Overloaded"]
    assert it.metrics.total("dropped_total", reason="max_requests") == 2
    gate.set_result(None)
    await settle()
    assert it.listener.sent[2:] == [b"a", b"b"]


async def test_silence_is_counted_and_sends_nothing() -> None:
    async def silent(frame: bytes, context: Any) -> None:
        return None

    it = Bench(silent)
    it.listener.arrive(b"a")
    await settle()
    assert it.listener.sent == []
    assert it.metrics.total("requests_silent_total") == 1


async def test_many_replies_become_many_datagrams() -> None:
    async def twice(frame: bytes, context: Any) -> AsyncIterator[bytes]:
        async def frames() -> AsyncIterator[bytes]:
            yield frame + b"1"
            yield frame + b"2"

        return frames()

    it = Bench(twice)
    it.listener.arrive(b"a")
    await settle()
    assert it.listener.sent == [b"a1", b"a2"]


async def test_an_admission_check_that_raises_drops_only_its_own_datagram() -> None:
    def check(frame: bytes, peer: Any, via: Any) -> None:
        if frame == b"b":
            raise KeyError("mine")

    it = Bench(upper, admission=check)
    it.listener.arrive(b"a", b"b", b"c")
    await settle()
    assert it.listener.sent == [b"A", b"C"]
    assert it.metrics.total("dropped_total", reason="admission_error") == 1


async def test_one_datagram_gets_a_bounded_number_of_replies() -> None:
    closed = False

    async def endless(frame: bytes, context: Any) -> AsyncIterator[bytes]:
        async def frames() -> AsyncIterator[bytes]:
            nonlocal closed
            try:
                while True:
                    yield b"x"
            finally:
                closed = True

        return frames()

    it = Bench(endless, max_replies_per_datagram=3)
    it.listener.arrive(b"a")
    await settle(20)
    assert it.listener.sent == [b"x"] * 3
    assert closed
    assert it.metrics.total("requests_failed_total", reason="max_replies_per_datagram") == 1


async def test_a_receive_error_causes_a_pause_and_one_log_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pierhead.server.batches._SHORTEST_PAUSE_S", 0.0)
    monkeypatch.setattr("pierhead.server.batches._LONGEST_PAUSE_S", 0.0)
    it = Bench(upper)
    left = 5
    receive = it.listener.receive_batch

    def fails(limit: int) -> list[tuple[bytes, Any]]:
        nonlocal left
        if left:
            left -= 1
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return receive(limit)

    monkeypatch.setattr(it.listener, "receive_batch", fails)
    for _ in range(5):
        assert it.listener.on_readable is not None
        it.listener.on_readable()
        assert it.listener.on_readable is None  # the socket is not retried again and again
        for _ in range(100):
            if it.listener.on_readable is not None:
                break
            await asyncio.sleep(0)
    it.listener.arrive(b"a")
    await settle()
    assert it.listener.sent == [b"A"]
    assert it.metrics.total("receive_errors_total") == 5
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1


async def test_the_deadline_of_a_request_becomes_a_refusal() -> None:
    async def never(frame: bytes, context: Any) -> bytes:
        await asyncio.get_running_loop().create_future()
        return frame

    it = Bench(never, reject=refuse, request_timeout=2.0)
    it.listener.arrive(b"a")
    await settle()
    assert it.woken == 1
    assert list(it.server.sweep(it.clock.now + 1.9)) == [True]
    await settle()
    assert it.listener.sent == []
    list(it.server.sweep(it.clock.now + 2.0))
    await settle()
    assert it.listener.sent == [b"TimedOut"]
    assert list(it.server.sweep(it.clock.now + 2.1)) == [False]


async def test_a_service_that_swallows_its_cancellation_is_cancelled_again() -> None:
    swallowed = 0

    async def stubborn(frame: bytes, context: Any) -> bytes:
        nonlocal swallowed
        while swallowed < 2:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                swallowed += 1
        return frame

    it = Bench(stubborn, request_timeout=1.0)
    it.listener.arrive(b"a")
    await settle()
    for _ in range(2):
        list(it.server.sweep(it.clock.now + 1))
        await settle()
    assert it.listener.sent == [b"a"]


async def test_admission_and_ready_answers_come_before_any_task() -> None:
    asked: list[bytes] = []

    async def service(frame: bytes, context: Any) -> bytes:
        asked.append(frame)
        return frame

    verdicts = {b"drop": Drop("nasty"), b"answer": Answer("told", b"no")}
    it = Bench(
        service,
        admission=lambda frame, peer, via: verdicts.get(frame),
        answer_now=lambda frame, peer, via: b"ready" if frame == b"known" else None,
    )
    it.listener.arrive(b"drop", b"answer", b"known", b"new")
    await settle()
    assert asked == [b"new"]
    assert it.listener.sent == [b"no", b"ready", b"new"]
    assert it.metrics.total("ready_answers_total") == 1


async def test_replies_that_the_system_refuses_are_counted_and_the_rest_are_sent() -> None:
    it = Bench(upper)
    it.listener.refuse[b"B"] = errno.EMSGSIZE
    it.listener.arrive(b"a", b"b", b"c")
    await settle()
    assert it.listener.sent == [b"A", b"C"]
    assert it.metrics.total("dropped_total", reason="reply_too_large") == 1


@pytest.mark.parametrize("number", [errno.EMSGSIZE, errno.EAGAIN])
async def test_only_what_the_system_takes_is_answered(number: int) -> None:
    """Each request ends once, whether its reply was made in place, ready, waited, or is many."""
    gate = asyncio.get_running_loop().create_future()

    async def service(frame: bytes, context: Any) -> Any:
        if frame.startswith(b"wait"):
            await gate
        if frame.endswith(b"many"):
            return several()
        if frame == b"raise":
            raise ValueError
        return b"BAD" if frame.endswith(b"bad") else b"GOOD"

    async def several() -> AsyncIterator[bytes]:
        for reply in (b"GOOD", b"BAD", b"GOOD"):
            yield reply

    it = Bench(
        service,
        reject=lambda error, frame: b"BAD",
        answer_now=lambda frame, peer, via: b"BAD" if frame == b"ready" else None,
        datagram_write_timeout=1.0,
    )
    it.listener.refuse[b"BAD"] = number
    frames = [b"bad", b"good", b"ready", b"wait bad", b"wait good", b"many", b"wait many", b"raise"]
    it.listener.arrive(*frames)
    await settle()
    gate.set_result(None)
    await settle(20)
    total = it.metrics.total
    it.clock.now += 2.0
    await wait_for(lambda: not it.server._unsent)
    assert (total("requests_answered_total"), total("ready_answers_total")) == (2, 0)
    assert (total("dropped_total"), total("requests_failed_total")) == (5, 1)
    assert it.lost == []


async def test_a_reply_that_is_sent_later_is_answered_then() -> None:
    async def service(frame: bytes, context: Any) -> Any:
        return several()

    async def several() -> AsyncIterator[bytes]:
        yield b"A"
        yield b"B"

    it = Bench(service)
    full(it, b"A")
    it.listener.arrive(b"a")
    await settle(20)
    assert it.metrics.total("requests_answered_total") == 0
    it.listener.refuse.clear()
    await wait_for(lambda: not it.server._unsent)
    assert it.metrics.total("requests_answered_total") == 1
    assert it.metrics.total("dropped_total") == 0


async def test_what_arrived_with_an_interrupted_request_is_lost_and_named() -> None:
    async def service(frame: bytes, context: Any) -> bytes:
        if frame == b"stop":
            raise KeyboardInterrupt
        return frame

    it = Bench(service)
    with pytest.raises(KeyboardInterrupt):
        it.listener.arrive(b"a", b"stop", b"b", b"c")
    assert it.listener.sent == [b"a"]
    assert it.metrics.total("requests_answered_total") == 1
    assert it.metrics.total("requests_lost_total", reason="cancelled") == 3
    assert it.lost == [LostRequest("memgram:test", "client", "cancelled")] * 3


async def test_draining_receives_no_more_and_finishes_what_was_accepted() -> None:
    gate = asyncio.get_running_loop().create_future()

    async def waits(frame: bytes, context: Any) -> bytes:
        await gate
        return frame

    it = Bench(waits)
    it.listener.arrive(b"a")
    await settle()
    it.server.drain()
    drained = asyncio.ensure_future(it.server.wait_drained())
    await settle()
    assert not drained.done()
    assert it.listener.on_readable is None
    gate.set_result(None)
    await settle()
    assert drained.done()
    assert it.listener.sent == [b"a"]


async def test_requests_given_up_by_a_drain_are_listed() -> None:
    async def never(frame: bytes, context: Any) -> bytes:
        await asyncio.get_running_loop().create_future()
        return frame

    it = Bench(never, reject=refuse)
    it.listener.arrive(b"a")
    await settle()
    it.server.abort("drain")
    await it.server.wait_drained()
    assert it.lost == [LostRequest("memgram:test", "client", "drain")]
    assert it.listener.sent == []


# -- datagrams that the system has no room for
# -----------------------------------------------------------


def full(it: Bench, *replies: bytes, number: int = errno.EAGAIN) -> None:
    it.listener.refuse.update(dict.fromkeys(replies, number))


async def wait_for(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOBUFS])
async def test_a_reply_without_room_is_retried(number: int) -> None:
    it = Bench(upper)
    full(it, b"A", number=number)
    it.listener.arrive(b"a", b"b")
    await settle()
    assert it.listener.sent == [b"B"]
    it.listener.refuse.clear()
    await wait_for(lambda: it.listener.sent == [b"B", b"A"])
    assert it.metrics.total("dropped_total") == 0
    assert it.metrics.total("datagrams_sent_total") == 2
    assert it.server._unsent.octets == 0


async def test_replies_without_room_are_bounded_with_the_requests_that_they_keep() -> None:
    async def late(frame: bytes, context: Any) -> bytes:
        await asyncio.sleep(0)
        return b"reply"

    it = Bench(late, max_unsent_datagram_bytes=1_048_576)
    full(it, b"reply")
    for _ in range(100):
        it.listener.arrive(b"x" * 60_000)
    await settle()
    assert len(it.server._unsent) == 17  # of 61 KB each
    assert it.server._unsent.octets <= 1_048_576
    it.server.close()


async def test_a_retried_reply_is_given_up_after_its_deadline_and_counted() -> None:
    it = Bench(upper, datagram_write_timeout=3.0)
    full(it, b"A")
    it.listener.arrive(b"a")
    await settle()
    it.clock.now += 2.9
    await asyncio.sleep(0.02)
    assert it.metrics.total("dropped_total") == 0
    it.clock.now += 0.2
    await wait_for(lambda: it.metrics.total("dropped_total", reason="send_buffer_full") == 1)
    assert len(it.server._unsent) == 0


async def test_with_a_zero_timeout_a_reply_without_room_is_dropped_at_once() -> None:
    it = Bench(upper, datagram_write_timeout=0)
    full(it, b"A")
    it.listener.arrive(b"a")
    await settle()
    assert it.metrics.total("dropped_total", reason="send_buffer_full") == 1


async def test_a_reply_that_can_never_be_sent_is_not_retried() -> None:
    it = Bench(upper)
    full(it, b"A", number=errno.EMSGSIZE)
    it.listener.arrive(b"a")
    await settle()
    assert it.metrics.total("dropped_total", reason="reply_too_large") == 1
    assert len(it.server._unsent) == 0


async def test_retried_replies_are_bounded_in_octets() -> None:
    async def large(frame: bytes, context: Any) -> bytes:
        return b"x" * 1000

    it = Bench(large, max_unsent_datagram_bytes=10_000)
    full(it, b"x" * 1000)
    it.listener.arrive(*[b"a"] * 50)
    await settle()
    assert it.server._unsent.octets <= 10_000
    assert len(it.server._unsent) == 10_000 // 1256
    assert it.metrics.total("dropped_total", reason="send_buffer_full") == 50 - 10_000 // 1256
    it.server.close()
    assert it.metrics.total("dropped_total", reason="send_buffer_full") == 50


async def test_a_receiver_that_takes_nothing_does_not_block_others() -> None:
    it = Bench(upper)
    full(it, *[b"SLOW %d" % n for n in range(200)], b"QUICK")
    it.listener.arrive(*[b"slow %d" % n for n in range(200)], b"quick")
    await settle()
    del it.listener.refuse[b"QUICK"]
    await wait_for(lambda: it.listener.sent == [b"QUICK"])
    assert len(it.server._unsent) == 200


async def test_draining_waits_for_retried_replies() -> None:
    it = Bench(upper)
    full(it, b"A")
    it.listener.arrive(b"a")
    await settle()
    it.server.drain()
    drained = asyncio.ensure_future(it.server.wait_drained())
    await settle()
    assert not drained.done()
    it.listener.refuse.clear()
    await asyncio.wait_for(drained, 20)
    assert it.listener.sent == [b"A"]


async def test_an_abort_gives_up_retried_replies_as_well() -> None:
    it = Bench(upper)
    full(it, b"A")
    it.listener.arrive(b"a")
    await settle()
    it.server.drain()
    drained = asyncio.ensure_future(it.server.wait_drained())
    it.server.abort("drain")
    await asyncio.wait_for(drained, 20)
    assert it.metrics.total("dropped_total", reason="send_buffer_full") == 1


async def test_octets_are_counted_as_they_are_received_and_sent() -> None:
    it = Bench(upper)
    full(it, b"TOO LONG", number=errno.EMSGSIZE)
    it.listener.arrive(b"abc", b"", b"too long")
    await settle()
    assert it.metrics.total("bytes_received_total") == 11
    assert it.metrics.total("bytes_sent_total") == 3
