"""The next snapshot of a zone: what has not changed is the same object in both.

The table of names is copied, which costs some ten nanoseconds for each name; nodes and sets are
shared. More is done only where it must be:

    a name loses its last record        one pass, to see what is still below it
    NS or DNAME records come or go      the names below get nodes of their own, which know the cut
    the chain of NSEC or NSEC3 changes  it is sorted again
"""

from __future__ import annotations

from collections.abc import Iterable

from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.name import parent
from pierhead.protocols.dns.wire.rrset import Name, RRset
from pierhead.protocols.dns.zone.builder import COVERED_SHIFT, SetKey
from pierhead.protocols.dns.zone.node import Node
from pierhead.protocols.dns.zone.overlay import Changes, is_of_nsec3
from pierhead.protocols.dns.zone.zone import Zone, cuts, mark_cuts

__all__ = ["make_next"]


def make_next(zone: Zone, changes: Changes) -> tuple[Zone, set[Name]]:
    """Return the zone with these changes, and the names whose nodes are new.

    The SOA record must still be there; all else is for the caller to check.
    """
    nodes, hashed = dict(zone.nodes), zone.hashed
    fresh: set[Name] = set()
    for key, sets in changes.items():
        named = {k: s for k, s in sets.items() if not is_of_nsec3(k)}
        if named:
            nodes[key] = _changed(nodes.get(key), named)
            fresh.add(key)
            if key != zone.key:
                fresh |= _add_parents(key, nodes)
        if len(named) < len(sets):
            hashed = dict(hashed)
            proofs = {k: s for k, s in sets.items() if is_of_nsec3(k)}
            hashed[key] = _changed(hashed.get(key), proofs)
            if _is_empty(hashed[key]):
                del hashed[key]
    _drop_empty(zone.key, nodes, [key for key in fresh if _is_empty(nodes[key])])
    fresh |= _renew_below(zone, nodes, fresh)
    mark_cuts(zone.key, nodes, fresh & nodes.keys())
    shared = zone.denial if _keeps_chain(zone, nodes, fresh) and hashed is zone.hashed else None
    soa = nodes[zone.key].sets[iana.SOA]
    return Zone(soa, nodes, hashed, is_marked=True, denial=shared), fresh & nodes.keys()


def _changed(node: Node | None, sets: dict[SetKey, RRset | None]) -> Node:
    """Return a node like this one with some of its sets replaced."""
    kept = dict(node.sets) if node is not None else {}
    signatures = dict(node.signatures) if node is not None else {}
    for set_key, rrset in sets.items():
        covered = set_key >> COVERED_SHIFT
        place, rtype = (signatures, covered) if covered else (kept, set_key)
        if rrset is None:
            place.pop(rtype, None)
        else:
            place[rtype] = rrset
    return Node(kept, signatures)


def _is_empty(node: Node) -> bool:
    return not (node.sets or node.signatures)


def _add_parents(key: Name, nodes: dict[Name, Node]) -> set[Name]:
    """Add the empty non-terminals above a name; return them."""
    added: set[Name] = set()
    above = parent(key)
    # The apex is there, and above every name of the zone.
    while above not in nodes:
        nodes[above] = Node({}, {})
        added.add(above)
        above = parent(above)
    return added


def _drop_empty(apex: Name, nodes: dict[Name, Node], emptied: list[Name]) -> None:
    """Remove names without records and without names below, and what that leaves above them."""
    below: dict[Name, int] = {}
    for key in emptied:
        while key != apex and key not in below:
            below[key] = 0
            key = parent(key)
    if not below:
        return
    for key in nodes:
        above = parent(key)
        if above in below:
            below[above] += 1
    for key in sorted(below, key=len, reverse=True):
        if not below[key] and _is_empty(nodes[key]):
            del nodes[key]
            above = parent(key)
            if above in below:
                below[above] -= 1


def _renew_below(zone: Zone, nodes: dict[Name, Node], changed: Iterable[Name]) -> set[Name]:
    """Give nodes of their own to the names below those that begin or cease to cut; return them."""
    apex = zone.key
    roots = {
        key
        for key in changed
        for node in (zone.nodes.get(key), nodes.get(key))
        if node is not None and cuts(key, node, apex)
    }
    if not roots:
        return set()
    renewed = {key for key in nodes if key not in changed and _is_below(key, roots, apex)}
    for key in renewed:
        nodes[key] = Node(nodes[key].sets, nodes[key].signatures)
    return renewed


def _is_below(key: Name, roots: set[Name], apex: Name) -> bool:
    while key != apex:
        key = parent(key)
        if key in roots:
            return True
    return False


def _keeps_chain(zone: Zone, nodes: dict[Name, Node], fresh: set[Name]) -> bool:
    """Tell whether every link of the chain is as it was."""
    parameters = [n.sets.get(iana.NSEC3PARAM) for n in (zone.apex, nodes[zone.key])]
    return parameters[0] is parameters[1] and all(
        _link(zone.nodes.get(key)) == _link(nodes.get(key)) for key in fresh
    )


def _link(node: Node | None) -> tuple[RRset, RRset | None] | None:
    """Return what a chain of NSEC records has of a name; sets are equal if they are the same."""
    if node is None or iana.NSEC not in node.sets or not node.is_chained:
        return None
    return node.sets[iana.NSEC], node.signatures.get(iana.NSEC)
