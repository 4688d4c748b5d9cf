"""Listening sockets for a third-party server: opened here, accepted there.

    with listening_sockets("127.0.0.1:8080", "unix:/run/app.sock?mode=0660") as listening:
        uvicorn.Server(config).run(sockets=listening.sockets)

Opening uses the listeners' own code: names, wildcards, ranges, sockets that systemd passed, modes
and owners, stale sockets. Options that only a Pierhead server could enforce are refused by name:
the server that accepts the connections reads, wraps and limits them.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pierhead.address import InetdAddress, ListenSpec, MemoryAddress
from pierhead.address.option import AppliedBy
from pierhead.address.views import AdoptOptions
from pierhead.errors import ListenError, UsageError
from pierhead.listener.open import open_all
from pierhead.listener.process_sockets import ProcessSockets
from pierhead.listener.set import ListenerSet
from pierhead.listener.stream import SocketStreamListener
from pierhead.service.context import Transport

__all__ = ["ListeningSockets", "listening_sockets"]

#: The layers whose options take effect by the time the socket listens.
_OF_THE_SOCKET = frozenset(
    {
        AppliedBy.ADDRESS,
        AppliedBy.ADOPT,
        AppliedBy.BIND,
        AppliedBy.PATH,
        AppliedBy.SOCKET,
    }
)

_REMEDIES = {
    "tls": "give the certificate to the server that takes the sockets, or serve with Pierhead",
    "proxy": "let the server that takes the sockets read the header, or serve with Pierhead",
}


@dataclass(frozen=True, slots=True)
class ListeningSockets:
    """Listening sockets with their addresses; a name or a range yields several.

    Attributes:
        sockets: ordinary, blocking, not inherited by child programs. The server that takes them may
            close them; those left open are closed at the end.
        addresses: the bound address of each, as text.
        specs: the spec of each.
    """

    sockets: list[socket.socket]
    addresses: list[str]
    specs: list[ListenSpec]


@contextmanager
def listening_sockets(
    *addresses: str | ListenSpec, process_sockets: ProcessSockets | None = None
) -> Iterator[ListeningSockets]:
    """Listen on every address, or on none, while the block runs.

    Afterwards nothing listens any more, and files on disk are removed if they are still ours; in a
    process forked inside the block the files stay, since they belong to its parent. It may be used
    inside a running event loop, which then blocks while names resolve.

    Args:
        addresses: stream addresses; ``host:port`` is TCP.
        process_sockets: what the servers of this process share; as for `Server`.

    Raises:
        UsageError: no address.
        AddressError: an address does not parse.
        ListenError: an address could not be opened, or needs more than a socket.
    """
    if not addresses:
        raise UsageError("no address to listen on; give one such as '127.0.0.1:0'")
    process = process_sockets or ProcessSockets.of_this_process()
    listeners = _open([_group(address) for address in addresses], process)
    with ExitStack() as closing:
        closing.callback(listeners.close)
        sockets = [closing.enter_context(_second(one)) for one in listeners]
        specs = [one.spec for one in listeners]
        yield ListeningSockets(sockets, listeners.addresses, specs)


class _Streams:
    """The meaning of a short form here."""

    short_form = ("tcp",)


def _group(address: str | ListenSpec) -> tuple[ListenSpec, ...]:
    spec = address if isinstance(address, ListenSpec) else ListenSpec.parse(address)
    for wrapper in spec.wrappers:
        reason = f"{wrapper}+ works between a connection and its server, not on a socket"
        raise ListenError(str(spec), f"wrapper {wrapper}", reason, _REMEDIES[wrapper])
    specs = spec.resolve(_Streams())
    for one in specs:
        _check(one)
    return specs


def _check(spec: ListenSpec) -> None:
    if isinstance(spec.address, MemoryAddress):
        reason = "a memory network has no socket, and only a Pierhead server can accept on it"
        raise ListenError(str(spec), "open", reason, "write tcp:127.0.0.1:0 or unix:PATH")
    if isinstance(spec.address, InetdAddress) and AdoptOptions.of(spec.options).mode == "nowait":
        reason = "standard input is one connection, not a listening socket"
        remedy = "have the super-server pass the listening socket (wait, Accept=no): ?mode=wait"
        raise ListenError(str(spec), "open", reason, remedy)
    for row, _ in spec.options.rows():
        if not _OF_THE_SOCKET.issuperset(row.applied_by):
            reason = f"{row.key} is enforced by the server that accepts, which is not Pierhead here"
            remedy = "leave it out, and set its equivalent at the server that takes the sockets"
            raise ListenError(str(spec), f"option {row.key}", reason, remedy)
    if spec.kind is not None:
        _check_transport(spec, spec.address.place, Transport(spec.kind))


def _check_transport(spec: ListenSpec, local: str, transport: Transport) -> None:
    if transport is not Transport.STREAM:
        reason = f"{local} is {transport.value}, expected streams"
        remedy = "write tcp: or unix:; servers that take sockets accept only streams"
        raise ListenError(str(spec), "open", reason, remedy)


def _open(groups: Sequence[tuple[ListenSpec, ...]], process: ProcessSockets) -> ListenerSet:
    """Open in a thread with its own event loop.

    So the caller may have a running loop, and keeps the one it has set.
    """
    with ThreadPoolExecutor(1, "pierhead-open") as thread:
        opening = thread.submit(lambda: asyncio.run(_opened(groups, process)))
        try:
            return opening.result()
        except BaseException:
            if opening.exception() is None:  # the caller was interrupted, not the opening
                opening.result().abandon()
            raise


async def _opened(groups: Sequence[tuple[ListenSpec, ...]], process: ProcessSockets) -> ListenerSet:
    listeners = await open_all(groups, process_sockets=process)
    try:
        for one in listeners:
            _check_transport(one.spec, one.local, one.transport)
        if not listeners:
            asked = ", ".join(str(spec) for group in groups for spec in group)
            reason = "none of the addresses has a socket"
            remedy = "leave optional out of one of them, so that its absence is an error"
            raise ListenError(asked, "open", reason, remedy)
    except BaseException:
        listeners.abandon()
        raise
    process.passed.report_unused()
    return listeners


def _second(listener: object) -> socket.socket:
    """Return a new socket object with its own descriptor, for its user to close."""
    assert isinstance(listener, SocketStreamListener)  # no wrapper, no memory, no connection
    sock = socket.socket(fileno=os.dup(listener.fileno()))
    sock.setblocking(True)  # the default of a new socket; event loops change it themselves
    return sock
