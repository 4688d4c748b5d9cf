"""The contracts of this layer: what every listener yields, whatever it listens on.

A listener owns what it opened or adopted and closes it once. It has a spec and a bound address, and
is one of two kinds:

- `StreamListener.accept` yields an `Accepted` connection: not yet attached to anything, so that a
    handshake runs under the connection's deadline and not in the accept loop. Attaching it to an
    `asyncio.Protocol` creates an `asyncio.Transport`; that pair is the contract of streams. A
    connection with a handshake (TLS, a PROXY header) is `Handshaking` too; `complete_handshake`
    runs it if there is one.
- `DatagramListener` is read in batches, and notifies when there may be something to read.

Memory networks and custom listeners implement the same contracts.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard, cast, runtime_checkable

from pierhead.address import ListenSpec
from pierhead.codec.proxy_header import ProxyHeader
from pierhead.errors import UsageError
from pierhead.failure_log import FailureLog
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
    "Reaches",
    "ReplyTo",
    "StreamListener",
    "check_listener",
    "complete_handshake",
    "credentials_of",
    "is_handshaking",
    "names_peer",
    "report_mistakes",
    "socket_of",
]


class Listener(Protocol):
    """What every listener has."""

    @property
    def spec(self) -> ListenSpec:
        """The address as given."""
        ...

    @property
    def local(self) -> str:
        """The bound address, as text: ``tcp:127.0.0.1:49152``."""
        ...

    @property
    def transport(self) -> Transport:
        """How bytes travel here."""
        ...

    def close(self) -> None:
        """Close what was opened or adopted, and remove a socket on disk if it is still ours.

        The first call closes; later ones do nothing.
        """
        ...


class Accepted(Protocol):
    """One accepted connection that is not served yet."""

    @property
    def peer(self) -> Peer:
        """The other end, as accept() returned it."""
        ...

    @property
    def local(self) -> str:
        """The local address that was reached, as text; empty for the listener's own."""
        ...

    async def attach(self, protocol: asyncio.BaseProtocol) -> asyncio.Transport:
        """Attach a protocol, after the handshake if there is one.

        The protocol's ``connection_made`` is called before this returns. If this raises or is
        cancelled, the connection is closed.
        """
        ...

    def close(self) -> None:
        """Close the connection without serving it; does nothing once attached."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeResult:
    """The facts known about a connection after its handshakes.

    Attributes:
        peer: the client that a trusted PROXY header names, else the other end.
        tls: what TLS has negotiated; None without TLS.
        proxy: the PROXY header; None without one.
    """

    peer: Peer
    tls: TlsFacts | None = None
    proxy: ProxyHeader | None = None


class Handshaking(Accepted, Protocol):
    """A connection with a handshake to complete before it is attached."""

    @property
    def names_peer(self) -> bool:
        """Whether the handshake may name a peer other than the other end of the socket."""
        ...

    async def handshake(self) -> HandshakeResult:
        """Complete the handshake, once; nothing is read for the protocol before `Accepted.attach`.

        If it raises or is cancelled, the connection is closed.

        Raises:
            HandshakeError: the peer's handshake was wrong.
            OSError: the connection broke; TimeoutError: a deadline of the address passed.
        """
        ...


class HasCredentials(Accepted, Protocol):
    """A connection for which the system reports the credentials of the other end."""

    @property
    def credentials(self) -> Credentials | None:
        """The process at the other end; None if the system does not report it."""
        ...


def is_handshaking(accepted: object) -> TypeGuard[Handshaking]:
    """Return whether a connection has a handshake to complete."""
    # Called for each connection; isinstance() with a protocol takes longer than accepting.
    return hasattr(accepted, "handshake")


def names_peer(accepted: object) -> bool:
    """Return whether a connection's handshake may name a peer other than the socket's."""
    return is_handshaking(accepted) and accepted.names_peer


def credentials_of(accepted: Accepted) -> Credentials | None:
    """Return the process at the other end, if the connection knows it."""
    return cast(HasCredentials, accepted).credentials if hasattr(accepted, "credentials") else None


def socket_of(accepted: object) -> socket.socket | None:
    """Return the socket of an accepted connection; None if it has none."""
    return cast(HasSocket, accepted).socket if hasattr(accepted, "socket") else None


def report_mistakes(given: object, failures: FailureLog) -> None:
    """Have a listener or connection made of the program's functions report their mistakes there."""
    if hasattr(given, "report_mistakes"):
        given.report_mistakes(failures)


