"""A conversation (both sides send at will) runs on the exchange and the life unchanged.

It has one place that is not settled while it lasts; every message is a part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pierhead.connection.exchange import Exchange, Place
from pierhead.connection.life import Event, Life, State, Waits
from pierhead.service.respond import Outcome

TIMEOUTS: Any = SimpleNamespace(
    first_byte_timeout=3.0, message_timeout=5.0, write_timeout=7.0, linger_timeout=2.0
)
LIMIT_BYTES = 10
IDLE_S = 8.0


class Conversation:
    """Sends and receives; nothing waits here, so False reports a peer that is full."""

    def __init__(self) -> None:
        self.exchange: Exchange[bytes] = Exchange(in_order=True)
        self.life = Life(0.0)
        self.life.happens(Event.MADE)
        self.place = Place()
        self.exchange.begin(self.place)
        self.heard: list[bytes] = []

    def hear(self, message: bytes, now: float) -> None:
        self.life.has_heard, self.life.last_active = True, now
        if self.life.state is State.OPEN:
            self.heard.append(message)

    def say(self, message: bytes) -> bool:
        exchange = self.exchange
        has_room = exchange.is_writable and exchange.waiting_bytes + len(message) <= LIMIT_BYTES
        if has_room and self.life.state is State.OPEN:
            exchange.send(self.place, message, len(message))
            return True
        return False

    def leave(self) -> None:
        if self.life.finish("goodbye"):
            self.exchange.settle(self.place, Outcome.ANSWERED)

    def to_send(self, now: float) -> list[bytes]:
        parts = self.exchange.take()
        if self.life.state is State.FINISHING and self.exchange.is_idle:
            self.life.linger(now, TIMEOUTS)
        return parts

    def is_over(self, now: float) -> bool:
        return self.life.is_over(now, Waits.ACTIVITY, TIMEOUTS, IDLE_S)


@given(said=st.lists(st.binary(min_size=1, max_size=6), max_size=30), writable=st.booleans())
def test_messages_arrive_in_order_or_are_refused(said: Sequence[bytes], writable: bool) -> None:
    it = Conversation()
    it.exchange.is_writable = writable
    taken, sent = [], []
    for number, message in enumerate(said):
        if it.say(message):
            taken.append(message)
        assert it.exchange.waiting_bytes <= LIMIT_BYTES
        if number % 3 == 0:
            sent += it.to_send(0.0)
    assert sent + it.to_send(0.0) == taken
    if not writable:
        assert taken == []


def test_leaving_flushes_messages_then_waits_for_the_peer() -> None:
    it = Conversation()
    assert it.say(b"bye")
    it.leave()
    assert not it.say(b"more")
    assert it.to_send(1.0) == [b"bye"]
    assert it.life.state is State.LINGERING
    assert not it.is_over(2.9)
    assert it.is_over(3.0)
    assert it.exchange.note_unsent(0) == (1, 0)


def test_silence_ends_a_conversation_and_any_input_keeps_it_open() -> None:
    it = Conversation()
    it.hear(b"a", 5.0)
    assert not it.is_over(12.9)
    it.hear(b"b", 12.5)
    assert not it.is_over(20.4)
    assert it.is_over(20.5)
    assert (it.heard, it.life.reason) == ([b"a", b"b"], "idle")


def test_messages_not_taken_before_an_abort_are_lost_once() -> None:
    it = Conversation()
    it.say(b"a")
    it.leave()
    it.exchange.take()
    assert it.exchange.note_unsent(1) == (0, 0)
    it.life.abort("peer_gone")
    it.exchange.end()
    assert it.exchange.take_lost() == 1
    assert it.exchange.note_unsent(0) == (0, 0)
