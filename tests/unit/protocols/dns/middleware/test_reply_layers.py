"""Layers about what a reply says: mandatory, extended errors, minimal responses, identity, log."""

from __future__ import annotations

import logging

import pytest
from tests.unit.protocols.dns.middleware.asking import (
    answer,
    ask,
    ask_nothing,
    context,
    option,
)

from pierhead.errors import ServiceFailed, UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.trace import Trace
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Reply
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.rrset import RRset

ERROR = iana.OPTION_EXTENDED_ERROR


def says(rcode, **parts):
    async def service(query, _context):
        return Reply(query, rcode, **parts)

    return service


# -- mandatory ---------------------------------------------------------------------------------


@pytest.mark.rfc("6895", "3.1")
@pytest.mark.parametrize(
    ("rtype", "rcode"),
    [
        ("OPT", iana.FORMERR),
        ("TSIG", iana.FORMERR),
        ("TYPE0", iana.NOERROR),
        ("NXNAME", iana.FORMERR),
        ("MAILB", iana.NOTIMP),
        ("MAILA", iana.NOTIMP),
        ("TKEY", iana.NOTIMP),
        ("ANY", iana.NOERROR),
        ("AXFR", iana.NOERROR),
        ("IXFR", iana.NOERROR),
        ("TYPE65280", iana.NOERROR),
    ],
)
async def test_no_service_is_asked_for_what_is_no_data(rtype, rcode):
    assert (await dns.stack(answer)(ask("x.", rtype), context())).rcode == rcode


@pytest.mark.rfc("9619", "4")
async def test_a_query_that_asks_nothing_is_a_format_error_where_there_are_no_cookies():
    trace = Trace()
    reply = await dns.stack(answer)(ask_nothing((10, bytes(8))), context(facts=[trace]))
    assert (reply.rcode, reply.answer) == (iana.FORMERR, ())
    assert "there is no question" in str(trace)


async def test_class_chaos_is_refused_unless_configured():
    assert (await dns.standard(answer)(ask(rclass=3), context())).rcode == iana.REFUSED


@pytest.mark.parametrize(("rtype", "rclass"), [("TKEY", 1), ("MAILB", 1), ("OPT", 1), ("TXT", 3)])
async def test_relaxed_it_leaves_such_questions_to_the_service(rtype, rclass):
    seen = []

    async def knows(query, _context):
        seen.append((query.rtype, query.qclass))
        return query.reply(rcode=iana.REFUSED)

    relaxed = dns.stack(knows, dns.mandatory(strict=False))
    assert (await relaxed(ask("x.", rtype, rclass=rclass), context())).rcode == iana.REFUSED
    assert seen == [(rtype, rclass)]
    # What no mode can allow: an answer that is another query's, a message that asks nothing.
    reply = await relaxed(ask_nothing((10, bytes(8))), context())
    assert reply.rcode == iana.FORMERR


async def test_a_service_cannot_answer_another_question():
    async def confused(query, _context):
        return query.asking(from_text("other."), iana.A).reply()

    async def other_client(query, _context):
        return ask("other.").reply()

    for service in (confused, other_client):
        with pytest.raises(ServiceFailed, match="answered"):
            await dns.stack(service)(ask(), context())


@pytest.mark.rfc("6891", "6.1.3")
async def test_a_code_that_needs_edns_is_a_failure_without_it():
    service = dns.stack(says(iana.BADVERS))
    assert (await service(ask(edns=False), context())).rcode == iana.SERVFAIL
    assert (await service(ask(), context())).rcode == iana.BADVERS


# -- extended errors ---------------------------------------------------------------------------


@pytest.mark.rfc("8914", "4")
@pytest.mark.parametrize(
    ("rcode", "query", "code", "words"),
    [
        (iana.REFUSED, ask(), 20, b"no zone here"),
        (iana.REFUSED, ask("x.", "AXFR"), 18, b"transfer"),
        (iana.REFUSED, ask(rclass=4), 21, b"class"),
        (iana.SERVFAIL, ask(), 0, b"log"),
        (iana.NOTIMP, ask(), 21, b"not answered"),
        (iana.FORMERR, ask("x.", "OPT"), 0, b"be queried"),
        (iana.FORMERR, ask(), 0, b"malformed"),
    ],
)
async def test_an_error_says_why(rcode, query, code, words):
    data = option(await dns.extended_errors()(says(rcode))(query, context()), ERROR)
    assert int.from_bytes(data[:2], "big") == code
    assert words in data
    assert len(data) < 80


@pytest.mark.rfc("8914", "2")
async def test_nothing_is_added_where_all_is_well_or_said_or_not_understood():
    layer = dns.extended_errors()
    for rcode in (iana.NOERROR, iana.NXDOMAIN, iana.BADCOOKIE):
        assert (await layer(says(rcode))(ask(), context())).options == ()
    refused = layer(says(iana.REFUSED))
    assert (await refused(ask(edns=False), context())).options == ()
    own = await layer(dns.refuse("only for the office"))(ask(), context())
    assert option(own, ERROR) == b"\x00\x12only for the office"


