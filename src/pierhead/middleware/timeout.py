"""A deadline for the whole answer, including all of its replies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from pierhead.errors import TimedOut
from pierhead.limits import Limit
from pierhead.middleware.replies import Replies
from pierhead.printable import digits
from pierhead.service import Middleware, Reply, Service, as_service, is_many
from pierhead.service.context import Context

__all__ = ["LIMITS", "timeout"]

R = TypeVar("R")

SECONDS = Limit(
    name="timeout",
    default=2.0,
    minimum=0.001,
    maximum=86400.0,
    unit="s",
    meaning="How long a service may take until its last reply has been taken.",
    source="stub resolvers retry after 2 to 5 s, so a later answer is useless",
    metric="requests_failed_total{reason=timeout}",
    effect="at construction",
)

LIMITS = (SECONDS,)


def timeout(seconds: float = SECONDS.default) -> Middleware:
    """Return a layer that raises `TimedOut` if the service takes longer than this.

    The time starts when the layer is called and ends when the last reply has been taken, so a slow
    consumer of replies uses it up as well. The service is cancelled where it awaits; a TimeoutError
    that it raises itself remains its own failure.
    """
    SECONDS.check(seconds)

    def layer(function: Service[Any, Any]) -> Service[Any, Any]:
        service = as_service(function)

        async def timed(request: Any, context: Context) -> Reply[Any]:
            try:
                async with asyncio.timeout(seconds) as scope:
                    reply = await service(request, context)
            except TimeoutError as error:
                if scope.expired():
                    raise _timed_out(seconds) from error
                raise
            if is_many(reply):
                return _TimedReplies(reply, seconds, scope)
            return reply

        return timed

    return layer


def _timed_out(seconds: float) -> TimedOut:
    return TimedOut(f"no complete answer within {digits(seconds)} s")


class _TimedReplies(Replies[R]):
    __slots__ = ("_deadline", "_seconds")

    def __init__(self, inner: AsyncIterator[R], seconds: float, scope: asyncio.Timeout) -> None:
        super().__init__(inner)
        self._seconds = seconds
        self._deadline = scope.when()

    async def _step(self) -> R:
        if self._is_late():  # the scope below would not stop a step that never awaits
            raise _timed_out(self._seconds)
        # One scope per step: between steps the consumer runs in the same task, and its own awaits
        # must not be cancelled here. The deadline is the same for all steps.
        try:
            async with asyncio.timeout_at(self._deadline) as scope:
                return await self._inner.__anext__()
        except TimeoutError as error:
            if scope.expired():
                raise _timed_out(self._seconds) from error
            raise

    def _is_late(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._deadline is not None and now >= self._deadline
