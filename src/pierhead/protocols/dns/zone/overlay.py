"""Changes to the record sets of a zone, before there is a zone that has them.

    Zone ──find──▶ set ──put, take──▶ ChangedSet     what a set becomes
                                        └─▶ records deleted and added, by canonical form

The zone is only read. A set that ends as it began is none that has changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.canonical import canonical_rdata
from pierhead.protocols.dns.wire.name import key
from pierhead.protocols.dns.wire.record import Record
from pierhead.protocols.dns.wire.rrset import Name, RRset
from pierhead.protocols.dns.zone.builder import COVERED_SHIFT, SetKey
from pierhead.protocols.dns.zone.zone import Zone

__all__ = [
    "ChangedSet",
    "Changes",
    "Overlay",
    "find_set",
    "is_of_nsec3",
    "set_changes",
    "set_key_of",
]

#: What has changed: by name in lower case and kind of set, the new set; None where it is gone.
Changes: TypeAlias = dict[Name, dict[SetKey, RRset | None]]

_TYPE_BITS = (1 << COVERED_SHIFT) - 1


def set_key_of(rtype: int, rdata: bytes) -> SetKey:
    """Return what tells a record's set from the others of its name."""
    if rtype != iana.RRSIG:
        return rtype
    return rtype | int.from_bytes(rdata[:2], "big") << COVERED_SHIFT


def is_of_nsec3(set_key: SetKey) -> bool:
    """Tell whether a set's owner is a hash: it is not a name of the zone (RFC 5155 §7.2.8)."""
    return set_key in (iana.NSEC3, iana.NSEC3 << COVERED_SHIFT | iana.RRSIG)


def find_set(zone: Zone, name: Name, set_key: SetKey) -> RRset | None:
    """Return the set of a zone; the name is in lower case."""
    node = (zone.hashed if is_of_nsec3(set_key) else zone.nodes).get(name)
    if node is None:
        return None
    covered = set_key >> COVERED_SHIFT
    return node.signatures.get(covered) if covered else node.sets.get(set_key)


class ChangedSet:
    """What a set becomes.

    Attributes:
        owner: letter case as it was written first.
        ttl: one for all of them.
        rdatas: RDATA by its canonical form, in the order written.
    """

    __slots__ = ("owner", "rdatas", "ttl")

    def __init__(self, owner: Name, ttl: int, rdatas: dict[bytes, bytes]) -> None:
        self.owner = owner
        self.ttl = ttl
        self.rdatas = rdatas


class Overlay:
    """The sets of a zone that have been touched.

    Args:
        zone: what they are taken from.
    """

    __slots__ = ("_sets", "_zone")

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._sets: dict[Name, dict[SetKey, ChangedSet]] = {}

    def at(self, owner: Name, set_key: SetKey) -> ChangedSet:
        """Return a set to change; an empty one, with a TTL of -1, where there is none."""
        name = key(owner)
        sets = self._sets.setdefault(name, {})
        changed = sets.get(set_key)
        if changed is None:
            found = find_set(self._zone, name, set_key)
            if found is None:
                changed = ChangedSet(owner, -1, {})
            else:
                canonical = {canonical_rdata(found.rtype, r): r for r in found.rdatas}
                changed = ChangedSet(found.owner, found.ttl, canonical)
            sets[set_key] = changed
        return changed

    def keys_at(self, owner: Name) -> set[SetKey]:
        """Return which sets a name has, touched or not."""
        name = key(owner)
        found: set[SetKey] = set()
        for node in (self._zone.nodes.get(name), self._zone.hashed.get(name)):
            if node is not None:
                found.update(node.sets)
                found.update(iana.RRSIG | covered << COVERED_SHIFT for covered in node.signatures)
        for set_key, changed in self._sets.get(name, {}).items():
            (found.add if changed.rdatas else found.discard)(set_key)
        return found

    def changes(self) -> Changes:
        """Return the sets that have changed."""
        changes: Changes = {}
        touched = [(n, k, c) for n, sets in self._sets.items() for k, c in sets.items()]
        for name, set_key, changed in touched:
            before = find_set(self._zone, name, set_key)
            if not _differs(before, changed):
                continue
            after = None
            if changed.rdatas:
                rdatas = tuple(changed.rdatas.values())
                rtype = set_key & _TYPE_BITS
                after = RRset(changed.owner, rtype, changed.ttl, rdatas, self._zone.rclass)
            changes.setdefault(name, {})[set_key] = after
        return changes


def _differs(before: RRset | None, changed: ChangedSet) -> bool:
    if before is None:
        return bool(changed.rdatas)
    if not changed.rdatas or changed.ttl != before.ttl:
        return True
    return changed.rdatas.keys() != {canonical_rdata(before.rtype, r) for r in before.rdatas}


def set_changes(before: RRset | None, after: RRset | None) -> Iterator[tuple[bool, Record]]:
    """Give each record that one set has and the other has not, and whether it was added.

    Records are the same by their canonical form and their TTL: a set with another TTL is a set of
    other records (RFC 1995 §4).
    """
    old, new = _by_canonical(before), _by_canonical(after)
    for kind, record in old.items():
        if kind not in new:
            yield False, record
    for kind, record in new.items():
        if kind not in old:
            yield True, record


def _by_canonical(rrset: RRset | None) -> dict[tuple[int, bytes], Record]:
    if rrset is None:
        return {}
    owner, rtype, rclass, ttl = rrset.owner, rrset.rtype, rrset.rclass, rrset.ttl
    return {
        (ttl, canonical_rdata(rtype, rdata)): Record.trusted(owner, rtype, rclass, ttl, rdata)
        for rdata in rrset.rdatas
    }
