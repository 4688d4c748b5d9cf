"""One worker: a process that serves on sockets which its supervisor has opened."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn, TextIO, Unpack, cast

from pierhead.errors import PierheadError
from pierhead.listener.base import Listener
from pierhead.runtime.early import StoppedEarly
from pierhead.runtime.run import event_loop_runner, serve_until_signal
from pierhead.runtime.say import say
from pierhead.runtime.signals import Signals
from pierhead.server.endpoint import Endpoint
from pierhead.server.options import ServerLimits
from pierhead.server.server import Server

__all__ = ["Lifeline", "work"]

_LOST, _STARTUP = 1, 3


@dataclass(frozen=True, slots=True)
class Lifeline:
    """What connects a worker to its supervisor.

    Attributes:
        ready: the worker writes its number here, an octet, once it serves, and as a sign of life.
        alive: ends when the supervisor has ended, however that happened.
        pulse_s: seconds between two signs of life; None for none.
    """

    ready: int
    alive: int
    pulse_s: float | None


def work(
    number: int,
    endpoint: Endpoint,
    listeners: Sequence[Listener],
    lifeline: Lifeline,
    **limits: Unpack[ServerLimits],
) -> NoReturn:
    """Serve until told to stop; ends the process, which has just been forked.

    Args:
        number: of this worker, from 0.
        listeners: its own, from now on.
    """
    code = _STARTUP
    # Nothing is said where standard error was closed when Python started.
    log = None if sys.stderr is None else cast(TextIO, _Prefixed(f"worker {number}: "))
    try:
        with Signals() as signals:
            server = Server(endpoint, *listeners, **limits)
            serving = serve_until_signal(
                server, signals, on_ready=_told(number, lifeline), stderr=log
            )
            code = 0 if event_loop_runner(serving, signals) else _LOST
    except StoppedEarly:
        code = 0
    except PierheadError as error:
        say(f"error: {error}", log)
        code = error.exit_code
    except BaseException as mistake:
        say(f"{type(mistake).__name__}: {mistake}", log)
    finally:
        _flush()
        os._exit(code)


def _told(number: int, lifeline: Lifeline) -> Callable[[Server], None]:
    def told(server: Server) -> None:
        asyncio.get_running_loop().add_reader(lifeline.alive, stop)
        beat()

    def beat() -> None:
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(lifeline.ready, bytes([number]))
        if lifeline.pulse_s is not None:
            asyncio.get_running_loop().call_later(lifeline.pulse_s, beat)

    def stop() -> None:
        asyncio.get_running_loop().remove_reader(lifeline.alive)
        os.kill(os.getpid(), signal.SIGTERM)

    return told


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            continue


class _Prefixed:
    """Standard error, each line with the worker that says it."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._begins_line = True

    def fileno(self) -> int:
        return sys.stderr.fileno()

    def flush(self) -> None:
        sys.stderr.flush()

    def write(self, text: str) -> int:
        lines = text.splitlines(keepends=True)
        for line in lines:
            sys.stderr.write(self._prefix + line if self._begins_line else line)
            self._begins_line = line.endswith("\n")
        return len(text)
