"""What is dubious about the signatures and proofs of a zone.

Warnings, not errors: a validating resolver will reject some answers, and all others accept them.
Whether signatures are correct, or still valid today, is not checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.zone.node import Node
from pierhead.protocols.dns.zone.nsec import Nsec
from pierhead.protocols.dns.zone.nsec3 import MAX_ITERATIONS, read_parameters
from pierhead.protocols.dns.zone.zone import Zone, has_zone_key

__all__ = ["inspect"]

#: Message, remedy, and the name and type whose line is blamed.
Complaint: TypeAlias = tuple[str, str, Name, int]

#: RFC 4035 §2.2: at a delegation point, these are the zone's own and signed.
_SIGNED_AT_CUT = (iana.DS, iana.NSEC)


def inspect(zone: Zone) -> Iterator[Complaint]:
    """Yield what is wrong with a signed zone, each with a remedy; nothing for an unsigned one."""
    shown = name.to_text(zone.origin)
    if not zone.is_signed:
        yield from _inspect_unsigned(zone, shown)
        return
    parameters = zone.apex.sets.get(iana.NSEC3PARAM)
    most = max(read_parameters(rdata)[0] for rdata in parameters.rdatas) if parameters else 0
    if most:
        worse = (
            f"more than {MAX_ITERATIONS} are not served"
            if most > MAX_ITERATIONS
            else "resolvers may treat the zone as unsigned"
        )
        yield (
            f"the NSEC3 records of {shown} use {most} iterations; {worse} (RFC 9276 §3.1)",
            "sign with 0 iterations and no salt",
            zone.key,
            iana.NSEC3PARAM,
        )
    if zone.denial is None:
        yield (
            f"{shown} is signed, but has no complete chain of NSEC or NSEC3 records; "
            "it cannot prove that names do not exist (RFC 4035 §2.3)",
            "sign the zone again",
            zone.key,
            iana.DNSKEY,
        )
    yield from _inspect_nodes(zone)


def _inspect_unsigned(zone: Zone, shown: str) -> Iterator[Complaint]:
    """Explain why a zone that looks signed is served as unsigned."""
    if has_zone_key(zone.apex):
        yield (
            f"{shown} has a DNSKEY record, but its SOA record has no signature; the zone is served "
            "as unsigned (RFC 4035 §2.2)",
            "sign the zone, or remove its DNSKEY records",
            zone.key,
            iana.DNSKEY,
        )
        return
    stray = {iana.RRSIG for node in zone.nodes.values() if node.signatures}
    stray |= {iana.NSEC for node in zone.nodes.values() if iana.NSEC in node.sets}
    stray |= {iana.NSEC3} if zone.hashed else set()
    if stray:
        texts = ", ".join(iana.type_text(rtype) for rtype in sorted(stray))
        yield (
            f"{shown} has {texts} records, but no DNSKEY record that may sign it; the zone is "
            "served as unsigned (RFC 4035 §2.1)",
            "sign the zone again, including its DNSKEY records; or remove these records",
            zone.key,
            iana.SOA,
        )


def _inspect_nodes(zone: Zone) -> Iterator[Complaint]:
    unsigned: list[tuple[Name, int]] = []
    unlinked: list[Name] = []
    by_nsec = isinstance(zone.denial, Nsec)
    for key, node in zone.nodes.items():
        if not node.sets or not node.is_chained:
            continue
        missing = _find_unsigned(node)
        if missing is not None:
            unsigned.append((key, missing))
        if by_nsec and iana.NSEC not in node.sets:
            unlinked.append(key)
    if unsigned:
        key, missing = unsigned[0]
        first = f"{name.to_text(key)} {iana.type_text(missing)}"
        yield (
            f"{len(unsigned)} names have records without signature, the first is {first} "
            "(RFC 4035 §2.2)",
            "sign the zone again",
            key,
            missing,
        )
    if unlinked:
        key = unlinked[0]
        yield (
            f"{len(unlinked)} names have no NSEC record, the first is {name.to_text(key)} "
            "(RFC 4035 §2.3)",
            "sign the zone again",
            key,
            iana.NSEC,
        )


def _find_unsigned(node: Node) -> int | None:
    """Return the type of a set without a signature; None if there is none."""
    own = _SIGNED_AT_CUT if node.cut is node else node.sets
    for rtype in own:
        if rtype in node.sets and rtype not in node.signatures:
            return rtype
    return None
