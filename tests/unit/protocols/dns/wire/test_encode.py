from __future__ import annotations

import struct

import dns.flags
import dns.message
import pytest

from pierhead.errors import DecodeError, ServiceFailed, TimedOut, UsageError
from pierhead.protocols.dns.codec import DatagramReplyCodec, ReplyCodec
from pierhead.protocols.dns.records import AAAA, CNAME, MX, NS, SOA, SRV, TXT, A
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns, build_opt
from pierhead.protocols.dns.wire.message import Reply
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.query import BadQuery, build_query, parse_query
from pierhead.protocols.dns.wire.rrset import RRset

DATAGRAM, STREAM = DatagramReplyCodec(), ReplyCodec()
WWW = from_text("www.example.")
APEX = from_text("example.")


def ask(name="www.example.", qtype=iana.A, edns=None, ident=7, rd=False):
    return parse_query(build_query(ident, from_text(name), qtype, edns=edns, rd=rd))


def rrset(owner, *records, ttl=60):
    return RRset(from_text(owner), records[0].rtype, ttl, tuple(r.rdata for r in records))


def shown(*sets):
    return tuple((one.owner, one) for one in sets)


def texts(frame, section):
    return [one.to_text() for one in getattr(dns.message.from_wire(frame), section)]


SOA_SET = rrset("example.", SOA("ns.example.", "host.example.", 1))
MANY = rrset("www.example.", *(A(f"192.0.2.{n}") for n in range(100)))


def test_an_answer_carries_the_id_the_question_and_the_flags():
    frame = DATAGRAM.encode(ask("wWw.example.", rd=True).reply(A("192.0.2.1"), ttl=60))
    answer = dns.message.from_wire(frame)
    assert answer.id == 7
    assert dns.flags.to_text(answer.flags) == "QR AA RD"
    assert texts(frame, "answer") == ["wWw.example. 60 IN A 192.0.2.1"]
    assert frame[12:25] == from_text("wWw.example.")  # RFC 4343: the case of the question
    assert frame.count(b"\x07example") == 1


@pytest.mark.rfc("4035", "3.1.6")
def test_ra_ad_cd_and_z_are_clear_whatever_the_query_sets():
    raw = bytearray(build_query(7, WWW, iana.A, edns=None))
    raw[2:4] = b"\x07\xff"  # every bit but QR and the opcode
    answer = DATAGRAM.encode(parse_query(bytes(raw)).reply())
    assert answer[2:4] == b"\x85\x00"


@pytest.mark.rfc("1035", "4.1.4")
@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_owners_and_names_inside_old_types_become_pointers(case):
    query = ask(case("www.example."), iana.MX)
    mx = rrset("www.example.", MX(1, "a.www.example."), MX(2, "www.example."), MX(3, "x.test."))
    soa = rrset("example.", SOA("a.example.", "x.test.", 1))
    frame = STREAM.encode(Reply(query, 0, True, shown(mx), shown(soa)))
    assert texts(frame, "answer")[0].lower().splitlines() == [
        "www.example. 60 in mx 1 a.www.example.",
        "www.example. 60 in mx 2 www.example.",
        "www.example. 60 in mx 3 x.test.",
    ]
    assert frame.lower().count(b"\x07example") == 1
    assert frame.count(b"\x04test") == 1


@pytest.mark.rfc("3597", "4")
def test_names_inside_newer_types_are_written_out():
    srv = rrset("www.example.", SRV(1, 2, 3, "www.example."))
    frame = STREAM.encode(Reply(ask(qtype=iana.SRV), 0, True, shown(srv)))
    assert frame.count(b"\x07example") == 2


def test_a_set_of_names_below_its_owner_is_ready_and_reads_the_same_both_ways():
    ns = rrset("example.", NS("ns1.example."), NS("example."), NS("a.b.example."))
    quick = STREAM.encode(Reply(ask("example.", iana.NS), 0, True, shown(ns)))
    assert ns.ready
    extra = shown(rrset("ns1.example.", A("192.0.2.1")))
    slow = STREAM.encode(Reply(ask("example.", iana.NS), 0, True, shown(ns), additional=extra))
    assert texts(quick, "answer") == texts(slow, "answer")
    assert len(slow) == len(quick) + 16


def test_a_wildcard_set_with_names_below_the_wildcard_is_shown_under_the_question():
    wild = rrset("*.example.", CNAME("x.*.example."))
    frame = STREAM.encode(Reply(ask(), 0, True, ((WWW, wild),)))
    frame = STREAM.encode(Reply(ask(), 0, True, ((WWW, wild),)))
    assert texts(frame, "answer") == ["www.example. 60 IN CNAME x.*.example."]


