"""One timer that enforces every deadline, as long as there is one to enforce."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pierhead.clock import Clock

__all__ = ["Sweep"]


class Sweep:
    """Calls back at an interval while there is work, and sleeps otherwise.

    Args:
        interval_s: seconds between two sweeps; a deadline is met at most this much late.
        step: given the monotonic time, enforces deadlines; false when nothing is left to watch.
    """

    def __init__(self, clock: Clock, interval_s: float, step: Callable[[float], bool]) -> None:
        self.interval_s = interval_s
        self._clock = clock
        self._step = step
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """Begin to sweep, unless it is going on already."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.interval_s, self._run)

    def stop(self) -> None:
        """Sweep no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = None
        if self._step(self._clock.monotonic()):
            self.wake()
