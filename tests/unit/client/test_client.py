"""Clients: requests over connections that are opened as needed, with bounds and deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from pierhead import ById, Client, Context, Json, Lines, Server, WireFormat, connect, serve, stack
from pierhead.client.options import LIMITS, ClientLimits, ClientOptions
from pierhead.errors import (
    ConnectError,
    ConnectionEnded,
    Overloaded,
    PeerUnavailable,
    RequestTimedOut,
    UsageError,
)
from pierhead.middleware import limit, timeout
from pierhead.protocols import lines

FORMAT = lines.wire_format()


async def shout(line: str, context: Context) -> str:
    return line.upper()


class Slow:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked: list[str] = []

    async def __call__(self, line: str, context: Context) -> str:
        self.asked.append(line)
        await self.gate.wait()
        return line.upper()


@pytest.mark.parametrize("address", ["tcp:127.0.0.1:0", "unix:./s", "udp:127.0.0.1:0"])
async def test_over_real_sockets(address: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with Server(lines.serve(shout), address) as server:
        async with connect(server.addresses[0], FORMAT) as client:
            assert await client.request("hello") == "HELLO"
            many = await asyncio.gather(*(client.request(str(n)) for n in range(20)))
            assert many == [str(n) for n in range(20)]
            assert all(client.addresses)


async def test_nobody_there_is_an_error_with_a_remedy(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for address, remedy in [("unix:./none.sock", "no socket with this path"), ("mem:none", "")]:
        with pytest.raises(ConnectError) as refused:
            async with connect(address, FORMAT):
                pass
        assert str(refused.value).startswith(f"cannot connect to {address}: connect: ")
        assert remedy in str(refused.value)
        assert refused.value.is_retry_safe


async def test_nobody_at_a_udp_port_is_told_at_once() -> None:
    async with Server(lines.serve(shout), "udp:127.0.0.1:0") as server:
        address = server.addresses[0]
    async with connect(address, FORMAT) as client:
        with pytest.raises(PeerUnavailable, match="Connection refused"):
            await client.request("hello", timeout=5)


async def test_a_request_that_is_late_fails_and_the_next_takes_another_connection(
    server, clock
) -> None:
    slow = Slow()
    await server(lines.serve(slow), "mem:b")
    async with connect("mem:b", FORMAT) as client:
        with pytest.raises(RequestTimedOut) as late:
            await client.request("one", timeout=1)
        assert not late.value.is_retry_safe
        slow.gate.set()
        assert await client.request("two") == "TWO"
    assert client.metrics.total("connects_total") == 2
    assert client.metrics.total("requests_failed_total", reason="timeout") == 1


async def test_a_reply_to_a_cancelled_request_is_dropped(server) -> None:
    slow = Slow()
    await server(lines.serve(slow), "mem:b")
    async with connect("mem:b", FORMAT) as client:
        first = asyncio.ensure_future(client.request("one"))
        await asyncio.sleep(0.01)
        first.cancel()
        second = asyncio.ensure_future(client.request("two"))
        await asyncio.sleep(0.01)
        slow.gate.set()
        assert await second == "TWO"
    assert client.metrics.total("connects_total") == 1
    assert client.metrics.total("dropped_total", reason="late") == 1


async def test_a_connection_that_ends_is_opened_again(server, network) -> None:
    await server(lines.serve(shout), "mem:b")
    async with connect("mem:b", FORMAT, source="mem:a") as client:
        assert await client.request("one") == "ONE"
        network.between("a", "b").cut().heal()
        await asyncio.sleep(0.01)
        assert await client.request("two") == "TWO"
        assert client.metrics.total("connects_total") == 2


async def test_requests_in_flight_fail_with_their_connection(server, network) -> None:
    slow = Slow()
    await server(lines.serve(slow), "mem:b")
    async with connect("mem:b", FORMAT, source="mem:a") as client:
        asked = asyncio.ensure_future(client.request("one"))
        await asyncio.sleep(0.01)
        network.between("a", "b").cut()
        with pytest.raises(ConnectionEnded) as ended:
            await asked
        assert not ended.value.is_retry_safe


async def test_attempts_to_connect_are_spaced_out(server, clock, network) -> None:
    await server(lines.serve(shout), "mem:b")
    async with connect("mem:b", FORMAT, source="mem:a", max_back_off=1) as client:
        network.between("a", "b").cut()
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(8):
            with pytest.raises(PeerUnavailable):
                await client.request("hello")
        assert 2 < loop.time() - began < 8
        network.between("a", "b").heal()
        assert await client.request("hello") == "HELLO"


async def test_what_waits_is_bounded_and_goes_on_in_order(server) -> None:
    slow = Slow()
    await server(lines.serve(slow), "mem:b", max_requests_per_connection=10)
    client = connect("mem:b", FORMAT, max_requests_per_connection=2, max_waiting_requests=3)
    async with client:
        asked = [asyncio.ensure_future(client.request(str(n))) for n in range(5)]
        await asyncio.sleep(0.01)
        assert slow.asked == ["0", "1"]
        with pytest.raises(Overloaded, match="max_waiting_requests"):
            await client.request("6")
        slow.gate.set()
        assert await asyncio.gather(*asked) == ["0", "1", "2", "3", "4"]
        assert slow.asked == ["0", "1", "2", "3", "4"]


async def test_a_pool_opens_connections_up_to_its_bound(server) -> None:
    slow = Slow()
    await server(lines.serve(slow), "mem:b")
    limits: ClientLimits = {"max_requests_per_connection": 1, "max_connections": 3}
    async with connect("mem:b", FORMAT, **limits) as client:
        asked = [asyncio.ensure_future(client.request(str(n))) for n in range(5)]
        await asyncio.sleep(0.01)
        assert len(client.addresses) == 3
        assert sorted(slow.asked) == ["0", "1", "2"]
        slow.gate.set()
        assert await asyncio.gather(*asked) == ["0", "1", "2", "3", "4"]


async def test_leaving_waits_for_replies_for_a_while(server, clock) -> None:
    slow = Slow()
    await server(lines.serve(slow), "mem:b")
    async with connect("mem:b", FORMAT) as client:
        answered = asyncio.ensure_future(client.request("one"))
        await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(1, slow.gate.set)
    assert await answered == "ONE"
    slow.gate.clear()
    async with connect("mem:b", FORMAT, drain_timeout=2) as client:
        lost = asyncio.ensure_future(client.request("two"))
        await asyncio.sleep(0.01)
    with pytest.raises(ConnectionEnded):
        await lost
    with pytest.raises(ConnectionEnded, match="closed"):
        await client.request("three")
    slow.gate.set()


async def test_a_reply_to_no_request_ends_the_connection(server) -> None:
    """In order, it would be taken for the reply to the next request."""

    async def twice(line: str, context: Context) -> AsyncIterator[str]:
        yield line
        yield line

    await server(lines.serve(twice), "mem:b")
    async with connect("mem:b", FORMAT) as client:
        assert await client.request("one") == "one"
        await asyncio.sleep(0.01)
        assert await client.request("two") == "two"
        assert client.metrics.total("dropped_total", reason="unexpected") >= 1
        assert client.metrics.total("connects_total") == 2


async def test_a_client_is_a_service_and_layers_go_around_it(server) -> None:
    await server(lines.serve(shout), "mem:far")
    client = connect("mem:far", FORMAT)
    await server(lines.serve(stack(client, timeout(2), limit(100))), "mem:near")
    async with connect("mem:near", FORMAT, layers=[timeout(1)]) as near:
        assert await near.request("hello") == "HELLO"
    await client.close()


async def test_an_idle_connection_is_closed_and_opened_again(server, clock) -> None:
    await server(lines.serve(shout), "mem:b", idle_timeout=100)
    async with connect("mem:b", FORMAT, idle_timeout=5) as client:
        assert await client.request("one") == "ONE"
        await clock.advance(6)
        assert client.addresses == ()
        assert await client.request("two") == "TWO"
    assert client.metrics.total("connections_closed_total", reason="idle") == 1


class Count(NamedTuple):
    id: int
    left: int


async def test_many_replies_end_with_the_last(server) -> None:
    async def countdown(asked: Count, context: Context) -> AsyncIterator[Count]:
        for left in range(asked.left, -1, -1):
            yield asked._replace(left=left)

    wire = WireFormat(
        Lines(),
        Json(Count),
        matching=ById.field("id", range(100)),
        last=lambda reply: reply.left == 0,
    )
    await server(serve(countdown, wire), "mem:b")
    async with connect("mem:b", wire) as client:

        async def left(number: int) -> list[int]:
            return [reply.left async for reply in client.replies(Count(0, number))]

        assert await asyncio.gather(left(3), left(200), left(0)) == [
            [3, 2, 1, 0],
            list(range(200, -1, -1)),
            [0],
        ]
        with pytest.raises(UsageError, match="many replies"):
            await client.request(Count(0, 1))
    assert client.metrics.total("requests_answered_total") == 3


def test_wrong_arguments_are_refused_by_name() -> None:
    any_format: Any = FORMAT
    for wrong, told in [
        (lambda: connect("mem:b", any_format, idle_timout=3), "did you mean idle_timeout"),
        (lambda: connect("mem:b", any_format, connect_timeout=0), "0.001 to 3600"),
        (lambda: connect("mem:b", lines), "expected WireFormat"),  # type: ignore[arg-type]
        (lambda: connect("sd-listen", any_format), "leads nowhere"),
    ]:
        with pytest.raises(UsageError, match=told):
            wrong()


async def test_requests_in_order_leave_from_new_ports_and_so_take_no_fixed_source() -> None:
    client = connect("memgram:b", FORMAT, source="memgram:a")
    with pytest.raises(UsageError, match="port 0"):
        await client.request("hello")
    async with client.conversation() as conversation:
        assert not conversation.closed


def test_every_limit_is_a_keyword() -> None:
    assert [each.name for each in LIMITS] == list(ClientLimits.__annotations__)
    defaults = ClientOptions()
    assert {each.name: each.default for each in LIMITS} == {
        each.name: getattr(defaults, each.name) for each in LIMITS
    }
    assert isinstance(connect("mem:b", FORMAT), Client)
