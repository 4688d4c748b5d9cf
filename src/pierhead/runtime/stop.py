"""One server from start to stop, controlled by signals; every wait while stopping is bounded.

    start ─▶ ready ─▶ (reload …) ─▶ stop ─▶ drain ─▶ leave the resources ─▶ let go of tasks
                                                                            and threads

What does not end in time is reported, and the process exits all the same.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import contextlib
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from types import FrameType
from typing import NoReturn

from pierhead.connection.tasks import named
from pierhead.errors import PierheadError
from pierhead.runtime.health import Health, State
from pierhead.runtime.notify import Notifier
from pierhead.runtime.pulse import Pulse
from pierhead.runtime.signals import Watchdog
from pierhead.server.lost_requests import LostRequests
from pierhead.server.server import Server

__all__ = ["Serving", "lost_lines"]

#: How long a service may take to unwind once the second signal has cancelled it.
_UNWIND_S = 0.5
#: How long the event loop may take beyond the time it was granted.
_MARGIN_S = 3.0
#: How often threads are checked while the stop waits for them.
_LOOK_S = 0.05
#: How many lost requests are listed at the end; all of them are counted.
_NAMED = 20
#: How many threads that do not end are named, with the tasks.
_NAMED_LEFT = 4


class Serving:
    """Serves one server; a `pierhead.runtime.signals.Hearer`.

    Args:
        server: not yet entered.
        watchdog: ends the process where the event loop cannot.
        say: prints lines for people.
        health: where the state is written for probes.
        notifier: where it is said to a supervisor.
        lame_duck_s: how long the server goes on as before once it is no longer ready, so that
            balancers find another, in seconds.
        admin: answers about all of this, from before the start to the end; not entered either.
    """

    def __init__(
        self,
        server: Server,
        watchdog: Watchdog,
        say: Callable[[str], None],
        *,
        health: Health,
        notifier: Notifier,
        lame_duck_s: float = 0.0,
        admin: Server | None = None,
        reload: Callable[[], Awaitable[Sequence[str]]] | None = None,
    ) -> None:
        self._read_again = reload or server.reload
        self._health = health
        self._notifier = notifier
        self._lame_duck_s = lame_duck_s
        self._admin = admin
        self._server = server
        self._watchdog = watchdog
        self._say = say
        self._stop, self._force, self._reload = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._starting: asyncio.Timeout | None = None
        self._stopped_by = ""
        self._threads_before = set(threading.enumerate())
        watchdog.last_words = self._last_words

    # -- what signals say ----------------------------------------------------------------------

    def stop(self, name: str) -> None:
        """Stop serving, or abandon the start."""
        self._stopped_by = name
        self._expect(self._lame_duck_s + 2 * self._server.longest_drain)
        self._stop.set()
        if self._starting is not None:
            self._starting.reschedule(0)

    def force(self) -> None:
        """Give up the requests in flight."""
        self._expect(_UNWIND_S)
        self._force.set()

    def reload(self) -> None:
        """Reload files, unless already stopping."""
        if self._stop.is_set():
            self._say("SIGHUP while stopping: nothing is reloaded")
        self._reload.set()

    def ignored(self, name: str) -> None:
        """Report a signal without a meaning here."""
        self._say(f"{name} ignored: SIGTERM stops, SIGHUP reloads")

    def grace(self) -> float:
        """How long the event loop may take to react to the first signal, in seconds."""
        return self._lame_duck_s + self._server.longest_drain + _MARGIN_S

    def _expect(self, seconds: float) -> None:
        what = "SIGTERM" if self._stopped_by == "" else self._stopped_by
        self._watchdog.expect(
            seconds + _MARGIN_S, f"{what} was received, and the stop does not complete"
        )

    # -- from start to stop --------------------------------------------------------------------

    async def serve(self, on_ready: Callable[[Server], Awaitable[None] | None] | None) -> bool:
        """Serve; return whether the stop lost nothing."""
        notifier = self._notifier
        with Pulse(self._server.metrics, notifier.alive, notifier.watchdog_s):
            async with self._admin or contextlib.nullcontext():
                for address in () if self._admin is None else self._admin.addresses:
                    self._say(f"admin on {address}")
                await self._serve(on_ready)
            await self._let_go()
        self._watchdog.relax()
        return not self._server.lost.in_stop

    async def _serve(self, on_ready: Callable[[Server], Awaitable[None] | None] | None) -> None:
        if not await self._start():
            self._say(f"stopped by {self._stopped_by} before it was ready")
        else:
            async with AsyncExitStack() as entered:
                entered.push_async_exit(self._server)
                if on_ready is not None and (waiting := on_ready(self._server)) is not None:
                    await waiting
                self._health.state = State.READY
                self._say("ready " + " ".join(self._server.addresses))
                self._tell_ready()
                if await self._is_told_to_stop():
                    await self._drain()
        self._health.state = State.STOPPED
        for line in lost_lines(self._server.lost):
            self._say(line)

    async def _start(self) -> bool:
        """Enter the server; return false if it was told to stop before it was ready."""
        if self._stop.is_set():
            return False
        try:
            async with asyncio.timeout(None) as self._starting:
                await self._server.__aenter__()
        except TimeoutError:
            if self._starting is not None and self._starting.expired():
                return False
            raise
        finally:
            self._starting = None
        return True

    async def _is_told_to_stop(self) -> bool:
        """Wait for the first signal; return false if every listener ends first (as inetd does)."""
        waiting = [
            asyncio.ensure_future(self._stop.wait()),
            asyncio.ensure_future(self._server.wait_ended()),
        ]
        reloading = asyncio.ensure_future(self._reload_when_told())
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in (*waiting, reloading):
                future.cancel()
        return self._stop.is_set()

    async def _reload_when_told(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            self._notifier.reloading()
            try:
                changes = await self._read_again()
            except PierheadError as error:
                notes = getattr(error, "__notes__", ())
                self._say("\n".join([f"error: {error}", *notes]))
                self._say("not reloaded: everything stays as it was")
            except Exception as mistake:  # in a reload hook of the program's
                self._say(f"not reloaded: {type(mistake).__name__}: {str(mistake)!a}")
            else:
                for line in changes:
                    self._say(line)
                self._say("reloaded" if changes else "reloaded: nothing changed")
            self._tell_ready()

    def _tell_ready(self) -> None:
        self._notifier.ready("serving " + " ".join(self._server.addresses))

    # -- the stop ------------------------------------------------------------------------------

    async def _drain(self) -> None:
        self._health.state = State.DRAINING
        in_flight = self._server.in_flight
        self._notifier.stopping(f"draining, {in_flight} requests in flight")
        if self._lame_duck_s:
            self._say(f"not ready, serving for {self._lame_duck_s:g} s; a second signal forces")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._force.wait(), self._lame_duck_s)
        self._say("draining; a second signal forces")
        draining = asyncio.ensure_future(self._server.drain())
        forced = asyncio.ensure_future(self._force.wait())
        await asyncio.wait([draining, forced], return_when=asyncio.FIRST_COMPLETED)
        forced.cancel()
        if not draining.done():
            self._server.abort("forced")
            await asyncio.wait([draining], timeout=_UNWIND_S)
            if not draining.done():
                in_flight = self._server.in_flight
                self._say(f"forced: {in_flight} requests did not stop when cancelled")
                draining.cancel()  # which reports them
        await asyncio.wait([draining])

    async def _let_go(self) -> None:
        """Wait for what services left running; end the process if it does not stop."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            tasks = (await asyncio.wait(tasks, timeout=_UNWIND_S))[1]
        left = [named(tasks)] if tasks else []
        left += [f"{thread.name} at {where}" for thread, where in await self._busy_threads()]
        if left:
            self._end_process(left)

    async def _busy_threads(self) -> list[tuple[threading.Thread, str]]:
        """Wait until the threads of services are done; return those that are not done in time."""
        loop = asyncio.get_running_loop()
        until = loop.time() + max(self._server.longest_drain, _UNWIND_S)
        while busy := self._threads_at_work():
            if loop.time() >= until or self._force.is_set():
                return busy
            await asyncio.sleep(_LOOK_S)
        return []

    def _threads_at_work(self) -> list[tuple[threading.Thread, str]]:
        """Return executor threads started meanwhile that are working, and where.

        Python waits for these at exit, however long they take; threads that the program starts
        itself are its own business.
        """
        frames = sys._current_frames()
        found = []
        for thread in threading.enumerate():
            frame = frames.get(thread.ident or 0)
            if frame is not None and thread not in self._threads_before and _is_at_work(frame):
                found.append((thread, _line_of(frame)))
        return found

    def _end_process(self, left: list[str]) -> NoReturn:
        more = [f"and {len(left) - _NAMED_LEFT} more"] if len(left) > _NAMED_LEFT else []
        words = ", ".join([*left[:_NAMED_LEFT], *more])
        self._say(f"left running, since it did not end in time: {words}")
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(1)

    def _last_words(self) -> list[str]:
        """Return the last output when the event loop is stuck; called in another thread."""
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        where = [] if frame is None else [f"  at {_line_of(frame)}"]
        in_flight = self._server.in_flight
        return [*where, f"{in_flight} requests in flight are lost", *lost_lines(self._server.lost)]


def lost_lines(lost: LostRequests) -> list[str]:
    """Return what was accepted and not answered, as lines for people; none if nothing was."""
    if not lost:
        return []
    named = list(lost)[-_NAMED:]
    lines = [f"lost {lost.count} accepted {'request' if lost.count == 1 else 'requests'}"]
    lines += [f"  {one.listener} from {one.peer}: {one.reason}" for one in named]
    if lost.count > len(named):
        lines.append(f"  and {lost.count - len(named)} more before these")
    return lines


def _is_at_work(frame: FrameType) -> bool:
    """Tell whether an executor's thread is doing anything but wait for work."""
    if frame.f_code.co_filename == concurrent.futures.thread.__file__:
        return False
    outer: FrameType | None = frame
    while outer is not None:
        if outer.f_code is concurrent.futures.thread._worker.__code__:
            return True
        outer = outer.f_back
    return False


def _line_of(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
