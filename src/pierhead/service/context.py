"""The context of a request: who sent it, when, and over what.

`Via` is made once per listener or connection and shared; `Context` once per request. Both are
immutable: a layer that adds a fact passes a changed copy forward. Nothing flows back except through
`ConnectionControl`.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Protocol, TypeVar

from pierhead.codec.proxy_header import ProxyHeader
from pierhead.printable import printable, printable_octets

__all__ = [
    "ConnectionControl",
    "Context",
    "Credentials",
    "Ecn",
    "Peer",
    "TlsFacts",
    "Transport",
    "Via",
]

T = TypeVar("T")


class Transport(Enum):
    """How bytes travel: with message boundaries (datagram, seqpacket) or without (stream)."""

    DATAGRAM = "datagram"
    STREAM = "stream"
    SEQPACKET = "seqpacket"


class Ecn(Enum):
    """The congestion mark of a datagram: two bits of its IP header (RFC 3168 §5)."""

    NOT_ECT = 0
    """The sender does not react to congestion marks."""
    ECT_1 = 1
    """The sender reacts to congestion marks as RFC 9331 specifies."""
    ECT_0 = 2
    """The sender reacts to congestion marks."""
    CE = 3
    """A router on the path was congested."""


# The first octets of a raw address, AF_INET and AF_INET6 of Linux, where raw addresses come from.
_RAW_INET = (2).to_bytes(2, sys.byteorder)
_RAW_INET6 = (10).to_bytes(2, sys.byteorder)
_RAW_UNIX = (1).to_bytes(2, sys.byteorder)
# RFC 4291 §2.5.5.2: how an IPv6 socket shows an IPv4 peer.
_MAPPED = bytes(10) + b"\xff\xff"


class Peer:
    """The other end, kept in the system's form and formatted only on demand.

    Made from a raw ``sockaddr`` (the batch path), from the tuple or string that Python's socket
    module returns, or from the name of an end in a memory network.

    Its text is safe to print, whatever a peer's name: printable ASCII, everything else escaped.
    """

    __slots__ = ("_parsed", "raw")

    def __init__(self, raw: bytes | tuple[Any, ...] | str) -> None:
        self.raw = raw
        self._parsed: tuple[str, int | None, bytes] | None = None

    @property
    def host(self) -> str:
        """The address without port; the path or name for an end without an IP address.

        An IPv4-mapped IPv6 address is shown as IPv4, whichever socket it came through.
        """
        return self._parse()[0]

    @property
    def port(self) -> int | None:
        """The port; None for an end without one."""
        return self._parse()[1]

    @property
    def source(self) -> bytes:
        """The key of limits per source: the 4 or 16 octets of the IP address, or the name."""
        return self._parse()[2]

    @property
    def ip(self) -> bytes | None:
        """The 4 or 16 octets of the IP address; None for an end without one.

        An IPv4-mapped IPv6 address counts as IPv4, whichever socket it came through.
        """
        raw = self.raw
        if type(raw) is bytes:  # once per packet: nothing is formatted
            family = raw[:2]
            if family == _RAW_INET:
                return raw[4:8]
            if family != _RAW_INET6:
                return None
            octets = raw[8:24]
        else:
            host, _, octets = self._parse()
            if type(raw) is str or (len(octets) == 4 and "." not in host):
                return None  # a name, or a vsock number, which may be 4 octets long
        if len(octets) == 16:
            return octets[12:] if octets.startswith(_MAPPED) else octets
        return octets if len(octets) == 4 else None

    @classmethod
    def abstract(cls, name: bytes) -> Peer:
        """Return the peer with this abstract name of Linux, which begins with NUL."""
        return cls(_RAW_UNIX + name)

    def _parse(self) -> tuple[str, int | None, bytes]:
        if self._parsed is None:
            self._parsed = _parse_peer(self.raw)
        return self._parsed

    def __str__(self) -> str:
        host, port, _ = self._parse()
        if port is None:
            return host
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def __repr__(self) -> str:
        return f"<Peer {self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Peer) and self._parse() == other._parse()

    def __hash__(self) -> int:
        return hash(self._parse())


def _parse_peer(raw: bytes | tuple[Any, ...] | str) -> tuple[str, int | None, bytes]:
    if isinstance(raw, tuple):  # ("192.0.2.1", 53) or ("fe80::1%eth0", 53, flow, scope)
        host = str(raw[0])
        try:
            # Called once per connection: ipaddress takes ten times as long.
            family = int(socket.AF_INET6 if ":" in host else socket.AF_INET)
            octets = socket.inet_pton(family, host.partition("%")[0])
        except (OSError, ValueError):  # vsock: (cid, port)
            return printable(host), int(raw[1]), host.encode("utf-8", "surrogateescape")
        if octets.startswith(_MAPPED) and len(octets) == 16:
            octets = octets[12:]
            host = str(ipaddress.IPv4Address(octets))
        return printable(host), int(raw[1]), octets
    if isinstance(raw, str):
        name = raw.encode("utf-8", "surrogateescape")
        return printable_octets(name) or "unnamed", None, name
    family = int.from_bytes(raw[:2], sys.byteorder)
    if family == 2:  # AF_INET, the same number on every system
        return str(ipaddress.IPv4Address(raw[4:8])), int.from_bytes(raw[2:4], "big"), raw[4:8]
    if family == 10 and len(raw) >= 28:  # AF_INET6 on Linux, where raw addresses come from
        if raw.startswith(_MAPPED, 8):
            host = str(ipaddress.IPv4Address(raw[20:24]))
            return host, int.from_bytes(raw[2:4], "big"), raw[20:24]
        address = ipaddress.IPv6Address(raw[8:24])
        scope = int.from_bytes(raw[24:28], sys.byteorder)
        host = f"{address}%{scope}" if scope and address.is_link_local else str(address)
        return host, int.from_bytes(raw[2:4], "big"), raw[8:24]
    if family == 1:  # AF_UNIX: a path that ends at the first NUL, or an abstract name
        name = raw[2:] if raw[2:3] == b"\0" else raw[2:].partition(b"\0")[0]
        is_abstract = name[:1] == b"\0"
        shown = "@" + printable_octets(name[1:]) if is_abstract else printable_octets(name)
        return shown or "unnamed", None, name
    return f"family {family}", None, raw


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFacts:
    """What TLS has negotiated for a connection.

    Attributes:
        version: ``TLSv1.3`` or ``TLSv1.2``.
        cipher: the cipher suite, by OpenSSL's name.
        server_name: the host name that the client requested (SNI), in lower case.
        alpn: the negotiated protocol, if any (RFC 7301).
        client_subject: names and values of the client certificate's subject, in order:
            ``(("commonName", "sensor 7"),)``; empty without a certificate.
        client_certificate: the client's verified certificate in DER; None without one.
        server_subject, server_certificate: the same of the server, at a client's end.
    """

    version: str
    cipher: str
    server_name: str | None = None
    alpn: str | None = None
    client_subject: tuple[tuple[str, str], ...] = ()
    client_certificate: bytes | None = None
    server_subject: tuple[tuple[str, str], ...] = ()
    server_certificate: bytes | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """The identity of the process at the other end of a Unix socket, vouched for by the system.

    Attributes:
        pid: its process ID; 0 if it is in a namespace that is not visible from here.
        uid, gid: its user and group when it connected.
        groups: its supplementary groups.
        pidfd_id: a process number that is never reused (the inode of its pidfd); None if the system
            has none (Linux before 6.9).
    """

    pid: int
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    pidfd_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Via:
    """How a request arrived: facts about the listener or the connection.

    Attributes:
        transport: datagram, stream or seqpacket.
        scheme: the address scheme without wrappers: ``udp``, ``tcp``, ``unix``, ``mem`` …
        local: the local address that the peer reached, as text.
        listener: the listener's name in logs and metrics: its address as configured.
        encrypted: whether the peer's bytes were encrypted in transit.
        tls: what TLS has negotiated; None without TLS.
        proxy: the PROXY header from the trusted proxy; None without one.
        socket_peer: the proxy at the other end of the socket, if a PROXY header names the client;
            None if the request's peer is the other end itself.
        credentials: the process at the other end of a Unix socket; None for other sockets.
        ecn: the congestion mark of this datagram; None unless the address has the option ``ecn``.
    """

    transport: Transport
    scheme: str
    local: str
    listener: str
    encrypted: bool = False
    tls: TlsFacts | None = None
    proxy: ProxyHeader | None = None
    socket_peer: Peer | None = None
    credentials: Credentials | None = None
    ecn: Ecn | None = None


class ConnectionControl(Protocol):
    """The two commands a service may give to the connection its request came on.

    Both take effect after the last reply to this request.
    """

    @property
    def idle_timeout(self) -> float:
        """The idle timeout in effect after this request's last reply, in seconds."""
        ...

    def set_idle_timeout(self, seconds: float) -> None:
        """Use this idle timeout, in seconds, for the rest of the connection."""
        ...

    def close_after_reply(self) -> None:
        """Close the connection once everything accepted so far has been answered."""
        ...


