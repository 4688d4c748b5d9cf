"""Programs beside the tests: find them, start them, wait until they serve, stop them.

Shared by `tests/interop`, `tests/docs` and `benchmarks/`. Nothing here sleeps: waiting for a
process is waiting for its end, and waiting for a line is waiting for the thread that reads it.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

__all__ = [
    "PATIENCE_S",
    "REQUIRE",
    "ROOT",
    "Running",
    "find_program",
    "free_port",
    "pierhead_command",
    "ready_port",
    "require_program",
    "wait_until",
]

ROOT = Path(__file__).resolve().parent.parent

#: Set to 1 where every program must be there (`.ci/run`): a missing one fails, not skips.
REQUIRE = "PIERHEAD_REQUIRE_PROGRAMS"

#: How long a program may take to start, to answer or to stop before that is a failure.
PATIENCE_S = 20.0

#: The Debian package of each program that a test or a benchmark may ask for.
PACKAGES = {
    "caddy": "caddy",
    "curl": "curl",
    "delv": "bind9-dnsutils",
    "dig": "bind9-dnsutils",
    "dnsperf": "dnsperf",
    "dnssec-keygen": "bind9-utils",
    "dnssec-signzone": "bind9-utils",
    "drill": "ldnsutils",
    "haproxy": "haproxy",
    "kdig": "knot-dnsutils",
    "knotd": "knot",
    "kzonecheck": "knot-dnssecutils",
    "ldns-signzone": "ldnsutils",
    "ldns-verify-zone": "ldnsutils",
    "ldns-read-zone": "ldnsutils",
    "named": "bind9",
    "named-checkzone": "bind9-utils",
    "named-compilezone": "bind9-utils",
    "nats-server": "nats-server",
    "nsd": "nsd",
    "nsd-checkzone": "nsd",
    "openssl": "openssl",
    "redis-cli": "redis-tools",
    "redis-server": "redis-server",
    "socat": "socat",
    "systemd-analyze": "systemd",
    "systemd-socket-activate": "systemd",
}


def find_program(name: str) -> str | None:
    """Return the path of a program; daemons stand in /usr/sbin, which a user's PATH may lack."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def require_program(name: str) -> str:
    """Return the path of a program; skip the test without it, or fail where CI needs it."""
    found = find_program(name)
    if found is None:
        reason = f"{name} is not installed (Debian: apt-get install {PACKAGES[name]})"
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def pierhead_command() -> list[str]:
    """Return the start of a command line that runs the checkout's ``pierhead``."""
    return [sys.executable, "-m", "pierhead"]


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that is free for UDP and TCP now; who wants it must be ready to retry.

    It is none that the system gives to clients: one whose library shares ports (as dig's and
    Knot's do) could get the very port of the server that it asks, and hear itself.
    """
    for _ in range(50):
        port = random.randrange(20_000, 32_000)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram,
        ):
            try:
                stream.bind((host, port))
                datagram.bind((host, port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no port of {host} is free for both UDP and TCP")


class Running:
    """A program that runs until the block ends; then SIGTERM, and SIGKILL where that fails.

    It leads a process group of its own, so that nothing it started outlives it. Its standard
    output and standard error are read all the time, so that it never blocks on a full pipe.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.command = list(command)
        self.out: list[str] = []
        self.err: list[str] = []
        self._news = threading.Condition()
        self._reading = 2  # pipes that are still open
        self.process = self._start(cwd, {**os.environ, **(env or {})})
        pipes = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self._readers = [
            threading.Thread(target=self._read, args=pipe, daemon=True) for pipe in pipes
        ]
        for reader in self._readers:
            reader.start()

    def _start(self, cwd: Path, env: Mapping[str, str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def _read(self, pipe, lines: list[str]) -> None:
        with pipe:
            for line in pipe:
                with self._news:
                    lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._reading -= 1
            self._news.notify_all()

    def line(self, start: str, patience_s: float = PATIENCE_S) -> str:
        """Wait for the line of standard error that starts so and return it.

        Raises:
            AssertionError: the program ended, or the line did not come in time; the message
                has what the program said.
        """
        line = self.line_or_end(start, patience_s)
        if line is None:
            raise AssertionError(f"ended without a line {start!r} on standard error: {self}")
        return line

    def line_or_end(self, start: str, patience_s: float = PATIENCE_S) -> str | None:
        """Wait for the line of standard error that starts so; None if the program ends first.

        Raises:
            AssertionError: neither came in time.
        """

        def found() -> str | None:
            return next((line for line in self.err if line.startswith(start)), None)

        with self._news:
            settled = self._news.wait_for(lambda: found() or not self._reading, patience_s)
            line = found()
        if not settled:
            raise AssertionError(f"neither {start!r} nor the end in {patience_s:g} s: {self}")
        if line is None:
            self.process.wait(patience_s)
        return line

    def assert_alive(self, pause_s: float = 0.0) -> None:
        """Fail if the program has ended, or ends within the pause."""
        try:
            self.process.wait(pause_s)
        except subprocess.TimeoutExpired:
            return
        raise AssertionError(f"ended too early: {self}")

    def stop(self, patience_s: float = PATIENCE_S, *, whole_group: bool = False) -> int:
        """Ask the program, or all it started as well, to end; return its exit code.

        Raises:
            AssertionError: it had to be killed.
        """
        if self.process.poll() is None:
            tell = os.killpg if whole_group else os.kill
            tell(self.process.pid, signal.SIGTERM)
        try:
            code = self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {patience_s:g} s after SIGTERM: {self}") from None
        self.kill()
        return code

    def kill(self) -> None:
        """End the program and everything it started, at once."""
        with contextlib.suppress(ProcessLookupError):  # nobody is left in the group
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for reader in self._readers:
            reader.join(PATIENCE_S)

    def __str__(self) -> str:
        said = "\n  ".join(["", *self.out, *self.err])
        return f"{' '.join(self.command)} (exit code {self.process.poll()}){said}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.stop()
        else:  # do not hide the first failure behind a second
            self.kill()


def ready_port(running: Running) -> int:
    """Return the port of 127.0.0.1 that a server says it listens on, once it is ready."""
    found = re.search(r"127\.0\.0\.1:(\d+)", running.line("ready "))
    assert found, str(running)
    return int(found[1])


def wait_until(ready, running: Running, patience_s: float = PATIENCE_S) -> None:
    """Ask again and again, while the program lives, until the answer is yes."""
    until = time.monotonic() + patience_s
    while not ready():
        running.assert_alive(pause_s=0.05)
        if time.monotonic() > until:
            raise AssertionError(f"not ready after {patience_s:g} s: {running}")


def may_connect(path: str | os.PathLike[str]) -> bool:
    """Tell whether a UNIX socket takes connections, or datagrams.

    A path is there from ``bind`` on, and refuses everybody until ``listen``. Linux alone.
    """
    for line in Path("/proc/net/unix").read_text(errors="replace").splitlines()[1:]:
        # Num RefCount Protocol Flags Type St Inode Path; a listening one has __SO_ACCEPTCON.
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and fields[7] == os.fspath(path):
            return fields[3] == "00010000" or fields[4] == "0002"
    return False
