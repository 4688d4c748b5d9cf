"""Run an application with granian's server on Pierhead's addresses.

    from pierhead import hosting

    hosting.granian.run("shop:app", "127.0.0.1:8000", "unix:/run/shop.sock", interface="asgi")

granian accepts, reads, answers and enforces limits itself, in its own processes: one for each
address, or ``workers`` of them. Address options beyond those of the socket are refused. When a
worker is replaced (SIGHUP, a crash, its lifetime), the socket stays open, so that no client is
turned away.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from pierhead.address import ListenSpec
from pierhead.errors import PierheadError
from pierhead.extra import missing_extra

__all__ = ["run"]


def run(target: str | Callable[..., Any], *addresses: str | ListenSpec, **options: Any) -> None:
    """Serve until SIGTERM or SIGINT, then let granian answer what it has accepted.

    Once every address listens, a ``ready`` line with each bound address goes to standard error;
    clients that connect then wait for the first worker. A usage error ends the program with a
    message and no traceback, as in `pierhead.run`.

    Args:
        target: the application, as ``"module:name"`` or itself; only the former can be reloaded by
            a replacement worker, or by workers that are not forked.
        addresses: where to listen; streams.
        options: granian's own (``interface="asgi"``, ``workers=2``, ``ssl_cert=…``), except those
            that say where to listen. ``workers`` applies to each socket; ``backlog`` to addresses
            that do not set it (``?backlog=``). ``workers_kill_timeout`` defaults to 10 seconds: a
            worker that has not stopped by then is killed.
    """
    try:
        try:
            from pierhead.hosting.granian.server import serve
        except ModuleNotFoundError as error:
            raise missing_extra("granian", error) from None
        serve(target, addresses, options)
    except PierheadError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
