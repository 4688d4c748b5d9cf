"""The clock of an event loop, which a test may hold."""

from __future__ import annotations

import asyncio
import time

__all__ = ["LoopClock"]


class LoopClock:
    """The clock of the running event loop."""

    wall = staticmethod(time.time)

    def __init__(self) -> None:
        self.monotonic = asyncio.get_running_loop().time
