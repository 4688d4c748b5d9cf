"""Resolution of host names to socket addresses, and of those to address text."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from pierhead.address.host import is_ipv4, is_ipv6, show_host

__all__ = ["inet_text", "resolve_host"]


async def resolve_host(
    host: str, port: int, kind: socket.SocketKind
) -> list[tuple[int, tuple[Any, ...]]]:
    """Return ``(family, socket address)`` for each distinct address of a host.

    Raises:
        OSError: the name does not resolve.
    """
    literal = is_ipv4(host) or is_ipv6(host)
    flags = socket.AI_NUMERICHOST if literal else 0
    if literal:  # a literal address needs no thread
        found = socket.getaddrinfo(host, port, type=kind, flags=flags)
    else:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=kind)
    return list(dict.fromkeys((int(family), address) for family, _, _, _, address in found))


def inet_text(scheme: str, address: tuple[Any, ...]) -> str:
    """Return a socket address as text; a link-local one with its interface."""
    host, port = str(address[0]), address[1]
    if len(address) == 4 and address[3] and "%" not in host:
        host = f"{host}%{socket.if_indextoname(address[3])}"
    return f"{scheme}:{show_host(host)}:{port}"
