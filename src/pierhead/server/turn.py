"""The place of one request among those of its connection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from pierhead.context import Peer
from pierhead.errors import UsageError
from pierhead.server.connection import ConnectionScope
from pierhead.server.request import Request

__all__ = ["Turn"]


class _Connection(Protocol):
    """What a request has to know of its connection."""

    @property
    def scope(self) -> ConnectionScope: ...

    def current_idle_timeout(self) -> float: ...


class Turn(Request):
    """A request of a connection: its place in the order of replies, its say in the connection.

    It is the `ConnectionControl` that the service sees as ``context.connection``.

    Attributes:
        frames: replies held back while older ones are due.
        done: whether it has had its last reply.
        ready: what a sender of many replies waits for while older replies are due.
        has_commands: whether the service has given one of the two commands.
        new_idle_timeout: in force after this request's last reply; None for the one that is.
        close_for: why the connection closes after this request's last reply; "" where it does not.
        is_unanswered: whether it failed without a refusal.
        is_ready: whether it holds a ready answer, and no service was asked.
    """

    frames: Sequence[bytes] = ()
    done = False
    ready: asyncio.Future[None] | None = None
    has_commands = False
    is_unanswered = False
    is_ready = False
    close_for = ""
    new_idle_timeout: float | None = None

    def __init__(self, frame: bytes, deadline: float, connection: _Connection) -> None:
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
        asked = self.new_idle_timeout
        return self._connection.current_idle_timeout() if asked is None else asked

    def set_idle_timeout(self, seconds: float) -> None:
        """Use this idle timeout from this request's last reply on."""
        if not seconds >= 0:
            raise UsageError(f"idle timeout is {seconds!r}, expected seconds, 0 or more")
        self.new_idle_timeout = seconds
        self.has_commands = True

    def close_after_reply(self) -> None:
        """Close once everything accepted up to this request's last reply is answered."""
        self.close_for = "service"
        self.has_commands = True

    def close_unanswered(self) -> None:
        """Close: the request has failed, and the peer could take the next reply for its own."""
        self.is_unanswered = True
