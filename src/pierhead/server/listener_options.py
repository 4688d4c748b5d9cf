"""Options of an address about how it is served, which override those of the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pierhead.address import ListenSpec
from pierhead.address.views import AcceptOptions, ServingOptions, limits_of
from pierhead.server.options import ServerOptions

__all__ = ["ListenerOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerOptions:
    """How one listener is served.

    Attributes:
        name: its name in logs and metrics.
        max_connections: how many connections it may have; None for the server's limit.
        max_rate: how many connections it accepts per second; None for no limit.
        longest_back_off: the maximum pause between attempts to accept, in seconds, after an error
            such as ENOBUFS.
        limits: limits that differ from the server's here.
    """

    name: str
    max_connections: int | None
    max_rate: int | None
    longest_back_off: float
    limits: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: ListenSpec) -> ListenerOptions:
        """Return the options of an address."""
        accept = AcceptOptions.of(spec.options)
        return cls(
            name=ServingOptions.of(spec.options).name or str(spec),
            max_connections=accept.maxconn,
            max_rate=accept.maxrate,
            longest_back_off=accept.accept_backoff,
            limits=limits_of(spec.options),
        )

    def apply(self, options: ServerOptions) -> ServerOptions:
        """Return the limits in effect here.

        Raises:
            UsageError: one of them is out of range.
        """
        return options.changed(self.limits)
