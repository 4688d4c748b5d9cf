"""What holds for every name, every query and every answer, whatever the bytes."""

from __future__ import annotations

import string

import dns.message
import dns.name
import dns.rdata
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead.errors import DecodeError
from pierhead.protocols.dns.codec import DatagramReplyCodec, ReplyCodec
from pierhead.protocols.dns.response import parse_response
from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.encode import encode_reply
from pierhead.protocols.dns.wire.message import Reply
from pierhead.protocols.dns.wire.query import build_query, parse_query
from pierhead.protocols.dns.wire.reader import read_name
from pierhead.protocols.dns.wire.rrset import RRset

DATAGRAM, STREAM = DatagramReplyCodec(), ReplyCodec()
LONGEST = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"\x00." * 30 + b"." + b"\x00"


def to_wire(parts):
    wire = b"".join(bytes([len(part)]) + part for part in parts)
    while len(wire) > 254:
        wire = wire[wire[0] + 1 :]
    return wire + b"\x00"


# Few letters, so that names share suffixes, and any octets, dots and NULs among them.
LABELS = st.one_of(
    st.sampled_from([b"a", b"B", b"example", b"www"]), st.binary(min_size=1, max_size=63)
)
NAMES = st.lists(LABELS, max_size=12).map(to_wire)
TTLS = st.integers(0, 2**31 - 1)
EDNS = st.none() | st.builds(
    Edns,
    st.integers(0, 65535),
    st.booleans(),
    st.just(0),
    st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=20)), max_size=3).map(tuple),
)


def rdata(names):
    """How RDATA of each type is made, its names drawn from these."""
    return {
        iana.A: st.binary(min_size=4, max_size=4),
        iana.NS: names,
        iana.CNAME: names,
        iana.MX: st.tuples(st.binary(min_size=2, max_size=2), names).map(b"".join),
        iana.SOA: st.tuples(names, names, st.binary(min_size=20, max_size=20)).map(b"".join),
        iana.SRV: st.tuples(st.binary(min_size=6, max_size=6), names).map(b"".join),
        65280: st.binary(max_size=300),
    }


def related(qname):
    """Names like the question's: it, its parents, their children, and strangers."""
    parts = name.labels(qname)
    above = st.integers(0, len(parts)).map(lambda n: to_wire(parts[n:]))
    below = st.tuples(LABELS, above).map(lambda pair: to_wire((pair[0], *name.labels(pair[1]))))
    return st.one_of(st.just(qname), above, above.map(bytes.swapcase), below, NAMES)


@st.composite
def messages(draw):
    """A question and three sections."""
    qname = draw(NAMES)
    names = related(qname)
    kinds = rdata(names)
    sections = []
    # Often few sets: then answers are put together from what the sets keep ready.
    for most in draw(st.sampled_from([(1, 0, 0), (2, 1, 0), (0, 1, 0), (3, 3, 3)])):
        sets = []
        for _ in range(draw(st.integers(0, most))):
            rtype = draw(st.sampled_from(list(kinds)))
            rdatas = draw(st.lists(kinds[rtype], min_size=1, max_size=4, unique=True))
            owner = draw(names)
            shown = draw(st.sampled_from([owner, owner, qname]))  # as a wildcard would have it
            sets.append((shown, RRset(owner, rtype, draw(TTLS), tuple(rdatas))))
        sections.append(tuple(sets))
    return qname, *sections


def records(section):
    return sorted(
        (owner.lower(), one.rtype, one.ttl, fold(one.rtype, data))
        for owner, one in section
        for data in one.rdatas
    )


def fold(rtype, data):
    return data.lower() if rtype in (iana.NS, iana.CNAME, iana.MX, iana.SOA) else data


def parsed_records(section):
    """The same of what dnspython, or our own client, read."""
    found = []
    for one in section:
        read = dns.rdata.from_wire("IN", one.rtype, one.frame, one.start, one.length)
        wire = read.to_wire()
        found.append((one.owner.lower(), one.rtype, one.ttl, fold(one.rtype, wire)))
    return sorted(found)


@given(NAMES)
@example(LONGEST)
@example(b"\x01.\x00")
def test_a_name_survives_text_and_dnspython_agrees(wire):
    text = name.to_text(wire)
    assert name.from_text(text) == wire
    theirs = dns.name.from_wire(wire, 0)[0]
    assert theirs.labels[:-1] == name.labels(wire)
    assert dns.name.from_text(text).to_wire() == wire
    assert read_name(wire, 0) == (wire, len(wire))


