"""Signed answers and proofs from small zones; signatures are made up, chains are right."""

from __future__ import annotations

from base64 import b32hexencode

import pytest

from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.rrset import Section
from pierhead.protocols.dns.zone.lookup import Found, lookup
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.nsec import Nsec, order_key
from pierhead.protocols.dns.zone.nsec3 import MAX_ITERATIONS, Nsec3, hash_name
from pierhead.protocols.dns.zone.zone import Zone, Zones, canonical_order

APEX = """$TTL 300
@ SOA ns hostmaster 1 7200 900 1209600 60
@ NS ns
@ DNSKEY 257 3 13 AA==
"""
RECORDS = """
ns A 192.0.2.1
x.ent A 192.0.2.2
*.wild TXT w
host.wild A 192.0.2.3
*.alias CNAME ns
*.lost CNAME nobody
sub.*.empty A 192.0.2.4
moved DNAME wild
toent CNAME ent
tocut CNAME x.sub
sub NS ns.sub
sub NS ns
sub DS 1 8 1 000102030405060708090a0b0c0d0e0f10111213
ns.sub A 192.0.2.5
insecure NS ns
child.of.insecure2 NS ns
"""
#: Sets that a signer does not sign: those at and below cuts, except DS.
UNSIGNED = ("sub NS", "insecure NS", "child.of.insecure2 NS", "ns.sub A")
#: Names with records that are the zone's, in canonical order.
CHAIN = [
    "@",
    "*.alias",
    "sub.*.empty",
    "x.ent",
    "insecure",
    "child.of.insecure2",
    "*.lost",
    "moved",
    "ns",
    "sub",
    "tocut",
    "toent",
    "*.wild",
    "host.wild",
]
EMPTY = ["alias", "*.empty", "empty", "ent", "of.insecure2", "insecure2", "lost", "wild"]
#: What opt-out leaves out: insecure delegations, and names that exist for them alone.
OPTED_OUT = ("insecure", "child.of.insecure2", "of.insecure2", "insecure2")


def signatures(text: str) -> str:
    """Return a made-up signature, with its own TTL, for each set that a signer signs."""
    sets = {tuple(line.split()[:2]) for line in text.splitlines() if line and line[0] != "$"}
    return "".join(
        f"{owner} 299 RRSIG {rtype} 13 2 300 1 1 1 @ AA==\n"
        for owner, rtype in sorted(sets)
        if f"{owner} {rtype}" not in UNSIGNED
    )


def by_nsec() -> str:
    return (
        APEX
        + RECORDS
        + "".join(
            f"{owner} NSEC {following} A RRSIG NSEC\n"
            for owner, following in zip(CHAIN, [*CHAIN[1:], CHAIN[0]], strict=True)
        )
    )


def by_nsec3(*, opt_out: bool = False, salt: str = "ab", iterations: int = 2) -> str:
    flags = int(opt_out)
    owners = [one for one in CHAIN + EMPTY if not (opt_out and one in OPTED_OUT)]
    hashes = sorted(hashed(owner, salt, iterations) for owner in owners)
    return f"{APEX}{RECORDS}@ NSEC3PARAM 1 0 {iterations} {salt}\n" + "".join(
        f"{digest} NSEC3 1 {flags} {iterations} {salt} {following} A RRSIG\n"
        for digest, following in zip(hashes, [*hashes[1:], hashes[0]], strict=True)
    )


def hashed(owner: str, salt: str = "ab", iterations: int = 2) -> str:
    digest = hash_name(key(owner), bytes.fromhex(salt), iterations)
    return b32hexencode(digest).decode().lower()


def key(owner: str) -> bytes:
    return name.key(name.from_text("example." if owner == "@" else f"{owner}.example."))


def zone(text: str) -> Zone:
    return parse_zone((text + signatures(text)).encode(), origin="example.")


NSEC = zone(by_nsec())
NSEC3 = zone(by_nsec3())
OPT_OUT = zone(by_nsec3(opt_out=True))


def ask(of: Zone, owner: str, qtype: str = "A", **options: bool) -> Found:
    qname = name.from_text("example." if owner == "@" else f"{owner}.example.")
    return lookup(Zones([of]), qname, iana.type_number(qtype), dnssec=True, **options)


