"""How long a response may be kept by a cache that does not know DNS (RFC 8484 §5.1)."""

from __future__ import annotations

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import HEADER, RCODE_MASK
from pierhead.protocols.dns.wire.reader import read_name
from pierhead.protocols.dns.wire.received import read_sections

__all__ = ["max_age"]

_SOA = iana.type_number("SOA")


def max_age(frame: bytes) -> int | None:
    """Return the freshness lifetime of a response, in seconds.

    It is the smallest TTL of the answer; for a negative answer, the smaller of the TTL and the
    MINIMUM of the SOA record (RFC 2308 §5). None for a response that says nothing of the sort, such
    as SERVFAIL, and for octets that are no response.
    """
    if len(frame) < HEADER.size:
        return None
    try:
        _, flags, questions, *counts = HEADER.unpack_from(frame)
        if flags & RCODE_MASK not in (iana.NOERROR, iana.NXDOMAIN):
            return None
        position = HEADER.size
        for _ in range(questions):
            position = read_name(frame, position)[1] + 4
        sections = read_sections(frame, position, (counts[0], counts[1], 0))
    except DecodeError:
        return None
    if sections.answer:
        return min(record.ttl for record in sections.answer)
    ages = [
        min(record.ttl, int.from_bytes(record.octets[-4:], "big"))
        for record in sections.authority
        if record.rtype == _SOA and record.length >= 4
    ]
    return min(ages, default=None)
