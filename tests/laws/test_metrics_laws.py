"""Laws of metrics: how processes are merged, and that any text of theirs can be read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pierhead.metrics import Metrics, Reading
from pierhead.metrics_text import exposition, merged
from pierhead.printable import printable

NAMES = st.sampled_from(["a_total", "b_total", "connections_open", "upstream_share"])
LABELS = st.dictionaries(st.sampled_from(["listener", "reason"]), st.text(max_size=6), max_size=2)
#: Whole numbers: their sums are exact, whatever the order.
EVENTS = st.lists(st.tuples(NAMES, LABELS, st.integers(0, 1000)), max_size=12)


def counted(events: list[tuple[str, dict[str, str], int]]) -> list[Reading]:
    metrics = Metrics()
    for name, labels, number in events:
        if name.endswith("_total"):
            metrics.counter(name, **labels).add(number)
        else:
            metrics.gauge(name, **labels).value = number
        metrics.histogram("request_seconds", **labels).observe(number)
    return metrics.readings()


@given(st.lists(EVENTS, max_size=4), st.randoms(use_true_random=False))
def test_order_and_grouping_of_processes_make_no_difference(processes, random) -> None:
    readings = [counted(events) for events in processes]
    shuffled = random.sample(readings, len(readings))
    cut = random.randint(0, len(readings))
    whole = merged(readings)

    assert merged(shuffled) == whole
    assert merged([merged(readings[:cut]), merged(readings[cut:])]) == whole
    assert merged([whole]) == whole


@given(EVENTS, st.integers(0, 12))
def test_what_several_count_is_what_one_would_have_counted(events, cut) -> None:
    counts = [event for event in events if event[0].endswith("_total")]

    assert merged([counted(counts[:cut]), counted(counts[cut:])]) == merged([counted(counts)])


@given(EVENTS)
def test_any_label_is_read_again_and_nothing_is_lost_or_counted_twice(events) -> None:
    readings = counted(events)
    families = text_string_to_metric_families(exposition(readings))
    read = {
        (sample.name.removeprefix("pierhead_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if family.type in ("counter", "gauge")
    }

    assert read == {
        (one.name, tuple((name, printable(value)) for name, value in one.labels)): one.value
        for one in readings
        if one.kind != "histogram"
    }
