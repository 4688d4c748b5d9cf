"""A backplane without a broker: what one server's members say reaches those of the others."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares
from tests.unit.backplane.hearing import Hearing

from pierhead import Conversation, Room, connect
from pierhead.backplane import peers
from pierhead.backplane.link_format import FORMAT, Hello, Message, Ping, Start
from pierhead.backplane.log import Log
from pierhead.errors import DecodeError, UsageError
from pierhead.net.memory import Network
from pierhead.protocols import lines
from pierhead.testing.clock import HeldLoop

NAMES = ("a", "b", "c")


def room_of(name: str, **given: Any) -> Room[str]:
    """Return the room of one of three servers, whose links are named after them."""
    every = [f"mem:{other}-plane" for other in NAMES]
    backplane = peers(*every, listen=f"mem:{name}-plane", source=f"mem:{name}-link", **given)
    return Room(backplane=backplane, capacity=100_000)


def link(follower: str, followed: str) -> Any:
    return Network.current().between(f"{follower}-link", f"{followed}-plane")


async def test_members_of_three_servers_hear_each_other(server, clock) -> None:
    async def chat(conversation: Conversation[str, str], room: Room[str]) -> None:
        async with room.join(conversation):
            async for line in conversation:
                await room.send(line)

    def chat_in(room: Room[str]) -> Any:
        async def handler(conversation: Conversation[str, str]) -> None:
            await chat(conversation, room)

        return handler

    async with AsyncExitStack() as stack:
        talks = []
        for name in NAMES:
            room = await stack.enter_async_context(room_of(name))
            await server(lines.converse(chat_in(room)), f"mem:{name}")
            client = connect(f"mem:{name}", lines.wire_format(), idle_timeout="off")
            talks.append(await stack.enter_async_context(client.conversation()))
        await clock.advance(1)
        for name, talk in zip(NAMES, talks, strict=True):
            await talk.send(f"I am {name}")
        for talk in talks:
            assert {await talk.receive() for _ in NAMES} == {f"I am {name}" for name in NAMES}


async def test_who_was_away_catches_up_to_a_bound_and_says_what_was_missed(
    clock, network, caplog
) -> None:
    a, b = Hearing(room_of("a", backlog=10)), Hearing(room_of("b"))
    async with a.room, b.room:
        await clock.advance(1)
        await a.room.send("a0")
        await clock.advance(1)
        link("b", "a").cut()
        for number in range(1, 6):
            await a.room.send(f"a{number}")
        await clock.advance(5)
        assert b.of("a") == [0]
        link("b", "a").heal()
        await clock.advance(20)
        assert b.of("a") == [0, 1, 2, 3, 4, 5]
        link("b", "a").cut()
        for number in range(6, 36):
            await a.room.send(f"a{number}")
        await clock.advance(60)
        link("b", "a").heal()
        await clock.advance(20)
        assert b.of("a") == [*range(6), *range(26, 36)]
        assert b.total("backplane_missed_total") == 20
        assert "20 messages of room 'room' were missed" in caplog.text
        assert b.total("backplane_links_up") == 1  # there is no third server


async def test_a_server_that_comes_back_begins_anew_and_is_heard(clock, network) -> None:
    a, b = Hearing(room_of("a")), Hearing(room_of("b"))
    async with b.room:
        async with a.room:
            await clock.advance(1)
            await a.room.send("a1")
            await clock.advance(1)
        again = room_of("a")
        async with again:
            await again.send("a2")
            await clock.advance(20)
            await again.send("a3")
            await clock.advance(1)
        assert b.of("a") == [1, 2, 3]


async def test_a_member_never_waits_for_another_server(clock, network) -> None:
    a = Hearing(room_of("a", backlog=5))
    async with a.room:
        before = clock.monotonic()
        for number in range(1000):
            await a.room.send(f"a{number}")
        assert clock.monotonic() == before
        assert a.of("a") == list(range(1000))


async def test_a_room_is_entered_and_a_backplane_has_one(clock, network) -> None:
    room = room_of("a")
    with pytest.raises(UsageError, match="async with room"):
        await room.send("too early")
    backplane = peers(listen="mem:x")
    async with Room[str](backplane=backplane):
        with pytest.raises(UsageError, match="for each"):
            await Room[str](backplane=backplane).__aenter__()
    with pytest.raises(UsageError, match="backlog"):
        peers(listen="mem:x", backlog=0)


async def test_nobody_follows_another_room(clock, network, caplog) -> None:
    a = room_of("a")
    b = Room[str]("elsewhere", backplane=peers("mem:a-plane", listen="mem:b-plane"))
    b_heard = Hearing(b)
    async with a, b:
        await clock.advance(1)
        await a.send("a1")
        await clock.advance(1)
    assert b_heard.heard == []
    assert "does not follow room" in caplog.text


async def test_what_a_member_cannot_be_sent_is_one_lost_message_and_no_more(
    server, clock, network, caplog
) -> None:
    """Text with a line feed is a message between servers, and none for a member who has lines."""
    a, b = room_of("a"), room_of("b")

    async def sit(conversation: Conversation[str, str]) -> None:
        async with b.join(conversation):
            await conversation.wait_closing()

    async with a, b:
        await server(lines.converse(sit), "mem:b")
        async with connect("mem:b", lines.wire_format()).conversation() as member:
            await clock.advance(1)
            await a.send("two\nlines")
            await a.send("one line")
            await clock.advance(1)
            assert await member.receive() == "one line"
    assert "a message of room 'room'" in caplog.text


steps = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(["says", "says", "says", "cuts", "cuts", "heals", "waits"]),
        st.sampled_from(NAMES),
    ),
    min_size=5,
    max_size=60,
)


async def run(doings: list[tuple[str, str, str]]) -> None:
    rooms = {name: Hearing(room_of(name, backlog=2, max_back_off=0.5)) for name in NAMES}
    said = dict.fromkeys(NAMES, 0)
    async with AsyncExitStack() as stack:
        for hearing in rooms.values():
            await stack.enter_async_context(hearing.room)
        await asyncio.sleep(2)
        for who, what, whom in doings:
            if what == "says":
                said[who] += 1
                await rooms[who].room.send(f"{who}{said[who]}")
            elif what == "waits":
                await asyncio.sleep(0.3)
            elif who != whom:
                getattr(link(who, whom), "cut" if what == "cuts" else "heal")()
        for one in NAMES:
            for other in NAMES:
                if one != other:
                    link(one, other).heal()
        await asyncio.sleep(5)
    missed = 0.0
    for name, hearing in rooms.items():
        for other in NAMES:
            heard = hearing.of(other)
            assert heard == sorted(set(heard))  # in order, at most once
        total = sum(len(hearing.of(other)) for other in NAMES if other != name)
        missed += hearing.total("backplane_missed_total")
        # What did not arrive is counted.
        everything = sum(said[other] for other in NAMES if other != name)
        assert total + hearing.total("backplane_missed_total") == everything
    met("missed" if missed else "whole")


@shares(missed=0.02, whole=0.3)
@settings(max_examples=30)
@given(steps)
def test_each_senders_messages_arrive_in_order_at_most_once_or_are_counted(
    doings: list[tuple[str, str, str]],
) -> None:
    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        runner.run(run(doings))


@given(st.lists(st.binary(max_size=30)), st.integers(1, 10), st.integers(1, 100))
def test_a_log_keeps_the_last_messages_within_its_bounds(
    payloads: list[bytes], most: int, most_bytes: int
) -> None:
    log = Log(most, most_bytes)
    for payload in payloads:
        log.append(payload)
    kept = [log.get(number) for number in range(log.first, log.last + 1)]
    assert kept == payloads[len(payloads) - len(kept) :]
    assert len(kept) <= most
    assert sum(map(len, kept)) <= most_bytes or len(kept) == 1
    assert len(kept) >= min(1, len(payloads))


@given(
    st.builds(
        Hello,
        st.binary(min_size=16, max_size=16),
        st.integers(0, 2**64 - 1),
        st.sampled_from(["", "é"]),
    )
    | st.builds(Start, st.binary(min_size=16, max_size=16), st.just(1), st.just(2))
    | st.builds(Message, st.integers(0, 2**64 - 1), st.binary())
    | st.builds(Ping, st.booleans())
)
def test_a_frame_of_a_link_is_read_as_it_was_written(frame: Any) -> None:
    assert FORMAT.requests.decode(FORMAT.requests.encode(frame)) == frame


@shares(read=0.01, refused=0.3)
@given(st.binary() | st.sampled_from([b"?", b"!", b"M" + bytes(9)]))
def test_any_octets_are_a_frame_or_an_error(octets: bytes) -> None:
    try:
        FORMAT.requests.decode(octets)
    except DecodeError:
        met("refused")
    else:
        met("read")


async def test_over_real_sockets() -> None:
    """Each dials the other, whose port is known once it is open."""
    async with asyncio.timeout(10):
        one = peers(listen="tcp:127.0.0.1:0")
        async with Room[str](backplane=one) as a:
            assert one.address.startswith("tcp:127.0.0.1:")
            follower = Hearing(Room[str](backplane=peers(one.address, listen="tcp:127.0.0.1:0")))
            async with follower.room:
                while not follower.total("backplane_links_up"):
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.05)
                await a.send("a1")
                while not follower.heard:
                    await asyncio.sleep(0.01)
                assert follower.heard == ["a1"]
