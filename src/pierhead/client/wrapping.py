"""The wrappers of a dialled stream: ``tls+`` and ``proxy+``, in wire order.

socket ─▶ Preface: the PROXY header ─▶ TlsTransport ─▶ the PROXY header ─▶ the protocol
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import ssl
from collections.abc import Awaitable, Callable
from typing import cast

from pierhead.address import ListenSpec
from pierhead.address.views import ProxyOptions
from pierhead.client.reaching import Reaching
from pierhead.client.tls_context import files_of, load_client_context, requested_name
from pierhead.codec.proxy_header import ProxyHeader, encode_v1, encode_v2
from pierhead.errors import ConnectError, HandshakeError
from pierhead.net.transport.tls_engine import ClientTlsEngine
from pierhead.net.transport.tls_failure import explain, names_of
from pierhead.net.transport.tls_transport import Scratch, TlsTransport

__all__ = ["Attach", "Wrapping", "header_of"]

#: Attaches a protocol to a connected socket, or to an end in memory.
Attach = Callable[[Callable[[], asyncio.BaseProtocol]], Awaitable[asyncio.Transport]]


def header_of(spec: ListenSpec, forwarded: ProxyHeader | None) -> bytes:
    """Return the PROXY header that goes out.

    Args:
        spec: the address, which may say the version.
        forwarded: whom the connection is for; None for this process itself (LOCAL, or UNKNOWN).
    """
    version = ProxyOptions.of(spec.options).proxy_version or 2
    header = forwarded or ProxyHeader(version=version)
    if version == 2:
        return encode_v2(dataclasses.replace(header, version=2))
    source, destination = header.source, header.destination
    if not isinstance(source, tuple) or not isinstance(destination, tuple):
        return encode_v1(None, None)  # version 1 has no names of Unix sockets
    return encode_v1(source, destination)


class Wrapping:
    """The wrappers of one address.

    Args:
        spec: the address, ready to dial.
        name: the address as text, for errors.
        protocols: what ALPN offers unless the address sets it.
    """

    def __init__(self, spec: ListenSpec, name: str, protocols: tuple[str, ...] = ()) -> None:
        self._spec, self._name, self._protocols = spec, name, protocols
        self._context: ssl.SSLContext | None = None
        self._files: tuple[object, ...] = ()  # as they were when they were read
        self._scratch: Scratch | None = None

    async def begin(
        self,
        attach: Attach,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        reaching: Reaching,
        forwarded: ProxyHeader | None,
    ) -> asyncio.Transport:
        """Attach a protocol inside the wrappers; return its transport.

        Raises:
            ConnectError: the handshake has failed; nothing stays open.
            OSError: the connection broke.
        """
        wrappers = self._spec.wrappers
        header = header_of(self._spec, forwarded) if "proxy" in wrappers else b""
        is_first = wrappers[:1] == ("proxy",)
        tls = await self._new_tls(reaching) if "tls" in wrappers else None
        inside = protocol_factory if tls is None else lambda: tls.below
        if is_first:
            reaching.step = "proxy"
            transport = await _attached_after(header, attach, inside, reaching)
        else:
            transport = await attach(inside)
        if tls is None:
            return transport
        reaching.step = "tls"
        return await self._open(tls, protocol_factory, b"" if is_first else header)

    async def _new_tls(self, reaching: Reaching) -> _Tls:
        reaching.step = "tls"
        files = files_of(self._spec)
        if self._context is None or files != self._files:
            # Reading the system's authorities takes as long as a thousand requests.
            self._context = await asyncio.to_thread(
                load_client_context, self._spec, self._name, self._protocols
            )
            self._files = files
        wanted = requested_name(self._spec)
        try:
            engine = ClientTlsEngine(self._context, wanted)
        except ValueError as error:
            reason = f"{wanted!r} is not a host name: {error}"
            raise ConnectError(self._name, "tls", reason, "write server-name=NAME") from error
        self._scratch = self._scratch or Scratch()
        return _Tls(engine, self._scratch)

    async def _open(
        self, tls: _Tls, protocol_factory: Callable[[], asyncio.BaseProtocol], header: bytes
    ) -> asyncio.Transport:
        try:
            await tls.handshake()
            if header:
                tls.write(header)
            tls.open(protocol_factory())
        except HandshakeError as error:
            raise self._explained(tls.engine, error) from error
        except BaseException:
            tls.abort()
            raise
        return tls

    def _explained(self, engine: ClientTlsEngine, error: HandshakeError) -> ConnectError:
        cause = cast(ssl.SSLError, error.__cause__)
        names = names_of(engine.ssl_object)
        reason, remedy = explain(cause, engine.beginning, requested_name(self._spec), names)
        return ConnectError(self._name, "tls", reason, remedy)


class _Tls(TlsTransport):
    """The transport of a dialled TLS connection, with its engine."""

    def __init__(self, engine: ClientTlsEngine, scratch: Scratch) -> None:
        super().__init__(engine, scratch)
        self.engine = engine


class _Preface(asyncio.Protocol):
    """Sends octets before another protocol takes over; nothing is read meanwhile."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)
        stream.pause_reading()
        stream.write(self._octets)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True


async def _attached_after(
    header: bytes,
    attach: Attach,
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    reaching: Reaching,
) -> asyncio.Transport:
    preface = _Preface(header)
    transport = await attach(lambda: preface)
    if preface.is_lost:
        reason = "the server left before the PROXY header was sent"
        raise ConnectionAbortedError(errno.ECONNABORTED, reason)
    protocol = protocol_factory()
    transport.set_protocol(protocol)
    transport.resume_reading()
    try:
        protocol.connection_made(transport)
    except BaseException:
        transport.abort()
        raise
    return transport
