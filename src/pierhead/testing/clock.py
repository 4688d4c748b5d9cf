"""A held clock: an event loop whose time moves when a test moves it, or when nothing else can run.

    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        runner.run(main())

While anything is runnable, time stands still. When nothing is, and no executor thread is working,
time jumps to the next timer, so that a test of a ten-second timeout takes no time and always has
the same result. `HeldClock.advance` lets time pass explicitly. When nothing is runnable and there
is no timer either, nothing can ever happen again: that is an error, not a hanging test.

Only the memory network works on such a loop: a real socket would have no time to deliver an answer.
Threads are tracked if they are started by the loop (`asyncio.to_thread`, ``run_in_executor``).
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any, NoReturn

from pierhead.errors import UsageError

__all__ = ["HeldClock", "HeldLoop"]

#: 2026-01-01T00:00:00Z: the initial wall clock time unless the test sets it.
_NEW_YEAR = 1_767_225_600.0

#: The start of monotonic time: not 0, which would hide code that mistakes 0 for "never".
_START = 1_000.0


class HeldClock:
    """The clock of a `HeldLoop`; a `Clock`."""

    def __init__(self, loop: HeldLoop) -> None:
        self._loop = loop
        self._wall_at_start = _NEW_YEAR

    @classmethod
    def current(cls) -> HeldClock:
        """Return the clock of the running event loop.

        Raises:
            UsageError: it is not a `HeldLoop`.
        """
        loop = asyncio.get_running_loop()
        if not isinstance(loop, HeldLoop):
            raise UsageError(f"the running event loop is a {type(loop).__name__}, not a HeldLoop")
        return loop.clock

    def monotonic(self) -> float:
        """Seconds on the scale of the event loop."""
        return self._loop.time()

    def wall(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z; starts at the beginning of 2026."""
        return self._wall_at_start + self._loop.time() - _START

    def set_wall(self, seconds: float) -> None:
        """Set the wall clock, as an administrator would; timers are unaffected."""
        self._wall_at_start = seconds - (self._loop.time() - _START)

    async def advance(self, seconds: float) -> None:
        """Let time pass; return when everything due by then has happened.

        Timers fire in their order, each at its own time. ``advance(0)`` moves no time: it
        waits until nothing is runnable.
        """
        if not seconds >= 0:
            raise UsageError(f"time moves forward only; got {seconds!r} seconds")
        if seconds:
            await asyncio.sleep(seconds)
        await self._loop.settle()


class HeldLoop(asyncio.SelectorEventLoop):
    """An event loop that keeps its own time; pass it to `asyncio.Runner` as loop factory."""

    def __init__(self) -> None:
        self._now = _START
        self._working_threads = 0
        self._settling: list[asyncio.Future[None]] = []
        self.clock = HeldClock(self)
        super().__init__(_HeldSelector(self._idle))

    def time(self) -> float:
        """Return this loop's time in seconds."""
        return self._now

    async def settle(self) -> None:
        """Return when nothing is runnable at this moment and no executor thread is working."""
        waiter = self.create_future()
        self._settling.append(waiter)
        await waiter

    def run_in_executor(  # type: ignore[override]  # the stubs' variadic types say no more
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run a function in a thread; time stands still meanwhile."""
        future = super().run_in_executor(executor, func, *args)
        self._working_threads += 1
        future.add_done_callback(self._thread_finished)
        return future

    async def shutdown_default_executor(self, *arguments: Any) -> None:
        """Wait for the threads to end; time stands still meanwhile."""
        self._working_threads += 1
        try:
            await super().shutdown_default_executor(*arguments)
        finally:
            self._working_threads -= 1

    def _thread_finished(self, _future: object) -> None:
        self._working_threads -= 1

    def _idle(self, until_timer_s: float | None) -> float | None:
        """Move time, as nothing is runnable, or return how long to really wait (None: a thread)."""
        if self._working_threads:
            return None
        if self._settling:
            settling, self._settling = self._settling, []
            for waiter in settling:
                if not waiter.done():
                    waiter.set_result(None)
        elif until_timer_s is None:
            raise UsageError(
                "nothing can happen any more: no task is runnable, no timer is set, no thread "
                f"works. Waiting: {_waiting(self)}"
            )
        else:
            self._now += until_timer_s
        return 0

    async def _refuse(self, *_arguments: Any, **_named: Any) -> NoReturn:
        raise _real_socket()

    # These may succeed without calling the selector, or call it where the error is not seen.
    create_connection = create_server = create_datagram_endpoint = _refuse
    create_unix_connection = create_unix_server = _refuse
    connect_accepted_socket = sock_connect = sock_accept = _refuse
    subprocess_exec = subprocess_shell = _refuse
    connect_read_pipe = connect_write_pipe = _refuse


class _HeldSelector(selectors.DefaultSelector):
    """Accepts one file: the loop's own pipe, by which threads and signals wake it."""

    def __init__(self, idle: Callable[[float | None], float | None]) -> None:
        super().__init__()
        self._idle = idle

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if self.get_map():
            raise _real_socket()
        return super().register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        events = super().select(0)
        return events or super().select(self._idle(timeout))


def _real_socket() -> UsageError:
    return UsageError(
        "a held clock works with the memory network only (mem:, memgram:); "
        "test real sockets, files and processes in real time"
    )


def _waiting(loop: asyncio.AbstractEventLoop) -> str:
    tasks = sorted(f"{task.get_name()} at {_place(task)}" for task in asyncio.all_tasks(loop))
    return "; ".join(tasks) or "no task"


def _place(task: asyncio.Task[Any]) -> str:
    """Return where a task waits: the innermost coroutine it is suspended in."""
    coroutine: Any = task.get_coro()
    while hasattr(getattr(coroutine, "cr_await", None), "cr_frame"):
        coroutine = coroutine.cr_await
    frame = getattr(coroutine, "cr_frame", None)
    if frame is None:
        return "its end"
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
