"""Clients and conversations work on uvloop, which many programs run on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[1] / "unit"
TESTS = [
    UNIT / "client",
    UNIT / "connection",
    UNIT / "server/test_converse.py",
    UNIT / "server/test_nothing_is_left.py",
]


#: uvloop closes a socket some iterations later, and these count what is open at once.
NOT_THESE = UNIT / "client/test_tls.py"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_tests_of_clients_and_conversations_pass_on_uvloop() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "uvloop_plugin", "-x"]
    command += ["--ignore", str(NOT_THESE)]
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    run = subprocess.run(
        [*command, "-W", "ignore::DeprecationWarning", "-p", "no:cacheprovider", *map(str, TESTS)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=390,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) > 150
