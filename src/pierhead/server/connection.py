"""The contract between a stream server and the object that serves one of its connections.

The server accepts, counts, sweeps and drains; it knows no framing. The other side is an `asyncio`
protocol object with a few more methods (`ServedConnection`), created by the endpoint's stream
handler from a `ConnectionScope`. `pierhead.server.framed` has the stock one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from pierhead.clock import Clock
from pierhead.connection.frame_budget import FrameBudget
from pierhead.connection.read_buffer import ReadBuffer
from pierhead.connection.tasks import EagerTasks
from pierhead.errors import TimedOut
from pierhead.failure_log import FailureLog
from pierhead.printable import digits
from pierhead.server.connection_counters import ConnectionCounters
from pierhead.server.options import ServerOptions
from pierhead.service.admission import Admission
from pierhead.service.context import Peer, Via

__all__ = ["ConnectionScope", "ServedConnection", "Standing", "sweep_all", "sweep_one"]

#: Connections that rest and take as long as one that is swept.
_RESTING_PER_STEP = 64


class Standing(Enum):
    """What a connection is doing, as far as eviction is concerned.

    A connection in its handshake is half done as well; the server knows that itself.
    """

    HALF_DONE = "no complete message has arrived yet, or the next one has begun"
    IDLE = "everything is answered"
    BUSY = "it has work that would be lost"


@dataclass(slots=True, kw_only=True, eq=False)
class ConnectionScope:
    """What a server provides to a connection.

    Attributes:
        peer: the other end.
        via: how the connection arrived.
        options: the limits in effect; `reconfigure` replaces them, so read them each time.
        admission: the check to make on every frame, or None.
        clock: the source of time.
        read_buffer: the buffer for reads.
        counters: the counters to update.
        failures: where a service's failure is reported.
        tasks: starts the task of a request at once.
        budget: how many frames may be taken in this iteration of the loop.
        lost: call it when an accepted request will not be answered, with the reason.
        closed: call it once, when the connection has ended.
        has_ended: whether `closed` has been called; maintained by the server.
        has_failed: whether a sweep of it has failed; maintained by `sweep_one`.
        rests_until: a time before which no sweep is needed, as the connection says; new limits
            make it 0.
    """

    peer: Peer
    via: Via
    options: ServerOptions
    admission: Admission | None
    clock: Clock
    read_buffer: ReadBuffer
    counters: ConnectionCounters
    failures: FailureLog
    tasks: EagerTasks
    budget: FrameBudget
    lost: Callable[[str], None]
    closed: Callable[[], None]
    has_ended: bool = False
    has_failed: bool = False
    rests_until: float = 0.0

    def note_late_write(self) -> None:
        """Report that the peer did not take its replies within ``write_timeout``."""
        seconds = self.options.write_timeout
        late = TimedOut(f"the peer did not take its replies within {digits(seconds)} s")
        self.failures.note(late, "write", self.peer)


class ServedConnection(Protocol):
    """An asyncio protocol that a stream server can sweep, evict and drain."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start serving."""
        ...

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop serving: cancel what is in flight, then call ``scope.closed``."""
        ...

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        ...

    @property
    def unsent_bytes(self) -> int:
        """How many octets of finished replies wait for the peer."""
        ...

    def standing(self) -> tuple[Standing, float]:
        """Return what the connection is doing, and when it was last busy."""
        ...

    def sweep(self, now: float) -> None:
        """Enforce this connection's deadlines; called several times a second."""
        ...

    def drain(self) -> None:
        """Stop reading; answer what has been accepted; then close."""
        ...

    def abort(self, reason: str) -> None:
        """Close at once; every accepted and unanswered request is lost for this reason.

        It may be called before `connection_made`.
        """
        ...


def sweep_all(
    connections: Mapping[ConnectionScope, ServedConnection], now: float
) -> Iterator[bool]:
    """Sweep one connection after another, but those that rest; yield whether there are any."""
    resting = 0
    for scope, connection in list(connections.items()):
        if scope.rests_until > now:
            resting += 1
            if resting % _RESTING_PER_STEP:
                continue
        elif not scope.has_ended:  # since the sweep began
            sweep_one(scope, connection, now)
        yield True
    yield len(connections) > 0


def sweep_one(scope: ConnectionScope, connection: ServedConnection, now: float) -> None:
    """Sweep one connection; if that fails, report it and give up this connection alone.

    One that cannot be aborted, or fails again after that, is not swept again, and gives its place
    back.
    """
    try:
        connection.sweep(now)
    except Exception as mistake:
        if scope.has_failed:
            scope.closed()
            return
        scope.has_failed = True
        where = f"{scope.via.listener}: sweep"
        scope.failures.report(where, mistake, "sweep", scope.peer)
        try:
            connection.abort("error")
        except Exception as another:
            scope.failures.report(where, another, "sweep", scope.peer)
            scope.closed()