# -- minimal responses -------------------------------------------------------------------------


def sets(*rtypes, first=b"\x00\x02"):
    name = from_text("example.")
    return tuple((name, RRset(name, rtype, 60, (first + bytes(20),))) for rtype in rtypes)


async def test_records_not_asked_for_are_omitted():
    full = says(
        0,
        answer=sets(iana.MX),
        authority=sets(iana.NS, iana.RRSIG, iana.NSEC),
        additional=sets(iana.A),
        glue=sets(iana.AAAA),
    )
    reply = await dns.minimal_responses()(full)(ask(), context())
    assert [one.rtype for _, one in reply.authority] == [iana.NSEC]
    assert (reply.additional, len(reply.answer), len(reply.glue)) == ((), 1, 1)


@pytest.mark.parametrize(
    "parts",
    [
        {"authority": sets(iana.NS), "glue": sets(iana.A)},
        {"authority": sets(iana.SOA)},
        {"answer": sets(iana.A), "authority": sets(iana.RRSIG, first=b"\x00\x2f")},
    ],
    ids=["referral", "negative", "proof"],
)
async def test_records_that_an_answer_needs_are_not_omitted(parts):
    reply = await dns.minimal_responses()(says(0, **parts))(ask(), context())
    assert reply.authority == parts["authority"]


# -- identity ----------------------------------------------------------------------------------


@pytest.mark.rfc("4892", "2.1")
async def test_the_identity_is_answered_in_class_chaos():
    service = dns.standard(answer, chaos=dns.chaos(version="pierhead", identity="north-2"))

    async def told(name, rtype="TXT"):
        reply = await service(ask(name, rtype, rclass=3), context())
        return reply.rcode, [rrset.rdatas for _, rrset in reply.answer]

    for name in ("id.server.", "hostname.bind.", "ID.Server."):
        assert await told(name) == (iana.NOERROR, [(b"\x07north-2",)])
    for name in ("version.bind.", "version.server."):
        assert await told(name) == (iana.NOERROR, [(b"\x08pierhead",)])
    assert await told("version.bind.", "A") == (iana.NOERROR, [])
    assert await told("authors.bind.") == (iana.REFUSED, [])
    assert (await service(ask("id.server.", "TXT"), context())).rcode == iana.NOERROR  # class IN


async def test_only_what_is_configured_is_told():
    who = dns.chaos(identity="north-2")
    assert (await who(ask("version.bind.", "TXT", rclass=3), context())).rcode == iana.REFUSED
    assert (await who(ask("id.server.", "TXT"), context())).rcode == iana.REFUSED
    with pytest.raises(UsageError, match="has no answers"):
        dns.chaos()


# -- query log ---------------------------------------------------------------------------------


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "pierhead.dns.query")
    return lambda: [record.getMessage() for record in caplog.records]


async def test_each_query_is_a_line(lines):
    service = dns.standard(answer, query_log=True)
    await service(ask("www.example.", "AAAA", do=True), context())
    await service(ask("id.server.", "TXT", rclass=3, edns=False), context(tcp=True))
    await service(ask_nothing((10, bytes(8))), context("/run/a client"))
    peer = "peer=192.0.2.1:5353 via=127.0.0.1:53 "
    assert lines() == [
        peer + "query=www.example./IN/AAAA flags=ED rcode=NOERROR",
        peer + "query=id.server./CH/TXT flags=T rcode=REFUSED",
        'peer="/run/a client" via=127.0.0.1:53 query=./IN/- flags=E rcode=NOERROR',
    ]


async def test_no_name_can_forge_a_line(lines):
    name = "".join(f"\\{octet:03d}" for octet in (10, 27, 32, 34, 92, 255)) + "."
    await dns.standard(answer, query_log=True)(ask(name), context())
    (line,) = lines()
    assert line.isprintable()
    assert line.isascii()
    assert line.count(" ") == 4


async def test_silence_several_replies_and_failures_are_distinguished(lines):
    async def silent(_query, _context):
        return None

    async def several(query, _context):
        yield query.reply()

    async def fails(_query, _context):
        raise ValueError

    for service in (silent, several):
        await dns.standard(service, query_log=True)(ask(), context())
    with pytest.raises(ServiceFailed):
        await dns.standard(fails, query_log=True)(ask(), context())
    assert [line.rpartition("=")[2] for line in lines()] == ["silence", "several", "ServiceFailed"]


async def test_nothing_is_written_below_the_level(caplog):
    await dns.standard(answer, query_log=dns.query_log())(ask(), context())
    assert caplog.records == []
