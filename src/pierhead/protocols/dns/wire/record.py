"""The data of one record, and how data under one name becomes record sets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pierhead.errors import UsageError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.canonical import names_problem, unique_rdatas
from pierhead.protocols.dns.wire.rrset import Name, RRset, Section

__all__ = ["MAX_TTL", "Record", "rrsets"]

#: RFC 2181 §8: the most significant bit of a TTL is zero.
MAX_TTL = 2**31 - 1
#: RDLENGTH has two octets (RFC 1035 §3.2.1).
_MAX_RDATA = 0xFFFF


@dataclass(frozen=True, slots=True)
class Record:
    """Type and RDATA of one record; who owns it is the reply's business.

    Attributes:
        rtype: type number.
        rdata: RDATA in wire form, names inside it uncompressed.

    Raises:
        UsageError: no message can carry it: the number is no type's, it is over 65,535 octets,
            or names that are compared or compressed are not where the type has them.
    """

    rtype: int
    rdata: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.rtype <= 0xFFFF:
            raise UsageError(f"type number {self.rtype}, expected 0 to 65535")
        if len(self.rdata) > _MAX_RDATA:
            raise UsageError(f"RDATA of {len(self.rdata)} octets, expected at most {_MAX_RDATA}")
        problem = names_problem(self.rtype, self.rdata)
        if problem:
            raise UsageError(f"not RDATA of type {iana.type_text(self.rtype)}: {problem}")


def rrsets(owner: Name, records: Iterable[Record], ttl: int, rclass: int = 1) -> Section:
    """Return the records as one set per type, in the order the types first appear.

    Raises:
        UsageError: the TTL is out of range.
    """
    if not 0 <= ttl <= MAX_TTL:
        raise UsageError(f"ttl is {ttl}, expected 0 to {MAX_TTL} seconds")
    by_type: dict[int, list[bytes]] = {}
    for record in records:
        by_type.setdefault(record.rtype, []).append(record.rdata)
    return tuple(
        (owner, RRset(owner, rtype, ttl, unique_rdatas(rtype, rdatas), rclass))
        for rtype, rdatas in by_type.items()
    )
