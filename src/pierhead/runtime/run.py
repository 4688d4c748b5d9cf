"""Run an endpoint or an application until told to stop.

SIGTERM and SIGINT drain: nothing more is accepted, what has been accepted is answered. A second
one forces: what is in flight is given up and named.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from types import FrameType
from typing import Any, Self, TextIO, TypeVar, cast

from pierhead.address import ListenSpec
from pierhead.endpoint import Application, Endpoint
from pierhead.errors import PierheadError, UsageError
from pierhead.failure_log import OnError
from pierhead.listener.base import Listener
from pierhead.server.server import Server

__all__ = ["event_loop_runner", "importing", "run", "serve_until_signal"]

T = TypeVar("T")

#: How long a service may take to unwind once the second signal has cancelled it.
_UNWIND_S = 0.5
#: How long the event loop may take to react to the second signal.
_BLOCKED_S = 0.8
#: How many lost requests are named at the end; all of them are counted.
_NAMED = 20

_STANDARD_ERROR = 2

#: The module that a command imports for a function of it; its own program must not run then.
importing: ContextVar[str | None] = ContextVar("importing", default=None)


def run(
    what: Endpoint | Application,
    *addresses: str | ListenSpec | Listener,
    on_error: OnError | None = None,
    **options: float | str,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain; blocks the calling thread.

    Where every listener comes to an end (standard input does), serving ends with the last.

    When serving begins, a line ``ready`` with every bound address goes to standard error.

    Args:
        what: an endpoint, or an application, which brings its own addresses.
        addresses: where to serve the endpoint.
        on_error: told of everything that goes wrong, as by `Server`.
        options: limits, by name; see `pierhead.server.options.LIMITS`.

    Any mistake but those below ends the program with a message and no traceback: exit code 2 for
    an argument that cannot be, 3 for an address that cannot be opened, 4 for a file that is wrong.
    To handle errors in a larger program, use `Server`.

    Raises:
        UsageError: an event loop runs already, or a command imports this program for a function.
    """
    _check_that_run_may_block()
    limits = cast(dict[str, Any], options)
    try:
        server = Server(what, *addresses, on_error=on_error, **limits)
        event_loop_runner(serve_until_signal(server))
    except PierheadError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


def _check_that_run_may_block() -> None:
    if (reference := importing.get()) is not None:
        raise UsageError(
            f"{reference} is imported for a function of it, and its own program would run; put "
            "run(…) under: if __name__ == '__main__'"
        )
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError(
        "run() brings an event loop of its own and blocks, and one is running here; in a coroutine "
        "write: async with Server(endpoint, address)"
    )


def event_loop_runner(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the fastest loop there is: uvloop where installed, else asyncio's."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    try:
        import uvloop
    except ImportError:  # Windows, PyPy: docs/decisions/dependencies.md
        pass
    else:
        factory = uvloop.new_event_loop
    _fill_standard_streams()
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main)
    finally:
        main.close()  # nobody awaits it where the loop cannot be made (no descriptors left)


def _fill_standard_streams() -> None:
    """Open standard input, output and error on nothing where they are closed.

    Otherwise the next socket gets the number, libuv gives up on it, and what is printed goes to
    a client.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(number)


async def serve_until_signal(
    server: Server,
    *,
    on_ready: Callable[[Server], Awaitable[None] | None] | None = None,
    stderr: TextIO | None = None,
) -> None:
    """Serve until the first signal or the end of every listener, drain, and give up at the second.

    Args:
        server: not yet entered.
        on_ready: called once serving has begun, before the ``ready`` line.
        stderr: where the lines for people and supervisors go; ``sys.stderr`` when None.
    """
    say = _printer(stderr or sys.stderr)
    async with server:
        if on_ready is not None and (waiting := on_ready(server)) is not None:
            await waiting
        with _Signals() as signals:
            say("ready " + " ".join(server.addresses))
            if await _is_stopped(server, signals.stop):
                await _drain(server, signals.force, say)
    _name_lost(server, say)


def _name_lost(server: Server, say: Callable[[str], None]) -> None:
    if not server.lost:
        return
    count = server.lost.count
    say(f"lost {count} accepted {'request' if count == 1 else 'requests'}")
    named = list(server.lost)[-_NAMED:]
    for lost in named:
        say(f"  {lost.listener} from {lost.peer}: {lost.reason}")
    if server.lost.count > len(named):
        say(f"  and {server.lost.count - len(named)} before these")


async def _is_stopped(server: Server, stop: asyncio.Event) -> bool:
    """Wait for the first signal; false where every listener ends before (inetd does)."""
    waiting = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(server.wait_ended())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in waiting:
            future.cancel()
    return stop.is_set()


async def _drain(server: Server, force: asyncio.Event, say: Callable[[str], None]) -> None:
    say("draining; a second signal forces")
    draining = asyncio.ensure_future(server.drain())
    forced = asyncio.ensure_future(force.wait())
    await asyncio.wait([draining, forced], return_when=asyncio.FIRST_COMPLETED)
    forced.cancel()
    if not draining.done():
        server.abort("forced")
        await asyncio.wait([draining], timeout=_UNWIND_S)
    if not draining.done():
        # A service swallows its cancellation; the loop could not be closed either.
        say(f"forced: {server.in_flight} requests do not let go")
        _name_lost(server, say)
        os._exit(1)
    await draining


class _Signals:
    """SIGTERM and SIGINT while a server runs: the first stops, any later one forces.

    The handlers are Python's own, not the event loop's: a service that blocks the loop would
    block those as well. When the loop does not react to the second signal, the process ends.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.force = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self._watchdog = threading.Timer(_BLOCKED_S, _end_blocked)
        self._watchdog.daemon = True
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._received)
        return self

    def __exit__(self, *error: object) -> None:
        self._watchdog.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _received(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count == 2:
            self._watchdog.start()
        self._loop.call_soon_threadsafe(self._react, self._count)

    def _react(self, count: int) -> None:
        if count == 1:
            self.stop.set()
        else:
            self._watchdog.cancel()
            self.force.set()


def _end_blocked() -> None:
    os.write(_STANDARD_ERROR, b"forced: a service blocks the event loop\n")
    os._exit(1)


def _printer(stream: TextIO) -> Callable[[str], None]:
    def say(line: str) -> None:
        print(line, file=stream, flush=True)

    return say
