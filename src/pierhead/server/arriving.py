"""A connection between its listener and the object that serves it."""

from __future__ import annotations

import asyncio
import dataclasses

from pierhead.listener.base import Accepted, HandshakeResult
from pierhead.server.connection import ServedConnection, Standing
from pierhead.service.context import Peer, Via

__all__ = ["Arriving", "arrived"]


class Arriving:
    """A connection from its accept on: first in its handshakes, then served."""

    __slots__ = ("accepted", "connection", "is_served", "since", "task")

    task: asyncio.Task[None]

    def __init__(self, accepted: Accepted, since: float) -> None:
        self.accepted = accepted
        self.since = since
        self.connection: ServedConnection | None = None
        self.is_served = False

    def standing(self) -> tuple[Standing, float]:
        """Return what the connection is doing, and since when."""
        if self.connection is None or not self.is_served:
            return Standing.HALF_DONE, self.since
        return self.connection.standing()


def arrived(via: Via, socket_peer: Peer, arrival: HandshakeResult) -> Via:
    """Add the facts that the handshakes have established."""
    if arrival.tls is None and arrival.proxy is None:
        return via
    return dataclasses.replace(
        via,
        encrypted=arrival.tls is not None,
        tls=arrival.tls,
        proxy=arrival.proxy,
        socket_peer=None if arrival.peer is socket_peer else socket_peer,
    )
