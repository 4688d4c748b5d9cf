"""The limits of HTTP clients that other clients do not have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pierhead.client.options import LIMITS as CLIENT_LIMITS
from pierhead.client.options import ClientLimits, ClientOptions
from pierhead.limits import Limit, check_all

__all__ = ["LIMITS", "HttpClientLimits", "HttpClientOptions"]

_AT_CONSTRUCTION = "at construction"

LIMITS = (
    Limit(
        "max_head_bytes",
        default=65_536,
        minimum=256,
        maximum=2**24,
        unit="bytes",
        meaning="The fields of a response, its trailers included.",
        source="curl takes 300 KB, nginx 4 KB to 8 KB from an upstream",
        metric="requests_failed_total{reason=undecodable}",
        effect=_AT_CONSTRUCTION,
    ),
    Limit(
        "max_content_bytes",
        default=16 * 2**20,
        minimum=0,
        maximum=2**40,
        unit="bytes",
        meaning="The content of a response that is read whole; content read in pieces has no "
        "limit.",
        source="more than APIs answer, less than a small process has",
        metric="none: the caller gets ContentTooLarge",
        effect=_AT_CONSTRUCTION,
    ),
    Limit(
        "max_unread_bytes",
        default=262_144,
        minimum=1,
        maximum=2**30,
        unit="bytes",
        meaning="Content of one response that has arrived and is not read; above it the connection "
        "is not read on.",
        source="four reads",
        metric="reads_paused_total",
        effect=_AT_CONSTRUCTION,
    ),
    Limit(
        "unread_timeout",
        default=60.0,
        minimum=0.01,
        maximum=86_400.0,
        unit="s",
        meaning="For the program to read on in a response, until its connection is aborted.",
        source="as long as an idle connection is kept",
        metric="connections_closed_total{reason=unread}",
        effect=_AT_CONSTRUCTION,
    ),
)

#: HTTP/1.1 has one request at a time on a connection, so that several are needed.
_CONNECTIONS = 10


class HttpClientLimits(ClientLimits, total=False):
    """The limits that `Client` takes as keywords: those of every client, and its own."""

    max_head_bytes: int
    max_content_bytes: int
    max_unread_bytes: int
    unread_timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpClientOptions:
    """The limits in effect; see `LIMITS`.

    Attributes:
        usual: those that every client has.
    """

    usual: ClientOptions
    max_head_bytes: int = 65_536
    max_content_bytes: int = 16 * 2**20
    max_unread_bytes: int = 262_144
    unread_timeout: float = 60.0

    @classmethod
    def of(cls, limits: Mapping[str, object]) -> HttpClientOptions:
        """Return these limits, each checked, and the defaults of the others.

        Raises:
            UsageError: an unknown name, or a value out of its range.
        """
        checked = check_all((*CLIENT_LIMITS, *LIMITS), limits, "an HTTP client")
        names = {limit.name for limit in LIMITS}
        own: dict[str, Any] = {name: checked[name] for name in checked.keys() & names}
        usual: dict[str, Any] = {name: checked[name] for name in checked.keys() - names}
        return cls(usual=ClientOptions(**{"max_connections": _CONNECTIONS, **usual}), **own)