def shown(section: Section) -> list[str]:
    """Return owner and type of each set, relative; for signatures what they cover."""
    found = []
    for owner, rrset in section:
        text = name.to_text(owner).removesuffix("example.").removesuffix(".") or "@"
        rtype = iana.type_text(rrset.rtype)
        if rrset.rtype == iana.RRSIG:
            covered = {int.from_bytes(rdata[:2], "big") for rdata in rrset.rdatas}
            rtype = f"sig({iana.type_text(covered.pop())})"
            assert not covered
        found.append(f"{text} {rtype}")
    return found


def proofs(found: Found) -> set[str]:
    """Return the owners of the links in a section that also has their signatures."""
    authority = shown(found.authority)
    assert len(set(authority)) == len(authority)
    links = {text.removesuffix(" NSEC3") for text in authority if text.endswith(" NSEC3")}
    links |= {text.removesuffix(" NSEC") for text in authority if text.endswith(" NSEC")}
    signed = {text.partition(" sig(NSEC")[0] for text in authority if " sig(NSEC" in text}
    assert signed == links
    return links


def matching(*owners: str) -> set[str]:
    return {hashed(owner) for owner in owners}


def covering(of: Zone, *owners: str) -> set[str]:
    """Return the owners of the NSEC3 records that cover names, found the slow way."""
    chain = sorted(name.labels(owner)[0].decode() for owner in of.hashed)
    found = set()
    for owner in owners:
        digest = hashed(owner)
        assert digest not in chain
        found.add(max((one for one in chain if one < digest), default=chain[-1]))
    return found


# Answers


@pytest.mark.rfc("4035", "3.1.1")
@pytest.mark.parametrize("of", [NSEC, NSEC3], ids=["nsec", "nsec3"])
def test_an_answer_comes_with_its_signatures(of: Zone):
    found = ask(of, "ns")
    assert (shown(found.answer), found.authority) == (["ns A", "ns sig(A)"], ())
    assert [rrset.ttl for _, rrset in found.answer] == [300, 299]


def test_without_do_a_signed_zone_is_like_any_other():
    qname = name.from_text("nobody.example.")
    for of in (NSEC, NSEC3):
        found = lookup(Zones([of]), qname, iana.A)
        assert (found.rcode, shown(found.authority)) == (iana.NXDOMAIN, ["@ SOA"])
        exact = lookup(Zones([of]), name.from_text("ns.example."), iana.A)
        assert shown(exact.answer) == ["ns A"]


def test_an_unsigned_zone_answers_as_without_do():
    of = parse_zone((APEX.replace("@ DNSKEY", "k DNSKEY") + RECORDS).encode(), origin="example.")
    assert of.denial is None
    assert of.warnings == ()
    assert shown(ask(of, "ns").answer) == ["ns A"]
    assert shown(ask(of, "nobody").authority) == ["@ SOA"]
    assert shown(ask(of, "x.wild", "TXT").answer) == ["x.wild TXT"]
    assert shown(ask(of, "insecure").authority) == ["insecure NS"]
    assert shown(ask(of, "x.sub").authority) == ["sub NS"]


@pytest.mark.rfc("4034", "3")
def test_all_signatures_of_a_name_can_be_asked_for_each_with_its_ttl():
    stray = "ns 77 RRSIG TXT 13 2 77 1 1 1 @ AA==\n"
    text = by_nsec() + signatures(by_nsec()) + stray
    found = ask(parse_zone(text.encode(), origin="example."), "ns", "RRSIG")
    assert sorted(shown(found.answer)) == ["ns sig(A)", "ns sig(NSEC)", "ns sig(TXT)"]
    assert sorted(rrset.ttl for _, rrset in found.answer) == [77, 299, 299]
    assert shown(ask(NSEC, "ent", "RRSIG").answer) == []


@pytest.mark.rfc("8482", "4.1")
def test_any_gives_one_set_with_its_signatures():
    assert shown(ask(NSEC, "ns", "ANY").answer) == ["ns A", "ns sig(A)"]


