"""Changes of a zone, one by one; the laws are in `tests/laws/test_transaction_laws.py`."""

from __future__ import annotations

import pytest

from pierhead.errors import UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.zone.format import format_zone
from pierhead.protocols.dns.zone.lookup import lookup
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.zone import Zone, Zones

TEXT = b"""
@ 3600 SOA ns h 7 7200 900 1209600 60
@ 3600 NS ns
@ 3600 NS NS2.other.test.
ns 3600 A 192.0.2.53
www 300 A 192.0.2.80
www 300 A 192.0.2.81
www 300 TXT "a"
alias 300 CNAME www
a.b.c 300 A 192.0.2.1
sub 300 NS ns.sub
ns.sub 300 A 192.0.2.2
old 300 DNAME new.test.
"""


@pytest.fixture
def zone() -> Zone:
    return parse_zone(TEXT, origin="example.")


@pytest.fixture
def change(zone: Zone) -> dns.Transaction:
    return dns.Transaction(zone)


def at(zone: Zone, name: str) -> list[str]:
    """Return the records of a name, without name and class."""
    full = f"{name}.example." if name != "@" else "example."
    lines = [line.split("\t") for line in format_zone(zone)]
    return [" ".join([ttl, *rest]) for owner, ttl, _, *rest in lines if owner.lower() == full]


def test_the_zone_of_the_change_stays_as_it_is(zone, change):
    before = list(format_zone(zone))
    nodes = dict(zone.nodes)
    change.replace("www", dns.A("192.0.2.7"), ttl=60)
    change.delete("sub")
    change.delete("a.b.c")
    after, _ = change.commit()
    assert list(format_zone(zone)) == before
    assert all(zone.nodes[key] is nodes[key] for key in nodes)
    assert zone.nodes[from_text("ns.sub.example.")].cut is zone.nodes[from_text("sub.example.")]
    assert (zone.serial, after.serial) == (7, 8)


def test_what_was_not_touched_is_shared(zone, change):
    change.replace("www", dns.A("192.0.2.7"), ttl=60)
    after, _ = change.commit()
    new = {key for key in zone.nodes if after.nodes[key] is not zone.nodes[key]}
    assert new == {from_text("www.example."), from_text("example.")}
    www = from_text("www.example.")
    assert after.nodes[www].sets[16] is zone.nodes[www].sets[16]


def test_replace_puts_records_in_the_place_of_their_types(change):
    change.replace("www", dns.A("192.0.2.7"), dns.AAAA("::7"), ttl=60)
    after, difference = change.commit()
    assert at(after, "www") == ["60 A 192.0.2.7", '300 TXT "a"', "60 AAAA ::7"]
    assert str(difference).splitlines() == [
        "- example.\t3600\tIN\tSOA\tns.example. h.example. 7 7200 900 1209600 60",
        "- www.example.\t300\tIN\tA\t192.0.2.80",
        "- www.example.\t300\tIN\tA\t192.0.2.81",
        "+ example.\t3600\tIN\tSOA\tns.example. h.example. 8 7200 900 1209600 60",
        "+ www.example.\t60\tIN\tA\t192.0.2.7",
        "+ www.example.\t60\tIN\tAAAA\t::7",
    ]
    assert (difference.old_serial, difference.new_serial) == (7, 8)
    assert repr(difference) == "<Difference example. serial 7 to 8, 3 deleted, 3 added>"


@pytest.mark.parametrize(
    ("what", "left"),
    [
        ((), []),
        (("TXT",), ["300 A 192.0.2.80", "300 A 192.0.2.81"]),
        ((dns.A("192.0.2.80"),), ["300 A 192.0.2.81", '300 TXT "a"']),
        (("a", "txt"), []),
        (("MX", dns.A("192.0.2.9")), ["300 A 192.0.2.80", "300 A 192.0.2.81", '300 TXT "a"']),
    ],
)
def test_delete_takes_records_types_or_a_whole_name(zone, change, what, left):
    change.delete("www", *what)
    after, difference = change.commit()
    assert at(after, "www") == left
    assert (after is zone) is (not difference) is (len(left) == 3)


def test_delete_of_everything_leaves_the_apex_what_it_must_have(change):
    change.add("@", dns.TXT("gone"))
    change.delete("@")
    change.delete("www")
    after, _ = change.commit()
    assert [line.split()[1] for line in at(after, "@")] == ["SOA", "NS", "NS"]


