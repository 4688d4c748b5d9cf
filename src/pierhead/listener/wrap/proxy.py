"""The wrapper ``proxy+`` on streams: a PROXY header comes first and names the client.

    proxy+tls+tcp:[::]:443?proxy.from=10.0.0.0/8&cert=a.pem

The header is required, never guessed: a connection without one is closed. It is read within its own
deadline; data after it in the same read is kept for the protocol.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import socket
from typing import cast

from pierhead.codec.proxy_header import ProxyHeader, ProxyHeaderReader
from pierhead.errors import FramingError, HandshakeError
from pierhead.listener.base import (
    Accepted,
    HandshakeResult,
    StreamListener,
    complete_handshake,
    credentials_of,
    socket_of,
)
from pierhead.listener.wrap.base import WrapperListener
from pierhead.listener.wrap.proxy_trust import ProxyRules, header_peer
from pierhead.net.transport.feed import feed
from pierhead.service.context import Credentials, Peer, Transport

__all__ = ["ProxyAccepted", "ProxyListener"]


class ProxyListener(WrapperListener[StreamListener]):
    """Yields the connections of another listener without their PROXY header; a `StreamListener`.

    Args:
        base: the listener below; closed by `close`.
        rules: which proxies to trust.
    """

    transport = Transport.STREAM
    wrapper = "proxy"

    def __init__(self, base: StreamListener, rules: ProxyRules) -> None:
        super().__init__(base)
        self._rules = rules

    async def accept(self) -> ProxyAccepted:
        """Wait for the next connection; safe to cancel; raises what the base raises."""
        return ProxyAccepted(await self.base.accept(), self._rules)


class ProxyAccepted:
    """A connection whose PROXY header is still to come; an `Accepted` and `Handshaking`."""

    names_peer = True

    def __init__(self, base: Accepted, rules: ProxyRules) -> None:
        self._base = base
        self._rules = rules
        self._reading = _HeaderReading(rules.version)
        self._is_attached = False

    @property
    def peer(self) -> Peer:
        """The other end of the socket: the proxy."""
        return self._base.peer

    @property
    def local(self) -> str:
        """The local address that was reached, as text."""
        return self._base.local

    @property
    def socket(self) -> socket.socket | None:
        """The socket below, which the connection owns; None if there is none."""
        return socket_of(self._base)

    @property
    def credentials(self) -> Credentials | None:
        """The process at the other end of the socket, if the system reports it."""
        return credentials_of(self._base)

    async def handshake(self) -> HandshakeResult:
        """Complete the handshakes below, then read the header; close the connection on failure.

        Raises:
            HandshakeError: the peer is not trusted, or sends no acceptable header.
            OSError: the connection broke, or the header did not arrive in time.
        """
        if not self._rules.trusts(self.peer):
            self._base.close()
            raise HandshakeError("proxy_untrusted", f"{self.peer} is not within proxy.from")
        arrival = await complete_handshake(self._base)
        try:
            async with asyncio.timeout(self._rules.timeout_s):
                await self._base.attach(self._reading)
                header = await self._reading.header
        except BaseException:
            self._reading.abort()
            raise
        return dataclasses.replace(arrival, peer=header_peer(header, arrival.peer), proxy=header)

    async def attach(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport:
        """Attach a protocol to the connection, and pass it the data after the header."""
        self._is_attached = True
        return self._reading.pass_on(protocol)

    def close(self) -> None:
        """Close the connection without serving it; does nothing once attached."""
        if not self._is_attached:
            self._base.close()
            self._reading.abort()


class _HeaderReading(asyncio.Protocol):
    """The protocol of a connection until its header has arrived."""

    def __init__(self, version: int | None) -> None:
        self.header: asyncio.Future[ProxyHeader] = asyncio.get_running_loop().create_future()
        self._reader = ProxyHeaderReader(version)
        self._transport: asyncio.Transport | None = None
        self._is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.header.done():  # already refused
            return
        try:
            self._reader.feed(data)
        except FramingError as error:
            self._fail(HandshakeError("proxy_header", str(error)))
            return
        if self._reader.header is not None:
            if self._transport is not None:
                self._transport.pause_reading()  # until a protocol takes the data
            self.header.set_result(self._reader.header)

    def eof_received(self) -> bool:
        self._fail(_gone())
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._fail(_gone())

    def _fail(self, error: Exception) -> None:
        if not self.header.done():
            self.header.set_exception(error)

    def abort(self) -> None:
        """Close at once."""
        # The old one keeps its exception, whose traceback keeps what waited for it, and so this:
        # a cycle that would live until garbage collection.
        self.header.cancel()
        self.header = asyncio.get_running_loop().create_future()
        self.header.cancel()
        if self._transport is not None:
            self._transport.abort()

    def pass_on(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport:
        """Switch to the protocol."""
        transport = self._transport
        if transport is None or self._is_lost:
            raise _gone()
        transport.set_protocol(protocol)
        # Before the protocol is called, since it may request a pause. Nothing is read meanwhile.
        transport.resume_reading()
        try:
            protocol.connection_made(transport)
            if self._reader.rest:
                feed(protocol, self._reader.rest)
        except BaseException:
            transport.abort()
            raise
        return transport


def _gone() -> OSError:
    return ConnectionAbortedError(
        errno.ECONNABORTED, "the proxy left before its header was complete"
    )
