"""Whether the names that records point to have the expected records; only warnings.

    in the zone, or given by a wildcard       checked while the zone is read
    in another zone, or below a delegation    kept as `Reference`; `inspect_references` asks the
                                              zones that were read together

Names outside all these zones are not checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from pierhead.errors import Fault
from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.zone.additional import ADDRESSES, wanted
from pierhead.protocols.dns.zone.builder import (
    OWNER,
    RDATAS,
    RawSet,
    SetKey,
    ZoneBuilder,
    place_of,
)
from pierhead.protocols.dns.zone.faults import Faults, Place
from pierhead.protocols.dns.zone.node import Node
from pierhead.protocols.dns.zone.zone import Zones

__all__ = ["LEADING", "Reference", "Targets", "inspect_references"]

#: Types to check: those whose names are useful only with addresses or SRV records.
LEADING: Final = frozenset([iana.NS, iana.MX, iana.SRV, iana.SVCB, iana.HTTPS, iana.NAPTR])

#: Types whose name must not be an alias, and the rule that says so.
_NO_ALIAS = {iana.NS: "RFC 2181 §10.3", iana.MX: "RFC 2181 §10.3", iana.SRV: "RFC 2782"}
_ROLES = {iana.NS: "name server", iana.MX: "mail exchange"}
_Sets: TypeAlias = Mapping[SetKey, object]
#: Message, remedy and code.
_Complaint: TypeAlias = tuple[str, str, str]


class Lead(NamedTuple):
    """A record that points to a name, and what is expected there.

    Attributes:
        owner: the owner of the record.
        rtype: the type of the record.
        target: the name, in lower case.
        types: the name should have one of these.
    """

    owner: Name
    rtype: int
    target: Name
    types: tuple[int, ...]


class Reference(NamedTuple):
    """The first record of a zone that points to a name which another zone may have.

    Attributes:
        lead: where it points.
        place: where it was written, in the files of ``faults``.
        faults: knows those files.
    """

    lead: Lead
    place: Place
    faults: Faults


class Targets:
    """The names that the records of one zone builder point to.

    Args:
        builder: the records.
        faults: where warnings go.
        references: collects names that other zones must answer for; None discards them.

    Attributes:
        good: by type, data found correct whatever its owner: many hosts share one mail exchange.
    """

    def __init__(
        self, builder: ZoneBuilder, faults: Faults, references: list[Reference] | None
    ) -> None:
        self._nodes: Mapping[Name, _Sets] = builder.nodes
        self._apex = name.key(builder.origin)
        self._faults = faults
        self._references = references
        self._seen: set[tuple[Name, int]] = set()
        self.good: dict[int, set[bytes]] = {rtype: set() for rtype in LEADING}

    def check(self, key: Name, rtype: int, rrset: RawSet) -> None:
        """Warn about each name in a set that lacks expected records; ``key`` is the owner's."""
        good = self.good[rtype]
        for index, rdata in enumerate(rrset[RDATAS:]):
            for found, types in wanted(rtype, rdata, rrset[OWNER]):
                target = found.lower()
                sets = self._nodes.get(target)
                if sets is not None and any(each in sets for each in types):
                    if found is not rrset[OWNER]:
                        good.add(rdata)
                else:
                    lead = Lead(rrset[OWNER], rtype, target, types)
                    self._check(key, lead, place_of(rrset, index))

    def _check(self, owner: Name, lead: Lead, place: Place) -> None:
        target = lead.target
        if len(self._apex) > 1 and target.endswith(self._apex[:-1] + self._apex):
            return  # a dot is missing, which `twice` reports; an address would not help
        if target == name.ROOT:
            return  # RFC 2782, RFC 7505, RFC 9460 §2.5.1: "no such service"
        rules = self._ruler(owner)
        if rules is not None and (lead.rtype != iana.NS or rules != owner):
            return  # never returned in an answer
        cut = self._ruler(target) if name.is_subdomain(target, self._apex) else target
        if cut is None:
            self._judge(lead, place, self._stand_in(target))
        elif cut == owner and lead.rtype == iana.NS:
            self._judge(lead, place, self._nodes.get(target))
        elif iana.DNAME in self._nodes.get(cut, ()):
            self._warn(place, _complain_of_alias(lead))
        elif self._references is not None and (target, lead.rtype) not in self._seen:
            self._seen.add((target, lead.rtype))
            self._references.append(Reference(lead, place, self._faults))

    def _judge(self, lead: Lead, place: Place, sets: _Sets | None) -> None:
        self._warn(place, _complain(lead, sets, "this zone"))

    def _warn(self, place: Place, complaint: _Complaint | None) -> None:
        if complaint is not None:
            self._faults.warning(place, *complaint)

    def _ruler(self, key: Name) -> Name | None:
        """Return the topmost delegation at or above a name, or DNAME above it; None if none."""
        nodes = self._nodes
        found: Name | None = None
        below = True
        while True:
            sets = nodes.get(key, ())
            if (iana.NS in sets and key != self._apex) or (iana.DNAME in sets and not below):
                found = key
            if key == self._apex:
                return found
            key, below = name.parent(key), False

    def _stand_in(self, key: Name) -> _Sets | None:
        """Return the sets that apply to a name under no delegation or DNAME."""
        nodes = self._nodes
        sets = nodes.get(key)
        while sets is None and key != self._apex:
            key = name.parent(key)
            if key in nodes:
                return nodes.get(b"\x01*" + key)
        return sets


