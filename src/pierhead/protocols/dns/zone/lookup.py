"""Answers from zones by the steps of RFC 1034 §4.3.2.

    2  the nearest zone                          none: REFUSED
    3a the whole name matches                    answer, CNAME, no such type
    3b a delegation is met                       referral with glue
    3c a label is missing: DNAME, wildcard       synthesis, or NXDOMAIN
    6  additional data

Empty non-terminals and wildcards as in RFC 4592, DNAME as in RFC 6672, negative answers as in RFC
2308, ANY as in RFC 8482, the RCODE of a chain as in RFC 6604; signatures and denial proofs, if
requested, as in RFC 4035 §3.1 and RFC 5155 §7.2. Pure; a call costs O(labels).
"""

from __future__ import annotations

from itertools import chain

from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.rrset import Name, RRset, Section
from pierhead.protocols.dns.zone.additional import ADDRESSES, wanted
from pierhead.protocols.dns.zone.denial import Denial, Link
from pierhead.protocols.dns.zone.node import Node
from pierhead.protocols.dns.zone.zone import Zone, Zones

__all__ = ["Found", "lookup"]

#: Aliases followed for one question, each a CNAME record that was found or synthesized; a ninth
#: ends the answer. RFC 1034 §3.6.2 requires a limit but does not set one: BIND has 11
#: (max-query-restarts), Knot 5, NSD 1 if a DNAME leads below itself; intended chains have three.
#: The upper bound: each name of such a chain is compressed with a pointer into the one before, and
#: dnspython reads no name with more than 16 pointers.
_MAX_CHAIN = 8


class Found:
    """What the zones say about one question.

    Attributes:
        rcode: response code, of the last name if CNAME records were followed.
        authoritative: whether the AA bit is set: the zone of the first name is ours.
        answer, authority: those sections.
        glue: addresses without which a referral is useless; if they do not fit, the answer is
        truncated (RFC 9471 §2).
        additional: addresses that may be omitted without truncation.
        steps: how the answer came about; empty unless asked for.
        made_by: the owner of the wildcard that a negative answer comes from; empty if there is
            none.
    """

    __slots__ = (
        "additional",
        "answer",
        "authoritative",
        "authority",
        "glue",
        "made_by",
        "rcode",
        "steps",
    )

    def __init__(
        self,
        rcode: int,
        authoritative: bool,
        answer: Section,
        authority: Section = (),
        glue: Section = (),
        additional: Section = (),
        steps: tuple[str, ...] = (),
        made_by: Name = b"",
    ) -> None:
        self.rcode = rcode
        self.authoritative = authoritative
        self.answer = answer
        self.authority = authority
        self.glue = glue
        self.additional = additional
        self.steps = steps
        self.made_by = made_by


def lookup(
    zones: Zones,
    qname: Name,
    qtype: int,
    qclass: int = iana.CLASS_IN,
    *,
    dnssec: bool = False,
    minimal: bool = True,
    trace: bool = False,
) -> Found:
    """Return the answer to one question.

    Args:
        zones: the zones served.
        qname: the name as asked; its letter case comes back in the answer.
        qtype: the queried type; AXFR and IXFR, which are commands, are not allowed.
        qclass: the class; ANY (255) gives the zone's, never authoritatively (RFC 1034 §4.3.2).
        dnssec: add the signatures and proofs of signed zones, as the DO bit requests.
        minimal: omit what is not needed: the NS set beside an answer, and addresses, except those
        of name servers asked for.
        trace: fill ``steps``.
    """
    key = qname.lower()
    zone = zones.find(key)
    if zone is None:
        return _refused(qname, trace)
    if minimal and not trace and qclass == zone.rclass:
        # The common case, found without building anything: name and type exist.
        node = zone.nodes.get(key)
        if node is not None and node.cut is None:
            rrset = node.sets.get(qtype)
            if rrset is not None and qtype != iana.NS:
                signatures = node.signatures.get(qtype) if dnssec and zone.is_signed else None
                if signatures is None:
                    return Found(iana.NOERROR, True, ((qname, rrset),))
                return Found(iana.NOERROR, True, ((qname, rrset), (qname, signatures)))
    if qclass not in (zone.rclass, iana.CLASS_ANY):
        return _refused(qname, trace)
    walk = _Walk(zones, _answering(zones, zone, key, qtype), qtype, dnssec, trace)
    walk.follow(qname)
    if not minimal:
        walk.add_courtesies()
    if qclass == iana.CLASS_ANY:
        # RFC 1034 §3.7.1: "responses to QCLASS=* queries can never be authoritative".
        walk.authoritative = False
    return walk.found()


