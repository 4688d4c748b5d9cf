"""Names that records lead to, and names that end in the zone's name twice: what is warned of."""

from __future__ import annotations

import pytest

from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.targets import Reference, inspect_references
from pierhead.protocols.dns.zone.zone import Zones

HEAD = """$TTL 300
@ SOA ns hostmaster 1 7200 900 1209600 60
@ NS ns
ns A 192.0.2.53
*.wild AAAA 2001:db8::1
x.ent TXT x
t TXT x
al CNAME ns
moved DNAME wild
sub NS ns
a.sub A 192.0.2.1
_s._tcp SRV 0 0 1 ns
"""
LINES = HEAD.count("\n")


def warnings(text: str, origin: str = "example.") -> list[tuple[int, str, str]]:
    found = parse_zone((HEAD + text).encode(), origin=origin).warnings
    return [(fault.line - LINES, fault.message, fault.code) for fault in found]


LACKS = "has no address in this zone"
ALIAS = "is an alias (RFC 2181 §10.3)"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("w MX 1 none", f"the mail exchange none.example. of w.example. {LACKS}"),
        ("w MX 1 t", f"the mail exchange t.example. of w.example. {LACKS}"),
        ("w MX 1 ent", f"the mail exchange ent.example. of w.example. {LACKS}"),
        ("w MX 1 al", f"the mail exchange al.example. of w.example. {ALIAS}"),
        ("w MX 1 x.moved", f"the mail exchange x.moved.example. of w.example. {ALIAS}"),
        ("w SRV 0 0 1 none", f"the SRV target none.example. of w.example. {LACKS}"),
        ("w SRV 0 0 1 al", "the SRV target al.example. of w.example. is an alias (RFC 2782)"),
        ("w HTTPS 1 none", f"the HTTPS target none.example. of w.example. {LACKS}"),
        ("w SVCB 0 none", f"the SVCB target none.example. of w.example. {LACKS}"),
        ("w HTTPS 1 .", f"the HTTPS target w.example. of w.example. {LACKS}"),
        (
            'w NAPTR 1 1 "s" "" "" t',
            "the NAPTR target t.example. of w.example. has no SRV record in this zone",
        ),
        ('w NAPTR 1 1 "a" "" "" t', f"the NAPTR target t.example. of w.example. {LACKS}"),
        ("w NS none", f"the name server none.example. of w.example. {LACKS}"),
        ("w NS x.moved", f"the name server x.moved.example. of w.example. {ALIAS}"),
        ("w NS none.w", f"the name server none.w.example. of w.example. {LACKS}"),
        ("*.w MX 1 none", f"the mail exchange none.example. of *.w.example. {LACKS}"),
    ],
)
def test_a_target_without_what_is_wanted_is_warned_of_in_its_own_line(record: str, message: str):
    good = record.rpartition(" ")[0] + " ns" if "NAPTR" not in record else "z TXT z"
    assert [found[:2] for found in warnings(f"{good}\n{record}\n")] == [(2, message)]


@pytest.mark.parametrize(
    "record",
    [
        "w MX 1 any.wild",
        "w NS any.wild",
        "w SRV 0 0 1 any.wild",
        "w MX 0 .",
        "w SRV 0 0 0 .",
        "w HTTPS 0 .",
        "w MX 1 elsewhere.test.",
        "w MX 1 below.sub",
        "w MX 1 a.sub",
        "below.sub MX 1 none",
        "w HTTPS 1 al",
        "w HTTPS 0 svc\nsvc HTTPS 1 ns",
        "w HTTPS 1 .\nw A 192.0.2.9",
        'w NAPTR 1 1 "s" "" "" _s._tcp',
        'w NAPTR 1 1 "u" "" "!^.*$!x!" .',
        "w NS ns.w\nns.w A 192.0.2.9",
        "*.w HTTPS 1 .\n*.w A 192.0.2.9",
    ],
)
def test_a_target_that_is_there_or_elsewhere_is_no_matter(record: str):
    assert warnings(record + "\n") == []


def test_zones_that_are_read_together_answer_for_each_other():
    references: list[Reference] = []
    zones = []
    for origin, text in (
        (
            "one.",
            "m MX 1 none.two.\nm MX 2 ns.two.\nm MX 3 x.w.two.\nn.m NS x.cut.two.\n"
            "n SRV 0 0 1 al.two.\nn MX 1 no.child.one.\nchild NS ns\nn MX 2 away.test.",
        ),
        ("two.", "*.w A 192.0.2.1\ncut NS ns\nal CNAME ns"),
        ("child.one.", "yes A 192.0.2.1"),
    ):
        head = "$TTL 300\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.53\n"
        text = f"{head}{text}\n"
        zones.append(
            parse_zone(text.encode(), origin=origin, file_name=origin, references=references)
        )
    assert [zone.warnings for zone in zones] == [()] * 3
    found = list(inspect_references(Zones(zones), references))
    assert [(fault.file, fault.line, fault.message) for fault in found] == [
        ("one.", 5, "the mail exchange none.two. of m.one. has no address in the zone two."),
        ("one.", 9, "the SRV target al.two. of n.one. is an alias (RFC 2782)"),
        (
            "one.",
            10,
            "the mail exchange no.child.one. of n.one. has no address in the zone child.one.",
        ),
    ]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("www.example A 192.0.2.1", "www.example.example. ends in the name of the zone twice"),
        ("w CNAME x.Example", "the CNAME record of w.example. has a name that ends in"),
        ("w PTR x.example", "the PTR record of w.example. has a name that ends in"),
    ],
)
def test_a_name_that_ends_in_the_zones_name_twice_may_lack_its_dot(record: str, message: str):
    ((line, found, code),) = warnings(f"w2 A 192.0.2.1\n{record}\n")
    assert (line, found.startswith(message), code) == (2, True, "twice")


def test_a_forgotten_dot_is_found_in_the_record_that_has_it():
    found = warnings("w MX 1 ns\nw MX 2 ns.example\n")
    assert [(line, code) for line, _, code in found] == [(2, "twice")]


def test_names_that_only_look_like_it_are_no_matter():
    assert warnings("notexample.w A 192.0.2.1\nw TXT x.example.example\n") == []
    assert parse_zone(HEAD.encode(), origin=".").warnings == ()


def test_more_addresses_than_one_message_holds_are_refused_and_no_fewer():
    def addresses(count: int) -> str:
        return "".join(
            f"m A 10.{number >> 16}.{number >> 8 & 255}.{number & 255}\n" for number in range(count)
        )

    # 12 octets of header, 15 of question, 16 for each address.
    assert warnings(addresses((65535 - 12 - 15) // 16)) == []
    with pytest.raises(Exception, match="4095 of them, are more than one message can carry"):
        warnings(addresses((65535 - 12 - 15) // 16 + 1))
