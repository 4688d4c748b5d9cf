"""What is said in a room is heard in order, once; a slow member is cut alone and counted once.

Members read at a pace of their own, one may never read, speakers speak at once, and what is said is
large enough for buffers to fill. The same for conversations over datagrams, which may be lost,
doubled and late: each message reaches its own peer's handler, or is counted.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, suppress
from typing import Any, Literal, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead import Conversation, Room, Server, connect
from pierhead.client.dial import dial_datagram
from pierhead.errors import ConnectionEnded
from pierhead.net.memory import Network
from pierhead.protocols import lines
from pierhead.testing.clock import HeldClock, HeldLoop

SIZE = 40_000
FORMAT = lines.wire_format()

WhenFull = Literal["close", "drop-oldest", "wait"]


class Listener(NamedTuple):
    """How one member reads: with a pause after each message, and from when on."""

    pause_s: float
    begins_s: float


listeners = st.lists(
    st.builds(
        Listener,
        pause_s=st.sampled_from([0.0, 0.0, 0.01, 0.2]),
        begins_s=st.sampled_from([0.0, 5.0]),
    ),
    min_size=1,
    max_size=4,
)


class Heard:
    """What one member has heard, by speaker, and how it ended."""

    def __init__(self) -> None:
        self.by: dict[str, list[int]] = {}
        self.is_clean = True

    async def listen(self, conversation: Conversation[str, str], how: Listener) -> None:
        await asyncio.sleep(how.begins_s)
        try:
            async for line in conversation:
                who, number, _ = line.split(":")
                self.by.setdefault(who, []).append(int(number))
                await asyncio.sleep(how.pause_s)
        except ConnectionEnded:
            self.is_clean = False

    def __len__(self) -> int:
        return sum(map(len, self.by.values()))


async def speak(room: Room[str], who: str, messages: int, pause_s: float) -> None:
    for number in range(messages):
        await room.send(f"{who}:{number}:".ljust(SIZE, "x"))
        await asyncio.sleep(pause_s)


async def hold_room(
    when_full: WhenFull, every: list[Listener], speakers: int, messages: int, pause_s: float
) -> None:
    room = Room[str](capacity=2, when_full=when_full)
    members: dict[str, Any] = {}

    async def sit(conversation: Conversation[str, str]) -> None:
        name = await conversation.receive()
        async with room.join(conversation, name=name) as member:
            members[name] = member
            await conversation.wait_closing()

    heard = [Heard() for _ in every]
    limits: Any = {"write_timeout": 3600, "drain_timeout": 3600, "idle_timeout": 3600}
    server = Server(lines.converse(sit), "mem:b", clock=HeldClock.current(), **limits)
    client = connect("mem:b", FORMAT, idle_timeout="off")
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as listening:
        await server.__aenter__()
        for number, how in enumerate(every):
            conversation = await stack.enter_async_context(client.conversation())
            await conversation.send(str(number))
            listening.create_task(heard[number].listen(conversation, how))
        while len(room) < len(every):
            await asyncio.sleep(0.001)
        said = [speak(room, f"s{number}", messages, pause_s) for number in range(speakers)]
        await asyncio.gather(*said)
        await asyncio.sleep(60)  # all that waits has left
        await server.__aexit__(None, None, None)
    await client.close()
    check_members(when_full, heard, members, speakers, messages)
    assert room.metrics.total("room_members_cut_total") == sum(
        member.is_cut for member in members.values()
    )
    assert room.metrics.total("room_members") == 0


def check_members(
    when_full: WhenFull, heard: list[Heard], members: dict[str, Any], speakers: int, messages: int
) -> None:
    for number, each in enumerate(heard):
        member = members[str(number)]
        for numbers in each.by.values():
            assert numbers == sorted(set(numbers))  # in order, at most once
        if member.is_cut:
            assert when_full == "close"
            assert not each.is_clean
            for numbers in each.by.values():
                assert numbers == list(range(len(numbers)))  # nothing is missing in between
            met("cut")
        else:
            assert each.is_clean
            assert len(each) + member.dropped == speakers * messages
            met("dropped" if member.dropped else "whole")


@shares(cut=0.01, dropped=0.01, whole=0.2)
@settings(max_examples=60)
@given(
    when_full=st.sampled_from(["close", "close", "drop-oldest", "wait"]),
    every=listeners,
    speakers=st.integers(1, 3),
    messages=st.sampled_from([1, 10, 30, 30]),
    pause_s=st.sampled_from([0.0, 0.05]),
)
def test_members_hear_all_in_order_or_are_cut_or_miss_what_is_counted(
    when_full: WhenFull, every: list[Listener], speakers: int, messages: int, pause_s: float
) -> None:
    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        runner.run(hold_room(when_full, every, speakers, messages, pause_s))


class Weather(NamedTuple):
    """What the network does to datagrams."""

    lost: float
    doubled: float
    jitter_s: float


weathers = st.builds(
    Weather,
    lost=st.sampled_from([0.0, 0.0, 0.3]),
    doubled=st.sampled_from([0.0, 0.0, 0.3]),
    jitter_s=st.sampled_from([0.0, 0.0, 0.05]),
)
#: What a peer sends: a message, or octets that are none.
said_by_peers = st.lists(st.lists(st.booleans(), max_size=20), min_size=1, max_size=4)


async def hold_conversations(peers: list[list[bool]], weather: Weather, slow_s: float) -> None:
    received: dict[str, list[int]] = {}

    async def note(conversation: Conversation[str, str]) -> None:
        numbers = received.setdefault(str(conversation.peer), [])
        while True:
            line = await conversation.receive()
            numbers.append(int(line))
            await conversation.send(line)
            await asyncio.sleep(slow_s)

    network = Network.current()
    sent: dict[str, list[int]] = {}
    answered: dict[str, list[int]] = {}
    held = HeldClock.current()
    async with Server(lines.converse(note), "memgram:b", clock=held, idle_timeout=30) as server:
        for index, messages in enumerate(peers):
            name = f"p{index}"
            link = network.between(name, "b")
            link.lose(weather.lost, seed=index, sender=name)
            link.duplicate(weather.doubled, seed=index, sender=name)
            link.delay(0.01, jitter=weather.jitter_s, seed=index, sender=name)
            end = await dial_datagram("memgram:b", source=f"memgram:{name}")
            sent[name], answered[name] = [], []
            for number, is_message in enumerate(messages):
                end.send(str(number).encode() if is_message else b"\xff")
                if is_message:
                    sent[name].append(number)
            with suppress(TimeoutError):
                async with asyncio.timeout(20):
                    while True:
                        answered[name].append(int(await end.receive()))
            end.close()
        await asyncio.sleep(60)
        assert server.metrics.total("conversations_open") == 0
    check_datagrams(sent, received, answered, weather)
    total = server.metrics.total
    fates = total("messages_received_total") + total("messages_lost_total", direction="in")
    assert total("frames_received_total") == fates + total("dropped_total")
    assert total("messages_received_total") == sum(map(len, received.values()))
    if not weather.lost and not weather.doubled:
        bad = sum(messages.count(False) for messages in peers)
        assert total("dropped_total", reason="undecodable") == bad


def check_datagrams(
    sent: dict[str, list[int]],
    received: dict[str, list[int]],
    answered: dict[str, list[int]],
    weather: Weather,
) -> None:
    assert received.keys() <= sent.keys()
    for name, numbers in sent.items():
        heard = received.get(name, [])
        assert set(heard) <= set(numbers)  # its own, and no other's
        assert answered[name] == heard
        if not weather.doubled:
            assert max(Counter(heard).values(), default=1) == 1
        if not weather.jitter_s:
            assert heard == sorted(heard)
        if not weather.lost:
            assert set(heard) == set(numbers)
        met("whole" if heard == numbers else "as the network left it")


@shares(**{"whole": 0.3, "as the network left it": 0.01})
@settings(max_examples=40)
@given(
    peers=said_by_peers,
    weather=weathers,
    slow_s=st.sampled_from([0.0, 0.02]),
)
def test_datagrams_reach_their_own_conversation_and_are_counted(
    peers: list[list[bool]], weather: Weather, slow_s: float
) -> None:
    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        runner.run(hold_conversations(peers, weather, slow_s))
