from __future__ import annotations

import struct

import pytest

from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns, build_opt
from pierhead.protocols.dns.wire.encode import encode_refusal
from pierhead.protocols.dns.wire.query import BadQuery, build_query, parse_query
from pierhead.protocols.dns.wire.record import Record

NAME = b"\x03WwW\x07example\x00"
QUESTION = NAME + b"\x00\x1c\x00\x01"
OPT = build_opt(Edns(4096, True))


def message(body=QUESTION, *, ident=7, flags=0x0110, counts=(1, 0, 0, 0)):
    return struct.pack("!HHHHHH", ident, flags, *counts) + body


def refused(frame):
    with pytest.raises(BadQuery) as caught:
        parse_query(frame)
    return caught.value


def test_a_plain_query_is_read_with_its_letter_case():
    query = parse_query(message())
    assert (query.id, query.opcode, query.qname, query.qtype, query.qclass) == (7, 0, NAME, 28, 1)
    assert (query.name, query.rtype) == ("WwW.example.", "AAAA")
    assert query.recursion_desired
    assert query.checking_disabled
    assert not query.authentic_data
    assert query.edns is None
    assert repr(query) == "<Query 7 WwW.example. IN AAAA>"


@pytest.mark.rfc("6891", "6.1.2")
def test_an_opt_record_says_what_the_sender_can_take():
    query = parse_query(message(QUESTION + OPT, counts=(1, 0, 0, 1)))
    assert query.edns == Edns(4096, True)
    cookie = Edns(1232, False, 0, ((10, b"12345678"), (3, b"")))
    frame = build_query(9, NAME, iana.A, edns=cookie, rd=True)
    assert parse_query(frame).edns == cookie


@pytest.mark.rfc("6891", "6.1.1")
def test_an_opt_record_is_found_among_other_records_and_compressed_names():
    other = b"\xc0\x10\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x01"
    ixfr = b"\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x00\x00\x00"
    query = parse_query(message(QUESTION + ixfr + other + OPT + other, counts=(1, 0, 1, 3)))
    assert query.qname == NAME
    assert query.edns == Edns(4096, True)
    assert parse_query(message(QUESTION + other, counts=(1, 1, 0, 0))).edns is None


@pytest.mark.rfc("9619", "4")
@pytest.mark.parametrize("questions", [0, 2, 65535])
def test_anything_but_one_question_is_a_format_error(questions):
    error = refused(message(QUESTION * 2, counts=(questions, 0, 0, 0)))
    assert (error.rcode, error.question) == (iana.FORMERR, b"")


@pytest.mark.parametrize("opcode", [1, 2, 4, 5, 6, 15])
def test_other_opcodes_are_not_implemented_whatever_follows(opcode):
    error = refused(message(b"\xff", flags=opcode << 11, counts=(9, 9, 9, 9)))
    assert (error.rcode, error.question) == (iana.NOTIMP, b"")


@pytest.mark.rfc("1035", "4.1.4")
@pytest.mark.parametrize(
    "name",
    [b"\xc0\x0c", b"\xc0\x00", b"\x01a\xc0\x0c", b"\xc0\xff", b"\x40a\x00", b"\x80a\x00"],
)
def test_a_question_with_a_pointer_or_a_reserved_label_type_is_a_format_error(name):
    assert refused(message(name + b"\x00\x01\x00\x01")).rcode == iana.FORMERR


@pytest.mark.rfc("1035", "2.3.4")
def test_a_name_in_the_question_has_255_octets_at_most():
    longest = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\x00"
    assert parse_query(message(longest + b"\x00\x01\x00\x01")).qname == longest
    for name in (longest[:-63] + b"\x3e" + b"a" * 62 + b"\x00", b"\x01a" * 30000 + b"\x00"):
        assert "255" in refused(message(name + b"\x00\x01\x00\x01")).reason


def test_a_message_may_end_nowhere_but_at_its_end():
    frame = message(
        QUESTION + build_opt(Edns(512, False, 0, ((10, b"12345678"),))), counts=(1, 0, 0, 1)
    )
    assert parse_query(frame).edns is not None
    for end in range(len(frame)):
        assert refused(frame[:end]).rcode == iana.FORMERR
    # As in NSD and Knot, and unlike BIND, what is left over is an error.
    for whole in (frame, message()):
        assert refused(whole + b"\x00").reason == "octets after the last record"


@pytest.mark.rfc("6891", "6.1.1")
def test_opt_stands_once_in_the_additional_section_and_belongs_to_the_root():
    twice = refused(message(QUESTION + OPT + OPT, counts=(1, 0, 0, 2)))
    assert (twice.rcode, twice.question, twice.do) == (iana.FORMERR, QUESTION, True)
    assert "more than one" in twice.reason
    owned = refused(message(QUESTION + b"\x01a" + OPT, counts=(1, 0, 0, 1)))
    assert "root" in owned.reason
    assert "additional" in refused(message(QUESTION + OPT, counts=(1, 0, 1, 0))).reason


