"""A reply in place of a service's unexpected exception."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from pierhead.clock import Clock, SystemClock
from pierhead.errors import ServiceError
from pierhead.failure_log import FailureLog
from pierhead.middleware.replies import Replies
from pierhead.service import Middleware, Reply, Service, as_service, is_many
from pierhead.service.context import Context

__all__ = ["catch"]

Q = TypeVar("Q")
R = TypeVar("R")


def catch(
    answer: Callable[[Exception, Q, Context], R | None], *, clock: Clock | None = None
) -> Middleware:
    """Return a layer that answers by calling this function when the service raises.

    The exception is logged in one line, at most one a second, and its traceback at DEBUG. In the
    middle of many replies the answer becomes the last of them. A `ServiceError` (a deadline, a
    limit) passes through: it has its own refusal.

    Args:
        answer: called with the exception, the request and the context; returns the reply, or None
            to stay silent.
        clock: measures the rate of log lines.
    """
    failures = FailureLog(clock or SystemClock())

    def reply_to(error: Exception, request: Q, context: Context) -> R | None:
        failures.report(context.via.listener, error)
        return answer(error, request, context)

    def layer(function: Service[Q, R]) -> Service[Q, R]:
        service = as_service(function)

        async def caught(request: Q, context: Context) -> Reply[R]:
            try:
                reply = await service(request, context)
            except ServiceError:
                raise
            except Exception as error:
                return reply_to(error, request, context)
            if is_many(reply):
                return _CaughtReplies(reply, lambda error: reply_to(error, request, context))
            return reply

        return caught

    return layer


class _CaughtReplies(Replies[R]):
    __slots__ = ("_answer", "_failed")

    def __init__(self, inner: AsyncIterator[R], answer: Callable[[Exception], Any]) -> None:
        super().__init__(inner)
        self._answer = answer
        self._failed = False

    async def _step(self) -> R:
        if self._failed:
            raise StopAsyncIteration
        try:
            return await self._inner.__anext__()
        except (StopAsyncIteration, ServiceError):
            raise
        except Exception as error:
            self._failed = True
            reply: R | None = self._answer(error)
            if reply is None:
                raise StopAsyncIteration from None
            return reply
