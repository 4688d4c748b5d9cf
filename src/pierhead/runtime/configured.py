"""Serving what a configuration says, and what it says after a reload.

SIGHUP ─▶ read, check, build (in a thread) ─▶ Server.replace ─▶ the new one is in force
                     └── a fault: everything stays as it was ──┘
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import TextIO, cast

from pierhead.config.building import Built
from pierhead.config.configuration import Configuration
from pierhead.config.endpoints_http import FILES_LOG
from pierhead.runtime.log import BestEffortHandler, LogFormat, LogLines, log_to_standard_error
from pierhead.runtime.run import event_loop_runner, serve_until_signal
from pierhead.runtime.say import say
from pierhead.runtime.signals import Signals
from pierhead.server.server import Server

__all__ = ["Reloading", "log_requests", "serve_built", "tell"]


def serve_built(
    built: Built, signals: Signals | None, rebuild: Callable[[Built], Built] | None = None
) -> bool:
    """Serve until told to stop, printing what and where; return whether nothing was lost.

    Args:
        built: what is served.
        signals: entered before anything was opened; None if no signals are handled yet.
        rebuild: reads and builds the configuration again; None if it cannot change.
    """
    _apply_logging(built.configuration)
    tell(built.configuration, built.notes)
    server = Server(built.application)

    def announce(started: Server) -> None:
        tell(built.configuration, _announced(built, started.served))

    serving = serve_until_signal(
        server,
        signals,
        on_ready=announce,
        stderr=_stream(built.configuration),
        lame_duck_s=built.configuration.lame_duck,
        reload=None if rebuild is None else Reloading(server, built, rebuild),
    )
    return event_loop_runner(serving, signals)


class Reloading:
    """Reads a configuration again and puts it in force, all of it or nothing.

    Args:
        server: serves what was built first.
        built: that.
        rebuild: reads and builds it again, given what was built last; called in a thread.
    """

    def __init__(self, server: Server, built: Built, rebuild: Callable[[Built], Built]) -> None:
        self._server, self._built, self._rebuild = server, built, rebuild

    async def __call__(self) -> list[str]:
        """Reload; return what has changed, one line each.

        Raises:
            PierheadError: something is wrong, and everything stays as it was.
        """
        before = self._built
        after = await asyncio.to_thread(self._rebuild, before)
        changes = [*await self._server.replace(after.application, reread=True)]
        changes += [line for line in after.changes_since(before) if line not in changes]
        level = after.configuration.logging.level
        if level != before.configuration.logging.level:
            changes.append(f"logging.level is {level}, was {before.configuration.logging.level}")
        for name in ("lame_duck", "logging.format"):
            get = attrgetter(name)
            if get(after.configuration) != get(before.configuration):
                changes.append(f"{name} takes effect at a restart")
        _apply_logging(after.configuration)
        self._built = after
        return changes


def tell(configuration: Configuration, lines: Iterable[str]) -> None:
    """Say these lines, as records of the log if that is for programs."""
    stream = _stream(configuration)
    for line in lines:
        say(line, stream)


def _stream(configuration: Configuration) -> TextIO | None:
    form = configuration.logging.format
    return None if form == "console" else cast(TextIO, LogLines(cast(LogFormat, form)))


def _apply_logging(configuration: Configuration) -> None:
    """Log what the configuration says, from now on."""
    level = configuration.logging.level
    log_to_standard_error(cast(LogFormat, configuration.logging.format), level)
    logging.getLogger("pierhead").setLevel(level.upper())
    log_requests(configuration)


def log_requests(configuration: Configuration) -> None:
    """Log requests where the configuration says so."""
    for name, key in (("pierhead.dns.query", "query_log"), ("pierhead.access", "access_log")):
        is_on = any(getattr(one, key, False) for one in configuration.serve)
        logging.getLogger(name).setLevel(logging.INFO if is_on else logging.NOTSET)
    whole_lines = logging.getLogger(FILES_LOG)
    if not whole_lines.handlers:  # its messages are what readers of such logs expect, alone
        whole_lines.addHandler(BestEffortHandler())
        whole_lines.propagate = False


def _announced(built: Built, served: Sequence[tuple[str, str]]) -> list[str]:
    """Return what is served where, one line each, and a command to try it with."""
    lines = [f"{name} on {address}" for name, address in served]
    for name, address in served:
        hint = next((p.made.hint for p in built.parts if p.endpoint.name == name), None)
        line = hint(address) if hint else None
        if line:
            return [*lines, f"try: {line}"]
    return lines
