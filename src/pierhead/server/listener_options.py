"""What an address says about being served, which goes before what its server says."""

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
        name: what it is called in logs and metrics.
        max_connections: how many connections it may have; None for what its server allows.
        max_rate: how many connections it accepts in a second; None for no limit.
        longest_back_off: seconds between two attempts to accept, at most, after an error such
            as ENOBUFS.
        limits: limits of the server that are others here.
    """

    name: str
    max_connections: int | None
    max_rate: int | None
    longest_back_off: float
    limits: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: ListenSpec) -> ListenerOptions:
        """Return what an address says."""
        accept = AcceptOptions.of(spec.options)
        return cls(
            name=ServingOptions.of(spec.options).name or str(spec),
            max_connections=accept.maxconn,
            max_rate=accept.maxrate,
            longest_back_off=accept.accept_backoff,
            limits=limits_of(spec.options),
        )

    def apply(self, options: ServerOptions) -> ServerOptions:
        """Return the limits in force here.

        Raises:
            UsageError: one of them is out of its range.
        """
        return options.changed(self.limits)