@shares(read=0.1, refused=0.05)
@given(
    st.one_of(
        st.lists(st.sampled_from(["a", ".", "..", "\\", "\\065", "\\999", "b" * 64])).map("".join),
        st.text(alphabet=string.printable + "\N{LATIN SMALL LETTER E WITH ACUTE}", max_size=80),
    )
)
def test_any_text_is_a_name_or_a_decode_error(text):
    try:
        wire = name.from_text(text, b"\x07example\x00")
    except DecodeError:
        met("refused")
        return
    met("read")
    assert name.from_text(name.to_text(wire)) == wire


@given(NAMES, NAMES)
def test_ancestry_is_what_dnspython_says(first, second):
    ours = name.is_subdomain(first, second)
    assert ours == dns.name.from_wire(first, 0)[0].is_subdomain(dns.name.from_wire(second, 0)[0])
    assert name.is_subdomain(first, name.parent(first))


def answered_or_dropped(frame):
    """Decode; a message of 12 octets and QR=0 gets a well-formed answer whatever it is."""
    try:
        reply = DATAGRAM.encode(parse_query(frame).reply())
        met("answered")
    except DecodeError as error:
        reply = DATAGRAM.reject(error, frame)
        if len(frame) < 12 or frame[2] & 0x80:
            assert reply is None
            met("dropped")
            return
        met("refused")
        assert reply is not None
    assert reply[:2] == frame[:2]
    assert reply[2] & 0x80
    assert (reply[2] ^ frame[2]) & 0x78 == 0
    # RD is a query's.
    assert reply[2] & 1 == (0 if frame[2] & 0x78 else frame[2] & 1)
    assert len(reply) <= 512
    parse_response(reply)


#: Octets, the half of them behind the head of a query and its question.
OCTETS = st.one_of(
    st.binary(max_size=64),
    st.tuples(
        st.binary(min_size=2, max_size=2),
        NAMES,
        st.one_of(st.binary(min_size=4, max_size=4), st.binary(max_size=24)),
    ).map(lambda parts: parts[0] + b"\1\0\0\1" + bytes(6) + parts[1] + parts[2]),
)


@shares(answered=0.1, refused=0.05, dropped=0.04)
@given(OCTETS)
@example(b"")
def test_any_bytes_are_a_query_or_a_decode_error(frame):
    answered_or_dropped(frame)


@shares(answered=0.1, refused=0.1, dropped=0.05)
@given(NAMES, st.integers(0, 65535), EDNS, st.data())
def test_a_damaged_query_is_a_query_or_a_decode_error(qname, qtype, edns, data):
    frame = bytearray(build_query(1, qname, qtype, edns=edns))
    for _ in range(data.draw(st.integers(1, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    answered_or_dropped(bytes(frame[: data.draw(st.integers(0, len(frame)))]))
    answered_or_dropped(bytes(frame))


@given(st.integers(0, 65535), NAMES, st.integers(0, 65535), EDNS, st.booleans())
@example(1, LONGEST, 1, None, True)
def test_a_query_survives_the_wire(ident, qname, qtype, edns, rd):
    query = parse_query(build_query(ident, qname, qtype, edns=edns, rd=rd))
    assert (query.id, query.qname, query.qtype, query.edns) == (ident, qname, qtype, edns)
    assert query.recursion_desired is rd


@given(messages(), EDNS, st.sampled_from([0, 3]))
def test_what_is_built_is_what_is_read(message, edns, rcode):
    qname, answer, authority, glue = message
    query = parse_query(build_query(1, qname, iana.A, edns=edns))
    frame = STREAM.encode(Reply(query, rcode, True, answer, authority, glue=glue))
    theirs = dns.message.from_wire(frame, one_rr_per_rrset=True, continue_on_error=False)
    assert theirs.question[0].name.to_wire() == qname
    assert theirs.rcode() == rcode
    assert (theirs.edns, bool(theirs.ednsflags & 0x8000)) == (
        (-1, False) if edns is None else (0, edns.do)
    )
    ours = parse_response(frame)
    for section, read, count in (
        (answer, ours.answer, theirs.answer),
        (authority, ours.authority, theirs.authority),
        (glue, ours.additional, theirs.additional),
    ):
        assert parsed_records(read) == records(section)
        assert sum(len(one) for one in count) == len(read)
    # Said a second time, from what the sets keep ready by now, it is the same.
    assert STREAM.encode(Reply(query, rcode, True, answer, authority, glue=glue)) == frame


@given(messages(), EDNS)
def test_no_answer_exceeds_its_limit_or_carries_half_of_what_is_required(message, edns):
    qname, answer, authority, additional = message
    query = parse_query(build_query(1, qname, iana.A, edns=edns))
    reply = Reply(query, 0, True, answer, authority, additional=additional)
    frame = DATAGRAM.encode(reply)
    assert len(frame) <= (512 if edns is None else min(max(edns.payload, 512), 1232))
    read = parse_response(frame)
    if read.truncated:
        assert read.answer == read.authority == read.additional == ()
    else:
        assert parsed_records(read.answer) == records(answer)
        assert parsed_records(read.authority) == records(authority)
        # Optional sets are whole, and a leading part of what was offered.
        whole = [records(additional[:n]) for n in range(len(additional) + 1)]
        assert parsed_records(read.additional) in whole


@st.composite
def pointing(draw):
    """A name, and one behind it that may go on with a part of the first, and where it begins."""
    first = draw(st.binary(max_size=3)) + draw(NAMES)
    labels = b"".join(bytes([len(label)]) + label for label in draw(st.lists(LABELS, max_size=4)))
    at = draw(st.integers(0, len(first)))
    end = draw(st.sampled_from([b"\0", (0xC000 | at).to_bytes(2, "big")]))
    return first + labels + end + draw(st.binary(max_size=3)), len(first)


@shares(read=0.1, refused=0.1)
@given(st.one_of(st.tuples(st.binary(max_size=80), st.integers(0, 80)), pointing()))
def test_any_bytes_are_a_name_or_a_decode_error(place):
    frame, start = place
    try:
        wire, end = read_name(frame, start)
    except DecodeError:
        met("refused")
        return
    met("read")
    assert len(wire) <= 255
    assert start < end <= len(frame)
    assert name.join(name.labels(wire)) == wire


@st.composite
def responses(draw):
    """A message of ours, often with a few octets changed, perhaps cut off."""
    qname, answer, authority, additional = draw(messages())
    query = parse_query(build_query(1, qname, iana.A, edns=draw(EDNS)))
    frame = bytearray(STREAM.encode(Reply(query, 0, True, answer, authority, glue=additional)))
    for _ in range(draw(st.integers(0, 3))):
        frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.sampled_from([len(frame), draw(st.integers(0, len(frame)))]))])


