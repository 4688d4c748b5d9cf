"""A limit on how many requests are in a service at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from pierhead.context import Context
from pierhead.errors import Overloaded
from pierhead.limits import Limit
from pierhead.middleware.replies import Replies
from pierhead.service import Middleware, Reply, Service, as_service, is_many

__all__ = ["LIMITS", "limit"]

R = TypeVar("R")

INSIDE = Limit(
    name="limit",
    default=100,
    minimum=1,
    maximum=1_000_000,
    unit="requests",
    meaning="How many requests are in the service at once.",
    source="NSD's tcp-count, 100",
    metric='failed_total{reason="Overloaded"}',
    effect="at construction",
)

WAITING = Limit(
    name="max_waiting",
    default=1000,
    minimum=0,
    maximum=1_000_000,
    unit="requests",
    meaning="How many requests wait for a place before the next is shed.",
    source="a service of 1 ms and 100 places works this queue off in 10 ms",
    metric='failed_total{reason="Overloaded"}',
    effect="at construction",
)

LIMITS = (INSIDE, WAITING)


def limit(n: int, *, max_waiting: int = 1000) -> Middleware:
    """Return a layer that lets this many requests into the service at once.

    The others wait, first come first served; when ``max_waiting`` of them do, the next is shed
    with `Overloaded`. A request leaves when its last reply has been taken. Each service that the
    layer is put around has places of its own.
    """
    INSIDE.check(n)
    WAITING.check(max_waiting)

    def layer(function: Service[Any, Any]) -> Service[Any, Any]:
        service = as_service(function)
        places = asyncio.Semaphore(n)
        waiting = 0

        async def enter() -> None:
            nonlocal waiting
            if waiting >= max_waiting:
                raise Overloaded("limit")
            waiting += 1
            try:
                await places.acquire()
            finally:
                waiting -= 1

        async def limited(request: Any, context: Context) -> Reply[Any]:
            if places.locked():
                await enter()
            else:
                await places.acquire()  # does not wait
            try:
                reply = await service(request, context)
            except BaseException:
                places.release()
                raise
            if is_many(reply):
                return _HeldReplies(reply, places.release)
            places.release()
            return reply

        return limited

    return layer


class _HeldReplies(Replies[R]):
    __slots__ = ("_release",)

    def __init__(self, inner: AsyncIterator[R], release: Callable[[], None]) -> None:
        super().__init__(inner)
        self._release = release

    def _ended(self, error: BaseException | None) -> None:
        self._release()