class Context:
    """The context of one request; immutable.

    Attributes:
        peer: the client.
        received_at: when the request was complete, in seconds on the server's monotonic clock.
        via: the listener or connection it came through.
        connection: commands to the connection; None if there is none (datagrams).
    """

    # Slots, and `Final` for type checkers: an object made once per packet is not a frozen
    # dataclass, and a property costs four times as much to read
    # (docs/decisions/0009-objects-on-the-packet-path.md).
    __slots__ = ("_extras", "connection", "peer", "received_at", "via")

    peer: Final[Peer]
    received_at: Final[float]
    via: Final[Via]
    connection: Final[ConnectionControl | None]

    def __init__(
        self,
        peer: Peer,
        received_at: float,
        via: Via,
        connection: ConnectionControl | None = None,
        extras: tuple[object, ...] = (),
    ) -> None:
        self.peer = peer
        self.received_at = received_at
        self.via = via
        self.connection = connection
        self._extras = extras

    def get(self, kind: type[T]) -> T | None:
        """Return the fact of this class that an outer layer has added, or None."""
        for extra in reversed(self._extras):
            if type(extra) is kind:
                return extra
        return None

    def having(self, fact: object) -> Context:
        """Return a copy that also carries this fact, keyed by its class."""
        return Context(
            self.peer, self.received_at, self.via, self.connection, (*self._extras, fact)
        )

    def __repr__(self) -> str:
        return f"<Context {self.peer} by {self.via.listener}>"
