from __future__ import annotations

import asyncio
import itertools
import math
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pierhead import Application, Endpoint, LengthPrefixed, Server, WireFormat, serve
from pierhead.clock import SystemClock
from pierhead.codec import Lines
from pierhead.connection.sweep import Sweep
from pierhead.errors import AddressError, ListenError, UsageError
from pierhead.protocols import lines
from pierhead.server.options import CHOICES, LIMITS, ServerOptions
from pierhead.service.admission import allow


async def upper(line: str, context: Any) -> str:
    return line.upper()


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


@asynccontextmanager
async def talk(address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(address))
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def test_one_service_answers_on_tcp_and_udp() -> None:
    async with Server(lines.serve(upper), "tcp:127.0.0.1:0", "udp:127.0.0.1:0") as server:
        tcp, udp = server.addresses
        async with talk(tcp) as (reader, writer):
            writer.write(b"a\nb\n")
            assert await reader.readline() == b"A\n"
            assert await reader.readline() == b"B\n"
        received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        class Client(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                received.set_result(data)

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            Client, remote_addr=("127.0.0.1", port_of(udp))
        )
        transport.sendto(b"c")
        assert await received == b"C"
        transport.close()
    assert not server.lost


@pytest.mark.rfc("7766", "6.2.4")
async def test_a_client_that_shuts_down_its_side_gets_everything_it_asked_for() -> None:
    gate = asyncio.Event()

    async def waits(line: str, context: Any) -> str:
        await gate.wait()
        return line

    async with Server(lines.serve(waits), "tcp:127.0.0.1:0") as server:
        async with talk(server.addresses[0]) as (reader, writer):
            writer.write(b"".join(b"%d\n" % n for n in range(100)))
            writer.write_eof()
            await writer.drain()
            asyncio.get_running_loop().call_soon(gate.set)
            assert await reader.read() == b"".join(b"%d\n" % n for n in range(100))


async def test_leaving_finishes_accepted_requests() -> None:
    gate = asyncio.Event()
    accepted = asyncio.Event()

    async def waits(line: str, context: Any) -> str:
        accepted.set()
        await gate.wait()
        return line

    async with Server(lines.serve(waits), "tcp:127.0.0.1:0") as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server.addresses[0]))
        writer.write(b"a\n")
        await accepted.wait()
        asyncio.get_running_loop().call_soon(gate.set)
    assert await reader.read() == b"a\n"
    assert not server.lost
    writer.close()
    await writer.wait_closed()


async def test_requests_not_finished_in_time_are_listed() -> None:
    accepted = asyncio.Event()

    async def never(line: str, context: Any) -> str:
        accepted.set()
        await asyncio.get_running_loop().create_future()
        return line

    async with Server(lines.serve(never), "tcp:127.0.0.1:0", drain_timeout=0.01) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server.addresses[0]))
        writer.write(b"a\n")
        await accepted.wait()
    assert [lost.reason for lost in server.lost] == ["drain"]
    assert server.lost.count == 1
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_nothing_stays_open_when_one_address_cannot_be_opened() -> None:
    async with Server(lines.serve(upper), "tcp:127.0.0.1:0") as first:
        taken = first.addresses[0]
        second = Server(lines.serve(upper), "mem:free", taken)
        with pytest.raises(ListenError, match="in use"):
            await second.__aenter__()
        async with Server(lines.serve(upper), "mem:free"):
            pass


async def test_an_application_serves_several_endpoints_and_enters_its_resources() -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def resource(name: str) -> AsyncIterator[None]:
        seen.append(f"enter {name}")
        yield
        seen.append(f"leave {name}")

    async def lower(line: str, context: Any) -> str:
        return line.lower()

    application = Application(
        endpoints=[
            (lines.serve(upper), ["tcp:127.0.0.1:0"]),
            (lines.serve(lower), ["tcp:127.0.0.1:0"]),
        ],
        resources=[resource("a"), resource("b")],
    )
    async with Server(application) as server:
        for address, reply in zip(server.addresses, (b"AA\n", b"aa\n"), strict=True):
            async with talk(address) as (reader, writer):
                writer.write(b"aA\n")
                assert await reader.readline() == reply
    assert seen == ["enter a", "enter b", "leave b", "leave a"]


async def test_limits_change_at_run_time_all_or_none() -> None:
    async with Server(lines.serve(upper), "tcp:127.0.0.1:0") as server:
        async with talk(server.addresses[0]) as (reader, writer):
            writer.write(b"a\n")
            assert await reader.readline() == b"A\n"
            with pytest.raises(UsageError, match="idle_timeout is -1"):
                server.reconfigure(max_connections=5, idle_timeout=-1)
            server.reconfigure(idle_timeout=0.05)
            assert await reader.read() == b""  # closed by the new idle timeout
        snapshot = server.metrics.snapshot()
    assert any('reason="idle"' in key for key in snapshot)