@pytest.mark.rfc("6891", "6.1.3")
def test_an_unknown_edns_version_is_reported_before_its_options_are_parsed():
    opt = struct.pack("!BHHBBHH", 0, 41, 1232, 0, 1, 0x8000, 3) + b"\xff\xff\xff"
    error = refused(message(QUESTION + opt, counts=(1, 0, 0, 1)))
    assert (error.rcode, error.question, error.do) == (iana.BADVERS, QUESTION, True)


@pytest.mark.parametrize("data", [b"\x00", b"\x00\x0a\x00\x01", b"\x00\x03\x00\x00\x00"])
def test_options_that_run_past_the_record_are_a_format_error(data):
    opt = struct.pack("!BHHIH", 0, 41, 1232, 0, len(data)) + data
    error = refused(message(QUESTION + opt, counts=(1, 0, 0, 1)))
    assert (error.rcode, error.do) == (iana.FORMERR, False)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"\xc0\x1d" + b"\x00" * 10, "backwards"),
        (b"\x40" + b"\x00" * 10, "label type"),
        (b"\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x05abcd", "data"),
        (b"\x00\x00\x01", "inside a record"),
        (b"\xc0", "inside a record"),
    ],
)
def test_a_broken_record_behind_the_question_is_a_format_error(record, reason):
    error = refused(message(QUESTION + record, counts=(1, 0, 0, 2)))
    assert (error.rcode, error.question) == (iana.FORMERR, QUESTION)
    assert reason in error.reason


def test_what_is_left_over_behind_several_records_is_a_format_error():
    for records, do in ((OPT + OPT[:1] + b"\x00\x01" + bytes(8), True), (bytes(22), None)):
        error = refused(message(QUESTION + records + b"x", counts=(1, 0, 0, 2)))
        assert (error.reason, error.do) == ("octets after the last record", do)


def test_a_response_is_no_query():
    assert refused(message(flags=0x8000)).reason == "QR is set, expected a query"


def test_a_query_can_be_put_about_another_name():
    query = parse_query(message(QUESTION + OPT, counts=(1, 0, 0, 1)))
    other = query.asking(b"\x07example\x00", iana.SOA)
    assert (other.id, other.name, other.rtype, other.edns) == (7, "example.", "SOA", query.edns)


@pytest.mark.rfc("1035", "3.2.3")
@pytest.mark.parametrize(
    ("qtype", "kept"),
    [
        ("A", ["A", "CNAME"]),
        ("ANY", ["A", "SOA", "MB", "CNAME"]),
        ("AXFR", ["A", "SOA", "MB", "CNAME"]),
        ("IXFR", ["A", "SOA", "MB", "CNAME"]),
        ("MAILB", ["MB", "CNAME"]),
        ("MAILA", ["CNAME"]),
    ],
)
def test_a_reply_has_the_records_that_the_question_type_stands_for(qtype, kept):
    query = parse_query(build_query(1, NAME, iana.type_number(qtype), edns=None))
    records = [
        Record(iana.A, bytes(4)),
        Record(iana.SOA, b"\0\0" + bytes(20)),
        Record(iana.MB, b"\0"),
        Record(iana.CNAME, b"\0"),
    ]
    answer = query.reply(*records).answer
    assert [iana.type_text(rrset.rtype) for _, rrset in answer] == kept


@pytest.mark.rfc("6891", "6.1.1")
@pytest.mark.parametrize("versions", [(0, 0), (1, 0), (0, 1), (1, 1), (255, 3)])
def test_more_than_one_opt_is_a_format_error_whatever_their_versions(versions):
    opts = b"".join(build_opt(Edns(4096, True, version)) for version in versions)
    error = refused(message(QUESTION + opts, counts=(1, 0, 0, len(versions))))
    assert error.rcode == iana.FORMERR
    assert error.reason == "more than one OPT"


def test_an_unknown_version_among_other_records_is_told():
    record = b"\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x7f\x00\x00\x01"
    opt = build_opt(Edns(4096, True, 1))
    error = refused(message(QUESTION + record + opt, counts=(1, 0, 0, 2)))
    assert (error.rcode, error.do) == (iana.BADVERS, True)


@pytest.mark.rfc("1035", "4.1.1")
@pytest.mark.parametrize("opcode", range(16))
@pytest.mark.parametrize("bits", [0x0000, 0x0100, 0x07F0])
def test_a_refusal_has_the_opcode_and_no_bit_that_is_not_a_querys(opcode, bits):
    """RD is copied only for the opcode QUERY; AA, TC, RA, Z, AD and CD never are."""
    flags = opcode << 11 | bits
    frame = message(QUESTION, flags=flags, counts=(2, 0, 0, 0))
    sent = int.from_bytes(encode_refusal(refused(frame), frame, 1232)[2:4], "big")
    assert sent >> 11 == 16 | opcode
    assert sent & 0x07F0 == (bits & 0x0100 if opcode == 0 else 0)
