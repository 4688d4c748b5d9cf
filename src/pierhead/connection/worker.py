"""Tasks that begin at once on Python 3.11, which has no `eager_start`.

The first step of a coroutine runs in place, in the name of a task that is there before its
coroutine is:

    a worker's task waits ──▶ first_step: the coroutine runs, as that task, up to its first wait
                                 │ it ends: the worker is free again
                                 ▼ it waits: the task goes on from there to the end

`asyncio.current_task` and context variables are those of a task of the coroutine's own, from its
first step to its last. The task of a coroutine that never waits is used again; that of one that
has waited ends with it. What makes a task the current one are the functions that asyncio offers
to those who implement tasks (``_enter_task`` and ``_leave_task``).
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import FrameType
from typing import Any

from pierhead.service.suspended import Suspended

__all__ = ["Workers"]

#: Free workers that are kept; each is a task that waits.
_KEPT = 8


class Workers:
    """The workers of one server; made in its event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._free: list[_Worker] = []

    def first_step(self, coroutine: Coroutine[Any, Any, Any], context: Context, name: str) -> Any:
        """Run a coroutine in a context of its own, up to its first wait.

        Returns:
            What it returns where it waits for nothing; else a `Suspended`, its task so named.

        Raises:
            BaseException: what it raises before its first wait.
        """
        loop = self._loop
        worker = self._free.pop() if self._free else _Worker(loop)
        # Cancelled, by itself as it was used last or by somebody who had kept it: it is about
        # to end, or has. `cancelling` does not tell, since there is `uncancel`.
        if worker.parked.done() or worker.task._must_cancel:  # type: ignore[attr-defined]
            return self.first_step(coroutine, context, name)
        task = worker.task
        try:
            _enter_task(loop, task)
        except RuntimeError:  # inside another task, which is the rare case
            self._free.append(worker)
            return self._first_step_inside_a_task(coroutine, context, name)
        try:
            waits_for = context.run(coroutine.send, None)
        except StopIteration as end:
            result = end.value
        except BaseException:
            _leave_task(loop, task)
            task.cancel()
            raise
        else:
            _leave_task(loop, task)
            task.set_name(name)
            worker.take_over(coroutine, waits_for, context)
            return Suspended(task, context)
        _leave_task(loop, task)
        if len(self._free) < _KEPT:
            self._free.append(worker)
        else:
            task.cancel()
        return result

    def _first_step_inside_a_task(
        self, coroutine: Coroutine[Any, Any, Any], context: Context, name: str
    ) -> Any:
        outer = asyncio.current_task(self._loop)
        assert outer is not None
        _leave_task(self._loop, outer)
        try:
            return self.first_step(coroutine, context, name)
        finally:
            _enter_task(self._loop, outer)

    async def close(self) -> None:
        """End the workers that are free."""
        tasks = [worker.task for worker in self._free if not worker.parked.done()]
        self._free.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Worker(Coroutine[Any, Any, Any]):
    """What the task of a worker runs: nothing, then the rest of one coroutine, then the end."""

    __slots__ = ("_begun", "_context", "_coroutine", "_is_future", "_waits_for", "parked", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._coroutine: Coroutine[Any, Any, Any] | None = None
        self._begun = False
        self.parked: asyncio.Future[None] = loop.create_future()
        # Not `loop.create_task`: a task factory of the program's may wrap what it is given in a
        # coroutine that awaits it, as tracing libraries do. What a task runs here is no coroutine
        # of anybody's that could be traced; the service's own tasks do go through the factory.
        self.task: asyncio.Task[Any] = asyncio.Task(self, loop=loop, name="pierhead worker")

    @property
    def cr_frame(self) -> FrameType | None:
        """Where the coroutine waits: the stack of the task is that of the service."""
        return getattr(self._coroutine, "cr_frame", None)

    @property
    def __name__(self) -> str:
        return getattr(self._coroutine, "__qualname__", "waits for work")

    def take_over(
        self, coroutine: Coroutine[Any, Any, Any], waits_for: Any, context: Context
    ) -> None:
        """Make this what the task runs from now on, from its first wait."""
        self._coroutine, self._waits_for, self._context = coroutine, waits_for, context
        # The mark by which `await` tells a task that a future is meant. Until the task gets it,
        # somebody else may wait for the same one.
        self._is_future = bool(getattr(waits_for, "_asyncio_future_blocking", False))
        if self._is_future:
            waits_for._asyncio_future_blocking = False
        # Else the task's own first step is still to come, or a cancellation is on its way.
        if not self.parked.done():
            self.parked.set_result(None)

    def send(self, value: None) -> Any:
        """Take the next step."""
        if self._coroutine is None:
            self.parked._asyncio_future_blocking = True  # as `await` does
            return self.parked
        if not self._begun:
            return self._begin()
        return self._step(self._coroutine.send, value)

    def throw(self, error: Any, value: Any = None, trace: Any = None) -> Any:
        """Take the next step with an error: a cancellation, or that of what was waited for."""
        if self._coroutine is None:
            self.parked.cancel()  # that nobody takes it for a free one
            self._let_go()
            raise error
        if not self._begun:
            waits_for = self._begin()
            if not self.task.cancelling():
                return waits_for  # it has cancelled itself, and has taken that back
            # What a task does when it is cancelled: it cancels what it waits for, if that can be.
            if self._is_future and waits_for.cancel():
                return waits_for
        return self._step(self._coroutine.throw, error)

    def _begin(self) -> Any:
        self._begun = True
        waits_for, self._waits_for = self._waits_for, None
        if self._is_future:
            waits_for._asyncio_future_blocking = True
        return waits_for

    def _step(self, step: Callable[[Any], Any], value: Any) -> Any:
        try:
            return self._context.run(step, value)
        except BaseException:  # its end, mostly
            self._let_go()
            raise

    def _let_go(self) -> None:
        # The task has this object, and a cycle would live on until it is collected.
        self._coroutine = None
        del self.task

    def close(self) -> None:
        """End without a further step: the event loop is no more."""
        if self._coroutine is not None:
            self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise NotImplementedError("a worker is for its task alone")
