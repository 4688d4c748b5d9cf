"""Giving octets that are here already to whichever kind of protocol asyncio knows."""

from __future__ import annotations

import asyncio
from typing import cast

__all__ = ["hand_over"]


def hand_over(protocol: asyncio.BaseProtocol, octets: memoryview) -> None:
    """Give the protocol these octets as a transport would, in one piece where it can be."""
    if not isinstance(protocol, asyncio.BufferedProtocol):
        # Any object with these methods is a protocol to asyncio.
        cast(asyncio.Protocol, protocol).data_received(bytes(octets))
        return
    while octets:
        buffer = memoryview(protocol.get_buffer(len(octets)))
        size = min(len(buffer), len(octets))
        buffer[:size] = octets[:size]
        octets = octets[size:]
        protocol.buffer_updated(size)
