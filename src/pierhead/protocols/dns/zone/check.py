"""Consistency rules between the records of a zone, checked before it is built.

An error is anything that makes answers wrong; what is merely unwise is a warning, as in
named-checkzone and nsd-checkzone.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.canonical import unique_rdatas
from pierhead.protocols.dns.wire.encode import MAX_MESSAGE, encode_reply
from pierhead.protocols.dns.wire.message import Reply
from pierhead.protocols.dns.wire.query import build_query, parse_query
from pierhead.protocols.dns.wire.rrset import Name, RRset
from pierhead.protocols.dns.zone.builder import (
    OWNER,
    RDATAS,
    TTL,
    RawSet,
    SetKey,
    ZoneBuilder,
    place_of,
)
from pierhead.protocols.dns.zone.faults import Faults
from pierhead.protocols.dns.zone.known_values import association_problem
from pierhead.protocols.dns.zone.targets import LEADING, Reference, Targets
from pierhead.protocols.dns.zone.twice import NAMING, check_owner, check_rdata

__all__ = ["BESIDE_CNAME", "check", "fits"]

_SIG, _KEY, _NXT = 24, 25, 30
#: RFC 4034 §3 and §4, RFC 4035 §2.5: types allowed beside a CNAME.
BESIDE_CNAME = frozenset({iana.CNAME, iana.NSEC, _SIG, _KEY, _NXT})
#: A set of this many octets fits whatever its owner: the rest is header, question and OPT.
_MAX_SURE = MAX_MESSAGE - 12 - 255 - 4 - 11
#: The TC bit, in the third octet of a message.
_TRUNCATED = 0x02


def check(
    builder: ZoneBuilder,
    faults: Faults,
    broken: Set[int],
    references: list[Reference] | None = None,
) -> None:
    """Add a fault for each rule that the records of a zone, taken together, break.

    Args:
        builder: the records.
        faults: collects the faults.
        broken: types of records that were present but had a fault of their own.
        references: collects the names in other zones that records point to.
    """
    apex = name.key(builder.origin)
    _check_apex(builder, builder.nodes[apex], faults, broken)
    dnames: list[Name] = []
    targets = Targets(builder, faults, references)
    good = targets.good
    twice = apex[:-1] + apex if len(apex) > 1 else b""
    for key, sets in builder.nodes.items():
        if iana.CNAME in sets and len(sets) > 1:
            _check_alias(sets, faults)
        if iana.DNAME in sets:
            dnames.append(key)
            if iana.NS in sets and key != apex:
                _refuse_delegated_dname(sets, faults)
        if iana.NS in sets and key.startswith(b"\x01*"):
            _warn_of_wildcard(sets[iana.NS], faults)
        if iana.SOA in sets and key != apex:
            _refuse_stray_soa(builder, sets[iana.SOA], faults)
        for set_key in _ASSOCIATIONS & sets.keys():
            _warn_of_associations(set_key, sets[set_key], faults)
        if twice and sets and key.endswith(twice):
            check_owner(builder.origin, sets, faults)
        for set_key, rrset in sets.items():
            if len(rrset) > _MANY:
                _check_size(set_key, rrset, faults)
            elif set_key not in _NAMED or rrset[RDATAS] in good.get(set_key, ()):
                continue
            if set_key in LEADING:
                targets.check(key, set_key, rrset)
            if twice and set_key in NAMING:
                check_rdata(builder.origin, twice, set_key, rrset, faults)
    if dnames:
        _check_below(builder, frozenset(dnames), faults)


#: Certificate associations: RFC 6698 and RFC 8162.
_ASSOCIATIONS = frozenset({iana.type_number("TLSA"), iana.type_number("SMIMEA")})
#: Types whose data contains names to check.
_NAMED = LEADING | NAMING
#: Sets with fewer fields than this are not measured: one RDATA has its own limit.
_MANY = RDATAS + 1


def _check_apex(
    builder: ZoneBuilder, sets: dict[SetKey, RawSet], faults: Faults, broken: Set[int]
) -> None:
    origin = name.to_text(builder.origin)
    if iana.SOA not in sets and iana.SOA not in broken:
        faults.whole(
            f"the zone {origin} has no SOA record (RFC 1035 §5.2)",
            f"begin it with: {origin} 3600 SOA primary. mailbox. 1 7200 900 1209600 300",
            "soa",
        )
    if iana.SOA in sets and iana.NS not in sets and iana.NS not in broken:
        faults.error(
            place_of(sets[iana.SOA]),
            f"the zone {origin} has no NS records at its top (RFC 1034 §4.2.1)",
            f"add at least one, as in: {origin} 3600 NS ns1.{origin.removeprefix('.')}",
            "ns",
        )
    if iana.DS in sets:
        faults.error(
            place_of(sets[iana.DS]),
            "a DS record stands at the top of the zone (RFC 4035 §2.4)",
            "move it into the parent zone, beside the delegation",
            "ds",
        )


def _check_alias(sets: dict[SetKey, RawSet], faults: Faults) -> None:
    others = [key for key in sets if key not in BESIDE_CNAME and key <= 0xFFFF]
    if not others:
        return
    alias = sets[iana.CNAME]
    texts = ", ".join(iana.type_text(key) for key in others)
    faults.error(
        max(place_of(alias), *(place_of(sets[key]) for key in others)),
        f"{name.to_text(alias[OWNER])} has a CNAME and also {texts} records; "
        "a CNAME must be alone (RFC 1034 §3.6.2)",
        "remove the CNAME or the other records",
        "cname",
    )


def _refuse_delegated_dname(sets: dict[SetKey, RawSet], faults: Faults) -> None:
    dname = sets[iana.DNAME]
    faults.error(
        place_of(dname),
        f"{name.to_text(dname[OWNER])} has a DNAME and is delegated by NS records (RFC 6672 §2.3)",
        "put the DNAME into the delegated zone",
        "dname",
    )


def _refuse_stray_soa(builder: ZoneBuilder, soa: RawSet, faults: Faults) -> None:
    faults.error(
        place_of(soa),
        f"{name.to_text(soa[OWNER])} has an SOA record but the zone is "
        f"{name.to_text(builder.origin)}",
        "a separate zone belongs in its own file; also check for a missing dot at the end",
        "soa",
    )


def _warn_of_wildcard(servers: RawSet, faults: Faults) -> None:
    # "Discouraged, but not barred": the names that match it are not delegated.
    faults.warning(
        place_of(servers),
        f"{name.to_text(servers[OWNER])} has NS records, which delegate no name that a "
        "wildcard stands for (RFC 4592 §4.2)",
        "delegate each name separately",
        "ns",
    )


def _warn_of_associations(set_key: SetKey, rrset: RawSet, faults: Faults) -> None:
    for rdata in rrset[RDATAS:]:
        problem = association_problem(rdata)
        if problem:
            faults.warning(
                place_of(rrset),
                f"a {iana.type_text(set_key)} record of {name.to_text(rrset[OWNER])} has a "
                f"{problem}: it matches no certificate",
                "make the digest anew: openssl x509 -outform DER | openssl sha256",
                "tlsa",
            )


def _check_size(set_key: SetKey, rrset: RawSet, faults: Faults) -> None:
    if not fits(rrset[OWNER], set_key & 0xFFFF, rrset[TTL], rrset[RDATAS:]):
        faults.error(
            place_of(rrset),
            f"the {iana.type_text(set_key & 0xFFFF)} records of {name.to_text(rrset[OWNER])}, "
            f"{len(rrset) - RDATAS} of them, are more than one message can carry "
            f"({MAX_MESSAGE} octets)",
            "distribute them over several names",
            "size",
        )


def fits(owner: Name, rtype: int, ttl: int, rdatas: Sequence[bytes]) -> bool:
    """Tell whether the answer with only this set fits a message.

    A large one is encoded to find out.
    """
    # Each record costs its RDATA and a compressed owner, type, class, TTL and length.
    if sum(len(rdata) + 12 for rdata in rdatas) <= _MAX_SURE:
        return True
    answer = RRset(owner, rtype, ttl, unique_rdatas(rtype, rdatas))
    query = parse_query(build_query(0, owner, rtype, edns=None))
    reply = Reply(query, iana.NOERROR, True, ((owner, answer),))
    return not encode_reply(reply, MAX_MESSAGE, 0)[2] & _TRUNCATED


def _check_below(builder: ZoneBuilder, dnames: frozenset[Name], faults: Faults) -> None:
    apex = name.key(builder.origin)
    for key, sets in builder.nodes.items():
        if not sets or key == apex:
            continue
        above = key
        while above != apex:
            above = name.parent(above)
            if above in dnames:
                first = min(sets.values(), key=place_of)
                faults.error(
                    place_of(first),
                    f"{name.to_text(first[OWNER])} lies below the DNAME of "
                    f"{name.to_text(above)} and can never be answered (RFC 6672 §2.4)",
                    "remove the record or the DNAME",
                    "dname",
                )
                break
