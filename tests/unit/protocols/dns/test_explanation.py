"""Explaining an answer: which layer, which step, which rule."""

from __future__ import annotations

import pytest

from pierhead.errors import UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.codec import ReplyCodec
from pierhead.protocols.dns.explanation import conclude
from pierhead.protocols.dns.response import parse_response
from pierhead.protocols.dns.services.zones import ZoneService
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.message import AD
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.query import build_query, parse_query
from pierhead.protocols.dns.wire.rrset import RRset
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.zone import Zones
from pierhead.service.context import Context, Peer, Transport, Via

ZONE = b"""\
@ 3600 SOA ns hm 1 7200 900 1209600 300
@ NS ns
ns A 192.0.2.1
www CNAME ns
*.wild TXT "x"
sub NS ns.sub
ns.sub A 192.0.2.2
"""


@pytest.fixture
def site() -> ZoneService:
    return ZoneService(Zones([parse_zone(ZONE, origin="example.")]))


def rules(explanation: dns.Explanation) -> list[str]:
    return [step.rule for step in explanation.steps if step.layer == "zones"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("ns.example.", "RFC 1034 §4.3.2 step 3a"),
        ("sub.example.", "RFC 1034 §4.3.2 step 3b"),
        ("nobody.example.", "RFC 1034 §4.3.2 step 3c"),
        ("a.wild.example.", "RFC 1034 §4.3.2 step 3c, RFC 4592 §3.3.1"),
        ("test.", "RFC 1034 §4.3.2 step 2"),
    ],
)
async def test_the_steps_of_a_look_up_carry_their_rules(site, name, rule):
    explanation = await dns.explain(site, name)
    assert rule in rules(explanation)
    assert rule in str(explanation)


async def test_an_alias_is_followed_step_by_step(site):
    explanation = await dns.explain(site, "www.example.", "A")
    texts = [step.text for step in explanation.steps]
    assert "www.example. is an alias" in texts
    assert "ns.example. has records of this type" in texts
    assert texts[-1] == "NOERROR with 2 records, 73 octets"
    assert explanation.response is not None
    assert [record.type for record in explanation.response.answer] == ["CNAME", "A"]


async def test_a_type_that_no_zone_holds_is_named(site):
    explanation = await dns.explain(site, "example.", "AXFR")
    assert explanation.steps[0] == dns.Step("zones", "zones are not transferred", "RFC 5936 §2.2.1")


async def test_the_router_records_which_service_answers(site):
    router = dns.Router()
    router.mount("example.", site)

    @router.answer("fixed.example.", "A")
    async def fixed(query, context):
        return query.reply(dns.A("192.0.2.9"))

    @router.answer("gone.example.")
    async def gone(query, context):
        return query.reply(rcode=dns.NXDOMAIN)

    async def first(name, rtype="A"):
        steps = (await dns.explain(router, name, rtype)).steps
        return [step.text for step in steps if step.layer == "router"]

    assert await first("ns.example.") == ["the service mounted at example. answers"]
    (text,) = await first("fixed.example.")
    assert text.startswith("the function ")
    assert "fixed answers" in text
    assert (await first("fixed.example.", "MX"))[0] == (
        "fixed.example. has functions, none of them for MX: no data"
    )
    assert (await first("gone.example."))[1] == "example. is asked for its SOA record"
    assert await first("test.") == ["no service for test.: REFUSED"]


async def test_a_query_is_explained_in_its_own_circumstances(site):
    seen = []

    def remember(service):
        async def inner(query, context):
            seen.append((str(context.peer), context.get(dns.Trace) is not None))
            return await service(query, context)

        return inner

    query = parse_query(build_query(7, from_text("ns.example."), iana.A, edns=None))
    via = Via(transport=Transport.DATAGRAM, scheme="udp", local="x", listener="x")
    explanation = await dns.explain(
        remember(site), query, context=Context(Peer(("192.0.2.7", 5)), 0.0, via)
    )
    assert seen == [("192.0.2.7:5", True)]
    assert explanation.query is query


async def test_silence_and_many_replies_are_explained():
    async def silent(query, context):
        return None

    async def many(query, context):
        yield query.reply(dns.A("192.0.2.1"))
        raise AssertionError("only the first is asked for")

    class Many:
        """An iterator without anything to close."""

        def __init__(self, query):
            self.query = query

        def __aiter__(self):
            return self

        async def __anext__(self):
            return self.query.reply()

    async def plain(query, context):
        return Many(query)

    quiet = await dns.explain(silent, "a.")
    assert (quiet.reply, quiet.response) == (None, None)
    assert quiet.steps[-1].text == "no reply, on purpose"
    for service in (many, plain):
        explanation = await dns.explain(service, "a.")
        assert "first one" in explanation.steps[0].text
        assert explanation.response is not None


