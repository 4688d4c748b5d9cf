"""The one path from a request to its outcome, whatever transport it came by.

    request ─▶ admission ─▶ ready answer ─▶ room ─▶ service, up to its first wait ─▶ outcome
                   │                          │        │ raised                         ▲
                   └──────────────────────────┴────────┴─▶ refusal, where there is one ─┘

`Responder.respond` is a plain function: it never waits, opens nothing and knows no transport. A
datagram server calls it for each datagram, a connection for each frame of a stream; any other
server can do the same with requests of its own kind. A service that has to wait returns SUSPENDED
with the task that continues it; the owner of the requests in flight settles its outcome.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sized
from contextvars import Context as Variables
from contextvars import copy_context
from enum import Enum
from types import CoroutineType
from typing import Any, Generic, TypeVar, cast

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

#: Runs a coroutine up to its first wait, in these context variables and under this name. Returns
#: what it returns, or a `Suspended`; raises what it raises.
FirstStep = Callable[[Coroutine[Any, Any, Any], Variables, str], Any]


class Outcome(Enum):
    """The outcome of a request; each comment says what value comes with it."""

    ANSWERED = "the reply of its service"
    READY = "a ready answer: no service was called"
    REFUSED = "a refusal; its reason has been counted"
    SILENT = "no reply, intentionally; counted"
    FAILED = "no reply, though one was due: an in-order peer would wait in vain; counted"
    LOST = "no reply, since the request was given up; counted"
    MANY = "many replies: a `Many`"
    SUSPENDED = "the service is waiting: a `Suspended`"


# Looking up an enum member is slow on Python 3.11.
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
        variables: the context variables of the service, in which they must be iterated.
    """

    __slots__ = ("replies", "variables")

    def __init__(self, replies: Any, variables: Variables) -> None:
        self.replies = replies
        self.variables = variables


class Responder(Generic[Q, R]):
    """Answers the requests of one listener or connection.

    Args:
        handler: the service, with its ready answers and refusals.
        admission: the check made on every request; None for no check.
        first_step: starts work on a request.
        failures: receives every failure.
        where: the listener, for the log.

    Attributes:
        service_name: the name of the tasks that work for it.
        running: the requests in flight; only its size is used.
        max_running: how many may be in flight, more are refused; None if the owner enforces it.
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
        """Return the outcome of a request, and the value that comes with it.

        Raises:
            KeyboardInterrupt: by the user; the request is counted as lost.
        """
        try:
            if self._admission is not None:
                verdict = self._admission(request, context.peer, context.via)
                if verdict is not None:
                    return self._keep_out(verdict, context.peer)
        except Exception as mistake:  # not the peer's fault
            where = f"{self.where}: admission"
            self.failures.report(where, mistake, "admission", context.peer)
            self.counters.dropped("admission_error")
            return _FAILED, None
        try:
            if self._answer_now is not None:
                ready = self._answer_now(request, context.peer, context.via)
                if type(ready) is self._reply_type:
                    return _READY, ready
                if ready is not None:
                    return _READY, self._checked(ready, "answer_now")
        except Exception as mistake:  # of the service's, of which ready answers are a part
            self.failures.report(f"{self.where}: answer_now", mistake, "service", context.peer)
            self.counters.failed("error")
            return self._refused(request, _failed(mistake, "answer_now"), context.peer)
        if self.max_running is not None and len(self.running) >= self.max_running:
            return self._shed(request, context.peer)
        variables = copy_context()  # shared by the service and the iterator it returns
        try:
            coroutine: Any = self._service(request, context)
            if type(coroutine) is not CoroutineType:
                coroutine = _awaited(coroutine)
            reply = self._first_step(coroutine, variables, self.service_name)
        except KeyboardInterrupt:
            self.counters.lost("cancelled")
            raise
        except BaseException as error:  # also SystemExit: other clients are using the server
            return self.refuse(request, error, context.peer)
        if type(reply) is self._reply_type:
            return _ANSWERED, reply
        if type(reply) is Suspended:
            return _SUSPENDED, reply
        return self.outcome(request, reply, variables, context.peer)

    def outcome(
        self, request: Q, reply: Any, variables: Variables, peer: Peer
    ) -> tuple[Outcome, Any]:
        """Return the outcome of a request whose service has returned this."""
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
        """Count a request that got no answer; return its refusal, if the protocol has one.

        Args:
            reason: the label for a late answer, instead of ``timeout``.
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
        """Return the protocol's refusal of a request from this peer; None for silence."""
        if self._reject is None:
            return None
        try:
            if self._is_withheld(peer, error):
                return None
            refusal = self._reject(error, request)
            return None if refusal is None else self._checked(refusal, "reject")
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
        answers = isinstance(verdict, Answer) and not self._is_withheld(peer, None)
        self.counters.dropped(verdict.reason)
        return (_REFUSED, cast(Answer, verdict).frame) if answers else (_SILENT, None)

    def _checked(self, reply: Any, source: str) -> Any:
        if isinstance(reply, self._reply_type):
            return reply
        expected = self._reply_type.__name__
        raise TypeError(f"{source} returned {type(reply).__name__}, expected {expected} or None")

    def _is_withheld(self, peer: Peer, error: PierheadError | None) -> bool:
        return self._withholds is not None and self._withholds(peer, error)


async def _awaited(reply: Awaitable[Any]) -> Any:
    return await reply


def _failed(error: BaseException, source: str = "the service") -> ServiceFailed:
    failure = ServiceFailed(f"{source} raised {type(error).__name__}")
    failure.__cause__ = error
    return failure
