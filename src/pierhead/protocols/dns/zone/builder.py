"""A zone while its records are being read, and its conversion into the model.

Knows where each set was written, which the finished `Zone` does not; `check` uses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.canonical import canonical_rdata, unique_rdatas
from pierhead.protocols.dns.wire.rrset import Name, RRset
from pierhead.protocols.dns.zone.faults import Faults, Place
from pierhead.protocols.dns.zone.node import Node
from pierhead.protocols.dns.zone.nsec3 import is_hashed_owner, is_known_hash
from pierhead.protocols.dns.zone.signed import inspect
from pierhead.protocols.dns.zone.zone import Zone

__all__ = [
    "COVERED_SHIFT",
    "OWNER",
    "RDATAS",
    "SINGLETONS",
    "TTL",
    "RawSet",
    "SetKey",
    "ZoneBuilder",
    "place_of",
]

#: The type of a set; for RRSIG sets also the type covered, in the upper bits.
SetKey: TypeAlias = int
#: (owner, ttl, place, RDATA, RDATA …): there are as many of these as names, so they are kept as
#: cheap as possible; a tuple for one record, a list once there are more, and then the place is a
#: list too.
RawSet: TypeAlias = Sequence[Any]

#: Indexes into a `RawSet`.
OWNER, TTL, _PLACE, RDATAS = 0, 1, 2, 3

#: In the key of an RRSIG set, the type covered is above these bits.
COVERED_SHIFT = 16
#: Types of which a name has at most one record, and the rule that says so.
SINGLETONS = {
    iana.CNAME: "RFC 2181 §10.1",
    iana.SOA: "RFC 1035 §5.2",
    iana.DNAME: "RFC 6672 §2.4",
}
#: NSEC3 and its signatures.
_OF_NSEC3 = (iana.NSEC3, iana.NSEC3 << COVERED_SHIFT | iana.RRSIG)
_NO_SETS: Mapping[int, RRset] = {}


def place_of(rrset: RawSet, index: int = 0) -> Place:
    """Return where a record of a set was written; by default the first."""
    places = rrset[_PLACE]
    place: Place = places[index] if isinstance(places, list) else places
    return place


class ZoneBuilder:
    """The records of one zone by name and type.

    Attributes:
        origin: the zone's name.
        nodes: sets by the key of their owner; parents of names are included, without sets.
        hashed: the sets of NSEC3 records, whose owners are not names of the zone.
    """

    __slots__ = ("_faults", "hashed", "nodes", "origin", "rclass")

    def __init__(self, origin: Name, rclass: int, faults: Faults) -> None:
        self.origin = origin
        self.rclass = rclass
        self._faults = faults
        self.nodes: dict[Name, dict[SetKey, RawSet]] = {name.key(origin): {}}
        self.hashed: dict[Name, dict[SetKey, RawSet]] = {}

    def add(self, owner: Name, rtype: int, ttl: int, rdata: bytes, place: Place) -> None:
        """Add one record; one outside the zone is an error."""
        key = owner.lower()
        if key == owner:
            key = owner  # one object fewer per name
        if rtype == iana.RRSIG:
            rtype |= int.from_bytes(rdata[:2], "big") << COVERED_SHIFT
        sets = self._find_sets(key, rtype)
        if sets is None:
            self._refuse(owner, place)
            return
        known = sets.get(rtype)
        if known is None:
            if rtype == iana.NSEC3:
                self._check_hashed_owner(owner, rdata, place)
            sets[rtype] = (owner, ttl, place, rdata)
            return
        if rtype in SINGLETONS and (
            canonical_rdata(rtype, rdata) != canonical_rdata(rtype, known[RDATAS])
        ):
            self._refuse_second(known, rtype, place)
            return
        if not isinstance(known, list):
            sets[rtype] = known = list(known)
            known[_PLACE] = [known[_PLACE]]
        known.append(rdata)
        known[_PLACE].append(place)
        if ttl != known[TTL]:
            self._reconcile(known, rtype & 0xFFFF, ttl, place)

    def build(self) -> Zone:
        """Return the zone; the builder cannot be used again.

        The zone must have passed `check`: an SOA record at the apex is assumed.
        """
        apex = name.key(self.origin)
        top = self.nodes[apex]
        places = self._first_places() if iana.DNSKEY in top else {}
        nodes = self._build_nodes(self.nodes)
        zone = Zone(nodes[apex].sets[iana.SOA], nodes, self._build_nodes(self.hashed))
        for message, remedy, key, rtype in inspect(zone):
            where = top.get(rtype, top[iana.SOA])
            place = places.get(key) if key != apex else None
            place = place_of(where) if place is None else place
            self._faults.warning(place, message, remedy, "dnssec")
        zone.warnings = self._faults.warnings()
        return zone

    def _first_places(self) -> dict[Name, Place]:
        """Return where the first record of each name was written."""
        return {
            key: min(place_of(rrset) for rrset in sets.values())
            for key, sets in self.nodes.items()
            if sets
        }

    def _build_nodes(self, unfinished: dict[Name, dict[SetKey, RawSet]]) -> dict[Name, Node]:
        nodes: dict[Name, Node] = {}
        for key in list(unfinished):
            found = unfinished.pop(key)  # freed at once: both forms together are large
            sets: dict[int, RRset] = {}
            signatures: dict[int, RRset] = {}
            for set_key, (owner, ttl, _, *rdatas) in found.items():
                rtype = set_key & 0xFFFF
                # A record written twice is one record (RFC 2181 §5).
                unique = tuple(rdatas) if len(rdatas) == 1 else unique_rdatas(rtype, rdatas)
                rrset = RRset(owner, rtype, ttl, unique, self.rclass)
                if set_key > 0xFFFF:
                    signatures[set_key >> COVERED_SHIFT] = rrset
                else:
                    sets[set_key] = rrset
            nodes[key] = Node(sets or _NO_SETS, signatures or _NO_SETS)
        return nodes

    def _find_sets(self, key: Name, rtype: SetKey) -> dict[SetKey, RawSet] | None:
        """Return where the records of a name go; None if it is outside the zone."""
        if rtype in _OF_NSEC3:
            within = name.is_subdomain(key, self.origin)
            return self.hashed.setdefault(key, {}) if within else None
        sets = self.nodes.get(key)
        if sets is None and self._add_parents(key):
            self.nodes[key] = sets = {}
        return sets

    def _add_parents(self, key: Name) -> bool:
        """Add the empty non-terminals above a name; False if it is outside the zone."""
        nodes = self.nodes
        missing = []
        above = key[key[0] + 1 :]
        while above not in nodes:
            if len(above) <= 1:
                return False
            missing.append(above)
            above = above[above[0] + 1 :]
        for empty in missing:
            nodes[empty] = {}
        return True

    def _check_hashed_owner(self, owner: Name, rdata: bytes, place: Place) -> None:
        """Warn about an NSEC3 record that no name can have: it is kept and proves nothing."""
        if is_known_hash(rdata) and not is_hashed_owner(owner.lower(), name.key(self.origin)):
            self._faults.warning(
                place,
                f"{name.to_text(owner)}  owns an NSEC3 record but is not a hash: 32 characters "
                "of Base 32, directly below the zone's name (RFC 5155 §3)",
                "remove the record",
                "dnssec",
            )

    def _refuse(self, owner: Name, place: Place) -> None:
        self._faults.error(
            place,
            f"{name.to_text(owner)} is outside the zone {name.to_text(self.origin)}",
            "remove the record; or remove the dot at its end if the name is meant to be relative",
            "out-of-zone",
        )

    def _refuse_second(self, known: RawSet, rtype: int, place: Place) -> None:
        text, rule = iana.type_text(rtype), SINGLETONS[rtype]
        self._faults.error(
            place,
            f"{name.to_text(known[OWNER])} has a second {text} record ({rule})",
            "keep the intended one",
            text.lower(),
        )

    def _reconcile(self, known: list[Any], rtype: int, ttl: int, place: Place) -> None:
        # RFC 2181 §5.2: differing TTLs in a set are an error; the lowest is safe to serve.
        lowest = min(ttl, known[TTL])
        owner, text = name.to_text(known[OWNER]), iana.type_text(rtype)
        self._faults.warning(
            place,
            f"TTL {ttl} differs from the TTL {known[TTL]} of the other {text} records of {owner}; "
            f"the set is served with {lowest}",
            "give all records of a set the same TTL (RFC 2181 §5.2)",
            "ttl",
        )
        known[TTL] = lowest
