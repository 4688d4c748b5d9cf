"""One end of a TLS connection, server or client, without I/O of its own.

    engine.receive(octets)      input from the network
    engine.handshake()          until it returns true
    engine.read(buffer)         plaintext that has arrived
    engine.write(plaintext)
    engine.output()             output for the network; call it after every other call

OpenSSL works on two memory BIOs. It is never told that the network has ended: it would treat a
missing close_notify as the end of the whole connection, while replies are still due.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from pierhead.codec.client_hello import ClientHello, read_client_hello
from pierhead.errors import HandshakeError
from pierhead.service.context import TlsFacts

__all__ = ["ClientTlsEngine", "ServerContexts", "ServerTlsEngine", "TlsEngine"]

#: Fatal alert no_application_protocol (RFC 7301 §3.2), before any key is agreed on.
_NO_APPLICATION_PROTOCOL = bytes.fromhex("15 0303 0002 02 78")
#: The plaintext of one record (RFC 8446 §5.1).
_RECORD = 16_384
#: Enough of a banner to tell what it is.
_BEGINNING = 64


class ServerContexts(Protocol):
    """The certificates, as far as the engine needs them."""

    @property
    def protocols(self) -> Sequence[str]:
        """What ALPN offers, preferred first; empty for no negotiation."""
        ...

    def for_name(self, name: str | None) -> ssl.SSLContext:
        """Return the context for a client that requests this name."""
        ...


class TlsEngine(ABC):
    """One end of a TLS connection.

    Attributes:
        peer: what is at the other end, for messages: ``client`` or ``server``.
        speaks_first: whether `handshake` has output before there is any input.
        has_ended: whether the peer has sent close_notify.
    """

    peer: ClassVar[str]
    speaks_first: ClassVar[bool]

    def __init__(self) -> None:
        self.has_ended = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._ssl: ssl.SSLObject | None = None
        self._early = bytearray()  # plaintext read ahead, and not yet delivered

    @property
    def ssl_object(self) -> ssl.SSLObject:
        """OpenSSL's connection; in a server available once the client's hello has arrived."""
        assert self._ssl is not None
        return self._ssl

    def receive(self, octets: bytes | bytearray | memoryview) -> None:
        """Take in octets from the network."""
        self._incoming.write(octets)

    def handshake(self) -> bool:
        """Continue the handshake; return true once it has finished.

        Raises:
            HandshakeError: the peer's handshake was wrong; the alert is in `output`.
        """
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise HandshakeError("tls", error.reason or str(error)) from error
        return True

    @abstractmethod
    def facts(self) -> TlsFacts:
        """Return what has been negotiated."""

    def read(self, buffer: memoryview) -> int:
        """Read plaintext into the buffer; return how much, 0 for none yet.

        Raises:
            ssl.SSLError: the peer violated the protocol; the connection is unusable.
        """
        filled = min(len(self._early), len(buffer))
        buffer[:filled] = self._early[:filled]
        del self._early[:filled]
        # Record after record, so that many small ones are delivered in one piece.
        while filled < len(buffer) and not self.has_ended and self._may_have_more():
            taken = self._read_record(buffer[filled:])
            if not taken:
                break
            filled += taken
        return filled

    def put_back(self, plaintext: memoryview) -> None:
        """Keep the tail of the last read for the next `read`."""
        self._early[:0] = plaintext

    def _may_have_more(self) -> bool:
        """Return whether to ask OpenSSL: its "not yet" is an exception, slower than a record."""
        return self._incoming.pending > 0 or self.ssl_object.pending() > 0

    def _read_record(self, buffer: memoryview) -> int:
        try:
            taken = int(self.ssl_object.read(len(buffer), buffer))  # a count, as it has a buffer
        except ssl.SSLWantReadError:
            return 0
        except ssl.SSLZeroReturnError:
            taken = 0
        self.has_ended = taken == 0
        return taken

    def write(self, plaintext: memoryview) -> None:
        """Encrypt; everything is in `output` afterwards."""
        while plaintext:
            plaintext = plaintext[self.ssl_object.write(plaintext) :]

    def close_notify(self) -> None:
        """End the write side, once; input can still be read."""
        # Python makes OpenSSL wait for the peer's close_notify as well, and plaintext before it
        # would break the connection: it is read first. There is at most one piece.
        with memoryview(bytearray(_RECORD)) as record:
            while not self.has_ended and (taken := self._read_record(record)):
                self._early += record[:taken]
        with contextlib.suppress(ssl.SSLWantReadError):  # the peer has not closed its side yet
            self.ssl_object.unwrap()

    def output(self) -> bytes:
        """Return output for the network, each octet once."""
        return self._outgoing.read()

    def _common_facts(self, server_name: str | None) -> TlsFacts:
        tls = self.ssl_object
        cipher = tls.cipher()
        return TlsFacts(
            version=tls.version() or "",
            cipher=cipher[0] if cipher else "",
            server_name=server_name,
            alpn=tls.selected_alpn_protocol(),
        )

    def _peer_certificate(self) -> tuple[tuple[tuple[str, str], ...], bytes | None]:
        """Return the subject of the peer's verified certificate, and the certificate in DER."""
        certificate: Mapping[str, Any] = self.ssl_object.getpeercert() or {}
        if not certificate:
            return (), None
        subject = tuple(pair for group in certificate.get("subject", ()) for pair in group)
        return subject, self.ssl_object.getpeercert(binary_form=True)


