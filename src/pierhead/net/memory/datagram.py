"""Datagrams of a memory network: named ends with a bounded queue."""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Sequence

from pierhead.address import ListenSpec
from pierhead.net.datagram.base import Datagram, ReplyTo
from pierhead.net.memory.link import Impairments
from pierhead.net.memory.network import Network, register
from pierhead.service.context import Peer, Transport

__all__ = ["MemoryDatagramEnd"]

#: Datagrams that wait to be received; more are dropped, as in a socket.
_QUEUE = 1024

#: The largest UDP payload over IPv4; a larger datagram is refused, as by the system.
_LARGEST_BYTES = 65_507


class MemoryDatagramEnd:
    """The end named ``memgram:name``, of a server or a client; a `DatagramListener`.

    Args:
        spec: the address as given.
        name: the name that others send to.
        network: the network it belongs to.
        loss: the probability that a datagram to this end is lost, in addition to losses on the
            links.
        seed: makes that loss repeatable.

    Raises:
        ListenError: the name is taken.
    """

    transport = Transport.DATAGRAM
    truncated = 0

    def __init__(
        self, spec: ListenSpec, name: str, network: Network, *, loss: float = 0.0, seed: int = 0
    ) -> None:
        self._spec = spec
        self.name = name
        self.dropped = 0  # datagrams that found the queue full
        self._network = network
        self._impairments = Impairments(f"to {name}")
        self._impairments.lose(loss, seed)
        self._queue: deque[Datagram] = deque()
        self._on_readable: Callable[[], None] | None = None
        self._told: asyncio.Handle | None = None
        self._closed = False
        register(network.datagrams, name, self, str(spec))

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

    def start(self, on_readable: Callable[[], None]) -> None:
        """Call this function in the event loop whenever datagrams may be waiting."""
        self._on_readable = on_readable
        self._tell_soon()

    def stop(self) -> None:
        """Stop calling; datagrams can still be sent."""
        self._on_readable = None
        if self._told is not None:
            self._told.cancel()
            self._told = None

    def receive_batch(self, limit: int) -> list[Datagram]:
        """Take up to this many waiting datagrams; [] if none is waiting."""
        return [self._queue.popleft() for _ in range(min(limit, len(self._queue)))]

    def send_batch(self, datagrams: Sequence[Datagram]) -> list[tuple[int, int]]:
        """Send all of them; return ``(index, errno)`` for each that was refused.

        A datagram to an end that does not exist is silently lost, as on a real network.
        """
        refused = []
        for index, (payload, name) in enumerate(datagrams):
            if len(payload) > _LARGEST_BYTES:
                refused.append((index, errno.EMSGSIZE))
            else:
                self._send(bytes(payload), name)
        return refused

    def peer(self, reply_to: ReplyTo) -> Peer:
        """Return the sender of a datagram."""
        return Peer(reply_to)

    def way_to(self, address: str) -> ReplyTo:
        """Return the way to a name."""
        return address

    def close(self) -> None:
        """Release the name and discard waiting datagrams; later calls do nothing."""
        if not self._closed:
            self._closed = True
            self.stop()
            self._queue.clear()
            del self._network.datagrams[self.name]

    def arrive(self, payload: bytes, sender: str) -> None:
        """Take a datagram that has arrived."""
        if not self._impairments.copies():
            return
        if len(self._queue) >= _QUEUE:
            self.dropped += 1
            return
        self._queue.append((payload, sender))
        self._tell_soon()

    def _send(self, payload: bytes, name: str) -> None:
        def deliver() -> None:
            receiver = self._network.datagrams.get(name)
            if receiver is not None:
                receiver.arrive(payload, self.name)

        self._network.link(self.name, name).direction(self.name).carry_datagram(deliver)

    def _tell_soon(self) -> None:
        if self._on_readable is not None and self._told is None and self._queue:
            self._told = asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._told = None
        if self._on_readable is not None and self._queue:
            self._on_readable()
            self._tell_soon()  # level-triggered, like a socket
