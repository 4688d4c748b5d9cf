"""The counters of the connections of one listener."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from pierhead.metrics import Metric, Metrics
from pierhead.service.counters import ByReason, RequestCounters
from pierhead.service.request_times import RequestTimes

__all__ = ["ConnectionCounters", "watch_load"]


class ConnectionCounters:
    """The counters of one stream listener, shared by its connections.

    Args:
        metrics: where they are.
        listener: its name.
        now: the monotonic clock that requests are received by.

    Attributes:
        closed: counts one connection that ended, by reason.
        handshake_failed: counts one handshake that did not come through, by reason; its connection
            is counted as closed.
    """

    def __init__(self, metrics: Metrics, listener: str, now: Callable[[], float]) -> None:
        self._metrics = metrics
        self._listener = listener
        self.closed = ByReason(self.count, "connections_closed_total").add
        self.handshake_failed = ByReason(self.count, "handshakes_failed_total").add
        times = RequestTimes(partial(metrics.histogram, listener=listener), now)
        self.requests = RequestCounters(self.count, times)
        self.dropped = self.requests.dropped
        self.accepted = self.count("connections_accepted_total")
        self.open = metrics.gauge("connections_open", listener=listener)
        self.frames_received = self.count("frames_received_total")
        self.frames_sent = self.count("frames_sent_total")
        self.bytes_received = self.count("bytes_received_total")
        self.bytes_sent = self.count("bytes_sent_total")
        self.ready_answers = self.count("ready_answers_total")
        self.reads_paused = self.count("reads_paused_total")
        self.writes_paused = self.count("writes_paused_total")

    def count(self, name: str, **labels: str) -> Metric:
        """Return a counter of this listener."""
        return self._metrics.counter(name, listener=self._listener, **labels)


class _Busy(Protocol):
    @property
    def in_flight(self) -> int: ...


def watch_load(
    metrics: Metrics, listener: str, server: _Busy, unsent_bytes: Callable[[], float]
) -> Callable[[], None]:
    """Register gauges of a listener's current work; return the function that removes them."""
    ends = [
        metrics.watch("requests_in_flight", lambda: server.in_flight, listener=listener),
        metrics.watch("unsent_bytes", unsent_bytes, listener=listener),
    ]

    def end() -> None:
        for one in ends:
            one()

    return end
