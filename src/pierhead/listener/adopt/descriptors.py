"""``fd:``, ``sd:`` and the like: turning an inherited descriptor into a listener that owns it.

Adoption checks first: what the address promises (``type=``), what the socket is, and that no other
listener has it. A refused descriptor stays open and unchanged.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pierhead.address import (
    AbstractAddress,
    DescriptorAddress,
    ListenSpec,
    UnixAddress,
    VsockAddress,
)
from pierhead.address.schemes import PASSED_SCHEMES
from pierhead.address.views import AdoptOptions, SocketOptions
from pierhead.buffer import BufferSource
from pierhead.errors import ListenError, Overloaded
from pierhead.listener.adopt.inspection import AdoptedSocket, inspect_descriptor
from pierhead.listener.adopt.reserved import ReservedDescriptors
from pierhead.listener.datagram import SocketDatagramListener
from pierhead.listener.os_errors import adoption_refused
from pierhead.listener.socket_option import apply_options, for_accepted
from pierhead.listener.stream import SocketStreamListener, StreamSettings
from pierhead.net.datagram.ancillary import enable_packet_info
from pierhead.net.resolve import inet_text
from pierhead.net.unix import SUN_PATH_BYTES
from pierhead.service.context import Transport

__all__ = [
    "Adopted",
    "adopt",
    "adopt_all",
    "open_descriptors",
    "refuse_ineffective_options",
    "socket_text",
]

Adopted = SocketStreamListener | SocketDatagramListener

_TYPES = {
    "stream": Transport.STREAM,
    "dgram": Transport.DATAGRAM,
    "seqpacket": Transport.SEQPACKET,
}
_UNIX_SCHEMES = {
    Transport.STREAM: "unix",
    Transport.DATAGRAM: "unixgram",
    Transport.SEQPACKET: "unixseq",
}
#: The schemes for adopted sockets, whose own options apply before the socket is inspected.
_ADOPTING = PASSED_SCHEMES | {"inetd"}
_AF_VSOCK: int = getattr(socket, "AF_VSOCK", -1)


def open_descriptors(
    spec: ListenSpec, buffers: BufferSource, batched: bool | None, reserved: ReservedDescriptors
) -> list[Adopted]:
    """Adopt the descriptors of an ``fd:`` address, all or none.

    Raises:
        ListenError: says which one, what it is, and what was expected.
    """
    assert isinstance(spec.address, DescriptorAddress)
    named = [(number, f"descriptor {number}") for number in spec.address.numbers]
    return adopt_all(spec, named, buffers, batched, reserved)


def adopt_all(
    spec: ListenSpec,
    named: Sequence[tuple[int, str]],
    buffers: BufferSource,
    batched: bool | None,
    reserved: ReservedDescriptors,
) -> list[Adopted]:
    """Adopt descriptors, each with its name in messages, all or none.

    Raises:
        ListenError: says which one, what it is, and what was expected; all of them stay open.
    """
    adopted: list[Adopted] = []
    try:
        for number, called in named:
            adopted.append(adopt(spec, number, called, buffers, reserved, batched=batched))
    except BaseException:
        for listener in adopted:
            listener.abandon()
        raise
    return adopted


def adopt(
    spec: ListenSpec,
    number: int,
    called: str,
    buffers: BufferSource,
    reserved: ReservedDescriptors,
    *,
    batched: bool | None = None,
) -> Adopted:
    """Return a listener that owns this descriptor.

    Args:
        called: the name of the descriptor in messages.
        reserved: the descriptors being served; this one is added until it is closed.

    Raises:
        ListenError: it cannot be served; then it stays open.
    """
    address = str(spec)
    found = inspect_descriptor(number, address, called)
    _check(spec, found, called)
    refuse_ineffective_options(spec, found, called)
    reserved.reserve(number, address, called)
    sock = socket.socket(fileno=number)
    try:
        return _listener(
            spec, sock, found, buffers, batched=batched, on_close=partial(reserved.release, number)
        )
    except BaseException as error:
        sock.detach()
        reserved.release(number)
        if isinstance(error, OSError):
            raise adoption_refused(address, called, error) from error
        raise


def _check(spec: ListenSpec, found: AdoptedSocket, called: str) -> None:
    address = str(spec)
    wanted = AdoptOptions.of(spec.options).type
    if wanted and _TYPES[wanted] is not found.transport:
        reason = f"{called} is {found}, expected type {wanted}"
        raise ListenError(address, "adopt", reason, "name another descriptor, or correct type=")
    if found.is_connected:
        reason = f"{called} is {found}, expected one that peers can reach"
        remedy = (
            "an already accepted connection is served as inetd, on standard input; "
            "in a .socket unit, write Accept=no"
        )
        raise ListenError(address, "adopt", reason, remedy)
    if found.transport is Transport.DATAGRAM:
        if not found.is_bound:
            reason = f"{called} is {found}: no peer can send to it"
            raise ListenError(address, "adopt", reason, "bind() it before passing it")
        if found.family == _AF_VSOCK:
            reason = f"{called} is {found}, which cannot be served"
            raise ListenError(address, "adopt", reason, "use a stream or seqpacket socket")
    elif not found.is_listening:
        reason = f"{called} is {found}, expected a listening one"
        raise ListenError(address, "adopt", reason, "listen() on it before passing it")


def refuse_ineffective_options(spec: ListenSpec, found: AdoptedSocket, called: str) -> None:
    """Refuse an address with an option that has no effect on this socket.

    Args:
        called: the name of the descriptor in messages.

    Raises:
        ListenError: there is one.
    """
    scheme = _scheme(found.family, found.transport)
    for row, _ in spec.options.rows():
        is_wrappers = row.wrappers & set(spec.wrappers)
        is_for_adopting = row.schemes <= _ADOPTING
        if not (is_wrappers or is_for_adopting or scheme in row.schemes):
            reason = f"{row.key} has no effect on {called}, {found}"
            remedy = "leave it out, or write one address for the sockets of each type"
            raise ListenError(str(spec), f"option {row.key}", reason, remedy)


def _scheme(family: int, transport: Transport) -> str:
    """Return the scheme that would open such a socket."""
    if family in (socket.AF_INET, socket.AF_INET6):
        return "udp" if transport is Transport.DATAGRAM else "tcp"
    if family == _AF_VSOCK:
        return "vsockseq" if transport is Transport.SEQPACKET else "vsock"
    return _UNIX_SCHEMES[transport]


def _listener(
    spec: ListenSpec,
    sock: socket.socket,
    found: AdoptedSocket,
    buffers: BufferSource,
    *,
    batched: bool | None,
    on_close: Callable[[], None],
) -> Adopted:
    # Before anything else: a program started meanwhile must not keep the socket open.
    sock.set_inheritable(False)
    sock.setblocking(False)
    apply_options(sock, spec)
    local = socket_text(sock, found.transport)
    if found.transport is not Transport.DATAGRAM:
        settings = StreamSettings(
            _reached(sock), SocketOptions.of(spec.options).nodelay, for_accepted(sock, spec)
        )
        return SocketStreamListener(
            spec, local, sock, settings, transport=found.transport, on_close=on_close
        )
    packet_info = _is_wildcard(sock) and enable_packet_info(sock)
    try:
        return SocketDatagramListener(
            spec,
            local,
            sock,
            buffers,
            packet_info=packet_info,
            batched=batched,
            on_close=on_close,
        )
    except Overloaded as error:
        remedy = "give the server a larger buffer pool, or listen on fewer datagram addresses"
        raise ListenError(str(spec), "buffers", str(error), remedy) from error


def _reached(sock: socket.socket) -> Callable[[Any], str] | None:
    return partial(inet_text, "tcp") if _is_wildcard(sock) else None


def _is_wildcard(sock: socket.socket) -> bool:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    host = str(sock.getsockname()[0]).partition("%")[0]
    return ipaddress.ip_address(host).is_unspecified


def socket_text(sock: socket.socket, transport: Transport) -> str:
    """Return the address that a socket is bound to, as text."""
    name, scheme = sock.getsockname(), _scheme(sock.family, transport)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        return inet_text(scheme, name)
    if sock.family == _AF_VSOCK:
        return str(VsockAddress(scheme, *name))
    return _unix_text(scheme, name)


def _unix_text(scheme: str, name: str | bytes) -> str:
    if not name:
        return f"{scheme}:"  # it has no name: one end of a pair
    if isinstance(name, str):
        return str(UnixAddress(scheme, os.fsencode(name)))
    padded = len(name) == SUN_PATH_BYTES and name.endswith(b"\0")
    return str(AbstractAddress(scheme, name[1:].rstrip(b"\0") if padded else name[1:], padded))
