"""Datagrams of one peer, passed on to one upstream and back, over a socket of their own."""

from __future__ import annotations

import asyncio
from typing import TypeAlias

from pierhead.client.upstream import Upstream
from pierhead.codec import LengthPrefixed, Octets, WireFormat
from pierhead.connection.conversation import Conversation
from pierhead.errors import ConnectionEnded, PeerUnavailable
from pierhead.protocols.proxying.targets import Target, Targets, forwarded
from pierhead.server.conversing import Conversing

__all__ = ["conversing"]

_Octets: TypeAlias = Conversation[bytes, bytes]


def conversing(targets: Targets) -> Conversing:
    """Return what serves the peers of a datagram socket: each is relayed to one upstream."""

    async def relay(conversation: _Octets) -> None:
        await _relay(conversation, targets)

    # A datagram is one frame, whatever the framing.
    return Conversing(relay, WireFormat(LengthPrefixed(2), Octets()))


async def _relay(conversation: _Octets, targets: Targets) -> None:
    """Relay until the peer has been silent for ``idle_timeout``, or the upstream is gone."""
    try:
        chosen = targets.choose(conversation.peer, ())
    except PeerUnavailable:
        return  # datagrams may get lost; the next one is tried again
    began = asyncio.get_running_loop().time()
    targets.upstreams.begun(chosen)
    try:
        await _between(conversation, chosen, targets, began)
    except* (OSError, PeerUnavailable) as ended:
        if any(not isinstance(error, ConnectionEnded) for error in ended.exceptions):
            targets.failed(chosen, began)
    finally:
        targets.upstreams.ended(chosen)


async def _between(
    conversation: _Octets, chosen: Upstream[Target], targets: Targets, began: float
) -> None:
    end = await chosen.target.route.datagrams(
        timeout_s=targets.connect_timeout_s,
        forwarded=forwarded(conversation.peer, conversation.via, is_datagram=True),
    )

    async def back() -> None:
        datagram = await end.receive()
        targets.reached(chosen, began)
        while True:
            await conversation.send(datagram)
            datagram = await end.receive()

    try:
        async with asyncio.TaskGroup() as both:
            returning = both.create_task(back())
            async for datagram in conversation:
                end.send(datagram)
            returning.cancel()
    finally:
        end.close()
