"""The client's end of a datagram exchange in the memory network."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable

from pierhead.address import ListenSpec, MemoryAddress
from pierhead.errors import UsageError
from pierhead.net.memory import MemoryDatagramEnd, Network

__all__ = ["MemoryDatagramClient"]


class MemoryDatagramClient:
    """Owns a named end, and accepts datagrams only from its target.

    Args:
        target: the end it communicates with; it need not exist yet.
        source: its name; None for a name that the network chooses.

    Raises:
        ListenError: the network already has an end with this name.
    """

    def __init__(self, target: MemoryAddress, source: MemoryAddress | None) -> None:
        self.ignored = 0
        network = Network.current()
        address = source or MemoryAddress("memgram", network.unused_name())
        self._peer = target.name
        self._end = MemoryDatagramEnd(ListenSpec((), address), address.name, network)
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    @property
    def local(self) -> str:
        """The name of this end."""
        return self._end.local

    def send(self, data: bytes) -> None:
        """Send a datagram; it may get lost, here or anywhere.

        Raises:
            OSError: EMSGSIZE, it is too large to be sent at all; EBADF, the client is closed.
        """
        self._check_open()
        for _, code in self._end.send_batch([(data, self._peer)]):
            raise OSError(code, f"a datagram of {len(data)} bytes cannot be sent")

    def offer(self, data: bytes) -> bool:
        """Send a datagram; there is always room."""
        self.send(data)
        return True

    def when_writable(self, callback: Callable[[], None]) -> None:
        """Call this in the next iteration."""
        asyncio.get_running_loop().call_soon(callback)

    async def receive(self) -> bytes:
        """Wait for a datagram from the peer; only one call may wait at a time.

        Raises:
            OSError: EBADF, the client is closed.
        """
        while True:
            self._check_open()
            for datagram, sender in self._end.receive_batch(1):
                if sender == self._peer:
                    return datagram
                self.ignored += 1
                break
            else:
                await self._readable()

    async def _readable(self) -> None:
        if self._waiter is not None:
            raise UsageError("another receive() is already waiting; only one may wait at a time")
        self._waiter = asyncio.get_running_loop().create_future()
        self._end.start(self._wake)
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._end.stop()

    def close(self) -> None:
        """Close; a waiting `receive` raises; later calls do nothing."""
        self._closed = True
        self._wake()
        self._end.close()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _check_open(self) -> None:
        if self._closed:
            raise OSError(errno.EBADF, "the datagram client is closed")
