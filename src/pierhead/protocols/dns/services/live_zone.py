"""Changing a zone that is being served.

    async with zone.edit() as edit:     one edit of a zone at a time
        edit.add("www", dns.A("192.0.2.1"), ttl=60)
                                        committed ─▶ durable, with a journal ─▶ served

What happens inside the block is all served, or nothing of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Literal, TypeAlias

from pierhead.errors import UsageError
from pierhead.protocols.dns.wire.name import to_text
from pierhead.protocols.dns.wire.record import Record
from pierhead.protocols.dns.wire.serial import advance, is_newer
from pierhead.protocols.dns.zone.difference import Difference
from pierhead.protocols.dns.zone.transaction import Transaction
from pierhead.protocols.dns.zone.zone import Zone

__all__ = ["Edit", "LiveZone", "SerialPolicy"]

#: How the serial number of the next version is chosen.
SerialPolicy: TypeAlias = Literal["increment", "date", "unixtime"]

#: Takes what has been changed; it is served once this has returned.
Commit: TypeAlias = Callable[[Zone, Zone, Difference], Awaitable[None]]

_POLICIES: Final = ("increment", "date", "unixtime")


class LiveZone:
    """A zone that is served and can be changed; `ZoneService.zone` returns it."""

    __slots__ = ("_commit", "_find", "_lock", "_wall")

    def __init__(
        self, find: Callable[[], Zone], commit: Commit, wall: Callable[[], float] = time.time
    ) -> None:
        self._find = find
        self._commit = commit
        self._wall = wall
        self._lock = asyncio.Lock()

    @property
    def snapshot(self) -> Zone:
        """The version that is served now."""
        return self._find()

    @property
    def serial(self) -> int:
        """Its serial number."""
        return self.snapshot.serial

    def edit(self, *, serial: SerialPolicy = "increment") -> Edit:
        """Return a change of the zone, to be used with ``async with``.

        Edits of one zone happen one after the other. At the end of the block the change is
        durable, if there is a journal, and served; if the block raises, nothing has changed.

        Args:
            serial: how the serial number is chosen, unless the SOA record is replaced by one with a
                number of its own: the next one (``increment``), the day and a counter
                (``date``: 2026113000), or the time (``unixtime``); the next one where these are
                not ahead (RFC 1982).

        Example:
            >>> from pierhead.protocols import dns
            >>> async def move(zone, address):
            ...     async with zone.edit() as edit:
            ...         edit.replace("www", dns.A(address), ttl=60)
            ...     return edit.difference
        """
        if serial not in _POLICIES:
            raise UsageError(f"serial is {serial!r}, expected one of {', '.join(_POLICIES)}")
        return Edit(self._find, self._commit, self._lock, lambda old: self._next(serial, old))

    def _next(self, policy: SerialPolicy, old: int) -> int:
        now = self._wall()
        if policy == "unixtime":
            wanted = int(now)
        elif policy == "date":
            wanted = int(time.strftime("%Y%m%d00", time.gmtime(now)))
        else:
            return advance(old)
        return wanted if is_newer(wanted, old) else advance(old)

    def __repr__(self) -> str:
        zone = self.snapshot
        return f"<LiveZone {to_text(zone.origin)} serial {zone.serial}>"


class Edit:
    """One change of a zone; created by `LiveZone.edit`.

    The methods are those of `Transaction`.
    """

    __slots__ = ("_change", "_commit", "_difference", "_find", "_lock", "_serial", "_zone")

    def __init__(
        self,
        find: Callable[[], Zone],
        commit: Commit,
        lock: asyncio.Lock,
        serial: Callable[[int], int],
    ) -> None:
        self._find = find
        self._commit = commit
        self._lock = lock
        self._serial = serial
        self._change: Transaction | None = None
        self._zone: Zone | None = None
        self._difference: Difference | None = None

    @property
    def difference(self) -> Difference:
        """What has changed; false if nothing has.

        Raises:
            UsageError: the block has not ended, or has raised.
        """
        if self._difference is None:
            raise UsageError("an edit has a difference once its block has ended without an error")
        return self._difference

    def add(self, name: str, *records: Record, ttl: int | None = None) -> None:
        """Add records; see `Transaction.add`."""
        self._open().add(name, *records, ttl=ttl)

    def replace(self, name: str, *records: Record, ttl: int | None = None) -> None:
        """Replace all records of the same types; see `Transaction.replace`."""
        self._open().replace(name, *records, ttl=ttl)

    def delete(self, name: str, *what: str | Record) -> None:
        """Delete records, types or a whole name; see `Transaction.delete`."""
        self._open().delete(name, *what)

    def _open(self) -> Transaction:
        if self._change is None:
            raise UsageError("an edit is open inside its block; write: async with zone.edit() as …")
        return self._change

    async def __aenter__(self) -> Edit:
        if self._zone is not None:
            raise UsageError("an edit is used once; call zone.edit() again")
        await self._lock.acquire()
        try:
            self._zone = self._find()
            self._change = Transaction(self._zone)
        except BaseException:
            self._lock.release()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        change, self._change = self._change, None
        try:
            if error is None and change is not None:
                await self._finish(change)
        finally:
            self._lock.release()

    async def _finish(self, change: Transaction) -> None:
        before = self._find()
        if before is not self._zone:
            raise UsageError(
                f"{before!r} was put into service during the edit, which is for another version; "
                "edit it again"
            )
        zone, difference = change.commit(serial=self._serial)
        if difference:
            await _to_the_end(self._commit(before, zone, difference))
        self._difference = difference


async def _to_the_end(work: Awaitable[None]) -> None:
    """Wait for work that a cancellation must not leave half done."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except BaseException:
            break
    task.result()
    if cancelled is not None:
        raise cancelled
