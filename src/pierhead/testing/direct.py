"""Calling a service directly, the way a server does, to test nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

from pierhead.service import ServiceFunction, as_service, is_many
from pierhead.service.context import Context, Peer, Transport, Via

__all__ = ["call"]

_VIA = Via(transport=Transport.DATAGRAM, scheme="memgram", local="memgram:test", listener="test")


async def call(
    service: ServiceFunction[Any, Any],
    request: Any,
    *,
    peer: str = "client",
    via: Via = _VIA,
    extras: tuple[object, ...] = (),
) -> Any:
    """Return the reply of a service or a stack of layers; a list if there are many.

    Args:
        service: the service, as passed to a server.
        request: already decoded.
        peer: the client: the name of an end, as in the memory network.
        via: how the request arrived; a datagram by default, so without a connection.
        extras: what earlier layers would have left in the context.

    Example:
        >>> import asyncio
        >>> async def shout(line, context):
        ...     return f"{context.peer}: {line.upper()}"
        >>> asyncio.run(call(shout, "hello", peer="ann"))
        'ann: HELLO'
    """
    now = asyncio.get_running_loop().time()
    reply = await as_service(service)(request, Context(Peer(peer), now, via, None, extras))
    return [one async for one in reply] if is_many(reply) else reply
