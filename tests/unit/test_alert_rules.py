"""The alerts in deploy/ ask for what is counted, and Prometheus understands them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.processes import ROOT

from pierhead.metrics import Kind, Reading
from pierhead.metrics_table import METRICS
from pierhead.metrics_text import exposition

RULES = ROOT / "deploy" / "prometheus" / "pierhead.rules.yml"
PROMTOOL = shutil.which("promtool")

#: What happens, and the alert that fires; series as promtool writes them, a value a minute.
EVENTS = {
    "PierheadLosesRequests": {
        'pierhead_requests_lost_total{instance="a", listener="x", reason="forced"}': "0x5 3x20",
    },
    "PierheadServiceFails": {
        'pierhead_requests_failed_total{instance="a", listener="x", reason="error"}': "0+10x25",
        'pierhead_frames_received_total{instance="a", listener="x"}': "0+100x25",
    },
    "PierheadSheds": {
        'pierhead_dropped_total{instance="a", listener="x", reason="max_requests"}': "0+1x25",
    },
    "PierheadLoopBlocked": {
        'pierhead_loop_blocked_seconds_total{instance="a"}': "0+3x25",
    },
    "PierheadSlow": {
        f'pierhead_request_seconds_bucket{{outcome="answered", listener="x", le="{bound}"}}': values
        for bound, values in (("1", "0+1x25"), ("10", "0+9x25"), ("+Inf", "0+9x25"))
    },
}


def alerts() -> dict[str, str]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule["expr"] for rule in group["rules"]}


def test_every_name_in_an_alert_is_counted() -> None:
    def kind(name: str) -> Kind:
        if name == "request_seconds":
            return "histogram"
        return "counter" if name.endswith("_total") else "gauge"

    readings = [Reading(name, kind(name), (), 0, (), (0,)) for name in METRICS]
    exposed = set(re.findall(r"^(pierhead_\w+)", exposition(readings), re.MULTILINE))
    for alert, expression in alerts().items():
        names = set(re.findall(r"pierhead_\w+", expression))
        assert names, alert
        assert names <= exposed, alert


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (apt install prometheus)")
def test_prometheus_fires_each_alert_for_its_event_and_none_without(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    assert alerts().keys() == EVENTS.keys()
    tests = []
    for happens, series in EVENTS.items():
        checks = [
            {
                "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
                "eval_time": "12m",
                "exp_samples": [{"labels": "{}", "value": 1}] if alert == happens else [],
            }
            for alert in EVENTS
        ]
        given = [{"series": name, "values": values} for name, values in series.items()]
        tests.append({"interval": "1m", "input_series": given, "promql_expr_test": checks})
    (tmp_path / "tests.yml").write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests})
    )
    ran = subprocess.run(
        [PROMTOOL, "test", "rules", str(tmp_path / "tests.yml")], capture_output=True, timeout=30
    )
    assert ran.returncode == 0, (ran.stdout + ran.stderr).decode()
