"""PROXY protocol headers, versions 1 and 2: a proxy's statement about its client.

    reader = ProxyHeaderReader()
    reader.feed(received)            # until reader.header is set
    reader.header.source, reader.rest

Specified by HAProxy's proxy-protocol.txt; comments cite its sections. A header comes first on a
connection, or first in a datagram (version 2 only). It is untrusted until its sender has been
checked, which is not done here.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from pierhead.errors import FramingError

__all__ = [
    "ProxyAddress",
    "ProxyHeader",
    "ProxyHeaderReader",
    "ProxyTls",
    "crc32c",
    "decode_datagram",
    "encode_v1",
    "encode_v2",
]

#: An IP address and a port, or the name of a Unix domain socket up to its first NUL.
ProxyAddress: TypeAlias = tuple[str, int] | bytes

# §2.2: chosen so that no protocol's first message begins with it.
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = len(_SIGNATURE) + 4
_PREFIX_V1 = b"PROXY "
#: §2.1: the longest line of version 1, including CRLF.
_LONGEST_V1 = 107

# TLV types (§2.2).
_ALPN, _AUTHORITY, _CRC32C, _NOOP, _UNIQUE_ID, _TLS, _NETNS = 1, 2, 3, 4, 5, 0x20, 0x30
_TLS_VERSION, _TLS_CN, _TLS_CIPHER = 0x21, 0x22, 0x23
_LONGEST_UNIQUE_ID = 128

# §2.2: address families, with the octets of one address.
_INET, _INET6, _UNIX = 1, 2, 3
_UNIX_OCTETS = 108
_BLOCK = {_INET: 12, _INET6: 36, _UNIX: 2 * _UNIX_OCTETS}
_STREAM, _DGRAM = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyTls:
    """A proxy's statement about the TLS between the client and itself (§2.2.6).

    Attributes:
        is_tls: whether the client came over TLS.
        has_certificate: whether it presented a certificate, on this connection or in this session.
        is_verified: whether that certificate was successfully verified.
        version, common_name, cipher: as sent by the proxy; None if it did not send them.
    """

    is_tls: bool
    has_certificate: bool
    is_verified: bool
    version: str | None = None
    common_name: str | None = None
    cipher: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyHeader:
    """One header.

    Attributes:
        version: 1 or 2.
        source: the client; None if the proxy connects for itself or does not know (LOCAL, UNKNOWN,
            UNSPEC), in which case the socket's addresses apply.
        destination: the address that the client reached; None with ``source``.
        is_datagram: whether the client uses datagrams.
        tlvs: further facts, each a type and its octets, in order.
    """

    version: int
    source: ProxyAddress | None = None
    destination: ProxyAddress | None = None
    is_datagram: bool = False
    tlvs: tuple[tuple[int, bytes], ...] = ()

    def tlv(self, kind: int) -> bytes | None:
        """Return the octets of the first TLV of this type, or None."""
        for found, value in self.tlvs:
            if found == kind:
                return value
        return None

    @property
    def alpn(self) -> bytes | None:
        """The protocol negotiated between the client and the proxy (§2.2.1)."""
        return self.tlv(_ALPN)

    @property
    def authority(self) -> str | None:
        """The host name that the client requested (§2.2.2)."""
        return _text(self.tlv(_AUTHORITY))

    @property
    def unique_id(self) -> bytes | None:
        """The proxy's identifier for this connection, up to 128 octets (§2.2.5)."""
        return self.tlv(_UNIQUE_ID)

    @property
    def network_namespace(self) -> str | None:
        """The name of the namespace in which the proxy accepted the connection (§2.2.7)."""
        return _text(self.tlv(_NETNS))

    @property
    def tls(self) -> ProxyTls | None:
        """The TLS between client and proxy; None if the proxy does not report it."""
        value = self.tlv(_TLS)
        return None if value is None else _read_tls(value)


