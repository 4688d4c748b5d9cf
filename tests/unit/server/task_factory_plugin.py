"""A pytest plugin that puts a task factory on the event loop of every test; see `FACTORIES`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest

#: The environment variable that selects the factory.
VARIABLE = "PIERHEAD_TEST_TASK_FACTORY"


def wrapping(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """Wrap the coroutine of a task in one that awaits it, as tracing libraries do."""

    async def traced() -> Any:
        return await coroutine

    return asyncio.Task(traced(), loop=loop, **options)


FACTORIES: dict[str, Callable[..., Any]] = {"wrapping": wrapping}
if hasattr(asyncio, "eager_task_factory"):  # Python 3.12
    FACTORIES["eager"] = asyncio.eager_task_factory


@pytest.fixture(autouse=True)
async def _task_factory() -> None:
    asyncio.get_running_loop().set_task_factory(FACTORIES[os.environ[VARIABLE]])
