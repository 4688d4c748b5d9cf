"""The deadline for a peer to take what it is sent."""

from __future__ import annotations

import asyncio

__all__ = ["WriteDeadline"]


class WriteDeadline:
    """Whether a peer takes, in time, what was handed to the system.

    The goal is everything handed over when the deadline was set: a peer that takes its replies
    slowly but steadily reaches it and gets a new one.

    Attributes:
        handed_over: octets given to the transport so far; the owner counts them.
    """

    __slots__ = ("_deadline", "_goal", "handed_over")

    def __init__(self) -> None:
        self.handed_over = 0
        self._goal = 0
        self._deadline: float | None = None

    def is_late(self, now: float, transport: asyncio.WriteTransport, timeout_s: float) -> bool:
        """Tell whether the goal was missed; asked at every sweep."""
        taken = self.handed_over - transport.get_write_buffer_size()
        if taken == self.handed_over:
            self._deadline = None
        elif self._deadline is None or taken >= self._goal:
            self._goal = self.handed_over
            self._deadline = now + timeout_s
        return self._deadline is not None and now >= self._deadline
