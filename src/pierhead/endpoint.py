"""What to run: plain data, no address, no socket.

An `Endpoint` is made by a protocol's ``serve``; a `Server` or ``run`` joins it to addresses.
Servers know bytes, so this is all they know of a protocol: a `FrameHandler` that answers one
frame, and a `StreamHandler` that takes one connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pierhead.admission import Admission
from pierhead.context import Peer, Via
from pierhead.errors import PierheadError
from pierhead.service import Service

if TYPE_CHECKING:
    from pierhead.server.connection import ConnectionScope, ServedConnection

__all__ = ["Application", "Endpoint", "FrameHandler", "Reloaded", "StreamHandler"]


@dataclass(frozen=True, slots=True)
class FrameHandler:
    """How one frame is answered.

    Attributes:
        service: takes a frame, gives a frame, silence or many frames.
        reject: the protocol's own refusal of a frame, asked after decoding, the service, a
            deadline or a limit failed; None for silence.
        answer_now: a ready answer, asked after admission and before decoding; None where there
            is none. It must be quick, never block, and agree with the service.
        reflects: whether a reply is its request, so that two such services can be made to talk to
            each other for ever: see `pierhead.server.loops`.
        withholds: asked, with the peer and the failure, before ``reject`` and before the answer of
            an admission check (then there is no failure): whether nothing is sent, since this
            peer has had enough of them; None where everything is.
    """

    service: Service[bytes, bytes]
    reject: Callable[[PierheadError, bytes], bytes | None] | None = None
    answer_now: Callable[[bytes, Peer, Via], bytes | None] | None = None
    reflects: bool = False
    withholds: Callable[[Peer, PierheadError | None], bool] | None = None


class StreamHandler(Protocol):
    """Takes one accepted connection."""

    def __call__(self, scope: ConnectionScope, /) -> ServedConnection:
        """Return the protocol object that serves this connection until it ends."""
        ...


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What was read again and is not in force yet.

    Attributes:
        commit: puts it in force; called in the event loop, must be quick and must not fail.
        changes: what is different then, a line for each, for people.
    """

    commit: Callable[[], None]
    changes: tuple[str, ...] = ()


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
