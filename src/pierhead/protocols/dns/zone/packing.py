"""Zones and differences as octets, to be stored: shorter than text, and read ten times as fast.

zone         record record …                    in any order
difference   count record …   count record …    deleted, added
record       length of owner, owner, type, class, TTL, length of RDATA, RDATA
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from struct import Struct
from struct import error as StructError

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.canonical import canonical_rdata, names_problem
from pierhead.protocols.dns.wire.name import MAX_LABEL, MAX_NAME, is_subdomain, key
from pierhead.protocols.dns.wire.record import Record
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.zone.builder import ZoneBuilder
from pierhead.protocols.dns.zone.difference import Difference
from pierhead.protocols.dns.zone.faults import Faults
from pierhead.protocols.dns.zone.zone import Zone

__all__ = ["digest", "pack_difference", "pack_zone", "unpack_difference", "unpack_zone"]

_FIXED = Struct("!HHIH")
_COUNT = Struct("!I")


def digest(zone: Zone) -> bytes:
    """Return what two zones have in common only if they have the same records (RFC 4034 §6.2)."""
    hashed = sha256()
    lines = sorted(
        _pack(key(rrset.owner), rrset.rtype, rrset.rclass, rrset.ttl, canonical)
        for rrset in zone.rrsets()
        for canonical in (canonical_rdata(rrset.rtype, rdata) for rdata in rrset.rdatas)
    )
    for line in lines:
        hashed.update(line)
    return hashed.digest()


def pack_zone(zone: Zone) -> bytes:
    """Return the records of a zone as octets."""
    return b"".join(
        _pack(rrset.owner, rrset.rtype, rrset.rclass, rrset.ttl, rdata)
        for rrset in zone.rrsets()
        for rdata in rrset.rdatas
    )


def unpack_zone(origin: Name, octets: bytes) -> Zone:
    """Return the zone of these records.

    Raises:
        DecodeError: they are not what `pack_zone` returns.
    """
    records, end = _unpack(octets, 0, None)
    if not records or records[0].rtype != iana.SOA or key(records[0].owner) != key(origin):
        raise DecodeError("a stored zone does not begin with its SOA record", end)
    faults = Faults()
    place = faults.open_file("a stored zone", b"")
    builder = ZoneBuilder(origin, records[0].rclass or iana.CLASS_IN, faults)
    for record in records:
        builder.add(record.owner, record.rtype, record.ttl or 0, record.rdata, place)
    if faults.count:
        raise DecodeError("a stored zone has records that do not belong to it", end)
    zone = builder.build()
    zone.warnings = ()
    return zone


def pack_difference(difference: Difference) -> bytes:
    """Return the records of a difference as octets."""
    return b"".join(
        _COUNT.pack(len(records)) + _pack_records(records)
        for records in (difference.deleted, difference.added)
    )


def unpack_difference(origin: Name, old_serial: int, new_serial: int, octets: bytes) -> Difference:
    """Return the difference with these records.

    Raises:
        DecodeError: they are not what `pack_difference` returns.
    """
    sections = []
    position = 0
    for _ in range(2):
        if position + _COUNT.size > len(octets):
            raise DecodeError("a stored difference ends too early", position)
        (count,) = _COUNT.unpack_from(octets, position)
        records, position = _unpack(octets, position + _COUNT.size, count)
        if not all(is_subdomain(record.owner, origin) for record in records):
            raise DecodeError("a stored difference has records outside its zone", position)
        sections.append(tuple(records))
    if position != len(octets):
        raise DecodeError("a stored difference is too long", position)
    return Difference(origin, old_serial, new_serial, *sections)


def _pack_records(records: Iterable[Record]) -> bytes:
    return b"".join(
        _pack(one.owner, one.rtype, one.rclass or iana.CLASS_IN, one.ttl or 0, one.rdata)
        for one in records
    )


def _pack(owner: Name, rtype: int, rclass: int, ttl: int, rdata: bytes) -> bytes:
    fixed = _FIXED.pack(rtype, rclass, ttl, len(rdata))
    return b"%c%b%b%b" % (len(owner), owner, fixed, rdata)


def _unpack(octets: bytes, position: int, count: int | None) -> tuple[list[Record], int]:
    """Return so many records, or all, and where they end."""
    records: list[Record] = []
    size = len(octets)
    try:
        while position < size if count is None else len(records) < count:
            end = position + 1 + octets[position]
            owner = octets[position + 1 : end]
            rtype, rclass, ttl, length = _FIXED.unpack_from(octets, end)
            start = end + _FIXED.size
            position = start + length
            if position > size:
                raise DecodeError("a stored record ends too early", start)
            rdata = octets[start:position]
            if not _is_name(owner) or names_problem(rtype, rdata):
                raise DecodeError("a stored record has an invalid name", start)
            records.append(Record.trusted(owner, rtype, rclass, ttl, rdata))
    except (IndexError, StructError):
        raise DecodeError("a stored record ends too early", position) from None
    return records, position


def _is_name(owner: Name) -> bool:
    """Tell whether an owner is a name: what walks up the tree relies on it, and would not end."""
    position = 0
    last = len(owner) - 1
    while position < last:
        length = owner[position]
        if not 0 < length <= MAX_LABEL:
            return False
        position += 1 + length
    return position == last < MAX_NAME and not owner[last]
