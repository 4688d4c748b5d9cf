"""The contract between a stream server and whatever serves one of its connections.

The server accepts, counts, sweeps and drains; it knows no framing. The other side is an
`asyncio` protocol object with four more methods (`ServedConnection`), made by the endpoint's
stream handler from a `ConnectionScope`. `pierhead.server.framed` has the stock one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pierhead.admission import Admission
from pierhead.buffer import BufferSource
from pierhead.clock import Clock
from pierhead.context import Peer, Via
from pierhead.metrics import Metric
from pierhead.server.options import ServerOptions

__all__ = ["ConnectionScope", "ServedConnection"]


@dataclass(slots=True)
class ConnectionScope:
    """What a connection gets from its server.

    Attributes:
        peer: the other end.
        via: the way the connection came.
        options: the options in force when the connection was accepted; the server replaces
            them in place at `reconfigure`, so read them each time.
        admission: the check to ask for every frame, or None.
        clock: where the time comes from.
        buffers: where receive buffers come from.
        count: the counter of a name, for this listener.
        drop: count one drop for this reason.
        lost: note that an accepted request will not be answered, and why.
    """

    peer: Peer
    via: Via
    options: ServerOptions
    admission: Admission | None
    clock: Clock
    buffers: BufferSource
    count: Callable[[str], Metric]
    drop: Callable[[str], None]
    lost: Callable[[str], None]


class ServedConnection(Protocol):
    """An asyncio protocol that a stream server can sweep and drain."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start serving."""
        ...

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop serving: cancel what is in flight."""
        ...

    def sweep(self, now: float) -> None:
        """Enforce this connection's deadlines; called several times a second."""
        ...

    def drain(self) -> None:
        """Read no more; answer what has been accepted; then close."""
        ...

    def abort(self, reason: str) -> None:
        """Close at once and name everything accepted and unanswered as lost for this reason."""
        ...
