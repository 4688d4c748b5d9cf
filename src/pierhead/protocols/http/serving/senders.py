"""Senders that wait until a peer keeps up."""

from __future__ import annotations

import asyncio
from collections import deque

from pierhead.connection.exchange import Exchange

__all__ = ["Senders"]


class Senders:
    """Those that wait until an exchange is writable, oldest first."""

    __slots__ = ("_exchange", "_waiters")

    def __init__(self, exchange: Exchange[bytes]) -> None:
        self._exchange = exchange
        self._waiters: deque[asyncio.Future[None]] | None = None

    async def wait(self) -> None:
        """Return once the peer keeps up."""
        while not self._exchange.is_writable:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            if self._waiters is None:
                self._waiters = deque()
            self._waiters.append(waiter)
            await waiter

    def wake(self) -> None:
        """Let them go on."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
