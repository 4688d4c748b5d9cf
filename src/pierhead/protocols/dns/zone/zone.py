"""Zones in memory: names, record sets and zone cuts, laid out for lookup.

    Zones ──find──▶ Zone ─┬─nodes──▶ Node ──sets──▶ RRset
                          ├─hashed─▶ Node          the NSEC3 records: no names (RFC 5155 §7.2.8)
                          └─denial─▶ Nsec, Nsec3   proofs of what is not there

All are built once and never change; a reload builds new ones. Names that exist only because there
are names below them (empty non-terminals, RFC 4592 §2.2.2) are nodes without sets. A name at or
below a delegation, or below a DNAME, records that in ``Node.cut``; an exact match is therefore one
lookup in ``nodes`` and one in ``sets``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pierhead.errors import DecodeError, Fault, UsageError
from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.rrset import Name, RRset, Section
from pierhead.protocols.dns.zone.denial import Denial
from pierhead.protocols.dns.zone.node import Node
from pierhead.protocols.dns.zone.nsec import Nsec
from pierhead.protocols.dns.zone.nsec3 import Nsec3

__all__ = ["Node", "Zone", "Zones", "canonical_order", "cuts", "has_zone_key", "mark_cuts"]

#: Bit 7 of the flags, in their first octet.
_ZONE_KEY = 0x01


class Zone:
    """One zone.

    `parse_zone` creates zones from text and checks them; the constructor trusts its arguments.

    Attributes:
        origin: the zone's name, in the letter case first written.
        key: the same in lower case.
        rclass: class number, 1 (IN) nearly always.
        nodes: every name of the zone by key, parents of names included.
        hashed: the owners of NSEC3 records, with only those; as names they do not exist.
        soa: the SOA record.
        negative: the authority section of negative answers: the SOA record with the TTL of negative
            answers (RFC 2308 §3 and §5).
        signed_negative: the same with its signatures, if there are any.
        is_signed: whether answers include signatures and proofs on request: the zone has a zone
            key, and its SOA record a signature. In any other zone RRSIG, NSEC and NSEC3 records are
            data, returned when queried by type (RFC 4035 §3.1).
        denial: the chain of NSEC or NSEC3 records; None if the zone is unsigned or has none.
        warnings: what was dubious in the files, but not a reason to refuse them.
    """

    __slots__ = (
        "denial",
        "hashed",
        "is_signed",
        "key",
        "negative",
        "nodes",
        "origin",
        "rclass",
        "signed_negative",
        "soa",
        "warnings",
    )

    def __init__(
        self,
        soa: RRset,
        nodes: Mapping[Name, Node],
        hashed: Mapping[Name, Node] | None = None,
        *,
        is_marked: bool = False,
        denial: Denial | None = None,
    ) -> None:
        """Put a zone together; of nodes that are marked, ``cut`` is right already.

        ``denial`` is the chain, where that is known; otherwise it is looked for.
        """
        self.origin = soa.owner
        self.key = name.key(soa.owner)
        self.rclass = soa.rclass
        self.soa = soa
        self.nodes = nodes
        self.hashed = hashed or {}
        self.warnings: tuple[Fault, ...] = ()
        # RFC 2308 §3: "the minimum of the MINIMUM field of the SOA record and the TTL of the
        # SOA itself".
        minimum = int.from_bytes(soa.rdatas[0][-4:], "big")
        self.negative: Section = (_cap(soa, minimum),)
        self.signed_negative: Section = self.negative
        self.denial: Denial | None = None
        if not is_marked:
            _mark_cuts(self.key, nodes)
        signatures = self.apex.signatures.get(iana.SOA)
        self.is_signed = signatures is not None and has_zone_key(self.apex)
        if signatures is not None and self.is_signed:
            # RFC 4034 §3: the TTL of a signature is that of the set it covers.
            of_soa = _cap(signatures, self.negative[0][1].ttl)
            self.signed_negative = (*self.negative, of_soa)
            # RFC 5155 §10.4: while a zone has both, NSEC3PARAM says that the NSEC3 chain is whole.
            self.denial = denial or Nsec3.find(self.key, nodes, self.hashed) or Nsec.find(nodes)

    @property
    def serial(self) -> int:
        """The serial number of the SOA record."""
        return int.from_bytes(self.soa.rdatas[0][-20:-16], "big")

    @property
    def apex(self) -> Node:
        """The node of the zone's own name."""
        return self.nodes[self.key]

    def stand_in(self, key: Name) -> Node | None:
        """Return the node that answers for a name in lower case: its own, or a wildcard's.

        None if the name does not exist, or is outside the zone. Wildcards apply neither under a
        delegation or a DNAME (RFC 1034 §4.3.3) nor to empty non-terminals (RFC 4592 §2.2.2).
        """
        nodes = self.nodes
        node = nodes.get(key)
        if node is not None:
            return node
        closest = key
        while node is None:
            if len(closest) == 1:
                return None
            closest = closest[closest[0] + 1 :]
            node = nodes.get(closest)
        if node.cut is not None or iana.DNAME in node.sets:
            return None
        return nodes.get(b"\x01*" + closest)

    def rrsets(self) -> Iterator[RRset]:
        """Yield every set of the zone, glue included: the SOA record first, then as written."""
        yield self.soa
        for node in self.nodes.values():
            yield from (rrset for rrset in node.sets.values() if rrset is not self.soa)
            yield from node.signatures.values()
        for node in self.hashed.values():
            yield from node.sets.values()
            yield from node.signatures.values()

    def __repr__(self) -> str:
        return f"<Zone {name.to_text(self.origin)} serial {self.serial}, {len(self.nodes)} names>"


