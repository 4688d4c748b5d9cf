"""Whether a server has started, takes new work, and lives: what probes and balancers ask.

starting ─▶ ready ─▶ draining ─▶ stopped
             ▲  └─▶ reloading: ready meanwhile
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Health", "State"]


class State(Enum):
    """How far a server is."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"


class Health:
    """The state of one server; written by what runs it, read by the admin service."""

    def __init__(self) -> None:
        self.state = State.STARTING

    @property
    def has_started(self) -> bool:
        """Whether the server has been ready once; it stays true."""
        return self.state is not State.STARTING

    @property
    def is_ready(self) -> bool:
        """Whether new work should be sent here."""
        return self.state is State.READY
