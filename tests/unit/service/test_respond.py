"""The path from a request to its outcome, without a server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextvars import Context as Variables
from contextvars import ContextVar
from typing import Any

import pytest

from pierhead.clock import SystemClock
from pierhead.errors import DecodeError, Overloaded, PierheadError, ServiceFailed, TimedOut
from pierhead.failure_log import FailureLog
from pierhead.metrics import Metrics
from pierhead.service import FrameHandler, Handler
from pierhead.service.admission import Answer, Drop
from pierhead.service.context import Context, Peer, Transport, Via
from pierhead.service.counters import RequestCounters
from pierhead.service.request_times import RequestTimes
from pierhead.service.respond import Many, Outcome, Responder
from pierhead.service.suspended import Suspended

PEER = Peer(("192.0.2.1", 4711))
CONTEXT = Context(
    PEER, 0.0, Via(transport=Transport.STREAM, scheme="mem", local="mem:a", listener="mem:a")
)


class Waiting:
    """What an awaited future yields to its task."""

    def __await__(self) -> Any:
        yield


def in_place(coroutine: Coroutine[Any, Any, Any], variables: Variables, name: str) -> Any:
    """Run a first step without a loop: a waiting coroutine is suspended, its name as the task."""
    try:
        variables.run(coroutine.send, None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    return Suspended(name, variables)  # type: ignore[arg-type]


class Bench:
    def __init__(self, handler: Handler[Any, Any], admission: Any = None) -> None:
        self.metrics = Metrics()
        self.failures: list[str] = []
        log = FailureLog(
            SystemClock(), "mem:a", lambda error, where: self.failures.append(str(where))
        )
        self.responder: Responder[Any, Any] = Responder(
            handler,
            admission=admission,
            first_step=in_place,
            counters=RequestCounters(
                lambda name, **labels: self.metrics.counter(name, **labels),
                RequestTimes(self.metrics.histogram, SystemClock().monotonic),
            ),
            failures=log,
            where="mem:a",
        )

    def respond(self, request: Any) -> tuple[Outcome, Any]:
        return self.responder.respond(request, CONTEXT)

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.counter(name, **labels).value


def reject(error: PierheadError, frame: bytes) -> bytes | None:
    return type(error).__name__.encode()


async def upper(frame: bytes, context: Context) -> bytes:
    return frame.upper()


def test_a_service_that_never_waits_has_answered() -> None:
    assert Bench(FrameHandler(upper)).respond(b"a") == (Outcome.ANSWERED, b"A")


def test_silence_is_intended_and_counted() -> None:
    async def silent(frame: bytes, context: Context) -> None:
        return None

    it = Bench(FrameHandler(silent))
    assert it.respond(b"a") == (Outcome.SILENT, None)
    assert it.count("requests_silent_total") == 1


def test_a_waiting_service_is_suspended_under_its_name() -> None:
    async def slow(frame: bytes, context: Context) -> bytes:
        await Waiting()
        return frame

    outcome, suspended = Bench(FrameHandler(slow)).respond(b"a")
    assert outcome is Outcome.SUSPENDED
    assert suspended.task == slow.__qualname__


def test_many_replies_are_iterated_in_the_context_variables_of_their_service() -> None:
    seen: ContextVar[bytes] = ContextVar("seen")

    async def many(frame: bytes, context: Context) -> AsyncIterator[bytes]:
        seen.set(frame)

        async def replies() -> AsyncIterator[bytes]:
            yield frame

        return replies()

    outcome, value = Bench(FrameHandler(many)).respond(b"a")
    assert outcome is Outcome.MANY
    assert isinstance(value, Many)
    assert value.variables[seen] == b"a"
    assert seen.get(None) is None


@pytest.mark.parametrize(
    ("error", "refusal", "counter", "labels", "stage"),
    [
        (DecodeError("bad", 0), b"DecodeError", "dropped_total", "undecodable", "decode"),
        (TimedOut("late"), b"TimedOut", "requests_failed_total", "timeout", "service"),
        (Overloaded("limit"), b"Overloaded", "requests_failed_total", "limit", "service"),
        (ServiceFailed("no"), b"ServiceFailed", "requests_failed_total", "error", "service"),
        (KeyError("k"), b"ServiceFailed", "requests_failed_total", "error", "service"),
        (SystemExit(1), b"ServiceFailed", "requests_failed_total", "error", "service"),
    ],
)
def test_each_failure_is_refused_counted_and_reported(
    error: BaseException, refusal: bytes, counter: str, labels: str, stage: str
) -> None:
    async def fails(frame: bytes, context: Context) -> bytes:
        raise error

    it = Bench(FrameHandler(fails, reject))
    assert it.respond(b"a") == (Outcome.REFUSED, refusal)
    assert it.count(counter, reason=labels) == 1
    assert it.failures == [stage]
    without = Bench(FrameHandler(fails))
    assert without.respond(b"a") == (Outcome.FAILED, None)


def test_a_refusal_may_be_none_or_fail() -> None:
    async def fails(frame: bytes, context: Context) -> bytes:
        raise TimedOut("late")

    def broken(error: PierheadError, frame: bytes) -> bytes:
        raise KeyError

    held = FrameHandler(fails, reject, withholds=lambda peer, error: error is not None)
    assert Bench(held).respond(b"a") == (Outcome.FAILED, None)
    assert Bench(FrameHandler(fails, broken)).respond(b"a") == (Outcome.FAILED, None)


def test_a_keyboard_interrupt_passes_and_the_request_is_lost() -> None:
    async def interrupted(frame: bytes, context: Context) -> bytes:
        raise KeyboardInterrupt

    it = Bench(FrameHandler(interrupted, reject))
    with pytest.raises(KeyboardInterrupt):
        it.respond(b"a")
    assert it.count("requests_lost_total", reason="cancelled") == 1


def test_checks_come_first_then_ready_answers_then_the_service() -> None:
    asked = []

    def check(frame: bytes, peer: Peer, via: Via) -> Any:
        asked.append("check")
        return {b"drop": Drop("no"), b"answer": Answer("redirected", b"elsewhere")}.get(frame)

    def ready(frame: bytes, peer: Peer, via: Via) -> bytes | None:
        asked.append("ready")
        return b"known" if frame == b"ready" else None

    it = Bench(FrameHandler(upper, answer_now=ready), check)
    assert it.respond(b"drop") == (Outcome.SILENT, None)
    assert it.respond(b"answer") == (Outcome.REFUSED, b"elsewhere")
    assert asked == ["check", "check"]
    assert it.respond(b"ready") == (Outcome.READY, b"known")
    assert it.respond(b"other") == (Outcome.ANSWERED, b"OTHER")
    assert asked == ["check", "check", "check", "ready", "check", "ready"]
    assert it.count("dropped_total", reason="no") == 1
    assert it.count("dropped_total", reason="redirected") == 1


def test_an_admission_check_that_raises_admits_nothing() -> None:
    def check(frame: bytes, peer: Peer, via: Via) -> Any:
        raise KeyError

    it = Bench(FrameHandler(upper, reject), check)
    assert it.respond(b"a") == (Outcome.FAILED, None)
    assert it.count("dropped_total", reason="admission_error") == 1
    assert it.failures == ["admission"]


@pytest.mark.parametrize("given", [KeyError("mine"), "text"])
def test_a_ready_answer_that_fails_is_a_failure_of_the_service(given: Any) -> None:
    def ready(frame: bytes, peer: Peer, via: Via) -> Any:
        if isinstance(given, Exception):
            raise given
        return given

    it = Bench(FrameHandler(upper, reject, ready), lambda frame, peer, via: None)
    assert it.respond(b"a") == (Outcome.REFUSED, b"ServiceFailed")
    assert it.count("requests_failed_total", reason="error") == 1
    assert it.count("dropped_total") == 0
    assert it.failures == ["service"]


def test_requests_beyond_the_limit_are_shed_but_ready_answers_are_sent() -> None:
    it = Bench(FrameHandler(upper, reject, lambda f, p, v: b"!" if f == b"ready" else None))
    it.responder.running, it.responder.max_running = [1, 2], 2
    assert it.respond(b"a") == (Outcome.REFUSED, b"Overloaded")
    assert it.respond(b"ready") == (Outcome.READY, b"!")
    assert it.count("dropped_total", reason="max_requests") == 1
    it.responder.max_running = 3
    assert it.respond(b"a") == (Outcome.ANSWERED, b"A")


def test_a_frame_handler_returns_octets_and_nothing_else() -> None:
    async def text(frame: bytes, context: Context) -> Any:
        return "text"

    it = Bench(FrameHandler(text, reject))
    assert it.respond(b"a") == (Outcome.REFUSED, b"ServiceFailed")


def test_requests_and_replies_may_be_of_any_kind() -> None:
    async def double(number: int, context: Context) -> int:
        return 2 * number

    def refuse(error: PierheadError, number: int) -> int:
        return -number

    async def fails(number: int, context: Context) -> int:
        raise TimedOut("late")

    assert Bench(Handler(double, reply_type=int)).respond(21) == (Outcome.ANSWERED, 42)
    assert Bench(Handler(double)).respond(21) == (Outcome.ANSWERED, 42)
    assert Bench(Handler(fails, refuse)).respond(7) == (Outcome.REFUSED, -7)
