"""Metrics: numbers by name and labels, bounded whatever the labels contain."""

from __future__ import annotations

import tracemalloc

from pierhead.clock import SystemClock
from pierhead.metrics import Metrics
from pierhead.server.connection_counters import ConnectionCounters


def test_labels_chosen_by_a_peer_do_not_fill_memory() -> None:
    metrics = Metrics()
    metrics.counter("dropped_total", listener="b", reason="own").add()
    tracemalloc.start()
    try:
        for number in range(4000):
            metrics.counter("dropped_total", listener="a", reason=f"{number:0>10000}").add()
            metrics.counter("dropped_total", listener="a", reason=f"short {number}").add()
        assert tracemalloc.get_traced_memory()[0] < 300_000
    finally:
        tracemalloc.stop()
    assert len(metrics.snapshot()) <= 256 + 2
    # Nothing goes uncounted, and existing series keep their own names.
    assert metrics.total("dropped_total", listener="a") == 8000
    assert metrics.total("dropped_total", listener="a", reason="other") > 7000
    metrics.counter("dropped_total", listener="b", reason="own").add()
    assert metrics.total("dropped_total", listener="b", reason="own") == 2


def test_a_listener_keeps_its_name_however_many_reasons_it_has() -> None:
    metrics = Metrics()
    for listener in "abc":
        for number in range(300):
            metrics.counter("dropped_total", listener=listener, reason=str(number)).add()
    assert [metrics.total("dropped_total", listener=one) for one in "abc"] == [300] * 3


def test_cached_counters_are_bounded_as_well() -> None:
    metrics = Metrics()
    counters = ConnectionCounters(metrics, "a", SystemClock().monotonic)
    for number in range(1000):
        counters.dropped(f"reason {number}")
        counters.closed(f"reason {number}")
    assert len(counters.requests.dropped.__self__._known) <= 64
    assert len(counters.closed.__self__._known) <= 64
    assert metrics.total("dropped_total") == metrics.total("connections_closed_total") == 1000


def test_a_watched_gauge_is_read_on_demand_and_summed() -> None:
    metrics, now = Metrics(), [1.0, 2.0]
    ends = [metrics.watch("waiting", lambda i=i: now[i], listener="x") for i in range(2)]
    assert metrics.total("waiting", listener="x") == 3
    now[0] = 5
    assert metrics.snapshot() == {'waiting{listener="x"}': 7}
    ends[0]()
    ends[0]()
    assert metrics.total("waiting") == 2
