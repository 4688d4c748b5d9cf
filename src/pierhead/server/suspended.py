"""What the first step of a request gives where the request has to wait."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Suspended"]


class Suspended:
    """A coroutine that waits: its task runs the rest, and ends with what it returns or raises.

    Attributes:
        task: named after the service, whose stack it shows.
    """

    __slots__ = ("task",)

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
