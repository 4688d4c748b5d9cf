"""Laws of a zone's changes: what comes out is a zone, and what is different says it all."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead.errors import ConfigError, UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.canonical import canonical_rdata
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.query import build_query, parse_query
from pierhead.protocols.dns.zone.format import format_zone
from pierhead.protocols.dns.zone.lookup import lookup
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.nsec import Nsec
from pierhead.protocols.dns.zone.zone import Zone, Zones

ORIGIN = "ex.test."
NAMES = ("@", "a", "b.a", "c.b.a", "*.a", "d", "e.d", "F.e.d", "*")
RECORDS = (
    dns.A("192.0.2.1"),
    dns.A("192.0.2.2"),
    dns.TXT("x"),
    dns.NS("ns.Other."),
    dns.NS("NS.other."),
    dns.MX(1, "a.ex.test."),
    dns.CNAME("a.ex.test."),
    dns.Record("DNAME", "there."),
    dns.Record("NSEC", "a.ex.test. A"),
    dns.Record("RRSIG", "A 8 2 60 20300101000000 20200101000000 1 ex.test. AA=="),
    dns.Record("RRSIG", "NSEC 8 2 60 20300101000000 20200101000000 1 ex.test. AA=="),
    dns.Record("DS", "1 8 2 " + "ab" * 32),
)
TTLS = (None, 60, 300)
TYPES = ("A", "NS", "TXT", "CNAME", "DNAME", "NSEC", "RRSIG")

STEPS = st.one_of(
    st.tuples(
        st.sampled_from(["add", "replace"]),
        st.sampled_from(NAMES),
        st.lists(st.sampled_from(RECORDS), min_size=1, max_size=3).map(tuple),
        st.sampled_from(TTLS),
    ),
    st.tuples(
        st.just("delete"),
        st.sampled_from(NAMES),
        st.lists(st.sampled_from((*RECORDS, *TYPES)), max_size=2).map(tuple),
        st.none(),
    ),
)
HEAD = b"@ 300 SOA ns h 4294967290 2 3 4 60\n@ 300 NS ns.other.\n"
#: With a zone key and a signature of the SOA record, the zone is signed and has a chain.
SIGNED = HEAD + (
    b"@ 300 DNSKEY 257 3 8 AwEAAQ==\n@ 300 NSEC a A NS SOA RRSIG NSEC DNSKEY\n"
    b"@ 300 RRSIG SOA 8 2 300 20300101000000 20200101000000 1 @ AA==\n"
)
HEADS = st.sampled_from([HEAD, SIGNED])


def carry_out(zone: Zone, steps: list[Any]) -> tuple[Zone, dns.Difference] | None:
    """Return the result of a transaction with these steps; None if it is refused."""
    change = dns.Transaction(zone)
    for what, name, arguments, ttl in steps:
        method = getattr(change, what)
        # The zone's own name may have nothing else to delete, which is refused: no change.
        is_refused = (what, name, arguments) == ("delete", "@", ())
        with suppress(UsageError) if is_refused else nullcontext():
            method(name, *arguments, **({} if what == "delete" else {"ttl": ttl}))
    try:
        made = change.commit()
    except UsageError:
        met("refused")
        return None
    met("changed" if made[1] else "same")
    return made


def read(head: bytes, steps: list[Any]) -> Zone:
    """Return a zone with some records in it, or the head alone where they do not go together."""
    made = carry_out(parse_zone(head, origin=ORIGIN), steps)
    return made[0] if made else parse_zone(head, origin=ORIGIN)


def contents(zone: Zone) -> set[Any]:
    """Return the records of a zone as RFC 4034 §6.2 compares them."""
    return {
        (s.owner.lower(), s.rtype, s.ttl, canonical_rdata(s.rtype, rdata))
        for s in zone.rrsets()
        for rdata in s.rdatas
    }


def shape(zone: Zone) -> dict[bytes, Any]:
    """Return all that a look-up relies on: names, empty ones too, their sets, who rules them."""
    keys = {id(node): key for key, node in zone.nodes.items()}
    return {
        key: (
            {rtype: _set(s) for rtype, s in node.sets.items()},
            {covered: _set(s) for covered, s in node.signatures.items()},
            None if node.cut is None else keys[id(node.cut)],
        )
        for key, node in zone.nodes.items()
    }


def _set(rrset: Any) -> tuple[Any, ...]:
    rdatas = frozenset(canonical_rdata(rrset.rtype, rdata) for rdata in rrset.rdatas)
    return rrset.owner.lower(), rrset.rtype, rrset.ttl, rdatas


def chain(zone: Zone) -> list[Any] | None:
    if zone.denial is None:
        return None
    assert isinstance(zone.denial, Nsec)
    names = [from_text(n, from_text(ORIGIN)) if n != "@" else from_text(ORIGIN) for n in NAMES]
    return [[(o, _set(s)) for o, s in zone.denial.no_type(n.lower())[0]] for n in names]


@shares(changed=0.1, same=0.0, refused=0.02)
@settings(max_examples=150)
@given(head=HEADS, before=st.lists(STEPS, max_size=8), steps=st.lists(STEPS, max_size=8))
def test_a_snapshot_is_the_zone_that_its_own_text_is(head, before, steps):
    """Names, empty ones, cuts, the chain, and every answer: as if it had been read anew."""
    old = read(head, before)
    was, text = shape(old), list(format_zone(old))
    made = carry_out(old, steps)
    assert shape(old) == was
    assert list(format_zone(old)) == text
    if made is None:
        return
    new, _ = made
    again = parse_zone("\n".join(format_zone(new)).encode() + b"\n", origin=ORIGIN)
    assert shape(new) == shape(again)
    assert (new.is_signed, chain(new)) == (again.is_signed, chain(again))
    assert new.serial == again.serial
    for name in (*NAMES, "no.a", "no.e.d"):
        owner = from_text(ORIGIN if name == "@" else f"{name}.{ORIGIN}")
        for qtype in (iana.A, iana.NS, iana.MX):
            pair = [lookup(Zones([z]), owner, qtype, dnssec=True) for z in (new, again)]
            assert len({_answer(found) for found in pair}) == 1, (name, qtype)


def _answer(found: Any) -> tuple[Any, ...]:
    sections = (found.answer, found.authority, found.glue, found.additional)
    return found.rcode, *[frozenset((o.lower(), *_set(s)) for o, s in each) for each in sections]


@shares(changed=0.1, same=0.0, refused=0.02)
@settings(max_examples=150)
@given(head=HEADS, before=st.lists(STEPS, max_size=8), steps=st.lists(STEPS, max_size=8))
def test_a_difference_makes_the_next_snapshot_and_its_inverse_the_one_before(head, before, steps):
    old = read(head, before)
    made = carry_out(old, steps)
    if made is None:
        return
    new, difference = made
    applied = difference.apply(old)
    assert shape(applied) == shape(new)
    assert chain(applied) == chain(new)
    back = difference.inverted().apply(new)
    assert shape(back) == shape(old)
    assert (back.serial, difference.inverted().inverted()) == (old.serial, difference)
    # It is what the two snapshots differ in, and nothing else.
    assert {_key(r) for r in difference.deleted} == contents(old) - contents(new)
    assert {_key(r) for r in difference.added} == contents(new) - contents(old)
    assert {_key(r) for r in dns.Difference.between(old, new).added} == {
        _key(r) for r in difference.added
    }
    assert bool(difference) is (contents(old) != contents(new)) is (new is not old)
    if difference:
        assert difference.deleted[0].rtype == difference.added[0].rtype == iana.SOA
        assert (difference.new_serial - difference.old_serial) % 2**32 == 1


def _key(record: dns.Record) -> tuple[Any, ...]:
    data = canonical_rdata(record.rtype, record.rdata)
    return record.owner.lower(), record.rtype, record.ttl, data


@shares(changed=0.1, same=0.0, refused=0.02)
@settings(max_examples=100)
@given(
    records=st.lists(
        st.tuples(st.sampled_from(NAMES), st.sampled_from(RECORDS)), min_size=1, max_size=8
    ),
    data=st.data(),
)
def test_the_order_of_records_does_not_matter(records, data):
    zone = parse_zone(HEAD, origin=ORIGIN)
    shuffled = data.draw(st.permutations(records))
    made = [
        carry_out(zone, [("add", name, (record,), None) for name, record in order])
        for order in (records, shuffled)
    ]
    assert (made[0] is None) is (made[1] is None)
    if made[0] is None or made[1] is None:
        return
    assert shape(made[0][0]) == shape(made[1][0])
    for one, other in zip(made[0][1].added, made[1][1].added, strict=True):
        assert _key(one) == _key(other)


@shares(changed=0.1, same=0.0, refused=0.02)
@settings(max_examples=100)
@given(
    head=HEADS, before=st.lists(STEPS, max_size=8), steps=st.lists(STEPS, min_size=1, max_size=3)
)
def test_what_was_not_touched_is_the_same_object(head, before, steps):
    old = read(head, before)
    made = carry_out(old, steps)
    if made is None:
        return
    new, difference = made
    sets = {id(rrset) for rrset in old.rrsets()}
    touched = {(r.owner.lower(), r.rtype) for r in (*difference.deleted, *difference.added)}
    for rrset in new.rrsets():
        assert id(rrset) in sets or (rrset.owner.lower(), rrset.rtype) in touched
    owners = {owner for owner, _ in touched}
    for key, node in new.nodes.items():
        known = old.nodes.get(key)
        # What is below a cut knows its node, and another one where that was touched.
        assert known is None or node is known or key in owners or node.cut is not known.cut


def test_these_laws_see_changes_that_are_accepted():
    """Laws hold for everything that is refused: enough of what they draw must not be."""
    accepted = 0
    for record in RECORDS:
        for name in NAMES:
            made = carry_out(parse_zone(HEAD, origin=ORIGIN), [("add", name, (record,), None)])
            accepted += made is not None and bool(made[1])
    assert accepted > len(RECORDS) * len(NAMES) * 0.7
    with pytest.raises(ConfigError):
        parse_zone(HEAD + b"a 1 CNAME b\na 1 A 192.0.2.1\n", origin=ORIGIN)
    assert parse_query(build_query(1, from_text(ORIGIN), 1, edns=None))
