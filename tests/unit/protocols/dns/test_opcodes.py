"""Opcodes besides QUERY: layers that declare one receive it, all others are refused as before."""

from __future__ import annotations

import struct

import pytest
from tests.unit.protocols.dns.message_table import ROWS, told
from tests.unit.protocols.dns.middleware.asking import answer, context
from tests.unit.protocols.dns.test_message_table import reply_to

from pierhead.errors import UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.codec import QueryCodec
from pierhead.protocols.dns.middleware.layer import Layer
from pierhead.protocols.dns.response import parse_response
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.bad_query import BadQuery
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.query import build_query, parse_query
from pierhead.server.server import Server

NAME = from_text("www.example.")
OTHERS = range(1, 16)


class Heard(Layer):
    """Notes what it is asked about, and answers some of it."""

    def __init__(self, opcodes=(), answers=()) -> None:
        self.opcodes = opcodes
        self.heard = []
        self._answers = answers

    def before(self, query, context):
        self.heard.append(query.opcode)
        return query.reply(dns.TXT("a layer")) if query.opcode in self._answers else context


class Second(Heard):
    """Another one."""


class Service:
    """Says by itself what it takes."""

    def __init__(self, *opcodes) -> None:
        self.opcodes = opcodes
        self.heard = []

    async def __call__(self, query, context):
        self.heard.append(query.opcode)
        return query.reply()


def message(opcode: int, *, edns=None, rd=False) -> bytes:
    return build_query(7, NAME, iana.SOA, edns=edns, rd=rd, flags=opcode << 11)


def handler(stack, *, tcp=False):
    endpoint = dns.serve(stack)
    return endpoint.datagram


async def ask(stack, frame: bytes) -> dns.Response:
    return parse_response(await reply_to(frame, handler(stack), context()))


@pytest.mark.parametrize("opcode", OTHERS)
async def test_a_service_receives_the_opcode_it_declares_and_no_other(opcode):
    service = Service(opcode)
    for other in OTHERS:
        response = await ask(dns.standard(service), message(other, rd=True))
        assert response.rcode == (iana.NOERROR if other == opcode else iana.NOTIMP)
        # RD is about queries (RFC 1035 §4.1.1).
        assert response.flags & 0x7900 == other << 11
    assert service.heard == [opcode]


async def test_a_function_is_said_to_take_an_opcode_where_the_mandatory_layer_is_made():
    async def notified(query, context):
        return query.reply(authoritative=query.opcode == dns.OPCODE_NOTIFY)

    stack = dns.stack(notified, dns.mandatory(opcodes={dns.OPCODE_NOTIFY}))
    assert (await ask(stack, message(4))).authoritative
    assert (await ask(stack, message(5))).rcode == iana.NOTIMP


async def test_a_layer_receives_the_opcode_it_declares_and_the_service_does_not():
    layer, service = Heard({4, 5}, answers={4}), Service()
    stack = dns.standard(service, rate_limit=False)
    stack = dns.stack(service, dns.cookies(), layer)
    assert (await ask(stack, message(4))).rcode == iana.NOERROR
    refused = await ask(stack, message(5, edns=Edns()))
    assert (refused.rcode, refused.question) == (iana.NOTIMP, (NAME, iana.SOA, 1))
    assert (await ask(stack, message(2))).rcode == iana.NOTIMP
    assert (layer.heard, service.heard) == ([4, 5], [])


async def test_a_layer_is_not_asked_about_what_another_has_let_in():
    first, second = Heard({4}), Second()
    stack = dns.stack(Service(4, 5), first, second)
    for opcode in (0, 4, 5):
        await ask(stack, message(opcode))
    assert (first.heard, second.heard) == ([0, 4], [0])


