"""Laws of what a client prints: whatever arrives, nothing breaks and no terminal is controlled."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead.cli.query_text import Answer, Paint, show_json, show_short, show_table
from pierhead.cli.query_words import parse_words
from pierhead.errors import DecodeError, UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.codec import ReplyCodec
from pierhead.protocols.dns.explanation import conclude
from pierhead.protocols.dns.response import parse_response
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.name import join
from pierhead.protocols.dns.wire.query import build_query, parse_query
from pierhead.protocols.dns.wire.rrset import RRset

SHOWN = parse_words(["--zone", "x"]).on
TYPES = st.sampled_from([1, 2, 5, 6, 15, 16, 28, 29, 33, 35, 41, 42, 46, 47, 50, 64, 257, 65280])
#: No name that the encoder would compress: then any octets can be RDATA.
FREE = TYPES.filter(lambda number: number not in (2, 5, 6, 15, 41))
RECORDS = st.lists(
    st.tuples(st.binary(min_size=1, max_size=5), FREE, st.binary(max_size=30)), max_size=3
)
OPTIONS = st.lists(
    st.tuples(st.sampled_from([3, 8, 9, 10, 11, 12, 15, 65001]), st.binary(max_size=12)), max_size=3
)

WORDS = [
    "@a",
    "@::1",
    "@[",
    "@",
    "-p",
    "53",
    "-x",
    "-t",
    "A",
    "+tcp",
    "+noall",
    "+subnet=0",
    "+bufsize=1",
    "+cookie=",
    "+edns=x",
    "+no",
    "+nocookie=1",
    "--",
    "-",
    "--zone",
    "--color=auto",
    "-4",
    "+",
    "++",
    "ANY",
    "IN",
]


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A response with odd records and options, perhaps with a few octets changed."""
    query = parse_query(build_query(1, b"\x01a\x00", 1, edns=dns.Edns()))
    sections = [
        tuple(
            (join((label,)), RRset(join((label,)), rtype, 60, (rdata,)))
            for label, rtype, rdata in draw(RECORDS)
        )
        for _ in range(2)
    ]
    rcode = draw(st.sampled_from([0, 1, 2, 3, 5, iana.BADVERS, iana.BADCOOKIE, 4095]))
    reply = dns.Reply(query, rcode, True, *sections, options=tuple(draw(OPTIONS)))
    frame = bytearray(ReplyCodec().encode(reply))
    for _ in range(draw(st.integers(0, 4))):
        frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
    return bytes(frame)


@shares(read=0.1, refused=0.1)
@settings(max_examples=300, deadline=None)
@given(frame=st.one_of(frames(), st.binary(max_size=60)))
def test_any_message_is_printed_safely_or_refused(frame: bytes):
    try:
        response = parse_response(frame)
    except DecodeError:
        met("refused")
        return
    met("read")
    answer = Answer(response, 0.1, 1, conclude(response))
    for text in (show_table(answer, SHOWN, Paint(False)), show_short(answer)):
        assert text.replace("\n", "").isprintable()
    assert json.loads(show_json(answer))["size"] == len(frame)


@shares(read=0.03, refused=0.1)
@settings(max_examples=200, deadline=None)
@given(
    words=st.one_of(
        st.permutations(["@192.0.2.1", "example.", "A", "+tcp"]),
        st.lists(
            st.one_of(
                st.text(max_size=6),
                st.sampled_from(WORDS),
                st.sampled_from(["@192.0.2.1", "example.", "A", "+tcp", "+short"]),
            ),
            max_size=6,
        ),
    )
)
def test_any_words_are_a_question_or_a_usage_error(words: list[str]):
    try:
        found = parse_words(words)
    except UsageError:
        met("refused")
        return
    met("read")
    assert found.server is not None or found.zones
    assert found.name
