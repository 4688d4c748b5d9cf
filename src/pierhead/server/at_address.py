"""What an address says about being served, which goes before what its server says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pierhead.address import ListenSpec
from pierhead.server.options import ServerOptions

__all__ = ["LONGEST_BACK_OFF_S", "AtAddress"]

#: Accepting pauses at most this long after an error such as ENOBUFS.
LONGEST_BACK_OFF_S = 1.0

#: Options of an address that are limits of a server by another name.
_LIMITS = {
    "idle-timeout": "idle_timeout",
    "handshake-timeout": "handshake_timeout",
    "drain": "drain_timeout",
    "maxconn-per-network": "max_connections_per_network",
    "when-full": "when_full",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AtAddress:
    """How one listener is served.

    Attributes:
        name: what it is called in logs and metrics.
        max_connections: how many connections it may have; None for what its server allows.
        max_rate: how many connections it accepts in a second; None for no limit.
        longest_back_off: seconds between two attempts to accept, at most.
        limits: limits of the server that are others here.
    """

    name: str
    max_connections: int | None = None
    max_rate: int | None = None
    longest_back_off: float = LONGEST_BACK_OFF_S
    limits: Mapping[str, float | str] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: ListenSpec) -> AtAddress:
        """Return what an address says."""
        options = spec.options
        return cls(
            name=options.get("name", str(spec)),
            max_connections=options.get("maxconn"),
            max_rate=options.get("maxrate"),
            longest_back_off=options.get("accept-backoff", LONGEST_BACK_OFF_S),
            limits={_LIMITS[key]: options.get(key) for key in _LIMITS if key in options},
        )

    def apply(self, options: ServerOptions) -> ServerOptions:
        """Return the limits in force here.

        Raises:
            UsageError: one of them is out of its range.
        """
        return options.changed(self.limits)
