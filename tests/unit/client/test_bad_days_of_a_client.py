"""What goes wrong around a client: bugs of a codec, lost peers, impatient layers, other loops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from pierhead import ById, Context, Json, Lines, Server, WireFormat, connect, serve
from pierhead.client.deadlines import Deadlines
from pierhead.client.line import ClientCounters
from pierhead.client.options import ClientOptions
from pierhead.client.pool import Pool
from pierhead.client.request_datagrams import RequestDatagrams
from pierhead.client.socket_end import Unreachable
from pierhead.clock import SystemClock
from pierhead.errors import (
    ConnectError,
    ConnectionEnded,
    PeerUnavailable,
    PierheadError,
    RequestTimedOut,
    UsageError,
)
from pierhead.metrics import Metrics
from pierhead.middleware import limit, timeout
from pierhead.protocols import lines

FORMAT = lines.wire_format()
BY_ID = WireFormat(Lines(), Json(dict[str, Any]), matching=ById.field("id", range(65_536)))


async def shout(line: str, context: Context) -> str:
    return line.upper()


class Fragile:
    """A codec with a bug."""

    def decode(self, frame: bytes) -> str:
        if frame == b"BUG":
            raise KeyError("a bug of the codec")
        return frame.decode()

    def encode(self, message: str) -> bytes:
        return message.encode()


FRAGILE = WireFormat(Lines(), Fragile())


@pytest.mark.parametrize("address", ["mem:b", "memgram:b"])
async def test_a_bug_of_the_codec_is_the_callers_to_see_and_the_client_goes_on(
    server, address
) -> None:
    await server(lines.serve(shout), address)
    async with connect(address, FRAGILE) as client:
        with pytest.raises(KeyError, match="a bug of the codec"):
            await client.request("bug", timeout=5)
        assert await client.request("fine", timeout=5) == "FINE"
    assert client.metrics.total("requests_failed_total", reason="error") == 1


async def test_a_bug_of_the_codec_that_no_caller_sees_is_one_line_in_the_log(caplog) -> None:
    sent = asyncio.Event()

    async def push(reader: Any, writer: Any) -> None:
        writer.write(b"BUG\n")
        sent.set()
        await reader.read()
        writer.close()

    there = await asyncio.start_server(push, "127.0.0.1", 0)
    port = there.sockets[0].getsockname()[1]
    async with connect(f"tcp:127.0.0.1:{port}", FRAGILE) as client:
        await sent.wait()
        async with asyncio.timeout(5):
            while client.addresses:
                await asyncio.sleep(0)
    there.close()
    (record,) = [one for one in caplog.records if one.name == "pierhead.client"]
    assert "a bug of the codec" in record.getMessage()
    assert record.exc_info is None


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


async def received(peer: socket.socket) -> tuple[bytes, Any]:
    """Wait for a datagram; uvloop has no `sock_recvfrom`."""
    async with asyncio.timeout(5):
        while True:
            try:
                return peer.recvfrom(100)
            except BlockingIOError:
                await asyncio.sleep(0)


@pytest.mark.parametrize("number", [1, 2])
async def test_a_refused_datagram_is_safe_to_send_again_if_it_was_the_only_one(
    peer, number
) -> None:
    address = f"udp:127.0.0.1:{peer.getsockname()[1]}"
    loop = asyncio.get_running_loop()
    async with connect(address, BY_ID) as client:
        asked = []
        if number == 2:
            asked.append(asyncio.ensure_future(client.request({"id": 0}, timeout=5)))
            await asyncio.wait_for(loop.sock_recv(peer, 100), 5)  # which may act on it
        peer.close()
        asked.append(asyncio.ensure_future(client.request({"id": 0}, timeout=5)))
        for error in await asyncio.gather(*asked, return_exceptions=True):
            assert type(error) is PeerUnavailable
            assert error.is_retry_safe is (number == 1)


async def test_a_reply_to_a_refused_request_is_not_that_to_the_next(peer) -> None:
    """An error may be forged, or tell of an earlier datagram: the reply comes nevertheless."""
    port = peer.getsockname()[1]
    async with connect(f"udp:127.0.0.1:{port}", FORMAT) as client:
        first = asyncio.ensure_future(client.request("one", timeout=5))
        _, sender = await received(peer)
        assert client._pool is not None
        (line,) = client._pool.lines
        assert isinstance(line, RequestDatagrams)
        line._refused(Unreachable(111, "refused"))
        with pytest.raises(PeerUnavailable):
            await first
        second = asyncio.ensure_future(client.request("two", timeout=5))
        data, again = await received(peer)
        peer.sendto(b"ONE", sender)
        peer.sendto(data.upper(), again)
        assert await second == "TWO"


async def test_a_unix_socket_that_is_opened_again_is_found_again(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with Server(lines.serve(shout), "unixgram:./s"):
        client = connect("unixgram:./s", FORMAT)
        assert await client.request("one", timeout=5) == "ONE"
    async with Server(lines.serve(shout), "unixgram:./s"):
        with pytest.raises(PeerUnavailable):
            await client.request("two", timeout=5)
        assert await client.request("three", timeout=5) == "THREE"
    await client.close()


class Flooding:
    """An end whose datagrams are always there."""

    local = "a"
    ignored = received = 0

    def send(self, data: bytes) -> None:
        pass

    async def receive(self) -> bytes:
        self.received += 1
        if self.received > 10_000:
            raise OSError("closed")
        return b"unexpected"

    def close(self) -> None:
        self.received = 10_000


async def test_a_flood_of_datagrams_leaves_the_loop_to_others() -> None:
    end = Flooding()
    line = RequestDatagrams(
        FORMAT,
        "udp:a",
        end,
        lambda: None,
        is_reliable=False,
        options=ClientOptions(),
        counters=ClientCounters(Metrics(), "udp:a"),
    )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert 0 < end.received < 1000
    line.abort("closed")
    await line.wait_gone()


class Silent:
    """Answers nothing until it is told to."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def __call__(self, line: str, context: Context) -> str:
        if line != "quick":
            await self.gate.wait()
        return line.upper()


