"""Laws of zones: reading never fails but in one way, and what is printed reads back."""

from __future__ import annotations

import dns.message
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead.errors import ConfigError
from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.encode import MAX_MESSAGE, encode_reply
from pierhead.protocols.dns.wire.message import Reply
from pierhead.protocols.dns.wire.query import build_query, parse_query
from pierhead.protocols.dns.zone.lookup import lookup
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.tokenizer import EntryError, read_entry
from pierhead.protocols.dns.zone.zone import Zone, Zones

HEAD = b"@ 300 SOA ns h 1 2 3 4 60\n@ 300 NS ns\nns 300 A 192.0.2.53\n"

WORDS = st.sampled_from(
    b"""@ a b.a *.a a..b 300 1h IN CH A AAAA NS CNAME DNAME MX TXT SOA RRSIG NSEC NSEC3 SVCB HTTPS
    LOC APL HIP CAA TYPE65280 \\# 0 4 192.0.2.1 ::1 $ORIGIN $TTL $INCLUDE $GENERATE 1-3 ${0,2,x} $
    ( ) " \\ \\999 \\065 ; AQID ff alpn=h2 key1= port=1 mandatory=alpn - . x.test. \xff""".split()
)
LINES = st.lists(
    st.tuples(st.sampled_from([b"", b" "]), st.lists(WORDS, max_size=8)).map(
        lambda line: line[0] + b" ".join(line[1])
    ),
    max_size=8,
).map(b"\n".join)
RIGHT = st.lists(
    st.sampled_from([b"a A 192.0.2.1", b" TXT a", b"b 5 MX 0 a", b"$TTL 9", b"; a", b""]),
    max_size=4,
).map(b"\n".join)


def include(path: str) -> bytes:
    return HEAD if path == "a" else b"$INCLUDE b\n"


@shares(read=0.02, refused=0.1)
@settings(max_examples=150, deadline=None)
@given(
    text=st.one_of(st.binary(max_size=200), LINES, RIGHT), head=st.sampled_from([HEAD, HEAD, b""])
)
def test_any_octets_are_a_zone_or_a_config_error(text: bytes, head: bytes):
    refusal: ConfigError | None = None
    try:
        found = parse_zone(head + text, origin="example.", include=include)
    except ConfigError as error:
        refusal = error
    met("refused" if refusal else "read")
    if refusal is None:
        assert found.apex.sets[iana.SOA] is found.soa
    else:
        assert refusal.faults
        assert all(str(fault) for fault in refusal.faults)


@shares(read=0.1, refused=0.02)
@settings(max_examples=150, deadline=None)
@given(text=st.one_of(st.binary(max_size=200), LINES))
def test_the_tokenizer_always_moves_on(text: bytes):
    position = 0
    while position < len(text):
        try:
            following = read_entry(text, position).end
            met("read")
        except EntryError as error:
            following = error.resume
            met("refused")
        assert position < following <= len(text)
        position = following


def printed(found: Zone) -> bytes:
    """Write all records with RDATA in the form of RFC 3597."""
    return "".join(
        f"{name.to_text(rrset.owner)} {rrset.ttl} {iana.type_text(rrset.rtype)} "
        f"\\# {len(rdata)} {rdata.hex()}\n"
        for rrset in found.rrsets()
        for rdata in rrset.rdatas
    ).encode()


def contents(found: Zone) -> set[tuple[bytes, int, int, frozenset[bytes]]]:
    return {(s.owner, s.rtype, s.ttl, frozenset(s.rdatas)) for s in found.rrsets()}


LABELS = st.binary(min_size=1, max_size=12)
RECORDS = st.lists(st.tuples(LABELS, st.integers(0, 2**31 - 1), st.binary(max_size=40)), max_size=6)


@pytest.mark.rfc("3597", "5")
@settings(max_examples=60, deadline=None)
@given(records=RECORDS)
def test_what_is_printed_in_hexadecimal_reads_back(records: list[tuple[bytes, int, bytes]]):
    text = HEAD + b"".join(
        name.to_text(name.join([label], b"\7example\0")).encode()
        + b" %d TYPE65280 \\# %d %s\n" % (ttl, len(rdata), rdata.hex().encode())
        for label, ttl, rdata in records
    )
    found = parse_zone(text, origin="example.")
    assert contents(parse_zone(printed(found), origin="example.")) == contents(found)


STRINGS = st.lists(st.binary(max_size=20), min_size=1, max_size=4)


@pytest.mark.rfc("1035", "5.1")
@settings(max_examples=60, deadline=None)
@given(strings=STRINGS)
def test_any_strings_can_be_written_in_quotes_and_escapes(strings: list[bytes]):
    quoted = ['"' + "".join(f"\\{octet:03d}" for octet in string) + '"' for string in strings]
    found = parse_zone(HEAD + f"t 5 TXT {' '.join(quoted)}\n".encode(), origin="example.")
    (rdata,) = found.nodes[b"\1t\7example\0"].sets[iana.TXT].rdatas
    assert rdata == b"".join(bytes((len(string),)) + string for string in strings)


