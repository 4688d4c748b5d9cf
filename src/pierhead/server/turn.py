"""The place of one request among those of its connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pierhead.errors import UsageError

if TYPE_CHECKING:
    from pierhead.server.framed import FramedConnection

__all__ = ["Turn"]


class Turn:
    """The place of one request in the order of replies, and its control of the connection.

    It is the `ConnectionControl` that the service sees as ``context.connection``.
    """

    __slots__ = (
        "_close_for",
        "_connection",
        "_idle_timeout",
        "done",
        "frames",
        "has_commands",
        "is_unanswered",
        "ready",
    )

    def __init__(self, connection: FramedConnection) -> None:
        self._connection = connection
        self.frames: list[bytes] = []  # replies held back while older ones are due
        self.done = False
        self.ready: asyncio.Future[None] | None = None
        self.has_commands = False
        self.is_unanswered = False
        self._close_for = ""
        self._idle_timeout: float | None = None

    @property
    def idle_timeout(self) -> float:
        """The idle timeout after this request's last reply, in seconds."""
        return self._idle_timeout or self._connection.current_idle_timeout()

    def set_idle_timeout(self, seconds: float) -> None:
        """Use this idle timeout from this request's last reply on."""
        if not seconds > 0:
            raise UsageError(f"idle timeout is {seconds!r}, expected seconds above 0")
        self._idle_timeout = seconds
        self.has_commands = True

    def close_after_reply(self) -> None:
        """Close once everything accepted up to this request's last reply is answered."""
        self._close_for = "service"
        self.has_commands = True

    def close_unanswered(self) -> None:
        """Close: the request has failed, and the peer could take the next reply for its own."""
        self.is_unanswered = True

    def apply(self, connection: FramedConnection) -> None:
        """Let the two commands take effect."""
        if self._idle_timeout is not None:
            connection.idle_timeout = self._idle_timeout
        if self._close_for:
            connection.finish(self._close_for)
