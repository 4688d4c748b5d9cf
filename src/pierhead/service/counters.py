"""Counters of how the requests of one listener ended."""

from __future__ import annotations

from collections.abc import Callable

from pierhead.metrics import Metric
from pierhead.service.request_times import RequestTimes

__all__ = ["ByReason", "RequestCounters"]

#: How many reasons have a cached counter; a user's check may invent any number of reasons.
_REASONS = 64


class ByReason:
    """Counts events by reason; a flood of them must be cheap.

    Args:
        count: returns the counter with a name and labels.
        name: the name of the counter.
    """

    __slots__ = ("_count", "_known", "_name")

    def __init__(self, count: Callable[..., Metric], name: str) -> None:
        self._count = count
        self._name = name
        self._known: dict[str, Metric] = {}

    def add(self, reason: str) -> None:
        """Count one."""
        counter = self._known.get(reason)
        if counter is None:
            counter = self._count(self._name, reason=reason)
            if len(self._known) < _REASONS:
                self._known[reason] = counter
        counter.value += 1


class RequestCounters:
    """Counts how the requests of one listener ended.

    Args:
        count: returns the counter with a name and labels.
        times: how long they took.

    Attributes:
        dropped: counts one frame or connection that is turned away, by reason.
        failed: counts one request that the service did not answer, by reason.
        lost: counts one accepted request that will not be answered, by reason.
    """

    def __init__(self, count: Callable[..., Metric], times: RequestTimes) -> None:
        self.times = times
        self.dropped = ByReason(count, "dropped_total").add
        self.failed = ByReason(count, "requests_failed_total").add
        self.lost = ByReason(count, "requests_lost_total").add
        self.answered = count("requests_answered_total")
        self.silent = count("requests_silent_total")
        self.shed = count("dropped_total", reason="max_requests")

    def undecodable(self) -> None:
        """Count one frame that is not a message."""
        self.dropped("undecodable")
