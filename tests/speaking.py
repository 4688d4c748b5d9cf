"""Programs that read standard input: from a pipe that the test writes to, or on a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tests import warm
from tests.processes import PATIENCE_S, ROOT

__all__ = ["OnTerminal", "Speaking"]


class Speaking(warm.Running):
    """A program with a pipe as its standard input."""

    _input: IO[bytes]

    def _start(self, cwd: Path, env: Mapping[str, str]) -> warm.Process:
        theirs, ours = os.pipe()
        self._input = os.fdopen(ours, "wb", buffering=0)
        (out, their_out), (err, their_err) = os.pipe(), os.pipe()
        process = warm.Process(
            self.command,
            cwd=cwd,
            env=env,
            descriptors={0: theirs, 1: their_out, 2: their_err},
            stdout=os.fdopen(out, encoding="utf-8", errors="replace"),
            stderr=os.fdopen(err, encoding="utf-8", errors="replace"),
        )
        for each in (theirs, their_out, their_err):
            os.close(each)
        return process

    def say(self, text: str) -> None:
        """Write to its standard input."""
        self._input.write(text.encode())

    def end_input(self) -> None:
        """Close its standard input."""
        self._input.close()

    def hears(self, line: str) -> None:
        """Wait for a line of its standard output."""
        with self._news:
            found = self._news.wait_for(lambda: line in self.out or not self._reading, PATIENCE_S)
        assert found, f"no line {line!r} in time: {self}"
        assert line in self.out, f"ended without a line {line!r}: {self}"

    def until_heard(self, text: str, line: str) -> None:
        """Write to its standard input again and again, until a new line of its output is this."""
        deadline = time.monotonic() + PATIENCE_S
        known = len(self.out)
        while time.monotonic() < deadline:
            self.say(text)
            with self._news:
                if self._news.wait_for(lambda: line in self.out[known:], 0.2):
                    return
        raise AssertionError(f"no line {line!r} in time: {self}")

    def count(self, lines: int) -> list[str]:
        """Wait for so many lines of its standard output; return all."""
        with self._news:
            found = self._news.wait_for(lambda: len(self.out) >= lines, PATIENCE_S)
        assert found, f"fewer than {lines} lines: {self}"
        return self.out

    def ends(self) -> int:
        """Wait for its end; return its exit code."""
        code = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(PATIENCE_S)
        return code

    def __exit__(self, *error: object) -> None:
        self._input.close()
        self.kill()


class OnTerminal:
    """A program whose standard input, output and error are a terminal."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        self._ours, theirs = pty.openpty()
        self._seen = ""
        self.process = warm.Process(
            command,
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm", **(env or {})},
            descriptors={0: theirs, 1: theirs, 2: theirs},
        )
        os.close(theirs)

    def types(self, text: str) -> None:
        """Press keys."""
        os.write(self._ours, text.encode())

    def shows(self, text: str) -> None:
        """Wait until a text appears, after those waited for before."""
        until = time.monotonic() + PATIENCE_S
        while text not in self._seen:
            left = until - time.monotonic()
            assert left > 0, f"{text!r} is not in {self._seen!r}"
            if select.select([self._ours], [], [], left)[0]:
                try:
                    self._seen += os.read(self._ours, 65536).decode("utf-8", "replace")
                except OSError:  # the program has ended
                    raise AssertionError(f"{text!r} is not in {self._seen!r}") from None
                if "\x1b[6n" in self._seen:  # where is the cursor?
                    self._seen = self._seen.replace("\x1b[6n", "")
                    os.write(self._ours, b"\x1b[1;1R")
        self._seen = self._seen.partition(text)[2]

    def ends_at(self, key: str) -> int:
        """Press a key, again each second as people do, and read until the program has ended.

        Returns:
            Its exit code.
        """
        for _ in range(int(PATIENCE_S)):
            self.types(key)
            until = time.monotonic() + 1.0
            while (left := until - time.monotonic()) > 0:
                if select.select([self._ours], [], [], min(left, 0.05))[0]:
                    with contextlib.suppress(OSError):  # the program has ended
                        os.read(self._ours, 65536)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return self.process.wait(0.05)
        raise AssertionError(f"{key!r} does not end it")

    def __enter__(self) -> OnTerminal:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)
        os.close(self._ours)
