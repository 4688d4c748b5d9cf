"""The limits of clients: their names, defaults, ranges and sources."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypedDict

from pierhead.limits import Limit, check_all

__all__ = ["LIMITS", "ClientLimits", "ClientOptions"]

_NEXT_REQUEST = "at construction"

LIMITS = (
    Limit(
        "connect_timeout",
        default=10.0,
        minimum=0.001,
        maximum=3600.0,
        unit="s",
        meaning="For resolving the name, connecting, and the handshakes.",
        source="longer than one lost SYN (RFC 6298: 1 s, then 2 s)",
        metric="connects_failed_total",
        effect=_NEXT_REQUEST,
    ),
    Limit(
        "attempt_delay",
        default=0.25,
        minimum=0.01,
        maximum=2.0,
        unit="s",
        meaning="For one address of a name to answer, until the next one is tried as well.",
        source="RFC 8305 §8: 250 ms, from 10 ms to 2 s",
        metric="connects_failed_total{reason=connect}",
        effect=_NEXT_REQUEST,
    ),
    Limit(
        "request_timeout",
        default=10.0,
        minimum=0.001,
        maximum=86_400.0,
        unit="s",
        meaning="From a request until its last reply, connecting and waiting included; 'off' for "
        "as long as it takes.",
        source="the same as a server's",
        metric="requests_failed_total{reason=timeout}",
        effect=_NEXT_REQUEST,
        may_be_off=True,
    ),
    Limit(
        "idle_timeout",
        default=60.0,
        minimum=0.0,
        maximum=2_592_000.0,
        unit="s",
        meaning="Without requests, until a connection is closed; without input or output, for a "
        "conversation; 'off' for never.",
        source="shorter than the time for which NATs remember a connection (RFC 5382 §5: 124 min) "
        "and firewalls in practice (5 min)",
        metric="connections_closed_total{reason=idle}",
        effect=_NEXT_REQUEST,
        may_be_off=True,
    ),
    Limit(
        "message_timeout",
        default=10.0,
        minimum=0.01,
        maximum=86_400.0,
        unit="s",
        meaning="From the first byte of a reply to its last, however slowly the bytes arrive.",
        source="twice a server's",
        metric="connections_closed_total{reason=message}",
        effect=_NEXT_REQUEST,
    ),
    Limit(
        "write_timeout",
        default=10.0,
        minimum=0.01,
        maximum=86_400.0,
        unit="s",
        meaning="For the peer to take what the system cannot buffer for it; then the connection "
        "is aborted.",
        source="the same as a server's",
        metric="connections_closed_total{reason=write}",
        effect=_NEXT_REQUEST,
    ),
    Limit(
        "linger_timeout",
        default=1.0,
        minimum=0.0,
        maximum=60.0,
        unit="s",
        meaning="After the last message, for the peer to close first, so that a reset cannot "
        "overtake the message.",
        source="RFC 9293 §3.6.1",
        metric="connections_closed_total",
        effect=_NEXT_REQUEST,
    ),
    Limit(
        "drain_timeout",
        default=10.0,
        minimum=0.0,
        maximum=86_400.0,
        unit="s",
        meaning="For the replies still awaited when the client is closed.",
        source="the same as a server's",
        metric="requests_failed_total{reason=ended}",
        effect=_NEXT_REQUEST,
    ),
    Limit(
        "max_requests_per_connection",
        default=100,
        minimum=1,
        maximum=65_536,
        unit="requests",
        meaning="Requests of one connection without their reply; further ones wait, or take "
        "another connection.",
        source="RFC 9113 §6.5.2 recommends at least 100 streams",
        metric="none: requests wait",
        effect=_NEXT_REQUEST,
    ),
    Limit(
        "max_connections",
        default=1,
        minimum=1,
        maximum=10_000,
        unit="connections",
        meaning="Connections open at once; another is opened when all others are full.",
        source="one is enough where requests can be pipelined",
        metric="none: the gauge connections_open shows it",
        effect=_NEXT_REQUEST,
    ),
    Limit(
        "max_waiting_requests",
        default=1000,
        minimum=0,
        maximum=1_000_000,
        unit="requests",
        meaning="Requests that wait for a connection with room; further ones fail at once.",
        source="ten connections' worth",
        metric="requests_failed_total{reason=max_waiting_requests}",
        effect=_NEXT_REQUEST,
    ),
    Limit(
        "max_write_buffer_bytes",
        default=65_536,
        minimum=1024,
        maximum=2**30,
        unit="bytes",
        meaning="Octets of one connection waiting for the peer; above it senders wait.",
        source="the default of asyncio",
        metric="writes_paused_total",
        effect=_NEXT_REQUEST,
    ),
    Limit(
        "read_size_bytes",
        default=65_536,
        minimum=512,
        maximum=2**24,
        unit="bytes",
        meaning="The largest piece read from a connection at once.",
        source="one full DNS message",
        metric="bytes_received_total",
        effect=_NEXT_REQUEST,
    ),
    Limit(
        "max_back_off",
        default=30.0,
        minimum=0.01,
        maximum=3600.0,
        unit="s",
        meaning="The longest pause between two attempts to connect; the first is a tenth of a "
        "second, each doubles the last, and all vary by half.",
        source="gRPC's connection back-off (120 s) is too long for a service that restarts",
        metric="connects_failed_total",
        effect=_NEXT_REQUEST,
    ),
)


class ClientLimits(TypedDict, total=False):
    """The limits that `connect` takes as keywords; see `LIMITS`."""

    connect_timeout: float
    attempt_delay: float
    request_timeout: float | Literal["off"]
    idle_timeout: float | Literal["off"]
    message_timeout: float
    write_timeout: float
    linger_timeout: float
    drain_timeout: float
    max_requests_per_connection: int
    max_connections: int
    max_waiting_requests: int
    max_write_buffer_bytes: int
    read_size_bytes: int
    max_back_off: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """The limits in effect; see `LIMITS` for each one's unit, range and effect."""

    connect_timeout: float = 10.0
    attempt_delay: float = 0.25
    request_timeout: float = 10.0
    idle_timeout: float = 60.0
    message_timeout: float = 10.0
    write_timeout: float = 10.0
    linger_timeout: float = 1.0
    drain_timeout: float = 10.0
    max_requests_per_connection: int = 100
    max_connections: int = 1
    max_waiting_requests: int = 1000
    max_write_buffer_bytes: int = 65_536
    read_size_bytes: int = 65_536
    max_back_off: float = 30.0

    @property
    def first_byte_timeout(self) -> float:
        """The same as for the next bytes: only silence ends a connection."""
        return self.idle_timeout

    @classmethod
    def of(cls, limits: Mapping[str, object]) -> ClientOptions:
        """Return these limits, each checked, and the defaults of the others.

        Raises:
            UsageError: an unknown name, or a value out of its range.
        """
        checked = check_all(LIMITS, limits, "a client")
        return dataclasses.replace(cls(), **checked)  # type: ignore[arg-type]  # checked
