from __future__ import annotations

import pytest

from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.rrset import Section
from pierhead.protocols.dns.zone.lookup import Found, lookup
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.zone import Zones

EXAMPLE = b"""$TTL 300
@ SOA ns hostmaster 1 7200 900 1209600 60
@ NS ns
@ NS ns.sub
@ MX 10 mail
ns A 192.0.2.1
mail A 192.0.2.2
mail AAAA 2001:db8::2
www CNAME mail
loop1 CNAME loop2
loop2 CNAME loop1
self CNAME self
dangling CNAME nowhere
outside CNAME www.elsewhere.test.
hosted CNAME www.other.
delegated CNAME x.sub
empty CNAME ent
x.ent A 192.0.2.5
sub NS ns.sub
sub NS ns.sub2
sub NS mail
sub NS ns.far.test.
sub DS 1 8 1 000102030405060708090a0b0c0d0e0f10111213
ns.sub A 192.0.2.3
sub2 NS ns.sub2
ns.sub2 A 192.0.2.4
ns.sub2 AAAA 2001:db8::4
*.wild TXT w
a.wild A 192.0.2.6
b.c.wild A 192.0.2.7
*.alias CNAME mail
y.*.entwild A 192.0.2.8
moved 77 DNAME target
www.target A 192.0.2.9
alias.target CNAME mail
grow DNAME a.b.c.grow
shift DNAME other.
_sip._tcp SRV 0 0 5060 mail
svc HTTPS 1 .
svc A 192.0.2.10
pool HTTPS 0 svc
signed A 192.0.2.11
signed RRSIG A 8 2 300 1 1 1 @ AA==
"""
OTHER = b"""$TTL 300
@ SOA ns hostmaster 1 7200 900 1209600 30
@ NS ns
ns A 192.0.2.31
www A 192.0.2.33
"""
CHILD = b"""$TTL 300
@ SOA ns hostmaster 1 7200 900 1209600 60
@ NS ns
ns A 192.0.2.3
"""
ZONES = Zones([parse_zone(EXAMPLE, origin="example."), parse_zone(OTHER, origin="other.")])


def ask(qname: str, qtype: str = "A", zones: Zones = ZONES, **options: bool) -> Found:
    return lookup(zones, name.from_text(qname), iana.type_number(qtype), **options)


def shown(section: Section) -> list[str]:
    return [f"{name.to_text(owner)} {iana.type_text(rrset.rtype)}" for owner, rrset in section]


def facts(found: Found) -> tuple[int, bool, list[str], list[str]]:
    return found.rcode, found.authoritative, shown(found.answer), shown(found.authority)


@pytest.mark.rfc("1034", "4.3.2")
def test_an_exact_match_is_the_whole_answer():
    found = ask("mail.example.")
    assert facts(found) == (iana.NOERROR, True, ["mail.example. A"], [])
    assert (found.glue, found.additional, found.steps) == ((), (), ())


@pytest.mark.rfc("4343", "4.1")
def test_letter_case_does_not_matter_and_comes_back_as_asked():
    assert shown(ask("MaiL.eXample.").answer) == ["MaiL.eXample. A"]


@pytest.mark.rfc("2308", "2.2")
def test_a_name_without_the_type_is_no_data():
    assert facts(ask("mail.example.", "TXT")) == (iana.NOERROR, True, [], ["example. SOA"])


@pytest.mark.rfc("2308", "2.1")
def test_a_name_that_does_not_exist_is_denied_with_the_negative_ttl():
    found = ask("a.b.nowhere.example.")
    assert facts(found) == (iana.NXDOMAIN, True, [], ["example. SOA"])
    assert found.authority[0][1].ttl == 60


@pytest.mark.rfc("4592", "2.2.2")
def test_an_empty_non_terminal_exists():
    assert facts(ask("ent.example.")) == (iana.NOERROR, True, [], ["example. SOA"])
    assert ask("y.ent.example.").rcode == iana.NXDOMAIN


def test_a_name_outside_all_zones_is_refused():
    assert facts(ask("www.test.")) == (iana.REFUSED, False, [], [])


def test_another_class_is_refused_and_any_class_is_never_authoritative():
    qname = name.from_text("mail.example.")
    assert lookup(ZONES, qname, iana.A, iana.CLASS_CH).rcode == iana.REFUSED
    assert facts(lookup(ZONES, qname, iana.A, iana.CLASS_ANY)) == (
        0,
        False,
        ["mail.example. A"],
        [],
    )


# Aliases


@pytest.mark.rfc("1034", "3.6.2")
def test_an_alias_is_followed():
    assert facts(ask("WWW.example.")) == (0, True, ["WWW.example. CNAME", "mail.example. A"], [])