def test_pointers_lead_to_label_borders_only():
    # "example." is the end of the octets of this one label, and no suffix of the name.
    tricky = from_text(r"ab\007example.")
    query = parse_query(build_query(7, tricky, iana.A, edns=None))
    frame = STREAM.encode(Reply(query, 3, True, (), shown(SOA_SET)))
    assert texts(frame, "authority")[0].startswith("example. 60 IN SOA ns.example. host.example.")
    assert frame.count(b"\x07example") == 2


def test_the_root_is_written_as_itself():
    root = rrset(".", NS("a.root."), NS("b.root."))
    frame = STREAM.encode(Reply(ask(".", iana.NS), 0, True, shown(root)))
    assert texts(frame, "answer") == [". 60 IN NS a.root.\n. 60 IN NS b.root."]
    a = STREAM.encode(Reply(ask("x."), 0, True, (), shown(rrset(".", TXT("t")))))
    assert texts(a, "authority") == ['. 60 IN TXT "t"']


def test_names_beyond_the_reach_of_a_pointer_are_written_out():
    filler = rrset("f.test.", *(TXT(f"{n:03}" + "x" * 250) for n in range(66)))
    late = rrset("late.test.", CNAME("www.later.test."))
    last = rrset("www.later.test.", A("192.0.2.1"))
    frame = STREAM.encode(Reply(ask(), 0, True, shown(filler, late, last)))
    assert len(frame) > 0x4000
    assert texts(frame, "answer")[1:] == [
        "late.test. 60 IN CNAME www.later.test.",
        "www.later.test. 60 IN A 192.0.2.1",
    ]
    assert frame.count(b"\x05later") == 2


@pytest.mark.rfc("1035", "4.2.1")
@pytest.mark.rfc("6891", "6.2.3")
@pytest.mark.parametrize(
    ("payload", "limit"),
    [(None, 512), (0, 512), (511, 512), (600, 600), (1232, 1232), (4096, 1232)],
)
def test_a_datagram_is_as_large_as_its_receiver_and_we_can_take(payload, limit):
    edns = None if payload is None else Edns(payload)
    overhead = 12 + len(WWW) + 4 + (11 if edns else 0)
    fits = (limit - overhead) // 16
    for count, truncated in ((fits, False), (fits + 1, True)):
        answer = rrset("www.example.", *(A(f"192.0.2.{n}") for n in range(count)))
        frame = DATAGRAM.encode(Reply(ask(edns=edns), 0, True, shown(answer)))
        parsed = dns.message.from_wire(frame)
        assert bool(parsed.flags & dns.flags.TC) is truncated
        assert len(frame) <= limit
        assert len(parsed.answer) == (0 if truncated else 1)
        assert parsed.edns == (-1 if edns is None else 0)


@pytest.mark.rfc("2181", "9")
def test_a_truncated_answer_keeps_question_rcode_and_opt_and_no_part_of_a_set():
    query = ask(edns=Edns(512, True))
    frame = DATAGRAM.encode(Reply(query, iana.NXDOMAIN, True, shown(MANY), shown(SOA_SET)))
    parsed = dns.message.from_wire(frame)
    assert dns.flags.to_text(parsed.flags) == "QR AA TC"
    assert parsed.rcode() == iana.NXDOMAIN
    assert (parsed.answer, parsed.authority, parsed.additional) == ([], [], [])
    assert parsed.ednsflags & dns.flags.DO
    assert (
        not dns.message.from_wire(STREAM.encode(Reply(query, 0, True, shown(MANY)))).flags & 0x200
    )


def test_additional_sets_are_left_out_whole_and_without_tc():
    small = rrset("a.example.", A("192.0.2.1"))
    query = ask(edns=Edns(512))
    reply = Reply(query, 0, True, shown(small), additional=shown(small, MANY, SOA_SET))
    parsed = dns.message.from_wire(DATAGRAM.encode(reply))
    assert parsed.edns == 0
    assert not parsed.flags & dns.flags.TC
    assert [one.to_text() for one in parsed.additional] == ["a.example. 60 IN A 192.0.2.1"]


@pytest.mark.rfc("9471", "3.1")
def test_glue_that_does_not_fit_truncates_the_referral():
    ns = rrset("example.", NS("www.example."))
    reply = Reply(ask(), 0, False, (), shown(ns), glue=shown(MANY))
    assert dns.message.from_wire(DATAGRAM.encode(reply)).flags & dns.flags.TC
    whole = dns.message.from_wire(STREAM.encode(reply))
    assert len(whole.additional[0]) == 100
    assert not whole.flags & dns.flags.AA


