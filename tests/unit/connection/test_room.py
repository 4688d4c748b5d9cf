"""A room: everybody hears, in order, and a slow member is cut alone and counted once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from pierhead import Conversation, Room, connect, converse
from pierhead.errors import ConnectionEnded, UsageError
from pierhead.protocols import lines

FORMAT = lines.wire_format()


def chat_in(room: Room[str]) -> Any:
    async def chat(conversation: Conversation[str, str]) -> None:
        name = await conversation.receive()
        async with room.join(conversation, name=name):
            async for line in conversation:
                await room.send(f"{name}: {line}")

    return chat


async def joined(room: Room[str], *names: str) -> None:
    """Wait until these are the members."""
    while list(room.members) != list(names):
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("address", ["mem:b", "memgram:b"])
async def test_everybody_hears_what_is_said(server, address: str) -> None:
    room = Room[str]()
    started = await server(lines.converse(chat_in(room)), address)
    client = connect(address, FORMAT)
    async with client.conversation() as one, client.conversation() as two:
        await one.send("ada")
        await joined(room, "ada")
        await two.send("bob")
        await joined(room, "ada", "bob")
        await one.send("hello")
        await two.send("hi")
        for each in (one, two):
            assert {await each.receive(), await each.receive()} == {"ada: hello", "bob: hi"}
    await started.__aexit__(None, None, None)
    assert len(room) == 0
    assert room.metrics.total("room_members") == 0
    assert room.metrics.total("room_messages_total") == 2
    await client.close()


async def test_who_joins_hears_the_last_messages_first_and_each_once(server) -> None:
    room = Room[str](history=3)

    async def listen(conversation: Conversation[str, str]) -> None:
        async with room.join(conversation):
            await conversation.wait_closing()

    await server(lines.converse(listen), "mem:b")
    for number in range(5):
        await room.send(str(number))
    async with connect("mem:b", FORMAT).conversation() as conversation:
        while not room.members:
            await asyncio.sleep(0)
        await room.send("5")
        assert [await conversation.receive() for _ in range(4)] == ["2", "3", "4", "5"]


async def test_a_name_is_taken_once_and_free_again_later(server) -> None:
    room = Room[str]()
    refused = []

    async def enter(conversation: Conversation[str, str]) -> None:
        try:
            async with room.join(conversation, name="ada"):
                await conversation.receive()
        except UsageError as error:
            refused.append(str(error))

    await server(lines.converse(enter), "mem:b")
    client = connect("mem:b", FORMAT)
    async with client.conversation() as first:
        await joined(room, "ada")
        async with client.conversation() as second:
            assert [line async for line in second] == []
        await first.send("bye")
        await joined(room)
        async with client.conversation():
            await joined(room, "ada")
    assert len(refused) == 1
    assert "'ada' already" in refused[0]
    await client.close()


async def test_a_slow_member_is_cut_alone_and_counted_once(server) -> None:
    room = Room[str](capacity=4)
    started = await server(lines.converse(chat_in(room)), "mem:b")
    client = connect("mem:b", FORMAT, max_write_buffer_bytes=1024)
    heard: list[int] = []
    slow_heard: list[str] = []

    async def hear(conversation: Conversation[str, str]) -> None:
        heard.extend([int(line.partition(" ")[0]) async for line in conversation])

    async def hear_slowly(conversation: Conversation[str, str]) -> None:
        while line := await conversation.receive():
            slow_heard.append(line)

    async with client.conversation() as quick, client.conversation() as slow:
        await quick.send("quick")
        await slow.send("slow")
        await joined(room, "quick", "slow")
        hearing = asyncio.ensure_future(hear(quick))
        for number in range(100):
            await room.send(f"{number} ".ljust(60_000, "x"))
            await asyncio.sleep(0)
        await joined(room, "quick")
        with pytest.raises(ConnectionEnded) as ended:
            await hear_slowly(slow)
        assert not ended.value.is_clean
        quick.end_output()
        await hearing
    assert len(slow_heard) < 20
    assert heard == list(range(100))
    assert room.metrics.total("room_members_cut_total") == 1
    assert started.metrics.total("connections_closed_total", reason="slow") == 1


async def test_the_oldest_message_may_be_dropped_instead(server) -> None:
    room = Room[str](capacity=2, when_full="drop-oldest")
    started = await server(lines.converse(chat_in(room)), "mem:b")
    async with connect("mem:b", FORMAT).conversation() as slow:
        await slow.send("slow")
        await joined(room, "slow")
        for number in range(100):
            await room.send(f"{number} ".ljust(60_000, "x"))
            await asyncio.sleep(0)
        missed = room.members["slow"].dropped
        assert missed > 50
        slow.end_output()
        heard = [int(line.partition(" ")[0]) async for line in slow]
    assert heard == sorted(set(heard))
    assert heard[-1] == 99
    assert len(heard) == 100 - missed
    await started.__aexit__(None, None, None)
    assert room.metrics.total("room_messages_dropped_total") == missed
    assert room.metrics.total("room_members_cut_total") == 0


async def test_a_message_is_encoded_once_for_members_of_one_format(server) -> None:
    counted = []

    class Counting:
        decode = FORMAT.replies.decode

        def encode(self, message: str) -> bytes:
            counted.append(message)
            return message.encode()

    room = Room[str]()
    await server(converse(chat_in(room), replace(FORMAT, replies=Counting())), "mem:b")
    client = connect("mem:b", FORMAT)
    async with client.conversation() as one, client.conversation() as two:
        for name, conversation in [("one", one), ("two", two)]:
            await conversation.send(name)
        await joined(room, "one", "two")
        await room.send("hello", to_all_but=room.members["two"])
        await room.send("all")
        assert [await one.receive(), await one.receive()] == ["hello", "all"]
        assert await two.receive() == "all"
    assert counted == ["hello", "all"]
    await client.close()


async def test_a_message_that_cannot_be_encoded_is_the_speakers_mistake(server) -> None:
    room = Room[str]()
    await server(lines.converse(chat_in(room)), "mem:b")
    async with connect("mem:b", FORMAT).conversation() as one:
        await one.send("one")
        await joined(room, "one")
        with pytest.raises(UsageError):
            await room.send("two\nlines")
        await room.send("whole")
        assert await one.receive() == "whole"


def test_numbers_have_their_ranges() -> None:
    with pytest.raises(UsageError, match="capacity is 0 messages, expected 1"):
        Room(capacity=0)
    with pytest.raises(UsageError, match="history"):
        Room(history=-1)
    with pytest.raises(UsageError, match="when_full"):
        Room(when_full="never")  # type: ignore[arg-type]
