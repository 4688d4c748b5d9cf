"""Every test of the servers passes in a program with its own task factory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.server.task_factory_plugin import FACTORIES, VARIABLE

SERVERS = Path(__file__).parents[1] / "unit/server"


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", FACTORIES)
def test_every_test_of_the_servers_passes_under_a_factory(name: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "task_factory_plugin", "-x"]
    # A task cancelled before its first step never awaits the coroutine that such a factory has
    # wrapped.
    for category in ("RuntimeWarning", "pytest.PytestUnraisableExceptionWarning"):
        command += ["-W", f"ignore::{category}"]
    path = os.pathsep.join([str(SERVERS), *sys.path])
    run = subprocess.run(
        [*command, "-p", "no:cacheprovider", str(SERVERS)],
        env={**os.environ, VARIABLE: name, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=390,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) > 200