def test_a_ttl_is_the_records_the_calls_or_the_sets():
    zone = parse_zone(TEXT, origin="example.")
    for kwargs, record, ttl in [
        ({}, dns.A("192.0.2.82"), 300),
        ({}, dns.A("192.0.2.82", ttl=9), 9),
        ({"ttl": 5}, dns.A("192.0.2.82", ttl=9), 5),
    ]:
        change = dns.Transaction(zone)
        change.add("www", record, **kwargs)
        after, difference = change.commit()
        assert [line for line in at(after, "www") if " A " in line] == [
            f"{ttl} A 192.0.2.8{n}" for n in range(3)
        ]
        # With another TTL they are other records.
        assert len(difference.deleted) == (1 if ttl == 300 else 3)
    change = dns.Transaction(zone)
    change.add("new", dns.A("192.0.2.1"))
    assert at(change.commit()[0], "new") == ["300 A 192.0.2.1"]


@pytest.mark.rfc("4034", "6.2")
@pytest.mark.parametrize(
    "edit",
    [
        lambda change: change.add("@", dns.NS("Ns2.OTHER.test.")),
        lambda change: change.add("WWW", dns.A("192.0.2.80")),
        lambda change: change.replace("alias", dns.CNAME("WWW.Example.")),
        lambda change: (change.delete("www", "A"), change.add("www", *BOTH)),
        lambda change: (change.add("x", dns.A("192.0.2.1")), change.delete("x")),
        lambda change: change.delete("nothing.there"),
    ],
)
def test_an_equivalent_record_is_not_a_change(zone, change, edit):
    edit(change)
    after, difference = change.commit()
    assert after is zone
    assert not difference
    assert difference == dns.Difference(zone.origin, 7, 7)
    assert str(difference) == ""


BOTH = (dns.A("192.0.2.81"), dns.A("192.0.2.80"))


def test_names_above_come_and_go_with_what_is_below(change):
    change.add("x.y.z", dns.A("192.0.2.1"))
    change.delete("a.b.c")
    after, _ = change.commit()
    names = {from_text(f"{name}.example.") for name in ("z", "y.z", "x.y.z", "c", "b.c", "a.b.c")}
    assert names & after.nodes.keys() == {
        from_text(f"{name}.example.") for name in ("z", "y.z", "x.y.z")
    }
    # What still has something below it stays, empty.
    again = dns.Transaction(after)
    again.add("y.z", dns.TXT("here"))
    again.delete("y.z")
    again.delete("@", "TXT")
    assert again.commit()[0] is after


def test_a_name_that_loses_its_records_stays_while_something_is_below(zone):
    change = dns.Transaction(zone)
    change.add("b.c", dns.TXT("x"))
    with_text, _ = change.commit()
    change = dns.Transaction(with_text)
    change.delete("b.c")
    after, _ = change.commit()
    assert not after.nodes[from_text("b.c.example.")].sets
    assert lookup(Zones([after]), from_text("b.c.example."), 1).rcode == dns.NOERROR


def test_a_delegation_that_comes_or_goes_rules_what_is_below(change):
    change.delete("sub", "NS")
    change.add("c", dns.NS("ns.elsewhere."))
    after, _ = change.commit()
    nodes = after.nodes
    assert nodes[from_text("ns.sub.example.")].cut is None
    cut = nodes[from_text("c.example.")]
    assert [nodes[from_text(f"{n}.example.")].cut for n in ("c", "b.c", "a.b.c")] == [cut] * 3


@pytest.mark.parametrize(
    ("edit", "wrong"),
    [
        (lambda c: c.add("www", dns.CNAME("x.")), r"www\.example\. has a CNAME and also A, TXT"),
        (lambda c: c.add("alias", dns.CNAME("x.")), r"alias\.example\. has 2 CNAME records"),
        (lambda c: c.add("@", SOA), r"example\. has 2 SOA records, expected one"),
        (lambda c: c.delete("@", "SOA"), r"example\. has 0 SOA records, expected one"),
        (lambda c: c.delete("@", "NS"), r"example\. has no NS records left"),
        (lambda c: c.add("www", SOA), r"www\.example\. has an SOA record, but is not the zone's"),
        (lambda c: c.add("@", DS), "a DS record, which belongs to its parent"),
        (lambda c: c.add("old", dns.NS("ns.")), "has a DNAME record but is delegated by NS"),
        (lambda c: c.add("x.old", dns.A("192.0.2.1")), r"lies below the DNAME of old\.example\."),
        (lambda c: c.add("c", DNAME), r"a\.b\.c\.example\. lies below the DNAME of c\.example\."),
        (lambda c: c.add("www", *LARGE), "TXT records of www.example. are more than one message"),
    ],
)
def test_a_zone_that_could_not_be_served_is_refused_when_all_is_known(change, edit, wrong):
    edit(change)
    with pytest.raises(UsageError, match=wrong):
        change.commit()


