"""Rooms of several servers through real brokers: killed, emptied, hung and cut off."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.interop.brokers import BROKERS, BrokerProcess, Link
from tests.unit.backplane.hearing import Hearing

from pierhead import Room

PATIENCE_S = 20


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokerProcess]:
    with BrokerProcess(request.param, tmp_path) as started:
        yield started


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def rooms(*backplanes: Any) -> AsyncIterator[list[Hearing]]:
    """Enter one room for each, and wait until all are connected."""
    every = [Hearing(Room[str](backplane=each)) for each in backplanes]
    async with AsyncExitStack() as stack:
        for each in every:
            await stack.enter_async_context(each.room)
        await until(lambda: all(each.total("backplane_links_up") for each in every))
        yield every


async def say(hearing: Hearing, name: str, numbers: range) -> None:
    for number in numbers:
        await hearing.room.send(f"{name}{number}")


async def test_servers_hear_each_other_in_order(broker: BrokerProcess) -> None:
    async with rooms(broker.backplane(), broker.backplane(), broker.backplane()) as every:
        for name, each in zip("abc", every, strict=True):
            await say(each, name, range(300))
        await until(lambda: all(len(each.heard) >= 900 for each in every))
        for each in every:
            assert [each.of(name) for name in "abc"] == [list(range(300))] * 3
            assert each.total("backplane_missed_total") == 0


async def test_a_killed_broker_loses_nothing_that_it_has_kept(broker: BrokerProcess) -> None:
    async with rooms(broker.backplane(), broker.backplane()) as (a, b):
        await say(a, "a", range(50))
        await until(lambda: len(b.heard) == 50)
        broker.kill()
        await say(a, "a", range(50, 100))
        await until(lambda: not b.total("backplane_links_up"))
        broker.start()
        await until(lambda: len(b.heard) == 100)
        await say(b, "b", range(1))
        await until(lambda: a.of("b") == [0])
        assert b.of("a") == list(range(100))
        assert b.total("backplane_missed_total") == 0


async def test_a_broker_that_comes_back_empty_doubles_nothing(broker: BrokerProcess) -> None:
    async with rooms(broker.backplane(), broker.backplane()) as (a, b):
        await say(a, "a", range(50))
        await until(lambda: len(b.heard) == 50)
        broker.kill()
        broker.start(empty=True)
        await say(a, "a", range(50, 60))
        await until(lambda: len(b.of("a")) + b.total("backplane_missed_total") == 60)
        assert b.of("a") == list(range(60))


async def test_a_broker_that_hangs_is_noticed(broker: BrokerProcess) -> None:
    async with rooms(broker.backplane(), broker.backplane()) as (a, b):
        broker.stop_reading()
        await say(a, "a", range(5))
        await until(lambda: not (a.total("backplane_links_up") or b.total("backplane_links_up")))
        broker.go_on()
        await until(lambda: len(b.heard) >= 5)
        assert b.of("a") == list(range(5))


async def test_a_link_that_was_cut_catches_up_to_a_bound(broker: BrokerProcess) -> None:
    async with Link(broker.port).open() as link:
        # Redis trims whole nodes of a hundred entries; NATS each.
        backplanes = [broker.backplane(backlog=100), broker.backplane(link.port, backlog=100)]
        async with rooms(*backplanes) as (there, away):
            await say(there, "a", range(10))
            await until(lambda: len(away.heard) == 10)
            link.cut()
            await until(lambda: not away.total("backplane_links_up"))
            await say(away, "b", range(20))
            for begin in range(10, 1010, 100):
                await say(there, "a", range(begin, begin + 100))
                await asyncio.sleep(0.05)  # it keeps no more for the broker than for others
            await asyncio.sleep(0.2)
            link.heal()
            await until(lambda: there.of("b") == list(range(20)))
            await until(lambda: away.of("a")[-1:] == [1009])
            heard = away.of("a")
            assert heard == sorted(set(heard))
            assert 0 < away.total("backplane_missed_total") == 1010 - len(heard)
            assert 70 <= len(heard) - 10 <= 300  # its own take places too


async def test_without_a_broker_the_room_goes_on(tmp_path: Path, caplog) -> None:
    for kind in BROKERS:
        broker = BrokerProcess(kind, tmp_path)
        a = Hearing(Room[str](backplane=broker.backplane()))
        async with a.room:
            await say(a, "a", range(5))
            assert a.of("a") == list(range(5))
            await until(lambda: "trying again" in caplog.text)
            assert not a.total("backplane_links_up")
        assert re.search(rf"{kind}://127.0.0.1:{broker.port}: .*trying again", caplog.text)
        caplog.clear()
