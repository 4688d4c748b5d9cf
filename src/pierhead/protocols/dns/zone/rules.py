"""The rules for each name of a changed zone; for files, `check` reports them by line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.name import parent, to_text
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.zone.builder import SINGLETONS
from pierhead.protocols.dns.zone.check import BESIDE_CNAME, fits
from pierhead.protocols.dns.zone.node import Node
from pierhead.protocols.dns.zone.zone import Zone

__all__ = ["find_problems"]


def find_problems(zone: Zone, names: Iterable[Name]) -> Iterator[str]:
    """Yield what is wrong at these names, which are in lower case, and at the apex."""
    if iana.NS not in zone.apex.sets:
        yield f"{to_text(zone.origin)} has no NS records left (RFC 1034 §4.2.1)"
    if iana.DS in zone.apex.sets:
        yield f"{to_text(zone.origin)} has a DS record, which belongs to its parent (RFC 4035 §2.4)"
    for name in sorted(names):
        node = zone.nodes[name]
        if node.sets or node.signatures:
            yield from _at(zone, name, node)


def _at(zone: Zone, name: Name, node: Node) -> Iterator[str]:
    text, sets = to_text(name), node.sets
    for rtype, rule in SINGLETONS.items():
        if rtype in sets and len(sets[rtype].rdatas) > 1:
            count = len(sets[rtype].rdatas)
            yield f"{text} has {count} {iana.type_text(rtype)} records, expected one ({rule})"
    others = [iana.type_text(rtype) for rtype in sets if rtype not in BESIDE_CNAME]
    if iana.CNAME in sets and others:
        yield f"{text} has a CNAME and also {', '.join(others)} records (RFC 1034 §3.6.2)"
    if name != zone.key and iana.SOA in sets:
        yield f"{text} has an SOA record, but is not the zone's own name (RFC 1035 §5.2)"
    if name != zone.key and iana.DNAME in sets and iana.NS in sets:
        yield f"{text} has a DNAME record but is delegated by NS records (RFC 6672 §2.3)"
    above = name
    while above != zone.key:
        above = parent(above)
        if iana.DNAME in zone.nodes[above].sets:
            yield f"{text} lies below the DNAME of {to_text(above)} (RFC 6672 §2.4)"
            break
    for rrset in (*sets.values(), *node.signatures.values()):
        if not fits(rrset.owner, rrset.rtype, rrset.ttl, rrset.rdatas):
            kind = iana.type_text(rrset.rtype)
            yield f"the {kind} records of {text} are more than one message can carry"
