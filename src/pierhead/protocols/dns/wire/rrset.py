"""Resource record sets as zones keep them and messages carry them.

A domain name is `bytes`: labels with length octets up to the root, uncompressed, letter case as
written (RFC 1035 §3.1). Its *key* is the same in lower case; names are compared by key. RDATA is
`bytes` in wire form, names inside it uncompressed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["Name", "RRset", "Section"]

#: A domain name in uncompressed wire form.
Name: TypeAlias = bytes


@dataclass(frozen=True, slots=True, eq=False)
class RRset:
    """Records of one owner, type and class that differ in RDATA alone (RFC 2181 §5).

    An RRSIG set holds the signatures over one type, so one TTL is right for it as well.

    Attributes:
        owner: name in wire form, letter case as written.
        rtype: type number.
        ttl: seconds, 0 to 2**31 - 1.
        rdatas: RDATA of each record in wire form, no two alike, in the order written.
        rclass: class number, 1 (IN) nearly always.
        ready: the records as `wire.encode` puts them into messages, kept at first use; nobody
            else's business.
    """

    owner: Name
    rtype: int
    ttl: int
    rdatas: tuple[bytes, ...]
    rclass: int = 1
    ready: tuple[bytes, ...] | None = field(default=None, init=False, repr=False)


#: Records of one section: each set with the name it is shown under, which differs from
#: ``rrset.owner`` where a wildcard or the letter case of the question decides (RFC 4592).
Section: TypeAlias = tuple[tuple[Name, RRset], ...]
