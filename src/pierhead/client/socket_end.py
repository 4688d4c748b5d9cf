"""The client's end of a datagram exchange over a connected socket."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from pierhead.errors import UsageError
from pierhead.net.datagram.batch import PENDING_ERRORS
from pierhead.net.place import Place
from pierhead.service.context import Peer

__all__ = ["SocketDatagramClient", "Unreachable"]

_LARGEST = 65_536

#: Errors by which ICMP reports an undeliverable datagram.
_UNREACHABLE = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH})
#: Send errors that are not the caller's fault: a full buffer, an unreachable peer, an earlier
#: datagram's ICMP error. The datagram counts as lost.
_LOST = (PENDING_ERRORS - {errno.EMSGSIZE}) | {errno.EAGAIN, errno.ENOBUFS, errno.ENOTCONN}


class Unreachable(OSError):
    """The network reports that a datagram was undeliverable (RFC 1122 §4.1.3.3)."""


class SocketDatagramClient:
    """Owns a connected socket: the system accepts datagrams only from the peer.

    Args:
        sock: connected and non-blocking; closed by `close`.
        bound: the path of the socket, if it has one; `close` removes exactly that file.
    """

    def __init__(self, sock: socket.socket, bound: Place | None = None) -> None:
        self.ignored = 0
        self._sock = sock
        self._bound = bound
        self._told: OSError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._writing_in: asyncio.AbstractEventLoop | None = None

    @property
    def local(self) -> str:
        """The address of this end, as text."""
        return str(Peer(self._sock.getsockname()))

    def send(self, data: bytes) -> None:
        """Send a datagram; it may get lost, here or anywhere.

        Raises:
            OSError: EMSGSIZE, it is too large to be sent at all.
        """
        if not self.offer(data):
            self.ignored += 1

    def offer(self, data: bytes) -> bool:
        """Send a datagram, unless the system has no room for it now; as `send` otherwise."""
        for _ in range(2):  # the first may only report an earlier datagram's ICMP error
            try:
                self._sock.send(data)
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno not in _LOST:
                    raise
                self.ignored += 1
                if error.errno in _UNREACHABLE:
                    self._told = error
                    if self._waiter is not None:
                        _wake(self._waiter)
            else:
                break
        return True

    def when_writable(self, callback: Callable[[], None]) -> None:
        """Call this once, when the system may have room again."""
        loop = asyncio.get_running_loop()
        descriptor = self._sock.fileno()

        def writable() -> None:
            loop.remove_writer(descriptor)
            callback()

        loop.add_writer(descriptor, writable)
        self._writing_in = loop

    async def receive(self) -> bytes:
        """Wait for a datagram from the peer; only one call may wait at a time.

        Raises:
            Unreachable: ICMP reports that an earlier datagram was undeliverable. Any host on the
                path can claim so, and the next one may arrive: the client is still usable.
            OSError: EBADF, the client is closed.
        """
        while True:
            if self._told is not None:
                told, self._told = self._told, None
                raise Unreachable(told.errno, told.strerror)
            try:
                return self._sock.recv(_LARGEST)
            except BlockingIOError:
                await self._readable()
            except OSError as error:
                # An error of an earlier datagram, not of this call.
                if error.errno not in PENDING_ERRORS:
                    raise
                self.ignored += 1
                if error.errno in _UNREACHABLE:
                    self._told = error

    async def _readable(self) -> None:
        if self._waiter is not None:
            raise UsageError("another receive() is already waiting; only one may wait at a time")
        loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        descriptor = self._sock.fileno()
        loop.add_reader(descriptor, _wake, waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            if self._sock.fileno() == descriptor:
                loop.remove_reader(descriptor)

    def close(self) -> None:
        """Close; a waiting `receive` raises; later calls do nothing."""
        if self._waiter is not None:
            self._waiter.get_loop().remove_reader(self._sock.fileno())
            _wake(self._waiter)
        if self._writing_in is not None and self._sock.fileno() >= 0:
            self._writing_in.remove_writer(self._sock.fileno())
        self._sock.close()
        if self._bound is not None:
            bound, self._bound = self._bound, None
            with bound:
                bound.remove()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