@pytest.mark.rfc("1034", "3.6.2")
@pytest.mark.parametrize("qtype", ["CNAME", "ANY"])
def test_an_alias_that_is_asked_for_is_not_followed(qtype: str):
    assert facts(ask("www.example.", qtype)) == (0, True, ["www.example. CNAME"], [])


@pytest.mark.rfc("6604", "3")
def test_the_code_of_a_chain_is_that_of_its_last_name():
    assert facts(ask("dangling.example.")) == (
        iana.NXDOMAIN,
        True,
        ["dangling.example. CNAME"],
        ["example. SOA"],
    )
    assert facts(ask("www.example.", "TXT"))[3] == ["example. SOA"]
    assert facts(ask("empty.example.")) == (0, True, ["empty.example. CNAME"], ["example. SOA"])


def test_a_chain_goes_on_in_another_of_our_zones():
    assert shown(ask("hosted.example.").answer) == ["hosted.example. CNAME", "www.other. A"]
    denied = ask("hosted.example.", "TXT")
    assert (shown(denied.authority), denied.authority[0][1].ttl) == (["other. SOA"], 30)


def test_a_chain_ends_where_our_zones_end():
    assert facts(ask("outside.example.")) == (0, True, ["outside.example. CNAME"], [])


@pytest.mark.parametrize(
    ("qname", "answer"),
    [
        ("loop1.example.", ["loop1.example. CNAME", "loop2.example. CNAME"]),
        ("self.example.", ["self.example. CNAME"]),
    ],
)
def test_a_loop_ends_with_what_has_been_found(qname: str, answer: list[str]):
    assert facts(ask(qname)) == (iana.NOERROR, True, answer, [])


def test_a_chain_has_a_longest_length():
    text = CHILD + b"".join(b"c%d CNAME c%d\n" % (n, n + 1) for n in range(40))
    found = ask("c0.example.", zones=Zones([parse_zone(text, origin="example.")]))
    assert shown(found.answer) == [f"c{n}.example. CNAME" for n in range(9)]
    # The last name that is looked up may well hold the answer.
    found = ask(
        "c32.example.", zones=Zones([parse_zone(text + b"c40 A 192.0.2.1\n", origin="example.")])
    )
    assert len(found.answer) == 9
    assert shown(found.answer)[-1] == "c40.example. A"


def test_a_chain_does_not_change_its_class():
    chaos = b"@ 0 CH SOA ns h 1 2 3 4 5\n@ 0 CH NS ns\nwww 0 CH TXT x\n"
    zones = Zones([next(iter(ZONES)), parse_zone(chaos, origin="other.", rclass=iana.CLASS_CH)])
    assert shown(ask("hosted.example.", "TXT", zones).answer) == ["hosted.example. CNAME"]


# Delegations


@pytest.mark.rfc("1034", "4.3.2")
@pytest.mark.parametrize(
    ("qname", "qtype"),
    [
        ("sub.example.", "A"),
        ("sub.example.", "NS"),
        ("sub.example.", "ANY"),
        ("x.y.sub.example.", "A"),
    ],
)
def test_at_and_below_a_delegation_there_is_a_referral(qname: str, qtype: str):
    assert facts(ask(qname, qtype)) == (iana.NOERROR, False, [], ["sub.example. NS"])


@pytest.mark.rfc("1034", "4.2.1")
def test_glue_is_not_an_answer():
    assert facts(ask("ns.sub.example.")) == (iana.NOERROR, False, [], ["sub.example. NS"])


@pytest.mark.rfc("9471", "2")
def test_addresses_below_the_cut_are_glue_and_others_are_courtesy():
    found = ask("www.sub.example.")
    assert shown(found.glue) == ["ns.sub.example. A"]
    assert shown(found.additional) == [
        "ns.sub2.example. A",
        "ns.sub2.example. AAAA",
        "mail.example. A",
        "mail.example. AAAA",
    ]


def test_an_alias_to_a_delegated_name_ends_in_a_referral_that_keeps_aa():
    found = ask("delegated.example.")
    assert facts(found) == (0, True, ["delegated.example. CNAME"], ["sub.example. NS"])
    assert shown(found.glue) == ["ns.sub.example. A"]


@pytest.mark.rfc("4035", "3.1.4.1")
def test_ds_at_a_cut_is_answered_by_the_parent():
    assert facts(ask("sub.example.", "DS")) == (0, True, ["sub.example. DS"], [])
    assert facts(ask("sub2.example.", "DS")) == (0, True, [], ["example. SOA"])
    assert facts(ask("x.sub.example.", "DS")) == (0, False, [], ["sub.example. NS"])


