"""Every table of a server that a peer can fill is bounded in octets, including its keys.

Each is filled with the most expensive entries possible; the bounds are those documented beside the
tables. `per_source_rate`, metrics and the failure log have such tests of their own.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from pierhead.clock import SystemClock
from pierhead.server.connection import Standing, Watch
from pierhead.server.loops import Reflections
from pierhead.server.lost_requests import LostRequest, LostRequests
from pierhead.server.occupancy import Occupancy
from pierhead.server.unsent import Unsent
from pierhead.service.context import Peer


class Holder:
    def standing(self) -> tuple[Standing, float]:
        return Standing.HALF_DONE, 0.0


def fill_reflections(number: int) -> object:
    reflections = Reflections()
    for n in range(number):
        reflections.why_silent(b"x" * 1000, Peer(f"{n:0>108}"), 0.0)
    return reflections


def fill_lost(number: int) -> object:
    lost = LostRequests()
    for n in range(number):
        peer = Peer((1).to_bytes(2, "little") + b"\xff" * 100 + str(n).encode())
        lost.add(LostRequest("x", str(peer), "drain"))
    return lost


def fill_unsent(number: int) -> object:
    class NoTimer(Unsent[None]):
        def _wake(self) -> None:
            pass

    unsent: Unsent[None] = NoTimer(
        SystemClock(), lambda batch: [], lambda whose: None, lambda datagram, whose, error: None
    )
    for n in range(number):
        unsent.keep((b"%d" % n, b"x" * 112 + b"%d" % n), None, 1.0, 1_048_576)
    return unsent


def fill_places(number: int) -> object:
    """As a listener with 1,024 connections does, each from its own network."""
    places: Occupancy[Holder] = Occupancy()
    for n in range(number):
        if len(places) >= 1024:
            victim = places.gives_way(("net", n))
            assert victim is not None
            places.remove(victim)
        places.add(Holder(), ("net", n))
    return places


class Resting:
    """A connection that rests for an hour, and takes itself away again."""

    def __init__(self, watch: Watch) -> None:
        self.rests_until, self.next_look, self.has_ended = 0.0, None, False
        scope: Any = self
        watch.wake(scope)
        self.connections: Any = {scope: self}
        list(watch.sweep(self.connections, 0.0))
        assert self.next_look is not None
        watch.forget(scope)

    def sweep(self, now: float) -> None:
        self.rests_until = 3600.0


def fill_watch(number: int) -> object:
    watch = Watch()
    for _ in range(number):
        Resting(watch)
    return watch


TABLES: dict[str, tuple[Callable[[int], object], int]] = {
    "hashes of datagrams": (fill_reflections, 1_000_000),
    "lost requests": (fill_lost, 1_300_000),
    "datagrams to be retried": (fill_unsent, 1_500_000),
    "slots of a listener": (fill_places, 1_300_000),
    "times of connections that have ended": (fill_watch, 50_000),
}


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_bounded_in_octets_whatever_fills_it(table: str) -> None:
    fill, most = TABLES[table]
    tracemalloc.start()
    kept: Any = None
    try:
        kept = fill(25_000)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < most
    finally:
        tracemalloc.stop()
    del kept
