from __future__ import annotations

import gc
import tracemalloc

import pytest
from tests.unit.protocols.dns.middleware.asking import HeldClock, answer, ask, context

from pierhead.errors import ServiceFailed, UsageError
from pierhead.metrics import Metrics
from pierhead.protocols import dns
from pierhead.protocols.dns.codec import DatagramReplyCodec
from pierhead.protocols.dns.middleware.rate_limit import kind_of
from pierhead.protocols.dns.services.zones import ZoneService
from pierhead.protocols.dns.trace import Trace
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.message import Reply
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.query import BadQuery, build_query
from pierhead.protocols.dns.wire.rrset import RRset
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.zone import Zones
from pierhead.service.context import Peer


@pytest.fixture
def clock():
    return HeldClock(100.0)


def limited(clock, service=answer, **settings):
    given = {"burst": 2, "slip": 0, "clock": clock, **settings}
    return dns.stack(service, dns.rate_limit(given.pop("rate", 1.0), **given))


async def outcomes(service, queries, where=None):
    """Return what became of each: whole, cut or dropped."""
    found = []
    for query in queries:
        reply = await service(query, where or context())
        found.append("dropped" if reply is None else "cut" if reply.truncated else "whole")
    return found


async def test_a_network_gets_a_burst_and_then_the_rate(clock):
    service = limited(clock)
    assert await outcomes(service, [ask()] * 3) == ["whole", "whole", "dropped"]
    clock.now += 1.0
    assert await outcomes(service, [ask()] * 2) == ["whole", "dropped"]
    clock.now += 60.0
    assert await outcomes(service, [ask()] * 3) == ["whole", "whole", "dropped"]


async def test_one_in_slip_answers_beyond_the_rate_is_truncated(clock):
    assert await outcomes(limited(clock, slip=2), [ask()] * 6) == [
        *("whole", "whole", "dropped", "cut", "dropped", "cut")
    ]
    assert await outcomes(limited(clock, slip=1), [ask()] * 4) == ["whole", "whole", "cut", "cut"]
    reply = None
    service = limited(clock, slip=1)
    for _ in range(3):
        reply = await service(ask(), context())
    assert (reply.truncated, reply.answer, reply.rcode) == (True, (), iana.NOERROR)


async def test_a_network_is_a_prefix(clock):
    service = limited(clock)
    for other in ("192.0.2.1", "192.0.2.200", "::ffff:192.0.2.9"):
        last = await outcomes(service, [ask()], context(other))
    assert last == ["dropped"]
    for new in ("192.0.3.1", "2001:db8::1"):
        assert await outcomes(service, [ask()], context(new)) == ["whole"]
    await outcomes(service, [ask()], context("2001:db8:0:1::1"))
    assert await outcomes(service, [ask()], context("2001:db8:0:ff::1")) == ["dropped"]
    assert await outcomes(service, [ask()], context("2001:db8:0:100::1")) == ["whole"]


async def test_streams_cookies_this_machine_and_named_peers_are_not_limited(clock):
    service = dns.stack(answer, dns.cookies(clock=clock), dns.rate_limit(1, burst=1, clock=clock))
    client = ask("www.example.", "A", (10, bytes(8)))
    first = await service(client, context())
    shown = ask("www.example.", "A", first.options[0])
    for where in (context(tcp=True), context("127.0.0.1"), context("::1"), context("client")):
        assert await outcomes(service, [ask()] * 3, where) == ["whole"] * 3
    assert await outcomes(service, [shown] * 3) == ["whole"] * 3
    assert "whole" not in await outcomes(service, [client, ask()])


def section(name, rtype):
    return ((from_text(name), RRset(from_text(name), rtype, 60, (b"\x00",))),)


async def canned(query, _context):
    """Answer by the first label of the name."""
    match query.name[0].lower():
        case "w":  # of a wildcard
            rrset = RRset(from_text("*.example."), iana.A, 60, (bytes(4),))
            return Reply(query, authoritative=True, answer=((query.qname, rrset),))
        case "x":
            zone = section("example.", iana.SOA)
            return Reply(query, iana.NXDOMAIN, True, authority=zone)
        case "r":
            return Reply(query, authority=section("sub.example.", iana.NS))
        case "e":
            return Reply(query, iana.REFUSED)
    return Reply(query, authoritative=True, authority=section("example.", iana.SOA))


