"""What every datagram end of a client does, over a socket or in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

__all__ = ["DatagramClient", "PrefixedEnd"]


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

    def offer(self, data: bytes) -> bool:
        """Send a datagram, unless the system has no room for it now; as `send` otherwise."""
        ...

    def when_writable(self, callback: Callable[[], None]) -> None:
        """Call this once, when there may be room again."""
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


class PrefixedEnd:
    """Sends octets in front of each datagram: the wrapper ``proxy+``; replies have none.

    Args:
        end: owned.
        prefix: the header.
    """

    def __init__(self, end: DatagramClient, prefix: bytes) -> None:
        self._end = end
        self._prefix = prefix

    @property
    def ignored(self) -> int:
        """How many datagrams were ignored, and how many sends failed."""
        return self._end.ignored

    @property
    def local(self) -> str:
        """The address of this end, as text."""
        return self._end.local

    def send(self, data: bytes) -> None:
        """Send a datagram behind the header."""
        self._end.send(self._prefix + data)

    def offer(self, data: bytes) -> bool:
        """Send a datagram behind the header, unless there is no room for it now."""
        return self._end.offer(self._prefix + data)

    def when_writable(self, callback: Callable[[], None]) -> None:
        """Call this once, when there may be room again."""
        self._end.when_writable(callback)

    async def receive(self) -> bytes:
        """Wait for a datagram."""
        return await self._end.receive()

    def close(self) -> None:
        """Close; later calls do nothing."""
        self._end.close()
