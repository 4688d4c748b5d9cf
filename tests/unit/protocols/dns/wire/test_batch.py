"""Records in messages: as many as fit, in order, none lost."""

from __future__ import annotations

import pytest
from tests.unit.protocols.dns.transfer.copies import axfr, records

from pierhead.errors import UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.wire.encode import encode_reply
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.rrset import RRset


def frames(*given, **options):
    return [encode_reply(one, 65535, 1232) for one in dns.batch(axfr(), given, **options)]


def test_records_keep_their_order_and_their_values():
    given = [
        dns.A("192.0.2.1", name="a.example.", ttl=5),
        dns.MX(10, "mail.example."),
        dns.TXT("x", name="A.example.", rclass="CH"),
    ]
    (frame,) = frames(*given)
    a, mx, txt = records(frame)
    assert (a.owner, a.ttl, a.rdata) == (from_text("a.example."), 5, given[0].rdata)
    assert (mx.owner, mx.ttl, mx.rdata) == (from_text("example."), 300, given[1].rdata)
    assert (txt.owner, txt.rclass) == (from_text("A.example."), 3)


def test_no_records_are_no_messages():
    assert frames() == []


@pytest.mark.parametrize("count", [1, 7, 8, 9, 100])
def test_a_set_is_split_where_a_message_is_full(count):
    rdatas = tuple(b"\x3f" + bytes([n]) * 63 for n in range(count))
    found = frames(RRset(from_text("a.example."), 16, 60, rdatas), max_octets=512)
    assert all(len(frame) <= 512 for frame in found)
    assert tuple(r.rdata for r in records(*found)) == rdatas
    least = -(-count * (12 + 64) // (512 - 25))
    assert least <= len(found) <= least + 1


def test_a_record_that_is_larger_has_its_own_message():
    large = dns.TXT(b"x" * 30_000)
    found = frames(dns.A("192.0.2.1"), large, dns.A("192.0.2.2"))
    assert [len(records(frame)) for frame in found] == [1, 1, 1]
    assert records(found[1])[0].rdata == large.rdata


def test_a_record_that_fits_into_no_message_is_an_error():
    with pytest.raises(UsageError, match="65530 octets of RDATA, which fit into no message"):
        frames(dns.Record(65280, bytes(65530)))


def test_what_is_no_record_is_an_error():
    with pytest.raises(UsageError, match="a record is str, expected one such as"):
        frames("www")


def test_records_are_taken_when_a_message_needs_them():
    taken = []

    def many():
        for number in range(1000):
            taken.append(number)
            yield dns.TXT("x" * 200, name=f"n{number}.example.")

    replies = dns.batch(axfr(), many(), max_octets=1000)
    next(replies)
    assert len(taken) == 5


def test_one_for_each_message_splits_sets_too():
    given = RRset(from_text("a.example."), 1, 60, (b"abcd", b"abce"))
    assert [len(records(frame)) for frame in frames(given, one_per_message=True)] == [1, 1]


def test_a_seal_and_an_option_find_room():
    (reply,) = dns.batch(axfr(edns=True), [dns.A("192.0.2.1")])
    sealed = reply.having(3, b"id").sealed(lambda message: message + b"seal", reserve=4)
    frame = encode_reply(sealed, 65535, 1232)
    assert frame.endswith(b"seal")
    assert len(records(frame[:-4])) == 1
    assert not records(encode_reply(reply.cut(), 65535, 1232))
