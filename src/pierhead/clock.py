"""Where servers get the time from, so that a test can hold it."""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Two readings: one that never goes back, one that people read."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back; on the event loop's scale."""
        ...

    def wall(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""
        ...


class SystemClock:
    """The clock of the machine."""

    __slots__ = ()

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)
