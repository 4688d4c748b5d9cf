"""Write flow control: when a protocol is told to pause and to resume."""

from __future__ import annotations

import asyncio

from pierhead.net.transport.feed import report

__all__ = ["FlowControl", "tell"]

#: asyncio's own limits.
_HIGH_BYTES = 65_536


class FlowControl:
    """The limits of one transport, and whether its protocol has been told to pause."""

    __slots__ = ("high", "is_paused", "low")

    def __init__(self) -> None:
        self.high, self.low = _HIGH_BYTES, _HIGH_BYTES // 4
        self.is_paused = False

    def set_limits(self, high: int | None, low: int | None) -> None:
        """Set the limits, as `asyncio.WriteTransport.set_write_buffer_limits` does.

        Raises:
            ValueError: the limits are in the wrong order.
        """
        if high is None:
            high = _HIGH_BYTES if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self.high, self.low = high, low

    def update(self, transport: asyncio.Transport) -> None:
        """Tell the protocol to pause or resume if the buffer size has crossed a limit."""
        size = transport.get_write_buffer_size()
        if size > self.high and not self.is_paused:
            self.is_paused = True
            tell(transport, transport.get_protocol(), True)
        elif size <= self.low and self.is_paused:
            self.is_paused = False
            tell(transport, transport.get_protocol(), False)


def tell(transport: asyncio.Transport, protocol: asyncio.BaseProtocol, is_paused: bool) -> None:
    """Tell the protocol to pause or resume; an exception is reported and ignored."""
    try:
        if is_paused:
            protocol.pause_writing()
        else:
            protocol.resume_writing()
    except Exception as error:
        report(transport, protocol, error)
