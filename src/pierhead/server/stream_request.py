"""One request of a framed connection."""

from __future__ import annotations

from typing import Any, Protocol

from pierhead.connection.exchange import Place
from pierhead.connection.in_flight import Request
from pierhead.errors import UsageError
from pierhead.server.connection import ConnectionScope
from pierhead.service.context import Peer

__all__ = ["StreamRequest"]


class _Connection(Protocol):
    """What a request needs to know about its connection."""

    @property
    def scope(self) -> ConnectionScope: ...

    def current_idle_timeout(self) -> float: ...


class StreamRequest(Request, Place):
    """A request of a connection: its place in the order of replies and its connection commands.

    It is the `ConnectionControl` that the service sees as ``context.connection``.
    """

    def __init__(self, frame: Any, deadline: float, connection: _Connection) -> None:
        self.frame = frame
        self.deadline = deadline
        self._connection = connection

    @property
    def peer(self) -> Peer:
        """The client."""
        return self._connection.scope.peer

    @property
    def idle_timeout(self) -> float:
        """The idle timeout in effect after this request's last reply, in seconds."""
        asked = self.new_idle_timeout
        return self._connection.current_idle_timeout() if asked is None else asked

    def set_idle_timeout(self, seconds: float) -> None:
        """Use this idle timeout from this request's last reply on."""
        if not seconds >= 0:
            raise UsageError(f"idle timeout is {seconds!r}, expected seconds, 0 or more")
        self.new_idle_timeout = seconds
        self.has_commands = True

    def close_after_reply(self) -> None:
        """Close once everything accepted up to this request's last reply has been answered."""
        self.close_for = "service"
        self.has_commands = True
