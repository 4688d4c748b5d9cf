"""Servers that share a stream hear each other in order, once, or know how much they missed."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares
from tests.unit.backplane.fake_broker import FakeBroker, FakeStream
from tests.unit.backplane.hearing import Hearing

from pierhead import Room
from pierhead.backplane.brokered import Brokered
from pierhead.errors import UsageError
from pierhead.testing.clock import HeldLoop

NAMES = ("a", "b", "c")


def hearing(link: FakeStream, **given: Any) -> Hearing:
    return Hearing(Room(backplane=Brokered(link, **given), capacity=100_000))


async def test_servers_hear_each_other_and_not_themselves(clock) -> None:
    broker = FakeBroker(keep=100)
    every = {name: hearing(broker.link(name)) for name in NAMES}
    async with AsyncExitStack() as stack:
        for each in every.values():
            await stack.enter_async_context(each.room)
        await clock.advance(1)
        for name, each in every.items():
            await each.room.send(f"{name}1")
            await each.room.send(f"{name}2")
        await clock.advance(1)
        for each in every.values():
            assert [each.of(name) for name in NAMES] == [[1, 2]] * 3
            assert each.total("backplane_received_total") == 4
            assert each.total("backplane_links_up") == 1
    assert every["a"].total("backplane_links_up") == 0


async def test_who_was_away_catches_up_to_a_bound_and_says_what_was_missed(clock, caplog) -> None:
    broker = FakeBroker(keep=10)
    there, away = broker.link("there"), broker.link("away")
    a, b = hearing(there), hearing(away)
    async with a.room, b.room:
        await clock.advance(1)
        away.cut()
        await clock.advance(1)
        for number in range(1, 31):
            await a.room.send(f"a{number}")
        await clock.advance(1)
        assert b.of("a") == []
        away.heal()
        await clock.advance(20)
        assert b.of("a") == list(range(22, 31))  # and an entry of its own return
        assert b.total("backplane_missed_total") == 21
        assert "21 messages of room 'room' were missed" in caplog.text


async def test_what_is_said_while_the_broker_is_away_arrives_later(clock, caplog) -> None:
    broker = FakeBroker(keep=100)
    a, b = hearing(broker.link("a"), backlog=5), hearing(broker.link("b"))
    async with a.room, b.room:
        await clock.advance(1)
        broker.kill()
        await clock.advance(1)
        for number in range(1, 11):
            await a.room.send(f"a{number}")
        before = clock.monotonic()
        assert a.of("a") == list(range(1, 11))  # members here wait for nobody
        assert clock.monotonic() == before
        await clock.advance(60)
        broker.restart()
        await clock.advance(20)
        assert b.of("a") == [6, 7, 8, 9, 10]
    assert caplog.text.count("it is away; trying again") == 2  # once for each server


async def test_an_entry_whose_answer_was_lost_is_heard_once(clock) -> None:
    broker = FakeBroker(keep=100)
    link = broker.link("a")
    a, b = hearing(link), hearing(broker.link("b"))
    async with a.room, b.room:
        await clock.advance(1)
        link.loses_answers = 2
        await a.room.send("a1")
        await clock.advance(10)
        await a.room.send("a2")
        await clock.advance(1)
        assert sum(octets.endswith(b"a1") for _, octets in broker.entries) == 2
        assert b.of("a") == [1, 2]
        assert b.total("backplane_missed_total") == 0


async def test_a_broker_that_lost_its_newest_entries_is_read_from_the_start(clock) -> None:
    broker = FakeBroker(keep=100)
    away = broker.link("b")
    a, b = hearing(broker.link("a")), hearing(away)
    async with a.room, b.room:
        await clock.advance(1)
        await a.room.send("a1")
        await clock.advance(1)
        away.cut()
        await a.room.send("a2")
        await clock.advance(1)
        broker.kill()
        await clock.advance(1)
        broker.restart(forgets=2)
        away.heal()
        await a.room.send("a3")
        await clock.advance(20)
        assert b.of("a") == [1, 3]
        assert b.total("backplane_missed_total") == 1


async def test_a_broker_that_is_gone_without_a_word_is_left(clock) -> None:
    broker = FakeBroker(keep=100)
    link = broker.link("a")
    a, b = hearing(link), hearing(broker.link("b"))
    async with a.room, b.room:
        await clock.advance(1)
        assert link.opened == 1
        link.is_silent = True
        await b.room.send("b1")  # the read that waits is answered; the next one never
        await clock.advance(11)
        assert a.total("backplane_links_up") == 0
        await clock.advance(20)  # nor does it answer who calls again
        link.heal()
        await clock.advance(20)
        await b.room.send("b2")
        await clock.advance(1)
        assert link.opened == 2
        assert a.of("b") == [1, 2]


async def test_a_library_that_swallows_a_cancellation_holds_up_nothing(clock) -> None:
    broker = FakeBroker(keep=100)
    link = broker.link("a")
    a, b = hearing(link), hearing(broker.link("b"))
    async with a.room, b.room:
        await clock.advance(1)
        link.swallows, link.loses_answers = 1, 1
        await a.room.send("a1")
        await clock.advance(10)
        assert link.swallows == 0
        assert link.opened == 2
        await b.room.send("b1")
        await clock.advance(1)
        assert (a.of("b"), b.of("a")) == ([1], [1])
        link.swallows = 2
    assert link.swallows == 0


async def test_a_message_too_large_for_the_broker_is_missed_alone(clock, caplog) -> None:
    broker = FakeBroker(keep=100)
    a, b = hearing(broker.link("a")), hearing(broker.link("b"))
    async with a.room, b.room:
        await clock.advance(1)
        await a.room.send("a1")
        await a.room.send("a2".ljust(1000))
        await clock.advance(1)
        assert b.total("backplane_missed_total") == 1
        await a.room.send("a3")
        await clock.advance(1)
        assert b.of("a") == [1, 3]
    assert "a message of 1025 octets is lost" in caplog.text


async def test_what_is_no_entry_is_logged_and_left(clock, caplog) -> None:
    broker = FakeBroker(keep=100)
    a, b = hearing(broker.link("a")), hearing(broker.link("b"))
    async with a.room, b.room:
        await clock.advance(1)
        broker.append(b"x")
        broker.append(b"")
        await a.room.send("a1")
        await clock.advance(1)
        assert b.of("a") == [1]
    assert "an entry has 1 octets" in caplog.text


async def test_a_server_that_comes_later_hears_what_is_said_from_then_on(clock) -> None:
    broker = FakeBroker(keep=100)
    a, b = hearing(broker.link("a")), hearing(broker.link("b"))
    async with a.room:
        await clock.advance(1)
        await a.room.send("a1")
        await clock.advance(1)
        async with b.room:
            await clock.advance(1)
            await a.room.send("a2")
            await clock.advance(1)
            assert b.of("a") == [2]
            assert b.total("backplane_missed_total") == 0


async def test_a_server_that_came_while_this_one_was_away_is_missed_from_its_first(clock) -> None:
    broker = FakeBroker(keep=3)
    away = broker.link("a")
    a, b = hearing(away), hearing(broker.link("b"))
    async with a.room:
        await clock.advance(1)
        away.cut()
        await clock.advance(1)
        async with b.room:
            await clock.advance(1)
            for number in range(1, 11):
                await b.room.send(f"b{number}")
            await clock.advance(1)
            away.heal()
            await clock.advance(20)
            assert len(a.of("b")) + a.total("backplane_missed_total") == 10


async def test_a_backplane_has_one_room_and_limits(clock) -> None:
    link = FakeBroker(keep=3).link("a")
    backplane: Brokered[str] = Brokered(link, backlog=7, backlog_bytes=70_000)
    async with Room[str](backplane=backplane):
        await clock.advance(1)
        assert link.asked == [7, 70_000]
        with pytest.raises(UsageError, match="make one for each"):
            await Room[str](backplane=backplane).__aenter__()
    for wrong in ({"backlog": 0}, {"backlog_bytes": 1}, {"max_back_off": 0}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            Brokered(link, **wrong)  # type: ignore[arg-type]


doings = st.lists(
    st.tuples(
        st.sampled_from(
            ["says"] * 4 + ["cut", "cut", "heal", "kill", "restart", "loses", "waits", "waits"]
        ),
        st.sampled_from(NAMES),
    ),
    min_size=5,
    max_size=60,
)


async def run(steps: list[tuple[str, str]]) -> None:
    broker = FakeBroker(keep=8)
    links = {name: broker.link(name) for name in NAMES}
    every = {name: hearing(link, backlog=4, max_back_off=0.5) for name, link in links.items()}
    said = dict.fromkeys(NAMES, 0)
    async with AsyncExitStack() as stack:
        for each in every.values():
            await stack.enter_async_context(each.room)
        await asyncio.sleep(1)
        for what, who in steps:
            match what:
                case "says":
                    said[who] += 1
                    await every[who].room.send(f"{who}{said[who]}")
                case "waits":
                    await asyncio.sleep(0.3)
                case "kill" | "restart":
                    getattr(broker, what)()
                case "loses":
                    links[who].loses_answers += 1
                case _:
                    getattr(links[who], what)()
        broker.restart()
        for link in links.values():
            link.heal()
        await asyncio.sleep(20)
    missed = 0.0
    for name, each in every.items():
        others = [other for other in NAMES if other != name]
        for other in others:
            heard = each.of(other)
            assert heard == sorted(set(heard))  # in order, at most once
        heard_of_others = sum(len(each.of(other)) for other in others)
        assert heard_of_others + each.total("backplane_missed_total") == sum(
            said[other] for other in others
        )
        missed += each.total("backplane_missed_total")
    met("missed" if missed else "whole")


@shares(missed=0.02, whole=0.3)
@settings(max_examples=40)
@given(doings)
def test_each_senders_messages_arrive_in_order_at_most_once_or_are_counted(
    steps: list[tuple[str, str]],
) -> None:
    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        runner.run(run(steps))
