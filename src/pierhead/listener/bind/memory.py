"""A listener for the connections of a memory network."""

from __future__ import annotations

import asyncio
import errno
from collections import deque

from pierhead.address import ListenSpec
from pierhead.net.memory.network import Network, register
from pierhead.net.memory.transport import MemoryTransport
from pierhead.service.context import Peer, Transport

__all__ = ["MemoryAccepted", "MemoryStreamListener"]

#: Connections that wait to be accepted; more are refused.
_BACKLOG = 128


class MemoryAccepted:
    """A connection that is not served yet; an `Accepted`."""

    def __init__(self, transport: MemoryTransport, peer: Peer, local: str) -> None:
        self.peer = peer
        self.local = local
        self._transport = transport
        self._attached = False

    async def attach(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport:
        """Attach a protocol; its ``connection_made`` has been called when this returns."""
        self._attached = True
        self._transport.open(protocol)
        return self._transport

    def close(self) -> None:
        """Close the connection without serving it; does nothing once attached."""
        if not self._attached:
            self._transport.abort()


class MemoryStreamListener:
    """Accepts connections to ``mem:name``; a `StreamListener`.

    Raises:
        ListenError: the name is taken.
    """

    transport = Transport.STREAM

    def __init__(self, spec: ListenSpec, name: str, network: Network) -> None:
        self._spec = spec
        self.name = name
        self._network = network
        self._waiting: deque[MemoryAccepted] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        register(network.streams, name, self, str(spec))

    @property
    def spec(self) -> ListenSpec:
        """The address as given."""
        return self._spec

    @property
    def local(self) -> str:
        """The bound address, as text."""
        return str(self._spec.address)

    def check_change(self, spec: ListenSpec) -> None:
        """There is nothing that could be refused."""

    def change(self, spec: ListenSpec) -> None:
        """Have other options; those that are obeyed here need a new listener."""
        self._spec = spec

    async def accept(self) -> MemoryAccepted:
        """Wait for the next connection; safe to cancel.

        Raises:
            OSError: EBADF if the listener is closed meanwhile.
        """
        await asyncio.sleep(0)
        while not self._waiting:
            if self._closed:
                raise OSError(errno.EBADF, f"{self.local} is closed")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._waiting.popleft()

    def offer(self, transport: MemoryTransport, source: str) -> None:
        """Queue a new connection: this side of it, and the peer at the other.

        Raises:
            ConnectionRefusedError: the queue is full.
        """
        if len(self._waiting) >= _BACKLOG:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"the backlog of {self.local} is full")
        self._waiting.append(MemoryAccepted(transport, Peer(source), self.local))
        self._wake()

    def close(self) -> None:
        """Release the name and close connections not accepted; later calls do nothing."""
        if self._closed:
            return
        self._closed = True
        del self._network.streams[self.name]
        while self._waiting:
            self._waiting.popleft().close()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
