"""The wrapper ``tls+``: TLS over any stream listener.

tls+tcp:127.0.0.1:853?cert=a.pem&key=a.key&cert=b.pem&key=b.key&alpn=dot
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket

from pierhead.listener.base import (
    Accepted,
    HandshakeResult,
    StreamListener,
    complete_handshake,
    credentials_of,
    names_peer,
    socket_of,
)
from pierhead.listener.wrap.base import WrapperListener
from pierhead.listener.wrap.tls_context import TlsContexts, load_contexts
from pierhead.net.transport.tls_engine import ServerTlsEngine
from pierhead.net.transport.tls_transport import Scratch, TlsTransport
from pierhead.reload import Reloaded
from pierhead.service.context import Credentials, Peer, Transport

__all__ = ["TlsAccepted", "TlsListener"]


class TlsListener(WrapperListener[StreamListener]):
    """Yields the connections of another listener, with TLS; a `StreamListener`.

    Args:
        base: the listener below; closed by `close`.
        contexts: the certificates, from `load_contexts`.
        default_protocols: what ALPN offers unless the address sets it.
        timeout_s: for the handshake; None for the server's limit.
    """

    transport = Transport.STREAM
    wrapper = "tls"

    def __init__(
        self,
        base: StreamListener,
        contexts: TlsContexts,
        default_protocols: tuple[str, ...] = (),
        timeout_s: float | None = None,
    ) -> None:
        super().__init__(base)
        self._contexts = contexts
        self._default_protocols = default_protocols
        self._timeout_s = timeout_s
        self._scratch = Scratch()

    async def accept(self) -> TlsAccepted:
        """Wait for the next connection; safe to cancel; raises what the base raises."""
        accepted = await self.base.accept()
        return TlsAccepted(accepted, self._contexts, self._scratch, self._timeout_s)

    def read_certificates(self) -> Reloaded:
        """Reload the files; the returned `Reload` puts them into effect for new connections.

        Raises:
            ListenError: one of them is wrong; those in effect stay.
        """
        contexts = load_contexts(self.spec, self._default_protocols)

        def put_in_force() -> None:
            self._contexts = contexts

        return Reloaded(commit=put_in_force, changes=contexts.changes_since(self._contexts))


class TlsAccepted:
    """A connection before its TLS handshake; an `Accepted` and `Handshaking`."""

    def __init__(
        self,
        base: Accepted,
        contexts: TlsContexts,
        scratch: Scratch,
        timeout_s: float | None,
    ) -> None:
        self._base = base
        self._engine = ServerTlsEngine(contexts)
        self._scratch = scratch
        # Made when the connection below is there: one that never is would leave a cycle behind.
        self._tls: TlsTransport | None = None
        self._timeout_s = timeout_s
        self._is_attached = False

    @property
    def peer(self) -> Peer:
        """The other end of the socket."""
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

    @property
    def names_peer(self) -> bool:
        """Whether a handshake below may name another peer."""
        return names_peer(self._base)

    async def handshake(self) -> HandshakeResult:
        """Complete the handshakes below, then TLS; close the connection on failure.

        Raises:
            HandshakeError: the client's handshake was wrong.
            OSError: the connection broke, or the address's own deadline passed.
        """
        arrival = await complete_handshake(self._base)
        tls = self._tls = TlsTransport(self._engine, self._scratch)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._base.attach(tls.below)
                await tls.handshake()
        except BaseException:
            if not tls.is_closing():  # otherwise it is closing, after the alert
                tls.abort()
            raise
        return dataclasses.replace(arrival, tls=self._engine.facts())

    async def attach(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport:
        """Attach a protocol; its ``connection_made`` has been called when this returns."""
        assert self._tls is not None  # the handshake is over
        self._is_attached = True
        self._tls.open(protocol)
        return self._tls

    def close(self) -> None:
        """Close the connection without serving it; does nothing once attached."""
        if not self._is_attached:
            self._base.close()
            if self._tls is not None:
                self._tls.abort()
