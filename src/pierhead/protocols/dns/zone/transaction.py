"""A change of a zone: it creates the next version, and the difference from the one before."""

from __future__ import annotations

from collections.abc import Callable

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.canonical import canonical_rdata
from pierhead.protocols.dns.wire.name import from_text, is_subdomain, key, to_text
from pierhead.protocols.dns.wire.record import Record, check_ttl
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.wire.serial import MAX_SERIAL, advance, is_newer
from pierhead.protocols.dns.zone.difference import Difference, difference_of
from pierhead.protocols.dns.zone.next_zone import make_next
from pierhead.protocols.dns.zone.overlay import ChangedSet, Overlay, set_key_of
from pierhead.protocols.dns.zone.rules import find_problems
from pierhead.protocols.dns.zone.zone import Zone

__all__ = ["Transaction"]

#: The TTL of a record without one, if its owner has no set of its type.
_DEFAULT_TTL = 300
#: RFC 2136 §3.4.2.3: they stay when all sets of the apex are deleted.
_OF_THE_APEX = (iana.SOA, iana.NS)


class Transaction:
    """Changes of one zone, made together or not at all.

    The zone itself never changes: `commit` returns a new version. Names are relative to the zone,
    unless they end in a dot; ``@`` is the zone's own name. Records are compared in canonical form
    (RFC 4034 §6.2), so a name in another letter case is no change.

    Example:
        >>> from pierhead.protocols import dns
        >>> def move(zone, address):
        ...     change = dns.Transaction(zone)
        ...     change.replace("www", dns.A(address), ttl=60)
        ...     return change.commit()
    """

    __slots__ = ("_overlay", "_zone")

    def __init__(self, zone: Zone) -> None:
        given: object = zone  # as a caller without a type checker may pass
        if not isinstance(given, Zone):
            raise UsageError(f"a zone is {type(given).__name__}, expected one of a service's Zones")
        self._zone = zone
        self._overlay = Overlay(zone)

    def add(self, name: str, *records: Record, ttl: int | None = None) -> None:
        """Add records; those that exist already are not changed.

        Args:
            name: their owner.
            records: the records to add.
            ttl: for all records of their sets, old and new, since a set has one TTL (RFC 2181
                §5.2); None to use the record's, else that of the set, else 300 seconds.

        Raises:
            UsageError: the name is outside the zone, or a record cannot be in a zone.
        """
        owner = self._owner(name)
        for record in records:
            self._check(record, owner)
            changed = self._overlay.at(owner, set_key_of(record.rtype, record.rdata))
            _set_ttl(changed, record, ttl)
            changed.rdatas.setdefault(_canonical(record), record.rdata)

    def delete(self, name: str, *what: str | Record) -> None:
        """Delete records, types or a whole name; deleting what does not exist is not an error.

        Args:
            name: their owner.
            what: records, and mnemonics of types; without any, everything at this name. At the
                zone's own name the SOA and NS records stay (RFC 2136 §3.4.2.3); if there is nothing
                else, that is refused.

        Raises:
            UsageError: the name is outside the zone, a mnemonic is unknown, or nothing at the
                zone's own name could be deleted.
        """
        owner = self._owner(name)
        present = self._overlay.keys_at(owner)
        if not what:
            kept = _OF_THE_APEX if key(owner) == self._zone.key else ()
            wanted = {set_key for set_key in present if set_key not in kept}
            if kept and not wanted:
                raise UsageError(
                    f"{to_text(owner)} is the zone's own name and has only its SOA and NS records, "
                    "which a zone keeps; change them with replace()"
                )
            self._clear(owner, wanted)
        for each in what:
            if isinstance(each, Record):
                changed = self._overlay.at(owner, set_key_of(each.rtype, each.rdata))
                changed.rdatas.pop(_canonical(each), None)
            else:
                rtype = iana.type_number(each)
                self._clear(owner, {set_key for set_key in present if set_key & 0xFFFF == rtype})

    def replace(self, name: str, *records: Record, ttl: int | None = None) -> None:
        """Replace all records of the same types at this name.

        Args:
            name: their owner.
            records: at least one; each type is a set of its own.
            ttl: as for `add`.

        Raises:
            UsageError: as for `add`; or no record is given.
        """
        if not records:
            raise UsageError("no record is given; use delete() to remove records")
        owner = self._owner(name)
        for record in records:
            self._check(record, owner)
        self._clear(owner, {set_key_of(record.rtype, record.rdata) for record in records})
        self.add(name, *records, ttl=ttl)

    def commit(
        self, *, serial: int | Callable[[int], int] | None = None
    ) -> tuple[Zone, Difference]:
        """Return the next version of the zone, and the difference.

        Without any change it is the same zone. Otherwise its serial number is ahead of the old one
        (RFC 1982): by one, unless the SOA record was replaced or ``serial`` is given: a number, or
        a function that returns the next one for the old one and is called if needed. Signatures
        are treated as data: those of changed records are invalid until the zone is signed again.

        Raises:
            UsageError: the zone could not be served, or the serial number is not ahead.
        """
        changes = self._overlay.changes()
        if changes or not (serial is None or callable(serial)):
            self._advance(serial)
            changes = self._overlay.changes()
        if not changes:
            return self._zone, difference_of(self._zone, self._zone, {})
        zone, names = make_next(self._zone, changes)
        problems = list(find_problems(zone, names))
        if problems:
            raise UsageError("; ".join(problems))
        return zone, difference_of(self._zone, zone, changes)

    def _owner(self, name: str) -> Name:
        """Return the owner in wire form."""
        origin = self._zone.origin
        try:
            owner = origin if name == "@" else from_text(name, origin)
        except DecodeError as error:
            raise UsageError(f"{name!r} is not a domain name: {error}") from None
        if not is_subdomain(owner, origin):
            raise UsageError(
                f"{to_text(owner)} is outside the zone {to_text(origin)}; leave the dot off its "
                "end if the name is meant to be relative"
            )
        return owner

    def _check(self, record: object, owner: Name) -> None:
        """Refuse a record that cannot be in the zone at this name."""
        if not isinstance(record, Record):
            found = type(record).__name__
            raise UsageError(f"a record is {found}, expected one such as dns.A('192.0.2.1')")
        if iana.is_meta_type(record.rtype):
            raise UsageError(f"{record.type} records are never in a zone (RFC 6895 §3.1)")
        if record.rclass not in (None, self._zone.rclass):
            zone_class = iana.class_text(self._zone.rclass)
            raise UsageError(f"{record!r} does not have the zone's class, {zone_class}")
        if record.owner and key(record.owner) != key(owner):
            raise UsageError(f"{record!r} has another owner than {to_text(owner)}")

    def _clear(self, owner: Name, set_keys: set[int]) -> None:
        for set_key in set_keys:
            self._overlay.at(owner, set_key).rdatas.clear()

    def _advance(self, serial: int | Callable[[int], int] | None) -> None:
        """Give the SOA record a serial number that is ahead of the old one."""
        changed = self._overlay.at(self._zone.origin, iana.SOA)
        if len(changed.rdatas) != 1:
            text = to_text(self._zone.origin)
            count = len(changed.rdatas)
            raise UsageError(f"{text} has {count} SOA records, expected one (RFC 1035 §5.2)")
        (rdata,) = changed.rdatas.values()
        before, written = self._zone.serial, int.from_bytes(rdata[-20:-16], "big")
        if serial is None or callable(serial):
            chosen = advance if serial is None else serial
            serial = chosen(before) if written == before else written
        elif not _is_serial(serial):
            raise UsageError(f"serial is {serial!r}, expected 0 to {MAX_SERIAL}")
        if not is_newer(serial, before):
            raise UsageError(
                f"serial {serial} is not ahead of {before}, so no secondary would transfer the "
                f"zone (RFC 1982 §3.2); the next one is {advance(before)}"
            )
        rdata = rdata[:-20] + serial.to_bytes(4, "big") + rdata[-16:]
        changed.rdatas = {canonical_rdata(iana.SOA, rdata): rdata}


def _is_serial(given: object) -> bool:
    return isinstance(given, int) and 0 <= given <= MAX_SERIAL


def _canonical(record: Record) -> bytes:
    return canonical_rdata(record.rtype, record.rdata)


def _set_ttl(changed: ChangedSet, record: Record, ttl: int | None) -> None:
    wanted = record.ttl if ttl is None else check_ttl(ttl)
    if wanted is not None:
        changed.ttl = wanted
    elif changed.ttl < 0:
        changed.ttl = _DEFAULT_TTL
