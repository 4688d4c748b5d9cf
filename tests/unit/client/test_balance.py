"""One service over several clients."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from pierhead import Balance, Context, Peer, Server, Via, connect, serve
from pierhead.client.balance_options import LIMITS, BalanceLimits, BalanceOptions
from pierhead.client.health_checks import HealthChecks
from pierhead.client.policies import Hedged, LeastBusy, Rendezvous
from pierhead.errors import (
    ConnectError,
    ConnectionEnded,
    Overloaded,
    PeerUnavailable,
    RequestTimedOut,
    UsageError,
)
from pierhead.protocols import lines
from pierhead.service.context import Transport

FORMAT = lines.wire_format()
VIA = Via(transport=Transport.STREAM, scheme="mem", local="mem:a", listener="mem:a")


def context(peer: str = "b") -> Context:
    return Context(Peer(peer), 0.0, VIA)


class One:
    """An upstream that answers with its name, after a while, or fails."""

    def __init__(self, name: str, *, seconds: float = 0.0, error: Exception | None = None) -> None:
        self.name = name
        self.seconds = seconds
        self.error = error
        self.asked = 0
        self.cancelled = 0
        self.is_closed = False

    async def __call__(self, request: Any, context: Context) -> str:
        self.asked += 1
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return self.name

    async def check(self) -> None:
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        self.is_closed = True


def refused(name: str) -> ConnectError:
    return ConnectError(name, "connect", "refused")


def named(count: int, **how: Any) -> list[One]:
    return [One(f"u{number}", **how) for number in range(count)]


async def ask(balance: Balance[Any, Any], times: int) -> Counter[str]:
    return Counter([await balance.request("hello") for _ in range(times)])


async def test_over_clients_of_real_servers(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)

    def server(name: str, address: str) -> Server:
        async def who(line: str, context: Context) -> str:
            return name

        return Server(lines.serve(who), address)

    async with server("one", "unix:./one"), server("two", "unix:./two"):
        clients = [connect("unix:./one", FORMAT), connect("unix:./two", FORMAT)]
        async with Balance(clients) as balance:
            assert balance.upstreams == ("unix:./one", "unix:./two")
            assert await ask(balance, 10) == {"one": 5, "two": 5}


async def test_serving_one_forwards_and_closes_its_clients_at_the_end(server) -> None:
    upstreams = named(2)
    async with Server(serve(Balance(upstreams), FORMAT), "mem:front"):
        async with connect("mem:front", FORMAT) as client:
            assert {await client.request(str(n)) for n in range(4)} == {"u0", "u1"}
        assert not any(one.is_closed for one in upstreams)
    assert all(one.is_closed for one in upstreams)


async def test_a_request_that_was_not_sent_goes_to_another(clock) -> None:
    down, up = One("down", error=refused("down")), One("up")
    async with Balance([down, up]) as balance:
        assert await ask(balance, 20) == {"up": 20}
        assert down.asked == 1  # ejected at the first refusal
        total = balance.metrics.total
        assert total("upstream_failed_total", upstream="down", reason="connect") == 1
        assert total("upstream_ejections_total", upstream="down") == 1
        assert total("upstream_answered_total", upstream="up") == 20


async def test_one_that_may_have_taken_effect_does_not_unless_it_is_idempotent(clock) -> None:
    ended = ConnectionEnded("down", "reset")
    for idempotent in (False, True):
        upstreams = [One("down", error=ended), One("up")]
        balance = Balance(upstreams, idempotent=lambda request, given=idempotent: given)
        if idempotent:
            assert await balance.request("get") == "up"
        else:
            with pytest.raises(ConnectionEnded):
                await balance.request("put")


async def test_a_request_that_was_shed_goes_to_another_and_ejects_nobody(clock) -> None:
    full, free = One("full", error=Overloaded("max_waiting_requests")), One("free")
    balance = Balance([full, free])
    assert await ask(balance, 10) == {"free": 10}
    assert full.asked == 10
    assert balance.metrics.total("upstream_ejections_total") == 0


async def test_failures_in_a_row_eject_and_it_returns_slowly(clock) -> None:
    upstreams = named(2)
    upstreams[0].error = ConnectionEnded("u0", "reset")
    balance = Balance(upstreams, idempotent=True, eject_time=5, slow_return=10)
    await ask(balance, 20)
    assert upstreams[0].asked == 3
    upstreams[0].error = None
    await asyncio.sleep(4.9)
    await ask(balance, 20)
    assert upstreams[0].asked == 3
    await asyncio.sleep(2.1)
    early = (await ask(balance, 200))["u0"]
    await asyncio.sleep(10)
    late = (await ask(balance, 200))["u0"]
    assert 0 < early < 80 < 90 < late
    assert balance.metrics.total("upstream_share", upstream="u0") == 1


async def test_when_all_are_ejected_they_are_tried_nevertheless(clock) -> None:
    upstreams = [One("u0", error=refused("u0")), One("u1", error=refused("u1"))]
    balance = Balance(upstreams, eject_time=1000, max_eject_time=1000)
    with pytest.raises(ConnectError):
        await balance.request("hello")
    upstreams[1].error = None
    assert await balance.request("hello") == "u1"


async def test_checks_eject_early_and_let_return(clock) -> None:
    upstreams = named(2)
    balance = Balance(upstreams, check="connect", eject_time=1, slow_return=0, check_interval=1)
    async with balance:
        upstreams[0].error = refused("u0")
        await asyncio.sleep(5)
        assert await ask(balance, 10) == {"u1": 10}
        assert upstreams[0].asked == 0
        await asyncio.sleep(100)  # no time alone brings it back
        assert await ask(balance, 10) == {"u1": 10}
        upstreams[0].error = None
        await asyncio.sleep(2)
        assert (await ask(balance, 10))["u0"] == 5
        assert balance.metrics.total("upstream_checks_failed_total", upstream="u0") > 3


async def test_a_check_that_hangs_fails(clock) -> None:
    async def hangs(client: One) -> None:
        await asyncio.Event().wait()

    async with Balance(named(2), check=hangs) as balance:
        await asyncio.sleep(20)
        assert balance.metrics.total("upstream_ejections_total") == 2
        assert HealthChecks.__doc__


async def test_draining_waits_for_what_is_in_flight(clock) -> None:
    upstreams = named(2, seconds=1.0)
    balance = Balance(upstreams)
    asked = [asyncio.ensure_future(balance.request("hello")) for _ in range(4)]
    await asyncio.sleep(0.1)
    await balance.drain("u0")
    assert sum(one.done() for one in asked) >= 2
    assert await ask(balance, 5) == {"u1": 5}
    balance.restore("u0")
    assert (await ask(balance, 4))["u0"] == 2
    with pytest.raises(UsageError, match="there is no upstream 'u9'; known are u0, u1"):
        await balance.drain("u9")
    await balance.drain("u0")
    await balance.drain("u1")
    with pytest.raises(PeerUnavailable, match="no upstream is left"):
        await balance.request("hello")


async def test_the_least_busy_one_is_chosen(clock) -> None:
    upstreams = [One("slow", seconds=10.0), One("quick", seconds=0.1)]
    balance = Balance(upstreams, LeastBusy())
    asked = []
    for _ in range(20):
        asked.append(asyncio.ensure_future(balance.request("hello")))
        await asyncio.sleep(0.2)
    assert upstreams[0].asked == 1
    await asyncio.gather(*asked)


async def test_a_hedged_request_takes_the_first_reply_and_cancels_the_loser(clock) -> None:
    slow, quick = One("slow", seconds=10.0), One("quick", seconds=0.1)
    balance = Balance([slow, quick], Hedged(0.5))
    loop = asyncio.get_running_loop()
    for _ in range(10):
        began = loop.time()
        assert await balance.request("hello") == "quick"
        assert loop.time() - began < 0.7
    assert slow.asked == slow.cancelled >= 1
    assert balance.metrics.total("upstream_hedges_total", upstream="quick") == slow.asked
    assert balance.metrics.total("upstream_in_flight") == 0


async def test_hedging_a_slow_system_does_not_double_its_load(clock) -> None:
    upstreams = named(2, seconds=1.0)
    balance = Balance(upstreams, Hedged(0.1))
    await asyncio.gather(*(balance.request("hello") for _ in range(1000)))
    assert sum(one.asked for one in upstreams) <= 1000 + 10 + 100


async def test_rendezvous_keeps_a_peer_and_a_key_at_one_upstream(clock) -> None:
    by_peer = Balance(named(5), "rendezvous")
    for n in range(20):
        peer = (f"192.0.2.{n}", 1000)
        at = {await by_peer("hello", Context(Peer((peer[0], 99 + m)), 0.0, VIA)) for m in range(5)}
        assert len(at) == 1
    by_key = Balance(named(5), Rendezvous(lambda request: request.partition(" ")[0]))
    for n in range(20):
        assert len({await by_key.request(f"{n} {m}") for m in range(5)}) == 1
    with pytest.raises(UsageError, match=r"a key is 1\.5, expected text, octets or a number"):
        await Balance(named(2), Rendezvous(lambda request: 1.5)).request("hello")  # type: ignore


async def test_many_replies_are_taken_over_before_the_first_and_counted_to_the_last(clock) -> None:
    async def down(request, context):
        if True:
            raise refused("down")
        yield 0

    async def count(request, context):
        for number in range(3):
            yield number

    balance = Balance([down, count], "round-robin")
    replies = await balance("hello", context())
    assert balance.metrics.total("upstream_in_flight") == 1
    assert [number async for number in replies] == [0, 1, 2]
    assert balance.metrics.total("upstream_in_flight") == 0
    with pytest.raises(UsageError, match="many replies"):
        await balance.request("hello")
    assert balance.metrics.total("upstream_in_flight") == 0
    stopped = await balance("hello", context())
    assert await anext(stopped) == 0
    await stopped.aclose()
    assert balance.metrics.total("upstream_in_flight") == 0


async def test_a_timeout_of_its_own(clock) -> None:
    balance = Balance(named(2, seconds=10.0))
    with pytest.raises(RequestTimedOut):
        await balance.request("hello", timeout=1)


async def test_a_bug_of_an_upstream_is_not_its_failure(clock) -> None:
    upstreams = [One("u0", error=ValueError("a bug")), One("u1")]
    balance = Balance(upstreams, idempotent=True)
    with pytest.raises(ValueError, match="a bug"):
        await balance.request("hello")
    assert balance.metrics.total("upstream_failed_total") == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([],), "nothing to choose among"),
        (([One("a")], "fastst"), "there is no policy 'fastst'; did you mean fastest"),
        (([One("a")], "zzz"), "known are round-robin, least-busy, fastest, rendezvous, hedged"),
    ],
)
def test_mistakes_are_explained(arguments, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Balance(*arguments)


def test_limits_are_checked() -> None:
    assert {limit.name for limit in LIMITS} == set(BalanceLimits.__annotations__)
    defaults = BalanceOptions()
    assert all(getattr(defaults, limit.name) == limit.default for limit in LIMITS)
    with pytest.raises(UsageError, match="did you mean eject_time"):
        BalanceOptions.of({"ejecttime": 1})
    with pytest.raises(UsageError, match="after is 0 s"):
        Hedged(0)


async def test_upstreams_with_the_same_name_are_told_apart() -> None:
    assert Balance([One("a"), One("a")]).upstreams == ("a", "a#2")
