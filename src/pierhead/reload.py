"""Reloading in two phases: everything is prepared first, then everything is committed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pierhead.errors import PierheadError

__all__ = ["Reloaded", "read_again"]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """A prepared reload that is not in effect yet.

    Attributes:
        commit: puts it into effect; called in the event loop, must be quick and must not fail.
        changes: what will change, one human-readable line each.
    """

    commit: Callable[[], None]
    changes: tuple[str, ...] = ()


def read_again(readers: Iterable[Callable[[], Reloaded]]) -> list[Reloaded]:
    """Prepare every reload; one that occurs twice is prepared once.

    Raises:
        PierheadError: the first that failed; the others are its notes.
    """
    read: list[Reloaded] = []
    faults: list[PierheadError] = []
    for reader in dict.fromkeys(readers):
        try:
            read.append(reader())
        except PierheadError as error:
            faults.append(error)
    if faults:
        for other in faults[1:]:
            faults[0].add_note(str(other))
        raise faults[0]
    return read