@pytest.mark.parametrize(
    ("queries", "same"),
    [
        ([ask("w1."), ask("w2."), ask("W3.")], True),
        # One set answers, whatever was asked for: as an alias does.
        ([ask("w1."), ask("w1."), ask("w1.", "TXT")], True),
        ([ask("x1."), ask("x2."), ask("x3.", "TXT")], True),
        ([ask("r1."), ask("r2."), ask("r3.", "TXT")], True),
        ([ask("e1."), ask("e2."), ask("e3.", "TXT")], True),
        ([ask("n1."), ask("N1.", "TXT"), ask("n1.", "MX")], True),
        ([ask("n1."), ask("n1."), ask("n2.")], False),
        ([ask("x1."), ask("e1."), ask("r1.")], False),
    ],
)
async def test_what_counts_as_the_same_answer(clock, queries, same):
    found = await outcomes(limited(clock, canned), queries)
    assert found == ["whole", "whole", "dropped" if same else "whole"]


ZONE = b"""
@ 300 SOA ns h 1 2 3 4 5
@ 300 NS ns
ns 300 A 192.0.2.1
*.wild 300 A 192.0.2.2
*.wild 300 TXT "%s"
one 300 CNAME target.elsewhere.
two 300 CNAME ns
chain 300 CNAME two
moved 300 DNAME elsewhere.
sub 300 NS ns.sub
ns.sub 300 A 192.0.2.3
a.gap 300 A 192.0.2.4
""" % (b"x" * 200)

ZONES = Zones([parse_zone(ZONE, origin="example.")])

#: Each shape of answer, with queries that an attacker can vary without end, and with EDNS
#: payload that lets the answer be as large as it gets.
SHAPES = {
    "a set": lambda n: ("ns", "A"),
    "a wildcard's set": lambda n: (f"r{n}.wild", "A"),
    "a wildcard's large set": lambda n: (f"r{n}.wild", "TXT"),
    "no such type at a wildcard": lambda n: (f"r{n}.wild", "MX"),
    "no such type": lambda n: ("ns", f"TYPE{300 + n % 60000}"),
    "no such type between names": lambda n: ("gap", f"TYPE{300 + n % 60000}"),
    "an alias asked with any type": lambda n: ("one", f"TYPE{300 + n % 60000}"),
    "a chain asked with any type": lambda n: ("chain", f"TYPE{300 + n % 60000}"),
    "names below a DNAME": lambda n: (f"r{n}.moved", "A"),
    "a referral": lambda n: (f"r{n}.sub", "A"),
    "no such name": lambda n: (f"r{n}", "A"),
    "DS at a cut": lambda n: ("sub", "DS"),
    "ANY": lambda n: ("ns", "ANY"),
    "another zone": lambda n: (f"r{n}.test.", "A"),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("do", [False, True])
async def test_no_shape_of_answer_is_worth_stealing(clock, shape, do):
    """Twice as many octets out as in, at the most, from 1,500 queries in a second."""
    layer = dns.rate_limit(clock=clock, exempt=())
    service = dns.stack(ZoneService(ZONES), layer)
    codec, came, sent = DatagramReplyCodec(), 0, 0
    for number in range(1500):
        name, rtype = SHAPES[shape](number)
        query = ask(name if name.endswith(".") else f"{name}.example.", rtype, do=do)
        reply = await service(query, context("192.0.2.77"))
        came += 12 + len(query.question) + 11
        sent += 0 if reply is None else len(codec.encode(reply))
        clock.now += 1 / 1500
    assert sent <= 2 * came
    assert len(layer) == 1


@pytest.mark.parametrize("pattern", ["*.dyn.example."])
async def test_a_pattern_of_functions_counts_as_one(clock, pattern):
    site = dns.Router()

    @site.answer(pattern, "A")
    async def address(query, context):
        return query.reply(dns.A("192.0.2.1"))

    service = limited(clock, site)
    names = [ask(f"r{n}.dyn.example.") for n in range(3)]
    assert await outcomes(service, names) == ["whole", "whole", "dropped"]
    names = [ask(f"r{n}.dyn.example.", "MX") for n in range(3)]
    assert await outcomes(service, names) == ["whole", "whole", "dropped"]


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(bytes(2) + b"\x28" + bytes(9), id="NOTIMP"),
        pytest.param(bytes(5) + b"\2" + bytes(6), id="FORMERR"),
        pytest.param(build_query(7, b"\x01x\x00", 1, edns=Edns(version=1)), id="BADVERS"),
    ],
)
async def test_refusals_of_what_cannot_be_read_count_as_errors(clock, frame, constant):
    async def always(query, context):
        return query.reply(dns.A("192.0.2.1"))

    layer = dns.rate_limit(1, burst=2, clock=clock, exempt=())
    service = ZoneService(ZONES) if constant else always
    handler = dns.serve(dns.stack(service, layer)).datagram
    ended = []
    for _ in range(4):
        with pytest.raises(BadQuery) as refused:
            await handler.service(frame, context())
        ended.append(handler.withholds(context().peer, refused.value))
    assert ended == [False, False, True, True]
    assert layer.metrics.total("responses_limited_total", action="drop") == 2