@pytest.mark.rfc("4035", "3.1.4.1")
def test_ds_is_the_parents_even_where_the_child_is_served_too():
    child = parse_zone(CHILD, origin="sub.example.")
    assert facts(ask("sub.example.", "DS", Zones([*ZONES, child])))[2] == ["sub.example. DS"]
    assert facts(ask("sub.example.", "DS", Zones([child]))) == (0, True, [], ["sub.example. SOA"])
    assert facts(ask("ns.sub.example.", "A", Zones([*ZONES, child])))[2] == ["ns.sub.example. A"]


@pytest.mark.rfc("4035", "3.1.4.1")
def test_ds_of_the_target_of_an_alias_is_the_parents_too():
    child = parse_zone(CHILD, origin="sub.example.")
    text = CHILD + b"to CNAME sub.example.\nd DNAME example.\n"
    zones = Zones([*ZONES, child, parse_zone(text, origin="third.")])
    assert facts(ask("to.third.", "DS", zones))[2:] == (
        ["to.third. CNAME", "sub.example. DS"],
        [],
    )
    assert shown(ask("sub.d.third.", "DS", zones).answer)[2:] == ["sub.example. DS"]
    # Every other type at the target is the child's.
    assert facts(ask("to.third.", "TXT", zones))[3] == ["sub.example. SOA"]


@pytest.mark.rfc("4035", "3.1.4.1")
def test_a_zone_of_another_class_is_no_parent():
    chaos = b"@ 0 CH SOA ns h 1 2 3 4 5\n@ 0 CH NS ns\n"
    zones = Zones([*ZONES, parse_zone(chaos, origin="sub.example.", rclass=iana.CLASS_CH)])
    found = lookup(zones, name.from_text("sub.example."), iana.DS, iana.CLASS_CH)
    assert facts(found) == (iana.NOERROR, True, [], ["sub.example. SOA"])


# Wildcards


@pytest.mark.rfc("4592", "2.2.1")
@pytest.mark.parametrize("qname", ["foo.wild.example.", "foo.bar.wild.example.", "*.wild.example."])
def test_a_wildcard_answers_under_the_name_asked(qname: str):
    assert facts(ask(qname, "TXT")) == (0, True, [f"{qname} TXT"], [])


@pytest.mark.rfc("4592", "2.2.1")
@pytest.mark.parametrize(
    ("qname", "rcode"),
    [
        ("a.wild.example.", iana.NOERROR),  # exists
        ("x.a.wild.example.", iana.NXDOMAIN),  # below an existing name
        ("c.wild.example.", iana.NOERROR),  # an empty non-terminal
        ("x.c.wild.example.", iana.NXDOMAIN),  # below one
        ("wild.example.", iana.NOERROR),
    ],
)
def test_a_wildcard_does_not_reach_what_exists(qname: str, rcode: int):
    assert facts(ask(qname, "TXT")) == (rcode, True, [], ["example. SOA"])


@pytest.mark.rfc("4592", "3.3.1")
def test_a_wildcard_without_the_type_is_no_data():
    assert facts(ask("foo.wild.example.")) == (iana.NOERROR, True, [], ["example. SOA"])


@pytest.mark.rfc("4592", "3.3.1")
def test_an_empty_wildcard_is_no_data_too():
    assert facts(ask("q.entwild.example.")) == (iana.NOERROR, True, [], ["example. SOA"])


@pytest.mark.rfc("4592", "3.3.3")
def test_a_wildcard_alias_is_followed():
    assert shown(ask("q.alias.example.").answer) == ["q.alias.example. CNAME", "mail.example. A"]


# DNAME


@pytest.mark.rfc("6672", "3.1")
def test_a_dname_redirects_what_is_below_it_with_a_made_cname():
    found = ask("WWW.moved.example.")
    assert facts(found) == (
        iana.NOERROR,
        True,
        ["moved.example. DNAME", "WWW.moved.example. CNAME", "WWW.target.example. A"],
        [],
    )
    alias = found.answer[1][1]
    assert (alias.ttl, alias.rdatas) == (77, (name.from_text("WWW.target.example."),))


@pytest.mark.rfc("6672", "2.3")
def test_a_dname_does_not_redirect_its_own_name():
    assert facts(ask("moved.example.")) == (0, True, [], ["example. SOA"])
    assert facts(ask("moved.example.", "DNAME")) == (0, True, ["moved.example. DNAME"], [])


