"""A limit on how many requests are in a service at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from pierhead.errors import Overloaded
from pierhead.limits import Limit
from pierhead.middleware.replies import Replies
from pierhead.service import Middleware, Reply, Service, as_service, is_many
from pierhead.service.context import Context

__all__ = ["LIMITS", "limit"]

R = TypeVar("R")

INSIDE = Limit(
    name="limit",
    default=100,
    minimum=1,
    maximum=1_000_000,
    unit="requests",
    meaning="How many requests may be in the service at once.",
    source="NSD's tcp-count, 100",
    metric="requests_failed_total{reason=limit}",
    effect="at construction",
)

WAITING = Limit(
    name="max_waiting",
    default=1000,
    minimum=0,
    maximum=1_000_000,
    unit="requests",
    meaning="How many requests may wait for a slot before the next is shed.",
    source="a service of 1 ms with 100 slots clears this queue in 10 ms",
    metric="requests_failed_total{reason=limit}",
    effect="at construction",
)

LIMITS = (INSIDE, WAITING)


def limit(n: int = int(INSIDE.default), *, max_waiting: int = int(WAITING.default)) -> Middleware:
    """Return a layer that admits this many requests into the service at once.

    The others wait, first come, first served; when ``max_waiting`` are waiting, the next is shed
    with `Overloaded`. A request leaves when its last reply has been taken. Each service that the
    layer wraps has its own slots.
    """
    INSIDE.check(n)
    WAITING.check(max_waiting)

    def layer(function: Service[Any, Any]) -> Service[Any, Any]:
        service = as_service(function)
        places = _Places(n, max_waiting)

        async def limited(request: Any, context: Context) -> Reply[Any]:
            if places.free:
                places.free -= 1
            else:
                await places.wait()
            try:
                reply = await service(request, context)
            except BaseException:
                places.leave()
                raise
            if is_many(reply):
                return _HeldReplies(reply, places.leave)
            places.leave()
            return reply

        return limited

    return layer


class _Places:
    """The slots of a service, and the queue for them.

    A released slot goes straight to the first request in the queue, so one is free only when none
    is waiting: a request that has just arrived cannot overtake. (asyncio's Semaphore promises the
    same, but costs twice as much as the rest of the layer.)
    """

    __slots__ = ("_max_waiting", "_queue", "free")

    def __init__(self, free: int, max_waiting: int) -> None:
        self.free = free
        self._max_waiting = max_waiting
        self._queue: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Wait for a slot that another request releases."""
        if len(self._queue) >= self._max_waiting:
            raise Overloaded("limit")
        place = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                # leave() may have seen it in between and skipped it.
                with contextlib.suppress(ValueError):
                    self._queue.remove(place)
            else:
                self.leave()  # the slot was already ours
            raise

    def leave(self) -> None:
        """Release a slot."""
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.free += 1


class _HeldReplies(Replies[R]):
    __slots__ = ("_release",)

    def __init__(self, inner: AsyncIterator[R], release: Callable[[], None]) -> None:
        super().__init__(inner)
        self._release = release

    def _ended(self, error: BaseException | None) -> None:
        self._release()
