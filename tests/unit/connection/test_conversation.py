"""A conversation on a port that a test holds: who is woken, what is sent, what is left behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from pierhead.connection.conversation import Conversation
from pierhead.connection.liveness import Liveness
from pierhead.connection.message_counters import MessageCounters
from pierhead.errors import ConnectionEnded, DecodeError, UsageError
from pierhead.metrics import Metrics
from pierhead.service.context import Peer, Transport, Via


class Text:
    """Messages of ASCII text."""

    def decode(self, frame: bytes) -> str:
        if frame == b"bug":
            raise KeyError("a bug of the codec")
        if not frame.isascii():
            raise DecodeError("not ASCII", 0)
        return frame.decode()

    def encode(self, message: str) -> bytes:
        return message.encode()


class HeldPort:
    """Takes frames only while the test lets it."""

    def __init__(self) -> None:
        self.is_writable = self.may_send = True
        self.framing = None
        self.pumped = 0
        self.sent: list[bytes] = []
        self.ended: list[str] = []

    def frame(self, payload: bytes) -> bytes:
        if b"\n" in payload:
            raise UsageError("a line feed")
        return payload + b"\n"

    def put_framed(self, framed: bytes) -> None:
        self.sent.append(framed.removesuffix(b"\n"))

    def pump(self) -> None:
        self.pumped += 1

    def end_output(self) -> None:
        self.ended.append("output")
        self.may_send = False

    def finish(self, reason: str) -> None:
        self.ended.append(reason)

    def abort(self, reason: str) -> None:
        self.ended.append(reason)
        self.may_send = False


def conversation_on(port: HeldPort) -> tuple[Conversation[str, str], Metrics]:
    metrics = Metrics()
    via = Via(transport=Transport.STREAM, scheme="mem", local="", listener="mem:b")
    made: Conversation[str, str] = Conversation(
        port, Text(), Text(), peer=Peer("a"), via=via, counters=MessageCounters(metrics.counter)
    )
    return made, metrics


async def waiting(*coroutines: Any) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


@pytest.mark.parametrize("is_cancelled_first", [False, True])
async def test_a_message_for_a_receiver_that_is_cancelled_goes_to_the_next(
    is_cancelled_first: bool,
) -> None:
    conversation, _ = conversation_on(HeldPort())
    first, second = await waiting(conversation.receive(), conversation.receive())
    if is_cancelled_first:
        first.cancel()
    conversation.arrive([b"hello"])
    first.cancel()
    assert await second == "hello"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_receivers_that_give_up_leave_nothing_behind() -> None:
    conversation, _ = conversation_on(HeldPort())
    for _ in range(100):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await conversation.receive()
    gc.collect()
    assert sum(isinstance(one, asyncio.Future) for one in gc.get_objects()) < 20


async def test_what_was_sent_leaves_before_this_side_ends() -> None:
    port = HeldPort()
    conversation, _ = conversation_on(port)
    port.is_writable = False
    sender = conversation.sender()
    await sender.send("queued")
    (blocked,) = await waiting(conversation.send("blocked"))
    sender.end_output()
    assert conversation.closed
    with pytest.raises(ConnectionEnded):
        await sender.send("too late")
    assert port.ended == []
    port.is_writable = True
    conversation.note_writable()
    await blocked
    assert sorted(port.sent) == [b"blocked", b"queued"]
    assert port.ended == ["output"]


async def test_nothing_is_sent_after_close_while_the_rest_still_leaves() -> None:
    port = HeldPort()
    conversation, _ = conversation_on(port)
    port.is_writable = False
    sender = conversation.sender()
    await sender.send("queued")
    conversation.close()
    assert conversation.closed
    for way in (conversation, sender):
        with pytest.raises(ConnectionEnded) as ended:
            await way.send("too late")
        assert ended.value.is_clean
    port.is_writable = True
    conversation.note_writable()
    assert port.sent == [b"queued"]


async def test_a_message_that_cannot_be_framed_is_its_senders_mistake_whenever_it_would_leave() -> (
    None
):
    port = HeldPort()
    conversation, _ = conversation_on(port)
    port.is_writable = False
    sender = conversation.sender()
    await sender.send("one")
    for way in (conversation, sender):
        with pytest.raises(UsageError):
            async with asyncio.timeout(1):
                await way.send("two\nlines")
    await sender.send("three")
    port.is_writable = True
    conversation.note_writable()
    assert port.sent == [b"one", b"three"]


async def test_each_receiver_gets_an_error_of_its_own_and_no_cycle_is_left() -> None:
    for error in (None, ConnectionEnded("a", "cut"), DecodeError("wrong", 3)):
        conversation, _ = conversation_on(HeldPort())
        conversation.end_of_input(error)
        seen = []
        for _ in range(2):
            with pytest.raises((ConnectionEnded, DecodeError)) as raised:
                await conversation.receive()
            seen.append(raised.value)
            del raised
        assert str(seen[0]) == str(seen[1])
        assert seen[0] is not seen[1]
        seen.clear()
        gone = weakref.ref(conversation)
        gc.disable()
        try:
            del conversation
            assert gone() is None
        finally:
            gc.enable()


async def test_the_peers_end_is_the_end_that_watchers_wait_for() -> None:
    conversation, _ = conversation_on(HeldPort())
    (watching,) = await waiting(conversation.wait_closing())
    conversation.end_of_input(None)
    await asyncio.wait_for(watching, 1)
    await asyncio.wait_for(conversation.wait_closing(), 1)
    assert conversation.closing == ""


async def test_a_bug_of_the_codec_is_counted_as_a_message_that_nobody_received() -> None:
    conversation, metrics = conversation_on(HeldPort())
    conversation.arrive([b"bug", b"fine"])
    with pytest.raises(KeyError):
        await conversation.receive()
    assert await conversation.receive() == "fine"
    assert metrics.total("messages_lost_total", direction="in", reason="error") == 1


async def test_a_sender_whose_peer_takes_everything_leaves_the_loop_to_others() -> None:
    conversation, _ = conversation_on(HeldPort())
    sender = conversation.sender()
    others = 0

    async def send_much() -> None:
        for number in range(1000):
            await sender.send(str(number))

    (sending,) = await waiting(send_much())
    while not sending.done():
        others += 1
        await asyncio.sleep(0)
    assert others >= 10


async def test_a_peer_that_pings_and_reads_nothing_gets_a_bounded_number_of_answers() -> None:
    port = HeldPort()
    via = Via(transport=Transport.STREAM, scheme="mem", local="", listener="mem:b")
    conversation: Conversation[str, str] = Conversation(
        port,
        Text(),
        Text(),
        peer=Peer("a"),
        via=via,
        counters=MessageCounters(Metrics().counter),
        liveness=Liveness(is_ping=lambda text: text == "ping", pong=lambda ping: "pong"),
    )
    assert conversation.room()
    conversation.arrive([b"ping"] * 10)
    assert port.sent == [b"pong"] * 10
    port.is_writable = False
    assert conversation.room() == 0
    port.is_writable = True
    conversation.note_writable()
    assert port.pumped == 1
    assert conversation.room()