class ServerTlsEngine(TlsEngine):
    """The server's end: chooses its certificate by what the client's hello says."""

    peer = "client"
    speaks_first = False

    def __init__(self, contexts: ServerContexts) -> None:
        super().__init__()
        self._contexts = contexts
        self._hello = bytearray()
        self._server_name: str | None = None

    def receive(self, octets: bytes | bytearray | memoryview) -> None:
        """Take in octets from the network."""
        if self._ssl is None:
            self._hello += octets
        else:
            super().receive(octets)

    def handshake(self) -> bool:
        """Continue the handshake; return true once it has finished.

        Raises:
            HandshakeError: the client's handshake was wrong; the alert is in `output`.
        """
        if self._ssl is None and not self._begin():
            return False
        return super().handshake()

    def _begin(self) -> bool:
        """Choose the certificate once the client's hello is complete."""
        hello = read_client_hello(self._hello)
        if hello is None:
            return False
        self._check_protocols(hello)
        self._server_name = hello.server_name
        context = self._contexts.for_name(hello.server_name)
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._incoming.write(self._hello)
        self._hello.clear()
        return True

    def _check_protocols(self, hello: ClientHello) -> None:
        # RFC 7301 §3.2: the server SHALL send this alert; Python's ssl would continue without ALPN.
        ours = {name.encode() for name in self._contexts.protocols}
        if ours and hello.protocols and not ours.intersection(hello.protocols):
            self._outgoing.write(_NO_APPLICATION_PROTOCOL)
            raise HandshakeError("tls", f"the client offers {hello.protocols!r} by ALPN alone")

    def facts(self) -> TlsFacts:
        """Return what has been negotiated."""
        subject, certificate = self._peer_certificate()
        return dataclasses.replace(
            self._common_facts(self._server_name),
            client_subject=subject,
            client_certificate=certificate,
        )


class ClientTlsEngine(TlsEngine):
    """The client's end.

    Args:
        context: what it requires and presents.
        server_name: requested of the server, and what its certificate has to be for if the context
            verifies names; None for neither.

    Attributes:
        beginning: the first octets that the server sent, for the error if they are no TLS.

    Raises:
        ValueError: the name is none.
    """

    peer = "server"
    speaks_first = True

    def __init__(self, context: ssl.SSLContext, server_name: str | None) -> None:
        super().__init__()
        self._server_name = server_name
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self.beginning = b""

    def receive(self, octets: bytes | bytearray | memoryview) -> None:
        """Take in octets from the network."""
        if len(self.beginning) < _BEGINNING:
            self.beginning += bytes(octets[: _BEGINNING - len(self.beginning)])
        super().receive(octets)

    def facts(self) -> TlsFacts:
        """Return what has been negotiated."""
        subject, certificate = self._peer_certificate()
        return dataclasses.replace(
            self._common_facts(self._server_name),
            server_subject=subject,
            server_certificate=certificate,
        )
