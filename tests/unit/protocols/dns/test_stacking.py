from __future__ import annotations

import itertools
from contextlib import suppress

import pytest
from tests.unit.protocols.dns.middleware.asking import answer, ask, context, option

from pierhead.errors import Overloaded, ServiceFailed, TimedOut, UsageError
from pierhead.middleware import timeout
from pierhead.protocols import dns
from pierhead.protocols.dns.codec import DatagramReplyCodec
from pierhead.protocols.dns.middleware.layer import Layer
from pierhead.protocols.dns.response import parse_response
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.query import BadQuery, build_query, parse_query
from pierhead.server.server import Server


class OfMine(Layer):
    """A layer that the standard ones know nothing of."""


def names(stack):
    return [getattr(layer, "name", "other") for layer in stack.layers]


ALL = [
    *("query_log", "extended_errors", "cookies", "nsid", "keepalive", "padding", "edns", "expire"),
    *("rate_limit", "minimal_responses", "identity", "mandatory"),
]


def test_the_standard_stack_has_everything_in_one_order():
    everything = dns.standard(
        answer, nsid="x", chaos=dns.chaos(version="1"), minimal_responses=True, query_log=True
    )
    assert names(everything) == ALL
    assert repr(everything) == f"<Stack {' > '.join(ALL)}>"
    optional = {"nsid", "query_log", "minimal_responses", "identity"}
    assert names(dns.standard(answer)) == [name for name in ALL if name not in optional]
    least = dns.standard(
        answer,
        cookies=False,
        rate_limit=False,
        keepalive=False,
        padding=False,
        extended_errors=False,
    )
    assert names(least) == ["edns", "expire", "mandatory"]


def test_a_layer_of_ones_own_takes_the_place_of_the_standard_one():
    cookies, limit = dns.cookies(), dns.rate_limit(5)
    layers = dns.standard(answer, cookies=cookies, rate_limit=limit).layers
    assert cookies in layers
    assert limit in layers


def test_the_mandatory_layer_cannot_be_omitted():
    assert names(dns.stack(answer)) == ["mandatory"]
    assert names(dns.stack(answer, dns.nsid("x"), dns.mandatory())) == ["nsid", "mandatory"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ([dns.rate_limit(), dns.cookies()], "rate_limit must be inside cookies: clients with"),
        ([dns.mandatory(), dns.nsid("x")], "mandatory must be the innermost: its refusals pass"),
        ([dns.mandatory(), timeout(5.0)], "mandatory must be the innermost"),
        ([dns.mandatory(), OfMine()], "mandatory must be the innermost"),
        ([dns.identity(dns.chaos(version="1")), dns.rate_limit()], "inside rate_limit: it sends"),
        ([dns.edns(), dns.cookies()], "discards answers without one"),
        ([dns.keepalive(), dns.cookies()], "discards answers without one"),
        ([dns.rate_limit(), dns.query_log()], "must be inside query_log"),
        ([dns.nsid("x"), dns.nsid("y")], "nsid is listed twice"),
    ],
)
def test_a_wrong_order_is_refused_with_the_reason(wrong, reason):
    with pytest.raises(UsageError, match=reason):
        dns.stack(answer, *wrong)


def test_the_order_that_is_advised_is_accepted():
    layers = [dns.cookies(), dns.rate_limit(), dns.edns(), dns.mandatory(), dns.nsid("x")]
    accepted = 0
    for order in itertools.permutations(layers):
        with suppress(UsageError):
            dns.stack(answer, *order)
            accepted += 1
            places = [layer.name for layer in order]
            assert places.index("cookies") < places.index("rate_limit")
            assert places[-1] == "mandatory"
    # Of 120: mandatory is last (24), cookies before the two others it must be outside of (a third).
    assert accepted == 8


def test_a_stack_in_a_stack_is_refused():
    with pytest.raises(UsageError, match="already has its layers"):
        dns.stack(dns.standard(answer), dns.nsid("x"))


async def test_layers_that_are_not_of_dns_stand_anywhere():
    layers = (timeout(5.0), dns.cookies(), timeout(5.0), dns.nsid("x"), timeout(5.0))
    reply = await dns.stack(answer, *layers)(
        ask("x.", "A", (iana.OPTION_NSID, b""), (iana.OPTION_COOKIE, bytes(8))), context()
    )
    assert option(reply, iana.OPTION_NSID) == b"x"
    assert option(reply, iana.OPTION_COOKIE)
    assert reply.answer


@pytest.mark.parametrize(
    ("service", "has_cookie"),
    [(answer, True), (dns.standard(answer), True), (dns.stack(answer), False)],
)
async def test_serve_puts_the_standard_layers_around_what_is_no_stack(service, has_cookie):
    query = Edns(options=((iana.OPTION_COOKIE, bytes(8)),))
    async with Server(dns.serve(service), "memgram:dns"):
        response = await dns.query("memgram:dns", "www.example.", "A", edns=query)
    assert bool(response.edns.options) is has_cookie
    assert len(response.answer) == 1


