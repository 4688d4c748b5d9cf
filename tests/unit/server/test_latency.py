"""How long requests take: counted once for each, at the price of a call for each batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fakes import Bench, FakeDatagramListener, HandClock, settle

from pierhead.codec import Lines
from pierhead.connection.tasks import EagerTasks
from pierhead.listener.own_addresses import OwnAddresses
from pierhead.metrics import BOUNDS, Metrics
from pierhead.server.datagram import DatagramServer
from pierhead.server.framed import framed
from pierhead.server.options import ServerOptions
from pierhead.service import FrameHandler
from pierhead.service.request_times import RequestTimes
from pierhead.testing.counted import steps


class Service:
    """Answers at once, or after a gate; time passes as a test says."""

    def __init__(self) -> None:
        self.clock: Any = None
        self.takes_s = 0.0
        self.gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __call__(self, frame: bytes, context: Any) -> Any:
        if frame in (b"wait", b"fail late", b"quiet late"):
            await self.gate
        if self.clock is not None:
            self.clock.now += self.takes_s
        if frame.startswith(b"fail"):
            raise RuntimeError("on purpose")
        if frame.startswith(b"quiet"):
            return None
        return many() if frame == b"many" else frame


async def many() -> AsyncIterator[bytes]:
    yield b"1"
    yield b"2"


def read(metrics: Metrics) -> dict[str, tuple[float, float]]:
    """Return number and sum of both outcomes."""
    found = {}
    for outcome in ("answered", "failed"):
        (one,) = (
            r
            for r in metrics.readings()
            if r.kind == "histogram" and ("outcome", outcome) in r.labels
        )
        found[outcome] = sum(one.counts), round(one.value, 6)
    return found


def ready(frame: bytes, peer: Any, via: Any) -> bytes | None:
    return b"ready" if frame == b"known" else None


def datagrams(service: Service) -> tuple[FakeDatagramListener, Metrics, HandClock]:
    listener, metrics, clock = FakeDatagramListener(), Metrics(), HandClock()
    server = DatagramServer(
        listener,
        FrameHandler(service, answer_now=ready),
        options=ServerOptions(),
        admission=None,
        clock=clock,
        metrics=metrics,
        tasks=EagerTasks(),
        on_lost=lambda lost: None,
        wake_sweep=lambda: None,
        own_addresses=OwnAddresses(),
    )
    server.start()
    return listener, metrics, clock


async def test_datagrams_answered_in_place_share_the_time_of_their_batch() -> None:
    service = Service()
    listener, metrics, service.clock = datagrams(service)
    service.takes_s = 0.25

    listener.arrive(b"a", b"b")

    assert read(metrics) == {"answered": (2, 1.0), "failed": (0, 0)}


async def test_ready_answers_are_in_the_lowest_bucket_without_a_look_at_the_clock() -> None:
    service = Service()
    listener, metrics, clock = datagrams(service)
    looks: list[float] = []
    clock.monotonic = lambda: looks.append(1) or 5.0  # type: ignore[method-assign, func-returns-value]

    listener.arrive(b"known", b"known")

    assert len(looks) == 1  # when they were received
    assert read(metrics)["answered"] == (2, 0)
    histogram = metrics.histogram("request_seconds", listener="memgram:test", outcome="answered")
    assert histogram.counts[0] == 2


@pytest.mark.parametrize("transport", ["datagrams", "stream"])
async def test_a_request_that_waits_is_timed_until_its_outcome_once(transport: str) -> None:
    service = Service()
    if transport == "datagrams":
        listener, metrics, clock = datagrams(service)
        listener.arrive(b"wait", b"fail late", b"quiet late", b"many")
    else:
        bench = Bench(framed(FrameHandler(service), Lines()))
        metrics, clock = bench.metrics, bench.clock
        bench.feed(b"wait\nmany\n")
        bench.feed(b"fail late\n")
        bench.feed(b"quiet late\n")
    await settle()
    assert read(metrics)["failed"] == (0, 0)

    clock.now += 0.5
    service.gate.set_result(None)
    await settle()

    times = read(metrics)
    assert times["failed"] == (1, 0.5)
    assert times["answered"][0] == 2
    # On a stream, many replies wait for their turn behind the first request.
    assert times["answered"][1] == (0.5 if transport == "datagrams" else 1.0)


async def test_frames_of_a_stream_share_the_time_of_their_read() -> None:
    service = Service()
    bench = Bench(framed(FrameHandler(service), Lines()))
    service.clock, service.takes_s = bench.clock, 0.125

    bench.feed(b"a\nb\nquiet\n")

    assert read(bench.metrics) == {"answered": (2, 0.75), "failed": (0, 0)}


async def test_counting_costs_less_than_three_percent_of_the_work_of_a_batch(monkeypatch) -> None:
    batch = [b"%d" % number for number in range(32)]

    def work() -> int:
        listener = datagrams(Service())[0]
        listener.arrive(b"first")
        return steps(lambda: listener.arrive(*batch))

    def work_of_a_stream() -> int:
        bench = Bench(framed(FrameHandler(Service()), Lines()))
        bench.feed(b"first\n")
        return steps(lambda: bench.feed(b"\n".join([*batch, b""])))

    counted = work(), work_of_a_stream()
    monkeypatch.setattr(RequestTimes, "in_place", lambda *_: None)
    free = work(), work_of_a_stream()

    assert all(with_times > without for with_times, without in zip(counted, free, strict=True))
    assert counted[0] - free[0] < 0.03 * free[0]
    assert counted[1] - free[1] < 0.03 * free[1]


def test_buckets_ascend() -> None:
    assert list(BOUNDS) == sorted(set(BOUNDS))
