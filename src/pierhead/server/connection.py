"""The contract between a stream server and whatever serves one of its connections.

The server accepts, counts, sweeps and drains; it knows no framing. The other side is an
`asyncio` protocol object with a few more methods (`ServedConnection`), made by the endpoint's
stream handler from a `ConnectionScope`. `pierhead.server.framed` has the stock one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from pierhead.clock import Clock
from pierhead.connection.tasks import EagerTasks
from pierhead.errors import TimedOut
from pierhead.failure_log import FailureLog
from pierhead.server.connection_counters import ConnectionCounters
from pierhead.server.frame_budget import FrameBudget
from pierhead.server.options import ServerOptions
from pierhead.server.read_buffer import ReadBuffer
from pierhead.service.admission import Admission
from pierhead.service.context import Peer, Via

__all__ = ["ConnectionScope", "ServedConnection", "Standing"]


class Standing(Enum):
    """What a connection is doing, as far as it matters to who gives way when all places are taken.

    The handshake is half done as well; that is the server's to know.
    """

    HALF_DONE = "no whole message has come yet, or the next one has begun"
    IDLE = "everything is answered"
    BUSY = "it has something to do that would be lost"


@dataclass(slots=True, kw_only=True, eq=False)
class ConnectionScope:
    """What a connection gets from its server.

    Attributes:
        peer: the other end.
        via: the way the connection came.
        options: the limits in force; the server replaces them at `reconfigure`, so read them
            each time.
        admission: the check to ask for every frame, or None.
        clock: where the time comes from.
        read_buffer: what reads go into.
        counters: what to count.
        failures: where a service's failure is reported.
        tasks: begin the task of a request at once.
        budget: how many frames may be taken in this turn of the loop.
        lost: note that an accepted request will not be answered, and why.
        closed: tell the server that the connection has ended; call it once.
        has_ended: whether `closed` has been called; the server's.
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

    def note_late_write(self) -> None:
        """Note that the peer did not take its replies within ``write_timeout``."""
        seconds = self.options.write_timeout
        late = TimedOut(f"the peer did not take its replies within {seconds:g} s")
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
        """How many requests are being worked on."""
        ...

    @property
    def unsent_bytes(self) -> int:
        """How many octets wait for the peer, as far as they have been made."""
        ...

    def standing(self) -> tuple[Standing, float]:
        """Return what the connection is doing, and when it last had something to do."""
        ...

    def sweep(self, now: float) -> None:
        """Enforce this connection's deadlines; called several times a second."""
        ...

    def drain(self) -> None:
        """Read no more; answer what has been accepted; then close."""
        ...

    def abort(self, reason: str) -> None:
        """Close at once; everything accepted and unanswered is lost for this reason.

        It may come before `connection_made`.
        """
        ...
