"""Conversations that a client begins over datagrams."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pierhead import Conversation, Json, Lines, Server, WireFormat, connect, converse, raw
from pierhead.client.dial import dial_datagram
from pierhead.errors import ConnectionEnded, PeerUnavailable, UsageError
from pierhead.protocols import lines

FORMAT = lines.wire_format()


async def shout(conversation: Conversation[str, str]) -> None:
    async for line in conversation:
        await conversation.send(line.upper())


async def test_both_sides_are_the_same_type(server) -> None:
    started = await server(lines.converse(shout), "memgram:b")
    client = connect("memgram:b", FORMAT, source="memgram:a")
    async with client.conversation() as conversation:
        assert isinstance(conversation, Conversation)
        await conversation.send("hello")
        async for line in conversation:
            assert line == "HELLO"
            conversation.close()
    assert client.metrics.total("messages_sent_total") == 1
    assert client.metrics.total("connections_closed_total", reason="closed") == 1
    assert client.metrics.total("connections_open") == 0
    assert started.metrics.total("conversations_opened_total") == 1
    await client.close()


@pytest.mark.parametrize("address", ["udp:127.0.0.1:0", "udp:[::1]:0", "unixgram:./s"])
async def test_over_real_sockets_with_a_source(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    peers = []

    async def count(conversation: Conversation[str, str]) -> None:
        peers.append(str(conversation.peer))
        await shout(conversation)

    source = "unixgram:./me" if address == "unixgram:./s" else address
    async with Server(lines.converse(count), address, drain_timeout=1) as started:
        client = connect(started.addresses[0], FORMAT, source=source)
        async with client.conversation() as conversation:
            for number in range(100):
                await conversation.send(f"n{number}")
                assert await conversation.receive() == f"N{number}"
    assert len(peers) == 1


async def test_a_refusal_by_the_network_is_told_at_once_and_is_not_the_end() -> None:
    async with Server(lines.converse(shout), "udp:127.0.0.1:0") as started:
        address = started.addresses[0]
    async with connect(address, FORMAT).conversation() as conversation:
        await conversation.send("hello")
        with pytest.raises(PeerUnavailable, match="Connection refused") as refused:
            await asyncio.wait_for(conversation.receive(), 5)
        assert not isinstance(refused.value, ConnectionEnded)
        async with Server(lines.converse(shout), address, drain_timeout=1):
            await conversation.send("hello again")
            assert await asyncio.wait_for(conversation.receive(), 5) == "HELLO AGAIN"


async def test_who_only_sends_is_told_too() -> None:
    async with Server(lines.converse(shout), "udp:127.0.0.1:0") as started:
        address = started.addresses[0]

    async def speak(conversation: Conversation[str, str]) -> None:
        for _ in range(1000):
            await conversation.send("hello")
            await asyncio.sleep(0)

    async with connect(address, FORMAT).conversation() as conversation:
        with pytest.raises(PeerUnavailable, match="Connection refused"):
            await speak(conversation)


async def test_what_is_no_message_is_ignored(server) -> None:
    async def answer(frame: bytes, context: object) -> bytes:
        return frame

    await server(raw(answer), "memgram:b")
    numbers: WireFormat[str, int] = WireFormat(Lines(), FORMAT.requests, Json(int))
    client = connect("memgram:b", numbers)
    async with client.conversation() as conversation:
        for text in ("nonsense", "7"):
            await conversation.send(text)
        assert await conversation.receive() == 7
    assert client.metrics.total("dropped_total", reason="undecodable") == 1


async def test_silence_ends_it_in_order(server, clock) -> None:
    await server(lines.converse(shout), "memgram:b")
    async with connect("memgram:b", FORMAT, idle_timeout=5).conversation() as conversation:
        await conversation.send("a")
        assert [line async for line in conversation] == ["A"]
        assert conversation.closing == "idle"
        with pytest.raises(ConnectionEnded):
            await conversation.send("b")


async def test_a_message_that_no_datagram_holds_is_the_programs_mistake() -> None:
    end = await dial_datagram("udp:127.0.0.1:9")
    end.close()
    wire = lines.wire_format(max_length_bytes=1_000_000)
    async with connect("udp:127.0.0.1:9", wire).conversation() as conversation:
        with pytest.raises(UsageError, match="too large for a datagram"):
            await conversation.send("x" * 70_000)


async def test_a_unix_peer_that_does_not_read_makes_senders_wait(tmp_path: Path) -> None:
    """Nothing is lost, and everything arrives in order."""
    received: list[int] = []

    async def slow(conversation: Conversation[int, int]) -> None:
        async for number in conversation:
            received.append(number)
            if len(received) == 300:
                await conversation.send(number)

    wire = WireFormat(Lines(), Json(int))
    async with Server(converse(slow, wire), f"unixgram:{tmp_path}/s", drain_timeout=1) as started:
        listener = started._slots[0].servers[0].listener
        listener.stop()  # what a server does that is too busy
        client = connect(f"unixgram:{tmp_path}/s", wire)

        async def speak(conversation: Conversation[int, int]) -> None:
            for number in range(300):
                await conversation.send(number)

        async with client.conversation() as conversation:
            speaking = asyncio.ensure_future(speak(conversation))
            for _ in range(50):
                await asyncio.sleep(0)
            assert not speaking.done()
            started._slots[0].servers[0].start()
            assert await asyncio.wait_for(conversation.receive(), 5) == 299
            await speaking
    assert received == list(range(300))
