"""Counters of how the requests of one listener ended."""

from __future__ import annotations

from collections.abc import Callable

from pierhead.metrics import Metric

__all__ = ["RequestCounters"]

#: How many reasons have a cached counter; a user's check may invent any number of reasons.
_REASONS = 64


class RequestCounters:
    """Counts how the requests of one listener ended.

    Args:
        count: returns the counter with a name and labels.
    """

    def __init__(self, count: Callable[..., Metric]) -> None:
        self._count = count
        self._dropped: dict[str, Metric] = {}  # a flood of them must be cheap
        self.answered = count("requests_answered_total")
        self.silent = count("requests_silent_total")
        self.shed = count("dropped_total", reason="max_requests")

    def failed(self, reason: str) -> None:
        """Count one request that the service did not answer."""
        self._count("requests_failed_total", reason=reason).value += 1

    def undecodable(self) -> None:
        """Count one frame that is not a message."""
        self.dropped("undecodable")

    def lost(self, reason: str) -> None:
        """Count one accepted request that will not be answered."""
        self._count("requests_lost_total", reason=reason).value += 1

    def dropped(self, reason: str) -> None:
        """Count one frame or connection that is turned away."""
        counter = self._dropped.get(reason)
        if counter is None:
            counter = self._count("dropped_total", reason=reason)
            if len(self._dropped) < _REASONS:
                self._dropped[reason] = counter
        counter.value += 1
