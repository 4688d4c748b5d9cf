"""Replies whose octets pass through a function before they are sent."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pierhead.errors import UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.response import parse_response
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.encode import encode_reply
from pierhead.protocols.dns.wire.query import build_query, parse_query

NAME = b"\x03www\x07example\x00"


def ask(*, edns: Edns | None = None):
    return parse_query(build_query(7, NAME, iana.TXT, edns=edns))


def adding(octets: int):
    return lambda message: message + bytes(octets)


@settings(max_examples=200)
@example(text=1, extra=240, reserve=200, edns=Edns(), padding=128)  # three octets are left
@given(
    text=st.integers(1, 600),
    extra=st.integers(0, 4).map(lambda number: number * 60),
    reserve=st.integers(0, 200),
    edns=st.sampled_from([None, Edns()]),
    padding=st.sampled_from([0, 128]),
)
def test_what_is_sealed_is_what_would_be_sent_and_the_whole_fits(
    text, extra, reserve, edns, padding
):
    seen = []

    def seal(message: bytes) -> bytes:
        seen.append(message)
        return message + bytes(reserve)

    reply = ask(edns=edns).reply(
        dns.TXT("x" * text),
        additional=[dns.TXT("y" * extra, name="a.example.")] if extra else [],
    )
    sealed = encode_reply(reply.padded(padding).sealed(seal, reserve=reserve), 512, 1232)
    (message,) = seen
    assert sealed == message + bytes(reserve)
    assert len(sealed) <= 512
    if padding and edns:
        # RFC 8467 §4.1: unless there is no room left for the option.
        assert len(sealed) % padding == 0 or len(sealed) + 4 > 512
    else:
        assert message == encode_reply(reply, 512 - reserve, 1232)
    response = parse_response(message)
    # Cut only where it has to be: it would not have fitted with one octet less reserved, either.
    least = len(encode_reply(ask(edns=edns).reply(dns.TXT("x" * text)), 9999, 1232))
    assert response.truncated is (least + reserve > 512)


def test_two_layers_seal_the_one_further_out_last():
    reply = ask().reply(dns.TXT("x"))
    sealed = reply.sealed(lambda m: m + b"in", reserve=2).sealed(lambda m: m + b"out", reserve=3)
    assert sealed.reserve == 5
    assert encode_reply(sealed, 512, 1232) == encode_reply(reply, 512, 1232) + b"inout"


def test_a_seal_stays_with_every_copy():
    reply = ask(edns=Edns()).reply(dns.TXT("x" * 300)).sealed(adding(3), reserve=3)
    copies = [
        reply.cut(),
        reply.padded(0),
        reply.having(iana.OPTION_NSID, b"x"),
        reply.reduced(()),
        reply.made_from(NAME),
    ]
    for copy in copies:
        assert encode_reply(copy, 512, 1232).endswith(b"\0\0\0"), copy
        assert copy.reserve == 3
    assert reply.unsealed().seal is None
    assert parse_response(encode_reply(copies[0], 512, 1232)[:-3]).truncated


@pytest.mark.parametrize("reserve", [-1, 65536])
def test_room_that_no_message_has_cannot_be_reserved(reserve):
    with pytest.raises(UsageError, match=f"reserve is {reserve}, expected 0 to 65268 octets"):
        ask().reply().sealed(adding(1), reserve=reserve)


@pytest.mark.parametrize(
    ("seal", "message"),
    [
        (adding(500), "a seal made 529 octets of 29, 512 are allowed; 3 were reserved for it"),
        (lambda message: bytearray(message), "a seal returned bytearray, expected bytes"),
    ],
)
def test_a_seal_that_breaks_its_word_fails_the_reply(seal, message):
    with pytest.raises(UsageError, match=message):
        encode_reply(ask().reply().sealed(seal, reserve=3), 512, 1232)