class ProxyHeaderReader:
    """Reads the header at the start of a stream, however the stream is split.

    It holds at most the header and the rest of the last piece fed.

    Args:
        version: the only version accepted; None for either.

    Attributes:
        header: the header, once it is complete.
    """

    def __init__(self, version: int | None = None) -> None:
        self.header: ProxyHeader | None = None
        self._version = version
        self._data = bytearray()

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take in what was received.

        Raises:
            FramingError: the input is not a header; the connection is unusable.
        """
        self._data += data
        if self.header is not None:
            return
        self._refuse_other_beginnings()
        length = self._length()
        if length is not None and len(self._data) >= length:
            self.header = _decode(bytes(self._data[:length]))
            del self._data[:length]

    @property
    def rest(self) -> bytes:
        """The input after the header; empty while that is incomplete."""
        return b"" if self.header is None else bytes(self._data)

    def _refuse_other_beginnings(self) -> None:
        """Raise at the first octet that cannot be part of a header."""
        beginnings = {1: _PREFIX_V1, 2: _SIGNATURE}
        taken = [self._version] if self._version else [1, 2]
        for version in taken:
            beginning = beginnings[version]
            if self._data.startswith(beginning[: len(self._data)]):
                return
        expected = "of version 1 or 2" if len(taken) == 2 else f"of version {self._version}"
        raise FramingError(f"no PROXY header {expected} at the start of the stream", 0)

    def _length(self) -> int | None:
        """Return the number of octets of the header; None while it is unknown."""
        data = self._data
        if data[:1] == _SIGNATURE[:1]:
            return _FIXED + int.from_bytes(data[14:16], "big") if len(data) >= _FIXED else None
        end = data.find(b"\n", 0, _LONGEST_V1)
        if end < 0 and len(data) >= _LONGEST_V1:
            raise FramingError(
                f"a PROXY line of version 1 does not end within {_LONGEST_V1} octets", _LONGEST_V1
            )
        return None if end < 0 else end + 1


def decode_datagram(data: bytes) -> tuple[ProxyHeader, bytes]:
    """Return the header of a datagram, which is of version 2, and the payload after it.

    Raises:
        FramingError: there is none, or it is incomplete.
    """
    reader = ProxyHeaderReader(2)
    reader.feed(data)
    if reader.header is None:
        raise FramingError("the PROXY header is longer than its datagram", len(data))
    return reader.header, reader.rest


def _decode(data: bytes) -> ProxyHeader:
    return _decode_v2(data) if data.startswith(_SIGNATURE) else _decode_v1(data)


# -- version 1 -------------------------------------------------------------------------------

_V1 = re.compile(rb"PROXY (TCP4|TCP6) ([0-9a-fA-F:.]+) ([0-9a-fA-F:.]+) (\d{1,5}) (\d{1,5})\r\n")


def _decode_v1(line: bytes) -> ProxyHeader:
    # §2.1: everything after UNKNOWN up to CRLF must be ignored.
    if re.fullmatch(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n", line):
        return ProxyHeader(version=1)
    match = _V1.fullmatch(line)
    if match is None:
        raise FramingError(f"{line[:_LONGEST_V1]!r} is no PROXY line", 0)
    family, source, destination, source_port, destination_port = match.groups()
    octets = 4 if family == b"TCP4" else 16
    return ProxyHeader(
        version=1,
        source=(_v1_host(source, octets), _v1_port(source_port)),
        destination=(_v1_host(destination, octets), _v1_port(destination_port)),
    )


def _v1_host(text: bytes, octets: int) -> str:
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        raise FramingError(f"{text!r} is no IP address") from None
    if len(address.packed) != octets:
        raise FramingError(f"{text!r} is an address of the other family than the line says")
    return str(address)


def _v1_port(text: bytes) -> int:
    # §2.1: without leading zeros.
    port = int(text)
    if port > 65_535 or str(port).encode() != text:
        raise FramingError(f"{text!r} is not a port number")
    return port


def encode_v1(source: tuple[str, int] | None, destination: tuple[str, int] | None) -> bytes:
    """Return a header of version 1; UNKNOWN without addresses."""
    if source is None or destination is None:
        return b"PROXY UNKNOWN\r\n"
    family = "TCP6" if ":" in source[0] else "TCP4"
    line = f"PROXY {family} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n"
    return line.encode("ascii")


# -- version 2 -------------------------------------------------------------------------------


def _decode_v2(data: bytes) -> ProxyHeader:
    version, command = data[12] >> 4, data[12] & 0x0F
    if version != 2 or command > 1:
        raise FramingError(f"version and command are 0x{data[12]:02x}, expected 0x20 or 0x21", 12)
    family, kind = data[13] >> 4, data[13] & 0x0F
    if family not in (0, *_BLOCK) or kind > _DGRAM:
        raise FramingError(f"family and protocol are 0x{data[13]:02x}, which is unknown", 13)
    block = _BLOCK.get(family, 0)
    if len(data) < _FIXED + block:
        raise FramingError(f"{len(data) - _FIXED} octets of addresses, expected {block}", _FIXED)
    if command == 0 or family == 0 or kind == 0:
        # §2.2: LOCAL and UNSPEC: the receiver must accept, ignore the addresses and use those
        # of the socket. The content of UNSPEC need not be TLVs.
        tlvs = () if family == 0 else _read_tlvs(data, _FIXED + block)
        return ProxyHeader(version=2, tlvs=tlvs)
    source, destination = _read_addresses(family, data[_FIXED : _FIXED + block])
    return ProxyHeader(
        version=2,
        source=source,
        destination=destination,
        is_datagram=kind == _DGRAM,
        tlvs=_read_tlvs(data, _FIXED + block),
    )


def _read_addresses(family: int, block: bytes) -> tuple[ProxyAddress, ProxyAddress]:
    if family == _UNIX:
        return _unix_name(block[:_UNIX_OCTETS]), _unix_name(block[_UNIX_OCTETS:])
    octets = 4 if family == _INET else 16
    hosts = [str(ipaddress.ip_address(block[i : i + octets])) for i in (0, octets)]
    ports = struct.unpack_from("!HH", block, 2 * octets)
    return (hosts[0], ports[0]), (hosts[1], ports[1])


def _unix_name(padded: bytes) -> bytes:
    if padded[:1] == b"\0":  # an abstract name, padded with NUL; or none
        return padded.rstrip(b"\0")
    return padded.partition(b"\0")[0]


def _read_tlvs(data: bytes, start: int) -> tuple[tuple[int, bytes], ...]:
    tlvs = []
    position, is_checked = start, False
    while position < len(data):
        kind, value = _read_tlv(data, position)
        if kind == _CRC32C:
            if is_checked:  # each of them would examine every octet
                raise FramingError("a second checksum, expected one at most", position)
            _check_crc(data, position + 3, value)
            is_checked = True
        elif kind == _UNIQUE_ID and len(value) > _LONGEST_UNIQUE_ID:
            raise FramingError(f"a unique id of {len(value)} octets, at most 128 may be", position)
        elif kind == _TLS:
            _read_tls(value)
        if kind != _NOOP:
            tlvs.append((kind, value))
        position += 3 + len(value)
    return tuple(tlvs)


def _read_tlv(data: bytes, position: int) -> tuple[int, bytes]:
    if position + 3 > len(data):
        raise FramingError("a TLV is cut off", position)
    end = position + 3 + int.from_bytes(data[position + 1 : position + 3], "big")
    if end > len(data):
        raise FramingError("a TLV is longer than its header", position)
    return data[position], data[position + 3 : end]


def _check_crc(data: bytes, position: int, value: bytes) -> None:
    """Check the whole header, with the four octets of the sum itself as zero (§2.2.3)."""
    if len(value) != 4:
        raise FramingError(f"a checksum of {len(value)} octets, expected 4", position)
    found = int.from_bytes(value, "big")
    expected = crc32c(data[:position] + bytes(4) + data[position + 4 :])
    if found != expected:
        raise FramingError(f"checksum 0x{found:08x}, expected 0x{expected:08x}", position)


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of some octets."""
    table = _crc_table()
    crc = 0xFFFFFFFF
    for octet in data:
        crc = crc >> 8 ^ table[(crc ^ octet) & 0xFF]
    return crc ^ 0xFFFFFFFF


