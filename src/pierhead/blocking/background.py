"""The event loop behind everything blocking: one, in a thread that the whole process shares.

    a thread ─▶ `Background.call` ─▶ a task in the loop
             ◀── its result, or its error; Ctrl-C cancels it

The loop is started by the first call. It ends with the interpreter; whatever is still open then is
cut off. A forked child has a loop of its own, and cannot use what its parent has opened.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, ClassVar, Generic, Self, TypeVar

from pierhead.errors import UsageError

__all__ = ["Background", "within"]

T = TypeVar("T")

#: How long cancelled work may take to unwind: after Ctrl-C, and when the interpreter ends.
_UNWIND_S = 1.0


class Background:
    """An event loop in a thread of its own."""

    _current: ClassVar[Background | None] = None
    _starting: ClassVar[threading.Lock] = threading.Lock()
    _watches_forks: ClassVar[bool] = False
    #: Loops of the parent process: libuv's would fail if they were freed in a child.
    _abandoned: ClassVar[list[Background]] = []

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._loop = _new_loop()
        self._thread = threading.Thread(target=self._run, name="pierhead.blocking", daemon=True)
        self._thread.start()
        atexit.register(self._end)

    @classmethod
    def of_this_process(cls) -> Self:
        """Return the one that the process shares, started if it is not running.

        Raises:
            RuntimeError: the interpreter is ending.
        """
        found = cls._current
        if found is None:
            with cls._starting:
                cls._watch_forks()
                found = cls._current = cls._current or cls()
        return found  # type: ignore[return-value]  # no subclass shares it

    @classmethod
    def _watch_forks(cls) -> None:
        if not cls._watches_forks and hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=cls._forget)
        cls._watches_forks = True

    @classmethod
    def _forget(cls) -> None:
        """Leave the loop to the parent: its thread does not exist in the child."""
        cls._starting = threading.Lock()  # somebody may have held it
        if cls._current is not None:
            cls._abandoned.append(cls._current)
            cls._current = None

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry out a coroutine in the loop, in the caller's context variables; wait for it.

        Raises:
            UsageError: this thread runs the loop, and would wait for itself; or the process has
                been forked from the one that runs it.
        """
        try:
            self._check()
        except BaseException:
            work.close()
            raise
        call = _Call(work)
        try:
            self._loop.call_soon_threadsafe(call.begin, self._loop, context=copy_context())
            call.finished.acquire()
        except BaseException:  # Ctrl-C
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                self._loop.call_soon_threadsafe(call.cancel)
                call.finished.acquire(timeout=_UNWIND_S)
            raise
        return call.result()

    def soon(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin a coroutine without waiting for it; for what nobody holds any more."""
        if os.getpid() == self._pid:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                self._loop.call_soon_threadsafe(self._begin, function)

    def _begin(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        _Call(function()).begin(self._loop)

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise UsageError(
                f"this belongs to process {self._pid}, from which this one has been forked; "
                "connect or listen again, after the fork"
            )
        if threading.get_ident() == self._thread.ident:
            raise UsageError(
                "a blocking call inside Pierhead's own event loop would wait for itself; await "
                "the async half here (pierhead.connect), or serve a plain function, which runs in "
                "a thread"
            )

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _end(self) -> None:
        """End with the interpreter: cut off what is still open."""
        if os.getpid() != self._pid:
            return
        type(self)._current = None
        with contextlib.suppress(RuntimeError):  # closed
            self._loop.call_soon_threadsafe(self._begin, self._cut_off)
        self._thread.join(2 * _UNWIND_S)

    async def _cut_off(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_UNWIND_S)
        self._loop.call_soon(self._loop.stop)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class _Call(Generic[T]):
    """One coroutine that a thread waits for."""

    __slots__ = ("_task", "_work", "finished")

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self.finished = threading.Lock()
        self.finished.acquire()
        self._work = work
        self._task: asyncio.Task[T] | None = None

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._task = loop.create_task(self._work)
        self._task.add_done_callback(self._done)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _done(self, task: asyncio.Task[T]) -> None:
        if not task.cancelled():
            task.exception()  # retrieved, whether or not somebody still waits
        self.finished.release()

    def result(self) -> T:
        assert self._task is not None
        try:
            return self._task.result()
        except asyncio.CancelledError:
            raise RuntimeError("the call was cancelled: the interpreter is ending") from None
        finally:
            self._task = None  # the error's traceback refers to this frame


async def within(work: Coroutine[Any, Any, T], timeout_s: float | None, late: str) -> T:
    """Carry out a coroutine in this time.

    Args:
        work: cancelled when the time is over.
        timeout_s: None for as long as it takes.
        late: the message of the error.

    Raises:
        TimeoutError: the time is over.
    """
    if timeout_s is None:
        return await work
    try:
        async with asyncio.timeout(timeout_s) as scope:
            return await work
    except TimeoutError:
        if scope.expired():
            raise TimeoutError(f"{late} within {timeout_s:g} s") from None
        raise
