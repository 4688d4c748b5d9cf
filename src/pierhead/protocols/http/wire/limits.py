"""How large the parts of a request may be."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from pierhead.limits import Limit, check_all

__all__ = ["LIMITS", "RequestLimits"]

_EFFECT = "when the endpoint is created"
_REFUSED = "dropped_total{reason=framing}"

LIMITS: tuple[Limit, ...] = (
    Limit(
        "max_request_line_bytes",
        default=8192,
        minimum=64,
        maximum=2**20,
        unit="bytes",
        meaning="The longest request line; a longer one is refused with 414.",
        source="RFC 9112 §3: at least 8000",
        metric=_REFUSED,
        effect=_EFFECT,
    ),
    Limit(
        "max_head_bytes",
        default=16_384,
        minimum=256,
        maximum=2**20,
        unit="bytes",
        meaning="The request line and the header fields, or the trailer fields; more are refused "
        "with 431.",
        source="Node.js: 16 KiB",
        metric=_REFUSED,
        effect=_EFFECT,
    ),
    Limit(
        "max_fields",
        default=100,
        minimum=1,
        maximum=10_000,
        unit="fields",
        meaning="Header fields of a request, and its trailer fields; more are refused with 431.",
        source="Apache: LimitRequestFields 100",
        metric=_REFUSED,
        effect=_EFFECT,
    ),
    Limit(
        "max_body_bytes",
        default=2**20,
        minimum=0,
        maximum=2**62,
        unit="bytes",
        meaning="The content of a request; more is refused with 413, before it is read where the "
        "length is known. 'off' where a service reads content of any length piece by piece.",
        source="nginx: client_max_body_size 1m",
        metric="dropped_total{reason=framing or undecodable}",
        effect=_EFFECT,
        may_be_off=True,
    ),
    Limit(
        "max_chunk_extension_bytes",
        default=4096,
        minimum=0,
        maximum=2**20,
        unit="bytes",
        meaning="All chunk extensions of a request; they are ignored, and more are refused.",
        source="CVE-2023-39326 (extensions without end); Node.js: 16 KiB",
        metric="dropped_total{reason=undecodable}",
        effect=_EFFECT,
    ),
    Limit(
        "max_discarded_bytes",
        default=65_536,
        minimum=0,
        maximum=2**30,
        unit="bytes",
        meaning="Content that a service has not read: up to this much is received and discarded, "
        "so that the connection can be used again; otherwise it closes after the response.",
        source="nginx reads what has arrived and closes; Node.js reads all of it",
        metric="connections_closed_total{reason=unread}",
        effect=_EFFECT,
    ),
    Limit(
        "body_timeout",
        default=20.0,
        minimum=0.01,
        maximum=86_400.0,
        unit="s",
        meaning="How long a service waits in total for the content of a request; min_body_rate "
        "adds to it. Then the request is refused with 408.",
        source="Apache: RequestReadTimeout body=20,MinRate=500",
        metric="dropped_total{reason=undecodable}",
        effect=_EFFECT,
    ),
    Limit(
        "min_body_rate",
        default=500,
        minimum=1,
        maximum=2**30,
        unit="bytes/s",
        meaning="How fast content must arrive on average: each so many octets of it extend "
        "body_timeout by a second.",
        source="Apache: RequestReadTimeout body=20,MinRate=500",
        metric="dropped_total{reason=undecodable}",
        effect=_EFFECT,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """The limits in effect; see `LIMITS`."""

    max_request_line_bytes: int = 8192
    max_head_bytes: int = 16_384
    max_fields: int = 100
    max_body_bytes: float = 2**20
    max_chunk_extension_bytes: int = 4096
    max_discarded_bytes: int = 65_536
    body_timeout: float = 20.0
    min_body_rate: int = 500

    @classmethod
    def of(cls, given: dict[str, Any]) -> RequestLimits:
        """Return the defaults with these changes, each checked.

        Raises:
            UsageError: an unknown name, or a value out of its range.
        """
        checked: dict[str, Any] = dict(check_all(LIMITS, given, "an HTTP server"))
        return dataclasses.replace(cls(), **checked)
