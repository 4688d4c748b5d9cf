"""Reaching the addresses that a listener opens: a stream, or an end for datagrams.

    transport = await dial_stream("tcp:127.0.0.1:7000", Protocol)
    client = await dial_datagram("memgram:b", source="memgram:a")

The same strings that a server listens on can be dialled, if they name a single endpoint. A short
form is TCP for a stream and UDP for datagrams.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import stat
from collections.abc import Callable
from typing import Any, Protocol

from pierhead.address import (
    AbstractAddress,
    InetAddress,
    ListenSpec,
    MemoryAddress,
    UnixAddress,
)
from pierhead.client.memory_end import MemoryDatagramClient
from pierhead.client.socket_end import SocketDatagramClient
from pierhead.errors import UsageError
from pierhead.net.memory.network import connect_memory
from pierhead.net.place import Place
from pierhead.net.resolve import resolve_host
from pierhead.net.unix import abstract_name

__all__ = [
    "DATAGRAMS",
    "STREAMS",
    "DatagramClient",
    "dial_datagram",
    "dial_stream",
    "dial_target",
]

STREAMS = ("tcp", "unix", "mem")
DATAGRAMS = ("udp", "unixgram", "memgram")


class DatagramClient(Protocol):
    """A datagram end that communicates with one peer."""

    @property
    def ignored(self) -> int:
        """How many ICMP errors and foreign datagrams were ignored, and how many sends failed."""
        ...

    @property
    def local(self) -> str:
        """The address of this end, as text."""
        ...

    def send(self, data: bytes) -> None:
        """Send a datagram; it may get lost, here or anywhere.

        Raises:
            OSError: EMSGSIZE, it is too large to be sent at all.
        """
        ...

    async def receive(self) -> bytes:
        """Wait for a datagram from the dialled address; only one call may wait at a time.

        It never times out: the caller has a deadline.

        Raises:
            OSError: EBADF, the client is closed.
        """
        ...

    def close(self) -> None:
        """Close; a waiting `receive` raises; later calls do nothing."""
        ...


async def dial_stream(
    address: str | ListenSpec,
    protocol_factory: Callable[[], asyncio.BaseProtocol],
    *,
    source: str | None = None,
) -> asyncio.Transport:
    """Connect, attach a protocol and return the transport.

    Args:
        address: tcp, unix or mem; no wrapper, no options.
        protocol_factory: called once, when the connection is established.
        source: the address of this end: ``tcp:192.0.2.1:0``, ``mem:a``.

    Raises:
        UsageError: the address or the source cannot be dialled.
        OSError: the connection was refused, or there is no route; if a name has several addresses
            and none answers, the error of the last.
    """
    target = dial_target(address, STREAMS)
    local = _source(source, target)
    if isinstance(target, MemoryAddress):
        name = local.name if isinstance(local, MemoryAddress) else None
        return connect_memory(target.name, protocol_factory(), name)
    sock, bound = await _connected(target, local, socket.SOCK_STREAM)
    if bound is not None:  # the peer knows the name by now; it is no longer needed
        with bound:
            bound.remove()
    try:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(protocol_factory, sock=sock)
    except BaseException:
        sock.close()
        raise
    return transport


async def dial_datagram(address: str | ListenSpec, *, source: str | None = None) -> DatagramClient:
    """Return an end that sends to this address and receives only from it.

    Args:
        address: udp, unixgram or memgram; no wrapper, no options.
        source: the address of this end: ``udp:192.0.2.1:0``, ``unixgram:./reply.sock``,
            ``memgram:a``.

    Raises:
        UsageError: the address or the source cannot be dialled.
        ListenError: the memory network already has an end with the source's name.
        OSError: there is no route to the address.
    """
    target = dial_target(address, DATAGRAMS)
    local = _source(source, target)
    if isinstance(target, MemoryAddress):
        return MemoryDatagramClient(target, local if isinstance(local, MemoryAddress) else None)
    sock, bound = await _connected(target, local, socket.SOCK_DGRAM)
    return SocketDatagramClient(sock, bound)


_Target = InetAddress | UnixAddress | AbstractAddress | MemoryAddress


def dial_target(address: str | ListenSpec, schemes: tuple[str, ...]) -> _Target:
    """Return what an address names, for one of these schemes; the first is that of a short form.

    Raises:
        UsageError: it cannot be dialled.
    """
    spec = ListenSpec.parse(address) if isinstance(address, str) else address
    target = spec.address
    if isinstance(target, InetAddress) and target.scheme is None:
        target = InetAddress(schemes[0], target.host, target.port, target.last_port)
    if spec.wrappers or target.scheme not in schemes:
        forms = ", ".join(f"{scheme}:" for scheme in schemes)
        raise UsageError(f"{spec} cannot be dialled here: expected one of {forms} unwrapped")
    for key, _ in spec.options.given:
        raise UsageError(f"{spec}: {key} is for listening; leave it out")
    assert isinstance(target, (InetAddress, UnixAddress, AbstractAddress, MemoryAddress))
    if isinstance(target, InetAddress) and not (
        target.host and target.port and target.last_port is None
    ):
        raise UsageError(f"{spec} cannot be dialled: expected one host and one port")
    return target


def _source(source: str | None, target: _Target) -> _Target | None:
    if source is None:
        return None
    spec = ListenSpec.parse(source)
    local = spec.address
    if isinstance(local, InetAddress) and local.scheme is None:
        local = InetAddress(target.scheme, local.host, local.port, local.last_port)
    if local.scheme != target.scheme or spec.wrappers or spec.options:
        raise UsageError(f"source {source} does not match {target}: expected {target.scheme}:…")
    assert isinstance(local, (InetAddress, UnixAddress, AbstractAddress, MemoryAddress))
    return local


async def _connected(
    target: _Target, local: _Target | None, kind: socket.SocketKind
) -> tuple[socket.socket, Place | None]:
    failure: OSError | None = None
    for family, address in await _places(target, kind):
        try:
            return await _connect(family, address, local, kind)
        except OSError as error:
            failure = error
    raise failure or OSError(errno.EADDRNOTAVAIL, f"{target} has no address")


async def _places(target: _Target, kind: socket.SocketKind) -> list[tuple[int, Any]]:
    if isinstance(target, InetAddress):
        return list(await resolve_host(target.host, target.port, kind))
    if isinstance(target, AbstractAddress):
        return [(socket.AF_UNIX, abstract_name(target))]
    assert isinstance(target, UnixAddress)
    return [(socket.AF_UNIX, target.path)]


async def _connect(
    family: int, address: Any, local: _Target | None, kind: socket.SocketKind
) -> tuple[socket.socket, Place | None]:
    sock = socket.socket(family, kind)
    bound: Place | None = None
    try:
        sock.setblocking(False)
        bound = await _bind(sock, local, kind)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        if bound is not None:
            with bound:
                bound.remove()
        raise
    return sock, bound


async def _bind(
    sock: socket.socket, local: _Target | None, kind: socket.SocketKind
) -> Place | None:
    """Bind to the source; return the `Place` of the file created, if any."""
    if isinstance(local, UnixAddress):
        place = Place(local.path)
        try:
            sock.bind(local.path)
            found = place.pin()
            if found is None or not stat.S_ISSOCK(found.st_mode):
                place.forget()  # another process was quicker: the file here is not ours
        except BaseException:
            place.close()
            raise
        return place
    if isinstance(local, AbstractAddress):
        sock.bind(abstract_name(local))
    elif isinstance(local, InetAddress):
        places = await resolve_host(local.host, local.port, kind)
        fitting = [address for family, address in places if family == sock.family]
        if not fitting:
            raise OSError(errno.EAFNOSUPPORT, f"{local} is of a different family from the target")
        sock.bind(fitting[0])
    elif sock.family == socket.AF_UNIX and kind == socket.SOCK_DGRAM:
        # Without a name the peer could not reply; Linux assigns an abstract one (unix(7),
        # autobind).
        sock.bind("")
    return None
