"""Attempts in a row, each begun a little after the one before, until one succeeds.

This is the race of RFC 8305 §5 ("Happy Eyeballs") without its sockets: an address that does not
answer costs one delay, one that refuses costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain, zip_longest
from typing import Any, Generic, TypeVar

__all__ = ["NoneSucceeded", "interleaved", "race"]

T = TypeVar("T")
Place = TypeVar("Place", bound="tuple[int, Any]")


class NoneSucceeded(Exception):
    """Every attempt failed; ``errors`` has the reason of each, in their order."""

    def __init__(self, errors: Sequence[OSError]) -> None:
        super().__init__(*errors)
        self.errors = tuple(errors)


def interleaved(places: Iterable[Place]) -> list[Place]:
    """Return places with their families in turn, the first one's first (RFC 8305 §4).

    Each is a family and an address. Those of one family stay in their order.
    """
    by_family: dict[int, list[Place]] = {}
    for place in places:
        by_family.setdefault(place[0], []).append(place)
    in_turn = chain.from_iterable(zip_longest(*by_family.values()))
    return [place for place in in_turn if place is not None]


async def race(
    attempts: Sequence[Callable[[], Awaitable[T]]],
    delay_s: float,
    discard: Callable[[T], object],
) -> T:
    """Return the result of the first attempt that succeeds; the others are cancelled.

    Args:
        attempts: at least one; each cleans up after itself if it is cancelled.
        delay_s: how long an attempt may take before the next begins; after a failure the next
            begins at once.
        discard: closes the result of an attempt that has succeeded too late.

    Raises:
        NoneSucceeded: each failed with an `OSError`; any other exception passes through.
    """
    entrants = _Entrants(attempts)
    try:
        while entrants.begin_next() or entrants.running:
            timeout = delay_s if entrants.are_left else None
            done, _ = await asyncio.wait(
                entrants.running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            # While one has just failed, and others still run, the next one does not wait for them.
            for task in sorted(done, key=entrants.running.__getitem__):
                if entrants.has_succeeded(task):
                    return task.result()
    finally:
        await entrants.end(discard)
    raise NoneSucceeded([entrants.errors[number] for number in sorted(entrants.errors)])


class _Entrants(Generic[T]):
    """The attempts of one race.

    Attributes:
        running: those that have begun, by number.
        errors: those that have failed.
    """

    def __init__(self, attempts: Sequence[Callable[[], Awaitable[T]]]) -> None:
        self._attempts = attempts
        self._begun = 0
        self.running: dict[asyncio.Task[T], int] = {}
        self.errors: dict[int, OSError] = {}

    @property
    def are_left(self) -> bool:
        """Whether there are some that have not begun."""
        return self._begun < len(self._attempts)

    def begin_next(self) -> bool:
        """Begin another one; return false if none is left."""
        if not self.are_left:
            return False
        task = asyncio.ensure_future(_awaited(self._attempts[self._begun]))
        self.running[task] = self._begun
        self._begun += 1
        return True

    def has_succeeded(self, task: asyncio.Task[T]) -> bool:
        """Note the end of one; return whether it has a result."""
        error = task.exception()
        if error is not None and not isinstance(error, OSError):
            raise error
        number = self.running.pop(task)
        if error is not None:
            self.errors[number] = error
        return error is None

    async def end(self, discard: Callable[[T], object]) -> None:
        """Cancel those that are running, and wait for their end."""
        for task in self.running:
            task.cancel()
        for result in await asyncio.gather(*self.running, return_exceptions=True):
            if not isinstance(result, BaseException):
                discard(result)


async def _awaited(attempt: Callable[[], Awaitable[T]]) -> T:
    return await attempt()
