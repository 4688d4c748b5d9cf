"""The server's end of one TLS connection, without I/O of its own.

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
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pierhead.codec.client_hello import ClientHello, read_client_hello
from pierhead.errors import HandshakeError
from pierhead.service.context import TlsFacts

__all__ = ["ServerContexts", "TlsEngine"]

#: Fatal alert no_application_protocol (RFC 7301 §3.2), before any key is agreed on.
_NO_APPLICATION_PROTOCOL = bytes.fromhex("15 0303 0002 02 78")
#: The plaintext of one record (RFC 8446 §5.1).
_RECORD = 16_384


class ServerContexts(Protocol):
    """The certificates, as far as the engine needs them."""

    @property
    def protocols(self) -> Sequence[str]:
        """What ALPN offers, preferred first; empty for no negotiation."""
        ...

    def for_name(self, name: str | None) -> ssl.SSLContext:
        """Return the context for a client that requests this name."""
        ...


class TlsEngine:
    """One TLS connection, server side.

    Attributes:
        has_ended: whether the peer has sent close_notify.
    """

    def __init__(self, contexts: ServerContexts) -> None:
        self.has_ended = False
        self._contexts = contexts
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._hello = bytearray()
        self._server_name: str | None = None
        self._ssl: ssl.SSLObject | None = None
        self._early = bytearray()  # plaintext read ahead, and not yet delivered

    @property
    def ssl_object(self) -> ssl.SSLObject:
        """OpenSSL's connection; available once the client's hello has arrived."""
        assert self._ssl is not None
        return self._ssl

    def receive(self, octets: bytes | bytearray | memoryview) -> None:
        """Take in octets from the network."""
        if self._ssl is None:
            self._hello += octets
        else:
            self._incoming.write(octets)

    def handshake(self) -> bool:
        """Continue the handshake; return true once it has finished.

        Raises:
            HandshakeError: the client's handshake was wrong; the alert is in `output`.
        """
        if self._ssl is None and not self._begin():
            return False
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise HandshakeError("tls", error.reason or str(error)) from error
        return True

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

    def facts(self) -> TlsFacts:
        """Return what has been negotiated."""
        tls = self.ssl_object
        cipher = tls.cipher()
        certificate: Mapping[str, Any] = tls.getpeercert() or {}
        return TlsFacts(
            version=tls.version() or "",
            cipher=cipher[0] if cipher else "",
            server_name=self._server_name,
            alpn=tls.selected_alpn_protocol(),
            client_subject=tuple(p for group in certificate.get("subject", ()) for p in group),
            client_certificate=tls.getpeercert(binary_form=True) if certificate else None,
        )
