"""One timer that enforces every deadline, as long as there is one to enforce."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice

from pierhead.clock import Clock

__all__ = ["Sweep"]

#: Deadlines looked at in one turn of the loop; for thousands of connections a sweep takes many.
_PER_TURN = 256


class Sweep:
    """Calls back at an interval while there is work, and sleeps otherwise.

    Args:
        interval_s: seconds between two sweeps; a deadline is met at most this much late.
        steps: given the monotonic time, enforces one deadline after the other, and yields after
            each whether there is anything left to watch where it was.
    """

    def __init__(
        self, clock: Clock, interval_s: float, steps: Callable[[float], Iterator[bool]]
    ) -> None:
        self.interval_s = interval_s
        self._clock = clock
        self._steps = steps
        self._left: Iterator[bool] | None = None
        self._is_watching = False
        self._timer: asyncio.Handle | None = None

    def wake(self) -> None:
        """Begin to sweep, unless it is going on already."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.interval_s, self._run)

    def stop(self) -> None:
        """Sweep no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._left = self._timer = None

    def _run(self) -> None:
        if self._left is None:
            self._left, self._is_watching = self._steps(self._clock.monotonic()), False
        taken = 0
        for is_watching in islice(self._left, _PER_TURN):
            taken += 1
            self._is_watching |= is_watching
        if taken == _PER_TURN:
            self._timer = asyncio.get_running_loop().call_soon(self._run)
            return
        self._left = self._timer = None
        if self._is_watching:
            self.wake()
