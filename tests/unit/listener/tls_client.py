"""The other side of TLS, held in the hand, over any transport; and certificates to show."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pierhead.client.dial import dial_stream

PATIENCE_S = 10.0


class Certificates:
    """An authority with its files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.authority_file = str(folder / "authority.pem")
        self.authority.cert_pem.write_to_path(self.authority_file)

    def issue(self, *names: str, file: str = "", **arguments) -> str:
        """Write a certificate, its chain and its key into one file; return the path."""
        issued = self.authority.issue_cert(*names, **arguments)
        path = self.folder / (file or f"{names[0].replace('*', 'any').replace(' ', '-')}.pem")
        path.touch(0o600)
        issued.private_key_and_cert_chain_pem.write_to_path(str(path))
        return str(path)

    def client_context(self, **settings) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.authority_file)
        for name, value in settings.items():
            setattr(context, name, value)
        return context


def certificate_for_clients(key: bytes) -> bytes:
    """Return a certificate that no server may show, for a key; both in PEM form."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "only.example")])
    private = load_pem_private_key(key, None)
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True)
    )
    return builder.sign(private, SHA256()).public_bytes(Encoding.PEM)


class TlsClient(asyncio.Protocol):
    """A client that does what it is told and writes down what happens."""

    def __init__(
        self, context: ssl.SSLContext, name: str | None, prefix: bytes = b"", early: bytes = b""
    ) -> None:
        """Before the handshake a client sends the prefix, and with its end the early plaintext."""
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self.prefix, self.early = prefix, early
        self.received = b""
        self.through = self.close_notify = self.eof = self.lost = False
        self.error: ssl.SSLError | None = None
        self.happened = asyncio.Event()

    @classmethod
    async def dial(cls, address, context, name="dns.example", **arguments) -> TlsClient:
        client = cls(context, name, **arguments)
        await dial_stream(address, lambda: client)
        return client

    def connection_made(self, transport):
        self.transport = transport
        if self.prefix:
            transport.write(self.prefix)
        self._go_on()

    def data_received(self, data):
        self.incoming.write(data)
        self._go_on()

    def eof_received(self):
        self.eof = True
        self.happened.set()
        return True

    def connection_lost(self, exc):
        self.lost = True
        self.happened.set()

    def _go_on(self):
        try:
            if not self.through:
                self.ssl.do_handshake()
                self.through = True
                if self.early:
                    self.ssl.write(self.early)
            while data := self.ssl.read(65_536):
                self.received += data
            self.close_notify = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.close_notify = True
        except ssl.SSLError as error:
            self.error = error
        self._flush()
        self.happened.set()

    def _flush(self):
        if (data := self.outgoing.read()) and not self.lost:
            self.transport.write(data)

    def send(self, plaintext: bytes) -> None:
        while plaintext:
            plaintext = plaintext[self.ssl.write(plaintext) :]
        self._flush()

    def end(self) -> None:
        """Say that nothing more is sent, and go on reading."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.ssl.unwrap()
        self._flush()

    async def until(self, condition) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self.happened.clear()
                await self.happened.wait()

    async def ready(self) -> TlsClient:
        await self.until(lambda: self.through)
        return self

    async def expect(self, plaintext: bytes) -> None:
        await self.until(lambda: len(self.received) >= len(plaintext))
        assert self.received == plaintext

    async def gone(self) -> None:
        """Wait until the server has closed; then do the same."""
        await self.until(lambda: self.eof or self.lost)
        self.transport.close()
        await self.until(lambda: self.lost)

    async def leave(self) -> None:
        self.transport.abort()
        await self.until(lambda: self.lost)
