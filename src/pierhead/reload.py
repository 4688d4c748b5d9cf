"""What is read again while it is in force: prepared by all, then committed by all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Reloaded"]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What was read again and is not in force yet.

    Attributes:
        commit: puts it in force; called in the event loop, must be quick and must not fail.
        changes: what is different then, a line for each, for people.
    """

    commit: Callable[[], None]
    changes: tuple[str, ...] = ()
