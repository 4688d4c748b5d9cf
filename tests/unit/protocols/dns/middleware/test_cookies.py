from __future__ import annotations

import pytest
from tests.unit.protocols.dns.middleware.asking import (
    HeldClock,
    answer,
    ask,
    ask_nothing,
    context,
    option,
)

from pierhead.errors import UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.trace import Trace
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.cookie import make_cookie

COOKIE = iana.OPTION_COOKIE
CLIENT = bytes.fromhex("2464c4abcf10c957")
SECRET = bytes(range(16))
OTHER = bytes(16)
ADDRESS = bytes((192, 0, 2, 1))
NOW = 1_000_000


@pytest.fixture
def clock():
    return HeldClock(NOW)


def layered(clock, **settings):
    return dns.stack(answer, dns.cookies(secrets=[SECRET], clock=clock, **settings))


def made(at=NOW, secret=SECRET, address=ADDRESS):
    return make_cookie(CLIENT, address, at, secret)


@pytest.mark.rfc("7873", "5.2.1")
async def test_a_query_without_a_cookie_gets_an_answer_without(clock):
    reply = await layered(clock)(ask(), context())
    assert reply.answer
    assert reply.options == ()


@pytest.mark.rfc("7873", "5.2.3")
async def test_a_client_cookie_alone_gets_the_answer_and_a_server_cookie(clock):
    reply = await layered(clock)(ask("www.example.", "A", (COOKIE, CLIENT)), context())
    assert reply.answer
    assert option(reply, COOKIE) == made()


@pytest.mark.rfc("7873", "5.2.2")
@pytest.mark.parametrize("octets", [0, 1, 7, 9, 15, 41, 100])
async def test_a_cookie_of_a_length_that_none_has_is_a_format_error(clock, octets):
    reply = await layered(clock)(ask("www.example.", "A", (COOKIE, bytes(octets))), context())
    assert reply.rcode == iana.FORMERR
    assert option(reply, COOKIE) is None


@pytest.mark.rfc("9018", "4.3")
@pytest.mark.parametrize(
    ("age", "becomes"),
    [
        (0, "valid"),
        (1800, "valid"),
        (1801, "renewed"),
        (3600, "renewed"),
        (3601, "bad"),
        (-300, "valid"),
        (-301, "bad"),
    ],
)
async def test_a_cookie_is_good_for_an_hour_and_renewed_after_half_of_it(clock, age, becomes):
    seen = []

    async def service(query, inner):
        seen.append(inner.get(dns.ValidCookie))
        return query.reply()

    stack = dns.stack(service, dns.cookies(secrets=[SECRET], clock=clock))
    shown = made(NOW - age)
    reply = await stack(ask("www.example.", "A", (COOKIE, shown)), context())

    assert (seen[0] is None) is (becomes == "bad")
    assert option(reply, COOKIE) == (shown if becomes == "valid" else made())


@pytest.mark.parametrize(
    "shown",
    [
        made(secret=OTHER),
        made(address=bytes(4)),
        CLIENT + bytes(8),
        CLIENT + bytes(32),
        CLIENT + b"\x02" + made()[9:],
        b"other888" + made()[8:],
    ],
    ids=["secret", "address", "short", "long", "version", "client"],
)
@pytest.mark.rfc("7873", "5.2.4")
async def test_a_cookie_that_is_not_ours_is_as_none(clock, shown):
    query = ask("www.example.", "A", (COOKIE, shown))
    reply = await layered(clock)(query, context())
    assert reply.answer
    assert option(reply, COOKIE) == make_cookie(shown[:8], ADDRESS, NOW, SECRET)

    required = layered(clock, required=["192.0.2.0/24"])
    reply = await required(query, context())
    assert (reply.rcode, reply.answer) == (iana.BADCOOKIE, ())
    assert option(reply, COOKIE) == make_cookie(shown[:8], ADDRESS, NOW, SECRET)


