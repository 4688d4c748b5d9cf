"""Requests that failed are sent again, where it is safe."""

from __future__ import annotations

import asyncio

import pytest

from pierhead import Metrics, Server, connect, stack
from pierhead.errors import ConnectError, ConnectionEnded, Overloaded, TimedOut, UsageError
from pierhead.middleware import limit, retry, timeout
from pierhead.protocols import lines
from pierhead.service.context import Context, Peer, Transport, Via

VIA = Via(transport=Transport.STREAM, scheme="mem", local="mem:a", listener="mem:a")
CONTEXT = Context(Peer("b"), 0.0, VIA)
REFUSED = ConnectError("mem:b", "connect", "refused")
ENDED = ConnectionEnded("mem:b", "reset")


class Failing:
    """Raises these, one for each call, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self, request: str, context: Context) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return request.upper()


async def test_what_was_not_sent_is_sent_again(clock):
    service = Failing(REFUSED, REFUSED)
    assert await retry(3)(service)("a", CONTEXT) == "A"
    assert service.calls == 3


async def test_what_may_have_taken_effect_is_not(clock):
    service = Failing(ENDED)
    with pytest.raises(ConnectionEnded):
        await retry(3)(service)("a", CONTEXT)
    assert service.calls == 1


@pytest.mark.parametrize("error", [ENDED, TimedOut("late")])
async def test_it_is_if_the_caller_says_that_the_request_is_idempotent(clock, error):
    assert await retry(2, idempotent=True)(Failing(error))("a", CONTEXT) == "A"
    by_request = retry(2, idempotent=lambda request: request == "get")
    assert await by_request(Failing(error))("get", CONTEXT) == "GET"
    with pytest.raises(type(error)):
        await by_request(Failing(error))("put", CONTEXT)


@pytest.mark.parametrize("error", [Overloaded("limit"), ValueError("a bug"), UsageError("no")])
async def test_other_failures_are_not_retried(clock, error):
    service = Failing(error)
    with pytest.raises(type(error)):
        await retry(3, idempotent=True)(service)("a", CONTEXT)
    assert service.calls == 1


async def test_the_last_failure_is_raised_and_counted(clock):
    metrics = Metrics()
    service = Failing(*[REFUSED] * 9)
    with pytest.raises(ConnectError):
        await retry(3, metrics=metrics)(service)("a", CONTEXT)
    assert service.calls == 3
    assert metrics.total("retries_total") == 2
    assert metrics.total("retries_refused_total", reason="attempts") == 1


async def test_pauses_grow_up_to_the_longest(clock):
    loop = asyncio.get_running_loop()
    service = Failing(*[REFUSED] * 19)
    began = loop.time()
    layer = retry(20, pause=1, max_pause=4, burst=100)
    assert await layer(service)("a", CONTEXT) == "A"
    # 1 + 2 + 17 * 4 on average, each spread evenly from nothing to twice that
    assert 30 < loop.time() - began < 110


async def test_a_server_that_fails_every_request_gets_a_tenth_more(clock):
    metrics = Metrics()
    service = Failing(*[REFUSED] * 9999)
    retried = retry(3, metrics=metrics)(service)
    for _ in range(1000):
        with pytest.raises(ConnectError):
            await retried("a", CONTEXT)
    assert 1100 <= service.calls <= 1110
    assert metrics.total("retries_refused_total", reason="budget") > 0


async def test_an_outer_timeout_ends_the_pause_too(clock):
    service = Failing(*[REFUSED] * 9)
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimedOut):
        await stack(service, timeout(2), retry(9, pause=60, max_pause=60), limit(100))("a", CONTEXT)
    assert asyncio.get_running_loop().time() - began == pytest.approx(2)


async def test_many_replies_begin_again_until_the_first(clock):
    failures = [REFUSED]

    async def count(request, context):
        if failures:
            raise failures.pop()
        yield 1
        yield 2
        raise REFUSED

    replies = await retry(3)(count)("a", CONTEXT)
    assert [await anext(replies), await anext(replies)] == [1, 2]
    with pytest.raises(ConnectError):
        await anext(replies)


async def test_around_a_client(server, network):
    async def shout(line, context):
        return line.upper()

    await server(lines.serve(shout), "mem:b")
    metrics = Metrics()
    layers = [retry(5, metrics=metrics)]
    wire = lines.wire_format()
    async with connect("mem:b", wire, source="mem:a", layers=layers, max_back_off=0.1) as client:
        link = network.between("a", "b").cut()
        await asyncio.sleep(0.01)  # the client notices
        asyncio.get_running_loop().call_later(0.05, link.heal)
        assert await client.request("hello") == "HELLO"
    assert metrics.total("retries_total") >= 1


async def test_the_timeout_of_a_request_covers_its_retries(server, network):
    await server(lines.serve(Failing()), "mem:b")
    layers = [retry(20, pause=60)]
    wire = lines.wire_format()
    async with connect("mem:b", wire, source="mem:a", layers=layers) as client:
        network.between("a", "b").cut()
        await asyncio.sleep(0.01)  # the client notices
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimedOut):
            await client.request("hello", timeout=0.05)
        assert asyncio.get_running_loop().time() - began < 5


async def test_around_any_service():
    async with Server(lines.serve(retry(2)(Failing(REFUSED))), "mem:b"):
        async with connect("mem:b", lines.wire_format()) as client:
            assert await client.request("a") == "A"


@pytest.mark.parametrize("keyword", [{"attempts": 0}, {"budget": -1}, {"pause": -1}, {"burst": 0}])
def test_limits_are_checked_when_the_layer_is_made(keyword):
    with pytest.raises(UsageError, match=next(iter(keyword))):
        retry(**keyword)
