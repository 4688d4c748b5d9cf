"""A listener that yields a single connection."""

from __future__ import annotations

from pierhead.address import ListenSpec
from pierhead.listener.base import Accepted, ListenerEnded
from pierhead.service.context import Transport

__all__ = ["SingleConnection"]


class SingleConnection:
    """Yields a connection that a super-server has accepted; a `StreamListener`.

    Args:
        spec: the address as given.
        accepted: the connection; closed by `close` unless it has been taken.
        transport: stream or seqpacket.
    """

    def __init__(
        self, spec: ListenSpec, accepted: Accepted, transport: Transport = Transport.STREAM
    ) -> None:
        self.transport = transport
        self._spec = spec
        self._accepted: Accepted | None = accepted

    @property
    def spec(self) -> ListenSpec:
        """The address as given."""
        return self._spec

    @property
    def local(self) -> str:
        """The address as given, without options: nothing was bound."""
        return str(self._spec.address)

    def check_change(self, spec: ListenSpec) -> None:
        """There is nothing that could be refused."""

    def change(self, spec: ListenSpec) -> None:
        """Have other options; those that are obeyed here need a new listener."""
        self._spec = spec

    async def accept(self) -> Accepted:
        """Return the connection.

        Raises:
            ListenerEnded: it has been taken, or closed.
        """
        if self._accepted is None:
            raise ListenerEnded(f"the only connection of {self.local} has been taken")
        accepted, self._accepted = self._accepted, None
        return accepted

    def close(self) -> None:
        """Close the connection unless it has been taken."""
        if self._accepted is not None:
            self._accepted.close()
            self._accepted = None

    def __repr__(self) -> str:
        return f"<SingleConnection {self.local}>"
