"""From a request to what becomes of it: the one way, whatever it came by.

    request ─▶ admission ─▶ ready answer ─▶ room ─▶ service, up to its first wait ─▶ outcome
                   │                          │        │ raised                         ▲
                   └──────────────────────────┴────────┴─▶ refusal, where there is one ─┘

`Responder.respond` is a plain function: it never waits, opens nothing and knows no transport. A
datagram server calls it for each datagram, a connection for each frame of a stream; what else
listens can do the same with requests of its own kind. A service that has to wait gives SUSPENDED
with the task that goes on; its end is settled by whoever keeps what is in flight.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sized
from contextvars import Context as Variables
from contextvars import copy_context
from enum import Enum
from types import CoroutineType
from typing import Any, Generic, TypeVar

from pierhead.errors import DecodeError, Overloaded, PierheadError, ServiceError, ServiceFailed
from pierhead.failure_log import FailureLog
from pierhead.service.admission import Admission, Answer, Drop
from pierhead.service.base import is_many
from pierhead.service.context import Context, Peer
from pierhead.service.counters import RequestCounters
from pierhead.service.handler import Handler
from pierhead.service.suspended import Suspended

__all__ = ["FirstStep", "Many", "Outcome", "Responder"]

Q = TypeVar("Q")
R = TypeVar("R")

#: Runs a coroutine up to its first wait, in these variables, by this name: returns what it
#: returns, or a `Suspended`; raises what it raises.
FirstStep = Callable[[Coroutine[Any, Any, Any], Variables, str], Any]


class Outcome(Enum):
    """What became of a request, and what comes with it."""

    ANSWERED = "the reply of its service"
    READY = "a ready answer: no service was asked"
    REFUSED = "a refusal; why has been counted"
    SILENT = "no reply, and that is right; counted"
    FAILED = "no reply, though one was due: whoever waits in order waits in vain; counted"
    LOST = "no reply, since it was given up; counted"
    MANY = "many replies: a `Many`"
    SUSPENDED = "its service waits: a `Suspended`"


# A member's look-up is slow on Python 3.11.
_ANSWERED, _READY, _REFUSED, _SILENT = (
    Outcome.ANSWERED,
    Outcome.READY,
    Outcome.REFUSED,
    Outcome.SILENT,
)
_FAILED, _MANY, _SUSPENDED = Outcome.FAILED, Outcome.MANY, Outcome.SUSPENDED


class Many:
    """Many replies to one request.

    Attributes:
        replies: an async iterator of them.
        variables: the context variables of the service, in which it is to be iterated.
    """

    __slots__ = ("replies", "variables")

    def __init__(self, replies: Any, variables: Variables) -> None:
        self.replies = replies
        self.variables = variables


class Responder(Generic[Q, R]):
    """Answers the requests of one listener or connection.

    Args:
        handler: the service, and what stands before and behind it.
        admission: asked about every request; None where nothing is.
        first_step: begins the work on a request.
        failures: told of every failure.
        where: the listener, for the log.

    Attributes:
        service_name: of the tasks that work for it.
        running: what is in flight; only its size is looked at.
        max_running: at most so many are, more are refused; None where its owner sees to that.
    """

    __slots__ = (
        "_admission",
        "_answer_now",
        "_first_step",
        "_reject",
        "_reply_type",
        "_service",
        "_withholds",
        "counters",
        "failures",
        "max_running",
        "running",
        "service_name",
        "where",
    )

    def __init__(
        self,
        handler: Handler[Q, R],
        *,
        admission: Admission | None,
        first_step: FirstStep,
        counters: RequestCounters,
        failures: FailureLog,
        where: str,
    ) -> None:
        self._service = handler.service
        self._reject = handler.reject
        self._answer_now = handler.answer_now
        self._withholds = handler.withholds
        self._reply_type = handler.reply_type
        self._admission: Any = admission
        self._first_step = first_step
        self.service_name = getattr(handler.service, "__qualname__", "request")
        self.counters = counters
        self.failures = failures
        self.where = where
        self.running: Sized = ()
        self.max_running: float | None = None

    def respond(self, request: Q, context: Context) -> tuple[Outcome, Any]:
        """Return what becomes of a request, and what comes with it.

        Raises:
            KeyboardInterrupt: the user's; the request is counted as lost.
        """
        try:
            if self._admission is not None:
                verdict = self._admission(request, context.peer, context.via)
                if verdict is not None:
                    return self._keep_out(verdict, context.peer)
            if self._answer_now is not None:
                ready = self._answer_now(request, context.peer, context.via)
                if ready is not None:
                    return _READY, ready
        except Exception as mistake:  # of a check, or in a ready answer: not the peer's
            where = f"{self.where}: admission"
            self.failures.report(where, mistake, "admission", context.peer)
            self.counters.dropped("admission_error")
            return _FAILED, None
        if self.max_running is not None and len(self.running) >= self.max_running:
            return self._shed(request, context.peer)
        variables = copy_context()  # one for the service and for whatever it returns
        try:
            coroutine: Any = self._service(request, context)
            if type(coroutine) is not CoroutineType:
                coroutine = _awaited(coroutine)
            reply = self._first_step(coroutine, variables, self.service_name)
        except KeyboardInterrupt:
            self.counters.lost("cancelled")
            raise
        except BaseException as error:  # also SystemExit: others are using the server
            return self.refuse(request, error, context.peer)
        if type(reply) is self._reply_type:
            return _ANSWERED, reply
        if type(reply) is Suspended:
            return _SUSPENDED, reply
        return self.outcome(request, reply, variables, context.peer)

    def outcome(
        self, request: Q, reply: Any, variables: Variables, peer: Peer
    ) -> tuple[Outcome, Any]:
        """Return what a request came to whose service has returned this."""
        if isinstance(reply, self._reply_type):
            return _ANSWERED, reply
        if reply is None:
            self.counters.silent.value += 1
            return _SILENT, None
        if is_many(reply):
            return _MANY, Many(reply, variables)
        expected = self._reply_type.__name__
        failure = ServiceFailed(
            f"the service returned {type(reply).__name__}, expected {expected}, None or an async "
            f"iterator of {expected}"
        )
        return self.refuse(request, failure, peer)

    def refuse(
        self, request: Q, error: BaseException, peer: Peer, reason: str = ""
    ) -> tuple[Outcome, Any]:
        """Count a request that got no answer; return its refusal, where the protocol has one.

        Args:
            reason: what a late answer is counted under, instead of ``timeout``.
        """
        if isinstance(error, DecodeError):
            self.counters.undecodable()
            self.failures.note(error, "decode", peer)
        elif isinstance(error, ServiceError) and not isinstance(error, ServiceFailed):
            limit = error.limit if isinstance(error, Overloaded) else reason or "timeout"
            self.counters.failed(limit)
            self.failures.note(error, "service", peer)
        else:
            self.counters.failed("error")
            self.failures.report(self.where, error, "service", peer)
            error = error if isinstance(error, ServiceFailed) else _failed(error)
        return self._refused(request, error, peer)

    def refusal(self, error: PierheadError, request: Q, peer: Peer) -> R | None:
        """Return the protocol's refusal of a request from this peer, None for silence."""
        if self._reject is None:
            return None
        try:
            return None if self._is_withheld(peer, error) else self._reject(error, request)
        except Exception as mistake:
            self.failures.report(f"{self.where}: reject", mistake)
            return None

    def _refused(self, request: Q, error: PierheadError, peer: Peer) -> tuple[Outcome, Any]:
        refusal = self.refusal(error, request, peer)
        return (_FAILED, None) if refusal is None else (_REFUSED, refusal)

    def _shed(self, request: Q, peer: Peer) -> tuple[Outcome, Any]:
        self.counters.shed.value += 1
        return self._refused(request, Overloaded("max_requests"), peer)

    def _keep_out(self, verdict: Drop | Answer, peer: Peer) -> tuple[Outcome, Any]:
        self.counters.dropped(verdict.reason)
        if isinstance(verdict, Answer) and not self._is_withheld(peer, None):
            return _REFUSED, verdict.frame
        return _SILENT, None

    def _is_withheld(self, peer: Peer, error: PierheadError | None) -> bool:
        return self._withholds is not None and self._withholds(peer, error)


async def _awaited(reply: Awaitable[Any]) -> Any:
    return await reply


def _failed(error: BaseException) -> ServiceFailed:
    failure = ServiceFailed(f"the service raised {type(error).__name__}")
    failure.__cause__ = error
    return failure
