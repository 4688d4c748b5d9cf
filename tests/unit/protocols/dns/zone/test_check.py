from __future__ import annotations

import pytest

from pierhead.errors import ConfigError, Fault
from pierhead.protocols.dns.zone.format import format_zone
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.zone import Zone

HEAD = b"""$TTL 300
@ SOA ns hostmaster 1 7200 900 1209600 60
@ NS ns
ns A 192.0.2.53
"""


def zone(text: bytes) -> Zone:
    return parse_zone(HEAD + text, origin="example.")


def fault(text: bytes, head: bytes = HEAD) -> Fault:
    with pytest.raises(ConfigError) as caught:
        parse_zone(head + text, origin="example.")
    (only,) = caught.value.faults
    return only


@pytest.mark.rfc("1034", "3.6.2")
@pytest.mark.parametrize("text", [b"w CNAME x\nw A 192.0.2.1\n", b"w A 192.0.2.1\nw CNAME x\n"])
def test_a_cname_stands_alone(text: bytes):
    found = fault(text)
    assert found.message.startswith("w.example. has a CNAME and also A records")
    assert (found.line, found.remedy) == (6, "remove the CNAME or the other records")


@pytest.mark.rfc("4035", "2.5")
def test_signatures_and_denials_may_stand_beside_a_cname():
    zone(b"w CNAME x\nw NSEC x CNAME\nw RRSIG CNAME 8 2 300 1 1 1 @ AA==\nw KEY 512 3 8 AA==\n")


@pytest.mark.rfc("2181", "10.1")
def test_a_name_has_one_cname():
    assert "second CNAME" in fault(b"w CNAME x\nw CNAME y\n").message


def test_a_cname_written_twice_is_one():
    zone(b"w CNAME x\nw CNAME x\n")


@pytest.mark.rfc("4034", "6.2")
@pytest.mark.rfc("6840", "5.1")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"@ NS NS", b"@ NS ns"),
        (b"@ SOA NS Hostmaster 1 7200 900 1209600 60", b"@ TXT x"),
        (b"w CNAME X", b"w CNAME x"),
        (b"w DNAME X", b"w DNAME x"),
        (b"w MX 10 NS", b"w MX 10 ns"),
        (b"w SRV 0 0 1 NS", b"w SRV 0 0 1 ns"),
        (b"w PTR NS", b"w PTR ns"),
    ],
)
def test_records_that_differ_in_the_case_of_a_name_are_one(one: bytes, other: bytes):
    found = zone(one + b"\n" + other + b"\n")
    assert not found.warnings
    assert all(len(rrset.rdatas) == 1 for rrset in found.rrsets())


@pytest.mark.rfc("3123", "5")
def test_a_record_without_data_is_printed_and_read_again():
    lines = list(format_zone(zone(b"w APL\nw IPSECKEY 10 0 0 .\n")))
    assert lines[-2:] == ["w.example.\t300\tIN\tAPL", "w.example.\t300\tIN\tIPSECKEY\t10 0 0 ."]
    again = parse_zone("\n".join(lines).encode(), origin="example.")
    assert list(format_zone(again)) == lines


@pytest.mark.rfc("3597", "7")
def test_records_of_other_types_that_differ_in_case_are_two():
    found = zone(b"w TXT A\nw TXT a\nw SVCB 1 NS\nw SVCB 1 ns\n")
    assert [len(rrset.rdatas) for rrset in found.rrsets()][-2:] == [2, 2]


def test_a_cname_at_the_top_of_the_zone_is_refused():
    assert "CNAME and also SOA, NS records" in fault(b"@ CNAME x.test.\n").message


@pytest.mark.rfc("1035", "5.2")
def test_a_zone_has_one_soa():
    assert "second SOA" in fault(b"@ SOA ns hostmaster 2 7200 900 1209600 60\n").message


@pytest.mark.rfc("1035", "5.2")
def test_the_soa_stands_at_the_top():
    assert "but the zone is example." in fault(b"w SOA ns h 2 7200 900 1209600 60\n").message


def test_a_zone_without_soa_is_refused_as_a_whole():
    found = fault(b"", b"@ 300 NS ns.test.\n")
    assert (found.line, "has no SOA" in found.message) == (0, True)


def test_a_soa_with_a_fault_is_not_also_missing():
    assert fault(b"", b"@ 300 SOA ns h 1 2 3 4\n@ 300 NS ns.test.\n").line == 1


def test_a_broken_soa_is_recognised_even_where_its_owner_is_called_like_a_type():
    with pytest.raises(ConfigError) as caught:
        parse_zone(b"x 5 a x\na SOA ns h 1 2 3 4\n", origin="a.")
    assert [found.line for found in caught.value.faults] == [1, 2]


@pytest.mark.rfc("1034", "4.2.1")
def test_a_zone_needs_name_servers():
    found = fault(b"", b"@ 300 SOA ns h 1 2 3 4 5\n")
    assert (found.line, "no NS records" in found.message) == (1, True)


@pytest.mark.rfc("4035", "2.4")
def test_ds_records_belong_to_the_parent():
    assert "top of the zone" in fault(b"@ DS 1 8 1 " + b"00" * 20 + b"\n").message


@pytest.mark.rfc("6672", "2.4")
def test_a_name_has_one_dname_and_nothing_below_it():
    assert "second DNAME" in fault(b"w DNAME x\nw DNAME y\n").message
    found = fault(b"w DNAME x\na.b.w A 192.0.2.1\n")
    assert (found.line, "below the DNAME of w.example." in found.message) == (6, True)


@pytest.mark.rfc("6672", "2.3")
def test_a_dname_may_stand_at_the_top_but_not_at_a_delegation():
    zone_text = HEAD.replace(b"ns A 192.0.2.53\n", b"").replace(b"NS ns", b"NS ns.test.")
    parse_zone(zone_text + b"@ DNAME other.\n", origin="example.")
    assert "delegated by NS" in fault(b"w DNAME x\nw NS ns\n").message


@pytest.mark.rfc("4592", "4.2")
def test_a_delegation_at_a_wildcard_is_discouraged_but_not_barred():
    (warning,) = zone(b"*.w NS ns\n").warnings
    assert (warning.line, "which delegate no name" in warning.message) == (5, True)


def test_a_set_that_no_message_can_carry_is_refused():
    text = b"".join(b"w TXT %s%d\n" % (b"x" * 200, n) for n in range(400))
    assert "400 of them, are more than one message can carry" in fault(text).message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"w NS c\nc CNAME ns\n", "the name server c.example. of w.example. is an alias"),
        (b"w NS q\n", "the name server q.example. of w.example. has no address"),
        (b"w NS q.w\n", "the name server q.w.example. of w.example. has no address"),
        (b"w NS t\nt TXT x\n", "the name server t.example. of w.example. has no address"),
    ],
)
def test_name_servers_that_cannot_be_reached_are_warned_of(text: bytes, message: str):
    (warning,) = zone(text).warnings
    assert (warning.line, warning.message.startswith(message)) == (5, True)


@pytest.mark.parametrize("text", [b"w NS ns.test.\n", b"w NS ns.v\nv NS ns.test.\n"])
def test_addresses_that_belong_elsewhere_are_not_missed(text: bytes):
    assert zone(text).warnings == ()
