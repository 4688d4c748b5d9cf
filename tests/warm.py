"""Programs forked from an interpreter that has Pierhead loaded: the same, ten times cheaper.

Most of what a program costs a test is the start of Python and the imports. Here they come once
for all programs of a test run (see `tests/template.py`). Each is a process of its own, with its
own descriptors, environment, folder, session, signals and exit code. What is not real is the
start of the interpreter: its options except ``-W``, its variables except ``PYTHONPATH``, what it
makes of closed descriptors, and that nothing is imported yet. For these: `tests.processes`.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from tests import processes
from tests.processes import PATIENCE_S, ROOT, pierhead_command

#: Elsewhere there is not all that the template needs: each program is started as usual.
FORKS = sys.platform == "linux"

__all__ = ["Process", "Running", "pierhead", "run"]


class Process:
    """A forked program: what `subprocess.Popen` offers, as far as tests need it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path = ROOT,
        env: Mapping[str, str] = os.environ,
        descriptors: Mapping[int, int],
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        """Fork; ``descriptors`` are all that it has: the numbers it sees, and ours of them."""
        if command[0] != sys.executable:
            raise ValueError(f"{command[0]} is not this Python; use tests.processes")
        self.args = list(command)
        self.returncode: int | None = None
        self.stdout, self.stderr = stdout, stderr
        self._report, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        job = {"words": self.args[1:], "cwd": os.fspath(cwd), "env": dict(env)}
        message = json.dumps({**job, "numbers": list(descriptors)}).encode()
        with theirs:
            numbers = [theirs.fileno(), *descriptors.values()]
            socket.send_fds(_template(), [message], numbers)
        self._report.settimeout(PATIENCE_S)
        self.pid = int(self._report.recv(20))

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, negative for a signal; `subprocess.TimeoutExpired` if too late."""
        if self.returncode is None:
            self._report.settimeout(timeout)
            try:
                self.returncode = int(self._report.recv(20))
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
            self._report.close()
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the program has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Running(processes.Running):
    """A forked program that runs until the block ends."""

    def _start(self, cwd: Path, env: Mapping[str, str]) -> Process | subprocess.Popen[str]:
        if not FORKS:
            return super()._start(cwd, env)
        out, their_out = os.pipe()
        err, their_err = os.pipe()
        process = Process(
            self.command,
            cwd=cwd,
            env=env,
            descriptors={1: their_out, 2: their_err},
            stdout=os.fdopen(out, encoding="utf-8", errors="replace"),
            stderr=os.fdopen(err, encoding="utf-8", errors="replace"),
        )
        os.close(their_out)
        os.close(their_err)
        return process


def run(
    command: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a forked program to its end."""
    env = {**os.environ, **(env or {})}
    if not FORKS:
        return subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, timeout=PATIENCE_S
        )
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as out,
        tempfile.TemporaryFile("w+", encoding="utf-8") as err,
    ):
        files = {1: out.fileno(), 2: err.fileno()}
        process = Process(command, cwd=cwd, env=env, descriptors=files)
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()
            process.wait()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(
            process.args, process.wait(), stdout=out.read(), stderr=err.read()
        )


def pierhead(
    *words: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of ``pierhead`` to its end."""
    return run([*pierhead_command(), *words], cwd=cwd, env=env)


@functools.cache
def _template() -> socket.socket:
    """Start the template, once; return the socket that it reads from, and with which it ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "template.py"), str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )

    @atexit.register
    def end() -> None:
        ours.close()
        process.wait(PATIENCE_S)

    return ours
