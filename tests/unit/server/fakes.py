"""Fakes for the other side of the servers' contracts: no sockets, no real time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from pierhead.address import ListenSpec
from pierhead.buffer import BufferPool
from pierhead.connection.frame_budget import FrameBudget
from pierhead.connection.read_buffer import ReadBuffer
from pierhead.connection.tasks import EagerTasks
from pierhead.failure_log import FailureLog
from pierhead.metrics import Metrics
from pierhead.server.connection import ConnectionScope
from pierhead.server.connection_counters import ConnectionCounters
from pierhead.server.framed import FramedConnection
from pierhead.server.options import ServerOptions
from pierhead.service.context import Peer, Transport, Via

VIA = Via(transport=Transport.STREAM, scheme="mem", local="mem:test", listener="mem:test")


class HandClock:
    """A clock that stands still until a test advances it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


class FakeTransport(asyncio.Transport):
    """Records what is written; a peer that takes everything unless told not to."""

    def __init__(self, *, takes: bool = True) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.taken = 0
        self.takes = takes
        self.reading = True
        self.closed = self.aborted = self.eof_sent = False
        self.high = 65_536
        self.paused_protocol = False
        self.protocol: Any = None

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.written)) - self.taken

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high or 65_536

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))
        if self.takes:
            self.take_all()
        elif self.get_write_buffer_size() > self.high and not self.paused_protocol:
            self.paused_protocol = True
            self.protocol.pause_writing()

    def take_all(self) -> None:
        self.taken += self.get_write_buffer_size()
        if self.paused_protocol:
            self.paused_protocol = False
            self.protocol.resume_writing()

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof_sent = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.aborted = True
        self.close()


class Bench:
    """One framed connection with access to everything around it."""

    def __init__(
        self,
        connect: Any,
        *,
        takes: bool = True,
        admission: Any = None,
        budget: FrameBudget | None = None,
        **options: float,
    ) -> None:
        self.clock = HandClock()
        self.metrics = Metrics()
        self.lost: list[str] = []
        self.closed = 0
        self.scope = ConnectionScope(
            peer=Peer("client"),
            via=VIA,
            options=ServerOptions().changed(options),
            admission=admission,
            clock=self.clock,
            read_buffer=ReadBuffer(BufferPool()),
            counters=ConnectionCounters(self.metrics, "mem:test", self.clock.monotonic),
            failures=FailureLog(self.clock),
            tasks=EagerTasks(),
            budget=budget or FrameBudget(),
            lost=self.lost.append,
            closed=self._note_closed,
        )
        self.transport = FakeTransport(takes=takes)
        self.connection: FramedConnection = connect(self.scope)
        self.transport.protocol = self.connection
        self.connection.connection_made(self.transport)

    def _note_closed(self) -> None:
        self.closed += 1

    def feed(self, data: bytes) -> None:
        while data:
            buffer = self.connection.get_buffer(-1)
            piece, data = data[: len(buffer)], data[len(buffer) :]
            buffer[: len(piece)] = piece
            self.connection.buffer_updated(len(piece))

    def after(self, seconds: float) -> None:
        self.clock.now += seconds
        self.connection.sweep(self.clock.now)

    @property
    def output(self) -> bytes:
        return b"".join(self.transport.written)

    def close_reasons(self) -> list[str]:
        prefix = "connections_closed_total"
        return [
            key.partition('reason="')[2].partition('"')[0]
            for key, value in self.metrics.snapshot().items()
            if key.startswith(prefix) and value
        ]


class FakeDatagramListener:
    """A datagram listener that a test feeds."""

    transport = Transport.DATAGRAM

    def __init__(self, spec: str = "memgram:test") -> None:
        self.spec = ListenSpec.parse(spec)
        self.local = spec
        self.truncated = 0
        self.waiting: deque[tuple[bytes, Any]] = deque()
        self.batches: list[list[tuple[bytes, Any]]] = []
        self.refuse: dict[bytes, int] = {}
        self.on_readable: Callable[[], None] | None = None
        self.closed = False

    def start(self, on_readable: Callable[[], None]) -> None:
        self.on_readable = on_readable

    def stop(self) -> None:
        self.on_readable = None

    def close(self) -> None:
        self.closed = True

    def peer(self, reply_to: Any) -> Peer:
        return Peer(reply_to)

    def arrive(self, *datagrams: bytes, sender: str = "client") -> None:
        self.waiting.extend((data, sender) for data in datagrams)
        while self.waiting and self.on_readable is not None:
            self.on_readable()

    def receive_batch(self, limit: int) -> list[tuple[bytes, Any]]:
        return [self.waiting.popleft() for _ in range(min(limit, len(self.waiting)))]

    def send_batch(self, datagrams: Sequence[tuple[bytes, Any]]) -> list[tuple[int, int]]:
        refused = [(i, self.refuse[d]) for i, (d, _) in enumerate(datagrams) if d in self.refuse]
        gone = {i for i, _ in refused}
        self.batches.append([d for i, d in enumerate(datagrams) if i not in gone])
        return refused

    @property
    def sent(self) -> list[bytes]:
        return [data for batch in self.batches for data, _ in batch]


async def settle(turns: int = 8) -> None:
    """Run everything that is ready, without letting any time pass."""
    for _ in range(turns):
        await asyncio.sleep(0)
