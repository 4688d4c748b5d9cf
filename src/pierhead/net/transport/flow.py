"""Flow control of writing: when a protocol is asked to pause, and when to go on."""

from __future__ import annotations

import asyncio

from pierhead.net.transport.feed import report

__all__ = ["FlowControl", "tell"]

#: asyncio's own marks.
_HIGH_BYTES = 65_536


class FlowControl:
    """The marks of one transport, and whether its protocol has been asked to pause."""

    __slots__ = ("high", "is_paused", "low")

    def __init__(self) -> None:
        self.high, self.low = _HIGH_BYTES, _HIGH_BYTES // 4
        self.is_paused = False

    def set_limits(self, high: int | None, low: int | None) -> None:
        """Set the marks, as `asyncio.WriteTransport.set_write_buffer_limits` does.

        Raises:
            ValueError: the marks are in the wrong order.
        """
        if high is None:
            high = _HIGH_BYTES if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self.high, self.low = high, low

    def update(self, transport: asyncio.Transport) -> None:
        """Ask the protocol to pause or to resume if what waits has passed a mark."""
        size = transport.get_write_buffer_size()
        if size > self.high and not self.is_paused:
            self.is_paused = True
            tell(transport, transport.get_protocol(), True)
        elif size <= self.low and self.is_paused:
            self.is_paused = False
            tell(transport, transport.get_protocol(), False)


def tell(transport: asyncio.Transport, protocol: asyncio.BaseProtocol, is_paused: bool) -> None:
    """Ask the protocol to pause or to resume; its mistake is reported and survived."""
    try:
        if is_paused:
            protocol.pause_writing()
        else:
            protocol.resume_writing()
    except Exception as error:
        report(transport, protocol, error)
