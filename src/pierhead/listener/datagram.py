"""A datagram listener over a bound socket, in batches if the system supports them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pierhead.address import ListenSpec
from pierhead.buffer import BufferSource
from pierhead.listener.base import Datagram, ReplyTo
from pierhead.listener.socket_listener import SocketListener
from pierhead.net.datagram.batch import BatchIO, has_batch_io
from pierhead.net.datagram.recvmsg import RecvmsgIO
from pierhead.service.context import Peer, Transport

__all__ = ["DatagramIO", "SocketDatagramListener"]


class DatagramIO(Protocol):
    """A way to receive and send over a socket; the methods are those of the listener."""

    @property
    def truncated(self) -> int:
        """How many datagrams have been too large for the receive buffer so far."""
        ...

    def receive(self, limit: int) -> list[Datagram]:
        """Take up to this many waiting datagrams."""
        ...

    def send(self, datagrams: Sequence[Datagram]) -> list[tuple[int, int]]:
        """Send all of them; return ``(index, errno)`` for each that the kernel refused."""
        ...

    def peer(self, reply_to: ReplyTo) -> Peer:
        """Return the sender of a datagram."""
        ...

    def way_to(self, address: Any) -> ReplyTo:
        """Return the way to an address."""
        ...

    def close(self) -> None:
        """Release the receive buffer."""
        ...


class SocketDatagramListener(SocketListener):
    """Owns a bound, non-blocking datagram socket; a `DatagramListener`.

    Args:
        spec: the address as given.
        local: the bound address, as text.
        sock: closed by `close`.
        buffers: the pool of receive buffers.
        packet_info: whether the socket reports the address each datagram was sent to.
        batched: False to avoid `recvmmsg`; None to use what the system has.
        on_close: called once after the socket is closed.

    Raises:
        Overloaded: the pool had no buffer; the caller keeps the socket.
    """

    transport = Transport.DATAGRAM

    def __init__(
        self,
        spec: ListenSpec,
        local: str,
        sock: socket.socket,
        buffers: BufferSource,
        *,
        packet_info: bool = False,
        batched: bool | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(spec, local, sock, on_close)
        self._loop: asyncio.AbstractEventLoop | None = None
        use_batches = has_batch_io() if batched is None else batched
        self._io = self._make_io(use_batches, packet_info, buffers)
        # The hot path: no call in between.
        self.receive_batch: Callable[[int], list[Datagram]] = self._io.receive
        self.send_batch: Callable[[Sequence[Datagram]], list[tuple[int, int]]] = self._io.send

    def _make_io(self, use_batches: bool, packet_info: bool, buffers: BufferSource) -> DatagramIO:
        io = BatchIO if use_batches else RecvmsgIO
        return io(self._sock, packet_info, buffers)

    @property
    def truncated(self) -> int:
        """How many datagrams have been too large for the receive buffer so far."""
        return self._io.truncated

    def start(self, on_readable: Callable[[], None]) -> None:
        """Call this function in the event loop whenever datagrams may be waiting."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._sock.fileno(), on_readable)

    def stop(self) -> None:
        """Stop calling; datagrams can still be sent."""
        if self._loop is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._loop = None

    def peer(self, reply_to: ReplyTo) -> Peer:
        """Return the sender of a datagram."""
        return self._io.peer(reply_to)

    def way_to(self, address: Any) -> ReplyTo:
        """Return the way to an address: a host and a port, or octets for a path."""
        return self._io.way_to(address)

    def unwatch(self) -> None:
        """As `stop`."""
        self.stop()

    def release(self) -> None:
        """Release the receive buffer."""
        self._io.close()
