"""A broker in memory that is killed, wiped and cut off at will, and two ways to lose an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from pierhead.backplane.brokered import BrokerLost

__all__ = ["FakeBroker", "FakeStream"]


class FakeBroker:
    """Keeps the last entries; each server has a `link` of its own."""

    largest_bytes = 1000

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self.entries: list[tuple[int, bytes]] = []
        self.last = 0
        self.is_up = True
        self.news = asyncio.Event()

    def link(self, name: str) -> FakeStream:
        return FakeStream(self, name)

    def changed(self) -> None:
        self.news.set()
        self.news = asyncio.Event()

    def kill(self) -> None:
        self.is_up = False
        self.changed()

    def restart(self, *, forgets: int = 0) -> None:
        """Come back, without the newest entries."""
        self.is_up = True
        if forgets:
            del self.entries[-forgets:]
            self.last = self.entries[-1][0] if self.entries else 0
        self.changed()

    def append(self, octets: bytes) -> int:
        self.last += 1
        self.entries = [*self.entries, (self.last, octets)][-self.keep :]
        return self.last


class FakeStream:
    """The way of one server to the broker."""

    def __init__(self, broker: FakeBroker, name: str) -> None:
        self.name = name
        self.largest_bytes = broker.largest_bytes
        self.broker = broker
        self.is_up = True
        self.is_silent = False
        self.loses_answers = 0
        self.swallows = 0
        self.opened = 0
        self.asked: list[int] = []

    def cut(self) -> None:
        self.is_up = False
        self.broker.changed()

    def heal(self) -> None:
        self.is_up = True
        self.is_silent = False

    def open(
        self, room: str, backlog: int, backlog_bytes: int
    ) -> AbstractAsyncContextManager[FakeStream]:
        self.asked = [backlog, backlog_bytes]
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[FakeStream]:
        await self._answer()
        self.opened += 1
        yield self

    async def _answer(self) -> None:
        if self.is_silent:
            await asyncio.Event().wait()
        await asyncio.sleep(0.001)
        if not (self.is_up and self.broker.is_up):
            raise BrokerLost("it is away")

    async def append(self, entries: list[bytes]) -> str:
        await self._answer()
        last = [self.broker.append(entry) for entry in entries][-1]
        self.broker.changed()
        if self.loses_answers:
            self.loses_answers -= 1
            raise BrokerLost("the answer is lost")
        return str(last)

    async def read(self, after: str) -> tuple[list[bytes], str]:
        try:
            return await self._read(after)
        except asyncio.CancelledError:  # as a library may do by mistake
            if not self.swallows:
                raise
            self.swallows -= 1
            return [], after

    async def _read(self, after: str) -> tuple[list[bytes], str]:
        await self._answer()
        if int(after) > self.broker.last:
            after = "0"
        if not self._after(after):
            with suppress(TimeoutError):
                async with asyncio.timeout(4):
                    await self.broker.news.wait()
            await self._answer()
        found = self._after(after)
        return [octets for _, octets in found], str(found[-1][0]) if found else after

    def _after(self, after: str) -> list[tuple[int, bytes]]:
        return [entry for entry in self.broker.entries if entry[0] > int(after)][:3]
