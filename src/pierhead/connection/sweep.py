"""One timer that enforces all deadlines, as long as there are any."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from itertools import islice

from pierhead.clock import Clock
from pierhead.failure_log import one_line

__all__ = ["Sweep"]

_log = logging.getLogger("pierhead.server")

#: Deadlines checked per iteration of the loop; a sweep of thousands of connections takes many.
_PER_TURN = 256


class Sweep:
    """Calls back at an interval while there is work, and sleeps otherwise.

    Args:
        interval_s: seconds between two sweeps; a deadline is enforced at most this much late.
        steps: given the monotonic time, enforces one deadline after another, and yields after each
            whether anything is left to watch there. If it raises, the next sweep still follows.
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
        """Start sweeping, unless it is already running."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.interval_s, self._run)

    def stop(self) -> None:
        """Stop sweeping."""
        if self._timer is not None:
            self._timer.cancel()
        self._left = self._timer = None

    def _run(self) -> None:
        self._timer = None
        is_watching = True  # also after a failure: others have deadlines too
        try:
            is_watching = self._go_on()
        except BaseException as mistake:
            self._left = None
            if not isinstance(mistake, Exception):
                raise
            _log.error("a sweep failed; the next one follows: %s", one_line(mistake))
        finally:
            if is_watching:
                self.wake()

    def _go_on(self) -> bool:
        """Make some steps; return whether another sweep is needed, once this one is over."""
        if self._left is None:
            self._left, self._is_watching = self._steps(self._clock.monotonic()), False
        taken = 0
        for is_watching in islice(self._left, _PER_TURN):
            taken += 1
            self._is_watching |= is_watching
        if taken == _PER_TURN:
            self._timer = asyncio.get_running_loop().call_soon(self._run)
            return False
        self._left = None
        return self._is_watching
