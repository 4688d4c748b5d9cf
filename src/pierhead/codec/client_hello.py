"""The TLS client hello, as far as a server needs it to choose a certificate.

    hello = read_client_hello(received)      # None: incomplete
    hello.server_name, hello.protocols

RFC 8446 §4.1.2 and, for the extensions, RFC 6066 §3 (server_name) and RFC 7301 §3.1 (ALPN). It does
not validate: a malformed hello reads as one without names, and TLS itself refuses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["ClientHello", "read_client_hello"]

#: The plaintext of one record (RFC 8446 §5.1).
_LONGEST_RECORD = 16_384
#: A hello is parsed from its start each time more arrives; clients send it in one or two records.
_MOST_RECORDS = 4
_RECORD_TYPES = (b"", b"\x16")  # nothing as yet, or a handshake
_CLIENT_HELLO = 1
_SERVER_NAME, _ALPN = 0, 16
_HOST_NAME = 0


@dataclass(frozen=True, slots=True)
class ClientHello:
    """The requested host name, in lower case, and the offered protocols, preferred first.

    A name that is not ASCII counts as none: DNS names are sent as A-labels (RFC 6066 §3).
    """

    server_name: str | None = None
    protocols: tuple[bytes, ...] = ()


def read_client_hello(data: bytes | bytearray) -> ClientHello | None:
    """Read the hello from the first octets of a stream; None while it is incomplete."""
    # Octets are joined only once all have arrived: this is called for every one that arrives.
    parts: list[tuple[int, int]] = []
    head = b""
    position = octets = 0
    while len(head) < 4 or octets < 4 + int.from_bytes(head[1:4], "big"):
        length = int.from_bytes(data[position + 3 : position + 5], "big")
        if len(parts) == _MOST_RECORDS or data[position : position + 1] not in _RECORD_TYPES:
            return ClientHello()  # not a handshake, or one fragmented to cause work
        if length > _LONGEST_RECORD or (head and head[0] != _CLIENT_HELLO):
            return ClientHello()
        start, position = position + 5, position + 5 + length
        if len(data) < position:
            return None
        if len(head) < 4:
            head += bytes(data[start : min(position, start + 4)])
        parts.append((start, position))
        octets += length
    if head[0] != _CLIENT_HELLO:
        return ClientHello()
    message = b"".join([data[start:end] for start, end in parts])
    try:
        return _read(message[4 : 4 + int.from_bytes(head[1:4], "big")])
    except _Short:
        return ClientHello()


class _Short(Exception):
    """A field ends before its stated length."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def __bool__(self) -> bool:
        return self._position < len(self._data)

    def take(self, size: int) -> bytes:
        part = self._data[self._position : self._position + size]
        if len(part) < size:
            raise _Short
        self._position += size
        return part

    def vector(self, length_octets: int) -> bytes:
        """Take a field with a length prefix."""
        return self.take(int.from_bytes(self.take(length_octets), "big"))


def _read(body: bytes) -> ClientHello:
    reader = _Reader(body)
    reader.take(2 + 32)  # legacy_version, random
    reader.vector(1)  # legacy_session_id
    reader.vector(2)  # cipher_suites
    reader.vector(1)  # legacy_compression_methods
    if not reader:
        return ClientHello()
    extensions = _Reader(reader.vector(2))
    name: str | None = None
    protocols: tuple[bytes, ...] = ()
    while extensions:
        kind, value = int.from_bytes(extensions.take(2), "big"), _Reader(extensions.vector(2))
        if kind == _SERVER_NAME:
            name = _host_name(_Reader(value.vector(2)))
        elif kind == _ALPN:
            protocols = tuple(_names(_Reader(value.vector(2))))
    return ClientHello(name, protocols)


def _host_name(names: _Reader) -> str | None:
    while names:
        kind, name = names.take(1)[0], names.vector(2)
        if kind == _HOST_NAME:
            return name.decode("ascii").lower() if name.isascii() else None
    return None


def _names(protocols: _Reader) -> Iterator[bytes]:
    while protocols:
        yield protocols.vector(1)
