"""Tasks that begin at once on Python 3.11, which has no `eager_start`.

The first step of a coroutine runs in place, as the current task of a worker that already exists:

    a worker's task waits ──▶ first_step: the coroutine runs, as that task, up to its first wait
                                 │ it ends: the worker is free again
                                 ▼ it waits: the task goes on from there to the end

From its first step to its last, a coroutine has its own task, as `asyncio.current_task` and context
variables show. The task of a coroutine that never waits is reused; that of one that has waited ends
with it. The worker sets the current task through the functions that asyncio provides for
implementing tasks (``_enter_task`` and ``_leave_task``).
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

#: How many free workers are kept; each is a waiting task.
_KEPT = 8


class Workers:
    """The workers of one server; created in its event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._free: list[_Worker] = []

    def first_step(self, coroutine: Coroutine[Any, Any, Any], context: Context, name: str) -> Any:
        """Run a coroutine in a context of its own, up to its first wait.

        Returns:
            What it returns if it never waits; else a `Suspended`, whose task has this name.

        Raises:
            BaseException: whatever it raises before its first wait.
        """
        loop = self._loop
        worker = self._free.pop() if self._free else _Worker(loop)
        # Cancelled, by the coroutine that last used it or through a kept reference: it is about to
        # end, or has ended. `cancelling` cannot tell, because of `uncancel`.
        if worker.parked.done() or worker.task._must_cancel:  # type: ignore[attr-defined]
            return self.first_step(coroutine, context, name)
        task = worker.task
        try:
            _enter_task(loop, task)
        except RuntimeError:  # inside another task, which is rare
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
        """End the free workers."""
        tasks = [worker.task for worker in self._free if not worker.parked.done()]
        self._free.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Worker(Coroutine[Any, Any, Any]):
    """The body of a worker's task: it idles, runs the rest of one coroutine, then ends."""

    __slots__ = ("_begun", "_context", "_coroutine", "_is_future", "_waits_for", "parked", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._coroutine: Coroutine[Any, Any, Any] | None = None
        self._begun = False
        self.parked: asyncio.Future[None] = loop.create_future()
        # Not `loop.create_task`: the program's task factory may wrap its argument in a coroutine
        # that awaits it, as tracing libraries do. What the task runs here is not a user's coroutine
        # that could be traced; the service's own tasks do go through the factory.
        self.task: asyncio.Task[Any] = asyncio.Task(self, loop=loop, name="pierhead worker")

    @property
    def cr_frame(self) -> FrameType | None:
        """The coroutine that the task awaits: the stack of the task is the service's."""
        return getattr(self._coroutine, "cr_frame", None)

    @property
    def __name__(self) -> str:
        return getattr(self._coroutine, "__qualname__", "waiting for work")

    def take_over(
        self, coroutine: Coroutine[Any, Any, Any], waits_for: Any, context: Context
    ) -> None:
        """Let the task run this coroutine from its first wait on."""
        self._coroutine, self._waits_for, self._context = coroutine, waits_for, context
        # The flag by which `await` tells a task to wait for a future. Until the task gets it,
        # others may wait for the same future.
        self._is_future = bool(getattr(waits_for, "_asyncio_future_blocking", False))
        if self._is_future:
            waits_for._asyncio_future_blocking = False
        # Otherwise the task's own first step is still to come, or a cancellation is pending.
        if not self.parked.done():
            self.parked.set_result(None)

    def send(self, value: None) -> Any:
        """Run the next step."""
        if self._coroutine is None:
            self.parked._asyncio_future_blocking = True  # as `await` does
            return self.parked
        if not self._begun:
            return self._begin()
        return self._step(self._coroutine.send, value)

    def throw(self, error: Any, value: Any = None, trace: Any = None) -> Any:
        """Run the next step with an error: a cancellation, or the error of the awaited future."""
        if self._coroutine is None:
            self.parked.cancel()  # so that it is not mistaken for a free one
            self._let_go()
            raise error
        if not self._begun:
            waits_for = self._begin()
            if not self.task.cancelling():
                return waits_for  # it cancelled itself and then withdrew that
            # As a task does when it is cancelled: cancel the future it waits for, if possible.
            if self._is_future and waits_for.cancel():
                return waits_for
        try:
            return self._step(self._coroutine.throw, error)
        finally:
            del error  # its traceback has this frame

    def _begin(self) -> Any:
        self._begun = True
        waits_for, self._waits_for = self._waits_for, None
        if self._is_future:
            waits_for._asyncio_future_blocking = True
        return waits_for

    def _step(self, step: Callable[[Any], Any], value: Any) -> Any:
        try:
            return self._context.run(step, value)
        except BaseException:  # StopIteration, usually
            self._let_go()
            raise
        finally:
            del value  # an error's traceback has this frame

    def _let_go(self) -> None:
        # The task refers to this object; a cycle would live until garbage collection.
        self._coroutine = None
        del self.task

    def close(self) -> None:
        """End without a further step: the event loop is closed."""
        if self._coroutine is not None:
            self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise NotImplementedError("only the worker's own task may await it")
