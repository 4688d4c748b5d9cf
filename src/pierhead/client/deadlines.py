"""The deadlines of the requests in flight: one timer for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

__all__ = ["Deadlines"]


class _Due(Protocol):
    deadline: float


D = TypeVar("D", bound=_Due)

#: A deadline is at most this much late: thousands of requests of a silent server, each a little
#: later than the one before, are looked at together.
_GRAIN_S = 0.01


def _nothing(entry: object) -> None:
    """Take no notice."""


class Deadlines(Generic[D]):
    """Calls back for each entry whose deadline passes before it is removed.

    A timer for each request would cost more than most requests. This one is set for the earliest
    deadline when it is set at all; when it fires, it looks at everything in flight, which is
    bounded.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[D], None]) -> None:
        self._loop = loop
        self._expired: Callable[[D], None] = expired
        self._entries: set[D] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0

    def add(self, entry: D) -> None:
        """Watch an entry."""
        self._entries.add(entry)
        if self._timer is None or entry.deadline < self._at:
            self._set(entry.deadline)

    def remove(self, entry: D) -> None:
        """Stop watching an entry."""
        self._entries.discard(entry)

    def stop(self) -> None:
        """Stop watching everything, for good."""
        self._entries.clear()
        self._expired = _nothing  # leaves no reference cycle behind
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._at = at
        if at != float("inf"):
            self._timer = self._loop.call_at(at, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._loop.time()
        late = [entry for entry in self._entries if entry.deadline <= now]
        self._entries.difference_update(late)
        for entry in late:
            self._expired(entry)
        if self._entries:
            self._set(max(now + _GRAIN_S, min(entry.deadline for entry in self._entries)))
