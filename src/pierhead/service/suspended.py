"""What the first step of a request gives where the request has to wait."""

from __future__ import annotations

from contextvars import Context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = ["Suspended"]


class Suspended:
    """A coroutine that waits: its task runs the rest, and ends with what it returns or raises.

    Attributes:
        task: named after the service, whose stack it shows.
        variables: the context variables it runs with.
    """

    __slots__ = ("task", "variables")

    def __init__(self, task: asyncio.Task[Any], variables: Context) -> None:
        self.task = task
        self.variables = variables
