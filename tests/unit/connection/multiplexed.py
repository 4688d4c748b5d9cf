"""A toy protocol with many streams on one connection: the shape of HTTP/2 on one page.

Streams have ids, bodies are sent in chunks both ways, each stream and the connection have a window,
and either side may say goodbye. It shows that `Exchange`, `Life` and `Responder` suffice for such a
protocol unchanged: octets, streams and windows are handled here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from pierhead.connection.exchange import Exchange, Phase, Place
from pierhead.connection.life import Event, Life, State, Timeouts, Waits
from pierhead.service.context import Context
from pierhead.service.respond import Outcome, Responder

__all__ = ["Chunk", "Goodbye", "Multiplexed", "Window"]

CHUNK_BYTES = 4
LIMIT_BYTES = 1 << 16
MAX_STREAMS = 8


@dataclass(frozen=True)
class Chunk:
    """A piece of the body of one stream."""

    stream: int
    data: bytes
    is_last: bool = False


@dataclass(frozen=True)
class Window:
    """Credit to send more on a stream; stream 0 is the connection."""

    stream: int
    octets: int


@dataclass(frozen=True)
class Goodbye:
    """No stream above this one is answered."""

    last: int


class Stream(Place):
    """One request, its reply, and how much of it the peer accepts."""

    def __init__(self, number: int, window: int) -> None:
        self.number = number
        self.window = window
        self.body: list[bytes] = []
        self.waiting: deque[bytes] = deque()
        self.end: Outcome | None = None


@dataclass
class Multiplexed:
    """The server's side of one connection; without I/O."""

    responder: Responder[bytes, bytes]
    context: Context
    timeouts: Timeouts
    window: int = 12
    stream_window: int = 6
    exchange: Exchange[Chunk | Goodbye] = field(default_factory=lambda: Exchange(in_order=False))
    life: Life = field(default_factory=lambda: Life(0.0))
    streams: dict[int, Stream] = field(default_factory=dict)
    suspended: dict[int, Stream] = field(default_factory=dict)
    last: int = 0

    def __post_init__(self) -> None:
        self.life.happens(Event.MADE)

    def receive(self, event: Chunk | Window, now: float) -> None:
        """Take in what the peer has sent."""
        self.life.has_heard, self.life.last_active = True, now
        if isinstance(event, Window):
            if event.stream:
                if event.stream in self.streams:
                    self.streams[event.stream].window += event.octets
            else:
                self.window += event.octets
            self._send()
            return
        stream = self.streams.get(event.stream)
        if stream is None:
            stream = self._begin(event.stream)
        if stream is not None:
            stream.body.append(event.data)
            if event.is_last:
                self._respond(stream)
        self.life.note_message(any(not s.end for s in self.streams.values()), now)

    def _begin(self, number: int) -> Stream | None:
        is_open = self.life.state is State.OPEN
        if number <= self.last or not is_open or not self.exchange.room(MAX_STREAMS, LIMIT_BYTES):
            return None  # closed, or refused; the peer retries elsewhere
        self.last = number
        stream = self.streams[number] = Stream(number, self.stream_window)
        self.exchange.begin(stream)
        return stream

    def _respond(self, stream: Stream) -> None:
        outcome, value = self.responder.respond(b"".join(stream.body), self.context)
        if outcome is Outcome.SUSPENDED:
            self.suspended[stream.number] = stream
        else:
            self.answer(stream, outcome, value)

    def answer(self, stream: Stream, outcome: Outcome, body: bytes | None) -> None:
        """Send as much of a stream's reply as the windows allow; the rest follows."""
        self.suspended.pop(stream.number, None)
        body = body or b""
        starts = range(0, len(body) or 1, CHUNK_BYTES)
        stream.waiting += (body[start : start + CHUNK_BYTES] for start in starts)
        stream.end = outcome
        self._send()

    def _send(self) -> None:
        for stream in list(self.streams.values()):
            while stream.waiting and len(stream.waiting[0]) <= min(stream.window, self.window):
                data = stream.waiting.popleft()
                stream.window -= len(data)
                self.window -= len(data)
                chunk = Chunk(stream.number, data, not stream.waiting)
                if stream.waiting:
                    self.exchange.send(stream, chunk, len(data))
                else:
                    assert stream.end is not None
                    del self.streams[stream.number]
                    self.exchange.settle(stream, stream.end, chunk, len(data))

    def goodbye(self, reason: str) -> None:
        """Accept no more streams; those that are open are answered."""
        if self.life.finish(reason):
            place = Place()
            self.exchange.settle_at_once(place, Outcome.REFUSED, Goodbye(self.last), 1)

    def to_send(self, now: float) -> list[Any]:
        """Return what is due, and end once everything is sent."""
        parts = self.exchange.take()
        if parts:
            self.life.last_active = now
        if self.life.state is State.FINISHING and self.exchange.is_idle:
            self.life.linger(now, self.timeouts)
        return parts

    def sweep(self, now: float) -> bool:
        """Enforce the deadlines; return whether the connection must be closed."""
        waits = Waits.NOTHING if self.suspended or self.exchange.due else Waits.A_MESSAGE
        if self.life.is_over(now, waits, self.timeouts, 10.0):
            self.exchange.end()
            self.life.close()
        return self.exchange.phase is Phase.OVER
