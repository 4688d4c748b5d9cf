"""A listener over a listening socket: TCP, Unix and vsock, streams and seqpacket."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from pierhead.address import ListenSpec
from pierhead.address.views import BindOptions, SocketOptions
from pierhead.listener.base import OutOfDescriptors
from pierhead.listener.socket_listener import SocketListener
from pierhead.listener.socket_option import for_accepted
from pierhead.listener.spare_descriptor import SpareDescriptor
from pierhead.net.credentials import peer_credentials
from pierhead.net.transport.channel import Channel, PacketChannel, StreamChannel
from pierhead.net.transport.channel_transport import ChannelTransport
from pierhead.service.context import Credentials, Peer, Transport

__all__ = ["AcceptedChannel", "AcceptedSocket", "SocketStreamListener", "StreamSettings", "peer_of"]

#: The connection broke before it was accepted: Linux reports such errors from accept(2), whose
#: manual says to treat them like EAGAIN. EPERM is a firewall rule.
_BROKEN_CONNECTION = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EPROTO,
        errno.EPERM,
        errno.ENETDOWN,
        errno.ENOPROTOOPT,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EOPNOTSUPP,
        errno.ENETUNREACH,
        errno.ETIMEDOUT,
        getattr(errno, "ENONET", errno.ENETDOWN),
    }
)

#: The process, or the whole system, is out of descriptors.
_NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})
#: Families for which every event loop has a stream transport; uvloop refuses any other.
_FAMILIAR = frozenset({socket.AF_INET, socket.AF_INET6, getattr(socket, "AF_UNIX", None)})


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """The settings of an accepted socket.

    Attributes:
        local: returns the address a connection reached, if it may differ from the listener's.
        no_delay: whether small writes leave at once (TCP_NODELAY); None if not applicable.
        prepare: sets options that an accepted socket does not inherit; None if there are none.
    """

    local: Callable[[Any], str] | None = None
    no_delay: bool | None = None
    prepare: Callable[[socket.socket], None] | None = None


class SocketStreamListener(SocketListener):
    """Owns a listening, non-blocking socket; a `StreamListener`.

    Args:
        spec: the address as given.
        local: the bound address, as text.
        sock: closed by `close`.
        settings: the settings of accepted sockets.
        transport: stream, or seqpacket if the socket preserves message boundaries.
        on_close: called once after the socket is closed.
    """

    def __init__(
        self,
        spec: ListenSpec,
        local: str,
        sock: socket.socket,
        settings: StreamSettings,
        *,
        transport: Transport = Transport.STREAM,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(spec, local, sock, on_close)
        self.transport = transport
        self._settings = settings
        self._waiter: asyncio.Future[None] | None = None
        self._watched_by: asyncio.AbstractEventLoop | None = None
        self._reserve = SpareDescriptor()
        # Read once here: looking up a socket's family is expensive.
        self._is_familiar = sock.family in _FAMILIAR and transport is Transport.STREAM
        self._is_unix = sock.family == getattr(socket, "AF_UNIX", None)

    async def accept(self) -> AcceptedSocket | AcceptedChannel:
        """Wait for the next connection; safe to cancel.

        Raises:
            OutOfDescriptors: EMFILE, ENFILE: some connections were closed instead.
            OSError: ENOBUFS and the like; EBADF if the listener is closed meanwhile.
        """
        # Nothing is awaited after a connection is accepted, so cancelling cannot lose one.
        while True:
            if self._closed:
                raise OSError(errno.EBADF, f"{self._local} is closed")
            try:
                connection, address = self._sock.accept()
            except BlockingIOError:
                await self._readable()
            except OSError as error:
                if error.errno in _NO_DESCRIPTOR:
                    shed = self._reserve.shed(self._sock)
                    raise OutOfDescriptors(error.errno or 0, str(error.strerror), shed) from None
                if error.errno not in _BROKEN_CONNECTION:
                    raise
                await asyncio.sleep(0)
            else:
                return self._accepted(connection, address)

    def _accepted(
        self, connection: socket.socket, address: Any
    ) -> AcceptedSocket | AcceptedChannel:
        settings = self._settings
        connection.setblocking(False)
        if settings.prepare is not None:
            settings.prepare(connection)
        local = settings.local(connection.getsockname()) if settings.local else self._local
        peer = peer_of(address)
        if not self._is_familiar:
            return AcceptedChannel.of(connection, peer, local)
        credentials = peer_credentials(connection) if self._is_unix else None
        return AcceptedSocket(connection, peer, local, settings.no_delay, credentials)

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        if self._watched_by is None:
            self._watched_by = loop
            loop.add_reader(self._sock.fileno(), self._on_readable)
        try:
            await waiter
        finally:
            self._waiter = None

    def _on_readable(self) -> None:
        # Watching continues while the caller keeps accepting: starting and stopping is expensive.
        if self._waiter is not None:
            _wake(self._waiter)
        else:
            self.unwatch()

    def change(self, spec: ListenSpec) -> None:
        """Obey the options of another spec of the same address from the next connection on."""
        before, after = self._spec.options, spec.options
        super().change(spec)
        if (backlog := BindOptions.of(after).backlog) != BindOptions.of(before).backlog:
            self._sock.listen(backlog)
        no_delay = SocketOptions.of(after).nodelay
        if no_delay is None:
            was = SocketOptions.of(before).nodelay
            no_delay = self._settings.no_delay if was is None else True
        prepare = for_accepted(self._sock, spec)
        self._settings = dataclasses.replace(self._settings, no_delay=no_delay, prepare=prepare)

    def unwatch(self) -> None:
        """Stop the event loop from watching the socket; later calls do nothing."""
        if self._watched_by is not None:
            self._watched_by.remove_reader(self._sock.fileno())
            self._watched_by = None

    def release(self) -> None:
        """Wake a waiting `accept`, which then raises."""
        if self._waiter is not None:
            _wake(self._waiter)
        self._reserve.close()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def peer_of(address: Any) -> Peer:
    """Return the peer for an address from the socket module."""
    if isinstance(address, bytes):  # an abstract name: a NUL, then anything
        return Peer.abstract(address)
    return Peer(address)


def _credentials(sock: socket.socket) -> Credentials | None:
    is_unix = sock.family == getattr(socket, "AF_UNIX", None)
    return peer_credentials(sock) if is_unix else None


class AcceptedSocket:
    """One accepted connection; an `Accepted`, and `HasCredentials`."""

    def __init__(
        self,
        sock: socket.socket,
        peer: Peer,
        local: str,
        no_delay: bool | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self.peer = peer
        self.local = local
        self.credentials = credentials
        self._sock = sock
        self._no_delay = no_delay
        self._attached = False

    @classmethod
    def of(cls, sock: socket.socket, peer: Peer, local: str, no_delay: bool | None) -> Self:
        """Return the connection of a socket, with the system's facts about its other end."""
        return cls(sock, peer, local, no_delay, _credentials(sock))

    @property
    def socket(self) -> socket.socket:
        """The socket, for settings that no address option covers; this object owns it."""
        return self._sock

    async def attach(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport:
        """Attach a protocol; its ``connection_made`` has been called when this returns."""
        self._attached = True
        loop = asyncio.get_running_loop()
        try:
            # Independent of the peer, so it ends within one or two iterations. If it is cancelled,
            # both event loops close the socket.
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, self._sock)
        except Exception:
            self._sock.close()
            raise
        if self._no_delay is False:  # both event loops enable it for every transport
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        return transport

    def close(self) -> None:
        """Close the connection without serving it; does nothing once attached."""
        if not self._attached:
            self._sock.close()


class AcceptedChannel:
    """One accepted connection that needs a transport of our own; `Accepted`, `HasCredentials`."""

    def __init__(
        self, channel: Channel, peer: Peer, local: str, credentials: Credentials | None = None
    ) -> None:
        self.peer = peer
        self.local = local
        self.credentials = credentials
        self._channel = channel
        self._attached = False

    @classmethod
    def of(cls, sock: socket.socket, peer: Peer, local: str) -> AcceptedChannel:
        """Return the connection of a socket; it owns the socket."""
        is_packets = sock.type == getattr(socket, "SOCK_SEQPACKET", None)
        channel = PacketChannel(sock) if is_packets else StreamChannel(sock)
        return cls(channel, peer, local, _credentials(sock))

    @property
    def socket(self) -> socket.socket | None:
        """The socket, which stays this object's to close; None where it is two pipes."""
        return self._channel.facts.get("socket")

    async def attach(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport:
        """Attach a protocol; its ``connection_made`` has been called when this returns."""
        self._attached = True
        return ChannelTransport(asyncio.get_running_loop(), self._channel, protocol)

    def close(self) -> None:
        """Close the connection without serving it; does nothing once attached."""
        if not self._attached:
            self._channel.close()
