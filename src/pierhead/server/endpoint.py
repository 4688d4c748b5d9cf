"""What to run: plain data, no address, no socket.

An `Endpoint` is made by a protocol's ``serve``; a `Server` or ``run`` joins it to addresses.
Servers know bytes, so this is all they know of a protocol: a `FrameHandler` that answers one
frame, and a `StreamHandler` that takes one connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from pierhead.reload import Reloaded
from pierhead.server.connection import ConnectionScope, ServedConnection
from pierhead.service import FrameHandler
from pierhead.service.admission import Admission

__all__ = ["Application", "Endpoint", "GoesOn", "StreamHandler"]


class StreamHandler(Protocol):
    """Takes one accepted connection."""

    def __call__(self, scope: ConnectionScope, /) -> ServedConnection:
        """Return the protocol object that serves this connection until it ends."""
        ...


@runtime_checkable
class GoesOn(StreamHandler, Protocol):
    """A stream handler whose frame handler can take over connections that are open."""

    @property
    def handler(self) -> FrameHandler:
        """What answers a frame."""
        ...

    def goes_on_from(self, before: StreamHandler, /) -> bool:
        """Tell whether the connections of another handler cut and order frames as these do.

        They have a method ``answer_with`` then: see `pierhead.server.framed.FramedConnection`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One protocol with its service, ready to be joined to addresses.

    Attributes:
        name: for logs and messages (``dns``, ``lines``).
        datagram: answers one datagram; None where the protocol has no datagrams.
        stream: takes one connection; None where the protocol has no streams.
        short_form: the schemes that an address without scheme stands for (``("udp", "tcp")``).
        admission: checks on every frame, in order.
        options: limits that this protocol wants different from the server's defaults.
        alpn: what TLS agrees on, best first (RFC 7301), where the address does not say; empty
            for whatever the client likes.
        lifespan: makes what the service needs while it runs: entered before the first listener
            opens, left after the last one has drained; None where it needs nothing.
        reload: reads and checks again what the service keeps in files, and raises a
            `PierheadError` where something is wrong; called in a thread. None where there are none.
    """

    name: str
    datagram: FrameHandler | None = None
    stream: StreamHandler | None = None
    short_form: tuple[str, ...] = ("tcp",)
    admission: Sequence[Admission] = ()
    options: Mapping[str, float] = field(default_factory=dict)
    alpn: tuple[str, ...] = ()
    lifespan: Callable[[], AbstractAsyncContextManager[object]] | None = None
    reload: Callable[[], Reloaded] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Endpoints with the addresses they are served on, and what they need while they run.

    Attributes:
        endpoints: each with its addresses, as strings or parsed.
        resources: async context managers, entered in order before the first listener opens and
            left in reverse order after the last one has drained.
    """

    endpoints: Sequence[tuple[Endpoint, Sequence[Any]]]
    resources: Sequence[AbstractAsyncContextManager[Any]] = ()
