"""A task per request that starts at once: in the read that delivered it, up to its first wait.

    started = tasks.first_step(service(frame, context), variables, "shout")

A task of its own gives each request its context variables and its cancellation, and keeps it from
stalling behind a slow neighbour. Starting it in the next iteration of the loop would cost more than
most services. Python 3.12 and later can start a task at once; for 3.11 there is
`pierhead.connection.worker`.

The loop's task factory is bypassed: it may wrap its argument in a coroutine that awaits it, and
only the task itself can start at once. Tasks that a service creates do go through it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Coroutine
from contextvars import Context
from typing import Any

from pierhead.service.suspended import Suspended

__all__ = ["EagerTasks", "named"]

#: How many tasks are named in one line.
_NAMED = 3


def named(tasks: Collection[asyncio.Future[Any]]) -> str:
    """Return what these are, in one line: how many, and the names of the first few."""
    names = [_name(task) for _, task in zip(range(_NAMED), tasks, strict=False)]
    more = f" and {len(tasks) - len(names)} more" if len(tasks) > len(names) else ""
    count = "1 task" if len(tasks) == 1 else f"{len(tasks)} tasks"
    return f"{count} ({', '.join(names)}{more})"


def _name(task: asyncio.Future[Any]) -> str:
    if not isinstance(task, asyncio.Task):
        return type(task).__name__
    frames = task.get_stack(limit=1)
    if not frames:
        return task.get_name()
    code = frames[-1].f_code
    file = code.co_filename.replace("\\", "/").rpartition("/")[2]
    return f"{task.get_name()} at {file}:{frames[-1].f_lineno} in {code.co_qualname}"


if sys.version_info >= (3, 12):

    class EagerTasks:
        """Starts tasks at once; created in the event loop of one server."""

        def __init__(self) -> None:
            self._loop = asyncio.get_running_loop()

        def first_step(
            self, coroutine: Coroutine[Any, Any, Any], context: Context, name: str
        ) -> Any:
            """Run a coroutine in a context of its own, up to its first wait.

            Returns:
                What it returns if it never waits; else a `Suspended`, whose task has this name.

            Raises:
                BaseException: whatever it raises before its first wait.
            """
            task = asyncio.Task(
                coroutine, loop=self._loop, name=name, context=context, eager_start=True
            )
            return task.result() if task.done() else Suspended(task, context)

        async def close(self) -> None:
            """Release what is kept for the next request: nothing here."""

else:
    from pierhead.connection.worker import Workers as EagerTasks
