"""Who is at the other end of a connection that this side has opened, and over what it goes."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from typing import Any

from pierhead.net.credentials import peer_credentials
from pierhead.service.context import Peer, TlsFacts, Via

__all__ = ["facts_of"]

_AF_UNIX: int = getattr(socket, "AF_UNIX", -1)


def facts_of(transport: asyncio.BaseTransport, dialled: Peer, via: Via) -> tuple[Peer, Via]:
    """Return the other end of a connection, and what is known of it.

    Args:
        transport: connected.
        dialled: the other end as it was asked for, if the system has no other name for it.
        via: what was known before.
    """
    sock: socket.socket | None = transport.get_extra_info("socket")
    tls: TlsFacts | None = transport.get_extra_info("tls_facts")
    is_unix = sock is not None and sock.family == _AF_UNIX
    known = dataclasses.replace(
        via,
        local=str(_peer(transport.get_extra_info("sockname")) or Peer("")),
        encrypted=tls is not None,
        tls=tls,
        credentials=peer_credentials(sock) if sock is not None and is_unix else None,
    )
    return _peer(_peer_name(transport, sock)) or dialled, known


def _peer_name(transport: asyncio.BaseTransport, sock: socket.socket | None) -> Any:
    name = transport.get_extra_info("peername")
    if name is not None or sock is None:
        return name
    try:
        return sock.getpeername()
    except OSError:  # it has left already
        return None


def _peer(name: Any) -> Peer | None:
    if not name:
        return None
    return Peer.abstract(name) if isinstance(name, bytes) else Peer(name)
