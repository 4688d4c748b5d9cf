"""Requests in flight: one task each, deadlines by sweep, every ending told apart.

    start ──▶ task: service(frame, context) ──▶ deliver(key, reply)
                 │ raised, timed out             deliver_one(key, reply) for each of many
                 ▼                               finished(key)
              refuse: the protocol's reject(error, frame)

Both servers use it; where a reply goes is the business of the callbacks. A task per request
costs about 2 µs and buys isolation of context variables, cancellation, and no stall behind a
slow neighbour; one sweep over what is in flight replaces a timer each.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeAlias

from pierhead.context import Context
from pierhead.endpoint import FrameHandler
from pierhead.errors import (
    DecodeError,
    Overloaded,
    PierheadError,
    ServiceError,
    ServiceFailed,
    TimedOut,
    UsageError,
)
from pierhead.failure_log import FailureLog
from pierhead.metrics import Metric
from pierhead.service import is_many

__all__ = ["Request", "RequestCounters", "Requests"]

#: Where a reply goes; only the owner's callbacks look inside.
Key: TypeAlias = Any


class Request:
    """One accepted frame until its last reply is delivered."""

    # Made once per request: plain slots, no dataclass.
    __slots__ = ("cancelled_for", "context", "deadline", "frame", "key", "started", "task")

    def __init__(self, frame: bytes, context: Context, key: Key, deadline: float) -> None:
        self.frame = frame
        self.context = context
        self.key = key
        self.deadline = deadline
        self.started = False
        self.cancelled_for: str | None = None
        self.task: asyncio.Task[None] | None = None


class RequestCounters:
    """How requests of one listener ended.

    Args:
        count: returns the counter of a name and labels.
    """

    def __init__(self, count: Callable[..., Metric]) -> None:
        self._count = count
        self.answered = count("requests_answered_total")
        self.silent = count("requests_silent_total")
        self.shed = count("dropped_total", reason="max_requests")

    def failed(self, reason: str) -> None:
        """Count one request that the service did not answer."""
        self._count("requests_failed_total", reason=reason).value += 1

    def undecodable(self) -> None:
        """Count one frame that is no message."""
        self._count("dropped_total", reason="undecodable").value += 1

    def lost(self, reason: str) -> None:
        """Count one accepted request that will not be answered."""
        self._count("requests_lost_total", reason=reason).value += 1


class Requests:
    """The requests in flight of one datagram listener or one connection.

    Args:
        handler: answers a frame.
        deliver: takes the one reply to a request, without waiting.
        deliver_one: takes one of many replies; waits while the peer is slow.
        finished: called once per request, after its last reply.
        lost: called for a request that will not be answered, with the reason.
        unanswered: called for a request that failed and has no refusal, before ``finished``.

    Attributes:
        max_replies: how many replies one request may have; None for as many as it likes.
    """

    __slots__ = (
        "_counters",
        "_deliver",
        "_deliver_one",
        "_failures",
        "_finished",
        "_lost",
        "_reject",
        "_running",
        "_service",
        "_unanswered",
        "_where",
        "max_replies",
    )

    def __init__(
        self,
        handler: FrameHandler,
        *,
        where: str,
        counters: RequestCounters,
        failures: FailureLog,
        deliver: Callable[[Key, bytes], None],
        deliver_one: Callable[[Key, bytes], Awaitable[None]],
        finished: Callable[[Key], None],
        lost: Callable[[Request, str], None],
        unanswered: Callable[[Key], None] | None = None,
    ) -> None:
        self._service = handler.service
        self._reject = handler.reject
        self._where = where
        self._counters = counters
        self._failures = failures
        self._deliver = deliver
        self._deliver_one = deliver_one
        self._finished = finished
        self._lost = lost
        self._unanswered = unanswered
        self.max_replies: int | None = None
        self._running: set[Request] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, loop: asyncio.AbstractEventLoop, request: Request) -> None:
        """Begin work on an accepted request."""
        self._running.add(request)
        request.task = _start_task(loop, self._run(request))

    def sweep(self, now: float) -> None:
        """Cancel what is past its deadline.

        A service that swallows its cancellation is cancelled again at every sweep.
        """
        for request in [r for r in self._running if r.deadline <= now]:
            self._cancel(request, "deadline")

    def cancel_all(self, reason: str) -> None:
        """Cancel everything in flight; each request is reported lost for this reason."""
        for request in list(self._running):
            self._cancel(request, reason)

    def refusal(self, error: PierheadError, frame: bytes) -> bytes | None:
        """Return the protocol's refusal of a frame, None for silence."""
        if self._reject is None:
            return None
        try:
            return self._reject(error, frame)
        except Exception as mistake:
            self._failures.report(f"{self._where}: reject", mistake)
            return None

    def _cancel(self, request: Request, reason: str) -> None:
        if request.cancelled_for is None:
            request.cancelled_for = reason
        # A task cancelled before its first step never enters its body, so nobody would account
        # for the request: that step is left to run and finds `cancelled_for`.
        if request.started and request.task is not None:
            request.task.cancel()

    async def _run(self, request: Request) -> None:
        request.started = True
        try:
            if request.cancelled_for is not None:
                raise asyncio.CancelledError
            reply = await self._service(request.frame, request.context)
            if type(reply) is bytes:
                self._deliver(request.key, reply)
                self._counters.answered.value += 1
            elif reply is None:
                self._counters.silent.value += 1
            else:
                await self._deliver_many(request.key, reply)
        except asyncio.CancelledError:
            if self._was_cancelled_from_outside(request):
                raise
        except (KeyboardInterrupt, GeneratorExit):
            raise  # the user, or the end of the loop; no doing of the service
        except BaseException as error:
            # Also SystemExit: one request must not end a server that others are using.
            self._refuse(request, error)
        finally:
            self._running.discard(request)
            self._finished(request.key)

    async def _deliver_many(self, key: Key, reply: Any) -> None:
        if not is_many(reply):
            raise ServiceFailed(
                f"the service returned {type(reply).__name__}, expected bytes, None or an "
                "async iterator of bytes"
            )
        async with aclosing(_closable(reply)) as replies:
            count = 0
            async for frame in replies:
                count += 1
                if self.max_replies is not None and count > self.max_replies:
                    raise Overloaded("max_replies_per_datagram")
                await self._deliver_one(key, frame)
        self._counters.answered.value += 1

    def _was_cancelled_from_outside(self, request: Request) -> bool:
        """Account for a cancelled request; true where the cancellation is not ours to swallow."""
        reason = request.cancelled_for
        if reason == "deadline":
            self._refuse(request, TimedOut("the request's deadline passed"))
            return False
        task = asyncio.current_task()
        if reason is None and task is not None and not task.cancelling():
            self._refuse(request, ServiceFailed("the service cancelled itself"))
            return False
        self._counters.lost(reason or "cancelled")
        self._lost(request, reason or "cancelled")
        return reason is None

    def _refuse(self, request: Request, error: BaseException) -> None:
        if isinstance(error, DecodeError):
            self._counters.undecodable()
            refusal = self.refusal(error, request.frame)
        elif isinstance(error, ServiceError) and not isinstance(error, ServiceFailed):
            self._counters.failed(_reason(error, request))
            refusal = self.refusal(error, request.frame)
        else:
            self._counters.failed("error")
            self._failures.report(self._where, error)
            failure = error if isinstance(error, ServiceFailed) else _failed(error)
            refusal = self.refusal(failure, request.frame)
        if refusal is not None:
            try:
                self._deliver(request.key, refusal)
            except UsageError as mistake:  # the refusal itself cannot be framed
                self._failures.report(f"{self._where}: reject", mistake)
            else:
                return
        if self._unanswered is not None:
            self._unanswered(request.key)


def _failed(error: BaseException) -> ServiceFailed:
    failure = ServiceFailed(f"the service raised {type(error).__name__}")
    failure.__cause__ = error
    return failure


def _reason(error: ServiceError, request: Request) -> str:
    if isinstance(error, Overloaded):
        return error.limit
    return "deadline" if request.cancelled_for == "deadline" else "timeout"


def _closable(replies: AsyncIterator[bytes]) -> Any:
    return replies if hasattr(replies, "aclose") else _WithClose(replies)


class _WithClose:
    """Gives an async iterator that is no generator the `aclose` it lacks."""

    def __init__(self, replies: AsyncIterator[bytes]) -> None:
        self._replies = replies

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._replies

    async def aclose(self) -> None:
        """There is nothing to close."""


if sys.version_info >= (3, 12):

    def _start_task(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]
    ) -> asyncio.Task[None]:
        return asyncio.Task(coroutine, loop=loop, eager_start=True)

else:

    def _start_task(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]
    ) -> asyncio.Task[None]:
        return loop.create_task(coroutine)
