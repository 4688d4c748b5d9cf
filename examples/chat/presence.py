"""Who is in the room, on all servers: a backplane around the one that carries the messages.

Each server says every few seconds who is on it. One that has not been heard for three times as long
is gone, and its people with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from protocol import Event

from pierhead import Metrics
from pierhead.connection.room import Backplane

__all__ = ["Presence"]


class Presence:
    """Names of people, by server.

    Args:
        inner: carries events to other servers; None if there are none.
        server: the name of this one.
        every: seconds between two reports.
    """

    def __init__(self, inner: Backplane[Event] | None, server: str, every: float) -> None:
        self._inner = inner
        self._server = server
        self._every = every
        self._here: set[str] = set()
        self._others: dict[str, tuple[float, list[str]]] = {}
        self._task: asyncio.Task[None] | None = None

    def everybody(self) -> list[str]:
        """Return who is here, on all servers."""
        now = time.monotonic()
        heard = [names for at, names in self._others.values() if now - at < 3 * self._every]
        return sorted(self._here.union(*heard))

    def add(self, name: str) -> None:
        self._here.add(name)
        self._report()

    def remove(self, name: str) -> None:
        self._here.discard(name)
        self._report()

    async def start(
        self, room: str, deliver: Callable[[Event], Awaitable[None]], metrics: Metrics
    ) -> None:
        """Pass on what is for people, and note the rest."""

        async def take(event: Event) -> None:
            if event.kind != "here":
                await deliver(event)
                return
            is_new = event.server not in self._others
            self._others[event.server] = time.monotonic(), event.names
            if is_new:
                self._report()  # who has just come knows nobody

        if self._inner is not None:
            await self._inner.start(room, take, metrics)
            self._task = asyncio.get_running_loop().create_task(self._report_often())

    async def stop(self) -> None:
        self._here.clear()
        self._report()
        if self._task is not None:
            self._task.cancel()
        if self._inner is not None:
            await self._inner.stop()

    def publish(self, event: Event) -> None:
        if self._inner is not None:
            self._inner.publish(event)

    def _report(self) -> None:
        self.publish(Event("here", server=self._server, names=sorted(self._here)))

    async def _report_often(self) -> None:
        while True:
            self._report()
            await asyncio.sleep(self._every)
            old = time.monotonic() - 3 * self._every
            for server in [name for name, (at, _) in self._others.items() if at < old]:
                del self._others[server]
