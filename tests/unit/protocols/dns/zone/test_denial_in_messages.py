"""Signed answers as messages: sets and their signatures are whole, or not there."""

from __future__ import annotations

import pytest

from pierhead.protocols.dns.response import Response, parse_response
from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.encode import encode_reply
from pierhead.protocols.dns.wire.message import Reply
from pierhead.protocols.dns.wire.query import build_query, parse_query
from pierhead.protocols.dns.zone.lookup import lookup
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.zone import Zones

SIGNATURE = "13 2 300 1 1 1 @ " + "AAAA" * 43
ZONE = f"""$TTL 300
@ SOA ns hostmaster 1 7200 900 1209600 60
@ RRSIG SOA {SIGNATURE}
@ DNSKEY 257 3 13 AA==
@ NS a.ns
@ NS b.ns
@ NS c.ns
@ RRSIG NS {SIGNATURE}
a.ns A 192.0.2.1
a.ns RRSIG A {SIGNATURE}
b.ns A 192.0.2.2
b.ns RRSIG A {SIGNATURE}
c.ns A 192.0.2.3
two TXT t
two RRSIG TXT {SIGNATURE}
two RRSIG TXT 8 2 300 1 1 1 @ {"AAAA" * 86}
"""
ZONES = Zones([parse_zone(ZONE.encode(), origin="example.")])


def ask(owner: str, qtype: int, limit: int) -> Response:
    frame = build_query(1, name.from_text(owner), qtype, edns=Edns(do=True))
    query = parse_query(frame)
    found = lookup(ZONES, query.qname, query.qtype, dnssec=True)
    reply = Reply(
        query,
        found.rcode,
        found.authoritative,
        found.answer,
        found.authority,
        glue=found.glue,
        additional=found.additional,
    )
    message = encode_reply(reply, limit, 1232)
    assert len(message) <= limit
    return parse_response(message)


def owners(response: Response) -> list[tuple[str, str]]:
    return [(record.name, record.type) for record in response.additional]


@pytest.mark.rfc("4035", "3.1.1")
def test_an_answer_whose_signatures_do_not_fit_is_truncated_whole():
    whole = ask("two.example.", iana.TXT, 1232)
    assert (whole.truncated, len(whole.answer)) == (False, 3)
    cut = ask("two.example.", iana.TXT, 512)
    assert (cut.truncated, cut.answer) == (True, ())


@pytest.mark.rfc("4035", "3.1.1")
@pytest.mark.parametrize(("short_by", "records"), [(0, 5), (1, 4), (17, 2), (210, 0)])
def test_an_additional_set_leaves_together_with_its_signatures(short_by: int, records: int):
    limit = len(ask("example.", iana.NS, 1232).frame) - short_by
    response = ask("example.", iana.NS, limit)
    expected = [
        ("a.ns.example.", "A"),
        ("a.ns.example.", "RRSIG"),
        ("b.ns.example.", "A"),
        ("b.ns.example.", "RRSIG"),
        ("c.ns.example.", "A"),
    ]
    assert not response.truncated
    assert len(response.answer) == 4
    assert owners(response) == expected[:records]


@pytest.mark.rfc("4035", "3.1.6")
def test_neither_ad_nor_cd_is_set():
    frame = bytearray(build_query(1, name.from_text("two.example."), iana.TXT, edns=Edns(do=True)))
    frame[3] |= 0x30
    response = parse_response(encode_reply(Reply(parse_query(bytes(frame))), 1232, 1232))
    assert not response.flags & 0x30
