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
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

from pierhead.service.suspended import Suspended

__all__ = ["EagerTasks"]

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
