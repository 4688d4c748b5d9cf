from __future__ import annotations

import pytest
from tests.unit.protocols.dns.middleware.asking import HeldClock, answer, ask, context

from pierhead.errors import UsageError
from pierhead.metrics import Metrics
from pierhead.protocols import dns
from pierhead.protocols.dns.middleware.rate_limit import kind_of
from pierhead.protocols.dns.trace import Trace
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Reply
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.rrset import RRset


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


async def test_each_so_many_th_answer_beyond_the_rate_is_cut(clock):
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
        ([ask("w1."), ask("w1."), ask("w1.", "TXT")], False),
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


async def test_the_table_has_a_bound_and_forgets_the_oldest(clock):
    layer = dns.rate_limit(1, burst=1, max_entries=3, clock=clock)
    service = dns.stack(answer, layer)
    for number in range(10):
        await service(ask(), context(f"192.0.{number}.1"))
        assert len(layer) <= 3
    assert await outcomes(service, [ask()], context("192.0.9.1")) != ["whole"]
    assert await outcomes(service, [ask()], context("192.0.0.1")) == ["whole"]


async def test_what_is_not_sent_is_counted_and_noted(clock):
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


async def test_nobody_is_exempt_if_so_wished(clock):
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


async def test_nobody_is_admitted_beyond_the_rate_where_nobody_is_exempt(clock):
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
