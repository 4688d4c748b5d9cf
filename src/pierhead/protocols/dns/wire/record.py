"""The data of one record, and how data under one name becomes record sets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pierhead.errors import UsageError
from pierhead.protocols.dns.wire.rrset import Name, RRset, Section

__all__ = ["MAX_TTL", "Record", "rrsets"]

#: RFC 2181 §8: the most significant bit of a TTL is zero.
MAX_TTL = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Record:
    """Type and RDATA of one record; who owns it is the reply's business.

    Attributes:
        rtype: type number.
        rdata: RDATA in wire form, names inside it uncompressed.
    """

    rtype: int
    rdata: bytes


def rrsets(owner: Name, records: Iterable[Record], ttl: int, rclass: int = 1) -> Section:
    """Return the records as one set per type, in the order the types first appear.

    Raises:
        UsageError: the TTL is out of range.
    """
    if not 0 <= ttl <= MAX_TTL:
        raise UsageError(f"ttl is {ttl}, expected 0 to {MAX_TTL} seconds")
    by_type: dict[int, dict[bytes, None]] = {}
    for record in records:
        by_type.setdefault(record.rtype, {})[record.rdata] = None  # no two alike
    return tuple(
        (owner, RRset(owner, rtype, ttl, tuple(rdatas), rclass))
        for rtype, rdatas in by_type.items()
    )
