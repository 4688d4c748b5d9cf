"""Messages that are cut on purpose, padded, or answer no question."""

from __future__ import annotations

import dns.message
import pytest

from pierhead.protocols.dns.response import parse_response
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns, extended_error
from pierhead.protocols.dns.wire.encode import encode_reply
from pierhead.protocols.dns.wire.message import Reply
from pierhead.protocols.dns.wire.query import BadQuery, build_query, parse_query
from pierhead.protocols.dns.wire.record import Record
from pierhead.protocols.dns.wire.rrset import RRset

NAME = b"\x03www\x07example\x00"
LONG = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"b" * 61 + b"\x00"
COOKIE = (iana.OPTION_COOKIE, bytes(24))


def ask(name=NAME, *options, edns=True):
    return parse_query(
        build_query(7, name, 1, edns=Edns(do=True, options=options) if edns else None)
    )


def nothing(*options, count=b"\x00"):
    frame = build_query(7, b"", 0, edns=Edns(options=options))
    return frame[:5] + count + frame[6:12] + frame[16:]


def read(reply, limit=512):
    message = encode_reply(reply, limit, 1232)
    assert len(message) <= limit
    dns.message.from_wire(message)
    return parse_response(message)


@pytest.mark.parametrize("edns", [True, False])
def test_a_cut_reply_says_tc_and_has_no_records(edns):
    reply = ask(edns=edns).reply(Record(1, bytes(4))).having(*COOKIE).cut()
    response = read(reply)
    assert (response.truncated, response.answer) == (True, ())
    assert response.question == (NAME, 1, 1)
    assert (response.edns is not None) is edns
    if edns:
        assert response.edns.options == (COOKIE,)


@pytest.mark.rfc("6891", "6.2.3")
def test_texts_give_way_to_the_limit_and_a_cookie_does_not():
    options = (COOKIE, extended_error(0, "x" * 200), (iana.OPTION_NSID, bytes(128)))
    response = read(Reply(ask(LONG), iana.BADCOOKIE, options=options, truncated=True))
    assert response.edns == Edns(1232, True, 0, (COOKIE,))
    assert response.rcode == iana.BADCOOKIE


def test_the_same_holds_where_records_do_not_fit():
    rrset = RRset(LONG, 16, 60, (b"\xff" + bytes(255),))
    reply = Reply(
        ask(LONG), 0, True, ((LONG, rrset),), options=(COOKIE, extended_error(0, "x" * 250))
    )
    response = read(reply)
    assert (response.truncated, response.edns.options) == (True, (COOKIE,))


@pytest.mark.rfc("7873", "5.4")
def test_a_query_that_asks_nothing_is_one_about_cookies():
    query = parse_query(nothing(COOKIE))
    assert (query.has_question, query.name, query.qtype) == (False, ".", 0)
    assert query.option(iana.OPTION_COOKIE) == bytes(24)
    message = encode_reply(Reply(query, iana.BADCOOKIE, options=(COOKIE,)), 512, 1232)
    assert message[4:12] == b"\0\0\0\0\0\0\0\1"
    response = parse_response(message)
    assert (response.question, response.rcode) == (None, iana.BADCOOKIE)
    assert response.edns.options == (COOKIE,)


@pytest.mark.rfc("9619", "4")
@pytest.mark.parametrize(
    ("frame", "do"),
    [
        (nothing(), False),
        (nothing((iana.OPTION_NSID, b"")), False),
        (nothing(COOKIE)[:11] + b"\x00", None),
        (nothing(COOKIE)[:12], None),
        (nothing(COOKIE) + b"\x00", False),
        (nothing(COOKIE, count=b"\x02"), None),
    ],
    ids=["no option", "another option", "left over", "cut off", "longer", "two"],
)
def test_nothing_else_may_ask_nothing(frame, do):
    with pytest.raises(BadQuery) as caught:
        parse_query(frame)
    assert (caught.value.rcode, caught.value.question, caught.value.do) == (iana.FORMERR, b"", do)


def test_an_option_takes_the_place_of_one_with_the_same_code():
    reply = Reply(ask(), options=((3, b"a"), COOKIE)).having(3, b"b")
    assert reply.options == (COOKIE, (3, b"b"))
    assert (reply.padded(128).padding, reply.padding) == (128, 0)