@pytest.mark.rfc("6891", "6.1.1")
def test_opt_answers_opt_with_our_size_do_echoed_and_z_clear():
    raw = bytearray(build_query(7, WWW, iana.A, edns=Edns(4096, True)))
    raw[-3] = 0xFF  # the lower octet of the flags: Z bits
    frame = DATAGRAM.encode(parse_query(bytes(raw)).reply())
    assert frame[-11:] == struct.pack("!BHHBBHH", 0, 41, 1232, 0, 0, 0x8000, 0)
    reply = Reply(ask(edns=Edns()), 23, options=((3, b"ns1"),))
    parsed = dns.message.from_wire(DATAGRAM.encode(reply))
    assert parsed.rcode() == 23
    assert [(o.otype, o.to_wire()) for o in parsed.options] == [(3, b"ns1")]


def test_an_extended_rcode_without_edns_cannot_be_said():
    with pytest.raises(UsageError, match="BADCOOKIE needs EDNS"):
        DATAGRAM.encode(Reply(ask(), 23))


def test_a_reply_keeps_what_was_asked_for():
    both = (A("192.0.2.1"), A("192.0.2.1"), AAAA("2001:db8::1"))
    assert [s.rtype for _, s in ask().reply(*both).answer] == [iana.A]
    assert [len(s.rdatas) for _, s in ask().reply(*both).answer] == [1]
    assert [s.rtype for _, s in ask(qtype=iana.AAAA).reply(*both).answer] == [iana.AAAA]
    assert ask(qtype=iana.TXT).reply(*both).answer == ()
    assert len(ask(qtype=iana.ANY).reply(*both).answer) == 2
    assert len(ask(qtype=iana.TXT).reply(CNAME("a.")).answer) == 1
    assert not ask().reply(rcode=iana.REFUSED).authoritative
    with pytest.raises(UsageError, match="ttl"):
        ask().reply(A("192.0.2.1"), ttl=-1)


def test_a_refusal_echoes_what_could_be_read():
    frame = build_query(7, WWW, iana.A, edns=Edns(1232, True, 1), rd=True)
    with pytest.raises(BadQuery) as caught:
        parse_query(frame)
    parsed = dns.message.from_wire(DATAGRAM.reject(caught.value, frame))
    assert parsed.rcode() == iana.BADVERS
    assert parsed.edns == 0
    assert parsed.ednsflags & 0xFFFF == dns.flags.DO
    assert dns.flags.to_text(parsed.flags) == "QR RD"
    assert parsed.question[0].to_text() == "www.example. IN A"


@pytest.mark.parametrize(("edns", "rest"), [(None, bytes(8)), (Edns(), bytes(7) + b"\1")])
def test_an_unknown_opcode_is_answered_with_a_header_and_edns_where_it_was_asked(edns, rest):
    frame = bytearray(build_query(7, WWW, iana.A, edns=edns))
    frame[2] |= 15 << 3
    with pytest.raises(BadQuery) as caught:
        parse_query(bytes(frame))
    opt = b"" if edns is None else build_opt(edns)
    assert DATAGRAM.reject(caught.value, bytes(frame)) == b"\x00\x07\xf8\x04" + rest + opt


@pytest.mark.parametrize("error", [ServiceFailed("x"), TimedOut("x"), UsageError("x")])
def test_a_failure_of_ours_is_servfail(error):
    frame = build_query(7, WWW, iana.A, edns=Edns())
    parsed = dns.message.from_wire(DATAGRAM.reject(error, frame))
    assert (parsed.rcode(), parsed.edns, len(parsed.question)) == (iana.SERVFAIL, 0, 1)
    broken = DATAGRAM.reject(error, frame + b"x")
    assert dns.message.from_wire(broken).rcode() == iana.FORMERR


def test_responses_and_stumps_are_never_refused():
    frame = build_query(7, WWW, iana.A, edns=None)
    for error in (DecodeError("x"), TimedOut("x")):
        assert DATAGRAM.reject(error, frame[:11]) is None
        assert DATAGRAM.reject(error, frame[:2] + b"\x80" + frame[3:]) is None
    assert DATAGRAM.reject(DecodeError("x"), frame) == b"\x00\x07\x80\x01" + bytes(8)


@pytest.mark.parametrize("size", [511, 4097, 1232.5])
def test_the_datagram_limit_has_a_range(size):
    with pytest.raises(UsageError, match="max_udp_payload"):
        DatagramReplyCodec(size)
