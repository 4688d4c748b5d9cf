"""Connections that preserve message boundaries: each packet is one frame, without a framing.

Everything else is as on a stream, in the same code: the window of requests, the order of replies,
all deadlines, the end.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from pierhead.codec.base import Order
from pierhead.codec.packets import Packets
from pierhead.server.connection import ConnectionScope
from pierhead.server.endpoint import StreamHandler
from pierhead.server.framed import FramedConnection
from pierhead.service import FrameHandler

__all__ = ["PacketConnection", "packets"]


def packets(handler: FrameHandler, order: Order = Order.IN_ORDER) -> StreamHandler:
    """Return the handler of seqpacket connections: one frame per packet, both ways."""
    return _PacketHandler(handler, order)


@dataclass(frozen=True, slots=True)
class _PacketHandler:
    """What `packets` returns."""

    handler: FrameHandler
    order: Order

    def __call__(self, scope: ConnectionScope) -> PacketConnection:
        return PacketConnection(scope, self.handler, self.order)

    def goes_on_from(self, before: StreamHandler) -> bool:
        """Return whether another handler's connections split and order frames as these do."""
        return isinstance(before, _PacketHandler) and before.order is self.order


class PacketConnection(FramedConnection):
    """Serves one seqpacket connection; created by `packets`."""

    _joins_frames = False  # each reply is a packet of its own

    def __init__(self, scope: ConnectionScope, handler: FrameHandler, order: Order) -> None:
        super().__init__(scope, handler, Packets(), order)

    def message_cut_off(self) -> None:
        """Count a packet that did not fit into a read; it gets no answer."""
        self.scope.counters.dropped("truncated")

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop serving."""
        if isinstance(exc, OSError) and exc.errno == errno.EMSGSIZE:
            # A reply too large for a packet: the peer must not wait for it for ever.
            self._life.reason = self._life.reason or "reply_too_large"
        super().connection_lost(exc)