@pytest.mark.rfc("7873", "5.2")
async def test_the_standard_layers_see_every_opcode():
    options = ((iana.OPTION_COOKIE, bytes(8)), (iana.OPTION_NSID, b""))
    stack = dns.standard(Service(4), nsid="x")
    response = await ask(stack, message(4, edns=Edns(options=options)))
    assert {code for code, _ in response.edns.options} == {iana.OPTION_COOKIE, iana.OPTION_NSID}


async def test_undeclared_opcodes_are_answered_as_before():
    """Every row of the table of messages, with a layer that accepts one opcode."""
    site = dns.stack(
        answer, dns.cookies(), dns.nsid("north-2"), dns.edns(), Heard({dns.OPCODE_NOTIFY})
    )
    plain = dns.stack(answer, dns.cookies(), dns.nsid("north-2"), dns.edns())
    compared = 0
    for row in ROWS:
        if len(row.frame) > 2 and row.frame[2] >> 3 & 15 == dns.OPCODE_NOTIFY:
            continue
        pair = [told(await reply_to(row.frame, handler(s), context())) for s in (site, plain)]
        assert pair[0] == pair[1], row.name
        compared += 1
    assert compared > 600


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (
            lambda: dns.stack(Service(16)),
            "has 16, expected a collection of numbers from 0",
        ),
        (lambda: dns.stack(Service(), Heard({-1})), "opcodes of <layer .*> has -1"),
        (lambda: dns.stack(Service("NOTIFY")), "opcodes of .* has 'NOTIFY'"),
        (
            lambda: dns.stack(answer, dns.mandatory(opcodes={99})),
            "of <layer mandatory> has 99",
        ),
    ],
)
def test_an_invalid_opcode_is_refused(make, wrong):
    with pytest.raises(UsageError, match=wrong):
        make()


async def test_a_router_passes_an_opcode_to_the_service_that_takes_it():
    takes, does_not = Service(4), Service()
    site = dns.Router()
    site.mount("example.", takes)
    site.mount("other.", does_not)
    site.answer("www.example.")(answer)
    stack = dns.stack(site)
    assert (await ask(stack, message(4))).rcode == iana.NOERROR
    other = build_query(7, from_text("a.other."), iana.SOA, edns=None, flags=4 << 11)
    assert (await ask(stack, other)).rcode == iana.NOTIMP
    nowhere = build_query(7, from_text("a.nowhere."), iana.SOA, edns=None, flags=4 << 11)
    assert (await ask(stack, nowhere)).rcode == iana.REFUSED
    assert (takes.heard, does_not.heard) == ([4], [])


async def test_a_message_of_another_opcode_is_handled_each_time(tmp_path):
    """Answers to queries are kept ready; a NOTIFY that was answered before is another NOTIFY."""
    zone = tmp_path / "example.zone"
    zone.write_text("@ 300 SOA ns h 1 2 3 4 60\n@ 300 NS ns\nns 300 A 192.0.2.53\n")
    zones = dns.zones(zone)
    heard = []

    class Notified:
        opcodes = (dns.OPCODE_NOTIFY,)
        snapshot = staticmethod(zones.snapshot)

        async def __call__(self, query, context):
            heard.append(query.opcode)
            return query.reply() if query.opcode else await zones(query, context)

    served = handler(dns.stack(Notified()))
    for opcode, times in ((0, 1), (4, 3)):
        heard.clear()
        for _ in range(3):
            frame = build_query(7, from_text("example."), 6, edns=None, flags=opcode << 11)
            where = context()
            if served.answer_now(frame, where.peer, where.via) is None:
                assert await served.service(frame, where)
        assert heard == [opcode] * times


async def test_a_failure_of_a_service_at_another_opcode_is_its_own():
    class Fails(Service):
        async def __call__(self, query, context):
            raise KeyError("mine")

    async with Server(dns.serve(dns.stack(Fails(4))), "memgram:dns"):
        response = await dns.query("memgram:dns", "x.", flags=4 << 11)
    assert (response.rcode, response.flags >> 11 & 15) == (iana.SERVFAIL, 4)