@pytest.mark.rfc("6672", "3.2")
def test_the_made_cname_can_be_asked_for():
    assert shown(ask("www.moved.example.", "CNAME").answer) == [
        "moved.example. DNAME",
        "www.moved.example. CNAME",
    ]


def test_dname_and_cname_chain():
    assert shown(ask("alias.moved.example.").answer)[2:] == [
        "alias.target.example. CNAME",
        "mail.example. A",
    ]
    assert shown(ask("www.shift.example.").answer)[2:] == ["www.other. A"]
    assert ask("nothing.moved.example.").rcode == iana.NXDOMAIN


@pytest.mark.rfc("6672", "2.2")
def test_a_name_that_would_grow_too_long_is_yxdomain():
    label = "x" * 60
    found = ask(f"{label}.{label}.{label}.{'y' * 55}.grow.example.")
    assert facts(found) == (iana.YXDOMAIN, True, ["grow.example. DNAME"], [])


def test_a_dname_into_itself_ends_and_is_shown_once():
    found = ask("x.grow.example.")
    assert (found.rcode, len(found.answer)) == (iana.NOERROR, 10)
    assert shown(found.answer).count("grow.example. DNAME") == 1


@pytest.mark.rfc("2181", "5")
@pytest.mark.parametrize(
    ("qtype", "more"),
    [
        ("DNAME", []),
        ("ANY", []),
        ("RRSIG", ["UP.example. RRSIG"]),
        ("TXT", ["UP.example. TXT", "UP.example. RRSIG"]),
    ],
)
def test_a_set_that_a_chain_comes_back_to_is_shown_once(qtype: str, more: list[str]):
    text = (
        CHILD
        + b"""@ DNSKEY 257 3 8 AA==
@ RRSIG SOA 8 1 300 1 1 1 @ AA==
up DNAME example.
up RRSIG DNAME 8 2 300 1 1 1 @ AA==
up TXT x
up RRSIG TXT 8 2 300 1 1 1 @ AA==
"""
    )
    found = ask("UP.up.example.", qtype, Zones([parse_zone(text, origin="example.")]), dnssec=True)
    assert shown(found.answer) == [
        "up.example. DNAME",
        "up.example. RRSIG",
        "UP.up.example. CNAME",
        *more,
    ]


@pytest.mark.rfc("4592", "3.3.1")
def test_a_wildcard_may_answer_for_two_names_of_a_chain():
    text = CHILD + b"*.w CNAME x.y.w\n"
    found = ask("a.w.example.", zones=Zones([parse_zone(text, origin="example.")]))
    assert shown(found.answer) == ["a.w.example. CNAME", "x.y.w.example. CNAME"]


def test_a_delegation_above_a_dname_wins():
    text = CHILD + b"cut NS ns\nd.cut DNAME other.\nd2 DNAME other.\n"
    found = ask("a.d.cut.example.", zones=Zones([parse_zone(text, origin="example.")]))
    assert facts(found) == (0, False, [], ["cut.example. NS"])


# Types that ask for more than one thing


@pytest.mark.rfc("8482", "4.1")
def test_any_is_answered_with_one_set():
    assert facts(ask("mail.example.", "ANY")) == (0, True, ["mail.example. A"], [])
    assert facts(ask("ent.example.", "ANY")) == (0, True, [], ["example. SOA"])


def test_signatures_can_be_asked_for():
    assert facts(ask("signed.example.", "RRSIG")) == (0, True, ["signed.example. RRSIG"], [])


# Courtesies


@pytest.mark.rfc("1034", "4.3.2")
@pytest.mark.parametrize(
    ("qname", "qtype", "authority", "additional"),
    [
        ("example.", "NS", [], ["ns.example. A", "ns.sub.example. A"]),
        (
            "example.",
            "MX",
            ["example. NS"],
            ["mail.example. A", "mail.example. AAAA", "ns.example. A", "ns.sub.example. A"],
        ),
        ("ns.example.", "A", ["example. NS"], ["ns.sub.example. A"]),
    ],
)
def test_a_full_answer_has_servers_and_addresses_beside_it(
    qname: str, qtype: str, authority: list[str], additional: list[str]
):
    found = ask(qname, qtype, minimal=False)
    assert (shown(found.authority), shown(found.additional)) == (authority, additional)


@pytest.mark.rfc("9460", "4.1")
@pytest.mark.parametrize(
    ("qname", "qtype", "expected"),
    [
        ("svc.example.", "HTTPS", ["svc.example. A"]),
        ("pool.example.", "HTTPS", ["svc.example. A", "svc.example. HTTPS"]),
        ("_sip._tcp.example.", "SRV", ["mail.example. A", "mail.example. AAAA"]),
    ],
)
def test_services_come_with_what_they_point_to(qname: str, qtype: str, expected: list[str]):
    assert shown(ask(qname, qtype, minimal=False).additional)[: len(expected)] == expected