@shares(read=0.1, refused=0.1)
@given(st.one_of(st.binary(max_size=100), responses()))
def test_any_bytes_are_a_response_or_a_decode_error(frame):
    try:
        found = parse_response(frame)
    except DecodeError:
        met("refused")
        return
    met("read")
    for one in (*found.answer, *found.authority, *found.additional):
        assert 0 < one.start <= one.start + one.length <= len(frame)


class _Counted(dict):
    """A table of suffixes that counts how often it is asked."""

    asked = 0

    def get(self, key, default=None):
        type(self).asked += 1
        return super().get(key, default)


@pytest.mark.parametrize("count", [100, 400])
def test_the_work_of_compression_grows_with_the_message_and_no_faster(count, monkeypatch):
    from pierhead.protocols.dns.wire.writer import Writer

    # The worst names: many labels, all different at the front, so that every suffix is tried.
    owners = [to_wire([b"%d" % n, *[b"x"] * 100]) for n in range(count)]
    _Counted.asked = 0
    writer = Writer(parse_query(build_query(1, b"\x00", 1, edns=None)), 65535)
    writer._places = _Counted()
    for owner in owners:
        writer.write(((owner, RRset(owner, iana.NS, 0, (owner,))),))
    assert _Counted.asked <= len(writer.buf)


@given(st.integers(1, 60), st.sampled_from([iana.MX, iana.NS, iana.PTR]))
def test_names_that_nest_do_not_make_long_chains_of_pointers(count, rtype):
    """Each name begins with a label more than the one before; dnspython follows 16 pointers."""
    targets = [to_wire([b"a"] * n + [b"example"]) for n in range(1, count + 1)]
    prefix = b"\x00\x0a" if rtype == iana.MX else b""
    rrset = RRset(b"\x00", rtype, 0, tuple(prefix + target for target in targets))
    query = parse_query(build_query(1, b"\x00", rtype, edns=None))
    answer = encode_reply(Reply(query, 0, True, ((b"\x00", rrset),)), 65535, 1232)
    message = dns.message.from_wire(answer)
    assert [str(getattr(r, "target", None) or r.exchange) for r in message.answer[0]] == [
        name.to_text(target) for target in targets
    ]


def test_a_chain_of_pointers_ends_early():
    frame = b"\x00\x00" + b"".join(
        (0xC000 | max(at - 2, 0)).to_bytes(2, "big") for at in range(2, 16000, 2)
    )
    with pytest.raises(DecodeError, match="backwards"):
        read_name(frame, len(frame) - 2)
    assert read_name(frame, 40)[0] == b"\x00"
