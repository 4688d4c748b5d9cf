"""The wrapper ``proxy+`` on datagrams: each begins with a PROXY header of version 2.

Replies go back to the proxy, without a header.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from pierhead.codec.proxy_header import ProxyHeader, decode_datagram
from pierhead.errors import FramingError
from pierhead.listener.base import Datagram, DatagramListener, PerDatagramVia, ReplyTo
from pierhead.listener.wrap.base import WrapperListener
from pierhead.listener.wrap.proxy_trust import ProxyRules, header_peer
from pierhead.service.context import Peer, Transport, Via

__all__ = ["ProxyDatagramListener"]


class _WayBack:
    """Where a reply goes, with the header of its request; compared by proxy and client."""

    __slots__ = ("header", "reply_to")

    def __init__(self, reply_to: ReplyTo, header: ProxyHeader) -> None:
        self.reply_to = reply_to
        self.header = header

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _WayBack)
            and self.reply_to == other.reply_to
            and self.header.source == other.header.source
        )

    def __hash__(self) -> int:
        return hash((self.reply_to, self.header.source))


class ProxyDatagramListener(WrapperListener[DatagramListener]):
    """Yields the datagrams of another listener without their PROXY header; a `DatagramListener`.

    Args:
        base: the listener below; closed by `close`.
        rules: which proxies to trust.

    Attributes:
        refused: how many datagrams have been dropped so far, by reason.
    """

    transport = Transport.DATAGRAM
    wrapper = "proxy"

    def __init__(self, base: DatagramListener, rules: ProxyRules) -> None:
        super().__init__(base)
        self.refused = {"proxy_untrusted": 0, "proxy_header": 0}
        self._rules = rules
        self._per_datagram = base if isinstance(base, PerDatagramVia) else None

    @property
    def truncated(self) -> int:
        """How many datagrams have been too large for the receive buffer so far."""
        return self.base.truncated

    def start(self, on_readable: Callable[[], None]) -> None:
        """Call this function in the event loop whenever datagrams may be waiting."""
        self.base.start(on_readable)

    def stop(self) -> None:
        """Stop calling; datagrams can still be sent."""
        self.base.stop()

    def receive_batch(self, limit: int) -> list[Datagram]:
        """Take up to this many waiting datagrams; those not from a proxy are dropped."""
        batch: list[Datagram] = []
        for data, reply_to in self.base.receive_batch(limit):
            if not self._rules.trusts(self.base.peer(reply_to)):
                self.refused["proxy_untrusted"] += 1
                continue
            try:
                header, payload = decode_datagram(data)
            except FramingError:
                self.refused["proxy_header"] += 1
                continue
            batch.append((payload, _WayBack(reply_to, header)))
        return batch

    def send_batch(self, datagrams: Sequence[Datagram]) -> list[tuple[int, int]]:
        """Send all of them to the proxies they came through."""
        return self.base.send_batch([(payload, way.reply_to) for payload, way in datagrams])

    def peer(self, reply_to: ReplyTo) -> Peer:
        """Return the client that the header names, or the proxy if it names none."""
        return header_peer(reply_to.header, self.base.peer(reply_to.reply_to))

    def via(self, reply_to: ReplyTo, via: Via) -> Via:
        """Return the `Via` of this datagram, with its header and the proxy."""
        header: ProxyHeader = reply_to.header
        if self._per_datagram is not None:
            via = self._per_datagram.via(reply_to.reply_to, via)
        proxy = None if header.source is None else self.base.peer(reply_to.reply_to)
        return dataclasses.replace(via, proxy=header, socket_peer=proxy)
