"""The contracts of this layer: what a listener yields, whatever it listens on.

A listener owns what it opened or adopted and closes it once. There are two kinds beside the
spec and the bound address that both have:

- `StreamListener.accept` yields an `Accepted` connection: not yet attached to anything, so that
  a handshake runs under the connection's deadline and not in the accept loop. Attaching it to
  an `asyncio.Protocol` gives an `asyncio.Transport`; that pair is the contract of streams. What
  has a handshake (TLS, a PROXY header) is `Handshaking` too; `complete_handshake` runs it where
  there is one.
- `DatagramListener` is drained in batches, and tells when there may be something to drain.

Memory networks and a user's own objects come through the same door.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard, cast, runtime_checkable

from pierhead.address import ListenSpec
from pierhead.codec.proxy_header import ProxyHeader
from pierhead.errors import UsageError
from pierhead.net.datagram.base import Datagram, ReplyTo
from pierhead.service.context import Credentials, Peer, TlsFacts, Transport, Via

__all__ = [
    "Accepted",
    "Changeable",
    "Datagram",
    "DatagramListener",
    "HandshakeResult",
    "Handshaking",
    "HasCredentials",
    "HasSocket",
    "Listener",
    "ListenerEnded",
    "OutOfDescriptors",
    "PerDatagramVia",
    "ReplyTo",
    "StreamListener",
    "check_listener",
    "complete_handshake",
    "credentials_of",
    "is_handshaking",
    "names_peer",
    "socket_of",
]


class Listener(Protocol):
    """What every listener has."""

    @property
    def spec(self) -> ListenSpec:
        """The address as asked."""
        ...

    @property
    def local(self) -> str:
        """The address as bound, in the grammar: ``tcp:127.0.0.1:49152``."""
        ...

    @property
    def transport(self) -> Transport:
        """How bytes travel here."""
        ...

    def close(self) -> None:
        """Close what was opened or adopted, and remove a socket on disk if still ours.

        The first call closes; later ones do nothing.
        """
        ...


class Accepted(Protocol):
    """One accepted connection that nobody serves yet."""

    @property
    def peer(self) -> Peer:
        """The other end, as accept() gave it."""
        ...

    @property
    def local(self) -> str:
        """The address that was reached, in the grammar; empty for the listener's own."""
        ...

    async def attach(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport:
        """Hand the connection to a protocol, after its handshake if it has one.

        The protocol gets ``connection_made`` before this returns. When it raises or is
        cancelled, the connection is closed.
        """
        ...

    def close(self) -> None:
        """Close the connection without serving it; does nothing once attached."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeResult:
    """What is known of a connection once its handshakes are through.

    Attributes:
        peer: who asks: the client that a trusted PROXY header names, else the other end.
        tls: what TLS has settled; None without TLS.
        proxy: the PROXY header; None without one.
    """

    peer: Peer
    tls: TlsFacts | None = None
    proxy: ProxyHeader | None = None


class Handshaking(Accepted, Protocol):
    """A connection with a handshake to go through before it is attached."""

    @property
    def names_peer(self) -> bool:
        """Whether the handshake may name another peer than the other end of the socket."""
        ...

    async def handshake(self) -> HandshakeResult:
        """Go through it, once; nothing is read for the protocol before `Accepted.attach`.

        When it raises or is cancelled, the connection is closed.

        Raises:
            HandshakeError: the other end did it wrong.
            OSError: the connection broke; TimeoutError, a deadline of the address's own passed.
        """
        ...


class HasCredentials(Accepted, Protocol):
    """A connection whose other end the system vouches for."""

    @property
    def credentials(self) -> Credentials | None:
        """Who the process at the other end is; None where the system does not say."""
        ...


def is_handshaking(accepted: object) -> TypeGuard[Handshaking]:
    """Tell whether a connection has a handshake to go through."""
    # Asked for each connection; what isinstance() does for a protocol takes longer than accepting.
    return hasattr(accepted, "handshake")


def names_peer(accepted: object) -> bool:
    """Tell whether a connection's handshake may name another peer than the socket does."""
    return is_handshaking(accepted) and accepted.names_peer


def credentials_of(accepted: Accepted) -> Credentials | None:
    """Return who the process at the other end is, where the connection knows."""
    return cast(HasCredentials, accepted).credentials if hasattr(accepted, "credentials") else None


def socket_of(accepted: object) -> socket.socket | None:
    """Return the socket that an accepted connection came on; None where it has none."""
    return cast(HasSocket, accepted).socket if hasattr(accepted, "socket") else None


class ListenerEnded(Exception):
    """There will be no further connection: standard input was served, an object is through."""


@runtime_checkable
class HasSocket(Protocol):
    """A listener, or an accepted connection, over a socket of the system."""

    @property
    def socket(self) -> socket.socket:
        """The socket; it stays this object's to close."""
        ...


@runtime_checkable
class Changeable(Protocol):
    """A listener that can obey other options of its address while it is open."""

    def check_change(self, spec: ListenSpec) -> None:
        """Find out whether these options could be obeyed; change nothing.

        Raises:
            OSError: the system refuses one of them.
        """
        ...

    def change(self, spec: ListenSpec) -> None:
        """Obey the options of another spec of the same address from now on.

        Raises:
            OSError: the system refuses one of them.
        """
        ...


class OutOfDescriptors(OSError):
    """No descriptor is left to accept with.

    ``shed`` waiting connections were closed instead, by means of one held in reserve, so that
    their peers do not wait for nothing.
    """

    def __init__(self, errno: int, text: str, shed: int) -> None:
        super().__init__(errno, text)
        self.shed = shed


async def complete_handshake(accepted: Accepted) -> HandshakeResult:
    """Go through the handshakes of a connection, if it has any; raises what they raise."""
    if is_handshaking(accepted):
        return await accepted.handshake()
    return HandshakeResult(peer=accepted.peer)


class StreamListener(Listener, Protocol):
    """Yields connections, of streams or of seqpacket sockets."""

    async def accept(self) -> Accepted:
        """Wait for the next connection; safe to cancel.

        Raises:
            OSError: EMFILE and its kin: the caller backs off and tries again. A connection that
                broke before it was accepted is skipped inside and never raises.
            ListenerEnded: there will be none; the listener is done.
        """
        ...


class DatagramListener(Listener, Protocol):
    """Yields datagrams in batches and sends them in batches."""

    def start(self, on_readable: Callable[[], None]) -> None:
        """Call this function in the event loop whenever datagrams may be waiting.

        Level-triggered: as long as something waits, it is called again in the next turn.
        """
        ...

    def stop(self) -> None:
        """Call no more; datagrams can still be sent."""
        ...

    def receive_batch(self, limit: int) -> list[Datagram]:
        """Take up to this many waiting datagrams without blocking; [] when none waits.

        A datagram too large for the receive buffer is counted in ``truncated`` and left out.
        Never raises for what a peer did (an ICMP error reported by the kernel is skipped).
        """
        ...

    def send_batch(self, datagrams: Sequence[Datagram]) -> list[tuple[int, int]]:
        """Send all of them without blocking, each from the address its request reached.

        Returns:
            ``(index, errno)`` for each the kernel refused; the others were sent all the same.
        """
        ...

    def peer(self, reply_to: ReplyTo) -> Peer:
        """Return the sender of a datagram."""
        ...

    @property
    def truncated(self) -> int:
        """How many datagrams were too large for the receive buffer so far."""
        ...


@runtime_checkable
class PerDatagramVia(Protocol):
    """A `DatagramListener` whose datagrams themselves say whom they are from."""

    @property
    def refused(self) -> Mapping[str, int]:
        """How many datagrams were left out so far because of what they say, by reason."""
        ...

    def via(self, reply_to: ReplyTo, via: Via) -> Via:
        """Return the way that a datagram came, made from that of its listener."""
        ...


_EVERY = ("spec", "local", "close")
_STREAM = ("accept",)
_DATAGRAM = ("start", "stop", "receive_batch", "send_batch", "peer", "truncated")


def check_listener(listener: Listener) -> None:
    """Check that an object of a program's own has all that a server asks of it.

    Raises:
        UsageError: something is missing; says what.
    """
    own = _DATAGRAM if listener.transport is Transport.DATAGRAM else _STREAM
    missing = [name for name in (*_EVERY, *own) if not hasattr(listener, name)]
    if missing:
        name, kind = type(listener).__qualname__, listener.transport.value
        raise UsageError(f"{name} is no {kind} listener: it has no {' and no '.join(missing)}")