@cache
def _crc_table() -> tuple[int, ...]:
    table = list(range(256))
    for _ in range(8):
        table = [crc >> 1 ^ (0x82F63B78 if crc & 1 else 0) for crc in table]
    return tuple(table)


def _read_tls(value: bytes) -> ProxyTls:
    if len(value) < 5:
        raise FramingError(f"a TLS TLV of {len(value)} octets, expected 5 or more")
    flags, verify = value[0], int.from_bytes(value[1:5], "big")
    inner: dict[int, bytes] = {}
    position = 5
    while position < len(value):
        kind, part = _read_tlv(value, position)
        inner.setdefault(kind, part)
        position += 3 + len(part)
    has_certificate = bool(flags & 0x06)
    return ProxyTls(
        is_tls=bool(flags & 0x01),
        has_certificate=has_certificate,
        is_verified=has_certificate and verify == 0,
        version=_text(inner.get(_TLS_VERSION)),
        common_name=_text(inner.get(_TLS_CN)),
        cipher=_text(inner.get(_TLS_CIPHER)),
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")


def encode_v2(header: ProxyHeader, *, checksum: bool = False) -> bytes:
    """Return a header of version 2; LOCAL without addresses."""
    family, block = _write_addresses(header.source, header.destination)
    kind = (_DGRAM if header.is_datagram else _STREAM) if family else 0
    tlvs = b"".join(struct.pack("!BH", k, len(v)) + v for k, v in header.tlvs if k != _CRC32C)
    if checksum:
        tlvs += struct.pack("!BHI", _CRC32C, 4, 0)
    fixed = struct.pack("!BBH", 0x21 if family else 0x20, family << 4 | kind, len(block + tlvs))
    data = _SIGNATURE + fixed + block + tlvs
    return data[:-4] + crc32c(data).to_bytes(4, "big") if checksum else data


def _write_addresses(
    source: ProxyAddress | None, destination: ProxyAddress | None
) -> tuple[int, bytes]:
    if source is None or destination is None:
        return 0, b""
    if isinstance(source, bytes) or isinstance(destination, bytes):
        both = (bytes(source) if isinstance(source, bytes) else b"", destination)
        names = [name if isinstance(name, bytes) else b"" for name in both]
        return _UNIX, b"".join(name.ljust(_UNIX_OCTETS, b"\0") for name in names)
    hosts = [ipaddress.ip_address(source[0]), ipaddress.ip_address(destination[0])]
    block = b"".join(host.packed for host in hosts) + struct.pack("!HH", source[1], destination[1])
    return (_INET if hosts[0].version == 4 else _INET6), block