OWNERS = st.lists(st.sampled_from(["a", "b", "*", "c"]), min_size=1, max_size=3).map(".".join)
DATA = st.sampled_from(["A 192.0.2.1", "CNAME {}", "NS {}", "DNAME {}", "TXT x"])


@shares(read=0.3, refused=0.1)
@settings(max_examples=200, deadline=None)
@given(
    records=st.lists(st.tuples(OWNERS, DATA, OWNERS), max_size=8),
    qname=OWNERS,
    qtype=st.sampled_from(["A", "CNAME", "NS", "DS", "ANY", "DNAME", "RRSIG"]),
    minimal=st.booleans(),
)
def test_every_question_has_an_answer_that_fits_together(
    records: list[tuple[str, str, str]], qname: str, qtype: str, minimal: bool
):
    text = "".join(f"{owner} 5 {data.format(target)}\n" for owner, data, target in records)
    try:
        found = parse_zone(HEAD + text.encode(), origin="example.")
    except ConfigError:
        met("refused")
        assume(False)
    met("read")
    asked = name.from_text(f"{qname}.example.")
    reply = lookup(
        Zones([found]), asked, iana.type_number(qtype), minimal=minimal, trace=not minimal
    )
    assert reply.rcode in (iana.NOERROR, iana.NXDOMAIN, iana.YXDOMAIN)
    kinds = [rrset.rtype for _, rrset in reply.authority]
    if reply.rcode == iana.NXDOMAIN:
        assert kinds == [iana.SOA]
    if not reply.authoritative:
        assert kinds == [iana.NS]
        assert reply.answer == ()
    if reply.answer and reply.answer[0][1].rtype != iana.DNAME:
        assert reply.answer[0][0] == asked
    # Nine aliases at most are shown, each with its DNAME, perhaps, and what the last leads to.
    assert len(set(reply.answer)) == len(reply.answer) <= 2 * 9 + 1


@pytest.mark.rfc("1034", "4.3.2")
@shares(read=0.3, refused=0.1)
@settings(max_examples=200, deadline=None)
@given(records=st.lists(st.tuples(OWNERS, DATA, OWNERS), max_size=8), target=OWNERS)
def test_the_addresses_beside_an_answer_are_those_that_would_be_answered(
    records: list[tuple[str, str, str]], target: str
):
    text = "".join(f"{owner} 5 {data.format(to)}\n" for owner, data, to in records)
    try:
        found = parse_zone(HEAD + f"{text}mail 5 MX 1 {target}\n".encode(), origin="example.")
    except ConfigError:
        met("refused")
        assume(False)
    met("read")
    zones = Zones([found])
    mail = lookup(zones, name.from_text("mail.example."), iana.MX, minimal=False)
    direct = lookup(zones, name.from_text(f"{target}.example."), iana.A)
    beside = [(at, rrset) for at, rrset in mail.additional if rrset.rdatas != (b"\xc0\0\2\x35",)]
    if direct.authoritative and [rrset.rtype for _, rrset in direct.answer] == [iana.A]:
        assert beside == list(direct.answer)
    elif direct.authoritative:
        assert beside == []
    else:  # glue, which is written under the name itself
        assert all(rrset.owner == at for at, rrset in beside)


FRONTS = st.lists(st.sampled_from(["x", "*", "yz"]), max_size=5)
TOPS = st.sampled_from(["a", "b", "c"])
CHAINS = st.dictionaries(TOPS, st.tuples(st.sampled_from(["DNAME", "CNAME"]), FRONTS, TOPS))


@pytest.mark.rfc("1034", "3.6.2")
@pytest.mark.rfc("6672", "2.2")
@settings(max_examples=100, deadline=None)
@given(
    chains=CHAINS, front=FRONTS, top=TOPS, qtype=st.sampled_from(["A", "DNAME"]), full=st.booleans()
)
@example(
    chains={"a": ("DNAME", ["*", "*", "x", "yz"], "a")},
    front=["x"],
    top="a",
    qtype="A",
    full=True,
)
def test_where_aliases_go_round_the_answer_can_be_read_by_others(
    chains: dict[str, tuple[str, list[str], str]],
    front: list[str],
    top: str,
    qtype: str,
    full: bool,
):
    text = "".join(
        f"{owner} 5 {rtype} {'.'.join([*prefix, target])}\n"
        for owner, (rtype, prefix, target) in chains.items()
    )
    zones = Zones([parse_zone(HEAD + text.encode(), origin="example.")])
    asked = name.from_text(".".join([*front, top, "example."]))
    number = iana.type_number(qtype)
    found = lookup(zones, asked, number, minimal=not full)
    reply = Reply(
        parse_query(build_query(7, asked, number, edns=None)),
        found.rcode,
        found.authoritative,
        found.answer,
        found.authority,
        glue=found.glue,
        additional=found.additional,
    )
    # dnspython follows 16 pointers for a name, and takes a message with more for an attack.
    read = dns.message.from_wire(encode_reply(reply, MAX_MESSAGE, 1232), one_rr_per_rrset=True)
    assert len(read.answer) == sum(len(rrset.rdatas) for _, rrset in found.answer)
