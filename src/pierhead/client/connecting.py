"""Connected sockets of every kind: names resolved, options set, source bound, addresses raced."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pierhead.address import (
    AbstractAddress,
    InetAddress,
    ListenAddress,
    ListenOptions,
    UnixAddress,
    VsockAddress,
)
from pierhead.address.views import SocketOptions
from pierhead.client.reaching import Reaching
from pierhead.net.place import Place
from pierhead.net.race import NoneSucceeded, interleaved, race
from pierhead.net.resolve import inet_text, resolve_host
from pierhead.net.socket_option import set_options
from pierhead.net.unix import abstract_name

__all__ = ["Connected", "Ends", "connect_socket"]

_AF_UNIX: int = getattr(socket, "AF_UNIX", -1)
#: Pauses while a server's backlog is full.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.005, 0.2


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of a socket to be connected.

    Attributes:
        target: what to connect to, with a scheme.
        options: of the target's address.
        source: what to bind to; None to let the system choose.
        kind: of the socket.
    """

    target: ListenAddress
    options: ListenOptions
    source: ListenAddress | None
    kind: socket.SocketKind


@dataclass(slots=True)
class Connected:
    """A connected, non-blocking socket; with the file that its source is, if any."""

    sock: socket.socket
    bound: Place | None = None

    def close(self) -> None:
        """Close the socket, and remove its file."""
        self.sock.close()
        self.forget_source()

    def forget_source(self) -> None:
        """Remove the file of the source: a peer of a connection knows its name by now."""
        if self.bound is not None:
            bound, self.bound = self.bound, None
            with bound:
                bound.remove()


async def connect_socket(ends: Ends, reaching: Reaching, delay_s: float) -> Connected:
    """Connect; of the addresses of a name the first that answers is taken (RFC 8305).

    Args:
        ends: what to connect.
        reaching: told of the steps and of each address that is tried.
        delay_s: how long one address may take before the next is tried as well.

    Raises:
        NoneSucceeded: no address could be reached.
        OSError: the name does not resolve.
    """
    places = await _places(ends.target, ends.kind, reaching)
    locals_ = await _local_places(ends.source, ends.kind, reaching)
    reaching.step = "connect"

    async def attempt(family: int, address: Any) -> Connected:
        if isinstance(ends.target, InetAddress):
            reaching.tried.append(inet_text("", address).removeprefix(":"))
        return await _connect(ends, family, address, locals_)

    attempts: list[Callable[[], Any]] = [partial(attempt, *place) for place in places]
    if len(attempts) > 1:
        return await race(attempts, delay_s, Connected.close)
    try:
        return await attempt(*places[0])
    except OSError as error:
        raise NoneSucceeded([error]) from error


async def _places(
    target: ListenAddress, kind: socket.SocketKind, reaching: Reaching
) -> list[tuple[int, Any]]:
    """Return the family and the address of each place that an address names."""
    if isinstance(target, InetAddress):
        reaching.step = "resolve"
        return interleaved(await resolve_host(target.host, target.port, kind))
    if isinstance(target, VsockAddress):
        return [(_vsock(), (target.cid, target.port))]
    if isinstance(target, AbstractAddress):
        return [(_AF_UNIX, abstract_name(target))]
    assert isinstance(target, UnixAddress)
    return [(_AF_UNIX, target.path)]


def _vsock() -> int:
    family = getattr(socket, "AF_VSOCK", None)
    if family is None:
        raise OSError(errno.EAFNOSUPPORT, "this Python was built without vsock")
    return int(family)


async def _local_places(
    source: ListenAddress | None, kind: socket.SocketKind, reaching: Reaching
) -> list[tuple[int, Any]]:
    if source is None or isinstance(source, UnixAddress):
        return []
    return await _places(source, kind, reaching)


async def _connect(
    ends: Ends, family: int, address: Any, locals_: list[tuple[int, Any]]
) -> Connected:
    connected = Connected(socket.socket(family, ends.kind))
    try:
        connected.sock.setblocking(False)
        options = SocketOptions.of(ends.options)
        set_options(connected.sock, options.set_ones())
        _bind(connected, ends, locals_)
        await _connect_to(connected.sock, address)
        _refuse_oneself(connected.sock)
    except BaseException:
        connected.close()
        raise
    return connected


def _bind(connected: Connected, ends: Ends, locals_: list[tuple[int, Any]]) -> None:
    sock = connected.sock
    if isinstance(ends.source, UnixAddress):
        connected.bound = _bind_path(sock, ends.source.path)
    elif ends.source is not None:
        fitting = [address for family, address in locals_ if family == sock.family]
        if not fitting:
            reason = f"the source {ends.source} is of a different family"
            raise OSError(errno.EAFNOSUPPORT, reason)
        sock.bind(fitting[0])
    elif sock.family == _AF_UNIX and ends.kind == socket.SOCK_DGRAM:
        # Without a name the peer could not reply; Linux assigns an abstract one (unix(7),
        # autobind).
        sock.bind("")


def _bind_path(sock: socket.socket, path: bytes) -> Place:
    """Bind to a path; return the place of the file created."""
    place = Place(path)
    try:
        sock.bind(path)
        found = place.pin()
        if found is None or not stat.S_ISSOCK(found.st_mode):
            place.forget()  # another process was quicker: the file here is not ours
    except BaseException:
        place.close()
        raise
    return place


async def _connect_to(sock: socket.socket, address: Any) -> None:
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        await asyncio.get_running_loop().sock_connect(sock, address)
        return
    # Event loops take no address of vsock, and take a full backlog for success.
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            sock.connect(address)
        except BlockingIOError:
            if sock.family != _AF_UNIX:
                await _connection_made(sock)
                return
            # unix(7): EAGAIN means that the server's backlog is full; nothing is under way.
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        else:
            return


def _refuse_oneself(sock: socket.socket) -> None:
    """Refuse a connection from a socket to itself.

    TCP makes one if nobody listens at a port of this host and the system chooses the same port for
    this end (RFC 9293 §3.5, simultaneous open).
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
        return
    try:
        peer = sock.getpeername()
    except OSError:  # it has left already, or nothing is sent yet (fast open)
        return
    if sock.getsockname() == peer:
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


async def _connection_made(sock: socket.socket) -> None:
    """Wait until the system has connected a socket, or has given up."""
    loop = asyncio.get_running_loop()
    writable: asyncio.Future[None] = loop.create_future()
    loop.add_writer(sock.fileno(), _wake, writable)
    try:
        await writable
    finally:
        loop.remove_writer(sock.fileno())
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
