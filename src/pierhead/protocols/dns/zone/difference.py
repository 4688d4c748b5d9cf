"""What makes one snapshot of a zone the next: records deleted and added (RFC 1995 §4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pierhead.errors import UsageError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.canonical import canonical_rdata
from pierhead.protocols.dns.wire.name import key, to_text
from pierhead.protocols.dns.wire.record import Record
from pierhead.protocols.dns.wire.rrset import Name, RRset
from pierhead.protocols.dns.zone.format import format_record
from pierhead.protocols.dns.zone.next_zone import make_next
from pierhead.protocols.dns.zone.overlay import (
    Changes,
    Overlay,
    find_set,
    set_changes,
    set_key_of,
)
from pierhead.protocols.dns.zone.rules import find_problems
from pierhead.protocols.dns.zone.zone import Zone, canonical_order

__all__ = ["Difference", "difference_of"]


@dataclass(frozen=True, slots=True)
class Difference:
    """The records that one snapshot has and the next has not, and the reverse.

    The SOA record is among them, first in both. The others are in canonical order, so that two
    differences with the same records are equal. True if it changes anything.

    Attributes:
        origin: the zone's name in wire form.
        old_serial, new_serial: the serial numbers of the two.
        deleted, added: the records, each with its name, class and TTL.
    """

    origin: Name
    old_serial: int
    new_serial: int
    deleted: tuple[Record, ...] = ()
    added: tuple[Record, ...] = ()

    @classmethod
    def between(cls, old: Zone, new: Zone) -> Difference:
        """Return what makes one snapshot the other, compared set by set.

        Raises:
            UsageError: they are not of the same zone.
        """
        if (old.key, old.rclass) != (new.key, new.rclass):
            raise UsageError(f"{new!r} is another zone than {old!r}")
        places = {**dict.fromkeys(_places(old)), **dict.fromkeys(_places(new))}
        changes: Changes = {}
        for name, set_key in places:
            before, after = find_set(old, name, set_key), find_set(new, name, set_key)
            if before is not after:
                changes.setdefault(name, {})[set_key] = after
        return difference_of(old, new, changes)

    @classmethod
    def condensed(cls, differences: Sequence[Difference]) -> Difference:
        """Return one difference in the place of several, each beginning where the last ended.

        A record that is added and deleted again, or the reverse, is not in it (RFC 1995 §5).

        Raises:
            UsageError: there is none, or one does not begin where the one before ends.
        """
        if not differences:
            raise UsageError("no difference is given, expected at least one")
        deleted: dict[object, Record] = {}
        added: dict[object, Record] = {}
        for last, difference in zip((None, *differences), differences, strict=False):
            if last is not None and not last.leads_to(difference):
                raise UsageError(f"{difference!r} does not begin where {last!r} ends")
            for record in difference.deleted:
                if added.pop(_identity(record), None) is None:
                    deleted[_identity(record)] = record
            for record in difference.added:
                if deleted.pop(_identity(record), None) is None:
                    added[_identity(record)] = record
        first, final = differences[0], differences[-1]
        return cls(
            first.origin,
            first.old_serial,
            final.new_serial,
            tuple(sorted(deleted.values(), key=_rank)),
            tuple(sorted(added.values(), key=_rank)),
        )

    def leads_to(self, following: Difference) -> bool:
        """Tell whether another difference begins where this one ends."""
        is_same_zone = key(self.origin) == key(following.origin)
        return is_same_zone and self.new_serial == following.old_serial

    def inverted(self) -> Difference:
        """Return what makes the next snapshot the one before."""
        return Difference(self.origin, self.new_serial, self.old_serial, self.added, self.deleted)

    def apply(self, zone: Zone) -> Zone:
        """Return the snapshot after this one; what has not changed is the same object in both.

        Raises:
            UsageError: the snapshot is not the one that this is the difference to: its name, its
                serial number or one of the records.
        """
        if key(self.origin) != zone.key or self.old_serial != zone.serial:
            raise UsageError(f"{self!r} is no difference to {zone!r}")
        if not self:
            return zone
        overlay = Overlay(zone)
        for record in self.deleted:
            changed = overlay.at(record.owner, set_key_of(record.rtype, record.rdata))
            if changed.rdatas.pop(_canonical(record), None) is None or changed.ttl != record.ttl:
                raise UsageError(f"{zone!r} has no record {_line(record)}")
        for record in self.added:
            changed = overlay.at(record.owner, set_key_of(record.rtype, record.rdata))
            ttl = -1 if record.ttl is None else record.ttl
            if not changed.rdatas:
                changed.owner, changed.ttl = record.owner, ttl
            if _canonical(record) in changed.rdatas:
                raise UsageError(f"{zone!r} has the record {_line(record)} already")
            if changed.ttl != ttl:
                raise UsageError(f"{zone!r} has another TTL beside {_line(record)}")
            changed.rdatas[_canonical(record)] = record.rdata
        if not overlay.at(zone.origin, iana.SOA).rdatas:
            raise UsageError(f"{self!r} leaves no SOA record")
        after, names = make_next(zone, overlay.changes())
        problems = list(find_problems(after, names))
        if problems:
            raise UsageError("; ".join(problems))
        return after

    def __bool__(self) -> bool:
        return bool(self.deleted or self.added)

    def __str__(self) -> str:
        """Return a line for each record, with - or + before it."""
        lines = [f"- {_line(record)}" for record in self.deleted]
        return "\n".join(lines + [f"+ {_line(record)}" for record in self.added])

    def __repr__(self) -> str:
        counts = f"{len(self.deleted)} deleted, {len(self.added)} added"
        serials = f"serial {self.old_serial} to {self.new_serial}"
        return f"<Difference {to_text(self.origin)} {serials}, {counts}>"


def difference_of(old: Zone, new: Zone, changes: Changes) -> Difference:
    """Return the difference that is in these sets."""
    deleted: list[Record] = []
    added: list[Record] = []
    for name, sets in changes.items():
        for set_key, after in sets.items():
            for is_new, record in set_changes(find_set(old, name, set_key), after):
                (added if is_new else deleted).append(record)
    return Difference(
        old.origin,
        old.serial,
        new.serial,
        tuple(sorted(deleted, key=_rank)),
        tuple(sorted(added, key=_rank)),
    )


def _places(zone: Zone) -> Iterator[tuple[Name, int]]:
    for rrset in zone.rrsets():
        yield key(rrset.owner), set_key_of(rrset.rtype, rrset.rdatas[0])


def _identity(record: Record) -> tuple[Name, int, int | None, bytes]:
    """Return what makes two records the same (RFC 4034 §6.2), TTL included."""
    return key(record.owner), record.rtype, record.ttl, _canonical(record)


def _canonical(record: Record) -> bytes:
    return canonical_rdata(record.rtype, record.rdata)


def _rank(record: Record) -> tuple[bool, tuple[bytes, ...], int, bool, bytes]:
    """Order as `format_zone` does: the SOA record, then names, types, signatures behind."""
    is_signature = record.rtype == iana.RRSIG
    rtype = int.from_bytes(record.rdata[:2], "big") if is_signature else record.rtype
    name = canonical_order(record.owner)
    return record.rtype != iana.SOA, name, rtype, is_signature, _canonical(record)


def _line(record: Record) -> str:
    ttl, rclass = record.ttl or 0, record.rclass or iana.CLASS_IN
    rrset = RRset(record.owner, record.rtype, ttl, (record.rdata,), rclass)
    return format_record(rrset, record.rdata)
