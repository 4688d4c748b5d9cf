"""Reloading in two phases: everything is prepared first, then everything is committed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Reloaded"]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """A prepared reload that is not in effect yet.

    Attributes:
        commit: puts it into effect; called in the event loop, must be quick and must not fail.
        changes: what will change, one human-readable line each.
    """

    commit: Callable[[], None]
    changes: tuple[str, ...] = ()
