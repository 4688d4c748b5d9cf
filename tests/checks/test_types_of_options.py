"""mypy finds wrong options in a program that uses Pierhead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SNIPPET = """\
from pierhead import Server, ServerLimits, run
from pierhead.server.endpoint import Endpoint


def right(endpoint: Endpoint) -> None:
    limits: ServerLimits = {"request_timeout": "off", "when_full": "wait"}
    run(endpoint, "127.0.0.1:7000", idle_timeout=5)
    Server(endpoint, **limits).reconfigure(max_connections=5)


def wrong(endpoint: Endpoint, server: Server) -> None:
    run(endpoint, reqest_timeout=5.0)
    Server(endpoint, max_connections=1.5)
    Server(endpoint, idle_timeout="off")
    server.reconfigure(when_full="often")
"""


def test_mypy_finds_a_misspelt_keyword_and_a_value_of_the_wrong_type(tmp_path: Path) -> None:
    snippet = tmp_path / "program.py"
    snippet.write_text(SNIPPET)
    command = [sys.executable, "-m", "mypy", snippet]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line.partition(": error: ")[0].rpartition(":")[2] for line in errors] == [
        "12",
        "13",
        "14",
        "15",
    ], done.stdout + done.stderr
    assert 'did you mean "request_timeout"?' in errors[0]