def inspect_references(zones: Zones, references: Iterable[Reference]) -> Iterator[Fault]:
    """Yield a warning for each reference to a name in these zones without expected records."""
    for lead, place, faults in references:
        zone = zones.find(lead.target)
        if zone is None:
            continue
        node = zone.stand_in(lead.target)
        if node.cut is not None if node is not None else _is_ruled(zone.nodes, lead.target):
            continue
        shown = f"the zone {name.to_text(zone.origin)}"
        complaint = _complain(lead, None if node is None else node.sets, shown)
        if complaint is not None:
            yield faults.locate(place, *complaint)


def _is_ruled(nodes: Mapping[Name, Node], key: Name) -> bool:
    """Tell whether a name that a zone does not have lies below a delegation or a DNAME."""
    while key not in nodes:
        key = name.parent(key)
    return nodes[key].cut is not None or iana.DNAME in nodes[key].sets


def _complain(lead: Lead, sets: _Sets | None, where: str) -> _Complaint | None:
    """Describe what is wrong with a name's records, None if nothing is."""
    if sets is not None and any(each in sets for each in lead.types):
        return None
    if sets is not None and iana.CNAME in sets:
        return _complain_of_alias(lead)
    hosts = ADDRESSES[0] in lead.types
    what = "address" if hosts else f"{iana.type_text(lead.types[0])} record"
    added = "an A or AAAA record" if hosts else f"an {what}"
    return (
        f"{_shown(lead)} has no {what} in {where}",
        f"add {added} for {name.to_text(lead.target)}, or remove the "
        f"{iana.type_text(lead.rtype)} record",
        "glue" if lead.rtype == iana.NS else "target",
    )


def _complain_of_alias(lead: Lead) -> _Complaint | None:
    rule = _NO_ALIAS.get(lead.rtype)
    if rule is None:
        return None
    role = "server" if lead.rtype == iana.NS else "host"
    return (
        f"{_shown(lead)} is an alias ({rule})",
        f"use the name of the {role} that has its addresses",
        "alias",
    )


def _shown(lead: Lead) -> str:
    role = _ROLES.get(lead.rtype) or f"{iana.type_text(lead.rtype)} target"
    return f"the {role} {name.to_text(lead.target)} of {name.to_text(lead.owner)}"
