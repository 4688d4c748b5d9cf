"""Run an endpoint or an application until told to stop.

SIGTERM and SIGINT drain: nothing more is accepted, and what has been accepted is answered. A second
one forces: requests in flight are given up and reported. SIGHUP reloads certificates and zone
files. For every other signal see `pierhead.runtime.signals`.

    signal handlers ─▶ resources ─▶ listeners ─▶ ready ─▶ stop ─▶ drain ─▶ release
                                                                     (`pierhead.runtime.stop`)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import ExitStack
from typing import Any, TextIO, TypeVar, Unpack

from pierhead.address import ListenSpec
from pierhead.buffer import BufferSource
from pierhead.clock import Clock
from pierhead.config.loading import importing
from pierhead.errors import PierheadError, UsageError
from pierhead.failure_log import OnError
from pierhead.listener.base import Listener
from pierhead.listener.process_sockets import ProcessSockets
from pierhead.metrics import Metrics
from pierhead.runtime.early import StoppedEarly
from pierhead.runtime.health import Health
from pierhead.runtime.notify import Notifier
from pierhead.runtime.say import say
from pierhead.runtime.signals import Signals
from pierhead.runtime.stop import Serving
from pierhead.server.endpoint import Application, Endpoint
from pierhead.server.options import ServerLimits
from pierhead.server.server import Server
from pierhead.server.stream import OnAccept

__all__ = ["event_loop_runner", "fill_standard_streams", "run", "serve_until_signal"]

T = TypeVar("T")

_STANDARD_ERROR = 2


def run(
    what: Endpoint | Application,
    *addresses: str | ListenSpec | Listener,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
    buffers: BufferSource | None = None,
    on_error: OnError | None = None,
    on_accept: OnAccept | None = None,
    process_sockets: ProcessSockets | None = None,
    **limits: Unpack[ServerLimits],
) -> None:
    """Serve until SIGTERM or SIGINT, then drain; blocks the calling (main) thread.

    If every listener can end (as standard input does), serving ends with the last of them.

    When serving begins, a ``ready`` line with every bound address goes to standard error.

    Args:
        what: an endpoint, or an application, which has its own addresses.
        addresses: where to serve the endpoint.
        clock, metrics, buffers: as in `Server`; pass `Metrics()` to read the counters.
        on_error, on_accept, process_sockets: as in `Server`.
        limits: by name; see `pierhead.server.options.LIMITS`.

    Any error but those below ends the program with a message and no traceback: exit code 2 for an
    invalid argument, 3 for an address that cannot be opened, 4 for an invalid file. A stop that
    lost accepted requests, or had to leave something running, exits with 1. To handle errors in a
    larger program, use `Server`.

    Raises:
        UsageError: an event loop is already running, this is not the main thread, or a command
            imports this program to find a function.
    """
    _check_that_run_may_block()
    try:
        with Signals() as signals:
            server = Server(
                what,
                *addresses,
                clock=clock,
                metrics=metrics,
                buffers=buffers,
                on_error=on_error,
                on_accept=on_accept,
                process_sockets=process_sockets,
                **limits,
            )
            lost_nothing = event_loop_runner(serve_until_signal(server, signals), signals)
    except StoppedEarly as stopped:
        say(f"stopped by {stopped} before it was ready")
    except PierheadError as error:
        say(f"error: {error}")
        raise SystemExit(error.exit_code) from None
    else:
        if not lost_nothing:
            raise SystemExit(1)


def _check_that_run_may_block() -> None:
    if (reference := importing.get()) is not None:
        raise UsageError(
            f"{reference} is imported to find a function, and its own program would run; put "
            "run(…) under: if __name__ == '__main__'"
        )
    if threading.current_thread() is not threading.main_thread():
        raise UsageError(
            "run() handles signals, which Python delivers only to the main thread; this is "
            f"{threading.current_thread().name}; in a thread write: "
            "async with Server(endpoint, address), inside asyncio.run(…)"
        )
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError(
        "run() starts its own event loop and blocks, but one is already running; in a coroutine "
        "write: async with Server(endpoint, address)"
    )


def allow_descriptors(wanted: int) -> None:
    """Raise the soft limit of open descriptors to what is wanted, up to the hard limit.

    The usual soft limit, 1,024, exists for programs that use select(). A server with as many
    connections would reach it before its own limit, which decides what happens to new clients.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):  # a container may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def event_loop_runner(main: Coroutine[Any, Any, T], signals: Signals | None = None) -> T:
    """Run a coroutine on the fastest event loop: uvloop if installed, otherwise asyncio's.

    Args:
        main: run to completion.
        signals: held from here on; None if no signals are handled.
    """
    if signals is not None:
        signals.hold()
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    try:
        import uvloop
    except ImportError:  # Windows, PyPy: docs/decisions/dependencies.md
        pass
    else:
        factory = uvloop.new_event_loop
    fill_standard_streams()
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main)
    finally:
        main.close()  # never awaited if the loop cannot be created (no descriptors left)


def fill_standard_streams() -> None:
    """Open standard input, output and error on the null device if they are closed.

    Otherwise the next socket would get the number, libuv would fail on it, and output would be sent
    to a client.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(number)


async def serve_until_signal(
    server: Server,
    signals: Signals | None = None,
    *,
    on_ready: Callable[[Server], Awaitable[None] | None] | None = None,
    stderr: TextIO | None = None,
    health: Health | None = None,
    lame_duck_s: float = 0.0,
    admin: Server | None = None,
    reload: Callable[[], Awaitable[Sequence[str]]] | None = None,
) -> bool:
    """Serve until the first signal or until every listener ends, drain; force at a second signal.

    Args:
        server: not yet entered.
        signals: entered before anything was opened; None to handle signals from here on.
        on_ready: called once serving has begun, before the ``ready`` line.
        stderr: where lines for people and supervisors go; ``sys.stderr`` when None.
        health: where the state is written for probes; None if nobody asks.
        lame_duck_s: how long to serve as before once it is no longer ready, in seconds.
        admin: a server to serve beside it, before the start and until everything has drained.
        reload: called at SIGHUP, returns what changed; `Server.reload` when None.

    Returns:
        Whether the stop lost nothing.
    """
    allow_descriptors(server.descriptors_wanted)
    with ExitStack() as undo:
        if signals is None:
            signals = Signals()
            signals.hold()
            undo.enter_context(signals)
        notifier = undo.enter_context(contextlib.closing(Notifier.from_environment()))
        serving = Serving(
            server,
            signals.watchdog,
            lambda line: say(line, stderr),
            health=health or Health(),
            notifier=notifier,
            lame_duck_s=lame_duck_s,
            admin=admin,
            reload=reload,
        )
        undo.enter_context(signals.heard_by(serving, serving.grace))
        return await serving.serve(on_ready)