async def test_the_refusal_of_a_failure_is_withheld_like_any_other(clock):
    async def fails(query, context):
        raise ValueError("a mistake")

    layer = dns.rate_limit(1, burst=2, slip=0, clock=clock, exempt=())
    handler = dns.serve(dns.stack(fails, layer)).datagram
    frame = build_query(7, b"\x01x\x00", 1, edns=Edns())
    sent = []
    for _ in range(4):
        with pytest.raises(ServiceFailed) as failed:
            await handler.service(frame, context())
        assert not handler.withholds(context().peer, failed.value)  # a layer has counted it
        sent.append(handler.reject(failed.value, frame) is not None)
    assert sent == [True, True, False, False]


def test_a_full_table_takes_the_memory_that_is_documented(clock):
    """300 octets an entry, whatever the names: about 30 MB for 100,000."""
    entries = 5000
    layer = dns.rate_limit(clock=clock, max_entries=entries, exempt=())
    via = context().via
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(3 * entries):
            peer = Peer((f"2001:db8:{number >> 8:x}:{number & 255:x}00::1", 53))
            assert layer.admits(peer, via, b"\0\0\1" + number.to_bytes(250, "big"))
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(layer) == entries
    assert taken <= 300 * entries + 100_000


async def test_the_table_has_a_bound_and_forgets_the_oldest(clock):
    layer = dns.rate_limit(1, burst=1, max_entries=3, clock=clock)
    service = dns.stack(answer, layer)
    for number in range(10):
        await service(ask(), context(f"192.0.{number}.1"))
        assert len(layer) <= 3
    assert await outcomes(service, [ask()], context("192.0.9.1")) != ["whole"]
    assert await outcomes(service, [ask()], context("192.0.0.1")) == ["whole"]


async def test_a_withheld_answer_is_counted_and_recorded(clock):
    metrics, trace = Metrics(), Trace()
    service = limited(clock, slip=2, metrics=metrics)
    await outcomes(service, [ask()] * 5, context(facts=[trace]))
    assert metrics.total("responses_limited_total", action="drop") == 2
    assert metrics.total("responses_limited_total", action="slip") == 1
    assert "not sent" in str(trace)
    assert "TC" in str(trace)


@pytest.mark.parametrize(
    "wrong",
    [
        {"responses_per_second": 0},
        {"burst": 0},
        {"slip": -1},
        {"ipv4_prefix": 33},
        {"ipv6_prefix": 0},
        {"max_entries": 0},
        {"exempt": ["nowhere"]},
    ],
)
def test_a_number_out_of_range_is_refused(wrong):
    with pytest.raises(UsageError):
        dns.rate_limit(**wrong)


async def test_no_network_is_exempt_if_none_is_listed(clock):
    service = limited(clock, exempt=())
    assert await outcomes(service, [ask()] * 3, context("127.0.0.1")) == [
        *("whole", "whole", "dropped")
    ]


async def test_an_answer_sent_without_asking_the_layers_is_counted_with_the_others(clock):
    layer = dns.rate_limit(1, burst=3, slip=0, clock=clock)
    service = dns.stack(answer, layer)
    where = context()
    said = kind_of(ask(), await answer(ask(), where))

    def admits(given):
        return layer.admits(given.peer, given.via, said)

    assert await outcomes(service, [ask()]) == ["whole"]
    assert [admits(where) for _ in range(4)] == [True, True, False, False]
    assert await outcomes(service, [ask()]) == ["dropped"]
    clock.now += 1.0
    assert [admits(where), admits(where)] == [True, False]
    for free in (context(tcp=True), context("127.0.0.1"), context("client")):
        assert all(admits(free) for _ in range(6))


async def test_nothing_is_admitted_beyond_the_rate_without_exemptions(clock):
    layer = dns.rate_limit(1, burst=1, clock=clock, exempt=())
    here = context("127.0.0.1")
    said = kind_of(ask(), await answer(ask(), here))
    assert [layer.admits(here.peer, here.via, said) for _ in range(2)] == [True, False]


async def test_a_prefix_need_not_end_with_an_octet(clock):
    service = limited(clock, burst=1, ipv4_prefix=23, ipv6_prefix=47)
    await outcomes(service, [ask()], context("192.0.2.1"))
    await outcomes(service, [ask()], context("2001:db8:2::1"))
    same = [context("192.0.3.9"), context("2001:db8:3::9")]
    assert [await outcomes(service, [ask()], where) for where in same] == [["dropped"]] * 2
    others = [context("192.0.4.1"), context("2001:db8:4::1")]
    assert [await outcomes(service, [ask()], where) for where in others] == [["whole"]] * 2