SECOND = parse_zone(
    b"""$TTL 300
@ SOA ns.elsewhere.test. h 1 7200 900 1209600 60
@ NS ns.elsewhere.test.
*.wild A 192.0.2.1
x.ent.wild TXT x
*.lp L32 1 192.0.2.0
host A 192.0.2.2
moved DNAME wild
*.alias CNAME host
sub NS ns.elsewhere.test.
*.sub A 192.0.2.3
mx MX 1 one.wild
mx MX 2 two.wild
mx MX 3 ent.wild
mx MX 4 x.moved
mx MX 5 x.alias
mx MX 6 x.sub
mx MX 7 none
*.mx MX 1 x.wild
_s._tcp SRV 0 0 5060 s.wild
kx KX 1 k.wild
afs AFSDB 1 a.wild
rt RT 1 r.wild
mb MB b.wild
md MD d.wild
mf MF f.wild
lp LP 1 l.lp
naptr NAPTR 1 1 "s" "x" "" _s._tcp
naptr NAPTR 1 1 "A" "x" "" n.wild
naptr NAPTR 1 1 "U" "x" "!^.*$!x!" u.wild
*.svc HTTPS 1 .
*.svc A 192.0.2.7
alias HTTPS 0 foo.svc
service SVCB 1 foo.wild
""",
    origin="example.",
)


@pytest.mark.rfc("1034", "4.3.2")
@pytest.mark.rfc("4592", "3.3.1")
@pytest.mark.parametrize(
    ("qname", "qtype", "expected"),
    [
        ("mx.example.", "MX", ["one.wild.example. A", "two.wild.example. A"]),
        ("any.mx.example.", "MX", ["x.wild.example. A"]),
        ("_s._tcp.example.", "SRV", ["s.wild.example. A"]),
        ("kx.example.", "KX", ["k.wild.example. A"]),
        ("afs.example.", "AFSDB", ["a.wild.example. A"]),
        ("rt.example.", "RT", ["r.wild.example. A"]),
        ("mb.example.", "MB", ["b.wild.example. A"]),
        ("md.example.", "MD", ["d.wild.example. A"]),
        ("mf.example.", "MF", ["f.wild.example. A"]),
        ("lp.example.", "LP", ["l.lp.example. L32"]),
        (
            "naptr.example.",
            "NAPTR",
            ["_s._tcp.example. SRV", "s.wild.example. A", "n.wild.example. A"],
        ),
        ("Any.svc.example.", "HTTPS", ["Any.svc.example. A"]),
        ("alias.example.", "HTTPS", ["foo.svc.example. A", "foo.svc.example. HTTPS"]),
        ("service.example.", "SVCB", ["foo.wild.example. A"]),
    ],
)
def test_additional_names_are_looked_up_like_any_name(qname: str, qtype: str, expected: list[str]):
    assert shown(ask(qname, qtype, Zones([SECOND]), minimal=False).additional) == expected


def test_a_full_denial_or_referral_is_no_longer_than_a_minimal_one():
    for qname in ("nowhere.example.", "www.sub.example.", "dangling.example.", "loop1.example."):
        full, minimal = ask(qname, minimal=False), ask(qname)
        if qname != "loop1.example.":
            assert facts(full) == facts(minimal)
        assert full.glue == minimal.glue


# Tracing


@pytest.mark.parametrize(
    ("qname", "steps"),
    [
        ("mail.example.", ["2: zone example.", "3a: mail.example. has records of this type"]),
        ("www.test.", ["2: no zone here holds www.test."]),
        ("x.sub.example.", ["2: zone example.", "3b: sub.example. is delegated"]),
        (
            "outside.example.",
            [..., ..., "2: the alias leads out of our zones, to www.elsewhere.test."],
        ),
        (
            "foo.wild.example.",
            [..., "3c: the wildcard below wild.example. applies (RFC 4592 §3.3.1)", ...],
        ),
        (
            "x.moved.example.",
            [..., "3c: the DNAME of moved.example. applies (RFC 6672 §3.2)", ..., ...],
        ),
    ],
)
def test_the_steps_can_be_shown(qname: str, steps: list[object]):
    found = ask(qname, trace=True)
    assert len(found.steps) == len(steps)
    assert all(said == step for said, step in zip(found.steps, steps, strict=True) if step != ...)
    assert facts(found) == facts(ask(qname))
