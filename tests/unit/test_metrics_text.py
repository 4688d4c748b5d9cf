"""The text of metrics, as prometheus-client and promtool read it."""

from __future__ import annotations

import math
import shutil
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from pierhead.metrics import BOUNDS, Metrics, Reading
from pierhead.metrics_table import METRICS
from pierhead.metrics_text import CONTENT_TYPE, exposition, merged

PROMTOOL = shutil.which("promtool")


def some() -> Metrics:
    metrics = Metrics()
    metrics.counter("dropped_total", listener='a"b\\c\nd\x1b[2J', reason="é\udcff").add(3)
    metrics.counter("accepts_paused_seconds_total", listener="a").add(0.25)
    metrics.gauge("connections_open", listener="a").add(2)
    metrics.watch("unsent_bytes", lambda: 1e20, listener="a")
    histogram = metrics.histogram("request_seconds", listener="a", outcome="answered")
    histogram.observe(0.0001)
    histogram.observe(0.3, 4)
    histogram.observe(99)
    return metrics


def test_the_text_is_what_it_says() -> None:
    metrics = Metrics()
    metrics.counter("requests_answered_total", listener="shout").add(2)
    metrics.gauge("connections_open").add(1)

    assert exposition(metrics.readings()) == (
        "# TYPE pierhead_connections_open gauge\n"
        "# HELP pierhead_connections_open Connections that are open now.\n"
        "pierhead_connections_open 1\n"
        "# TYPE pierhead_requests_answered counter\n"
        "# HELP pierhead_requests_answered Requests with a reply, or with the last of many.\n"
        'pierhead_requests_answered_total{listener="shout"} 2\n'
        "# EOF\n"
    )
    assert exposition([]) == "# EOF\n"
    assert CONTENT_TYPE.startswith("application/openmetrics-text; version=1.0.0")


def test_prometheus_client_reads_every_value_kind_unit_and_meaning() -> None:
    text = exposition(some().readings())
    families = {one.name: one for one in text_string_to_metric_families(text)}

    assert text.isascii()
    assert "\x1b" not in text
    (dropped,) = families["pierhead_dropped"].samples
    assert dropped.name == "pierhead_dropped_total"
    assert dropped.labels == {"listener": 'a"b\\\\c\\nd\\x1b[2J', "reason": "\\xe9\\udcff"}
    assert dropped.value == 3
    assert families["pierhead_accepts_paused_seconds"].unit == "seconds"
    assert families["pierhead_unsent_bytes"].unit == "bytes"
    assert families["pierhead_unsent_bytes"].samples[0].value == 1e20
    assert families["pierhead_connections_open"].documentation == "Connections that are open now."
    times = families["pierhead_request_seconds"]
    assert times.type == "histogram"
    by_name = {(s.name, s.labels.get("le")): s.value for s in times.samples}
    assert by_name["pierhead_request_seconds_bucket", "0.0001"] == 1
    assert by_name["pierhead_request_seconds_bucket", "0.25"] == 1
    assert by_name["pierhead_request_seconds_bucket", "0.5"] == 5
    assert by_name["pierhead_request_seconds_bucket", "10.0"] == 5
    assert by_name["pierhead_request_seconds_bucket", "+Inf"] == 6
    assert by_name["pierhead_request_seconds_count", None] == 6
    assert by_name["pierhead_request_seconds_sum", None] == pytest.approx(100.2001)


def test_scrapers_of_the_older_format_read_the_same_values() -> None:
    text = exposition(some().readings())
    samples = {
        (s.name, s.labels.get("le")): s.value for f in plain_families(text) for s in f.samples
    }

    assert samples["pierhead_dropped_total", None] == 3
    assert samples["pierhead_request_seconds_count", None] == 6


def test_every_metric_of_the_table_can_be_exposed() -> None:
    readings = [Reading(name, "counter", (), 1) for name in METRICS if name.endswith("_total")]
    readings += [Reading(name, "gauge", (), 1) for name in METRICS if not name.endswith("_total")]
    families = list(text_string_to_metric_families(exposition(readings)))

    assert len(families) == len(METRICS)
    assert all(one.documentation for one in families)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (apt install prometheus)")
def test_promtool_finds_no_fault_in_the_text() -> None:
    assert PROMTOOL is not None
    metrics = some()
    # promtool reads the older format, to which the end marker is a comment.
    checked = subprocess.run(
        [PROMTOOL, "check", "metrics"],
        input=exposition(metrics.readings()).encode(),
        capture_output=True,
        timeout=20,
    )
    faults = [
        line
        for line in (checked.stdout + checked.stderr).decode().splitlines()
        # The older format has no family names: a counter's help is that of its sample's.
        if "no help text" not in line
    ]

    assert checked.returncode in (0, 3)
    assert faults == []


def test_names_and_labels_of_a_program_are_made_to_fit() -> None:
    metrics = Metrics()
    metrics.counter("caf\u00e9 orders", **{"täble": "1"}).add()
    metrics.gauge("caf\u00e9 orders").add(7)
    (one, other) = text_string_to_metric_families(exposition(metrics.readings()))

    assert one.samples[0][:3] == ("pierhead_caf__orders_total", {"t_ble": "1"}, 1)
    assert other.samples[0][:3] == ("pierhead_caf__orders_gauge", {}, 7)


def test_series_that_look_the_same_once_made_to_fit_are_one() -> None:
    metrics = Metrics()
    metrics.counter("x_total", **{"ä": "1"}).add(2)
    metrics.counter("x_total", **{"ö": "1"}).add(3)

    assert 'pierhead_x_total{_="1"} 5\n' in exposition(metrics.readings())


def test_numbers_that_are_none_are_written_as_the_format_says() -> None:
    values = [math.inf, -math.inf, math.nan]
    readings = [Reading("x", "gauge", (("n", str(n)),), v) for n, v in enumerate(values)]
    text = exposition(readings)

    assert [line.rpartition(" ")[2] for line in text.splitlines()[1:-1]] == ["+Inf", "-Inf", "NaN"]
    (family,) = text_string_to_metric_families(text)
    assert [one.value for one in family.samples[:2]] == values[:2]


def test_a_share_is_the_least_of_any_process_and_buckets_are_those_of_all() -> None:
    share = [Reading("upstream_share", "gauge", (), value) for value in (1, 0.5)]
    assert merged([share[:1], share[1:]]) == share[1:]

    one = Reading("t", "histogram", (), 3.0, (1, 2, 4), (1, 2, 3, 4))
    other = Reading("t", "histogram", (), 2.0, (2, 4, 8), (10, 20, 30, 40))
    assert merged([[one], [other]]) == [Reading("t", "histogram", (), 5.0, (2, 4), (13, 23, 74))]


def test_a_histogram_is_counted_and_summed_by_the_registry() -> None:
    metrics = Metrics()
    histogram = metrics.histogram("request_seconds", listener="a")
    assert metrics.histogram("request_seconds", listener="a") is histogram
    histogram.observe(BOUNDS[-1] + 1, 2)

    assert metrics.total("request_seconds", listener="a") == 2
    assert metrics.snapshot() == {'request_seconds{listener="a"}': 2}
    assert repr(histogram) == 'request_seconds{listener="a"} 2 observed'
    assert histogram.counts[-1] == 2
