"""What to run: plain data, no address, no socket.

An `Endpoint` is created by a protocol's ``serve``; a `Server` or ``run`` joins it to addresses.
This is all that servers know about a protocol: a `FrameHandler` that answers one frame of bytes,
and a `StreamHandler` that takes one connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from pierhead.reload import Reloaded
from pierhead.server.connection import ConnectionScope, ServedConnection
from pierhead.server.conversing import Conversing
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
        """Return whether another handler's connections split and order frames as these do.

        They have a method ``answer_with`` then: see `pierhead.server.framed.FramedConnection`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One protocol with its service, ready to be joined to addresses.

    Attributes:
        name: for logs and messages (``dns``, ``lines``).
        datagram: answers one datagram, or converses with the peers of a socket; None if the
            protocol has no datagrams.
        stream: takes one connection; None if the protocol has no streams.
        short_form: the schemes that an address without scheme stands for (``("udp", "tcp")``).
        admission: checks on every frame, in order.
        options: limits for which this protocol has its own defaults.
        alpn: protocols that TLS offers, preferred first (RFC 7301), unless the address sets them;
            empty for no negotiation.
        lifespan: a context manager for the service's resources, entered before the first listener
            opens and left after the last one has drained; None for none.
        reload: rereads and checks the service's files, and raises a `PierheadError` if something is
            wrong; called in a thread. None if there are no files.
    """

    name: str
    datagram: FrameHandler | Conversing | None = None
    stream: StreamHandler | None = None
    short_form: tuple[str, ...] = ("tcp",)
    admission: Sequence[Admission] = ()
    options: Mapping[str, float] = field(default_factory=dict)
    alpn: tuple[str, ...] = ()
    lifespan: Callable[[], AbstractAsyncContextManager[object]] | None = None
    reload: Callable[[], Reloaded] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Endpoints with the addresses they are served on, and their shared resources.

    Attributes:
        endpoints: each with its addresses, as strings or parsed.
        resources: async context managers, entered in order before the first listener opens and
            left in reverse order after the last one has drained.
    """

    endpoints: Sequence[tuple[Endpoint, Sequence[Any]]]
    resources: Sequence[AbstractAsyncContextManager[Any]] = ()
