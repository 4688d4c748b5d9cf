"""Requests in flight: one task each, deadlines by sweep, every ending told apart.

    start ──▶ service(frame, context), in place ──▶ the reply, to whoever started it
                 │ waits: its task goes on
                 ▼
              settle(request, outcome) ──▶ deliver(request, reply)
                 │ raised, timed out       deliver_one(request, reply) for each of many
                 ▼                         finished(request)
              refuse: the protocol's reject(error, frame)

Both servers use it; where a reply goes is the business of the callbacks. Each request has a task
(`pierhead.server.tasks`). One sweep over what is in flight replaces a timer each.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from contextvars import copy_context
from functools import partial
from types import CoroutineType
from typing import Any, Generic, Protocol, TypeVar

from pierhead.context import Context, Peer
from pierhead.errors import (
    DecodeError,
    Overloaded,
    PierheadError,
    ServiceError,
    ServiceFailed,
    TimedOut,
)
from pierhead.failure_log import FailureLog
from pierhead.metrics import Metric
from pierhead.server.suspended import Suspended
from pierhead.server.tasks import EagerTasks
from pierhead.service import FrameHandler, is_many

__all__ = ["Owner", "Request", "RequestCounters", "Requests"]

R = TypeVar("R", bound="Request")
R_contra = TypeVar("R_contra", bound="Request", contravariant=True)


class Request:
    """One accepted frame until its last reply is delivered; servers add what they need.

    Attributes:
        frame: what was asked.
        deadline: when it is given up, on the server's monotonic clock.
        cancelled_for: why it was cancelled; None where it was not.
        is_answered: whether its last reply was delivered, by its service and not as a refusal.
        given_up_for: why it was given up with everything in flight; None where it was not.
        is_lost: whether it was named lost while its service did not let go.
        task: what works on it once it has had to wait.
    """

    # Made once per request: what most requests never change is an attribute of the class.
    cancelled_for: str | None = None
    is_answered = False
    given_up_for: str | None = None
    is_lost = False
    task: asyncio.Task[None] | None = None

    def __init__(self, frame: bytes, deadline: float) -> None:
        self.frame = frame
        self.deadline = deadline


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


class Owner(Protocol[R_contra]):
    """Whose requests they are: what becomes of each is told here."""

    @property
    def where(self) -> str:
        """The listener, for the log."""
        ...

    def deliver(self, request: R_contra, frame: bytes, /) -> None:
        """Take the one reply to a request, without waiting."""
        ...

    async def deliver_one(self, request: R_contra, frame: bytes, /) -> None:
        """Take one of many replies; wait while the peer is slow."""
        ...

    def finished(self, request: R_contra, /) -> None:
        """Called once per request, after its last reply; ``is_answered`` says that it had one."""
        ...

    def lost(self, request: R_contra, reason: str, /) -> None:
        """Called for a request that will not be answered, before `finished`."""
        ...

    def unanswered(self, request: R_contra, /) -> None:
        """Called for a request that failed and has no refusal, before `finished`."""
        ...


class Requests(Generic[R]):
    """The requests in flight of one datagram listener or one connection.

    Args:
        handler: answers a frame.
        owner: told what becomes of each.
        tasks: begin the task of a request at once.

    Attributes:
        max_replies: how many replies one request may have; None for as many as it likes.
        running: the requests that are worked on; never another set.
    """

    max_replies: int | None = None

    def __init__(
        self,
        handler: FrameHandler,
        owner: Owner[R],
        tasks: EagerTasks,
        counters: RequestCounters,
        failures: FailureLog,
    ) -> None:
        self._service = handler.service
        self._reject = handler.reject
        self._withholds = handler.withholds
        self._owner = owner
        self._first_step = tasks.first_step
        self._name = getattr(handler.service, "__qualname__", "request")
        self._counters = counters
        self._failures = failures
        self.running: set[R] = set()

    def __len__(self) -> int:
        return len(self.running)

    def start(self, request: R, context: Context) -> bytes | None:
        """Work on an accepted request, up to the first thing that it has to wait for.

        Returns:
            The reply, where it is one and there already: nothing else is heard of the request,
            and the caller counts it as answered.
            Otherwise None, and the callbacks are called, now or later.
        """
        self.running.add(request)
        variables = copy_context()  # one for the service and for whatever it returns
        try:
            coroutine: Any = self._service(request.frame, context)
            if type(coroutine) is not CoroutineType:
                coroutine = _awaited(coroutine)
            reply = self._first_step(coroutine, variables, self._name)
        except KeyboardInterrupt as error:
            self._settle(request, _Raised(error), variables)
            raise
        except BaseException as error:  # also SystemExit: others are using the server
            reply = _Raised(error)
        if type(reply) is bytes:
            self.running.discard(request)
            return reply
        self._go_on(request, reply, variables)
        return None

    def _go_on(self, request: R, outcome: Any, variables: contextvars.Context) -> None:
        """Wait for what is suspended, and settle it then; settle anything else at once."""
        if type(outcome) is not Suspended:
            self._settle(request, outcome, variables)
            return
        request.task = outcome.task
        outcome.task.add_done_callback(partial(self._ended, request, variables), context=variables)
        if request.cancelled_for is not None:  # by its own first step
            outcome.task.cancel()

    def _ended(self, request: R, variables: contextvars.Context, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            outcome: Any = _Raised(asyncio.CancelledError(), from_outside=task.cancelling() > 0)
        elif (error := task.exception()) is not None:
            outcome = _Raised(error)
        else:
            outcome = task.result()
        self._settle(request, outcome, variables)

    def _settle(self, request: R, outcome: Any, variables: contextvars.Context) -> None:
        """Deliver what a request came to, or refuse it, and account for it: once for each."""
        try:
            if request.is_lost:
                pass  # accounted for, when it was given up the second time
            elif request.given_up_for is not None and type(outcome) is not _Raised:
                self._lose(request, request.given_up_for)  # its service returned all the same
            elif type(outcome) is bytes:
                self._owner.deliver(request, outcome)
                request.is_answered = True
            elif outcome is None:
                self._counters.silent.value += 1
            elif outcome is _ALL_DELIVERED:
                request.is_answered = True
            elif type(outcome) is _Raised:
                self._account_for(request, outcome)
            else:
                self._begin_many(request, outcome, variables)
                return
        except Exception as error:  # a reply that cannot be framed
            self.refuse(request, error)
        self.running.discard(request)
        self._owner.finished(request)

    def _begin_many(self, request: R, reply: Any, variables: contextvars.Context) -> None:
        """Deliver many replies, in a task that goes on while the peer takes them."""
        if not is_many(reply):
            raise ServiceFailed(
                f"the service returned {type(reply).__name__}, expected bytes, None or an "
                "async iterator of bytes"
            )
        delivered: Any
        try:
            delivered = self._first_step(self._deliver_many(request, reply), variables, self._name)
        except KeyboardInterrupt as error:
            self._settle(request, _Raised(error), variables)
            raise
        except BaseException as error:
            delivered = _Raised(error)
        self._go_on(request, delivered, variables)

    def close(self) -> None:
        """Let go of the owner, who has this object: nothing is in flight, and nothing will be."""
        del self._owner

    def sweep(self, now: float) -> None:
        """Cancel what is past its deadline.

        A service that swallows its cancellation is cancelled again at every sweep.
        """
        for request in [r for r in self.running if r.deadline <= now]:
            self._cancel(request, "deadline")

    def cancel_all(self, reason: str) -> None:
        """Cancel everything in flight; each request is reported lost for this reason.

        It is reported once its service has let go. What has not by the next call is reported by
        that one: a service may swallow its cancellation.
        """
        for request in list(self.running):
            if request.given_up_for is None:
                first = request.cancelled_for
                request.given_up_for = first if first not in (None, "deadline") else reason
            elif not request.is_lost:
                self._lose(request, request.given_up_for)
                request.is_lost = True
            self._cancel(request, reason)

    def refusal(self, error: PierheadError, frame: bytes, peer: Peer) -> bytes | None:
        """Return the protocol's refusal of a frame from this peer, None for silence."""
        if self._reject is None:
            return None
        try:
            return None if self.withholds(peer, error) else self._reject(error, frame)
        except Exception as mistake:
            self._failures.report(f"{self._owner.where}: reject", mistake)
            return None

    def withholds(self, peer: Peer, error: PierheadError | None) -> bool:
        """Tell whether a refusal to this peer is not to be sent."""
        return self._withholds is not None and self._withholds(peer, error)

    def _cancel(self, request: R, reason: str) -> None:
        if request.cancelled_for is None:
            request.cancelled_for = reason
        if request.task is not None:
            request.task.cancel()

    async def _deliver_many(self, request: R, reply: AsyncIterator[bytes]) -> object:
        async with aclosing(_closable(reply)) as replies:
            count = 0
            async for frame in replies:
                count += 1
                if self.max_replies is not None and count > self.max_replies:
                    raise Overloaded("max_replies_per_datagram")
                await self._owner.deliver_one(request, frame)
        return _ALL_DELIVERED

    def _account_for(self, request: R, raised: _Raised) -> None:
        """Refuse what failed or was late; name lost what was given up."""
        error, reason = raised.error, request.cancelled_for
        if isinstance(error, KeyboardInterrupt):  # the user
            self._lose(request, "cancelled")
        elif not isinstance(error, asyncio.CancelledError):
            self.refuse(request, error)
        elif reason == "deadline":
            self.refuse(request, TimedOut("the request's deadline passed"))
        elif reason is None and not raised.from_outside:
            self.refuse(request, ServiceFailed("the service cancelled itself"))
        else:
            self._lose(request, reason or "cancelled")

    def _lose(self, request: R, reason: str) -> None:
        """Name a request that will not be answered."""
        self._counters.lost(reason)
        self._owner.lost(request, reason)
        self._owner.unanswered(request)

    def refuse(self, request: R, error: BaseException) -> None:
        """Answer a request that got no answer with the protocol's refusal, where it has one."""
        peer: Any = getattr(request, "peer", None)
        if isinstance(error, DecodeError):
            self._counters.undecodable()
            self._failures.note(error, "decode", peer)
            refusal = self.refusal(error, request.frame, peer)
        elif isinstance(error, ServiceError) and not isinstance(error, ServiceFailed):
            self._counters.failed(_reason(error, request))
            self._failures.note(error, "service", peer)
            refusal = self.refusal(error, request.frame, peer)
        else:
            self._counters.failed("error")
            self._failures.report(self._owner.where, error, "service", peer)
            failure = error if isinstance(error, ServiceFailed) else _failed(error)
            refusal = self.refusal(failure, request.frame, peer)
        if refusal is not None:
            try:
                self._owner.deliver(request, refusal)
            except Exception as mistake:  # the refusal itself cannot be framed
                self._failures.report(f"{self._owner.where}: reject", mistake)
            else:
                return
        self._owner.unanswered(request)


class _Raised:
    """An outcome: what the service raised, or a cancellation and whether others asked for it."""

    __slots__ = ("error", "from_outside")

    def __init__(self, error: BaseException, *, from_outside: bool = False) -> None:
        self.error = error
        self.from_outside = from_outside


#: An outcome: every one of many replies has been handed to the owner.
_ALL_DELIVERED = object()


async def _awaited(reply: Awaitable[Any]) -> Any:
    return await reply


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
