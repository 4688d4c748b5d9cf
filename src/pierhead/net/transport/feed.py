"""Delivery to protocols, as asyncio's own transports do it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

__all__ = ["buffer_of", "feed", "report"]


def feed(
    protocol: asyncio.BaseProtocol,
    octets: bytes | memoryview,
    is_reading: Callable[[], bool] | None = None,
) -> int:
    """Deliver these octets to the protocol, in one piece if possible; return how many it took.

    Args:
        protocol: of either kind.
        octets: at least one.
        is_reading: called before each further piece; None for a protocol that takes them all.

    Raises:
        RuntimeError: the protocol's buffer is empty.
    """
    if not isinstance(protocol, asyncio.BufferedProtocol):
        # asyncio accepts any object with these methods as a protocol.
        cast(asyncio.Protocol, protocol).data_received(bytes(octets))
        return len(octets)
    taken = 0
    with memoryview(octets) as whole:
        while taken < len(whole) and (not taken or is_reading is None or is_reading()):
            buffer = buffer_of(protocol, len(whole) - taken)
            size = min(len(buffer), len(whole) - taken)
            buffer[:size] = whole[taken : taken + size]
            taken += size
            protocol.buffer_updated(size)
    return taken


def buffer_of(protocol: asyncio.BufferedProtocol, size_hint: int) -> memoryview:
    """Return the protocol's buffer for its input.

    Raises:
        RuntimeError: it is empty, so that reading into it would look like the end of input.
    """
    buffer = memoryview(protocol.get_buffer(size_hint))
    if not buffer:
        raise RuntimeError("get_buffer() returned an empty buffer")
    return buffer


def report(
    transport: asyncio.Transport, protocol: asyncio.BaseProtocol | None, error: Exception
) -> None:
    """Report a protocol's exception to the event loop."""
    asyncio.get_running_loop().call_exception_handler(
        {
            "message": f"Fatal error: {type(protocol).__qualname__} failed on "
            f"a {type(transport).__qualname__}",
            "exception": error,
            "transport": transport,
            "protocol": protocol,
        }
    )
