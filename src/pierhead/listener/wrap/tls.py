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
from pierhead.net.transport.tls_engine import TlsEngine
from pierhead.net.transport.tls_transport import Scratch, TlsTransport
from pierhead.reload import Reloaded
from pierhead.service.context import Credentials, Peer, Transport

__all__ = ["TlsAccepted", "TlsListener"]


class TlsListener(WrapperListener[StreamListener]):
    """Yields the connections of another listener, with TLS; a `StreamListener`.

    Args:
        base: closed by `close`.
        contexts: what to present, from `load_contexts`.
        default_protocols: what ALPN agrees on where the address does not say.
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
        """Read the files again; what it returns puts them in force for new connections.

        Raises:
            ListenError: one of them is wrong; those in force stay.
        """
        contexts = load_contexts(self.spec, self._default_protocols)

        def put_in_force() -> None:
            self._contexts = contexts

        return Reloaded(commit=put_in_force, changes=contexts.changes_since(self._contexts))


class TlsAccepted:
    """A connection that has TLS to go through; an `Accepted` and `Handshaking`."""

    def __init__(
        self,
        base: Accepted,
        contexts: TlsContexts,
        scratch: Scratch,
        timeout_s: float | None,
    ) -> None:
        self._base = base
        self._engine = TlsEngine(contexts)
        self._tls = TlsTransport(self._engine, scratch)
        self._timeout_s = timeout_s
        self._is_attached = False

    @property
    def peer(self) -> Peer:
        """The other end of the socket."""
        return self._base.peer

    @property
    def local(self) -> str:
        """The address that was reached, in the grammar."""
        return self._base.local

    @property
    def socket(self) -> socket.socket | None:
        """The socket below, which stays the connection's to close; None where there is none."""
        return socket_of(self._base)

    @property
    def credentials(self) -> Credentials | None:
        """Who the process at the other end of the socket is, where the system says."""
        return credentials_of(self._base)

    @property
    def names_peer(self) -> bool:
        """Whether a handshake below names another peer."""
        return names_peer(self._base)

    async def handshake(self) -> HandshakeResult:
        """Go through what is below, then TLS; the connection is closed when this raises.

        Raises:
            HandshakeError: the client did it wrong.
            OSError: the connection broke, or the address's own deadline passed.
        """
        arrival = await complete_handshake(self._base)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._base.attach(self._tls.below)
                await self._tls.handshake()
        except BaseException:
            if not self._tls.is_closing():  # else it is closing, the alert first
                self._tls.abort()
            raise
        return dataclasses.replace(arrival, tls=self._engine.facts())

    async def attach(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport:
        """Hand the connection to a protocol; it has ``connection_made`` when this returns."""
        self._is_attached = True
        self._tls.open(protocol)
        return self._tls

    def close(self) -> None:
        """Close the connection without serving it; does nothing once attached."""
        if not self._is_attached:
            self._base.close()
            self._tls.abort()
