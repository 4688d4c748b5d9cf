"""A name in a zone: its record sets, its signatures, and the cut it is under."""

from __future__ import annotations

from collections.abc import Mapping

from pierhead.protocols.dns.wire.rrset import RRset

__all__ = ["Node"]


class Node:
    """A name in a zone.

    Attributes:
        sets: the record sets by type; signatures are separate.
        signatures: the RRSIG sets by the type they cover.
        cut: the node whose NS or DNAME set applies here: for a delegation point itself and all
            below it, and for all below a DNAME. None where the zone is authoritative.
    """

    __slots__ = ("cut", "sets", "signatures")

    def __init__(self, sets: Mapping[int, RRset], signatures: Mapping[int, RRset]) -> None:
        self.sets = sets
        self.signatures = signatures
        self.cut: Node | None = None

    @property
    def is_chained(self) -> bool:
        """Whether the name belongs to the NSEC or NSEC3 chain (RFC 4035 §2.3, RFC 5155 §7.1).

        Those are the zone's own names and its delegation points; what lies below a cut is not the
        zone's to deny.
        """
        return self.cut is None or self.cut is self