async def test_an_explanation_asks_with_any_opcode_that_is_taken():
    found = await dns.explain(dns.stack(Service(4)), "x.", "SOA", flags=4 << 11)
    assert found.reply.rcode == iana.NOERROR


@pytest.mark.rfc("8490", "5.4")
async def test_a_stateful_operation_has_no_sections_and_reaches_the_layer_that_declares_it():
    seen = []

    class Keepalive(Layer):
        opcodes = (iana.OPCODE_DSO,)

        def before(self, query, context):
            seen.append((query.has_question, query.frame[12:], query.sections()))
            return dns.Reply(query).sealed(lambda octets: octets + b"tlv", reserve=3)

    frame = struct.pack("!6H", 7, 6 << 11, 0, 0, 0, 0) + b"\0\1\0\0"
    reply = await reply_to(frame, handler(dns.stack(answer, Keepalive())), context())
    assert reply == struct.pack("!6H", 7, 0x8000 | 6 << 11, 0, 0, 0, 0) + b"tlv"
    assert seen == [(False, b"\0\1\0\0", ((), (), ()))]


# -- what a layer sees of the request ------------------------------------------------------------


def update() -> bytes:
    """Return an UPDATE with a record in every section, and an OPT record between two others."""
    head = struct.pack("!6H", 7, 5 << 11, 1, 1, 2, 3)
    zone = from_text("example.") + struct.pack("!HH", iana.SOA, 1)
    prerequisite = b"\xc0\x0c" + struct.pack("!HHIH", 255, 255, 0, 0)
    added = b"\1a\xc0\x0c" + struct.pack("!HHIH4s", 1, 1, 60, 4, bytes(4))
    deleted = b"\1b\xc0\x0c" + struct.pack("!HHIH", 1, 255, 0, 0)
    opt = b"\0" + struct.pack("!HHIH", 41, 1232, 0x8000, 0)
    signed = b"\1k\0" + struct.pack("!HHIH", 250, 255, 0, 3) + b"mac"
    return head + zone + prerequisite + added + deleted + added + opt + signed


def test_a_message_shows_every_section_and_where_each_record_is():
    query = QueryCodec({dns.OPCODE_UPDATE}).decode(update())
    assert (query.opcode, query.name, query.dnssec_ok) == (5, "example.", True)
    assert query.frame == update()
    sections = query.sections()
    names = [[(r.name, r.type) for r in section] for section in sections]
    assert names == [
        [("example.", "ANY")],
        [("a.example.", "A"), ("b.example.", "A")],
        [("a.example.", "A"), (".", "OPT"), ("k.", "TSIG")],
    ]
    end = 12 + len(query.question)
    for record in (record for section in sections for record in section):
        assert record.offset == end
        end = record.start + record.length
    assert end == len(query.frame)


def test_a_query_that_was_not_received_has_no_frame_and_no_sections():
    query = parse_query(message(0)).asking(NAME, iana.A)
    assert (query.frame, query.sections()) == (b"", ((), (), ()))


@pytest.mark.parametrize("place", ["a layer", "a service"])
async def test_a_record_that_cannot_be_read_is_a_format_error(place):
    """The owner is skipped when the query comes in: that it is no name shows where it is read."""
    frame = message(0)
    loop = b"\1a" * 130 + b"\0" + struct.pack("!HHIH", 1, 1, 0, 0)
    frame = frame[:10] + b"\0\1" + frame[12:] + loop
    assert parse_query(frame)

    class Reads(Layer):
        def before(self, query, context):
            query.sections()
            return context

    async def reads(query, context):
        query.sections()

    stack = dns.stack(answer, dns.nsid("x"), Reads()) if place == "a layer" else dns.stack(reads)
    assert (await ask(stack, frame)).rcode == iana.FORMERR
    with pytest.raises(BadQuery, match="255"):
        parse_query(frame).sections()
