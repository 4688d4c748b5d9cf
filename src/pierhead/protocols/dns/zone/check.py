"""What must hold between the records of a zone, checked before it is built.

Errors are what answers cannot be right with; what is merely unwise is a warning, as it is in
named-checkzone and nsd-checkzone.
"""

from __future__ import annotations

from collections.abc import Set

from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.zone.draft import OWNER, PLACE, RDATAS, Draft, DraftSet, SetKey
from pierhead.protocols.dns.zone.faults import Faults

__all__ = ["check"]

_SIG, _KEY, _NXT = 24, 25, 30
#: RFC 4034 §3 and §4, RFC 4035 §2.5: what may stand beside a CNAME.
_BESIDE_CNAME = frozenset({iana.CNAME, iana.NSEC, _SIG, _KEY, _NXT})
#: A message has 65,535 octets; header, question and OPT record leave this for one set.
_MAX_SET = 65535 - 12 - 255 - 4 - 11


def check(draft: Draft, faults: Faults, broken: Set[int]) -> None:
    """Add a fault for each rule that the records of a zone break together.

    ``broken`` has the types of records that were there but had a fault of their own.
    """
    apex = name.key(draft.origin)
    _check_apex(draft, draft.nodes[apex], faults, broken)
    dnames: list[Name] = []
    for key, sets in draft.nodes.items():
        if iana.CNAME in sets and len(sets) > 1:
            _check_alias(sets, faults)
        if iana.DNAME in sets:
            dnames.append(key)
            if iana.NS in sets and key != apex:
                _refuse_delegated_dname(sets, faults)
        if iana.NS in sets:
            _check_name_servers(draft, key, sets[iana.NS], faults)
        if iana.SOA in sets and key != apex:
            _refuse_stray_soa(draft, sets[iana.SOA], faults)
        for set_key, rrset in sets.items():
            if len(rrset) > _MANY:
                _check_size(set_key, rrset, faults)
    if dnames:
        _check_below(draft, frozenset(dnames), faults)


#: Sets of fewer fields than this are not measured: one RDATA has its own limit.
_MANY = RDATAS + 1


def _check_apex(
    draft: Draft, sets: dict[SetKey, DraftSet], faults: Faults, broken: Set[int]
) -> None:
    origin = name.to_text(draft.origin)
    if iana.SOA not in sets and iana.SOA not in broken:
        faults.whole(
            f"the zone {origin} has no SOA record (RFC 1035 §5.2)",
            f"begin it with: {origin} 3600 SOA primary. mailbox. 1 7200 900 1209600 300",
            "soa",
        )
    if iana.SOA in sets and iana.NS not in sets and iana.NS not in broken:
        faults.error(
            sets[iana.SOA][PLACE],
            f"the zone {origin} has no NS records at its top (RFC 1034 §4.2.1)",
            f"add at least one, as in: {origin} 3600 NS ns1.{origin.removeprefix('.')}",
            "ns",
        )
    if iana.DS in sets:
        faults.error(
            sets[iana.DS][PLACE],
            "a DS record stands at the top of the zone (RFC 4035 §2.4)",
            "move it into the parent's zone, beside the delegation",
            "ds",
        )


def _check_alias(sets: dict[SetKey, DraftSet], faults: Faults) -> None:
    others = [key for key in sets if key not in _BESIDE_CNAME and key <= 0xFFFF]
    if not others:
        return
    alias = sets[iana.CNAME]
    texts = ", ".join(iana.type_text(key) for key in others)
    faults.error(
        max(alias[PLACE], *(sets[key][PLACE] for key in others)),
        f"{name.to_text(alias[OWNER])} has a CNAME and also {texts} records; "
        "a CNAME must be alone (RFC 1034 §3.6.2)",
        "remove the CNAME or the other records",
        "cname",
    )


def _refuse_delegated_dname(sets: dict[SetKey, DraftSet], faults: Faults) -> None:
    dname = sets[iana.DNAME]
    faults.error(
        dname[PLACE],
        f"{name.to_text(dname[OWNER])} has a DNAME and is delegated by NS records (RFC 6672 §2.3)",
        "put the DNAME into the delegated zone",
        "dname",
    )


def _refuse_stray_soa(draft: Draft, soa: DraftSet, faults: Faults) -> None:
    faults.error(
        soa[PLACE],
        f"{name.to_text(soa[OWNER])} has an SOA record but the zone is "
        f"{name.to_text(draft.origin)}",
        "a zone of its own belongs into its own file; check also for a missing dot at the end",
        "soa",
    )


def _check_name_servers(draft: Draft, key: Name, servers: DraftSet, faults: Faults) -> None:
    if key.startswith(b"\x01*"):
        # "Discouraged, but not barred": the names it stands for are not delegated.
        faults.warning(
            servers[PLACE],
            f"{name.to_text(servers[OWNER])} has NS records, which delegate no name that a "
            "wildcard stands for (RFC 4592 §4.2)",
            "delegate each name by itself",
            "ns",
        )
    for target in servers[RDATAS:]:
        sets = draft.nodes.get(target.lower())
        if sets is None:
            if name.is_subdomain(target, draft.origin) and not _is_delegated(draft, target, key):
                _warn_of_server(servers, target, faults)
        elif iana.A not in sets and iana.AAAA not in sets:
            _warn_of_server(servers, target, faults, alias=iana.CNAME in sets)


def _warn_of_server(
    servers: DraftSet, target: Name, faults: Faults, *, alias: bool = False
) -> None:
    shown = name.to_text(target)
    server = f"the name server {shown} of {name.to_text(servers[OWNER])}"
    if alias:
        faults.warning(
            servers[PLACE],
            f"{server} is an alias (RFC 2181 §10.3)",
            "name the server by the name that has its addresses",
            "ns",
        )
    else:
        faults.warning(
            servers[PLACE],
            f"{server} has no address in this zone",
            f"add an A or AAAA record for {shown}",
            "glue",
        )


def _is_delegated(draft: Draft, target: Name, cut: Name) -> bool:
    """Tell whether another delegation than ``cut`` is responsible for a name."""
    apex, key = name.key(draft.origin), name.key(target)
    while key != apex:
        if key != cut and iana.NS in draft.nodes.get(key, ()):
            return True
        key = name.parent(key)
    return False


def _check_size(set_key: SetKey, rrset: DraftSet, faults: Faults) -> None:
    # Each record costs its RDATA and a compressed owner, type, class, TTL and length.
    size = sum(len(rdata) + 12 for rdata in rrset[RDATAS:])
    if size > _MAX_SET:
        faults.error(
            rrset[PLACE],
            f"the {iana.type_text(set_key & 0xFFFF)} records of {name.to_text(rrset[OWNER])} are "
            f"{size} octets, which no message can carry (at most {_MAX_SET})",
            "spread them over several names",
            "size",
        )


def _check_below(draft: Draft, dnames: frozenset[Name], faults: Faults) -> None:
    apex = name.key(draft.origin)
    for key, sets in draft.nodes.items():
        if not sets or key == apex:
            continue
        above = key
        while above != apex:
            above = name.parent(above)
            if above in dnames:
                first = min(sets.values(), key=lambda rrset: int(rrset[PLACE]))
                faults.error(
                    first[PLACE],
                    f"{name.to_text(first[OWNER])} lies below the DNAME of "
                    f"{name.to_text(above)} and can never be answered (RFC 6672 §2.4)",
                    "remove the record or the DNAME",
                    "dname",
                )
                break