class Zones:
    """The zones of one server, found by the longest match of a name.

    Raises:
        UsageError: two of them have the same name.
    """

    __slots__ = ("_by_key",)

    def __init__(self, zones: Iterable[Zone] = ()) -> None:
        self._by_key: dict[Name, Zone] = {}
        for zone in zones:
            if self._by_key.setdefault(zone.key, zone) is not zone:
                raise UsageError(f"zone {name.to_text(zone.origin)} is given twice")

    def find(self, key: Name) -> Zone | None:
        """Return the nearest zone at or above a name in lower case; one step per label."""
        by_key = self._by_key
        zone = by_key.get(key)
        while zone is None:
            if len(key) == 1:
                return None
            key = key[key[0] + 1 :]
            zone = by_key.get(key)
        return zone

    def __getitem__(self, text: str) -> Zone:
        """Return the zone of this name; `KeyError` where there is none."""
        try:
            return self._by_key[name.key(name.from_text(text, name.ROOT))]
        except (DecodeError, KeyError):
            raise KeyError(f"no zone {text!r}") from None

    def having(self, zone: Zone) -> Zones:
        """Return the same zones with this one, in the place of one of its name."""
        kept = [one for one in self if one.key != zone.key]
        return Zones((*kept, zone))

    def __iter__(self) -> Iterator[Zone]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)


def has_zone_key(apex: Node) -> bool:
    """Tell whether one of the DNSKEY records may sign a zone (RFC 4034 §2.1.1)."""
    keys = apex.sets.get(iana.DNSKEY)
    return keys is not None and any(rdata[0] & _ZONE_KEY for rdata in keys.rdatas)


def canonical_order(owner: Name) -> tuple[bytes, ...]:
    """Return the key that sorts names into canonical order (RFC 4034 §6.1)."""
    return name.labels(name.key(owner))[::-1]


def _cap(rrset: RRset, ttl: int) -> tuple[Name, RRset]:
    """Return a set, in the form of a section, with at most this TTL."""
    ttl = min(rrset.ttl, ttl)
    return rrset.owner, RRset(rrset.owner, rrset.rtype, ttl, rrset.rdatas, rrset.rclass)


def _mark_cuts(apex: Name, nodes: Mapping[Name, Node]) -> None:
    """Set ``cut`` in every node under a delegation or a DNAME.

    The topmost wins: below a delegation only glue counts, DNAME or not.
    """
    # The sets that cut are few; a zone without any needs only one pass.
    if any(cuts(key, node, apex) for key, node in nodes.items()):
        mark_cuts(apex, nodes, nodes)


def mark_cuts(apex: Name, nodes: Mapping[Name, Node], keys: Iterable[Name]) -> None:
    """Set ``cut`` in the nodes of these keys, where it is None; in those above it is correct."""
    # A parent's key is shorter than its children's, and every parent is a node.
    for key in sorted(keys, key=len):
        if key == apex:
            continue
        node = nodes[key]
        above = nodes[name.parent(key)]
        if above.cut is not None:
            node.cut = above.cut
        elif iana.DNAME in above.sets:
            node.cut = above
        elif iana.NS in node.sets:
            node.cut = node


def cuts(key: Name, node: Node, apex: Name) -> bool:
    """Tell whether a node's own NS or DNAME set rules it, or what is below it."""
    return iana.DNAME in node.sets or (iana.NS in node.sets and key != apex)
