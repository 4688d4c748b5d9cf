"""Whom an address names, for a socket that sends to anybody."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from pierhead.address import AbstractAddress, InetAddress, ListenSpec, MemoryAddress
from pierhead.connection.socket_conversation import Correspondent
from pierhead.errors import UsageError
from pierhead.listener.base import DatagramListener, Reaches
from pierhead.net.resolve import resolve_host
from pierhead.net.unix import abstract_name
from pierhead.service.context import Peer

__all__ = ["find", "reach"]


def find(listener: DatagramListener, whom: Peer | str) -> Correspondent:
    """Return whom a peer or a numeric address names.

    Raises:
        UsageError: it is none for this listener, or a name that has to be resolved.
    """
    if isinstance(whom, Correspondent):
        return whom
    if isinstance(whom, Peer):
        raw = whom.raw
        return _to(listener, (whom.host, whom.port) if isinstance(raw, bytes) else raw)
    address = _parsed(listener, whom)
    if isinstance(address, InetAddress):
        return _to(listener, (_numeric(address.host), address.port))
    if isinstance(address, MemoryAddress):
        return _to(listener, address.name)
    if isinstance(address, AbstractAddress):
        return _to(listener, abstract_name(address))
    return _to(listener, address.path)


async def reach(listener: DatagramListener, whom: str) -> Correspondent:
    """Return whom an address names, after resolving it if it is a name.

    Raises:
        UsageError: it is none for this listener.
        OSError: the name does not resolve.
    """
    address = _parsed(listener, whom)
    if not isinstance(address, InetAddress) or address.is_ipv4 or address.is_ipv6:
        return find(listener, whom)
    found = await resolve_host(address.host, address.port, socket.SOCK_DGRAM)
    is_ipv6 = ":" in listener.local.rpartition(":")[0].partition(":")[2]
    wanted = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    fitting = [place for family, place in found if family == wanted]
    return _to(listener, (fitting or [found[0][1]])[0])


def _parsed(listener: DatagramListener, whom: str) -> Any:
    spec = ListenSpec.parse(whom)
    scheme = listener.local.partition(":")[0]
    short = isinstance(spec.address, InetAddress) and spec.address.scheme is None
    if spec.wrappers or not (short or spec.address.scheme == scheme):
        raise UsageError(f"{whom} is no address for {listener.local}, expected {scheme}:…")
    return spec.address


def _numeric(host: str) -> str:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        raise UsageError(
            f"{host} is a name, which has to be resolved; use send_to(address, message)"
        ) from None
    return host


def _to(listener: DatagramListener, address: Any) -> Correspondent:
    if not isinstance(listener, Reaches):
        raise UsageError(f"{listener.local} can only answer those who have sent something")
    reply_to = listener.way_to(address)
    return Correspondent(listener.peer(reply_to), reply_to)
