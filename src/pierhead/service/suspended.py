"""The result of the first step of a request that has to wait."""

from __future__ import annotations

from contextvars import Context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = ["Suspended"]


class Suspended:
    """A waiting coroutine: its task runs the rest, and returns or raises what the coroutine does.

    Attributes:
        task: named after the service; its stack is the service's.
        variables: the context variables it runs in.
    """

    __slots__ = ("task", "variables")

    def __init__(self, task: asyncio.Task[Any], variables: Context) -> None:
        self.task = task
        self.variables = variables
