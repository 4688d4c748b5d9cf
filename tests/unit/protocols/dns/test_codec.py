"""The codecs of DNS both ways, and the wire format that a client shares with a server."""

from __future__ import annotations

import pytest

from pierhead.codec import Order, check_one_reply
from pierhead.errors import DecodeError, UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.codec import DatagramReplyCodec, QueryCodec, ReplyCodec
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.query import parse_query
from pierhead.testing.laws import check_codec, check_wire_format

COOKIE = (iana.OPTION_COOKIE, b"12345678")
QUESTIONS = {
    "plain": dns.Question("www.example.", edns=None),
    "EDNS": dns.Question("WWW.example", "AAAA", edns=dns.Edns(4096, do=True), flags=0x0110),
    "options": dns.Question("example.", "MX", edns=dns.Edns(options=(COOKIE, (3, b"")))),
    "class CH": dns.Question("version.bind.", "TXT", rclass="CH"),
}
QUERIES = [parse_query(question.frame()) for question in QUESTIONS.values()]


def same_queries(one, other):
    return QueryCodec().encode(one) == QueryCodec().encode(other)


def same_replies(response, reply):
    return response.frame == ReplyCodec().encode(reply)


def reply_to(query):
    return query.reply(dns.A("192.0.2.1"), dns.MX(10, "mail.example."), ttl=60)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_and_the_query_a_server_reads_are_the_same_message(name):
    frame = QueryCodec().encode(QUESTIONS[name].having_id(4711))
    query = QueryCodec().decode(frame)
    assert query.id == 4711
    assert QueryCodec().encode(query) == frame
    assert QueryCodec().encode(query.having_id(7)) == b"\0\7" + frame[2:]


@pytest.mark.rfc("7873", "5.4")
def test_a_query_without_a_question_keeps_its_cookie():
    asked = b"\0\7" + bytes(8) + b"\0\1" + b"\0\0\x29\4\xd0\0\0\0\0\0\x0c\0\x0a\0\x0812345678"
    assert QueryCodec().encode(parse_query(asked)) == asked


def test_records_that_no_query_keeps_are_left_out():
    frame = bytearray(QUESTIONS["plain"].frame())
    frame[7] = 1  # a record in the answer section
    record = b"\0\0\1\0\1\0\0\0\0\0\4\xc0\0\2\1"
    assert QueryCodec().encode(parse_query(bytes(frame) + record)) == QUESTIONS["plain"].frame()


def test_queries_obey_the_law_of_codecs():
    check_codec(QueryCodec(), [b"", bytes(12)], messages=QUERIES, same=same_queries)


@pytest.mark.rfc("7766", "7")
@pytest.mark.rfc("5452", "9.1")
def test_servers_and_clients_of_dns_understand_each_other():
    wire = dns.wire_format()
    assert wire.order is Order.ANY
    check_one_reply(wire)
    check_wire_format(
        wire, QUERIES, reply_to, same_requests=same_queries, same_replies=same_replies
    )


@pytest.mark.rfc("5452", "9.1")
def test_a_response_with_the_right_identifier_and_another_question_is_rejected():
    wire = dns.wire_format()
    matcher = wire.matcher()
    asked = matcher.ask(QUERIES[0], "token")
    other = QUERIES[1].having_id(asked.request.id)
    with pytest.raises(DecodeError, match="answers something else"):
        matcher.take(wire.replies.decode(ReplyCodec().encode(reply_to(other))))
    response = wire.replies.decode(ReplyCodec().encode(reply_to(asked.request)))
    assert matcher.take(response) is asked


def test_a_response_goes_on_as_it_came_but_not_into_a_datagram_of_unknown_size():
    message = ReplyCodec().encode(reply_to(QUERIES[2]))
    response = ReplyCodec().decode(message)
    assert ReplyCodec().encode(response) == message
    with pytest.raises(UsageError, match="does not know how large a datagram its receiver"):
        DatagramReplyCodec().encode(response)
