"""Reaching the addresses that a listener opens: a stream, or an end for datagrams.

    transport = await dial_stream("tcp:127.0.0.1:7000", Protocol)
    client = await dial_datagram("memgram:b", source="memgram:a")

The same strings that a server listens on can be dialled, if they name a single endpoint. A short
form is TCP for a stream and UDP for datagrams.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pierhead.address import ListenSpec
from pierhead.client.datagram_end import DatagramClient
from pierhead.client.route import DATAGRAMS, STREAMS, Route
from pierhead.codec.proxy_header import ProxyHeader

__all__ = ["dial_datagram", "dial_stream"]


async def dial_stream(
    address: str | ListenSpec,
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    *,
    source: str | None = None,
    timeout_s: float | None = None,
    forwarded: ProxyHeader | None = None,
    schemes: tuple[str, ...] = STREAMS,
    protocols: tuple[str, ...] = (),
) -> asyncio.Transport:
    """Connect, attach a protocol and return the transport.

    Args:
        address: of a stream, or of a connection that keeps message borders, where each write is one
            message.
        protocol_factory: called once, when the connection is established.
        source: the address of this end: ``tcp:192.0.2.1:0``, ``mem:a``.
        timeout_s: for all of it; None for as long as it takes.
        forwarded: for ``proxy+``, whom the connection is for; None for this process itself.
        schemes: those allowed, the one of a short form first.
        protocols: what ALPN offers, preferred first, unless the address sets it.

    Raises:
        UsageError: the address or the source cannot be dialled.
        ConnectError: it cannot be reached; says at which step, and why.
    """
    route = Route(address, source=source, schemes=schemes, protocols=protocols)
    return await route.stream(protocol_factory, timeout_s=timeout_s, forwarded=forwarded)


async def dial_datagram(
    address: str | ListenSpec, *, source: str | None = None, timeout_s: float | None = None
) -> DatagramClient:
    """Return an end that sends to this address and receives only from it.

    Args:
        address: udp, unixgram or memgram.
        source: the address of this end: ``udp:192.0.2.1:0``, ``unixgram:./reply.sock``,
            ``memgram:a``.
        timeout_s: for resolving its name; None for as long as it takes.

    Raises:
        UsageError: the address or the source cannot be dialled.
        ListenError: the memory network already has an end with the source's name.
        ConnectError: there is no route to the address.
    """
    route = Route(address, source=source, schemes=DATAGRAMS)
    return await route.datagrams(timeout_s=timeout_s)