SOA = dns.SOA("ns.", "h.", 8)
DS = dns.Record("DS", "1 8 2 " + "ab" * 32)
DNAME = dns.Record("DNAME", "x.")
LARGE = [dns.TXT(f"{number} " + "x" * 240) for number in range(270)]


@pytest.mark.parametrize(
    ("edit", "wrong"),
    [
        (lambda c: c.add("a..b", dns.TXT("x")), r"'a\.\.b' is not a domain name"),
        (lambda c: c.add("www.test.", dns.TXT("x")), r"www\.test\. is outside the zone example\."),
        (lambda c: c.delete("www.test."), r"www\.test\. is outside"),
        (lambda c: c.add("www", "192.0.2.1"), "a record is str, expected one such as"),
        (lambda c: c.add("www", dns.TXT("x", rclass="CH")), "does not have the zone's class, IN"),
        (lambda c: c.add("www", dns.TXT("x", name="b.")), r"has another owner than www\.example\."),
        (lambda c: c.add("www", dns.Record("TKEY", b"")), "TKEY|not RDATA"),
        (lambda c: c.add("www", dns.TXT("x"), ttl=-1), "ttl is -1"),
        (lambda c: c.replace("www"), "no record is given; use delete"),
        (lambda c: c.delete("www", "AX"), "'AX' is not an RR type"),
    ],
)
def test_what_cannot_be_in_the_zone_is_refused_at_once(zone, change, edit, wrong):
    with pytest.raises(UsageError, match=wrong):
        edit(change)
    assert change.commit()[0] is zone


@pytest.mark.rfc("1982", "3.2")
@pytest.mark.parametrize("written", [7, 8, 7 + 2**31 - 1])
def test_the_serial_of_a_replaced_soa_record_counts_where_it_is_ahead(change, written):
    change.replace("@", dns.SOA("ns.example.", "new.example.", written))
    after, difference = change.commit()
    assert after.serial == difference.new_serial == max(written, 8)
    assert "new.example." in str(difference)


@pytest.mark.rfc("1982", "3.2")
@pytest.mark.parametrize("serial", [6, 7 + 2**31, 2**32 - 1])
def test_a_serial_that_is_not_ahead_is_refused(zone, change, serial):
    with pytest.raises(UsageError, match=f"serial {serial} is not ahead of 7.*the next one is 8"):
        change.commit(serial=serial)
    change.replace("@", dns.SOA("ns.example.", "h.example.", serial))
    with pytest.raises(UsageError, match="is not ahead of 7"):
        change.commit()


def test_a_serial_can_be_given_with_changes_or_alone(change):
    with pytest.raises(UsageError, match="serial is 4294967296, expected 0 to 4294967295"):
        change.commit(serial=2**32)
    after, difference = change.commit(serial=2026112901)
    assert after.serial == 2026112901
    assert (len(difference.deleted), len(difference.added)) == (1, 1)
    assert after.negative[0][1].rdatas == after.soa.rdatas


def test_a_difference_fits_the_snapshot_it_was_made_for_and_no_other(zone, change):
    change.replace("www", dns.A("192.0.2.7"), ttl=60)
    after, difference = change.commit()
    other = parse_zone(TEXT, origin="other.")
    for wrong in (after, other):
        with pytest.raises(UsageError, match="is no difference to <Zone"):
            difference.apply(wrong)
    for text, reason in [
        (TEXT.replace(b"www 300 A 192.0.2.80", b""), "has no record www.example."),
        (TEXT.replace(b"www 300", b"www 299"), "has no record www.example."),
    ]:
        with pytest.raises(UsageError, match=reason):
            difference.apply(parse_zone(text, origin="example."))
    twice = dns.Difference(zone.origin, 7, 8, difference.deleted, difference.added[:1] * 2)
    with pytest.raises(UsageError, match="already"):
        twice.apply(zone)


