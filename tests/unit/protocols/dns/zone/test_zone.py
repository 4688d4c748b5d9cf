from __future__ import annotations

import pytest

from pierhead.errors import UsageError
from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.zone import Node, Zone, Zones, canonical_order

HEAD = b"""$TTL 300
@ SOA ns hostmaster 7 7200 900 1209600 60
@ NS ns
ns A 192.0.2.53
"""


def zone(text: bytes = b"", origin: str = "Example.") -> Zone:
    return parse_zone(HEAD + text, origin=origin)


def node(of: Zone, owner: str) -> Node:
    return of.nodes[name.key(name.from_text(owner))]


def test_a_zone_knows_its_name_and_serial():
    found = zone()
    assert (found.origin, found.key, found.serial) == (b"\7Example\0", b"\7example\0", 7)
    assert found.apex.sets[iana.SOA] is found.soa
    assert repr(found) == "<Zone Example. serial 7, 2 names>"


@pytest.mark.rfc("2308", "5")
@pytest.mark.parametrize(("soa_ttl", "minimum", "ttl"), [(300, 60, 60), (60, 300, 60)])
def test_the_ttl_of_a_denial_is_the_lower_of_two(soa_ttl: int, minimum: int, ttl: int):
    text = f"@ {soa_ttl} SOA ns h 1 2 3 4 {minimum}\n@ NS ns.test.\n"
    found = parse_zone(text.encode(), origin="example.")
    ((_, denial),) = found.negative
    assert (denial.ttl, denial.rdatas, found.soa.ttl) == (ttl, found.soa.rdatas, soa_ttl)


@pytest.mark.rfc("4592", "2.2.2")
def test_names_with_something_below_exist_without_records():
    found = zone(b"a.b.c A 192.0.2.1\n")
    assert not node(found, "b.c.example.").sets
    assert not node(found, "c.example.").sets


@pytest.mark.rfc("1034", "4.2.1")
def test_a_delegation_and_all_below_it_know_their_cut():
    found = zone(b"sub NS ns.sub\nns.sub A 192.0.2.1\na.b.sub NS ns.sub\nsib A 192.0.2.1\n")
    cut = node(found, "sub.example.")
    below = [cut, *(node(found, f"{at}.sub.example.") for at in ("ns", "b", "a.b"))]
    assert all(each.cut is cut for each in below)
    assert node(found, "sib.example.").cut is None
    assert found.apex.cut is None


@pytest.mark.rfc("4034", "3")
def test_signatures_are_kept_by_the_type_they_cover_with_their_own_ttl():
    found = zone(
        b"ns 60 RRSIG A 8 2 300 1 1 1 @ AA==\nns RRSIG AAAA 8 2 300 1 1 1 @ AA==\n"
        b"ns 60 RRSIG A 13 2 300 1 1 1 @ AA==\n"
    )
    signatures = node(found, "ns.example.").signatures
    assert set(signatures) == {iana.A, iana.AAAA}
    assert (signatures[iana.A].ttl, len(signatures[iana.A].rdatas)) == (60, 2)
    assert signatures[iana.AAAA].ttl == 300
    assert set(node(found, "ns.example.").sets) == {iana.A}


def test_all_sets_can_be_had_the_soa_first():
    found = zone(b"sub NS x.sub\nx.sub A 192.0.2.1\nns RRSIG A 8 2 300 1 1 1 @ AA==\n")
    kinds = [(rrset.owner, rrset.rtype) for rrset in found.rrsets()]
    assert kinds[0] == (found.origin, iana.SOA)
    assert len(kinds) == len(set(kinds)) == 6
    assert (b"\1x\3sub\7Example\0", iana.A) in kinds


@pytest.mark.rfc("4034", "6.1")
def test_names_sort_by_their_labels_from_the_right():
    ordered = [
        *("example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE."),
        *("z.example.", r"\001.z.example.", "*.z.example.", r"\200.z.example."),
    ]
    names = [name.from_text(text) for text in ordered]
    shuffled = [names[n] for n in (4, 8, 0, 2, 6, 1, 7, 3, 5)]
    assert sorted(shuffled, key=canonical_order) == names


def test_the_nearest_zone_is_found():
    parent, child = zone(), zone(origin="sub.example.")
    zones = Zones([parent, child])
    assert zones.find(b"\1a\3sub\7example\0") is child
    assert zones.find(b"\4xsub\7example\0") is parent
    assert zones.find(b"\4test\0") is None
    assert zones.find(b"\0") is None
    assert (list(zones), len(zones)) == ([parent, child], 2)


def test_the_root_is_a_zone_like_any_other():
    root = zone(origin=".")
    assert Zones([root]).find(b"\1a\1b\0") is root


def test_two_zones_of_one_name_are_refused():
    with pytest.raises(UsageError, match="given twice"):
        Zones([zone(), zone(origin="EXAMPLE.")])
