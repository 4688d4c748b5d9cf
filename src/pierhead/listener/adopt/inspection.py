"""Inspection of inherited descriptors, before anything is done with them.

The number in an address depends on another program, and the wrong socket would fail late and
obscurely: a connected socket never accepts, a datagram socket cannot, and a closed number may
belong to another file later. So everything is checked first, and a refused descriptor is left
unchanged.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pierhead.errors import ListenError
from pierhead.service.context import Transport

__all__ = ["AdoptedSocket", "borrowed", "inspect_descriptor", "kind_of_file"]

_TRANSPORTS = {
    socket.SOCK_STREAM: Transport.STREAM,
    socket.SOCK_DGRAM: Transport.DATAGRAM,
    getattr(socket, "SOCK_SEQPACKET", None): Transport.SEQPACKET,
}
_FAMILIES = {
    getattr(socket, name): word
    for name, word in {
        "AF_INET": "IPv4",
        "AF_INET6": "IPv6",
        "AF_UNIX": "Unix",
        "AF_VSOCK": "vsock",
    }.items()
    if hasattr(socket, name)
}
_FILES = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISREG, "a plain file"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISCHR, "a device"),
)
#: SO_ACCEPTCONN, where Python's socket module lacks it.
_SO_ACCEPTCONN = 30 if sys.platform == "linux" else 2


@dataclass(frozen=True, slots=True)
class AdoptedSocket:
    """The facts of one inherited socket.

    Attributes:
        number: the descriptor.
        family: one that listeners support.
        transport: how bytes travel on it.
        is_listening: whether connections can be accepted from it.
        is_connected: whether it has one peer.
        is_bound: whether it has an address that peers can reach.
    """

    number: int
    family: int
    transport: Transport
    is_listening: bool
    is_connected: bool
    is_bound: bool

    def __str__(self) -> str:
        if self.is_listening:
            state = "a listening"
        elif self.is_connected:
            state = "a connected"
        else:
            state = "a bound" if self.is_bound else "an unbound"
        return f"{state} {_FAMILIES[self.family]} {self.transport.value} socket"


def inspect_descriptor(number: int, address: str, called: str) -> AdoptedSocket:
    """Return the facts of this descriptor, which is left unchanged.

    Args:
        address: the address as given, for messages.
        called: the name of the descriptor in messages.

    Raises:
        ListenError: it is closed, not a socket, or of an unsupported family or type.
    """
    kind = kind_of_file(number)
    if kind is None:
        reason = f"{called} is not open"
        remedy = "pass it with close-on-exec off, and the same number in the child"
        raise ListenError(address, "adopt", reason, remedy, errno.EBADF)
    if kind != "a socket":
        reason = f"{called} is {kind}, expected a socket"
        raise ListenError(address, "adopt", reason, "name another descriptor", errno.ENOTSOCK)
    with borrowed(number) as sock:
        transport = _TRANSPORTS.get(sock.type)
        if sock.family not in _FAMILIES or transport is None:
            reason = f"{called} is a socket of family {int(sock.family)}, type {int(sock.type)}"
            remedy = "an IP, Unix or vsock socket can be served"
            raise ListenError(address, "adopt", reason, remedy)
        return AdoptedSocket(
            number,
            int(sock.family),
            transport,
            transport is not Transport.DATAGRAM and _is_listening(sock),
            _is_connected(sock),
            _is_bound(sock),
        )


def kind_of_file(number: int) -> str | None:
    """Return the type of file behind a descriptor, in words; None if it is not open."""
    try:
        mode = os.fstat(number).st_mode
    except OSError as error:
        if error.errno == errno.EBADF:
            return None
        raise
    if stat.S_ISSOCK(mode):
        return "a socket"
    if stat.S_ISCHR(mode) and os.isatty(number):
        return "a terminal"
    return next((word for is_kind, word in _FILES if is_kind(mode)), "no socket")


@contextmanager
def borrowed(number: int) -> Iterator[socket.socket]:
    """Lend a socket object for a descriptor without taking ownership."""
    sock = socket.socket(fileno=number)
    try:
        yield sock
    finally:
        sock.detach()


def _is_listening(sock: socket.socket) -> bool:
    option = getattr(socket, "SO_ACCEPTCONN", _SO_ACCEPTCONN)
    return bool(sock.getsockopt(socket.SOL_SOCKET, option))


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _is_bound(sock: socket.socket) -> bool:
    name = sock.getsockname()
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        return bool(name[1])
    return bool(name)
