"""Conversations as a server serves them: messages at any time, limits, drain, and the counts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pierhead import Conversation, Json, Lines, WireFormat, connect, converse
from pierhead.client.dial import dial_stream
from pierhead.errors import ConnectionEnded, DecodeError, UsageError
from pierhead.protocols import lines
from pierhead.server.converse import ServedConversation
from pierhead.service.admission import Answer

FORMAT = lines.wire_format()


def counts(metrics: Any, *names: str) -> list[float]:
    return [metrics.total(name) for name in names]


async def until_the_end(conversation: Conversation[str, str]) -> int:
    """Receive until the connection is cut off; return how many messages arrived."""
    received = 0
    try:
        while await conversation.receive():
            received += 1
    except ConnectionEnded as ended:
        return -1 if ended.is_clean else received


async def test_the_server_speaks_unasked_and_both_sides_end_in_order(server) -> None:
    async def greet(conversation: Conversation[str, str]) -> None:
        await conversation.send("hello")
        async for line in conversation:
            await conversation.send(line.upper())
        await conversation.send("bye")

    started = await server(lines.converse(greet), "mem:b")
    async with connect("mem:b", FORMAT).conversation() as conversation:
        assert await conversation.receive() == "hello"
        await conversation.send("a")
        conversation.end_output()
        assert [line async for line in conversation] == ["A", "bye"]
        with pytest.raises(ConnectionEnded) as ended:
            await conversation.receive()
        assert ended.value.is_clean
    assert counts(started.metrics, "messages_received_total", "messages_sent_total") == [1, 3]


async def test_a_drain_ends_the_messages_and_leaves_time_to_say_goodbye(server, clock) -> None:
    why = []

    async def polite(conversation: Conversation[str, str]) -> None:
        async for _ in conversation:
            pass
        why.append(conversation.closing)
        await conversation.send("goodbye")

    started = await server(lines.converse(polite), "mem:b")
    async with connect("mem:b", FORMAT).conversation() as conversation:
        await asyncio.sleep(0.1)
        closing = asyncio.ensure_future(started.__aexit__(None, None, None))
        assert await conversation.receive() == "goodbye"
        assert [line async for line in conversation] == []
    await closing
    assert why == ["drain"]
    assert list(started.lost) == []


async def test_a_handler_that_does_not_leave_is_cancelled_and_named(server, clock) -> None:
    cancelled = []

    async def stubborn(conversation: Conversation[str, str]) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    started = await server(lines.converse(stubborn), "mem:b", drain_timeout=1)
    async with connect("mem:b", FORMAT).conversation():
        await asyncio.sleep(0.1)
        await started.__aexit__(None, None, None)
    assert cancelled == [True]
    assert [lost.reason for lost in started.lost] == ["drain"]


async def test_a_handler_has_some_time_after_its_peer_has_gone(server, clock) -> None:
    async def waits_for_something_else(conversation: Conversation[str, str]) -> None:
        await conversation.receive()
        await asyncio.get_running_loop().create_future()

    started = await server(lines.converse(waits_for_something_else), "mem:b", handler_timeout=2)
    async with connect("mem:b", FORMAT).conversation() as conversation:
        await conversation.send("a")
        await asyncio.sleep(0.1)
        conversation.abort()
    await clock.advance(1.5)
    assert started.metrics.total("connections_open") == 1
    await clock.advance(1)
    assert started.metrics.total("connections_open") == 0
    assert started.metrics.total("conversations_cancelled_total") == 1


async def test_a_slow_peer_makes_the_sender_wait_and_is_cut_off_in_time(server, clock) -> None:
    sent = []

    async def flood(conversation: Conversation[str, str]) -> None:
        for number in range(1000):
            await conversation.send("x" * 10_000)
            sent.append(number)

    started = await server(lines.converse(flood), "mem:b", write_timeout=3)
    client = connect("mem:b", FORMAT)
    async with client.conversation() as conversation:
        await clock.advance(2)
        held = len(sent)
        assert held < 100  # what the bounds of both sides hold, not the whole
        await clock.advance(3)
        assert 0 <= await until_the_end(conversation) <= held
    assert started.metrics.total("connections_closed_total", reason="write") == 1
    assert started.metrics.total("messages_lost_total", direction="out") > 0
    await client.close()


@pytest.mark.parametrize(
    ("when_full", "arrives", "dropped"),
    [("drop-oldest", [0, 7, 8, 9], 6), ("wait", list(range(10)), 0)],
)
async def test_a_sender_does_as_its_policy_says(server, when_full, arrives, dropped) -> None:
    """The peer takes nothing until everything has been said."""
    has_said = asyncio.Event()
    refused = []

    async def say(conversation: Conversation[str, str]) -> None:
        sender = conversation.sender(capacity=3, when_full=when_full)
        await conversation.send("x" * 400_000)  # more than the peer and the transport hold
        for number in range(10):
            if not sender.try_send(str(number)):
                refused.append(number)
                has_said.set()
                await sender.send(str(number))
        has_said.set()
        assert sender.dropped == dropped

    wire = lines.wire_format(max_length_bytes=500_000)
    await server(converse(say, wire), "mem:b")
    async with connect("mem:b", wire, max_write_buffer_bytes=1024).conversation() as conversation:
        await asyncio.wait_for(has_said.wait(), 5)
        received = [line async for line in conversation][1:]
    assert [int(line) for line in received][-3:] == arrives[-3:]
    assert bool(refused) is (when_full == "wait")
    if when_full == "wait":
        assert [int(line) for line in received] == arrives


async def test_a_sender_that_may_not_wait_closes_on_a_slow_peer(server) -> None:
    why: list[str] = []

    async def say(conversation: Conversation[str, str]) -> None:
        sender = conversation.sender(capacity=2, when_full="close")
        try:
            for _ in range(100):
                await sender.send("x" * 60_000)
        except ConnectionEnded as ended:
            why.append(str(ended))

    started = await server(lines.converse(say), "mem:b")
    async with connect("mem:b", FORMAT).conversation() as conversation:
        await asyncio.sleep(1)
        received = await until_the_end(conversation)
        assert 0 <= received < 100
    assert started.metrics.total("connections_closed_total", reason="slow") == 1
    assert "keep up" in why[0]


async def test_input_that_is_no_message_is_the_handlers_to_judge(server) -> None:
    seen: list[object] = []

    async def count(conversation: Conversation[int, int]) -> None:
        while True:
            try:
                seen.append(await conversation.receive())
            except DecodeError as error:
                seen.append(str(error))
            except ConnectionEnded:
                return

    started = await server(converse(count, WireFormat(Lines(), Json(int))), "mem:b")
    async with connect("mem:b", FORMAT).conversation() as conversation:
        for line in ("1", "one", "2"):
            await conversation.send(line)
    await asyncio.sleep(0.1)
    assert seen[0] == 1
    assert "JSON" in str(seen[1]) or "malformed" in str(seen[1])
    assert seen[2] == 2
    assert started.metrics.total("dropped_total", reason="undecodable") == 1


async def test_input_that_no_handler_judges_ends_the_conversation_alone(server) -> None:
    async def count(conversation: Conversation[int, int]) -> None:
        async for number in conversation:
            await conversation.send(number + 1)

    wire = WireFormat(Lines(), Json(int))
    started = await server(converse(count, wire), "mem:b")
    async with connect("mem:b", wire).conversation() as other:
        async with connect("mem:b", FORMAT).conversation() as conversation:
            await conversation.send("nonsense")
            assert [line async for line in conversation] == []
        await other.send(1)
        assert await other.receive() == 2
    assert started.metrics.total("connections_closed_total", reason="undecodable") == 1


async def test_silence_ends_a_conversation_and_a_message_that_stalls_does(server, clock) -> None:
    async def listen(conversation: Conversation[str, str]) -> None:
        async for _ in conversation:
            pass

    started = await server(lines.converse(listen), "mem:b", idle_timeout=60, message_timeout=5)
    async with connect("mem:b", FORMAT, idle_timeout="off").conversation() as conversation:
        await clock.advance(50)
        await conversation.send("still here")
        await clock.advance(50)
        assert not conversation.closed
        await clock.advance(11)
        assert [line async for line in conversation] == []
    assert started.metrics.total("connections_closed_total", reason="idle") == 1


def test_a_handler_is_an_async_function_of_a_conversation() -> None:
    def plain(conversation: Any) -> None: ...

    for wrong in (plain, None, ServedConversation):
        with pytest.raises(UsageError, match="async def"):
            converse(wrong, FORMAT)  # type: ignore[arg-type]


async def test_a_failing_handler_is_one_line_in_the_log(server, caplog) -> None:
    async def fails(conversation: Conversation[str, str]) -> None:
        await conversation.send("before")
        raise ValueError("of the program")

    started = await server(lines.converse(fails), "mem:b")
    async with connect("mem:b", FORMAT).conversation() as conversation:
        assert [line async for line in conversation] == ["before"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "ValueError: of the program" in caplog.text
    assert started.metrics.total("connections_closed_total", reason="error") == 1


async def test_answers_of_checks_to_a_peer_that_does_not_read_are_bounded(server) -> None:
    class Answering:
        def __call__(self, frame: bytes, peer: Any, via: Any) -> Any:
            return Answer("checked", b"x" * 1000)

    async def idle(conversation: Conversation[str, str]) -> None:
        async for _ in conversation:
            pass

    started = await server(converse(idle, FORMAT, admission=[Answering()]), "mem:b")

    class Deaf(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.pause_reading()

    transport = await dial_stream("mem:b", Deaf)
    for _ in range(200):
        transport.write(b"a\n" * 100)
        await asyncio.sleep(0)
    await asyncio.sleep(0.5)
    assert started.metrics.total("dropped_total", reason="checked") < 1000
    transport.resume_reading()
    await asyncio.sleep(0.5)
    assert started.metrics.total("dropped_total", reason="checked") == 20_000
    transport.abort()


async def test_a_handler_that_is_cancelled_may_take_its_time_to_end(server, clock) -> None:
    ended = []

    async def tidy(conversation: Conversation[str, str]) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(3)
            ended.append(True)

    started = await server(lines.converse(tidy), "mem:b", handler_timeout=1)
    async with connect("mem:b", FORMAT).conversation() as conversation:
        await asyncio.sleep(0.1)
        conversation.abort()
    await clock.advance(6)
    assert ended == [True]
    assert started.metrics.total("conversations_cancelled_total") == 1


class FragileFramer:
    buffered = 0

    def feed(self, data: bytes) -> None:
        pass

    def frames(self, limit: int) -> list[bytes]:
        raise KeyError("a bug of the framing")

    def finish(self) -> list[bytes]:
        return []


class FragileFraming:
    def new(self) -> Any:
        return FragileFramer()

    def frame(self, payload: bytes) -> bytes:
        return payload + b"\n"


async def test_a_bug_of_the_framing_is_reported_and_is_no_end_in_order(server, caplog) -> None:
    fragile: WireFormat[str, str] = WireFormat(FragileFraming(), FORMAT.requests)
    ends: list[ConnectionEnded] = []

    async def echo(conversation: Conversation[str, str]) -> None:
        await conversation.send("hello")
        with pytest.raises(ConnectionEnded) as ended:
            await conversation.receive()
        ends.append(ended.value)

    await server(converse(echo, fragile), "mem:b")
    async with connect("mem:b", FORMAT).conversation() as conversation:
        assert await conversation.receive() == "hello"
        await conversation.send("a")
        await until_the_end(conversation)
    (record,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert "a bug of the framing" in record.getMessage()
    assert not ends[0].is_clean


async def test_a_bug_of_a_clients_framing_is_raised_where_it_receives(server) -> None:
    async def greet(conversation: Conversation[str, str]) -> None:
        await conversation.send("hello")
        await until_the_end(conversation)

    await server(lines.converse(greet), "mem:b")
    fragile: WireFormat[str, str] = WireFormat(FragileFraming(), FORMAT.requests)
    async with connect("mem:b", fragile).conversation() as conversation:
        with pytest.raises(KeyError, match="a bug of the framing"):
            await conversation.receive()


async def test_nobody_sends_after_the_handler_has_returned(server) -> None:
    senders = []

    async def leave_a_sender(conversation: Conversation[str, str]) -> None:
        senders.append(conversation.sender(capacity=100))
        await conversation.send("x" * 60_000)
        await conversation.send("x" * 60_000)

    await server(lines.converse(leave_a_sender), "mem:b")
    async with connect("mem:b", FORMAT).conversation() as conversation:
        assert len([line async for line in conversation]) == 2
        with pytest.raises(ConnectionEnded) as ended:
            await senders[0].send("too late")
        assert ended.value.is_clean