def _answering(zones: Zones, zone: Zone, key: Name, qtype: int) -> Zone:
    """Return the zone that answers for a name: the nearest one, or its parent for DS."""
    if qtype == iana.DS and key == zone.key and len(key) > 1:
        # RFC 4035 §3.1.4.1: DS records at a cut belong to the parent, if we have it.
        parent = zones.find(name.parent(key))
        if parent is not None and parent.rclass == zone.rclass:
            return parent
    return zone


def _refused(qname: Name, trace: bool) -> Found:
    steps = (f"2: no zone here holds {name.to_text(qname)}",) if trace else ()
    return Found(iana.REFUSED, False, (), steps=steps)


class _Walk:
    """One question on its way through the zones; collects the sections."""

    def __init__(self, zones: Zones, zone: Zone, qtype: int, dnssec: bool, trace: bool) -> None:
        self.zones = zones
        self.zone = zone
        self.qtype = qtype
        self.dnssec = dnssec
        self.rcode = iana.NOERROR
        self.authoritative = True
        self.answer: list[tuple[Name, RRset]] = []
        self.authority: list[tuple[Name, RRset]] = []
        #: Keys only: one link may prove two things, and each alias of a chain has its own.
        self.proofs: dict[Link, None] = {}
        self.glue: list[tuple[Name, RRset]] = []
        self.additional: list[tuple[Name, RRset]] = []
        #: The last set of the answer that is not a signature, in the form of a section.
        self.last: tuple[Name, RRset] | None = None
        self.steps: list[str] | None = [] if trace else None
        self.made_by: Name = b""

    def found(self) -> Found:
        """Return what has been collected."""
        return Found(
            self.rcode,
            self.authoritative,
            tuple(self.answer),
            tuple(chain(self.authority, *self.proofs)),
            tuple(self.glue),
            tuple(self.additional),
            tuple(self.steps or ()),
            self.made_by,
        )

    def follow(self, qname: Name) -> None:
        """Answer for the name, then for each name that it is an alias of."""
        zone: Zone | None = self.zone
        seen: set[Name] = set()
        while zone is not None:
            self.zone = zone
            self._note("2: zone {}", zone.origin)
            seen.add(qname.lower())
            target = self._match(zone, qname)
            if target is None:
                return
            if target.lower() in seen or len(seen) > _MAX_CHAIN:
                self._note("3a: the chain of aliases ends at {}: a loop, or too long", target)
                return
            # 3a: "change QNAME to the canonical name in the CNAME RR, and go back to step 1".
            qname = target
            key = qname.lower()
            zone = self.zones.find(key)
            if zone is not None and zone.rclass != self.zone.rclass:
                zone = None
            if zone is not None:
                zone = _answering(self.zones, zone, key, self.qtype)
        self._note("2: the alias leads out of our zones, to {}", qname)

    def _match(self, zone: Zone, qname: Name) -> Name | None:
        """Do step 3 for one name; return the name to continue with, if it is an alias."""
        key = qname.lower()
        nodes = zone.nodes
        node = nodes.get(key)
        closest = key
        while node is None:
            closest = closest[closest[0] + 1 :]
            node = nodes.get(closest)
        cut = node.cut
        if cut is not None and iana.DNAME in cut.sets:
            return self._redirect(qname, cut)
        if cut is not None and not (cut is node and closest is key and self.qtype == iana.DS):
            self._refer(zone, cut, bool(self.answer))
            return None
        if closest is key:
            return self._exact(zone, qname, node)
        if iana.DNAME in node.sets:
            return self._redirect(qname, node)
        wildcard = nodes.get(b"\x01*" + closest)
        if wildcard is not None:
            self._note("3c: the wildcard below {} applies (RFC 4592 §3.3.1)", closest)
            return self._exact(zone, qname, wildcard, closest)
        self._note("3c: {} does not exist, nor a wildcard for it", qname)
        self.rcode = iana.NXDOMAIN
        self._deny(zone)
        if self._chain is not None:
            self._prove(self._chain.no_name(key, closest))
        return None

    def _exact(
        self, zone: Zone, qname: Name, node: Node, closest: Name | None = None
    ) -> Name | None:
        """Answer from the node of the name (3a), or the wildcard below ``closest`` (3c)."""
        matching = _matching(node, self.qtype)
        alias = None if matching else node.sets.get(iana.CNAME)
        if alias is None and not matching:
            self._note("3a: {} exists, without records of this type", qname)
            if closest is not None and not self.answer:
                self.made_by = b"\x01*" + closest
            self._deny(zone)
            if self._chain is not None:
                key = qname.lower()
                self._prove(
                    self._chain.no_type(key)
                    if closest is None
                    else self._chain.no_type_by_wildcard(key, closest)
                )
            return None
        if closest is not None and self._chain is not None:
            self._prove(self._chain.no_closer(qname.lower(), closest))
        self.last = (qname, alias or matching[-1])
        if alias is not None:
            self._answer(qname, node, alias)
            self._note("3a: {} is an alias", qname)
            return alias.rdatas[0]
        for rrset in matching:
            self._answer(qname, node, rrset)
        self._note("3a: {} has records of this type", qname)
        if self.qtype == iana.NS:
            # A client that asks for name servers is about to query them: add addresses (RFC 8109
            # §4).
            self.additional.extend(self._behind(qname, matching[0]))
        return None

    def _redirect(self, qname: Name, node: Node) -> Name | None:
        """Put the target of a DNAME in place of its owner (RFC 6672 §2.2 and §3.2)."""
        dname = node.sets[iana.DNAME]
        self._answer(dname.owner, node, dname)
        self._note("3c: the DNAME of {} applies (RFC 6672 §3.2)", dname.owner)
        prefix = qname[: len(qname) - len(dname.owner)]
        target = prefix + dname.rdatas[0]
        if len(target) > name.MAX_NAME:
            self._note("3c: the new name would be too long; YXDOMAIN", qname)
            self.rcode = iana.YXDOMAIN
            return None
        # RFC 6672 §3.1: "The TTL of the synthesized CNAME RR ... is set to the TTL of the DNAME".
        # It has no signature (§5.3.1): a validator synthesizes it from the DNAME.
        alias = RRset(qname, iana.CNAME, dname.ttl, (target,), dname.rclass)
        self.last = (qname, alias)
        self.answer.append(self.last)
        return None if self.qtype == iana.CNAME else target

    def _refer(self, zone: Zone, cut: Node, after_alias: bool) -> None:
        """Point to the servers of a child zone, with their addresses (3b)."""
        servers = cut.sets[iana.NS]
        self._note("3b: {} is delegated", servers.owner)
        # The AA bit refers to the first name (RFC 1035 §4.1.1), which was ours in a chain.
        self.authoritative = after_alias
        self.authority.append((servers.owner, servers))
        if iana.DS in cut.sets:
            # RFC 4035 §3.1.4; from a zone without keys it could not be verified.
            if self.dnssec and zone.is_signed:
                self._show(self.authority, servers.owner, cut, cut.sets[iana.DS], zone)
        elif self._chain is not None:
            # RFC 4035 §3.1.4: without DS records, the proof that there are none.
            self._prove(self._chain.no_type(servers.owner.lower()))
        for target in servers.rdatas:
            node = zone.stand_in(target.lower())
            if node is not None:
                # Below the cut, only the parent has the address; elsewhere, it can be resolved.
                section = self.glue if node.cut is cut else self.additional
                self._show_all(section, target, node, ADDRESSES, zone)

    # Signatures and proofs

    def _answer(self, shown: Name, node: Node, rrset: RRset) -> None:
        """Append one of a node's own sets to the answer, unless it is there already."""
        # RFC 2181 §5: a set has no two equal records; a chain may return to a DNAME. The same set
        # of a wildcard under another name is a different set.
        key = shown.lower()
        if not any(rrset is each and at.lower() == key for at, each in self.answer):
            self._show(self.answer, shown, node, rrset, self.zone)

    def _show(
        self, section: list[tuple[Name, RRset]], shown: Name, node: Node, rrset: RRset, zone: Zone
    ) -> None:
        """Append one of a node's own sets and, if requested, its signatures."""
        section.append((shown, rrset))
        if self.dnssec and zone.is_signed:
            signatures = node.signatures.get(rrset.rtype)
            if signatures is not None:
                section.append((shown, signatures))

    def _deny(self, zone: Zone) -> None:
        self.authority.extend(zone.signed_negative if self.dnssec else zone.negative)

    @property
    def _chain(self) -> Denial | None:
        return self.zone.denial if self.dnssec else None

    def _prove(self, links: list[Link]) -> None:
        self.proofs.update(dict.fromkeys(links))

    # Beyond a minimal answer

    def add_courtesies(self) -> None:
        """Add the NS set of the zone and the addresses behind the answer (step 6)."""
        if self.last is None or self.authority or self.rcode:
            return
        servers = self.zone.apex.sets.get(iana.NS)
        if servers is not None and servers is not self.last[1]:
            self._show(self.authority, servers.owner, self.zone.apex, servers, self.zone)
        # A wildcard's set under another name is a different set.
        listed = {(at.lower(), id(rrset)) for at, rrset in (*self.additional, self.last)}
        for shown, rrset in (self.last, *self.authority):
            for owner, extra in self._behind(shown, rrset):
                each = (owner.lower(), id(extra))
                if each not in listed:
                    listed.add(each)
                    self.additional.append((owner, extra))

    def _behind(self, shown: Name, rrset: RRset) -> list[tuple[Name, RRset]]:
        """Return the sets that the names in a set point to; ``shown`` is its owner in the answer.

        Each name is looked up like a question (RFC 1034 §4.3.2 step 6), except that aliases are not
        followed.
        """
        found: list[tuple[Name, RRset]] = []
        for rdata in rrset.rdatas:
            for target, types in wanted(rrset.rtype, rdata, shown):
                key = target.lower()
                zone = self.zones.find(key)
                node = zone.stand_in(key) if zone is not None else None
                if zone is None or node is None:
                    continue
                self._show_all(found, target, node, types, zone)
                if iana.SRV in types and iana.SRV in node.sets:
                    found += self._behind(target, node.sets[iana.SRV])
        return found

    def _show_all(
        self,
        section: list[tuple[Name, RRset]],
        shown: Name,
        node: Node,
        types: tuple[int, ...],
        zone: Zone,
    ) -> None:
        """Append a node's sets of these types; outside the zone's own data, only addresses."""
        for rtype in types:
            rrset = node.sets.get(rtype)
            if rrset is not None and (node.cut is None or rtype in ADDRESSES):
                # In the zone's letter case, unless it is a wildcard's.
                is_own = len(rrset.owner) == len(shown) and rrset.owner.lower() == shown.lower()
                self._show(section, rrset.owner if is_own else shown, node, rrset, zone)

    def _note(self, text: str, about: Name) -> None:
        if self.steps is not None:
            self.steps.append(text.format(name.to_text(about)))


def _matching(node: Node, qtype: int) -> list[RRset]:
    rrset = node.sets.get(qtype)
    if rrset is not None:
        return [rrset]
    if qtype == iana.RRSIG:
        return list(node.signatures.values())
    if qtype == iana.ANY:
        # RFC 8482 §4.1: one set is enough, and useless for amplification.
        return list(node.sets.values())[:1]
    return []
