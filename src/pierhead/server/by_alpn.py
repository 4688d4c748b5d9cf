"""Several protocols on one listener: what TLS has negotiated says which (RFC 7301)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pierhead.server.connection import ConnectionScope, ServedConnection
from pierhead.server.endpoint import StreamHandler

__all__ = ["ByAlpn"]


@dataclass(frozen=True, slots=True)
class ByAlpn:
    """A stream handler that passes each connection on by its negotiated protocol.

    Attributes:
        otherwise: takes connections of every other protocol, and those without one.
        by_name: for each name of ALPN, what takes its connections.
    """

    otherwise: StreamHandler
    by_name: Mapping[str, StreamHandler]

    def __call__(self, scope: ConnectionScope) -> ServedConnection:
        """Return what serves this connection."""
        tls = scope.via.tls
        name = None if tls is None else tls.alpn
        return self.by_name.get(name or "", self.otherwise)(scope)