@pytest.mark.rfc("2181", "9")
async def test_an_answer_that_is_too_large_is_said_to_be_truncated():
    async def large(query, context):
        return query.reply(*(dns.TXT(f"{n:0200}") for n in range(10)))

    explanation = await dns.explain(large, "a.", "TXT")
    assert explanation.steps[-1].text.startswith("too large for a datagram: TC")


async def test_refusals_by_the_codec_are_explained_too(site):
    explanation = await dns.explain(site, "a.", edns=Edns(version=5))
    assert str(explanation) == "codec: EDNS version 5, expected 0: BADVERS"
    assert (explanation.query, explanation.reply) == (None, None)
    assert explanation.response is not None
    assert explanation.response.rcode == iana.BADVERS
    silent = await dns.explain(site, "a.", flags=0x8000)
    assert silent.response is None
    assert str(silent).endswith(": silence")


async def test_a_query_that_cannot_be_sent_is_an_error(site):
    with pytest.raises(UsageError):
        await dns.explain(site, "a..b")


def test_without_a_trace_nothing_is_recorded(site):
    trace = dns.Trace()
    assert (trace.steps, str(trace)) == ((), "")
    assert str(dns.Step("a", "b")) == "a: b"


# What an answer tells by itself


def response(name="www.example.", rtype="A", change=None, **reply):
    query = parse_query(
        build_query(1, from_text(name), iana.type_number(rtype), edns=dns.Edns(), rd=True)
    )
    frame = bytearray(ReplyCodec().encode(dns.Reply(query, **reply)))
    if change is not None:
        change(frame)
    return parse_response(bytes(frame))


def rrset(owner, rtype, *rdatas):
    owner = from_text(owner)
    return (owner, RRset(owner, iana.type_number(rtype), 300, rdatas))


SOA = rrset("example.", "SOA", bytes(22))


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ({"rcode": dns.REFUSED}, "does not answer for this name"),
        ({"rcode": iana.BADCOOKIE}, "requires a cookie"),
        (
            {"rcode": dns.NXDOMAIN, "authoritative": True, "authority": (SOA,)},
            "the name does not exist; the zone is example.",
        ),
        ({"rcode": dns.NXDOMAIN}, "the name does not exist"),
        ({"authoritative": True, "authority": (SOA,)}, "without this type; the zone is example."),
        ({"authoritative": True}, "from the server's own zone"),
        (
            {"authority": (rrset("example.", "NS", b"\x02ns\x00"),)},
            "example. is delegated; ask its name servers",
        ),
        (
            {"answer": (rrset("www.example.", "CNAME", b"\x01b\x00"),)},
            "www.example. is an alias of b.",
        ),
        (
            {"answer": (rrset("example.", "DNAME", b"\x01b\x00"),)},
            "what is below example. is an alias of b.",
        ),
        (
            {"answer": (rrset("www.example.", "RRSIG", b"\x00\x01\x08\x01" + bytes(40)),)},
            "www.example. comes from the wildcard *.example.",
        ),
        (
            {"options": ((iana.OPTION_EXTENDED_ERROR, b"\x00\x12go away"),)},
            "it says: 18 (Prohibited): go away",
        ),
    ],
)
def test_an_answer_tells_something_by_itself(reply, text):
    steps = conclude(response(**reply))
    assert any(step.text.endswith(text) or text in step.text for step in steps), steps
    assert all(step.rule for step in steps)


def test_the_flags_of_a_resolver_are_told():
    def resolver(frame):
        frame[2] |= 0x02  # TC
        frame[3] |= 0x80 | AD

    texts = [step.text for step in conclude(response(change=resolver))]
    assert texts == [
        "it is from a resolver, perhaps from its cache",
        "the resolver has validated its signatures",
        "it did not fit and is truncated; query over TCP for all of it",
    ]


def test_broken_records_tell_nothing():
    def cut(frame):
        # The name in the RDATA of the last record before OPT becomes a pointer to itself.
        end = len(frame) - 11
        frame[end - 3 : end] = b"\x3fxx"

    alias = (rrset("www.example.", "CNAME", b"\x01b\x00"),)
    assert conclude(response(answer=alias, change=cut)) == ()
    signatures = (
        rrset("a.example.", "RRSIG", b"\x00"),
        rrset("*.example.", "RRSIG", b"\x00\x01\x08\x01" + bytes(40)),
    )
    assert conclude(response(answer=signatures)) == ()
