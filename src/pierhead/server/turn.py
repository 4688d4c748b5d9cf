"""The place of one request among those of its connection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pierhead.context import Peer
from pierhead.errors import UsageError
from pierhead.server.request import Request

if TYPE_CHECKING:
    from pierhead.server.framed import FramedConnection

__all__ = ["Turn"]


class Turn(Request):
    """A request of a connection: its place in the order of replies, its say in the connection.

    It is the `ConnectionControl` that the service sees as ``context.connection``.

    Attributes:
        frames: replies held back while older ones are due.
        done: whether it has had its last reply.
        ready: what a sender of many replies waits for while older replies are due.
        has_commands: whether `apply` has anything to do.
        is_unanswered: whether it failed without a refusal.
        is_ready: whether it holds a ready answer, and no service was asked.
    """

    frames: Sequence[bytes] = ()
    done = False
    ready: asyncio.Future[None] | None = None
    has_commands = False
    is_unanswered = False
    is_ready = False
    _close_for = ""
    _idle_timeout: float | None = None

    def __init__(self, frame: bytes, deadline: float, connection: FramedConnection) -> None:
        self.frame = frame
        self.deadline = deadline
        self._connection = connection

    @property
    def peer(self) -> Peer:
        """Who asked."""
        return self._connection.scope.peer

    @property
    def idle_timeout(self) -> float:
        """The idle timeout after this request's last reply, in seconds."""
        asked = self._idle_timeout
        return self._connection.current_idle_timeout() if asked is None else asked

    def set_idle_timeout(self, seconds: float) -> None:
        """Use this idle timeout from this request's last reply on."""
        if not seconds >= 0:
            raise UsageError(f"idle timeout is {seconds!r}, expected seconds, 0 or more")
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
