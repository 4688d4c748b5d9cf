"""Checks of upstreams on an interval: those that fail are ejected, those that succeed return."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from pierhead.client.upstream import Upstream
from pierhead.client.upstreams import Upstreams

__all__ = ["HealthChecks", "InUse"]

T = TypeVar("T")


class HealthChecks(Generic[T]):
    """Checks every upstream, each in a task of its own, until it is stopped.

    While it runs, an ejected upstream returns only after a check has succeeded.

    Args:
        check: raises anything if an upstream is not healthy.
        well_ones: whether healthy upstreams are checked too, or only ejected ones.
    """

    def __init__(
        self,
        upstreams: Upstreams[T],
        check: Callable[[T], Awaitable[object]],
        *,
        well_ones: bool = True,
    ) -> None:
        self._checks_well_ones = well_ones
        self._upstreams = upstreams
        self._check = check
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start checking; the first check of each is made at once."""
        loop = asyncio.get_running_loop()
        for upstream in self._upstreams.all:
            upstream.is_checked = True
            name = f"check {upstream.name}"
            self._tasks.append(loop.create_task(self._watch(upstream), name=name))

    async def stop(self) -> None:
        """Stop checking; ejections end by time again."""
        for upstream in self._upstreams.all:
            upstream.is_checked = False
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _watch(self, upstream: Upstream[T]) -> None:
        loop, options = asyncio.get_running_loop(), self._upstreams.options
        while True:
            if self._checks_well_ones or not upstream.share(loop.time()):
                await self._check_one(upstream)
            # Spread, so that the checks of many balancers do not come at the same moment.
            await asyncio.sleep(options.check_interval * random.uniform(0.8, 1.2))

    async def _check_one(self, upstream: Upstream[T]) -> None:
        time = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(self._upstreams.options.check_timeout):
                await self._check(upstream.target)
        except Exception:  # the verdict of a check is all that is asked for
            self._upstreams.check_failed(upstream, time())
        else:
            upstream.passed_check(time())


class InUse(Generic[T]):
    """Upstreams that several may use at once: the first starts the checks, the last stops them.

    Args:
        check: as for `HealthChecks`; None to learn from use alone.
    """

    def __init__(
        self,
        upstreams: Upstreams[T],
        check: Callable[[T], Awaitable[object]] | None,
        *,
        well_ones: bool = True,
    ) -> None:
        self._upstreams = upstreams
        self._checks = None
        if check is not None:
            self._checks = HealthChecks(upstreams, check, well_ones=well_ones)
        self._users = 0

    def begin(self) -> None:
        """Note one more user."""
        self._users += 1
        if self._users == 1 and self._checks is not None:
            self._checks.start()

    async def end(self) -> bool:
        """Note one less; after the last, close the upstreams and return True."""
        self._users -= 1
        if self._users:
            return False
        if self._checks is not None:
            await self._checks.stop()
        self._upstreams.close()
        return True
