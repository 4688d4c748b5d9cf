"""Tasks that begin at once: a coroutine that never waits costs no task.

asyncio begins a new task in the next turn of the loop, which costs more than most services take.
Here the first step runs in place, in the name of a task that is there before its coroutine is:

    a worker's task waits ──▶ first_step: the coroutine runs, as that task, up to its first wait
                                 │ it ends: the worker is free again
                                 ▼ it waits: `take_over`, the task goes on from there to the end

`asyncio.current_task` and context variables are those of a task of the coroutine's own, from its
first step to its last. The task of a coroutine that never waits is used again; that of one that
has waited ends with it. What makes a task the current one are the functions that asyncio offers
to those who implement tasks (``_enter_task`` and ``_leave_task``).
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Coroutine, Generator
from contextvars import Context
from functools import partial
from typing import Any

__all__ = ["Suspended", "Workers"]

#: Free workers that are kept; each is a task that waits.
_KEPT = 8


class Workers:
    """The workers of one server; made in its event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._free: list[_Worker] = []

    def first_step(self, coroutine: Coroutine[Any, Any, Any], context: Context) -> Any:
        """Run a coroutine in a context of its own, up to its first wait.

        Returns:
            What it returns where it waits for nothing; else a `Suspended`, to be taken over.

        Raises:
            BaseException: what it raises before its first wait; `RuntimeError` for
                `GeneratorExit`, which is for those who close a coroutine.
        """
        loop = self._loop
        worker = self._free.pop() if self._free else _Worker(loop)
        # Cancelled, by itself as it was used last or by somebody who had kept it: it is about
        # to end, or has. `cancelling` does not tell, since there is `uncancel`.
        if worker.parked.done() or worker.task._must_cancel:  # type: ignore[attr-defined]
            return self.first_step(coroutine, context)
        task = worker.task
        try:
            _enter_task(loop, task)
        except RuntimeError:  # inside another task, which is the rare case
            self._free.append(worker)
            return self._first_step_inside_a_task(coroutine, context)
        try:
            waits_for = context.run(coroutine.send, None)
        except StopIteration as end:
            result = end.value
        except BaseException as error:
            _leave_task(loop, task)
            task.cancel()
            if isinstance(error, GeneratorExit):
                raise _not_the_end() from error
            raise
        else:
            _leave_task(loop, task)
            return Suspended(worker, context, coroutine, waits_for)
        _leave_task(loop, task)
        if len(self._free) < _KEPT:
            self._free.append(worker)
        else:
            task.cancel()
        return result

    def _first_step_inside_a_task(
        self, coroutine: Coroutine[Any, Any, Any], context: Context
    ) -> Any:
        outer = asyncio.current_task(self._loop)
        assert outer is not None
        _leave_task(self._loop, outer)
        try:
            return self.first_step(coroutine, context)
        finally:
            _enter_task(self._loop, outer)

    async def close(self) -> None:
        """End the workers that are free."""
        tasks = [worker.task for worker in self._free if not worker.parked.done()]
        self._free.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Suspended:
    """A coroutine that waits: its `take_over` comes next, and awaiting this is its rest."""

    __slots__ = ("_context", "_coroutine", "_is_future", "_waits_for", "_worker")

    def __init__(
        self, worker: _Worker, context: Context, coroutine: Coroutine[Any, Any, Any], waits_for: Any
    ) -> None:
        self._worker = worker
        self._context = context
        self._coroutine = coroutine
        self._waits_for = waits_for
        # The mark by which `await` tells a task that a future is meant. Until the task gets it,
        # somebody else may wait for the same one.
        self._is_future = bool(getattr(waits_for, "_asyncio_future_blocking", False))
        if self._is_future:
            waits_for._asyncio_future_blocking = False

    def take_over(self, rest: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let the worker's task run this, which awaits the `Suspended` at once."""
        self._worker.take_over(rest, self._context)
        return self._worker.task

    def __await__(self) -> Generator[Any, Any, Any]:
        """Go on from the first wait."""
        coroutine, waits_for = self._coroutine, self._waits_for
        if self._is_future:
            waits_for._asyncio_future_blocking = True
        while True:
            try:
                value = yield waits_for
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:
                step = partial(coroutine.throw, error)
            else:
                step = partial(coroutine.send, value)
            try:
                waits_for = step()
            except StopIteration as end:
                return end.value
            except GeneratorExit as error:
                raise _not_the_end() from error


def _not_the_end() -> RuntimeError:
    # As Python does with StopIteration.
    return RuntimeError("coroutine raised GeneratorExit")


class _Worker(Coroutine[Any, Any, None]):
    """What the task of a worker runs: nothing, then the rest of one coroutine, then the end."""

    __slots__ = ("_begun", "_context", "_rest", "parked", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._rest: Coroutine[Any, Any, None] | None = None
        self._begun = False
        self.parked: asyncio.Future[None] = loop.create_future()
        # Not `loop.create_task`: a task factory of the program's may wrap what it is given in a
        # coroutine that awaits it, as tracing libraries do. What a task runs here is no coroutine
        # of anybody's that could be traced; the service's own tasks do go through the factory.
        self.task: asyncio.Task[None] = asyncio.Task(self, loop=loop, name="pierhead worker")

    def take_over(self, rest: Coroutine[Any, Any, None], context: Context) -> None:
        """Make this what the task runs from now on."""
        self._rest, self._context = rest, context
        # Else the task's own first step is still to come, or a cancellation is on its way.
        if not self.parked.done():
            self.parked.set_result(None)

    def send(self, value: None) -> Any:
        """Take the next step."""
        if self._rest is None:
            self.parked._asyncio_future_blocking = True  # as `await` does
            return self.parked
        self._begun = True
        try:
            return self._context.run(self._rest.send, value)
        except BaseException:  # its end, mostly
            self._let_go()
            raise

    def throw(self, error: Any, value: Any = None, trace: Any = None) -> Any:
        """Take the next step with an error: a cancellation, or that of what was waited for."""
        if self._rest is None:
            self.parked.cancel()  # that nobody takes it for a free one
            self._let_go()
            raise error
        if not self._begun:
            if not self.task.cancelling():
                return self.send(None)  # it has cancelled itself, and thought better of it
            # Cancelled before it has begun. What a task does then is to let it begin, and to
            # cancel what it waits for, if that can be.
            waits_for = self.send(None)
            if getattr(waits_for, "_asyncio_future_blocking", False) and waits_for.cancel():
                return waits_for
        try:
            return self._context.run(self._rest.throw, error)
        except BaseException:
            self._let_go()
            raise

    def _let_go(self) -> None:
        # The task has this object, and a cycle would live on until it is collected.
        self._rest = None
        del self.task

    def close(self) -> None:
        """End without a further step: the event loop is no more."""
        if self._rest is not None:
            self._rest.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise NotImplementedError("a worker is for its task alone")
