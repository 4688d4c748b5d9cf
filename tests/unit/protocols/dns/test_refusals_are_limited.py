"""Refusals that no layer has seen count for response rate limiting, whatever they are for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.server.fakes import FakeDatagramListener, HandClock, settle

from pierhead import Server
from pierhead.codec import LengthPrefixed
from pierhead.connection.tasks import EagerTasks
from pierhead.errors import Overloaded
from pierhead.listener.own_addresses import OwnAddresses
from pierhead.metrics import Metrics
from pierhead.protocols import dns
from pierhead.protocols.dns.services.zones import ZoneService
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.query import build_query
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.zone import Zones
from pierhead.server.datagram import DatagramServer
from pierhead.server.options import ServerOptions
from pierhead.service.admission import Answer, first_verdict

QUERIES = 2000
VICTIM = ("192.0.2.77", 53)
ZONES = Zones([parse_zone(b"@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns.test.\n", origin="example.")])


async def never(query: Any, context: Any) -> None:
    await asyncio.get_running_loop().create_future()


async def gives_up(query: Any, context: Any) -> None:
    raise asyncio.CancelledError


async def too_much(query: Any, context: Any) -> Any:
    raise Overloaded("mine")


async def no_reply(query: Any, context: Any) -> Any:
    return "no reply at all"


def query(number: int) -> bytes:
    return build_query(number, from_text(f"r{number}.example."), 1, edns=Edns())


def refuses(frame: bytes, peer: Any, via: Any) -> Answer:
    return Answer("closed", frame[:2] + b"\x80\x05" + frame[4:])


def outside(service: Any) -> Any:
    """A layer outside all others that sends refusals itself."""

    async def refuse(query: Any, context: Any) -> Any:
        raise Overloaded("mine")

    return refuse


class Flood:
    """A server that is flooded, and what it sends to the victim."""

    def __init__(self, service: Any, *layers: Any, admission: Any = (), **options: Any) -> None:
        self.clock = HandClock()
        self.layer = dns.rate_limit(clock=self.clock, exempt=(), slip=0)
        endpoint = dns.serve(dns.stack(service, *layers, self.layer), admission=admission)
        assert endpoint.datagram is not None
        self.listener = FakeDatagramListener("udp:192.0.2.53:53")
        self.metrics = Metrics()
        self.server = DatagramServer(
            self.listener,
            endpoint.datagram,
            admission=first_verdict(endpoint.admission),
            options=ServerOptions().changed(options),
            clock=self.clock,
            metrics=self.metrics,
            tasks=EagerTasks(),
            on_lost=lambda lost: None,
            wake_sweep=lambda: None,
            own_addresses=OwnAddresses(),
        )
        self.server.start()

    async def run(self, make: Callable[[int], bytes] = query) -> tuple[int, int]:
        """Put 2,000 queries in a second; return octets that came and that went out."""
        came = 0
        for number in range(QUERIES):
            frame = make(number)
            came += len(frame)
            self.listener.arrive(frame, sender=VICTIM)  # type: ignore[arg-type]  # raw address
            self.clock.now += 1 / QUERIES
        await settle()
        return came, sum(map(len, self.listener.sent))


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


FLOODS: dict[str, tuple[Callable[[], Flood], Callable[[int], bytes]]] = {
    "above max_requests": (lambda: Flood(never, max_requests=1), query),
    "a service that cancels itself": (lambda: Flood(gives_up), query),
    "a service that is overloaded": (lambda: Flood(too_much), query),
    "a layer outside all others": (lambda: Flood(never, outside), query),
    "what is no reply": (lambda: Flood(no_reply), query),
    "an admission check that answers": (lambda: Flood(never, admission=[refuses]), query),
    "another opcode": (lambda: Flood(never), lambda n: query(n)[:2] + b"\x28\0" + query(n)[4:]),
    "another version": (
        lambda: Flood(never),
        lambda n: build_query(n, b"\1x\0", 1, edns=Edns(version=1)),
    ),
    "octets behind the message": (lambda: Flood(ZoneService(ZONES)), lambda n: query(n) + b"x"),
}


@pytest.mark.parametrize("case", FLOODS)
async def test_no_refusal_is_worth_stealing(case: str) -> None:
    """Twice as many octets out as in at the most, and no more answers than the rate allows."""
    make, frame = FLOODS[case]
    flood = make()
    came, sent = await flood.run(frame)
    assert sent <= 2 * came
    assert 200 <= len(flood.listener.sent) <= 200 + 200 + 1
    flood.server.abort("test")
    await settle()


async def test_late_requests_are_refused_within_the_rate() -> None:
    flood = Flood(never, max_requests=QUERIES, request_timeout=30)
    await flood.run()
    assert flood.listener.sent == []
    flood.clock.now += 31
    list(flood.server.sweep(flood.clock.now))
    await settle()
    assert len(flood.listener.sent) == 200


async def test_other_networks_get_their_refusals_meanwhile() -> None:
    flood = Flood(never, max_requests=1)
    await flood.run()
    before = len(flood.listener.sent)
    flood.listener.arrive(query(1), sender=("198.51.100.1", 53))  # type: ignore[arg-type]
    await settle()
    assert len(flood.listener.sent) == before + 1
    flood.server.abort("test")
    await settle()


async def test_refusals_on_streams_are_not_counted() -> None:
    layer = dns.rate_limit(1, burst=1, exempt=())
    endpoint = dns.serve(dns.stack(gives_up, layer))
    frame = LengthPrefixed(2).frame(query(1))
    async with Server(endpoint, "tcp:127.0.0.1:0") as server:
        port = int(str(server.addresses[0]).rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(frame * 3)
        writer.write_eof()
        answers = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await writer.wait_closed()
    assert answers.count(b"\0\1\x81\x02") + answers.count(b"\0\1\x80\x02") == 3
    assert len(layer) == 0
