"""Two records are the same where their canonical forms are (RFC 4034 §6.2, RFC 6840 §5.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.canonical import (
    canonical_rdata,
    names_problem,
    unique_rdatas,
)
from pierhead.protocols.dns.wire.record import Record, rrsets

UPPER = name.from_text("HOST.Example.")
LOWER = name.from_text("host.example.")
#: RDATA of every type on the list of RFC 4034 §6.2 (NSEC and HINFO struck off by RFC 6840 §5.1):
#: what stands before the names, how many, what stands behind. All has letters that must stay.
LISTED = {
    "NS MD MF CNAME MB MG MR PTR DNAME": (b"", 1, b""),
    "SOA": (b"", 2, b"ABCD" * 5),
    "MINFO RP": (b"", 2, b""),
    "MX AFSDB RT KX": (b"AB", 1, b""),
    "PX": (b"AB", 2, b""),
    "SRV": (b"ABCDEF", 1, b""),
    "NAPTR": (b"ABCD\1S\1E\3RGX", 1, b""),
    "SIG RRSIG": (b"ABCDEFGHIJKLMNOPQR", 1, b"SIGNATURE"),
    "NXT": (b"", 1, b"BITMAP"),
    "A6": (b"\x78A", 1, b""),
}
TYPES = [(rtype, *parts) for rtypes, parts in LISTED.items() for rtype in rtypes.split()]
NOT_LISTED = [
    "NSEC",
    "HINFO",
    "TXT",
    "LP",
    "SVCB",
    "HTTPS",
    "IPSECKEY",
    "HIP",
    "TALINK",
    "TYPE65280",
]


@pytest.mark.rfc("4034", "6.2")
@pytest.mark.rfc("6840", "5.1")
@pytest.mark.parametrize(("text", "before", "count", "behind"), TYPES, ids=[t[0] for t in TYPES])
def test_names_of_listed_types_are_compared_without_case(text, before, count, behind):
    rtype = iana.type_number(text)
    upper, lower = (before + owner * count + behind for owner in (UPPER, LOWER))
    assert canonical_rdata(rtype, upper) == lower
    assert unique_rdatas(rtype, (upper, lower)) == (upper,)
    assert names_problem(rtype, upper) == ""


@pytest.mark.rfc("3597", "7")
@pytest.mark.parametrize("text", NOT_LISTED)
def test_other_types_are_compared_octet_by_octet(text: str):
    rtype = iana.type_number(text)
    assert canonical_rdata(rtype, UPPER) == UPPER
    assert unique_rdatas(rtype, (UPPER, LOWER, UPPER)) == (UPPER, LOWER)


def test_octets_outside_of_names_keep_their_case():
    mx = iana.MX
    assert canonical_rdata(mx, b"AB" + LOWER) != canonical_rdata(mx, b"ab" + LOWER)


@given(rtype=st.sampled_from([iana.type_number(t[0]) for t in TYPES]), rdata=st.binary(max_size=60))
def test_any_octets_have_a_canonical_form_of_the_same_length(rtype: int, rdata: bytes):
    found = canonical_rdata(rtype, rdata)
    assert found.lower() == rdata.lower()
    assert canonical_rdata(rtype, found) == found
    names_problem(rtype, rdata)


def test_the_records_of_a_reply_that_differ_in_case_are_one():
    one, other = Record(iana.NS, UPPER), Record(iana.NS, LOWER)
    ((_, rrset),) = rrsets([one, other], LOWER, 60)
    assert rrset.rdatas == (UPPER,)
