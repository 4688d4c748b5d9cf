"""Every limit of the servers in one table, and the values in effect.

The reference documentation of limits is generated from `LIMITS`. A value given to `Server` or
to `Server.reconfigure` is checked against its `Limit`; each limit says when a change at run time
takes effect.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from pierhead.errors import UsageError
from pierhead.limits import Limit

__all__ = ["CHOICES", "LIMITS", "ServerLimits", "ServerOptions"]

_NEXT_CONNECTION = "at the next connection; open ones stay open"
_NEXT_REQUEST = "at the next request; those in flight keep the old value"
_AT_ONCE = "within one sweep, open connections included"

LIMITS: tuple[Limit, ...] = (
    Limit(
        "max_connections",
        default=1024,
        minimum=1,
        maximum=1_000_000,
        unit="connections",
        meaning="Connections open at one address, including handshakes. When all are taken, "
        "when_full decides what happens; an address may have its own limit (maxconn=).",
        source="RFC 7766 §6.2.2; NSD and domain allow 100",
        metric="dropped_total{reason=max_connections}, connections_closed_total{reason=evicted}",
        effect=_NEXT_CONNECTION,
    ),
    Limit(
        "max_connections_per_network",
        default=0,
        minimum=0,
        maximum=1_000_000,
        unit="connections",
        meaning="Connections open at one address from one network, account or name; 0 for no "
        "such limit. At the limit, a half-done or idle one of that network is evicted, unless "
        "when_full says otherwise.",
        source="off: the network that holds the most gives way when an address is full",
        metric="dropped_total{reason=max_connections_per_network}",
        effect=_NEXT_CONNECTION,
    ),
    Limit(
        "network_ipv4_prefix",
        default=24,
        minimum=1,
        maximum=32,
        unit="bits",
        meaning="How many leading bits of an IPv4 address identify a network that connections are "
        "counted by.",
        source="response rate limiting (NSD, BIND: 24); addresses of one network are cheap",
        metric="connections_closed_total{reason=evicted}",
        effect=_NEXT_CONNECTION,
    ),
    Limit(
        "network_ipv6_prefix",
        default=56,
        minimum=1,
        maximum=128,
        unit="bits",
        meaning="How many leading bits of an IPv6 address identify a network that connections are "
        "counted by.",
        source="response rate limiting (BIND: 56); RFC 6177 §2: one site",
        metric="connections_closed_total{reason=evicted}",
        effect=_NEXT_CONNECTION,
    ),
    Limit(
        "max_requests",
        default=1024,
        minimum=1,
        maximum=1_000_000,
        unit="requests",
        meaning="Requests of one datagram listener in flight at once; further ones are shed.",
        source="CoreDNS without such a bound reached 60 GiB",
        metric="dropped_total{reason=max_requests}",
        effect=_NEXT_REQUEST,
    ),
    Limit(
        "max_replies_per_datagram",
        default=100,
        minimum=1,
        maximum=1_000_000,
        unit="replies",
        meaning="Replies to one datagram: its sender may be forged, and they would go to a victim.",
        source="one full response to an enumeration; more belongs on a stream",
        metric="requests_failed_total{reason=max_replies_per_datagram}",
        effect="at the next batch",
    ),
    Limit(
        "max_requests_per_connection",
        default=32,
        minimum=1,
        maximum=65_536,
        unit="requests",
        meaning="Requests of one connection in flight at once; when full, reading pauses.",
        source="RFC 7766 §6.2.1.1; miekg/dns allows 128 in all, one at a time",
        metric="reads_paused_total",
        effect="at the next read",
    ),
    Limit(
        "max_request_bytes_per_connection",
        default=262_144,
        minimum=1024,
        maximum=2**31,
        unit="bytes",
        meaning="Octets of the requests of one connection that are in flight at once; from there "
        "on none begins and nothing is read. A connection holds at most this much, the request "
        "that reached it, and what one read and one incomplete request have.",
        source="four of the largest DNS messages; measured: 32 lines of 60 KB were held, 4 MB",
        metric="reads_paused_total",
        effect="at the next read",
    ),
    Limit(
        "request_timeout",
        default=10.0,
        minimum=0.001,
        maximum=86_400.0,
        unit="s",
        meaning="From a complete request until its last reply is ready; 'off' for as long as "
        "it takes.",
        source="longer than any stub resolver waits",
        metric="requests_failed_total{reason=deadline}",
        effect=_NEXT_REQUEST,
        may_be_off=True,
    ),
    Limit(
        "handshake_timeout",
        default=5.0,
        minimum=0.01,
        maximum=3600.0,
        unit="s",
        meaning="From accept to the end of the wrappers' handshakes (TLS, PROXY).",
        source="hickory and CoreDNS: 5 s",
        metric="connections_closed_total{reason=handshake}",
        effect=_NEXT_CONNECTION,
    ),
    Limit(
        "first_byte_timeout",
        default=10.0,
        minimum=0.01,
        maximum=86_400.0,
        unit="s",
        meaning="From the end of the handshake to the first byte.",
        source="RFC 9210 §4.3; Knot closes after 10 s",
        metric="connections_closed_total{reason=first_byte}",
        effect=_AT_ONCE,
    ),
    Limit(
        "message_timeout",
        default=5.0,
        minimum=0.01,
        maximum=86_400.0,
        unit="s",
        meaning="From the first byte of a request to its last, however slowly the bytes arrive.",
        source="RFC 9210 §4.3 (slow sender); Knot allows 0.5 s",
        metric="connections_closed_total{reason=message}",
        effect=_AT_ONCE,
    ),
    Limit(
        "idle_timeout",
        default=30.0,
        minimum=0.0,
        maximum=2_592_000.0,
        unit="s",
        meaning="Between the last reply and the next request of a connection; with 0 it is closed "
        "at the first sweep that finds it idle.",
        source="RFC 7766 §6.2.3 (a few seconds); BIND and domain: 30 s",
        metric="connections_closed_total{reason=idle}",
        effect=_AT_ONCE,
    ),
    Limit(
        "write_timeout",
        default=10.0,
        minimum=0.01,
        maximum=86_400.0,
        unit="s",
        meaning="For the peer to take what the system cannot buffer for it; then the connection "
        "is aborted, the only case in which the reply to an accepted request is lost.",
        source="CVE-2024-0760 (client that never reads)",
        metric="connections_closed_total{reason=write}",
        effect=_AT_ONCE,
    ),
    Limit(
        "datagram_write_timeout",
        default=1.0,
        minimum=0.0,
        maximum=60.0,
        unit="s",
        meaning="How long a datagram that the system has no room for is retried; 0 drops it "
        "at once.",
        source="a full buffer is sent within milliseconds; domain waits 5 s",
        metric="dropped_total{reason=send_buffer_full}",
        effect="at the next reply",
    ),
    Limit(
        "max_unsent_datagram_bytes",
        default=1_048_576,
        minimum=0,
        maximum=2**30,
        unit="bytes",
        meaning="Datagrams of one listener that wait to be retried, with 256 bytes for each "
        "besides its octets; further ones are dropped.",
        source="16 of the largest datagrams",
        metric="dropped_total{reason=send_buffer_full}",
        effect="at the next reply",
    ),
    Limit(
        "max_peers",
        default=1024,
        minimum=1,
        maximum=1_000_000,
        unit="peers",
        meaning="Conversations with the peers of one datagram listener; at the limit one gives "
        "way: the longest silent of those that were heard once, else of all.",
        source="the same as max_connections; a source can be forged",
        metric="conversations_closed_total{reason=evicted}",
        effect="at the next peer",
    ),
    Limit(
        "max_unread_datagram_bytes",
        default=8 * 2**20,
        minimum=65_536,
        maximum=2**31,
        unit="bytes",
        meaning="Datagrams of one listener that wait for the handlers of conversations; further "
        "ones are lost.",
        source="128 of the largest datagrams; a conversation holds at most 64 KiB of it",
        metric="messages_lost_total{reason=max_unread_datagram_bytes}",
        effect="at the next datagram",
    ),
    Limit(
        "handler_timeout",
        default=5.0,
        minimum=0.0,
        maximum=86_400.0,
        unit="s",
        meaning="For the handler of a conversation to return after its connection has ended; "
        "then it is cancelled.",
        source="it has been told: receiving ends, sending raises; a handler that waits for "
        "something else cannot know",
        metric="conversations_cancelled_total",
        effect=_AT_ONCE,
    ),
    Limit(
        "linger_timeout",
        default=1.0,
        minimum=0.0,
        maximum=60.0,
        unit="s",
        meaning="After the last reply, for the peer to close first, so that a reset cannot "
        "overtake the reply.",
        source="RFC 9293 §3.6.1",
        metric="connections_closed_total",
        effect=_AT_ONCE,
    ),
    Limit(
        "after_close_timeout",
        default=60.0,
        minimum=0.01,
        maximum=86_400.0,
        unit="s",
        meaning="For the tasks that a hosted program runs for a connection, after it has closed; "
        "then they are cancelled and one line in the log names them. Until they end, they hold "
        "the connection's place; 'off' for as long as it takes.",
        source="longer than a task behind a response takes; a place kept for ever is a leak",
        metric="requests_lost_total{reason=after_close_timeout}",
        effect=_NEXT_CONNECTION,
        may_be_off=True,
    ),
    Limit(
        "drain_timeout",
        default=10.0,
        minimum=0.0,
        maximum=86_400.0,
        unit="s",
        meaning="For accepted requests to be answered after the server is told to stop.",
        source="shorter than systemd's TimeoutStopSec of 90 s",
        metric="requests_lost_total",
        effect="at the next stop",
    ),
    Limit(
        "max_write_buffer_bytes",
        default=65_536,
        minimum=1024,
        maximum=2**30,
        unit="bytes",
        meaning="Replies of one connection waiting for the peer, also behind a slow one; above it "
        "no request begins, no ready answer is sent, nothing is read, and a sender of many "
        "replies waits. A connection holds at most this much and a reply in the transport, the "
        "same again on the way there, and a reply for each request that had begun before.",
        source="the largest DNS message; the default of asyncio",
        metric="writes_paused_total",
        effect=_NEXT_CONNECTION,
    ),
    Limit(
        "max_unsent_bytes",
        default=8 * 2**20,
        minimum=65_536,
        maximum=2**31,
        unit="bytes",
        meaning="Octets that a hosted protocol or callback has written and its peer has not taken, "
        "if it keeps writing after being told to pause; then the peer is cut off. A writer that "
        "awaits drain() waits and is never cut off for this.",
        source="measured: a chat that kept writing to one silent member grew from 25 to 307 MB",
        metric="connections_closed_total{reason=max_unsent_bytes}",
        effect="at the next write",
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
        effect="at the next read",
    ),
    Limit(
        "batch_size",
        default=32,
        minimum=1,
        maximum=32,
        unit="datagrams",
        meaning="Datagrams taken from a socket in one system call.",
        source="docs/decisions/0003-batch-io.md",
        metric="batches_total",
        effect="at the next batch",
    ),
)

#: Options that are words. ``when_full`` decides what happens to a new connection when an address
#: has reached its limit: another is evicted (``evict``), it is closed (``refuse``), or it waits in
#: the system's backlog until there is room (``wait``).
CHOICES: Mapping[str, tuple[str, ...]] = {"when_full": ("evict", "refuse", "wait")}

_BY_NAME: Mapping[str, Limit] = {limit.name: limit for limit in LIMITS}


class ServerLimits(TypedDict, total=False):
    """The limits that `Server`, `run` and `Server.reconfigure` take as keywords; see `LIMITS`.

    limits: ServerLimits = {"request_timeout": 5.0, "when_full": "wait"}
    run(endpoint, "127.0.0.1:7000", **limits)
    """

    max_connections: int
    max_connections_per_network: int
    network_ipv4_prefix: int
    network_ipv6_prefix: int
    max_requests: int
    max_replies_per_datagram: int
    max_requests_per_connection: int
    max_request_bytes_per_connection: int
    request_timeout: float | Literal["off"]
    handshake_timeout: float
    first_byte_timeout: float
    message_timeout: float
    idle_timeout: float
    write_timeout: float
    datagram_write_timeout: float
    max_unsent_datagram_bytes: int
    max_peers: int
    max_unread_datagram_bytes: int
    handler_timeout: float
    linger_timeout: float
    after_close_timeout: float | Literal["off"]
    drain_timeout: float
    max_write_buffer_bytes: int
    max_unsent_bytes: int
    read_size_bytes: int
    batch_size: int
    when_full: Literal["evict", "refuse", "wait"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """The limits in effect; see `LIMITS` for each one's unit, range and effect."""

    max_connections: int = 1024
    max_connections_per_network: int = 0
    network_ipv4_prefix: int = 24
    network_ipv6_prefix: int = 56
    max_requests: int = 1024
    max_replies_per_datagram: int = 100
    max_requests_per_connection: int = 32
    max_request_bytes_per_connection: int = 262_144
    request_timeout: float = 10.0
    handshake_timeout: float = 5.0
    first_byte_timeout: float = 10.0
    message_timeout: float = 5.0
    idle_timeout: float = 30.0
    write_timeout: float = 10.0
    datagram_write_timeout: float = 1.0
    max_unsent_datagram_bytes: int = 1_048_576
    max_peers: int = 1024
    max_unread_datagram_bytes: int = 8 * 2**20
    handler_timeout: float = 5.0
    linger_timeout: float = 1.0
    after_close_timeout: float = 60.0
    drain_timeout: float = 10.0
    max_write_buffer_bytes: int = 65_536
    max_unsent_bytes: int = 8 * 2**20
    read_size_bytes: int = 65_536
    batch_size: int = 32
    when_full: str = "evict"

    def changed(
        self, options: Mapping[str, object], *, others: Iterable[str] = ()
    ) -> ServerOptions:
        """Return a copy with these limits, each checked.

        Args:
            options: limits by name.
            others: other keywords that the caller takes, to suggest for a misspelt name.

        Raises:
            UsageError: an unknown name, or a value out of its range.
        """
        checked = {name: _checked(name, value, others) for name, value in options.items()}
        return dataclasses.replace(self, **checked)


def _checked(name: str, value: object, others: Iterable[str]) -> Any:
    words = CHOICES.get(name)
    if words is None:
        return _limit(name, others).check(value)
    if value not in words:
        expected = f"{', '.join(words[:-1])} or {words[-1]}"
        raise UsageError(f"{name} is {value!r}, expected {expected}")
    return value


def _limit(name: str, others: Iterable[str]) -> Limit:
    limit = _BY_NAME.get(name)
    if limit is None:
        known = (*others, *_BY_NAME, *CHOICES)
        parts = set(name.split("_"))
        having = [one for one in known if parts <= set(one.split("_"))]
        near = having if len(having) == 1 else difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
        raise UsageError(f"there is no option {name!r}{hint}")
    return limit
