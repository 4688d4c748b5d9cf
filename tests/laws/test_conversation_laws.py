"""Messages of a conversation keep their order, arrive once, and are counted if they do not.

Two sides say things at any time, over a network with delays that may be cut; one may be slow, close
early, or stop reading. What each side received is a prefix of what the other was able to send.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares

from pierhead import Conversation, Server, connect
from pierhead.errors import ConnectionEnded
from pierhead.net.memory import Network
from pierhead.protocols import lines
from pierhead.testing.clock import HeldLoop


class Side(NamedTuple):
    """What one side does: how much it says, how, and how it listens."""

    messages: int
    size: int
    senders: int
    pause_s: float
    slow_s: float
    stops_after: int


sides = st.builds(
    Side,
    messages=st.integers(0, 30),
    size=st.sampled_from([1, 100, 5_000]),
    senders=st.integers(0, 2),
    pause_s=st.sampled_from([0.0, 0.0, 0.01]),
    slow_s=st.sampled_from([0.0, 0.0, 0.02]),
    stops_after=st.sampled_from([5, 1_000, 1_000, 1_000]),
)


class Log:
    """What one side has sent and received, by sender."""

    def __init__(self) -> None:
        self.sent: dict[str, list[str]] = {}
        self.received: dict[str, list[str]] = {}

    def heard(self, line: str) -> None:
        who, _, rest = line.partition(":")
        self.received.setdefault(who, []).append(rest)


async def speak(conversation: Conversation[str, str], side: Side, log: Log) -> None:
    ways = [conversation, *(conversation.sender(capacity=3) for _ in range(side.senders))]

    async def say(number: int, way: Any) -> None:
        sent = log.sent[str(number)] = []
        for count in range(side.messages):
            text = f"{count}".ljust(side.size, ".")
            await way.send(f"{number}:{text}")
            sent.append(text)
            if side.pause_s:
                await asyncio.sleep(side.pause_s)

    async def listen() -> None:
        count = 0
        async for line in conversation:
            log.heard(line)
            await asyncio.sleep(side.slow_s)
            count += 1
            if count >= side.stops_after:
                conversation.close()
                return

    async def all_said() -> None:
        await asyncio.gather(*(say(number, way) for number, way in enumerate(ways)))
        conversation.end_output()

    tasks = [asyncio.ensure_future(all_said()), asyncio.ensure_future(listen())]
    done, _ = await asyncio.wait(tasks)
    for task in done:
        with suppress(ConnectionEnded):
            task.result()


async def run(ours: Side, theirs: Side, delay_s: float, cut_after_s: float | None) -> None:
    near, far = Log(), Log()

    async def handler(conversation: Conversation[str, str]) -> None:
        await speak(conversation, theirs, far)

    Network.current().between("a", "b").delay(delay_s, jitter=delay_s, seed=1)
    async with Server(lines.converse(handler), "mem:b", write_timeout=2) as server:
        client = connect("mem:b", lines.wire_format(), source="mem:a", write_timeout=2)
        if cut_after_s is not None:
            cut = Network.current().between("a", "b").cut
            asyncio.get_running_loop().call_later(cut_after_s, cut)
        with suppress(ConnectionEnded):
            async with client.conversation() as conversation:
                await speak(conversation, ours, near)
    check_order(near, far)
    check_order(far, near)
    is_whole = all(near.sent[who] == far.received.get(who, []) for who in near.sent)
    met("whole" if is_whole else "cut short")
    check_counts(server.metrics, "listener")
    check_counts(client.metrics, "client")
    await client.close()


def check_order(sender: Log, receiver: Log) -> None:
    assert receiver.received.keys() <= sender.sent.keys()
    for who, received in receiver.received.items():
        sent = sender.sent[who]
        # The last one may have been sent by a call that ended with an error all the same.
        assert received[: len(sent)] == sent[: len(received)]
        assert len(received) <= len(sent) + 1


def check_counts(metrics: Any, label: str) -> None:
    total = metrics.total
    arrived = total("frames_received_total")
    received = total("messages_received_total")
    assert arrived == received + total("messages_lost_total", direction="in")
    assert total("frames_sent_total") <= total("messages_sent_total")
    assert total("connections_open") == 0
    assert total("connections_closed_total") == 1
    del label


@shares(**{"whole": 0.2, "cut short": 0.1})
@settings(max_examples=40)
@given(
    ours=sides,
    theirs=sides,
    delay_s=st.sampled_from([0.0, 0.003]),
    cut_after_s=st.none() | st.sampled_from([0.001, 0.01, 0.1]),
)
def test_messages_keep_their_order_and_are_counted(
    ours: Side, theirs: Side, delay_s: float, cut_after_s: float | None
) -> None:
    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        runner.run(run(ours, theirs, delay_s, cut_after_s))
