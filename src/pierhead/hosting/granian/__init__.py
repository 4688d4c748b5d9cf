"""Run an application with granian's server on our addresses.

    from pierhead import hosting

    hosting.granian.run("shop:app", "127.0.0.1:8000", "unix:/run/shop.sock", interface="asgi")

granian accepts, reads, answers and limits by itself, in processes of its own: one for each
address, or ``workers`` of them. What an address asks beyond its socket is refused. A worker that
is replaced (SIGHUP, a crash, its lifetime) leaves the socket open, so that nobody is turned away.
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

    When every address listens, a line ``ready`` with each as bound goes to standard error; who
    connects then waits for the first worker. A mistake ends the program with a message and no
    traceback, as `pierhead.run` does.

    Args:
        target: the application, as ``"module:name"`` or itself; only the former can be loaded
            again by a worker that replaces another, and by workers that are not forked.
        addresses: where to listen; streams.
        options: granian's own (``interface="asgi"``, ``workers=2``, ``ssl_cert=…``), but for
            those that say where to listen. ``workers`` counts for each socket; ``backlog`` is for
            those whose address does not say (``?backlog=``). ``workers_kill_timeout`` is 10 seconds
            unless it is given: a worker that has not stopped by then is killed.
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
