"""How long the requests of one listener take, in as few calls as possible.

What is answered in place, without waiting, shares the time of its batch or read: one look at the
clock, however many requests. Ready answers to datagrams are counted in the lowest bucket without a
look.
"""

from __future__ import annotations

from collections.abc import Callable

from pierhead.metrics import Histogram

__all__ = ["RequestTimes"]


class RequestTimes:
    """The times of the requests of one listener.

    Args:
        histogram: returns the histogram with a name and labels.
        now: the monotonic clock that requests are received by.

    Attributes:
        answered: of requests with a reply of their service, or a ready one.
        failed: of requests that waited and ended otherwise.
    """

    __slots__ = ("_now", "answered", "failed")

    def __init__(self, histogram: Callable[..., Histogram], now: Callable[[], float]) -> None:
        self._now = now
        self.answered = histogram("request_seconds", outcome="answered")
        self.failed = histogram("request_seconds", outcome="failed")

    def in_place(self, received_at: float, answered: int) -> None:
        """Count requests that were received together and answered in place."""
        self.answered.observe(self._now() - received_at, answered)

    def ready(self, answered: int) -> None:
        """Count ready answers: in the lowest bucket, and as no time in the sum."""
        self.answered.counts[0] += answered

    def waited(self, received_at: float, *, is_answered: bool) -> None:
        """Count a request that had to wait."""
        histogram = self.answered if is_answered else self.failed
        histogram.observe(self._now() - received_at)