def test_a_difference_that_breaks_the_zone_is_refused(zone):
    record = dns.Record.trusted(from_text("www.example."), 5, 1, 300, b"\1x\0")
    with pytest.raises(UsageError, match="has a CNAME and also"):
        dns.Difference(zone.origin, 7, 7, (), (record,)).apply(zone)
    soa = dns.Record.trusted(zone.origin, 6, 1, 3600, zone.soa.rdatas[0])
    with pytest.raises(UsageError, match="leaves no SOA record"):
        dns.Difference(zone.origin, 7, 7, (soa,)).apply(zone)
    record = dns.Record.trusted(from_text("www.example."), 1, 1, 9, bytes(4))
    with pytest.raises(UsageError, match="has another TTL beside"):
        dns.Difference(zone.origin, 7, 7, (), (record,)).apply(zone)


def test_zones_are_found_by_name_and_replaced_one_by_one(zone):
    other = parse_zone(TEXT, origin="other.")
    zones = Zones([zone, other])
    assert zones["Example."] is zone
    assert zones["example"] is zone
    change = dns.Transaction(zone)
    change.delete("www")
    after, _ = change.commit()
    both = zones.having(after)
    assert (both["example."], both["other."], len(both)) == (after, other, 2)
    assert zones["example."] is zone
    for text in ("nowhere.", "a..b"):
        with pytest.raises(KeyError, match="no zone"):
            zones[text]


async def test_a_service_answers_from_the_zones_that_it_is_given(tmp_path):
    (tmp_path / "example.zone").write_bytes(TEXT)
    service = dns.zones(tmp_path)
    change = dns.Transaction(service.zones["example."])
    change.add("new", dns.A("192.0.2.9"))
    zone, _ = change.commit()
    service.zones = service.zones.having(zone)
    assert (await dns.explain(dns.stack(service), "new.example.")).response.answer


HASH = "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"


@pytest.mark.rfc("5155", "7.2.8")
def test_a_proof_by_hash_is_no_name_of_the_zone(zone, change):
    proof = dns.Record("NSEC3", f"1 0 0 - {HASH} A")
    signature = dns.Record("RRSIG", "NSEC3 8 2 60 20300101000000 20200101000000 1 example. AA==")
    change.add(HASH, proof, signature)
    after, difference = change.commit()
    key = from_text(f"{HASH}.example.")
    assert key not in after.nodes
    assert after.hashed.keys() == {key}
    assert (after.hashed[key].sets.keys(), after.hashed[key].signatures.keys()) == ({50}, {50})
    assert not zone.hashed
    assert difference.inverted().apply(after).hashed == {}
    again = dns.Transaction(after)
    again.delete(HASH)
    assert again.commit()[0].hashed == {}


def test_deleting_all_of_the_zone_s_own_name_keeps_soa_and_ns(zone, change):
    change.add("@", dns.TXT("a"), dns.MX(10, "mail.example."))
    change.delete("@")
    with pytest.raises(UsageError, match=r"has only its SOA and NS records, which a zone keeps"):
        change.delete("@")
    assert change.commit()[0] is zone
    change.replace("@", dns.NS("ns.example."))
    assert at(change.commit()[0], "@")[1:] == ["3600 NS ns.example."]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda change: dns.Transaction("example."), "a zone is str, expected one of a service's"),
        (lambda change: change.add(5, dns.A("192.0.2.1")), "a name is 5, expected text"),
        (lambda change: change.delete("www", 5), "5 is not an RR type; expected a mnemonic"),
        (lambda change: change.commit(serial="8"), "serial is '8', expected 0 to 4294967295"),
        (lambda change: change.add("a", dns.CNAME("www")), "names in records are absolute"),
    ],
)
def test_a_mistake_in_a_change_is_refused_with_what_was_expected(change, make, message):
    with pytest.raises(UsageError, match=message):
        make(change)


def test_names_of_records_are_absolute_and_those_of_the_change_relative(change):
    change.replace("alias", dns.CNAME("www.other.test"))
    assert at(change.commit()[0], "alias") == ["300 CNAME www.other.test."]
