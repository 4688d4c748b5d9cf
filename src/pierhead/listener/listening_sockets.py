"""Our addresses for somebody else's server: listening sockets, opened here, accepted there.

    with listening_sockets("127.0.0.1:8080", "unix:/run/app.sock?mode=0660") as listening:
        uvicorn.Server(config).run(sockets=listening.sockets)

Opening is the listener's own code: names, wildcards, ranges, sockets that systemd passed, modes
and owners, dead sockets in the way. What only a server of ours could keep is refused by name:
whoever accepts the connections reads, wraps and limits them.
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

#: Who is done with its options once the socket listens, or leaves them with the socket.
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
    """Listening sockets with where they listen; a name or a range gives several.

    Attributes:
        sockets: ordinary, blocking, not inherited by a program that is started. Whoever takes
            them may close them; those left are closed at the end.
        addresses: of each, as bound, in the grammar.
        specs: of each, as asked.
    """

    sockets: list[socket.socket]
    addresses: list[str]
    specs: list[ListenSpec]


@contextmanager
def listening_sockets(
    *addresses: str | ListenSpec, process_sockets: ProcessSockets | None = None
) -> Iterator[ListeningSockets]:
    """Listen on every address, or on none, while the block runs.

    Afterwards nothing listens any more, and what was put on disk is gone if it is still ours; in
    a process that was forked off inside the block the files stay, since they are its parent's.
    It may be used inside a running event loop, which then waits as long as names take to resolve.

    Args:
        addresses: of streams; ``host:port`` is TCP.
        process_sockets: what the servers of this process share, as of `Server`.

    Raises:
        UsageError: no address.
        AddressError: an address that does not parse.
        ListenError: an address that could not be opened, or that asks for more than a socket.
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
    """What a short form means here."""

    short_form = ("tcp",)


def _group(address: str | ListenSpec) -> tuple[ListenSpec, ...]:
    spec = ListenSpec.parse(address) if isinstance(address, str) else address
    for wrapper in spec.wrappers:
        reason = f"{wrapper}+ stands between a connection and its server, not on a socket"
        raise ListenError(str(spec), f"wrapper {wrapper}", reason, _REMEDIES[wrapper])
    specs = spec.resolve(_Streams())
    for one in specs:
        _check(one)
    return specs


def _check(spec: ListenSpec) -> None:
    if isinstance(spec.address, MemoryAddress):
        reason = "memory has no socket, and only a server of ours can accept there"
        raise ListenError(str(spec), "open", reason, "write tcp:127.0.0.1:0 or unix:PATH")
    if isinstance(spec.address, InetdAddress) and AdoptOptions.of(spec.options).mode == "nowait":
        reason = "standard input is one connection, and not a socket that accepts them"
        remedy = "have the super-server pass the listening socket (wait, Accept=no): ?mode=wait"
        raise ListenError(str(spec), "open", reason, remedy)
    for row, _ in spec.options.rows():
        if not _OF_THE_SOCKET.issuperset(row.applied_by):
            reason = f"{row.key} is kept by whoever accepts, which is not Pierhead here"
            remedy = "leave it out, and set the like of it at the server that takes the sockets"
            raise ListenError(str(spec), f"option {row.key}", reason, remedy)
    if spec.kind is not None:
        _check_transport(spec, spec.address.place, Transport(spec.kind))


def _check_transport(spec: ListenSpec, local: str, transport: Transport) -> None:
    if transport is not Transport.STREAM:
        reason = f"{local} is {transport.value}, expected streams"
        remedy = "write tcp: or unix:; servers that take sockets accept streams alone"
        raise ListenError(str(spec), "open", reason, remedy)


def _open(groups: Sequence[tuple[ListenSpec, ...]], process: ProcessSockets) -> ListenerSet:
    """Open in a thread with an event loop of its own.

    So the caller may have one running, and keeps the one it has set.
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
            reason = "none of the addresses gave a socket"
            remedy = "leave optional out of one of them, so that its absence is an error of its own"
            raise ListenError(asked, "open", reason, remedy)
    except BaseException:
        listeners.abandon()
        raise
    process.passed.report_unused()
    return listeners


def _second(listener: object) -> socket.socket:
    """Return a socket object of the taker's own, on a descriptor that is its own to close."""
    assert isinstance(listener, SocketStreamListener)  # no wrapper, no memory, no connection
    sock = socket.socket(fileno=os.dup(listener.fileno()))
    sock.setblocking(True)  # what a new socket is; the event loops change it themselves
    return sock