@pytest.mark.rfc("6672", "5.3.1")
def test_the_alias_that_a_dname_makes_has_no_signature():
    found = ask(NSEC, "host.moved")
    assert shown(found.answer) == [
        "moved DNAME",
        "moved sig(DNAME)",
        "host.moved CNAME",
        "host.wild A",
        "host.wild sig(A)",
    ]
    assert found.authority == ()


def test_courtesies_are_signed_too():
    found = ask(NSEC, "x.wild", "TXT", minimal=False)
    assert shown(found.authority)[:2] == ["@ NS", "@ sig(NS)"]
    assert proofs(found) == {"host.wild"}
    found = ask(NSEC, "ns", minimal=False)
    assert shown(found.authority) == ["@ NS", "@ sig(NS)"]
    found = ask(NSEC, "@", "NS")
    assert shown(found.additional) == ["ns A", "ns sig(A)"]


# NSEC


@pytest.mark.rfc("4034", "6.1")
def test_order_keys_sort_as_canonical_order_does():
    owners = [
        name.from_text(text)
        for text in (
            *("example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "."),
            *("zABC.a.EXAMPLE.", "z.example.", r"\001.z.example.", "*.z.example.", "exampl."),
            *(r"\200.z.example.", r"\000.z.example.", r"a\000b.example.", r"a\001.example."),
            *(r"z.a\000.example.", r"\001\000.z.example.", r"\001a.z.example."),
        )
    ]
    expected = sorted(owners, key=canonical_order)
    assert sorted(owners, key=lambda owner: order_key(name.key(owner))) == expected


@pytest.mark.rfc("4035", "3.1.3.1")
def test_nsec_no_data_is_the_record_of_the_name():
    found = ask(NSEC, "ns", "TXT")
    assert shown(found.authority)[:2] == ["@ SOA", "@ sig(SOA)"]
    assert proofs(found) == {"ns"}
    assert [rrset.ttl for _, rrset in found.authority[:2]] == [60, 60]


@pytest.mark.rfc("4035", "3.1.3.1")
def test_nsec_no_data_of_an_empty_non_terminal_is_the_record_before_it():
    found = ask(NSEC, "ent")
    assert (found.rcode, proofs(found)) == (iana.NOERROR, {"sub.*.empty"})


@pytest.mark.rfc("4035", "3.1.3.2")
def test_nsec_name_error_denies_the_name_and_the_wildcard():
    found = ask(NSEC, "nobody")
    assert (found.rcode, proofs(found)) == (iana.NXDOMAIN, {"moved", "@"})
    assert proofs(ask(NSEC, "z.ent")) == {"x.ent", "sub.*.empty"}


@pytest.mark.rfc("4035", "3.1.3.2")
def test_one_nsec_record_is_shown_once_where_it_proves_both():
    assert proofs(ask(NSEC, "0")) == {"@"}
    assert proofs(ask(NSEC, "zzz")) == {"host.wild", "@"}


@pytest.mark.rfc("4035", "3.1.3.3")
def test_nsec_wildcard_answer_denies_the_name():
    found = ask(NSEC, "x.wild", "TXT")
    assert shown(found.answer) == ["x.wild TXT", "x.wild sig(TXT)"]
    assert proofs(found) == {"host.wild"}
    assert ask(NSEC, "*.wild", "TXT").authority == ()


@pytest.mark.rfc("4035", "3.1.3.4")
def test_nsec_wildcard_no_data_shows_the_wildcard_and_denies_the_name():
    found = ask(NSEC, "x.wild")
    assert (found.rcode, proofs(found)) == (iana.NOERROR, {"*.wild", "host.wild"})
    assert proofs(ask(NSEC, "a.wild")) == {"*.wild"}
    assert proofs(ask(NSEC, "x.empty")) == {"*.alias", "sub.*.empty"}


@pytest.mark.rfc("4035", "3.1.3")
def test_each_alias_of_a_chain_has_its_proof():
    found = ask(NSEC, "x.lost")
    assert shown(found.answer) == ["x.lost CNAME", "x.lost sig(CNAME)"]
    assert (found.rcode, proofs(found)) == (iana.NXDOMAIN, {"*.lost", "moved", "@"})
    found = ask(NSEC, "x.alias")
    assert proofs(found) == {"*.alias"}
    found = ask(NSEC, "toent")
    assert (len(found.answer), proofs(found)) == (2, {"sub.*.empty"})


@pytest.mark.rfc("4035", "3.1.4")
def test_a_referral_shows_ds_records_or_that_there_are_none():
    found = ask(NSEC, "x.sub")
    assert shown(found.authority) == ["sub NS", "sub DS", "sub sig(DS)"]
    assert (shown(found.glue), shown(found.additional)) == (["ns.sub A"], ["ns A", "ns sig(A)"])
    found = ask(NSEC, "x.insecure")
    assert shown(found.authority)[:1] == ["insecure NS"]
    assert proofs(found) == {"insecure"}
    assert shown(ask(NSEC, "tocut").authority) == ["sub NS", "sub DS", "sub sig(DS)"]


@pytest.mark.rfc("4035", "3.1.4.1")
def test_ds_records_are_answered_or_denied_above_the_cut():
    assert shown(ask(NSEC, "sub", "DS").answer) == ["sub DS", "sub sig(DS)"]
    assert proofs(ask(NSEC, "insecure", "DS")) == {"insecure"}
    assert proofs(ask(NSEC, "@", "DS")) == {"@"}


# NSEC3


@pytest.mark.rfc("5155", "A")
@pytest.mark.parametrize(
    ("owner", "digest"),
    [
        ("@", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"),
        ("a", "35mthgpgcu1qg68fab165klnsnk3dpvl"),
        ("*.w", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"),
    ],
)
def test_names_hash_as_in_the_standard(owner: str, digest: str):
    assert hashed(owner, "aabbccdd", 12) == digest


@pytest.mark.rfc("5155", "7.2.2")
def test_nsec3_name_error_is_the_closest_encloser_and_no_wildcard():
    found = ask(NSEC3, "a.b.ent")
    expected = matching("ent") | covering(NSEC3, "b.ent", "*.ent")
    assert (found.rcode, proofs(found)) == (iana.NXDOMAIN, expected)


@pytest.mark.rfc("5155", "7.2.3")
def test_nsec3_no_data_matches_the_name_empty_or_not():
    assert proofs(ask(NSEC3, "ns", "TXT")) == matching("ns")
    assert proofs(ask(NSEC3, "ent")) == matching("ent")
    assert proofs(ask(NSEC3, "*.wild")) == matching("*.wild")


@pytest.mark.rfc("5155", "7.2.4")
def test_nsec3_no_ds_matches_the_delegation_or_shows_that_it_opted_out():
    assert proofs(ask(NSEC3, "insecure", "DS")) == matching("insecure")
    expected = matching("@") | covering(OPT_OUT, "insecure")
    assert proofs(ask(OPT_OUT, "insecure", "DS")) == expected
    expected = matching("@") | covering(OPT_OUT, "insecure2")
    assert proofs(ask(OPT_OUT, "child.of.insecure2", "DS")) == expected


@pytest.mark.rfc("5155", "7.2.5")
def test_nsec3_wildcard_no_data_shows_encloser_and_wildcard():
    expected = matching("wild", "*.wild") | covering(NSEC3, "x.wild")
    assert proofs(ask(NSEC3, "x.wild")) == expected
    expected = matching("empty", "*.empty") | covering(NSEC3, "x.empty")
    assert proofs(ask(NSEC3, "y.x.empty")) == expected


@pytest.mark.rfc("5155", "7.2.6")
def test_nsec3_wildcard_answer_denies_the_next_closer_name():
    assert proofs(ask(NSEC3, "a.b.wild", "TXT")) == covering(NSEC3, "b.wild")


@pytest.mark.rfc("5155", "7.2.7")
def test_nsec3_referrals_prove_that_there_is_no_ds():
    assert proofs(ask(NSEC3, "x.insecure")) == matching("insecure")
    assert proofs(ask(OPT_OUT, "x.insecure")) == matching("@") | covering(OPT_OUT, "insecure")
    assert proofs(ask(OPT_OUT, "x.sub")) == set()


@pytest.mark.rfc("5155", "7.2.1")
def test_what_exists_for_opted_out_delegations_alone_gives_way_to_a_provable_encloser():
    expected = matching("@") | covering(OPT_OUT, "insecure2")
    found = ask(OPT_OUT, "of.insecure2")
    assert (found.rcode, proofs(found)) == (iana.NOERROR, expected)
    found = ask(OPT_OUT, "x.of.insecure2")
    expected |= covering(OPT_OUT, "*")
    assert (found.rcode, proofs(found)) == (iana.NXDOMAIN, expected)


@pytest.mark.rfc("5155", "7.2.8")
def test_the_owner_of_an_nsec3_record_does_not_exist():
    owner = hashed("ns")
    for qtype in ("NSEC3", "A", "RRSIG"):
        found = ask(NSEC3, owner, qtype)
        assert (found.rcode, found.answer) == (iana.NXDOMAIN, ())
    assert key(owner) not in NSEC3.nodes
    types = [rrset.rtype for rrset in NSEC3.rrsets()]
    assert types.count(iana.NSEC3) == len(CHAIN + EMPTY) == len(NSEC3.hashed)


def test_proofs_are_the_same_when_asked_again():
    for owner, qtype in (("nobody", "A"), ("ent", "A"), ("x.wild", "A"), ("x.wild", "TXT")):
        assert proofs(ask(NSEC3, owner, qtype)) == proofs(ask(NSEC3, owner, qtype))


@pytest.mark.rfc("5155", "7.3")
def test_of_several_chains_the_cheapest_whole_one_is_used():
    extra = "@ NSEC3PARAM 1 0 1 cd\n@ NSEC3PARAM 1 1 0 -\n@ NSEC3PARAM 2 0 0 -\n"
    of = zone(by_nsec3() + extra)
    assert isinstance(of.denial, Nsec3)
    assert (of.denial.iterations, of.denial.salt) == (2, b"\xab")
    assert proofs(ask(of, "ns", "TXT")) == matching("ns")


@pytest.mark.rfc("5155", "10.4")
def test_nsec3_counts_once_its_parameters_are_there():
    links = "".join(line for line in by_nsec().splitlines(True) if " NSEC " in line)
    assert isinstance(zone(by_nsec3() + links).denial, Nsec3)
    half = "".join(line for line in by_nsec3().splitlines(True) if "NSEC3PARAM" not in line)
    assert isinstance(zone(half + links).denial, Nsec)


@pytest.mark.rfc("9276", "3.1")
def test_a_chain_of_too_many_iterations_gives_no_proofs():
    text = by_nsec3(iterations=MAX_ITERATIONS + 1)
    of = zone(text)
    assert of.denial is None
    assert any("are not served" in fault.message for fault in of.warnings)
    assert shown(ask(of, "nobody").authority) == ["@ SOA", "@ sig(SOA)"]


def test_nsec3_records_that_are_no_part_of_the_chain_are_kept_and_left_out():
    stray = (
        "nonsense NSEC3 1 0 2 ab 00000000000000000000000000000000 A\n"
        "short NSEC3 1 0 2 ab 00000000000000000000000000000000 A\n"
        f"{hashed('ns')}.deep NSEC3 1 0 2 ab 00000000000000000000000000000000 A\n"
        "ffff RRSIG NSEC3 13 2 300 1 1 1 @ AA==\n"
    )
    of = zone(by_nsec3() + stray)
    strangers = [text for text in complaints(of) if "but is not a hash" in text]
    assert [text.partition(" ")[0].partition(".")[0] for text in strangers] == [
        "nonsense",
        "short",
        hashed("ns"),
    ]
    assert proofs(ask(of, "ns", "TXT")) == matching("ns")
    assert ask(of, "deep").rcode == iana.NXDOMAIN
    assert len(of.hashed) == len(CHAIN + EMPTY) + 4


# What is dubious


def complaints(of: Zone) -> list[str]:
    return [fault.message for fault in of.warnings if fault.code == "dnssec"]


def test_a_zone_that_is_signed_well_has_no_complaints():
    assert complaints(NSEC) == []
    assert len(complaints(NSEC3)) == 1
    assert "2 iterations; resolvers may treat" in complaints(NSEC3)[0]
    assert complaints(zone(by_nsec3(iterations=0))) == []


@pytest.mark.rfc("4035", "2.2")
def test_sets_without_signature_are_named_and_served():
    text = by_nsec()
    kept = [line for line in signatures(text).splitlines(True) if " SOA " in line]
    of = parse_zone((text + "".join(kept)).encode(), origin="example.")
    assert "records without signature, the first is example. NS" in complaints(of)[0]
    assert shown(ask(of, "ns").answer) == ["ns A"]
    assert shown(ask(of, "ns", "TXT").authority) == ["@ SOA", "@ sig(SOA)", "ns NSEC"]
    assert shown(ask(of, "x.sub").authority) == ["sub NS", "sub DS"]


@pytest.mark.rfc("4035", "3.1")
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (by_nsec().replace("@ DNSKEY 257 3 13 AA==\n", ""), "but no DNSKEY record"),
        (by_nsec().replace("DNSKEY 257", "DNSKEY 0"), "but no DNSKEY record"),
        (by_nsec3().replace("@ DNSKEY 257 3 13 AA==\n", ""), "but no DNSKEY record"),
    ],
)
def test_without_a_zone_key_signatures_and_chains_are_data(text: str, complaint: str):
    of = zone(text)
    (found,) = complaints(of)
    assert complaint in found
    for owner, qtype in (("ns", "A"), ("nobody", "A"), ("ns", "TXT"), ("x.sub", "A"), ("@", "NS")):
        with_do = ask(of, owner, qtype, minimal=False)
        qname = with_do.answer[0][0] if with_do.answer else name.from_text(f"{owner}.example.")
        without = lookup(Zones([of]), qname, iana.type_number(qtype), minimal=False)
        assert shown(with_do.answer) == shown(without.answer)
        assert shown(with_do.authority) == shown(without.authority)
        assert shown(with_do.additional) == shown(without.additional)
    if of.hashed:
        assert shown(ask(of, "@", "NSEC3PARAM").answer) == ["@ NSEC3PARAM"]
    else:
        assert shown(ask(of, "ns", "NSEC").answer) == ["ns NSEC"]


@pytest.mark.rfc("4035", "2.2")
def test_a_zone_whose_soa_is_unsigned_is_not_signed():
    text = by_nsec()
    kept = [line for line in signatures(text).splitlines(True) if " SOA " not in line]
    of = parse_zone((text + "".join(kept)).encode(), origin="example.")
    assert "its SOA record has no signature" in complaints(of)[0]
    assert shown(ask(of, "ns").answer) == ["ns A"]
    assert shown(ask(of, "nobody").authority) == ["@ SOA"]
    assert "sig(A)" in " ".join(shown(ask(of, "ns", "RRSIG").answer))


@pytest.mark.rfc("4035", "2.3")
def test_holes_in_the_chain_are_named_and_served():
    of = zone(by_nsec().replace("ns NSEC sub A RRSIG NSEC\n", ""))
    assert complaints(of) == [
        "1 names have no NSEC record, the first is ns.example. (RFC 4035 §2.3)"
    ]
    assert proofs(ask(of, "ns", "TXT")) == {"moved"}


def test_a_dubious_zone_is_reported_in_the_line_that_shows_it():
    def lines(of: Zone) -> list[int]:
        return [fault.line for fault in of.warnings if fault.code == "dnssec"]

    text = by_nsec().replace("ns NSEC sub A RRSIG NSEC\n", "")
    assert lines(zone(text)) == [text[: text.index("ns A 192")].count("\n") + 1]
    assert lines(zone(APEX + RECORDS)) == [4]  # the DNSKEY record
    text = by_nsec3()
    assert lines(zone(text)) == [text[: text.index("@ NSEC3PARAM")].count("\n") + 1]


def test_a_signed_zone_without_chain_is_named_and_served():
    of = zone(APEX + RECORDS)
    assert "no complete chain" in complaints(of)[0]
    found = ask(of, "nobody")
    assert (found.rcode, shown(found.authority)) == (iana.NXDOMAIN, ["@ SOA", "@ sig(SOA)"])
