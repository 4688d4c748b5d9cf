"""Record data as users write it: ``dns.A("192.0.2.1")``, ``dns.MX(10, "mail.example.")``.

Names are absolute, with or without a final dot. A type without a class here is written as
``dns.Record("TLSA", "3 1 1 …")``. Each accepts the keywords of `Placement`: ``name``, ``ttl`` and
``rclass``, if the record does not belong to the queried name.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from struct import pack
from typing import Unpack

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.name import ROOT, from_text
from pierhead.protocols.dns.wire.record import MAX_TTL, Placement, Record
from pierhead.protocols.dns.wire.rrset import Name

__all__ = ["AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", "A", "Record"]


class A(Record):
    """An IPv4 address (RFC 1035 §3.4.1)."""

    __slots__ = ()

    def __init__(self, address: str | IPv4Address, **where: Unpack[Placement]) -> None:
        try:
            packed = IPv4Address(address).packed
        except ValueError as error:
            raise UsageError(f"not an IPv4 address for an A record: {error}") from None
        super().__init__(iana.A, packed, **where)


class AAAA(Record):
    """An IPv6 address (RFC 3596 §2.2)."""

    __slots__ = ()

    def __init__(self, address: str | IPv6Address, **where: Unpack[Placement]) -> None:
        try:
            packed = IPv6Address(address).packed
        except ValueError as error:
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
            octets = string.encode() if isinstance(string, str) else string
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
        super().__init__(iana.MX, _word("preference", preference) + _name(exchange), **where)


class SRV(Record):
    """The location of a service (RFC 2782)."""

    __slots__ = ()

    def __init__(
        self, priority: int, weight: int, port: int, target: str, **where: Unpack[Placement]
    ) -> None:
        numbers = _word("priority", priority) + _word("weight", weight) + _word("port", port)
        super().__init__(iana.SRV, numbers + _name(target), **where)


class CAA(Record):
    """Which authorities may issue certificates (RFC 8659 §4)."""

    __slots__ = ()

    def __init__(self, flags: int, tag: str, value: str, **where: Unpack[Placement]) -> None:
        if not 0 <= flags <= 255:
            raise UsageError(f"CAA flags {flags}, expected 0 to 255")
        if not (tag.isascii() and tag.isalnum() and len(tag) <= 255):
            raise UsageError(f"CAA tag {tag!r}, expected 1 to 255 ASCII letters and digits")
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
        if not 0 <= serial < 2**32:
            raise UsageError(f"serial {serial}, expected 0 to {2**32 - 1}")
        times = (refresh, retry, expire, minimum)
        if not all(0 <= seconds <= MAX_TTL for seconds in times):
            raise UsageError(f"SOA times {times}, expected 0 to {MAX_TTL} seconds each")
        numbers = pack("!IIIII", serial, *times)
        super().__init__(iana.SOA, _name(primary) + _name(mailbox) + numbers, **where)


def _name(text: str) -> Name:
    try:
        return from_text(text, ROOT)
    except DecodeError as error:
        raise UsageError(f"{text!r} is not a domain name: {error}") from None


def _word(what: str, number: int) -> bytes:
    if not 0 <= number <= 0xFFFF:
        raise UsageError(f"{what} {number}, expected 0 to 65535")
    return number.to_bytes(2, "big")


def _counted(octets: bytes) -> bytes:
    return bytes((len(octets),)) + octets