@pytest.mark.rfc("7873", "5.2.3")
async def test_where_a_cookie_is_required_datagrams_without_one_get_none_of_the_answer(clock):
    required = layered(clock, required=["192.0.2.0/24", "2001:db8::/32"], exempt=["192.0.2.7"])
    with_client = ask("www.example.", "A", (COOKIE, CLIENT))

    none = await required(ask(), context())
    assert (none.rcode, none.truncated, none.answer) == (iana.REFUSED, True, ())
    assert (await required(ask(edns=False), context())).truncated
    assert (await required(with_client, context())).rcode == iana.BADCOOKIE
    assert (await required(with_client, context("2001:db8::1"))).rcode == iana.BADCOOKIE
    assert (await required(ask("www.example.", "A", (COOKIE, made())), context())).answer

    for other in (context("192.0.2.7"), context("198.51.100.1"), context(tcp=True)):
        assert (await required(ask(), other)).answer
        reply = await required(with_client, other)
        assert reply.answer
        assert option(reply, COOKIE)


@pytest.mark.rfc("7873", "5.4")
@pytest.mark.parametrize(
    ("shown", "rcode"),
    [
        (CLIENT, iana.NOERROR),
        (made(), iana.NOERROR),
        (made(secret=OTHER), iana.BADCOOKIE),
        (made(NOW - 3601), iana.BADCOOKIE),
        (CLIENT[:7], iana.FORMERR),
    ],
)
async def test_a_cookie_can_be_asked_for_without_a_question(clock, shown, rcode):
    reply = await layered(clock)(ask_nothing((COOKIE, shown)), context())
    assert (reply.rcode, reply.answer) == (rcode, ())
    assert option(reply, COOKIE) == (None if rcode == iana.FORMERR else made())


@pytest.mark.rfc("7873", "5.2")
async def test_of_two_cookies_the_first_counts(clock):
    query = ask("www.example.", "A", (COOKIE, CLIENT), (COOKIE, b"x"))
    assert option(await layered(clock)(query, context()), COOKIE) == made()


@pytest.mark.rfc("9018", "5")
async def test_secrets_roll_over_without_a_client_being_refused(clock):
    layer = dns.cookies(secrets=[SECRET], required=["0.0.0.0/0"], clock=clock)
    service = dns.stack(answer, layer)

    async def shows(cookie):
        return await service(ask("www.example.", "A", (COOKIE, cookie)), context())

    layer.secrets = (SECRET, OTHER)  # first all servers learn to verify with the new one
    assert option(await shows(made(secret=OTHER)), COOKIE) == made()
    layer.secrets = (OTHER, SECRET)  # then it creates cookies, and those of the old one are renewed
    assert option(await shows(made()), COOKIE) == made(secret=OTHER)
    layer.secrets = (OTHER,)
    assert (await shows(made())).rcode == iana.BADCOOKIE


@pytest.mark.parametrize("secrets", [[b"short"], [SECRET, bytes(17)]])
def test_a_secret_of_another_length_is_refused(secrets):
    with pytest.raises(UsageError, match="expected 16"):
        dns.cookies(secrets=secrets)


def test_without_any_secret_there_are_no_cookies():
    layer = dns.cookies()
    with pytest.raises(UsageError, match="no secret"):
        layer.secrets = ()


async def test_a_secret_is_drawn_where_none_is_given():
    query = ask("www.example.", "A", (COOKIE, CLIENT))
    replies = [await dns.stack(answer, dns.cookies())(query, context()) for _ in range(2)]
    first, second = (option(reply, COOKIE) for reply in replies)
    assert first != second


async def test_a_peer_without_an_ip_address_has_cookies_by_its_name(clock):
    query = ask("www.example.", "A", (COOKIE, CLIENT))
    reply = await layered(clock)(query, context("client"))
    assert option(reply, COOKIE) == make_cookie(CLIENT, b"client", NOW, SECRET)


async def test_the_result_of_a_cookie_check_is_recorded_for_explain(clock):
    service = layered(clock, required=["192.0.2.0/24"])
    for query, words in [
        (ask("www.example.", "A", (COOKIE, made())), "is valid"),
        (ask("www.example.", "A", (COOKIE, CLIENT)), "no valid cookie"),
        (ask("www.example.", "A", (COOKIE, b"x")), "cookie of 1 octets"),
        (ask(), "none sent"),
    ]:
        trace = Trace()
        await service(query, context(facts=[trace]))
        assert words in str(trace)
