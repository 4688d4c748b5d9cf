"""Proofs of nonexistence (RFC 4035 §3.1.3, RFC 5155 §7.2).

    Denial ─┬─ Nsec    names in canonical order          `nsec`
            └─ Nsec3   hashes of names in their order    `nsec3`

There is one method for each question; each answer consists of *links*: an NSEC or NSEC3 set of the
chain with its signatures. A link *matches* its owner name and *covers* the names between that and
the next. If a chain has a gap, the link before the gap is returned: the resolver decides that it
proves nothing.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

from pierhead.protocols.dns.wire.rrset import Name, Section
from pierhead.protocols.dns.zone.node import Node

__all__ = ["Denial", "Link", "link", "next_closer"]

#: One record set of the chain and its signatures, if any, in the form of a message.
Link: TypeAlias = Section


class Denial(Protocol):
    """A zone's chain of denial.

    ``key`` is a name in lower case, in the zone and not below a cut; ``closest`` is the nearest
    name above it that exists (the closest encloser).
    """

    def no_type(self, key: Name) -> list[Link]:
        """Prove that a name exists, perhaps empty, without the type that was asked for."""
        ...

    def no_name(self, key: Name, closest: Name) -> list[Link]:
        """Prove that neither the name nor a wildcard for it exists."""
        ...

    def no_closer(self, key: Name, closest: Name) -> list[Link]:
        """Prove that the wildcard below ``closest`` may answer: no closer name exists."""
        ...

    def no_type_by_wildcard(self, key: Name, closest: Name) -> list[Link]:
        """Prove that the wildcard below ``closest`` matches, without the type."""
        ...


def link(node: Node, rtype: int) -> Link:
    """Return a node's set of one type (NSEC or NSEC3), with its signatures."""
    rrset = node.sets[rtype]
    signatures = node.signatures.get(rtype)
    if signatures is None:
        return ((rrset.owner, rrset),)
    return ((rrset.owner, rrset), (signatures.owner, signatures))


def next_closer(key: Name, closest: Name) -> Name:
    """Return the name one label longer than ``closest`` on the way to ``key`` (RFC 5155 §1.3)."""
    last = len(key) - len(closest)
    start = 0
    while (end := start + 1 + key[start]) < last:
        start = end
    return key[start:]
