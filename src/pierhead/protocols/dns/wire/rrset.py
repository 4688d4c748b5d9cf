"""Resource record sets as zones keep them and messages carry them.

A domain name is `bytes`: labels with length octets up to the root, uncompressed, in its original
letter case (RFC 1035 §3.1). Its *key* is the same in lower case; names are compared by key. RDATA
is `bytes` in wire form, with names inside it uncompressed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["Name", "RRset", "Section"]

#: A domain name in uncompressed wire form.
Name: TypeAlias = bytes


@dataclass(frozen=True, slots=True, eq=False)
class RRset:
    """Records of one owner, type and class that differ only in RDATA (RFC 2181 §5).

    An RRSIG set holds the signatures over one type, so one TTL applies to it as well.

    Attributes:
        owner: name in wire form, letter case as written.
        rtype: type number.
        ttl: seconds, 0 to 2**31 - 1.
        rdatas: RDATA of each record in wire form, no two alike, in the order written.
        rclass: class number, 1 (IN) nearly always.
        ready: the records as `wire.encode` puts them into messages, cached on first use; private to
            that module.
    """

    owner: Name
    rtype: int
    ttl: int
    rdatas: tuple[bytes, ...]
    rclass: int = 1
    ready: tuple[bytes, ...] | None = field(default=None, init=False, repr=False)


#: Records of one section: each set with its owner in the answer, which differs from ``rrset.owner``
#: for wildcards and for the letter case of the question (RFC 4592).
Section: TypeAlias = tuple[tuple[Name, RRset], ...]
