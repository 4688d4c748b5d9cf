"""Laws of zone text: what is printed reads back as the same, whatever the octets."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.rrset import RRset
from pierhead.protocols.dns.zone.format import format_record, format_zone
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.rdata_format import format_rdata

HEAD = b"example. 300 IN SOA ns. h. 1 2 3 4 60\nexample. 300 IN NS ns.\n"

#: Every type that a zone holds and that has a mnemonic, and one that has none.
TYPES = [n for n in [*range(1, 270), 32768, 32769, 65280] if not iana.is_meta_type(n)]
LABELS = st.lists(st.binary(min_size=1, max_size=8), min_size=1, max_size=4)


@shares(text=0.1, refused=0.1)
@settings(max_examples=300, deadline=None)
@given(rtype=st.sampled_from(TYPES), rdata=st.binary(max_size=80))
@example(rtype=iana.A, rdata=b"\0\0\0\0")
def test_any_octets_have_a_text_or_are_refused(rtype: int, rdata: bytes):
    try:
        text = format_rdata(rtype, rdata)
    except DecodeError:
        met("refused")
        return
    met("text")
    assert text.isascii()
    assert text.isprintable()


#: RDATA that is likely to be valid, by the kinds of its fields.
def names() -> st.SearchStrategy[bytes]:
    return LABELS.map(lambda labels: name.join(tuple(labels)))


def strings() -> st.SearchStrategy[bytes]:
    return st.binary(max_size=40).map(lambda text: bytes((len(text),)) + text)


def joined(*parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(*parts).map(b"".join)


def octets(count: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=count, max_size=count)


PARAMETERS = st.dictionaries(
    st.integers(5, 65535).filter(lambda key: key > 9), st.binary(max_size=20), max_size=3
).map(
    lambda params: b"".join(
        key.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
        for key, value in sorted(params.items())
    )
)
PROTOCOLS = st.lists(
    st.binary(min_size=1, max_size=6).map(lambda item: bytes((len(item),)) + item), min_size=1
).map(b"".join)
RECORDS = st.one_of(
    st.tuples(st.just(iana.A), octets(4)),
    st.tuples(st.just(iana.AAAA), octets(16)),
    st.tuples(st.just(iana.TXT), st.lists(strings(), min_size=1, max_size=3).map(b"".join)),
    st.tuples(st.just(iana.PTR), names()),
    st.tuples(st.just(iana.MX), joined(octets(2), names())),
    st.tuples(st.just(iana.SRV), joined(octets(6), names())),
    st.tuples(st.just(iana.NAPTR), joined(octets(4), strings(), strings(), strings(), names())),
    st.tuples(st.just(256), joined(octets(4), st.binary(max_size=30))),
    st.tuples(st.just(61), st.binary(min_size=1, max_size=60)),
    st.tuples(st.just(iana.HTTPS), joined(octets(2), names(), PARAMETERS)),
    st.tuples(
        st.just(iana.SVCB),
        joined(
            octets(2),
            names(),
            PROTOCOLS.map(lambda value: b"\0\1" + len(value).to_bytes(2, "big") + value),
        ),
    ),
    st.tuples(st.just(104), octets(10)),
    st.tuples(st.just(65280), st.binary(max_size=30)),
)


@settings(max_examples=200, deadline=None)
@given(
    records=st.lists(
        st.tuples(LABELS, RECORDS, st.integers(0, 2**31 - 1)),
        max_size=6,
        unique_by=lambda record: (tuple(label.lower() for label in record[0]), record[1][0]),
    )
)
def test_the_zone_that_is_printed_is_the_zone_that_is_read(
    records: list[tuple[list[bytes], tuple[int, bytes], int]],
):
    origin = name.from_text("example.")
    lines = []
    expected = set()
    for labels, (rtype, rdata), ttl in records:
        owner = name.join(tuple(labels), origin)
        lines.append(format_record(RRset(owner, rtype, ttl, (rdata,)), rdata))
        expected.add((owner, rtype, ttl, rdata))
    zone = parse_zone(HEAD + "\n".join(lines).encode())
    found = {
        (rrset.owner, rrset.rtype, rrset.ttl, rdata)
        for rrset in zone.rrsets()
        for rdata in rrset.rdatas
        if name.key(rrset.owner) != zone.key
    }
    assert found == expected
    text = "\n".join(format_zone(zone))
    again = parse_zone(text.encode())
    assert "\n".join(format_zone(again)) == text


@pytest.mark.rfc("3597", "5")
@settings(max_examples=50, deadline=None)
@given(rdata=st.binary(max_size=60))
def test_a_type_without_a_mnemonic_is_printed_in_hexadecimal(rdata: bytes):
    assert format_rdata(65280, rdata) == f"\\# {len(rdata)} {rdata.hex()}".rstrip()
