"""The benchmarks that pages name still run, and measure all that they say; no figure is judged."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tests.processes import ROOT, require_program

pytestmark = pytest.mark.timeout(180)  # many processes, beside whatever else runs

SERVERS = {
    "echo": {"pierhead", "service", "start_server", "streams", "protocol", "bare"},
    "pipelined": {"pierhead", "service", "start_server", "streams", "protocol", "bare"},
    "accept": {"pierhead", "service", "start_server", "streams", "protocol", "bare"},
}


def measured(*arguments: str) -> list[dict[str, object]]:
    script = str(ROOT / "benchmarks" / "echo_and_accept.py")
    few = ["--rounds", "1", "--count", "640", "--json"]
    done = subprocess.run(
        [sys.executable, script, *few, *arguments], capture_output=True, text=True, timeout=170
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's account of CPU is Linux's")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_echo_and_accept_measures_every_server(loop: str) -> None:
    cases = measured("--loop", loop, "--network", "unix")
    for load, servers in SERVERS.items():
        assert {case["server"] for case in cases if case["load"] == load} == servers
    assert all(cpu > 0 for case in cases for cpu in case["cpu_us"])


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's account of CPU is Linux's")
def test_datagrams_are_measured_too() -> None:
    cases = measured("--loop", "uvloop", "--network", "udp")
    assert {case["server"] for case in cases} == {"pierhead", "service", "datagrams"}


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's account of CPU is Linux's")
def test_forwarding_measures_every_relay() -> None:
    require_program("haproxy")
    script = str(ROOT / "benchmarks" / "forwarding.py")
    few = ["--rounds", "1", "--mib", "2", "--connections", "16", "--json"]
    done = subprocess.run([sys.executable, script, *few], capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    cases = json.loads(done.stdout)
    relays = {"pierhead", "copying", "haproxy", "haproxy-copies"}
    assert {(case["load"], case["relay"]) for case in cases} == {
        (load, relay) for load in ("down", "connections") for relay in relays
    }
    assert all(cost > 0 for case in cases for cost in case["cost"])
