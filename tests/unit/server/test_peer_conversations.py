"""Conversations on datagram sockets: one for each peer, bounded, told of their end, and counted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from pierhead import Conversation, Json, Lines, Server, ServerLimits, WireFormat, converse
from pierhead.client.dial import dial_datagram
from pierhead.errors import ConnectionEnded
from pierhead.protocols import lines

NUMBERS = WireFormat(Lines(), Json(int))


async def shout(conversation: Conversation[str, str]) -> None:
    async for line in conversation:
        await conversation.send(line.upper())


async def said(client: Any, *datagrams: bytes) -> list[bytes]:
    """Send datagrams and return what comes back within a second."""
    for datagram in datagrams:
        client.send(datagram)
    received = []
    try:
        async with asyncio.timeout(1):
            while True:
                received.append(await client.receive())
    except TimeoutError:
        return received


def check_sum(started: Server) -> None:
    """Check that every frame has one fate."""
    total = started.metrics.total
    fates = total("messages_received_total") + total("messages_lost_total", direction="in")
    assert total("frames_received_total") == fates + total("dropped_total")
    assert total("conversations_open") == 0
    assert total("conversations_opened_total") == total("conversations_closed_total")


async def test_each_peer_has_one_conversation(server) -> None:
    peers = []

    async def remember(conversation: Conversation[str, str]) -> None:
        peers.append(str(conversation.peer))
        count = 0
        async for line in conversation:
            count += 1
            await conversation.send(f"{line} {count}")

    started = await server(lines.converse(remember), "memgram:b")
    one = await dial_datagram("memgram:b", source="memgram:one")
    other = await dial_datagram("memgram:b", source="memgram:other")
    assert await said(one, b"a", b"b\r\n") == [b"a 1", b"b 2"]
    assert await said(other, b"c") == [b"c 1"]
    assert await said(one, b"d\ne\n") == [b"d 3", b"e 4"]
    assert peers == ["one", "other"]
    await started.__aexit__(None, None, None)
    check_sum(started)


async def test_silence_ends_a_conversation_and_the_next_datagram_begins_another(
    server, clock
) -> None:
    ends = []

    async def until_silent(conversation: Conversation[str, str]) -> None:
        async for _ in conversation:
            pass
        ends.append(conversation.closing)
        await conversation.send("goodbye")

    started = await server(lines.converse(until_silent), "memgram:b", idle_timeout=30)
    client = await dial_datagram("memgram:b")
    client.send(b"a")
    await clock.advance(20)
    client.send(b"b")
    await clock.advance(25)
    assert ends == []
    await clock.advance(10)
    assert ends == ["idle"]
    assert await client.receive() == b"goodbye"
    client.send(b"c")
    await clock.advance(1)
    assert started.metrics.total("conversations_opened_total") == 2
    assert started.metrics.total("conversations_open") == 1


async def test_what_is_no_message_fails_alone(server) -> None:
    failures: list[str] = []

    async def add_one(conversation: Conversation[int, int]) -> None:
        async for number in conversation:
            await conversation.send(number + 1)

    started = await server(
        converse(add_one, NUMBERS),
        "memgram:b",
        on_error=lambda error, where: failures.append(str(where)),
    )
    client = await dial_datagram("memgram:b")
    assert await said(client, b"nonsense") == []
    assert started.metrics.total("conversations_opened_total") == 0
    assert await said(client, b"1", b"nonsense", b"2") == [b"2", b"3"]
    assert started.metrics.total("dropped_total", reason="undecodable") == 2
    assert failures == ["decode", "decode"]
    await started.__aexit__(None, None, None)
    check_sum(started)


async def test_a_drain_is_told_and_then_enforced(server, clock) -> None:
    heard = []

    async def polite(conversation: Conversation[str, str]) -> None:
        first = await conversation.receive()
        async for _ in conversation:
            pass
        heard.append(conversation.closing)
        await conversation.send("goodbye")
        if first == "stay":
            await asyncio.get_running_loop().create_future()

    started = await server(lines.converse(polite), "memgram:b", drain_timeout=3)
    leaves = await dial_datagram("memgram:b", source="memgram:leaves")
    stays = await dial_datagram("memgram:b", source="memgram:stays")
    leaves.send(b"leave")
    stays.send(b"stay")
    await clock.advance(1)
    await started.__aexit__(None, None, None)
    assert await leaves.receive() == await stays.receive() == b"goodbye"
    assert heard == ["drain", "drain"]
    assert [(lost.peer, lost.reason) for lost in started.lost] == [("stays", "drain")]
    check_sum(started)


async def test_forged_sources_push_out_each_other_and_not_those_that_speak(server) -> None:
    """The table is full of peers that were heard once; who was heard again keeps its place."""
    started = await server(lines.converse(shout), "memgram:b", max_peers=4)
    regular = await dial_datagram("memgram:b", source="memgram:regular")
    await said(regular, b"a", b"b")
    for number in range(50):
        forged = await dial_datagram("memgram:b", source=f"memgram:forged{number}")
        forged.send(b"x")
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    assert started.metrics.total("conversations_open") == 4
    assert started.metrics.total("conversations_closed_total", reason="evicted") == 47
    assert await said(regular, b"c") == [b"C"]
    assert started.metrics.total("conversations_opened_total") == 51
    await started.__aexit__(None, None, None)
    check_sum(started)


async def test_handlers_that_do_not_leave_are_bounded_too(server) -> None:
    async def stay(conversation: Conversation[str, str]) -> None:
        await asyncio.get_running_loop().create_future()

    started = await server(lines.converse(stay), "memgram:b", max_peers=2, drain_timeout=0)
    for number in range(200):
        (await dial_datagram("memgram:b", source=f"memgram:{number}")).send(b"x")
    await asyncio.sleep(0.1)
    assert started.metrics.total("conversations_open") <= 2 + 65


async def test_what_waits_for_a_handler_is_bounded_in_number_and_in_octets(server) -> None:
    async def deaf(conversation: Conversation[str, str]) -> None:
        await conversation.wait_closing()

    started = await server(
        lines.converse(deaf), "memgram:b", max_unread_datagram_bytes=100_000, max_peers=10
    )
    lost = started.metrics.total
    small = await dial_datagram("memgram:b", source="memgram:small")
    for _ in range(300):
        small.send(b"x")
    await asyncio.sleep(0.1)
    assert lost("messages_lost_total", reason="unread") == 300 - 256
    for number in range(4):
        large = await dial_datagram("memgram:b", source=f"memgram:{number}")
        large.send(b"x" * 40_000)
    await asyncio.sleep(0.1)
    assert lost("messages_lost_total", reason="max_unread_datagram_bytes") == 2
    await started.__aexit__(None, None, None)
    check_sum(started)


async def test_a_failing_handler_ends_its_conversation_alone(server, caplog) -> None:
    async def fails(conversation: Conversation[str, str]) -> None:
        line = await conversation.receive()
        if line == "bad":
            raise ValueError("of the program")
        await shout(conversation)

    started = await server(lines.converse(fails), "memgram:b")
    one = await dial_datagram("memgram:b")
    other = await dial_datagram("memgram:b")
    other.send(b"good")
    assert await said(one, b"bad") == []
    assert await said(other, b"a") == [b"A"]
    assert "ValueError: of the program" in caplog.text
    assert started.metrics.total("conversations_closed_total", reason="error") == 1


async def test_a_handler_has_some_time_after_the_end(server, clock) -> None:
    async def waits_for_something_else(conversation: Conversation[str, str]) -> None:
        await asyncio.get_running_loop().create_future()

    started = await server(
        lines.converse(waits_for_something_else), "memgram:b", idle_timeout=10, handler_timeout=2
    )
    (await dial_datagram("memgram:b")).send(b"a")
    await clock.advance(11)
    assert started.metrics.total("conversations_open") == 1
    await clock.advance(3)
    assert started.metrics.total("conversations_open") == 0
    assert started.metrics.total("conversations_cancelled_total") == 1


async def test_a_reply_leaves_from_the_address_that_was_asked() -> None:
    """One server on all addresses, over real sockets: a connected client hears nothing else."""
    async with Server(lines.converse(shout), "udp:0.0.0.0:0", drain_timeout=1) as started:
        port = started.addresses[0].rpartition(":")[2]
        for host in ("127.0.0.1", "127.0.0.2"):
            client = await dial_datagram(f"udp:{host}:{port}")
            client.send(b"hello")
            assert await asyncio.wait_for(client.receive(), 5) == b"HELLO"
            client.close()
        assert started.metrics.total("conversations_opened_total") == 2


async def test_a_unix_peer_that_is_gone_ends_its_conversation(tmp_path: Path) -> None:
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def speak(conversation: Conversation[str, str]) -> None:
        await conversation.receive()
        client.close()
        try:
            while True:
                await conversation.send("news")
                await asyncio.sleep(0)
        except ConnectionEnded as error:
            ended.set_result(error.reason)

    async with Server(lines.converse(speak), f"unixgram:{tmp_path}/b") as started:
        client = await dial_datagram(f"unixgram:{tmp_path}/b", source=f"unixgram:{tmp_path}/a")
        client.send(b"hello")
        assert await asyncio.wait_for(ended, 5) == "peer_gone"
        lost = started.metrics.total("messages_lost_total", direction="out", reason="peer_gone")
        assert lost >= 1


async def test_senders_wait_while_a_unix_peer_does_not_read(tmp_path: Path) -> None:
    sent = []

    async def flood(conversation: Conversation[str, str]) -> None:
        await conversation.receive()
        for number in range(100_000):
            await conversation.send(f"{number:1000}")
            sent.append(number)

    address = f"unixgram:{tmp_path}/b"
    limits: ServerLimits = {"datagram_write_timeout": 30, "drain_timeout": 0}
    async with Server(lines.converse(flood), address, **limits) as started:
        client = await dial_datagram(address, source=f"unixgram:{tmp_path}/a")
        client.send(b"hello")
        before = -1
        while not sent or len(sent) != before:  # until it waits
            before = len(sent)
            await asyncio.sleep(0.02)
        assert 0 < before < 2000
        received = [int(await client.receive()) for _ in range(before + 500)]
        assert received == list(range(before + 500))
        assert started.metrics.total("messages_lost_total") == 0
        client.close()


async def test_another_handler_takes_the_next_peer_and_the_earlier_one_is_told(server) -> None:
    told = []

    async def first(conversation: Conversation[str, str]) -> None:
        async for line in conversation:
            await conversation.send(f"first {line}")
        told.append(conversation.closing)

    async def second(conversation: Conversation[str, str]) -> None:
        async for line in conversation:
            await conversation.send(f"second {line}")

    started = await server(lines.converse(first), "memgram:b")
    client = await dial_datagram("memgram:b")
    assert await said(client, b"a") == [b"first a"]
    await started.replace(lines.converse(second), "memgram:b")
    assert await said(client, b"b") == [b"second b"]
    assert told == ["replaced"]
    await started.__aexit__(None, None, None)
    check_sum(started)