async def test_a_connection_tells_its_own_idle_timeout():
    async def brief(query, inner):
        if query.name == "brief.":
            inner.connection.set_idle_timeout(2.5)
        return query.reply()

    asking = Edns(options=((iana.OPTION_KEEPALIVE, b""),))
    async with Server(dns.serve(brief), "mem:dns", idle_timeout=7.0):
        for name, tenths in (("brief.", 25), ("plain.", 70)):
            response = await dns.query("mem:dns", name, "A", edns=asking)
            assert response.edns.options == ((11, tenths.to_bytes(2, "big")),)


def refusal(error, frame=None, **settings):
    good = build_query(7, b"\x01x\x00", iana.A, edns=Edns())
    return parse_response(DatagramReplyCodec(**settings).reject(error, frame or good))


@pytest.mark.rfc("8914", "4")
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimedOut("late"), b"took too long"),
        (Overloaded("limit"), b"again later"),
        (ServiceFailed("boom"), b"its log"),
    ],
)
def test_a_failure_says_why_without_saying_what_is_inside(error, words):
    frame = build_query(7, b"\x20" + bytes(32) + b"\0", iana.A, edns=Edns())
    response = refusal(error, frame, extended_errors=True)
    assert response.rcode == iana.SERVFAIL
    ((code, data),) = response.edns.options
    assert (code, data[:2]) == (iana.OPTION_EXTENDED_ERROR, b"\x00\x00")
    assert words in data
    assert refusal(error).edns.options == ()
    # No rate limit has seen it: no more than twice what was asked, as in this short one.
    assert refusal(error, extended_errors=True).edns.options == ()


async def test_refusals_by_layers_are_explained_too():
    strict = dns.standard(answer, cookies=dns.cookies(required=["0.0.0.0/0"]))
    for query, words in [
        (ask(), b"use TCP"),
        (ask("x.", "A", (iana.OPTION_COOKIE, b"x")), b"malformed"),
    ]:
        assert words in option(await strict(query, context()), iana.OPTION_EXTENDED_ERROR)


def test_a_prepared_refusal_is_what_is_said():
    failure = ServiceFailed("boom")
    failure.reply = parse_query(build_query(7, b"\x01x\x00", 1, edns=Edns())).reply(
        rcode=iana.SERVFAIL
    )
    failure.reply = failure.reply.having(iana.OPTION_COOKIE, bytes(24))
    response = refusal(failure, extended_errors=True)
    assert [code for code, _ in response.edns.options] == [10, 15]


def test_the_refusal_of_a_malformed_query_says_what_is_wrong():
    twice = build_query(7, b"\x01x\x00", 1, edns=Edns())
    frame = twice[:11] + b"\x02" + twice[12:] + twice[-11:]
    with pytest.raises(BadQuery) as caught:
        parse_query(frame)
    response = refusal(caught.value, frame, extended_errors=True)
    assert response.rcode == iana.FORMERR
    assert b"more than one OPT" in response.edns.options[0][1]


def test_a_refusal_is_never_more_than_twice_what_was_sent():
    frame = build_query(7, b"\x00", 1, edns=Edns())
    long = BadQuery("x" * 60, question=frame[12:17], do=False)
    codec = DatagramReplyCodec(extended_errors=True)
    assert len(codec.reject(long, frame)) == len(frame)
    assert len(codec.reject(long, frame + bytes(60))) > len(frame) + 60


@pytest.mark.rfc("6891", "6.1.3")
def test_another_edns_version_is_refused_without_options():
    frame = build_query(7, b"\x01x\x00", 1, edns=Edns(version=1))
    with pytest.raises(BadQuery) as caught:
        parse_query(frame)
    response = refusal(caught.value, frame, extended_errors=True)
    assert (response.rcode, response.edns.options) == (iana.BADVERS, ())


@pytest.mark.parametrize("verdict", [None, "no", iana.REFUSED])
async def test_a_before_that_returns_nonsense_lets_nobody_in(verdict: object) -> None:
    class Guard(Layer):
        def before(self, query, context):
            return verdict

    asked = []

    async def secret(query, context):
        asked.append(query)
        return query.reply(dns.A("192.0.2.1"))

    with pytest.raises(ServiceFailed, match=r"Guard\.before returned .*, expected the context"):
        await dns.stack(secret, Guard()).service(ask(), context())
    assert asked == []


@pytest.mark.parametrize("hook", ["before", "after"])
def test_an_async_hook_is_refused(hook: str) -> None:
    async def waits(self, *arguments):
        return None

    guard = type("Guard", (Layer,), {hook: waits})()
    with pytest.raises(UsageError, match="is async, expected a plain function"):
        dns.stack(answer, guard)