async def test_a_late_request_takes_another_connection_through_layers_too(server, clock) -> None:
    await server(lines.serve(Silent()), "mem:b")
    async with connect("mem:b", FORMAT, layers=[limit(10)]) as client:
        with pytest.raises(RequestTimedOut):
            await client.request("one", timeout=1)
        assert await client.request("quick", timeout=1) == "QUICK"
        assert client.metrics.total("requests_failed_total", reason="timeout") == 1
        await client.close(drain=False)


async def test_a_silent_connection_is_left_even_if_layers_give_up_first(server, clock) -> None:
    await server(lines.serve(Silent()), "mem:b")
    async with connect("mem:b", FORMAT, layers=[timeout(1)], request_timeout=5) as client:
        for _ in range(4):
            with pytest.raises(PierheadError):
                await client.request("one")
        await asyncio.sleep(1.5)
        assert await client.request("quick") == "QUICK"
        assert client.metrics.total("connects_total") == 2
        await client.close(drain=False)


async def test_replies_come_through_layers() -> None:
    seen = []

    def layer(service: Any) -> Any:
        async def watched(request: Any, context: Context) -> Any:
            seen.append(request)
            return await service(request, context)

        return watched

    async def count(request: dict[str, int], context: Context) -> Any:
        for number in range(request["to"]):
            yield {"number": number, "last": number == request["to"] - 1}

    many = WireFormat(Lines(), Json(dict[str, Any]), last=lambda reply: bool(reply["last"]))
    async with (
        Server(serve(count, many), "mem:b"),
        connect("mem:b", many, layers=[layer]) as client,
    ):
        assert [one["number"] async for one in client.replies({"to": 3})] == [0, 1, 2]
    assert seen == [{"to": 3}]


async def test_entering_a_client_that_is_connected_opens_no_second_connection(server) -> None:
    await server(lines.serve(shout), "mem:b")
    client = connect("mem:b", FORMAT)
    assert await client.request("one") == "ONE"
    async with client:
        assert len(client.addresses) == 1


def test_a_client_belongs_to_the_loop_of_its_first_use() -> None:
    client = connect("mem:b", FORMAT)

    async def ask() -> None:
        async with Server(lines.serve(shout), "mem:b"):
            await client.request("one")

    asyncio.run(ask())
    with pytest.raises(UsageError, match="belongs to another event loop; create one in each"):
        asyncio.run(ask())


