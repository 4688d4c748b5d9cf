"""Layers around frames see the octets of every request and reply, on datagrams and streams."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from pierhead import Server, serve
from pierhead.protocols import dns, lines
from pierhead.protocols.dns.services.zones import ZoneService
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.zone import Zones
from pierhead.server.endpoint import Endpoint
from pierhead.testing import call

EXAMPLE = Path(__file__).parents[3] / "examples" / "stats.py"


class Seen:
    def __init__(self) -> None:
        self.pairs: list[tuple[bytes, Any]] = []

    def __call__(self, service: Any) -> Any:
        async def inner(frame: bytes, context: Any) -> Any:
            reply = await service(frame, context)
            self.pairs.append((frame, reply))
            return reply

        return inner


async def shout(line: str, context: Any) -> str:
    return line.upper()


@pytest.mark.parametrize("make", ["lines", "serve"])
async def test_a_layer_sees_the_octets_of_a_datagram(make: str) -> None:
    seen = Seen()
    endpoint: Endpoint = (
        lines.serve(shout, frame_layers=[seen])
        if make == "lines"
        else serve(shout, lines.wire_format(), frame_layers=[seen])
    )
    assert endpoint.datagram is not None
    assert await call(endpoint.datagram.service, "é".encode()) == "É".encode()
    assert seen.pairs == [("é".encode(), "É".encode())]


async def test_several_lines_in_a_datagram_are_one_frame_to_a_layer() -> None:
    seen = Seen()
    endpoint = lines.serve(shout, frame_layers=[seen])
    assert endpoint.datagram is not None
    await call(endpoint.datagram.service, b"a\nb\n")
    assert seen.pairs == [(b"a\nb\n", b"A\nB")]


async def test_the_first_layer_is_the_outermost() -> None:
    order: list[str] = []

    def named(name: str) -> Any:
        def layer(service: Any) -> Any:
            async def inner(frame: bytes, context: Any) -> Any:
                order.append(name)
                return await service(frame, context)

            return inner

        return layer

    endpoint = lines.serve(shout, frame_layers=[named("outer"), named("inner")])
    assert endpoint.datagram is not None
    await call(endpoint.datagram.service, b"x")
    assert order == ["outer", "inner"]


def test_ready_answers_do_not_bypass_a_layer() -> None:
    zone = parse_zone(b"@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns.test.\n", origin="example.")
    service = ZoneService(Zones([zone]))
    for given, has_ready in (((), True), ((Seen(),), False)):
        for endpoint in (
            dns.serve(service, frame_layers=given),
            lines.serve(lines.echo, encoding=None, frame_layers=given),
        ):
            assert endpoint.datagram is not None
            assert (endpoint.datagram.answer_now is not None) is has_ready


async def test_the_example_counts_octets_over_udp_and_tcp() -> None:
    found = importlib.util.spec_from_file_location("stats", EXAMPLE)
    assert found is not None
    assert found.loader is not None
    stats = importlib.util.module_from_spec(found)
    found.loader.exec_module(stats)
    async with Server(stats.endpoint, "127.0.0.1:0") as server:
        udp, tcp = sorted(map(str, server.addresses), reverse=True)
        for address in (udp, tcp):
            assert (await dns.query(address, "www.example.", "A")).answer
    for scheme in ("udp", "tcp"):
        assert stats.counts[f"{scheme} requests"] == 1
        assert stats.counts[f"{scheme} octets in"] >= 12 + 13 + 4
        assert stats.counts[f"{scheme} octets out"] > stats.counts[f"{scheme} octets in"]