class ListenerEnded(Exception):
    """There will be no further connections: the listener has ended, such as standard input."""


@runtime_checkable
class HasSocket(Protocol):
    """A listener, or an accepted connection, over a socket of the system."""

    @property
    def socket(self) -> socket.socket:
        """The socket, which this object owns and closes."""
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
    """There is no descriptor left to accept with.

    ``shed`` waiting connections were closed instead, by means of a spare descriptor, so that their
    peers do not wait in vain.
    """

    def __init__(self, errno: int, text: str, shed: int) -> None:
        super().__init__(errno, text)
        self.shed = shed


async def complete_handshake(accepted: Accepted) -> HandshakeResult:
    """Complete the handshakes of a connection, if it has any; raises what they raise."""
    if is_handshaking(accepted):
        return await accepted.handshake()
    return HandshakeResult(peer=accepted.peer)


class StreamListener(Listener, Protocol):
    """Yields connections, of streams or of seqpacket sockets."""

    async def accept(self) -> Accepted:
        """Wait for the next connection; safe to cancel.

        Raises:
            OSError: EMFILE and the like: the caller backs off and retries. A connection that broke
                before it was accepted is skipped and never raises.
            ListenerEnded: there will be no more; the listener has ended.
        """
        ...


class DatagramListener(Listener, Protocol):
    """Yields datagrams in batches and sends them in batches."""

    def start(self, on_readable: Callable[[], None]) -> None:
        """Call this function in the event loop whenever datagrams may be waiting.

        Level-triggered: as long as something is waiting, it is called again in the next iteration.
        """
        ...

    def stop(self) -> None:
        """Stop calling; datagrams can still be sent."""
        ...

    def receive_batch(self, limit: int) -> list[Datagram]:
        """Take up to this many waiting datagrams without blocking; [] if none is waiting.

        A datagram too large for the receive buffer is counted in ``truncated`` and dropped. It
        never raises because of a peer (an ICMP error reported by the kernel is skipped).
        """
        ...

    def send_batch(self, datagrams: Sequence[Datagram]) -> list[tuple[int, int]]:
        """Send all of them without blocking, each from the address its request reached.

        Returns:
            ``(index, errno)`` for each the kernel refused; the others were sent nevertheless.
        """
        ...

    def peer(self, reply_to: ReplyTo) -> Peer:
        """Return the sender of a datagram."""
        ...

    @property
    def truncated(self) -> int:
        """How many datagrams have been too large for the receive buffer so far."""
        ...


@runtime_checkable
class Reaches(Protocol):
    """A `DatagramListener` that can send to those who have not sent anything."""

    def way_to(self, address: Any, /) -> ReplyTo:
        """Return the way to an address: a host and a port, octets for a path, or a name."""
        ...


@runtime_checkable
class PerDatagramVia(Protocol):
    """A `DatagramListener` whose `Via` may differ for each datagram."""

    @property
    def refused(self) -> Mapping[str, int]:
        """How many datagrams have been dropped so far because of their content, by reason."""
        ...

    def via(self, reply_to: ReplyTo, via: Via) -> Via:
        """Return the `Via` of a datagram, derived from that of its listener."""
        ...


_EVERY = ("spec", "local", "close")
_STREAM = ("accept",)
_DATAGRAM = ("start", "stop", "receive_batch", "send_batch", "peer", "truncated")


def check_listener(listener: Listener) -> None:
    """Check that a custom object has everything that a server needs.

    Raises:
        UsageError: something is missing; the message says what.
    """
    own = _DATAGRAM if listener.transport is Transport.DATAGRAM else _STREAM
    missing = [name for name in (*_EVERY, *own) if not hasattr(listener, name)]
    if missing:
        name, kind = type(listener).__qualname__, listener.transport.value
        raise UsageError(f"{name} is not a {kind} listener: it has no {' and no '.join(missing)}")