async def test_a_request_that_waits_for_the_next_attempt_says_how_the_last_one_ended(
    clock,
) -> None:
    client = connect("mem:nobody", FORMAT, max_back_off=60)
    for _ in range(10):
        with pytest.raises(ConnectError):
            await client.request("one", timeout=100)
    with pytest.raises(RequestTimedOut, match="the last attempt failed: no listener on") as late:
        await client.request("one", timeout=1)
    assert late.value.is_retry_safe
    await client.close()


async def test_deadlines_of_many_requests_are_looked_at_together(clock) -> None:
    class Entry:
        def __init__(self, deadline: float) -> None:
            self.deadline = deadline

    loop = asyncio.get_running_loop()
    expired: list[tuple[float, Entry]] = []
    deadlines: Deadlines[Entry] = Deadlines(loop, lambda one: expired.append((loop.time(), one)))
    began = loop.time()
    for number in range(1000):
        deadlines.add(Entry(began + 1 + number / 10_000))
    await asyncio.sleep(2)
    assert len(expired) == 1000
    assert all(0 <= at - one.deadline <= 0.011 for at, one in expired)
    assert len({at for at, _ in expired}) <= 12
    deadlines.stop()


class HeldLine:
    """A connection that a test holds."""

    local = "a"
    is_open = has_room = True
    is_gone = False
    load = 0
    ended = ""

    def sweep(self, now: float) -> None:
        pass

    def finish(self, reason: str) -> None:
        self.abort(reason)

    def abort(self, reason: str) -> None:
        self.ended, self.is_gone, self.is_open = reason, True, False

    async def wait_gone(self) -> None:
        pass


def pool_on(dial: Any) -> Pool:
    counters = ClientCounters(Metrics(), "mem:b")
    return Pool("mem:b", dial, options=ClientOptions(), counters=counters, clock=SystemClock())


async def test_a_connection_that_comes_after_the_end_is_closed() -> None:
    gate = asyncio.Event()
    line = HeldLine()

    async def dial(changed: Any) -> Any:
        await gate.wait()
        return line

    pool = pool_on(dial)
    opening = asyncio.ensure_future(pool.open())
    await asyncio.sleep(0)
    await pool.close(drain=True)
    gate.set()
    with pytest.raises(ConnectionEnded):
        await opening
    assert line.ended == "closed"


async def test_closing_while_dialling_leaves_no_task() -> None:
    dialled = []

    async def dial(changed: Any) -> Any:
        dialled.append(True)
        await asyncio.get_running_loop().create_future()

    pool = pool_on(dial)
    reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    pool.submit("one", reply, asyncio.get_running_loop().time() + 10)
    while not dialled:
        await asyncio.sleep(0)
    await pool.close(drain=True)
    with pytest.raises(ConnectionEnded) as ended:
        await reply
    assert ended.value.is_retry_safe
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_each_waiting_request_gets_an_error_of_its_own() -> None:
    async def dial(changed: Any) -> Any:
        raise ConnectError("mem:b", "connect", "nobody there", "start it", 111)

    pool = pool_on(dial)
    loop = asyncio.get_running_loop()
    replies: list[asyncio.Future[Any]] = [loop.create_future() for _ in range(2)]
    for reply in replies:
        pool.submit("one", reply, loop.time() + 10)
    first, second = await asyncio.gather(*replies, return_exceptions=True)
    assert first is not second
    assert str(first) == str(second) == "cannot connect to mem:b: connect: nobody there\n  start it"
    assert isinstance(second, ConnectError)
    assert second.errno == 111
    await pool.close(drain=True)


def test_a_request_that_was_not_sent_keeps_no_identifier_from_a_late_reply() -> None:
    matcher: Any = ById.field("id", range(4)).new()
    late = matcher.ask({}, None)
    matcher.give_up(late)
    for _ in range(10):
        matcher.take_back(matcher.ask({}, None))
    assert matcher.ask({}, None).ident != late.ident
    assert matcher.take({"id": late.ident}) is late
