"""Servers work in a program with its own task factory."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from task_factory_plugin import FACTORIES, VARIABLE

from pierhead import Server
from pierhead.protocols import lines

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", FACTORIES)
async def test_a_request_that_waits_is_answered(name: str) -> None:
    asyncio.get_running_loop().set_task_factory(FACTORIES[name])

    async def slowly(line: str, context: object) -> str:
        await asyncio.sleep(0.001)
        return line.upper()

    async with Server(lines.serve(slowly), "tcp:127.0.0.1:0", request_timeout=5) as server:
        host, _, port = server.addresses[0].removeprefix("tcp:").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"a\nb\n")
        assert await reader.readline() == b"A\n"
        assert await reader.readline() == b"B\n"
        writer.close()
    assert not server.lost


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", FACTORIES)
def test_every_test_of_the_servers_passes_under_a_factory(name: str) -> None:
    ours = Path(__file__).name
    command = [sys.executable, "-m", "pytest", "-q", "-p", "task_factory_plugin", "-x"]
    # A task cancelled before its first step never awaits the coroutine that such a factory has
    # wrapped.
    for category in ("RuntimeWarning", "pytest.PytestUnraisableExceptionWarning"):
        command += ["-W", f"ignore::{category}"]
    run = subprocess.run(
        [*command, "-p", "no:cacheprovider", f"--ignore={HERE / ours}", str(HERE)],
        env={**os.environ, VARIABLE: name, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) > 200
