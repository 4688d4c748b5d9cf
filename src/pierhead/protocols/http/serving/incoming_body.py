"""The content of a request while it arrives."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from pierhead.errors import PierheadError, UsageError, again
from pierhead.protocols.http.wire import Fields

__all__ = ["BodySource", "IncomingBody"]


class BodySource(Protocol):
    """The connection that content arrives on."""

    def on_body_wanted(self) -> None:
        """Receive content: a service waits for it, or has taken what there was."""
        ...


class IncomingBody:
    """An async iterator of the octets of a request, which arrive while they are taken.

    Nothing is received before somebody asks for it, and then up to ``most_bytes`` ahead.

    Args:
        source: the connection.
        most_bytes: how much may wait to be taken.
        now: seconds on the server's monotonic clock, as in every method.

    Attributes:
        trailers: the trailer fields, once everything has arrived.
        is_complete: whether everything has arrived.
        received: how many octets have arrived.
        is_discarded: whether nobody will take it any more.
    """

    __slots__ = (
        "_error",
        "_has_been_asked",
        "_most_bytes",
        "_parts",
        "_source",
        "_waited_s",
        "_waiter",
        "_waiting_since",
        "_waits",
        "is_complete",
        "is_discarded",
        "received",
        "trailers",
    )

    def __init__(self, source: BodySource, most_bytes: int) -> None:
        self._source: BodySource | None = source
        self._most_bytes = most_bytes
        self._parts: deque[bytes] = deque()
        self._waits = 0  # octets that wait to be taken
        self._error: PierheadError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._has_been_asked = False
        self._waited_s = 0.0
        self._waiting_since: float | None = None
        self.is_complete = self.is_discarded = False
        self.received = 0
        self.trailers = Fields()

    def __aiter__(self) -> IncomingBody:
        return self

    async def __anext__(self) -> bytes:
        while not self._parts:
            if self._error is not None:
                raise again(self._error)
            if self.is_complete:
                raise StopAsyncIteration
            if self._waiter is not None:
                raise UsageError("the content of a request is read twice at once, expected once")
            self._has_been_asked = True
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                self._ask()
                await self._waiter
            finally:
                self._waiter = None
        part = self._parts.popleft()
        was_full = self._waits >= self._most_bytes
        self._waits -= len(part)
        if was_full and self._waits < self._most_bytes:
            self._ask()
        return part

    def _ask(self) -> None:
        if self._source is not None:
            self._source.on_body_wanted()

    @property
    def is_asked_for(self) -> bool:
        """Whether somebody waits for octets that have not arrived."""
        return self._waiter is not None and not self._parts

    @property
    def has_been_asked(self) -> bool:
        """Whether a service has begun to read it."""
        return self._has_been_asked

    @property
    def has_room(self) -> bool:
        """Whether more may be received."""
        return self.is_discarded or (self._has_been_asked and self._waits < self._most_bytes)

    # -- the connection's side -----------------------------------------------------------------

    def arrive(self, octets: bytes, now: float) -> None:
        """Take octets that have arrived."""
        self.received += len(octets)
        self.note_waiting(False, now)
        if not self.is_discarded:
            self._parts.append(octets)
            self._waits += len(octets)
            self._wake()

    def complete(self, trailers: Fields) -> None:
        """Note that everything has arrived."""
        self.is_complete, self.trailers, self._source = True, trailers, None
        self._wake()

    def fail(self, error: PierheadError) -> None:
        """Note that nothing more will arrive; whoever reads on gets this error."""
        if not self.is_complete:
            self._error = self._error or error
            self._source = None
            self._wake()

    def discard(self) -> None:
        """Drop what nobody will take; ``received`` counts from here on."""
        self._parts.clear()
        self._waits = self.received = 0
        self.is_discarded = True
        self.fail(UsageError("the content of a request is read after its response"))

    def note_waiting(self, is_waiting: bool, now: float) -> None:
        """Start or stop the clock of waiting for the peer."""
        if self._waiting_since is not None:
            self._waited_s += now - self._waiting_since
        self._waiting_since = now if is_waiting else None

    def is_late(self, now: float, timeout_s: float, min_rate: int) -> bool:
        """Return whether the peer is too slow: time for waiting, and more for what arrived."""
        if self._waiting_since is None:
            return False
        waited_s = self._waited_s + now - self._waiting_since
        return waited_s >= timeout_s + self.received / min_rate

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
