"""What every datagram end of a client does, over a socket or in memory."""

from __future__ import annotations

from typing import Protocol

__all__ = ["DatagramClient"]


class DatagramClient(Protocol):
    """A datagram end that communicates with one peer."""

    @property
    def ignored(self) -> int:
        """How many ICMP errors and foreign datagrams were ignored, and how many sends failed."""
        ...

    @property
    def local(self) -> str:
        """The address of this end, as text."""
        ...

    def send(self, data: bytes) -> None:
        """Send a datagram; it may get lost, here or anywhere.

        Raises:
            OSError: EMSGSIZE, it is too large to be sent at all.
        """
        ...

    async def receive(self) -> bytes:
        """Wait for a datagram from the dialled address; only one call may wait at a time.

        It never times out: the caller has a deadline.

        Raises:
            OSError: EBADF, the client is closed.
        """
        ...

    def close(self) -> None:
        """Close; a waiting `receive` raises; later calls do nothing."""
        ...
