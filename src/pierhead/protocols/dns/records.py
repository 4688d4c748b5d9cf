"""Record data as users write it: ``dns.A("192.0.2.1")``, ``dns.MX(10, "mail.example.")``.

Names are absolute, with or without a final dot, also in a change of a zone; one label without a dot
is refused, because it was hardly meant to be a top-level domain. A type without a class here is
written as ``dns.Record("TLSA", "3 1 1 …")``. Each accepts the keywords of `Placement`: ``name``,
``ttl`` and ``rclass``, if the record does not belong to the queried name.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv6Address
from struct import pack
from typing import TypeVar, Unpack

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.name import ROOT, from_text
from pierhead.protocols.dns.wire.record import MAX_TTL, Placement, Record
from pierhead.protocols.dns.wire.rrset import Name

__all__ = ["AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", "A", "Record"]

T = TypeVar("T")


class A(Record):
    """An IPv4 address (RFC 1035 §3.4.1)."""

    __slots__ = ()

    def __init__(self, address: str | IPv4Address, **where: Unpack[Placement]) -> None:
        try:
            packed = IPv4Address(_text("address", address, IPv4Address, "'192.0.2.1'")).packed
        except AddressValueError as error:
            raise UsageError(f"not an IPv4 address for an A record: {error}") from None
        super().__init__(iana.A, packed, **where)


class AAAA(Record):
    """An IPv6 address (RFC 3596 §2.2)."""

    __slots__ = ()

    def __init__(self, address: str | IPv6Address, **where: Unpack[Placement]) -> None:
        try:
            packed = IPv6Address(_text("address", address, IPv6Address, "'2001:db8::1'")).packed
        except AddressValueError as error:
            raise UsageError(f"not an IPv6 address for an AAAA record: {error}") from None
        super().__init__(iana.AAAA, packed, **where)


class TXT(Record):
    """Text, as one or more strings (RFC 1035 §3.3.14).

    A string longer than 255 octets is split into several, which readers join again.
    """

    __slots__ = ()

    def __init__(self, *strings: str | bytes, **where: Unpack[Placement]) -> None:
        if not strings:
            raise UsageError("a TXT record has at least one string, which may be empty")
        pieces = []
        for string in strings:
            octets = string.encode() if isinstance(string, str) else _octets(string)
            starts = range(0, max(len(octets), 1), 255)
            pieces += [_counted(octets[start : start + 255]) for start in starts]
        rdata = b"".join(pieces)
        if len(rdata) > 0xFFFF:
            raise UsageError(f"a TXT record of {len(rdata)} octets, expected at most 65535")
        super().__init__(iana.TXT, rdata, **where)


class CNAME(Record):
    """The canonical name of an alias (RFC 1035 §3.3.1)."""

    __slots__ = ()

    def __init__(self, target: str, **where: Unpack[Placement]) -> None:
        super().__init__(iana.CNAME, _name(target), **where)


class NS(Record):
    """A name server (RFC 1035 §3.3.11)."""

    __slots__ = ()

    def __init__(self, host: str, **where: Unpack[Placement]) -> None:
        super().__init__(iana.NS, _name(host), **where)


class PTR(Record):
    """A pointer to another name, usually the name of an address (RFC 1035 §3.3.12)."""

    __slots__ = ()

    def __init__(self, target: str, **where: Unpack[Placement]) -> None:
        super().__init__(iana.PTR, _name(target), **where)


class MX(Record):
    """A mail exchanger; the lowest preference is tried first (RFC 1035 §3.3.9)."""

    __slots__ = ()

    def __init__(self, preference: int, exchange: str, **where: Unpack[Placement]) -> None:
        number = _word("preference", preference, "dns.MX(10, 'mail.example.')")
        super().__init__(iana.MX, number + _name(exchange), **where)


class SRV(Record):
    """The location of a service (RFC 2782)."""

    __slots__ = ()

    def __init__(
        self, priority: int, weight: int, port: int, target: str, **where: Unpack[Placement]
    ) -> None:
        numbers = (("priority", priority), ("weight", weight), ("port", port))
        example = "dns.SRV(0, 0, 5060, 'sip.example.')"
        words = b"".join([_word(what, number, example) for what, number in numbers])
        super().__init__(iana.SRV, words + _name(target), **where)


_CAA = "as in dns.CAA(0, 'issue', 'ca.example')"


class CAA(Record):
    """Which authorities may issue certificates (RFC 8659 §4)."""

    __slots__ = ()

    def __init__(self, flags: int, tag: str, value: str, **where: Unpack[Placement]) -> None:
        if not _is_number(flags, 255):
            raise UsageError(f"CAA flags {flags!r}, expected 0 to 255, {_CAA}")
        _text("tag", tag, str, f"'issue', {_CAA}")
        if not (tag.isascii() and tag.isalnum() and len(tag) <= 255):
            raise UsageError(f"CAA tag {tag!r}, expected 1 to 255 ASCII letters and digits, {_CAA}")
        _text("value", value, str, "'ca.example'")
        super().__init__(
            iana.CAA, bytes((flags,)) + _counted(tag.encode()) + value.encode(), **where
        )


class SOA(Record):
    """The start of a zone (RFC 1035 §3.3.13); the four times are in seconds.

    ``minimum`` is how long a name's absence may be cached (RFC 2308 §4).
    """

    __slots__ = ()

    def __init__(
        self,
        primary: str,
        mailbox: str,
        serial: int,
        *,
        refresh: int = 86400,
        retry: int = 7200,
        expire: int = 3600000,
        minimum: int = 300,
        **where: Unpack[Placement],
    ) -> None:
        if not _is_number(serial, 2**32 - 1):
            raise UsageError(f"serial {serial!r}, expected 0 to {2**32 - 1}")
        times = (refresh, retry, expire, minimum)
        if not all(_is_number(seconds, MAX_TTL) for seconds in times):
            raise UsageError(f"SOA times {times}, expected 0 to {MAX_TTL} seconds each")
        numbers = pack("!IIIII", serial, *times)
        super().__init__(iana.SOA, _name(primary) + _name(mailbox) + numbers, **where)


def _name(text: str) -> Name:
    _text("a name", text, str, "'www.example.'")
    try:
        name = from_text(text, ROOT)
    except DecodeError as error:
        raise UsageError(f"{text!r} is not a domain name: {error}") from None
    if "." not in text:
        raise UsageError(
            f"{text!r} is one label, and names in records are absolute; write '{text}.' if it is a "
            f"top-level domain, otherwise the whole name, such as '{text}.example.'"
        )
    return name


def _word(what: str, number: int, example: str) -> bytes:
    if not _is_number(number, 0xFFFF):
        raise UsageError(f"{what} {number!r}, expected 0 to 65535, as in {example}")
    return number.to_bytes(2, "big")


def _is_number(given: object, maximum: int) -> bool:
    return isinstance(given, int) and 0 <= given <= maximum


def _text(what: str, value: T, kind: type, example: str) -> T:
    if not isinstance(value, str | kind):
        raise UsageError(f"{what} is {value!r}, expected text such as {example}")
    return value


def _octets(string: object) -> bytes:
    if isinstance(string, bytes | bytearray | memoryview):
        return bytes(string)
    remedy = "; write dns.TXT(*strings)" if isinstance(string, list | tuple) else ""
    raise UsageError(f"a string is {type(string).__name__}, expected text or bytes{remedy}")


def _counted(octets: bytes) -> bytes:
    return bytes((len(octets),)) + octets
