"""Rooms of several servers, through a stream that a broker keeps.

    room ── log of what was said here ──▶ append ─▶ stream, bounded ─▶ read ──▶ room of each server

A stream, not publish and subscribe: who was away reads on from where it was. Each server has a
writer and a reader. The writer appends the messages of its log, again if no answer came; the reader
drops what is there twice, and what it has said itself, and counts what is missing (`entry`). Either
that fails ends both, and they are connected again. Nobody who speaks waits for them.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Generic, Protocol, TypeVar

from pierhead.backplane.delivery import Delivery, Text
from pierhead.backplane.entry import Entry, Ledger
from pierhead.backplane.log import Log
from pierhead.codec.base import Codec
from pierhead.errors import DecodeError, PierheadError, UsageError
from pierhead.limits import Limit
from pierhead.metrics import Metrics

__all__ = ["LIMITS", "Broker", "BrokerLost", "Brokered", "Stream", "without_secret"]

M = TypeVar("M")

_log = logging.getLogger("pierhead.backplane")

LIMITS = (
    Limit(
        "backlog",
        default=1000,
        minimum=1,
        maximum=10_000_000,
        unit="messages",
        meaning="The last messages that the broker keeps, of all servers together; and those of "
        "this server that wait for the broker.",
        source="a second at a thousand messages",
        metric="backplane_missed_total, at the other servers",
        effect="at construction; of the broker's stream, when it is created",
    ),
    Limit(
        "backlog_bytes",
        default=8 * 2**20,
        minimum=65_536,
        maximum=2**40,
        unit="bytes",
        meaning="Octets of the messages that wait for the broker; NATS keeps as many.",
        source="8 KiB for each message of the default backlog",
        metric="backplane_missed_total, at the other servers",
        effect="at construction; of the broker's stream, when it is created",
    ),
    Limit(
        "max_back_off",
        default=5.0,
        minimum=0.1,
        maximum=3600.0,
        unit="s",
        meaning="The longest pause between two attempts to reach the broker.",
        source="the same as a client's",
        metric="none: see backplane_links_up",
        effect="at construction",
    ),
)
_BACKLOG, _BACKLOG_BYTES, _MAX_BACK_OFF = LIMITS

#: Deadlines of one call of the broker, in seconds; a read waits for entries for less than half of
#: its own, so a broker that is gone without a word is known within 10 seconds.
_CALL_S = 5.0
_READ_S = 10.0
_SHORTEST_BACK_OFF_S = 0.1
#: Entries that are appended in one call.
_AT_ONCE = 100
#: Runs of other servers that are remembered: 16 octets and a number each.
_ORIGINS = 10_000


class BrokerLost(PierheadError):
    """The broker cannot be reached, or has refused what it was asked."""


def without_secret(url: str) -> str:
    """Return a URL without what stands before the host or after a question mark."""
    return re.sub("//.*@", "//", url.partition("?")[0])


class Stream(Protocol):
    """A connection with a broker, for the stream of one room.

    Calls raise `BrokerLost`. Where an entry is in the stream is text that this alone understands.
    """

    @property
    def largest_bytes(self) -> int:
        """The largest entry that it takes."""
        ...

    async def append(self, entries: list[bytes], /) -> str:
        """Append in order, and return where the last one is."""
        ...

    async def read(self, after: str, /) -> tuple[list[bytes], str]:
        """Return what follows, waiting a few seconds for it, and where its end is.

        Of a stream that was lost and begun again it is what is there.
        """
        ...


class Broker(Protocol):
    """Where a stream is kept."""

    @property
    def name(self) -> str:
        """How logs call it, without a password."""
        ...

    def open(
        self, room: str, backlog: int, backlog_bytes: int, /
    ) -> AbstractAsyncContextManager[Stream]:
        """Connect, and create the stream of this room if it is not there.

        Raises:
            BrokerLost: it cannot be reached, or has refused.
        """
        ...


class Brokered(Generic[M]):
    """A backplane of servers that share a broker, for one `Room`.

    Args:
        broker: which one.
        codec: how messages are encoded between servers; None for text.
        backlog, backlog_bytes: what is kept for those who are behind.
        max_back_off: the longest pause between two attempts to reach the broker, in seconds.

    Raises:
        UsageError: a limit is out of its range.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        codec: Codec[Any] | None = None,
        backlog: int = 1000,
        backlog_bytes: int = 8 * 2**20,
        max_back_off: float = 5.0,
    ) -> None:
        self._broker = broker
        self._codec: Codec[Any] = codec or Text()
        self._backlog = int(_BACKLOG.check(backlog)), int(_BACKLOG_BYTES.check(backlog_bytes))
        self._said = Log(*self._backlog)
        self._max_back_off = _MAX_BACK_OFF.check(max_back_off)
        self._origin = b""
        self._position = ""
        self._appended = 0
        self._woken = asyncio.Event()
        self._owes_number = False  # whether the others are to be told the last one
        self._heard: asyncio.Queue[Entry] = asyncio.Queue(_AT_ONCE)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(
        self, room: str, deliver: Callable[[M], Awaitable[None]], metrics: Metrics
    ) -> None:
        """Connect, in the background.

        Args:
            room: its name, the same on every server.
            deliver: takes what was said elsewhere.
            metrics: where to count.

        Raises:
            UsageError: it has a room already.
        """
        if self._tasks:
            raise UsageError("a backplane is for one room; make one for each")
        self._delivery = Delivery(room, self._codec, deliver, metrics)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run(room)), loop.create_task(self._deliver())]

    async def stop(self) -> None:
        """Disconnect."""
        await _end(self._tasks, _CALL_S)

    def publish(self, message: M) -> None:
        """Pass a message on to the other servers, without waiting.

        Raises:
            UsageError: it cannot be encoded.
        """
        self._said.append(self._codec.encode(message))
        self._woken.set()

    async def _run(self, room: str) -> None:
        """Be connected, for ever."""
        pause_s = _SHORTEST_BACK_OFF_S
        is_told = False
        while True:
            try:
                async with AsyncExitStack() as stack:
                    async with asyncio.timeout(_CALL_S):
                        opening = self._broker.open(room, *self._backlog)
                        stream = await stack.enter_async_context(opening)
                        await self._join(stream)
                    _log.info("%s: room %r is connected", self._broker.name, room)
                    pause_s, is_told = _SHORTEST_BACK_OFF_S, False
                    await self._pass(stream)
            except (BrokerLost, TimeoutError) as error:
                level = logging.DEBUG if is_told else logging.WARNING
                said = str(error) or "no answer in time"
                _log.log(level, "%s: %s; trying again", self._broker.name, said)
                is_told = True
            except Exception:
                _log.exception("%s: trying again", self._broker.name)
            await asyncio.sleep(pause_s * random.uniform(0.75, 1.25))
            pause_s = min(2 * pause_s, self._max_back_off)

    async def _pass(self, stream: Stream) -> None:
        """Write and read until either fails."""
        loop = asyncio.get_running_loop()
        both = [loop.create_task(self._write(stream)), loop.create_task(self._read(stream))]
        self._delivery.links.value += 1
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._delivery.links.value -= 1
            await _end(both, _SHORTEST_BACK_OFF_S)
        for task in done:
            task.result()

    # -- what was said here --------------------------------------------------------------------

    async def _join(self, stream: Stream) -> None:
        """Tell the others where this server is, and ask them; the first time, read from there."""
        if not self._position:
            # By time: who has a greater one has come later, so nothing of it was too early.
            self._origin = time.time_ns().to_bytes(8, "big") + secrets.token_bytes(8)
            self._others = Ledger(self._origin, _ORIGINS)
        entry = Entry("J", self._origin, self._next() - 1)
        position = await stream.append([entry.to_bytes()])
        self._position = self._position or position

    async def _write(self, stream: Stream) -> None:
        """Append what was said here."""
        while True:
            self._woken.clear()
            while self._owes_number or self._appended < self._said.last:
                await self._append(stream)
            await self._woken.wait()

    def _next(self) -> int:
        """Return the number of the next message to append; those before may be forgotten."""
        return max(self._appended + 1, self._said.first)

    async def _append(self, stream: Stream) -> None:
        """Append the number if it is owed, and the next messages."""
        first = self._next()
        last = min(self._said.last, first + _AT_ONCE - 1)
        self._owes_number, is_owed = False, self._owes_number
        entries = [Entry("A", self._origin, first - 1).to_bytes()] if is_owed else []
        for number in range(first, last + 1):
            entry = Entry("M", self._origin, number, self._said.get(number)).to_bytes()
            if len(entry) <= stream.largest_bytes:
                entries.append(entry)
            else:
                found = f"a message of {len(entry)} octets is lost, at most {stream.largest_bytes}"
                _log.warning("%s: %s are taken", self._broker.name, found)
                self._owes_number = True  # so that it is missed at once
        if entries:
            async with asyncio.timeout(_CALL_S):
                await stream.append(entries)
        self._appended = last

    # -- what was said elsewhere ---------------------------------------------------------------

    async def _read(self, stream: Stream) -> None:
        """Read what the other servers have said."""
        while True:
            async with asyncio.timeout(_READ_S):
                entries, position = await stream.read(self._position)
            for octets in entries:
                try:
                    entry = Entry.from_bytes(octets)
                except DecodeError as error:
                    _log.warning("%s: %s", self._broker.name, error)
                    continue
                if entry.origin != self._origin:
                    await self._heard.put(entry)
            self._position = position

    async def _deliver(self) -> None:
        """Pass on what was read; apart from reading, so that a lost broker interrupts nothing."""
        while True:
            entry = await self._heard.get()
            is_new, missed = self._others.take(entry)
            if missed:
                self._delivery.note_missed(missed, self._broker.name)
            if is_new:
                await self._delivery.take(entry.payload)
            if entry.kind == "J":
                self._owes_number = True
                self._woken.set()


async def _end(tasks: list[asyncio.Task[None]], again_s: float) -> None:
    """Cancel tasks, more than once if it must be, and wait for them.

    redis-py 8.1 has been seen to swallow a cancellation that came together with an answer or with a
    deadline of its own.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=again_s)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # who wants it asks again; asyncio would log it otherwise
