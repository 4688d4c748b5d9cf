"""``maxrate=``: the accept rate of a listener."""

from __future__ import annotations

import asyncio
from typing import Any

from pierhead import Context
from pierhead.net.memory import connect_memory
from pierhead.protocols import lines


async def upper(line: str, context: Context) -> str:
    return line.upper()


class Client(asyncio.Protocol):
    """Sends a request at once, and records when it is answered."""

    def __init__(self) -> None:
        self.answered_at: float | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(b"a\n")

    def data_received(self, data: bytes) -> None:
        self.answered_at = asyncio.get_running_loop().time()


def connect(name: str, count: int) -> list[Client]:
    clients = [Client() for _ in range(count)]
    for client in clients:
        connect_memory(name, client, None)
    return clients


def answered(clients: list[Client]) -> int:
    return sum(client.answered_at is not None for client in clients)


async def test_one_seconds_worth_is_accepted_at_once_then_the_rate_applies(clock, server) -> None:
    await server(lines.serve(upper), "mem:a?maxrate=4")
    await clock.advance(100)  # however long the listener was idle
    began = clock.monotonic()
    clients = connect("a", 10)
    await clock.advance(0)
    assert answered(clients) == 4
    for expected in (5, 6, 7, 8):
        await clock.advance(0.2501)
        assert answered(clients) == expected
    await clock.advance(10)
    assert answered(clients) == 10  # they waited; none was refused
    waited = [round(4 * (client.answered_at - began)) for client in clients]
    assert waited == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6]


async def test_other_listeners_are_not_slowed_down(clock, server) -> None:
    await server(lines.serve(upper), "mem:a?maxrate=1", "mem:b", "mem:c?maxrate=2")
    slow, free, other = connect("a", 3), connect("b", 50), connect("c", 3)
    await clock.advance(0)
    assert [answered(slow), answered(free), answered(other)] == [1, 50, 2]


async def test_pauses_are_counted_with_their_length(clock, server) -> None:
    running = await server(lines.serve(upper), "mem:a?maxrate=2&name=paced", "mem:b")
    connect("b", 5)
    connect("a", 3)
    await clock.advance(20)
    metrics = running.metrics
    assert metrics.total("accepts_paused_total", listener="paced") == 2
    seconds = metrics.total("accepts_paused_seconds_total", listener="paced")
    assert 0.99 < seconds < 1.01  # half a second before the third, half before the next
    assert metrics.total("accepts_paused_total") == 2
    assert metrics.total("connections_accepted_total", listener="paced") == 3


async def test_reconfiguring_leaves_the_rate_of_an_address_alone(clock, server) -> None:
    running = await server(lines.serve(upper), "mem:a?maxrate=1")
    clients = connect("a", 4)
    await clock.advance(0)
    running.reconfigure(idle_timeout=30.0)
    await clock.advance(0)
    assert answered(clients) == 1
    await clock.advance(1.1)
    assert answered(clients) == 2


async def test_draining_does_not_wait_for_a_pause_to_end(clock, server) -> None:
    running = await server(lines.serve(upper), "mem:a?maxrate=1", linger_timeout=0)
    clients = connect("a", 2)
    await clock.advance(0.25)
    began = clock.monotonic()
    clients[0].transport.close()
    await running.drain()
    assert clock.monotonic() - began < 0.5
    assert answered(clients) == 1
    assert 0.2 < running.metrics.total("accepts_paused_seconds_total") < 0.3
