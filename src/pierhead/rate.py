"""A rate with a burst: a token bucket, stored as one number per source.

The number is the time at which the bucket will be full again. Taking a token adds one interval; if
it is already too far ahead, there is no token. Times are whole nanoseconds on any monotonic scale,
so that rounding errors do not accumulate.
"""

from __future__ import annotations

import math

__all__ = ["Rate"]


class Rate:
    """A number of tokens per second, and a number at once after a pause.

    In any span of t seconds at most ``burst + per_second * t`` tokens are taken.

    Args:
        per_second: greater than 0.
        burst: at least 1.
    """

    __slots__ = ("ahead_ns", "interval_ns")

    def __init__(self, per_second: float, burst: int) -> None:
        # Rounded up, so that the rate is never exceeded.
        self.interval_ns = math.ceil(1e9 / per_second)
        self.ahead_ns = (burst - 1) * self.interval_ns

    def take(self, full_at_ns: int, now_ns: int, tokens: int = 1) -> int | None:
        """Take tokens: return when the bucket will be full again, or None if it is empty.

        Args:
            full_at_ns: the value that the last call returned; any time in the past for a full
                bucket.
            now_ns: the current time.
            tokens: how many, at least 1; if one is available, the others may be borrowed.
        """
        if full_at_ns <= now_ns:
            return now_ns + tokens * self.interval_ns
        if full_at_ns - now_ns > self.ahead_ns:
            return None
        return full_at_ns + tokens * self.interval_ns

    def wait_ns(self, full_at_ns: int, now_ns: int) -> int:
        """Return how long it takes until a token is available; 0 if one is."""
        return max(0, full_at_ns - now_ns - self.ahead_ns)
