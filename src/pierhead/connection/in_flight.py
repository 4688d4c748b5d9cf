"""Requests in flight: their services wait, a sweep enforces deadlines, each outcome is settled
once.

    respond ─▶ SUSPENDED, MANY ─▶ go_on: the task ends, the replies are delivered
                                     │ raised, timed out, cancelled, given up
                                     ▼
                                 settle(request, outcome, reply), once for each

Datagram servers and connections use it; the sink decides where a reply goes. Each request has a
task (`pierhead.connection.tasks`). One sweep over all requests in flight replaces a timer for each.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from pierhead.connection.tasks import EagerTasks
from pierhead.errors import Overloaded, ServiceFailed, TimedOut, UsageError
from pierhead.service.base import is_many
from pierhead.service.context import Peer
from pierhead.service.respond import Many, Outcome, Responder
from pierhead.service.suspended import Suspended

__all__ = ["InFlight", "ReplySink", "Request"]

# Looking up an enum member is slow on Python 3.11.
_ANSWERED, _SILENT = Outcome.ANSWERED, Outcome.SILENT

Q = TypeVar("Q", bound="Request")
Q_contra = TypeVar("Q_contra", bound="Request", contravariant=True)


class Request:
    """One accepted request that is being answered; owners add what they need.

    Attributes:
        frame: the request: a frame, or a message of a protocol that has no frames.
        deadline: when it is given up, on the server's monotonic clock.
        received_at: when it was received, on the same clock; None if its time is not counted, or
            has been.
        cancelled_for: why it was cancelled; None if it was not.
        given_up_for: why it was given up with everything in flight; None if it was not.
        is_lost: whether it was reported lost although its service has not ended.
        task: the task that answers it.
        responder: what it began with, if another has taken over since.
    """

    # Created once per request: defaults that most requests never change are class attributes.
    received_at: float | None = None
    cancelled_for: str | None = None
    given_up_for: str | None = None
    is_lost = False
    task: asyncio.Task[None] | None = None
    responder: Responder[Any, Any] | None = None

    def __init__(self, frame: Any, deadline: float) -> None:
        self.frame = frame
        self.deadline = deadline

    @property
    def peer(self) -> Peer:
        """The client."""
        raise NotImplementedError


class ReplySink(Protocol[Q_contra]):
    """Where replies go."""

    def settle(self, request: Q_contra, outcome: Outcome, frame: Any, /) -> None:
        """Take the outcome of a request, and its last reply or None; once per request.

        Raises:
            Exception: the reply cannot be sent; the request is settled again, with a refusal.
        """
        ...

    async def send(self, request: Q_contra, frame: bytes, /) -> None:
        """Take one of many replies; wait while the peer is slow."""
        ...

    def lost(self, request: Q_contra, reason: str, /) -> None:
        """Be notified that a request will not be answered, before it is settled."""
        ...


class InFlight(Generic[Q]):
    """The requests in flight of one datagram listener or one connection.

    Args:
        responder: answers requests; its ``running`` is set to the requests in flight.
        sink: receives the outcome of each.
        tasks: starts the delivery of many replies at once.

    Attributes:
        max_replies: how many replies one request may have; None for no limit.
        running: the requests in flight; always the same set object.
        given_up_for: why everything was given up; None while requests are served.
    """

    __slots__ = ("_sink", "_tasks", "given_up_for", "max_replies", "responder", "running")

    def __init__(
        self, responder: Responder[Any, Any], sink: ReplySink[Q], tasks: EagerTasks
    ) -> None:
        self.responder = responder
        self._sink = sink
        self._tasks = tasks
        self.max_replies: int | None = None
        self.running: set[Q] = set()
        self.given_up_for: str | None = None
        responder.running = self.running

    def go_on(self, request: Q, value: Any) -> None:
        """Continue what `respond` could not finish: SUSPENDED or MANY."""
        self.running.add(request)
        if type(value) is not Suspended:
            self._deliver(request, value)
            return
        task, variables = value.task, value.variables
        request.task = task
        task.add_done_callback(partial(self._ended, request, variables))
        if self.given_up_for is not None and request.given_up_for is None:  # in its first step
            request.cancelled_for = request.given_up_for = self.given_up_for
            task.cancel()

    def answer_with(self, responder: Responder[Any, Any]) -> frozenset[Q]:
        """Have another responder from now on; return what is in flight with the one before."""
        for request in self.running:
            request.responder = request.responder or self.responder
        self.responder = responder
        responder.running = self.running
        return frozenset(self.running)

    async def wait_settled(self, requests: frozenset[Q]) -> None:
        """Return once none of these is in flight any more."""
        while tasks := [r.task for r in requests & self.running if r.task is not None]:
            await asyncio.wait(tasks)
            await asyncio.sleep(0)  # what a task's end brings about has had its turn

    def close(self) -> None:
        """Release the sink, which refers to this object: nothing is or will be in flight."""
        del self._sink

    def sweep(self, now: float) -> None:
        """Cancel requests past their deadline.

        A service that swallows its cancellation is cancelled again at every sweep.
        """
        for request in [r for r in self.running if r.deadline <= now]:
            _cancel(request, "deadline")

    def give_up(self, reason: str) -> None:
        """Cancel everything in flight; each request is reported lost for this reason.

        A request is reported when its service has ended. If it has not by the next call, that call
        reports it: a service may swallow its cancellation.
        """
        self.given_up_for = reason
        for request in list(self.running):
            if request.given_up_for is None:
                first = request.cancelled_for
                request.given_up_for = first if first not in (None, "deadline") else reason
            elif not request.is_lost:
                self._lose(request, request.given_up_for)
                request.is_lost = True
            _cancel(request, reason)

    # -- a service that waits ------------------------------------------------------------------

    def _ended(self, request: Q, variables: contextvars.Context, task: asyncio.Task[Any]) -> None:
        request.task = None  # it refers to its exception, and that to all of this
        if task.cancelled():
            self._raised(request, asyncio.CancelledError(), from_outside=task.cancelling() > 0)
        elif (error := task.exception()) is not None:
            self._raised(request, error)
        else:
            self._returned(request, task.result(), variables)

    def _returned(self, request: Q, reply: Any, variables: contextvars.Context) -> None:
        if type(reply) is bytes and request.given_up_for is None:
            self.settle(request, Outcome.ANSWERED, reply)
        elif request.given_up_for is not None:  # its service returned nevertheless
            if not request.is_lost:
                self._lose(request, request.given_up_for)
            if is_many(reply):
                request.is_lost = True
                self._run(request, self._close_unused(reply), variables)
            else:
                self.settle(request, Outcome.LOST, None)
        elif reply is _ALL_SENT:
            self.settle(request, Outcome.ANSWERED, None)
        else:
            responder = request.responder or self.responder
            outcome, value = responder.outcome(request.frame, reply, variables, request.peer)
            if outcome is Outcome.MANY:
                self._deliver(request, value)
            else:
                self.settle(request, outcome, value)

    def _raised(self, request: Q, error: BaseException, *, from_outside: bool = False) -> None:
        """Refuse a request that failed or was late; report as lost one that was given up."""
        reason = request.cancelled_for
        if request.is_lost:
            self.settle(request, Outcome.LOST, None)
        elif isinstance(error, KeyboardInterrupt):  # by the user
            self._give_up_one(request, "cancelled")
        elif not isinstance(error, asyncio.CancelledError):
            self.refuse(request, error, "deadline" if reason == "deadline" else "")
        elif reason == "deadline":
            self.refuse(request, TimedOut("the request's deadline passed"), "deadline")
        elif reason is None and not from_outside:
            self.refuse(request, ServiceFailed("the service cancelled itself"))
        else:
            self._give_up_one(request, reason or "cancelled")

    # -- many replies --------------------------------------------------------------------------

    def _deliver(self, request: Q, many: Many) -> None:
        """Send many replies, in a task that continues while the peer takes them."""
        self._run(request, self._send_all(request, many.replies), many.variables)

    def _run(
        self, request: Q, coroutine: Coroutine[Any, Any, object], variables: contextvars.Context
    ) -> None:
        """Run a coroutine as the rest of a request's work."""
        try:
            end = self._tasks.first_step(coroutine, variables, self.responder.service_name)
        except KeyboardInterrupt as error:
            self._raised(request, error)
            raise
        except BaseException as error:
            self._raised(request, error)
            return
        if type(end) is Suspended:
            self.go_on(request, end)
        else:
            self._returned(request, end, variables)

    async def _send_all(self, request: Q, replies: AsyncIterator[bytes]) -> object:
        async with aclosing(_closable(replies)) as one_by_one:
            count = 0
            async for frame in one_by_one:
                count += 1
                if self.max_replies is not None and count > self.max_replies:
                    raise Overloaded("max_replies_per_datagram")
                if not isinstance(frame, bytes):
                    raise UsageError(f"a reply is {type(frame).__name__}, expected bytes")
                await self._sink.send(request, frame)
        return _ALL_SENT

    async def _close_unused(self, replies: AsyncIterator[bytes]) -> None:
        """Close many replies that come too late to be sent."""
        try:
            await _closable(replies).aclose()
        except Exception as mistake:
            self.responder.failures.report(self.responder.where, mistake)

    # -- the end of a request ------------------------------------------------------------------

    def refuse(self, request: Q, error: BaseException, reason: str = "") -> None:
        """Settle a request that got no answer with its refusal, if it has one."""
        self.running.discard(request)
        responder = request.responder or self.responder
        self._time(request, responder, Outcome.REFUSED)
        outcome, refusal = responder.refuse(request.frame, error, request.peer, reason)
        try:
            self._sink.settle(request, outcome, refusal)
        except Exception as mistake:
            self.unsendable(request, Outcome.REFUSED, mistake)

    def _give_up_one(self, request: Q, reason: str) -> None:
        self._lose(request, reason)
        self.settle(request, Outcome.LOST, None)

    def _lose(self, request: Q, reason: str) -> None:
        """Report a request that will not be answered."""
        (request.responder or self.responder).counters.lost(reason)
        self._sink.lost(request, reason)

    def settle(self, request: Q, outcome: Outcome, frame: Any) -> None:
        """Pass the outcome of a request to the sink; if it cannot send the reply, the refusal."""
        self.running.discard(request)
        self._time(request, request.responder or self.responder, outcome)
        try:
            self._sink.settle(request, outcome, frame)
        except Exception as mistake:  # a frame that cannot be sent
            self.unsendable(request, outcome, mistake)

    def _time(self, request: Q, responder: Responder[Any, Any], outcome: Outcome) -> None:
        """Count how long a request has taken, once; what is silent on purpose is not timed."""
        received_at = request.received_at
        if received_at is not None and outcome is not _SILENT:
            request.received_at = None
            responder.counters.times.waited(received_at, is_answered=outcome is _ANSWERED)

    def unsendable(self, request: Q, outcome: Outcome, mistake: Exception) -> None:
        """Settle a request whose frame cannot be sent: by its refusal, unless it was that."""
        if outcome is not Outcome.REFUSED:
            self.refuse(request, mistake)
            return
        self.responder.failures.report(f"{self.responder.where}: reject", mistake)
        self._sink.settle(request, Outcome.FAILED, None)


def _cancel(request: Request, reason: str) -> None:
    if request.cancelled_for is None:
        request.cancelled_for = reason
    if request.task is not None:
        request.task.cancel()


#: The results with which the delivery of many replies ends.
_ALL_SENT = object()


def _closable(replies: AsyncIterator[bytes]) -> Any:
    return replies if hasattr(replies, "aclose") else _WithClose(replies)


class _WithClose:
    """Adds the missing `aclose` to an async iterator that is not a generator."""

    def __init__(self, replies: AsyncIterator[bytes]) -> None:
        self._replies = replies

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._replies

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""
