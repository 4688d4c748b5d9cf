"""A rate with a burst: a token bucket, kept as one number for whoever is held to it.

That number says when the bucket will be full again. Taking a token moves it on by one interval;
where it lies too far ahead already, there is no token. Times are whole nanoseconds on any scale
that never goes back, so that no error of rounding adds up.
"""

from __future__ import annotations

import math

__all__ = ["Rate"]


class Rate:
    """So many tokens a second, and so many at once after a pause.

    In any span of t seconds no more than ``burst + per_second * t`` tokens are taken.

    Args:
        per_second: greater than 0.
        burst: at least 1.
    """

    __slots__ = ("ahead_ns", "interval_ns")

    def __init__(self, per_second: float, burst: int) -> None:
        # Rounded up: never more than the rate.
        self.interval_ns = math.ceil(1e9 / per_second)
        self.ahead_ns = (burst - 1) * self.interval_ns

    def take(self, full_at_ns: int, now_ns: int, tokens: int = 1) -> int | None:
        """Take tokens: return when the bucket is full again, None where it is empty.

        Args:
            full_at_ns: what the last take returned; anything in the past for a full bucket.
            now_ns: the time.
            tokens: how many, at least 1; where one is there the others may be owed.
        """
        if full_at_ns <= now_ns:
            return now_ns + tokens * self.interval_ns
        if full_at_ns - now_ns > self.ahead_ns:
            return None
        return full_at_ns + tokens * self.interval_ns

    def wait_ns(self, full_at_ns: int, now_ns: int) -> int:
        """Return how long it takes until there is a token, 0 where there is one."""
        return max(0, full_at_ns - now_ns - self.ahead_ns)
