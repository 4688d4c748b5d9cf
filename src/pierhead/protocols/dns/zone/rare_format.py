"""RDATA of rarely used types, from wire form to presentation format.

The inverse of `rare_text`. Each function takes a whole RDATA; what has no text, such as a gateway
of an undefined type, is shown in hexadecimal (RFC 3597 §5).
"""

from __future__ import annotations

import ipaddress
import re
from decimal import Decimal

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.zone.cursor import Cursor

__all__ = [
    "atm_address",
    "chained_address",
    "digital_object",
    "eui48",
    "eui64",
    "geographical_position",
    "host_identity",
    "ipsec_key",
    "location",
    "network_access_point",
    "next_name",
    "prefixes",
    "relay",
    "sink",
    "well_known_services",
]

_DECIMAL = re.compile(rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
#: In thousandths of a second of arc, as RFC 1876 §2 counts from the equator and Greenwich.
_DEGREE, _MINUTE, _SECOND = 3_600_000, 60_000, 1_000
_EQUATOR = 1 << 31
#: In centimetres: the reference of altitudes (RFC 1876 §2).
_BELOW = 10_000_000
#: Octets of an address by its family (RFC 3123 §4).
_ADDRESSES = {1: 4, 2: 16}
#: A port has 16 bits, and so does the port map (RFC 1035 §3.4.2).
_MAX_BITMAP = 1 << 13
#: RFC 2535 §5.2: for types up to 127; bit 0 is for another format.
_MAX_NEXT_BITMAP = 16
#: How gateways (RFC 4025 §2.3) and relays (RFC 8777 §4.2.3) are shown by their type.
_TARGETS = {0: lambda _: ".", 1: Cursor.ipv4, 2: Cursor.ipv6, 3: Cursor.name}


def location(cursor: Cursor) -> str:
    """Return a LOC record (RFC 1876 §3); RDATA of other versions has a different layout."""
    if cursor.number(1):
        return cursor.unknown()
    sizes = [_size(cursor) for _ in range(3)]
    places = (_angle(cursor, 90, "NS"), _angle(cursor, 180, "EW"))
    altitude = cursor.number(4) - _BELOW
    sign = "-" if altitude < 0 else ""
    return " ".join((*places, f"{sign}{_metres(abs(altitude))}", *sizes))


def _size(cursor: Cursor) -> str:
    base, exponent = divmod(cursor.number(1), 16)
    if base > 9 or exponent > 9 or (exponent and not base):
        raise DecodeError("bad size (RFC 1876 §2)", cursor.position - 1)
    return _metres(base * 10**exponent)


def _metres(centimetres: int) -> str:
    whole, hundredths = divmod(centimetres, 100)
    return f"{whole}.{hundredths:02d}m"


def _angle(cursor: Cursor, most: int, signs: str) -> str:
    found = cursor.number(4) - _EQUATOR
    if abs(found) > most * _DEGREE:
        raise DecodeError(f"an angle of more than {most} degrees", cursor.position - 4)
    degrees, rest = divmod(abs(found), _DEGREE)
    minutes, rest = divmod(rest, _MINUTE)
    seconds, thousandths = divmod(rest, _SECOND)
    return f"{degrees} {minutes} {seconds}.{thousandths:03d} {signs[found < 0]}"


def geographical_position(cursor: Cursor) -> str:
    """Return a GPOS record (RFC 1712 §3)."""
    return " ".join([_decimal(cursor, most) for most in (90, 180, None)])


def _decimal(cursor: Cursor, most: int | None) -> str:
    start = cursor.position
    found = cursor.take(cursor.number(1))
    if not _DECIMAL.fullmatch(found):
        raise DecodeError("not a decimal number", start)
    text = found.decode("ascii")
    if most is not None and abs(Decimal(text)) > most:
        raise DecodeError(f"{text} degrees, expected -{most} to {most}", start)
    return text


def prefixes(cursor: Cursor) -> str:
    """Return the prefixes of an APL record; other families have no text (RFC 3123 §5)."""
    found = []
    while cursor.position < cursor.end:
        found.append(_prefix(cursor))
    return cursor.unknown() if "" in found else " ".join(found)


def _prefix(cursor: Cursor) -> str:
    start = cursor.position
    family, bits, length = cursor.number(2), cursor.number(1), cursor.number(1)
    octets = cursor.take(length & 0x7F)
    if octets.endswith(b"\0"):
        raise DecodeError("an address prefix ends in zero (RFC 3123 §4)", start)
    size = _ADDRESSES.get(family)
    if size is None:
        return ""
    if len(octets) > size or bits > 8 * size:
        raise DecodeError(f"a prefix of more than {8 * size} bits", start)
    address = ipaddress.ip_address(octets.ljust(size, b"\0"))
    return f"{'!' if length & 0x80 else ''}{family}:{address}/{bits}"


def ipsec_key(cursor: Cursor) -> str:
    """Return an IPSECKEY record (RFC 4025 §3.1)."""
    precedence, kind, algorithm = cursor.take(3)
    if kind not in _TARGETS:
        return cursor.unknown()
    text = f"{precedence} {kind} {algorithm} {_TARGETS[kind](cursor)}"
    if algorithm == 0 and cursor.position == cursor.end:
        return text
    return f"{text} {cursor.base64()}"


def relay(cursor: Cursor) -> str:
    """Return an AMTRELAY record (RFC 8777 §4.3)."""
    precedence, kind = cursor.take(2)
    discovery, kind = divmod(kind, 0x80)
    if kind not in _TARGETS:
        return cursor.unknown()
    return f"{precedence} {discovery} {kind} {_TARGETS[kind](cursor)}"


def host_identity(cursor: Cursor) -> str:
    """Return a HIP record (RFC 8005 §6)."""
    length, algorithm = cursor.take(2)
    key_length = cursor.number(2)
    if not length or not key_length:
        raise DecodeError("an empty host identity tag or key", cursor.position)
    found = [str(algorithm), cursor.take(length).hex().upper()]
    found.append(cursor.to_base64(cursor.take(key_length)))
    while cursor.position < cursor.end:
        found.append(cursor.name())
    return " ".join(found)


def eui48(cursor: Cursor) -> str:
    """Return an EUI48 record (RFC 7043 §3.2)."""
    return cursor.take(6).hex("-")


def eui64(cursor: Cursor) -> str:
    """Return an EUI64 record (RFC 7043 §4.2)."""
    return cursor.take(8).hex("-")


def well_known_services(cursor: Cursor) -> str:
    """Return a WKS record, protocol and ports as numbers (RFC 1035 §3.4.2)."""
    found = [cursor.ipv4(), cursor.u8()]
    bitmap = cursor.take(cursor.end - cursor.position)
    if len(bitmap) > _MAX_BITMAP:
        raise DecodeError(f"{len(bitmap)} octets of ports, expected at most {_MAX_BITMAP}")
    return " ".join(found + [str(port) for port in _bits(bitmap)])


def _bits(bitmap: bytes) -> list[int]:
    return [
        n << 3 | bit for n, octet in enumerate(bitmap) for bit in range(8) if octet & 0x80 >> bit
    ]


def network_access_point(cursor: Cursor) -> str:
    """Return an NSAP record (RFC 1706 §6)."""
    return f"0x{cursor.rest().hex()}"


def next_name(cursor: Cursor) -> str:
    """Return an NXT record (RFC 2535 §5.2)."""
    following = cursor.name()
    bitmap = cursor.take(cursor.end - cursor.position)
    if len(bitmap) > _MAX_NEXT_BITMAP or (bitmap and (bitmap[0] & 0x80 or not bitmap[-1])):
        raise DecodeError("bad type bitmap (RFC 2535 §5.2)", cursor.position)
    return " ".join([following, *[iana.type_text(number) for number in _bits(bitmap)]])


def chained_address(cursor: Cursor) -> str:
    """Return an A6 record (RFC 2874 §3.2)."""
    bits = cursor.number(1)
    if bits > 128:
        raise DecodeError(f"a prefix of {bits} bits, expected at most 128", cursor.position - 1)
    suffix = cursor.number((135 - bits) // 8)
    if suffix >> 128 - bits:
        raise DecodeError("bits of the prefix in the suffix (RFC 2874 §3.1)", cursor.position)
    found = [str(bits)]
    if bits < 128:
        found.append(str(ipaddress.IPv6Address(suffix)))
    if bits:
        found.append(cursor.name())
    return " ".join(found)


def atm_address(cursor: Cursor) -> str:
    """Return an ATMA record; addresses in other formats are unknown."""
    kind, octets = cursor.number(1), cursor.rest()
    if kind == 0:
        return octets.hex()
    if kind > 1:
        return cursor.unknown()
    if not octets.isdigit():
        raise DecodeError("an E.164 number consists only of digits", cursor.position)
    return f"+{octets.decode('ascii')}"


def sink(cursor: Cursor) -> str:
    """Return a SINK record."""
    head = " ".join([str(octet) for octet in cursor.take(3)])
    return f"{head} {cursor.base64()}" if cursor.position < cursor.end else head


def digital_object(cursor: Cursor) -> str:
    """Return a DOA record."""
    head = f"{cursor.u32()} {cursor.u32()} {cursor.u8()} {cursor.string()}"
    return f"{head} {cursor.base64() if cursor.position < cursor.end else '-'}"