async def test_admission_refuses_before_the_service_is_called() -> None:
    endpoint = serve(
        upper, WireFormat(Lines(), lines.wire_format().requests), admission=[allow("192.0.2.0/24")]
    )
    async with Server(endpoint, "tcp:127.0.0.1:0") as server:
        async with talk(server.addresses[0]) as (reader, _):
            assert await reader.read() == b""
        assert server.metrics.total("connections_accepted_total") == 1
        assert server.metrics.total("dropped_total") == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"idle_timeot": 5}, "did you mean idle_timeout"),
        ({"request_timeout": 0}, "expected 0.001 to"),
        ({"max_connections": 1.5}, "whole number"),
        ({"max_connections": True}, "expected a number"),
        ({"idle_timeout": float("nan")}, "expected"),
    ],
)
def test_a_wrong_option_is_refused_with_the_remedy(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Server(lines.serve(upper), "tcp:127.0.0.1:0", **given)


def test_a_server_without_an_address_is_refused() -> None:
    with pytest.raises(UsageError, match="no address"):
        Server(lines.serve(upper))


def test_an_application_takes_no_addresses() -> None:
    with pytest.raises(UsageError, match="has its own"):
        Server(Application(endpoints=[]), "tcp:127.0.0.1:0")


def test_a_wrong_address_is_refused_before_anything_opens() -> None:
    with pytest.raises(AddressError):
        Server(lines.serve(upper), "tcp:127.0.0.1")


async def test_an_endpoint_without_datagrams_refuses_a_datagram_address() -> None:
    endpoint = Endpoint(name="streams", stream=lines.serve(upper).stream)
    with pytest.raises(ListenError, match="does not serve datagrams"):
        async with Server(endpoint, "udp:127.0.0.1:0"):
            raise AssertionError("entered")


def test_the_defaults_agree_with_the_table_of_limits() -> None:
    defaults = ServerOptions()
    assert {limit.name: limit.default for limit in LIMITS} == {
        name: getattr(defaults, name)
        for name in ServerOptions.__dataclass_fields__
        if name not in CHOICES
    }
    assert all(getattr(defaults, name) in words for name, words in CHOICES.items())
    for limit in LIMITS:
        assert limit.check(limit.default) == limit.default


async def test_a_sweep_stops_when_nothing_is_left_and_starts_again() -> None:
    steps: list[float] = []

    class Clock:
        def monotonic(self) -> float:
            return float(len(steps))

        def wall(self) -> float:
            return 0.0

    def step(now: float) -> Iterator[bool]:
        steps.append(now)
        yield len(steps) % 2 == 1

    sweep = Sweep(Clock(), 0.0, step)
    sweep.wake()
    sweep.wake()
    for _ in range(20):
        await asyncio.sleep(0)
    assert steps == [0.0, 1.0]
    sweep.wake()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(steps) > 2
    sweep.stop()


async def test_a_sweep_that_fails_is_reported_and_followed_by_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sweeps = 0

    def steps(now: float) -> Iterator[bool]:
        nonlocal sweeps
        sweeps += 1
        yield True
        if sweeps < 3:
            raise ZeroDivisionError("a bug")

    sweep = Sweep(SystemClock(), 0.0, steps)
    sweep.wake()
    while sweeps < 4:
        await asyncio.sleep(0)
    sweep.stop()
    assert [record.getMessage() for record in caplog.records] == [
        "a sweep failed; the next one follows: ZeroDivisionError: a bug"
    ] * 2


async def test_listening_sockets_are_available_for_options_that_addresses_lack() -> None:
    addresses = ("tcp:127.0.0.1:0", "mem:no-socket", "udp:127.0.0.1:0")
    async with Server(lines.serve(lines.echo), *addresses) as server:
        stream, datagram = server.sockets
        assert (stream.type, datagram.type) == (socket.SOCK_STREAM, socket.SOCK_DGRAM)
        ports = [one.getsockname()[1] for one in server.sockets]
        assert [f":{port}" in a for port, a in zip(ports, server.addresses[::2], strict=True)]


@pytest.mark.parametrize("wrong", ["never", None, True])
def test_a_request_timeout_is_a_number_or_off(wrong: Any) -> None:
    with pytest.raises(UsageError, match=r"expected a number of seconds or 'off'"):
        Server(lines.serve(lines.echo), "mem:x", request_timeout=wrong)
    with pytest.raises(UsageError, match="expected a number of s"):
        Server(lines.serve(lines.echo), "mem:x", idle_timeout="off")


async def test_a_request_is_not_timed_out_if_the_timeout_is_off() -> None:
    server = Server(lines.serve(lines.echo), "mem:x", request_timeout="off")
    assert server._plan.parts[0].options.request_timeout == math.inf
    assert server._plan.sweep_interval <= 0.5


async def test_a_sweep_of_thousands_yields_to_other_work() -> None:
    swept, between = 0, []

    def steps(now: float) -> Iterator[bool]:
        nonlocal swept
        for _ in range(9000):
            swept += 1
            yield False

    sweep = Sweep(SystemClock(), 0.0, steps)
    sweep.wake()
    while swept < 9000:
        await asyncio.sleep(0)
        between.append(swept)
    slices = [after - before for before, after in itertools.pairwise([0, *between])]
    assert max(slices) <= 256
    await asyncio.sleep(0)
    assert sweep._timer is None, "nothing is left to watch"


async def test_a_failure_without_refusal_ends_the_connection_and_not_the_server() -> None:
    class Numbers:
        def decode(self, frame: bytes) -> int:
            return len(frame)

        def encode(self, reply: int) -> bytes:
            return reply.to_bytes(1, "big")

    async def double(number: int, context: Any) -> int:
        if number == 3:
            raise ValueError("three")
        return 2 * number

    endpoint = serve(double, WireFormat(LengthPrefixed(1), Numbers()))
    async with Server(endpoint, "tcp:127.0.0.1:0") as server:
        async with talk(server.addresses[0]) as (reader, writer):
            writer.write(b"\x01a\x03abc\x02ab")
            assert await reader.read() == b"\x01\x02"
        async with talk(server.addresses[0]) as (reader, writer):
            writer.write(b"\x02ab")
            assert await reader.readexactly(2) == b"\x01\x04"
