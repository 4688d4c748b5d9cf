"""What is passed on is what was received: every record, bit and letter."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.dns.codec import DatagramReplyCodec, ReplyCodec
from pierhead.protocols.dns.response import Response, parse_response
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.canonical import uncompressed_rdata
from pierhead.protocols.dns.wire.edns import Edns, build_opt
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.query import build_query, parse_query

ASKED = from_text("wWw.example.")
AA, TC, RD, RA, AD, CD = 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
NAMES = st.sampled_from(
    [
        from_text(text)
        for text in (
            ".",
            "www.example.",
            "WWW.EXAMPLE.",
            "a.Www.Example.",
            "b.example.",
            "B.other.",
        )
    ]
)
#: A name at an offset into the message may be written as a pointer to the question.
TARGETS = st.one_of(NAMES, st.just(b"\xc0\x0c"), st.just(b"\1x\xc0\x10"))
WORD = st.integers(0, 0xFFFF).map(lambda number: number.to_bytes(2, "big"))


def data_of(kind: str) -> st.SearchStrategy[bytes]:
    match kind:
        case "NS" | "CNAME" | "PTR" | "DNAME":
            parts = [TARGETS]
        case "MX":
            parts = [WORD, TARGETS]
        case "SRV":
            parts = [WORD, WORD, WORD, TARGETS]
        case "SOA":
            parts = [TARGETS, TARGETS, st.binary(min_size=20, max_size=20)]
        case "NAPTR":
            parts = [WORD, WORD, st.just(b"\1u\3E2U\0"), TARGETS]
        case "RRSIG":
            parts = [WORD, st.binary(min_size=16, max_size=16), NAMES, st.binary(max_size=3)]
        case _:
            parts = [st.binary(max_size=6)]
    return st.tuples(*parts).map(b"".join)


KINDS = ("NS", "CNAME", "PTR", "DNAME", "MX", "SRV", "SOA", "NAPTR", "RRSIG", "TXT", "TYPE65280")


@st.composite
def records(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from(KINDS))
    owner, data = draw(TARGETS), draw(data_of(kind))
    ttl, rclass = draw(st.sampled_from([0, 60, 2**31 - 1])), draw(st.sampled_from([1, 3]))
    return owner + struct.pack("!HHIH", iana.type_number(kind), rclass, ttl, len(data)) + data


SECTION = st.lists(records(), max_size=4)
OPTIONS = st.lists(
    st.tuples(st.sampled_from([3, 8, 10, 11, 12, 15]), st.binary(max_size=5)), max_size=3
).map(tuple)
FLAGS = st.lists(st.sampled_from([AA, TC, RD, RA, AD, CD]), unique=True).map(sum)


def response(flags=0, sections=((), (), ()), edns=None, question=ASKED + b"\0\1\0\1") -> bytes:
    counts = [len(section) for section in sections]
    counts[2] += edns is not None
    head = struct.pack("!6H", 99, 0x8000 | flags, 1, *counts)
    body = b"".join(b"".join(section) for section in sections)
    return head + question + body + (b"" if edns is None else build_opt(edns))


def query(*, edns=Edns(do=True), flags=0, name="WwW.eXample."):  # noqa: B008  # a value
    return parse_query(build_query(7, from_text(name), 1, edns=edns, flags=flags))


def read(records) -> list[tuple[bytes, int, int, int, bytes]]:
    """Return records without anything that compression decides."""
    return [
        (
            r.owner if r.owner.lower() != ASKED.lower() else ASKED,
            r.rtype,
            r.rclass,
            r.ttl,
            uncompressed_rdata(r.rtype, r.frame, r.start, r.length),
        )
        for r in records
    ]


def sections_of(found: Response) -> list:
    return [read(section) for section in (found.answer, found.authority, found.additional)]


@pytest.mark.rfc("3597", "4")
@given(flags=FLAGS, rcode=st.integers(0, 15), sections=st.tuples(SECTION, SECTION, SECTION))
@example(flags=0, rcode=0, sections=((), (), ()))
def test_a_response_is_passed_on_record_for_record(flags, rcode, sections):
    came = parse_response(response(flags | rcode, sections))
    asked = query()
    went = parse_response(ReplyCodec().encode(came.to_reply(asked)))
    assert (went.id, went.question) == (7, (asked.qname, 1, 1))
    assert went.rcode == rcode
    assert went.flags & (AA | TC | RA | AD | CD) == flags & (AA | TC | RA | AD | CD)
    assert sections_of(went) == ([[], [], []] if flags & TC else sections_of(came))


@given(options=OPTIONS, rcode=st.sampled_from([0, 3, 16, 23]))
def test_of_the_options_only_reasons_travel_unless_more_are_asked_for(options, rcode):
    frame = bytearray(response(rcode & 15, edns=Edns(options=options)))
    frame[len(ASKED) + 4 + 12 + 5] = rcode >> 4
    came = parse_response(bytes(frame))
    assert came.rcode == rcode
    went = parse_response(ReplyCodec().encode(came.to_reply(query())))
    assert went.rcode == (rcode if rcode < 16 else iana.SERVFAIL)
    assert went.edns.options == tuple(option for option in options if option[0] == 15)
    went = parse_response(ReplyCodec().encode(came.to_reply(query(), options=(8, 15))))
    assert went.edns.options == tuple(option for option in options if option[0] in (8, 15))
    assert parse_response(ReplyCodec().encode(came.to_reply(query(edns=None)))).edns is None


@pytest.mark.rfc("6840", "5.8")
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (query(edns=None), False),
        (query(edns=Edns()), False),
        (query(edns=None, flags=AD), True),
        (query(), True),
    ],
)
def test_ad_is_forwarded_to_clients_that_request_it(asked, told):
    came = parse_response(response(AD))
    assert parse_response(ReplyCodec().encode(came.to_reply(asked))).authentic_data is told


def test_signatures_over_the_message_stay_behind():
    tsig = b"\0" + struct.pack("!HHIH", 250, 255, 0, 1) + b"x"
    sig0 = b"\0" + struct.pack("!HHIH", 24, 255, 0, 19) + bytes(19)
    kept = b"\1a\0" + struct.pack("!HHIH", 24, 1, 0, 19) + b"\0\1" + bytes(17)
    came = parse_response(response(0, ((), (), (kept, sig0, tsig))))
    went = parse_response(ReplyCodec().encode(came.to_reply(query())))
    assert [(r.rtype, r.octets[:2]) for r in went.additional] == [(24, b"\0\1")]


@pytest.mark.rfc("9471", "3")
def test_a_referral_that_does_not_fit_says_tc_and_other_additional_records_do_not():
    servers = [
        b"\2ex\0" + struct.pack("!HHIH", 2, 1, 60, len(name)) + name
        for name in (bytes([9]) + b"%09d" % i + b"\2ex\0" for i in range(14))
    ]
    glue = [
        bytes([9]) + b"%09d" % i + b"\2ex\0" + struct.pack("!HHIH4s", 1, 1, 60, 4, bytes(4))
        for i in range(14)
    ]
    asked = query(edns=None)
    for answer, is_cut in (((), True), ((b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 0, 0),), False)):
        came = parse_response(response(0, (answer, servers, glue)))
        went = parse_response(DatagramReplyCodec().encode(came.to_reply(asked)))
        assert went.truncated is is_cut
        assert len(went.frame) <= 512


@pytest.mark.parametrize("question", [b"\1x\0\0\1\0\1", ASKED + b"\0\2\0\1", ASKED + b"\0\1\0\3"])
def test_the_answer_to_another_question_is_not_passed_on(question):
    came = parse_response(response(question=question))
    with pytest.raises(UsageError, match=r"the response answers .*expected an answer to <Query"):
        came.to_reply(query())


def test_data_that_is_not_laid_out_as_its_type_wants_is_an_error_of_the_peer():
    for data in (b"\xc0\x0cx", b"\1a", b"\xc0"):
        bad = b"\0" + struct.pack("!HHIH", 2, 1, 0, len(data)) + data
        with pytest.raises(DecodeError):
            parse_response(response(0, ((bad,), (), ()))).to_reply(query())
