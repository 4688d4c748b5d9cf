"""RDATA of rarely used types, from presentation format to wire form."""

from __future__ import annotations

import binascii
import re
from decimal import Decimal

from pierhead.protocols.dns.zone.fields import Fields, ipv4_octets, ipv6_octets
from pierhead.protocols.dns.zone.well_known import PORTS, PROTOCOLS

__all__ = [
    "read_atm_address",
    "read_chained_address",
    "read_digital_object",
    "read_eui48",
    "read_eui64",
    "read_geographical_position",
    "read_host_identity",
    "read_ipsec_key",
    "read_location",
    "read_network_access_point",
    "read_next",
    "read_prefixes",
    "read_relay",
    "read_sink",
    "read_well_known_services",
]

_SECONDS = re.compile(rb"([0-9]{1,2})(?:\.([0-9]{0,3}))?")
_METRES = re.compile(rb"(-?)([0-9]{1,8})(?:\.([0-9]{0,2}))?m?")
_DECIMAL = re.compile(rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_PREFIX = re.compile(rb"(!?)([0-9]{1,5}):([^/]*)/([0-9]{1,3})")
_PAIRS = re.compile(rb"[0-9a-f]{2}(?:-[0-9a-f]{2})*", re.IGNORECASE)
#: In thousandths of a second of arc, as RFC 1876 §2 counts from the equator and Greenwich.
_DEGREE, _MINUTE, _SECOND = 3_600_000, 60_000, 1_000
_EQUATOR = 1 << 31
#: In centimetres: the reference of altitudes, and the limits of altitudes and sizes (RFC 1876 §2,
#: §3).
_BELOW = 10_000_000
_HIGHEST = 0xFFFFFFFF - _BELOW
_LARGEST = 9_000_000_000
#: One metre, ten kilometres, ten metres, if a record omits them (RFC 1876 §3).
_SIZES = ((100, "a size"), (1_000_000, "a precision"), (1_000, "a precision"))
_ADDRESS_READERS = {1: (ipv4_octets, 32), 2: (ipv6_octets, 128)}
#: RFC 1706 §6: 0x, hexadecimal digits, and full stops anywhere between them.
_ACCESS_POINT = re.compile(rb"0[xX](?P<digits>[0-9a-fA-F.]*)")
#: An E.164 number, and an ATM end system address; full stops in either are for readability.
_NUMBER = re.compile(rb"\+(?P<digits>[0-9]++(?:\.[0-9]++)*+)")
_END_SYSTEM = re.compile(rb"(?P<digits>[0-9a-fA-F]++(?:\.[0-9a-fA-F]++)*+)")
#: The bitmap of an NXT record is no longer than this (RFC 2535 §5.2).
_MAX_NEXT_TYPE = 127
#: Gateways (RFC 4025 §2.3) and relays (RFC 8777 §4.2.3) are an address or a name.
_TARGETS = {1: Fields.ipv4, 2: Fields.ipv6, 3: Fields.name}


def read_location(fields: Fields) -> bytes:
    """Take the fields of a LOC record (RFC 1876 §3); nothing is computed in floating point."""
    latitude = _angle(fields, 90, b"SN", "latitude")
    longitude = _angle(fields, 180, b"WE", "longitude")
    altitude = _centimetres(fields, "an altitude", -_BELOW, _HIGHEST) + _BELOW
    sizes = []
    for size, what in _SIZES:
        if not fields.at_end():
            size = _centimetres(fields, what, 0, _LARGEST)
        exponent = len(str(size)) - 1
        sizes.append(size // 10**exponent << 4 | exponent)
    numbers = (latitude, longitude, altitude)
    return bytes((0, *sizes)) + b"".join([number.to_bytes(4, "big") for number in numbers])


def _angle(fields: Fields, most: int, signs: bytes, what: str) -> int:
    expected = f"{chr(signs[1])} or {chr(signs[0])}"
    total = fields.number(most, f"a number of degrees of {what}") * _DEGREE
    token = fields.take(expected).upper()
    if token.isdigit():
        fields.position -= 1
        total += fields.number(59, "a number of minutes") * _MINUTE
        token = fields.take(expected).upper()
        found = _SECONDS.fullmatch(token)
        if found:
            seconds = int(found[1]) * _SECOND + int((found[2] or b"").ljust(3, b"0"))
            if seconds >= _MINUTE:
                raise fields.wrong("too many seconds, expected 0 to 59.999")
            total += seconds
            token = fields.take(expected).upper()
    if len(token) != 1 or token not in signs:
        raise fields.wrong(f"bad {what}, expected degrees, minutes, seconds, and {expected}")
    if total > most * _DEGREE:
        raise fields.wrong(f"a {what} of more than {most} degrees")
    return _EQUATOR + (total if signs.index(token) else -total)


def _centimetres(fields: Fields, what: str, least: int, most: int) -> int:
    found = _METRES.fullmatch(fields.take(what))
    if not found:
        raise fields.wrong(f"not {what} in metres, expected at most two decimals, as in 10.25m")
    value = int(found[2]) * 100 + int((found[3] or b"").ljust(2, b"0"))
    value = -value if found[1] else value
    if not least <= value <= most:
        raise fields.wrong(f"not {what}, expected {_metres(least)} to {_metres(most)}")
    return value


def _metres(centimetres: int) -> str:
    return f"{Decimal(centimetres) / 100:.2f}m"


def read_geographical_position(fields: Fields) -> bytes:
    """Take longitude, latitude and altitude of a GPOS record (RFC 1712 §3)."""
    return (
        _decimal(fields, "a latitude", 90)
        + _decimal(fields, "a longitude", 180)
        + _decimal(fields, "an altitude", None)
    )


def _decimal(fields: Fields, what: str, most: int | None) -> bytes:
    found = fields.string()
    if not _DECIMAL.fullmatch(found[1:]):
        raise fields.wrong(f"not {what}, expected a decimal number, as in -32.6882")
    if most is not None and abs(Decimal(found[1:].decode())) > most:
        raise fields.wrong(f"not {what}, expected -{most} to {most}")
    return found


def read_prefixes(fields: Fields) -> bytes:
    """Take the prefixes of an APL record, possibly none (RFC 3123 §5)."""
    items = []
    while not fields.at_end():
        items.append(_prefix(fields))
    return b"".join(items)


def _prefix(fields: Fields) -> bytes:
    found = _PREFIX.fullmatch(fields.take("a prefix"))
    if not found:
        raise fields.wrong("not a prefix, expected family:address/bits, as in 1:192.0.2.0/24")
    family, bits = int(found[2]), int(found[4])
    known = _ADDRESS_READERS.get(family)
    if known is None:
        raise fields.wrong(
            f"family {family}, expected 1 or 2",
            r"write a record with other families as \# length hexadecimal (RFC 3597 §5)",
            found.start(2),
        )
    reader, most = known
    address = reader(found[3])
    if address is None:
        raise fields.wrong(f"not an address of family {family}", offset=found.start(3))
    if bits > most:
        raise fields.wrong(f"{bits} bits, expected at most {most}", offset=found.start(4))
    address = address.rstrip(b"\0")  # RFC 3123 §4: trailing zero octets are omitted
    negation = 0x80 if found[1] else 0
    return family.to_bytes(2, "big") + bytes((bits, negation | len(address))) + address


def read_ipsec_key(fields: Fields) -> bytes:
    """Take the fields of an IPSECKEY record; algorithm 0 means no key (RFC 4025 §2.4, §3.1)."""
    precedence = fields.u8()
    kind = fields.number(3, "a type of gateway")
    algorithm = fields.u8()
    gateway = _target(fields, kind, "the gateway")
    head = precedence + bytes((kind,)) + algorithm + gateway
    if algorithm == b"\0" and fields.at_end():
        return head
    return head + fields.base64()


def _target(fields: Fields, kind: int, what: str) -> bytes:
    """Take the address or name of a kind; kind 0 is written as a full stop."""
    if kind:
        return _TARGETS[kind](fields)
    if fields.take(what) != b".":
        raise fields.wrong(f"{what} of type 0 is empty, expected .")
    return b""


def read_relay(fields: Fields) -> bytes:
    """Take the fields of an AMTRELAY record (RFC 8777 §4.3)."""
    precedence = fields.u8()
    discovery = fields.number(1, "whether discovery is optional")
    kind = fields.number(3, "a type of relay")
    relay = _target(fields, kind, "the relay")
    return precedence + bytes((discovery << 7 | kind,)) + relay


def read_well_known_services(fields: Fields) -> bytes:
    """Take address, protocol and ports, if any, of a WKS record."""
    head = fields.ipv4() + bytes((_word(fields, PROTOCOLS, 0xFF, "a protocol"),))
    bits = bytearray()
    while not fields.at_end():
        _set_bit(bits, _word(fields, PORTS, 0xFFFF, "a port or the name of a service"))
    return head + bits


def _word(fields: Fields, known: dict[bytes, int], most: int, what: str) -> int:
    """Take a number, or a name for one in either letter case."""
    number = known.get(fields.take(what).lower())
    if number is None:
        fields.position -= 1
        return fields.number(most, what)
    return number


def read_network_access_point(fields: Fields) -> bytes:
    """Take the address of an NSAP record (RFC 1706 §6)."""
    found = _ACCESS_POINT.fullmatch(fields.take("an NSAP address"))
    digits = found["digits"].replace(b".", b"") if found else b""
    if not digits or len(digits) % 2:
        raise fields.wrong(
            "bad NSAP address, expected 0x and pairs of hexadecimal digits, as in 0x47.0005.80"
        )
    return binascii.unhexlify(digits)


def read_host_identity(fields: Fields) -> bytes:
    """Take the fields of a HIP record: identity, key, rendezvous servers (RFC 8005 §6)."""
    algorithm = fields.u8()
    try:
        identity = binascii.unhexlify(fields.take("a host identity tag"))
    except ValueError:
        identity = b""
    if not 0 < len(identity) < 256:
        raise fields.wrong("bad host identity tag, expected 1 to 255 pairs of hexadecimal digits")
    key = fields.to_base64(fields.take("a public key"))
    if not key:
        raise fields.wrong("an empty public key")
    if len(key) > 0xFFFF:
        raise fields.wrong(f"public key of {len(key)} octets, expected at most 65535")
    servers = []
    while not fields.at_end():
        servers.append(fields.name())
    head = bytes((len(identity),)) + algorithm + len(key).to_bytes(2, "big")
    return head + identity + key + b"".join(servers)


def read_eui48(fields: Fields) -> bytes:
    """Take six pairs of hexadecimal digits (RFC 7043 §3.2)."""
    return _pairs(fields, 6, "EUI48")


def read_eui64(fields: Fields) -> bytes:
    """Take eight pairs of hexadecimal digits (RFC 7043 §4.2)."""
    return _pairs(fields, 8, "EUI64")


def _pairs(fields: Fields, count: int, what: str) -> bytes:
    token = fields.take(f"{count} pairs of hexadecimal digits")
    if len(token) != 3 * count - 1 or not _PAIRS.fullmatch(token):
        raise fields.wrong(f"bad {what}, expected {count} pairs of hexadecimal digits, 00-00-5e…")
    return binascii.unhexlify(token.replace(b"-", b""))


def read_next(fields: Fields) -> bytes:
    """Take the fields of an NXT record, whose bitmap is one of types 1 to 127 (RFC 2535 §5.2)."""
    following = fields.name()
    bits = bytearray()
    while not fields.at_end():
        number = int.from_bytes(fields.rtype(), "big")
        if not 1 <= number <= _MAX_NEXT_TYPE:
            raise fields.wrong(f"type {number} is not allowed here, expected 1 to {_MAX_NEXT_TYPE}")
        _set_bit(bits, number)
    return following + bits


def _set_bit(bits: bytearray, number: int) -> None:
    """Set a bit in a map that grows as needed."""
    bits.extend(bytes(max(number // 8 + 1 - len(bits), 0)))
    bits[number // 8] |= 0x80 >> number % 8


def read_chained_address(fields: Fields) -> bytes:
    """Take the fields of an A6 record (RFC 2874 §3.2); bits of the prefix are set to zero."""
    bits = fields.number(128, "the length of a prefix")
    head = bytes((bits,))
    if bits < 128:
        address = int.from_bytes(fields.ipv6(), "big") & (1 << 128 - bits) - 1
        head += address.to_bytes((135 - bits) // 8, "big")
    return head + fields.name() if bits else head


def read_atm_address(fields: Fields) -> bytes:
    """Take the address of an ATMA record: an E.164 number, or an end system's in hexadecimal."""
    token = fields.take("an ATM address")
    number, system = _NUMBER.fullmatch(token), _END_SYSTEM.fullmatch(token)
    digits = found["digits"].replace(b".", b"") if (found := number or system) else b""
    if not digits or (system and len(digits) % 2):
        raise fields.wrong("bad ATM address, expected + and digits, or pairs of hexadecimal digits")
    return b"\1" + digits if number else b"\0" + binascii.unhexlify(digits)


def read_sink(fields: Fields) -> bytes:
    """Take the fields of a SINK record, whose data is optional."""
    head = fields.u8() + fields.u8() + fields.u8()
    return head if fields.at_end() else head + fields.base64()


def read_digital_object(fields: Fields) -> bytes:
    """Take the fields of a DOA record; ``-`` means no data."""
    head = fields.u32() + fields.u32() + fields.u8() + fields.string()
    if fields.take("Base 64 data") == b"-":
        return head
    fields.position -= 1
    return head + fields.base64()
