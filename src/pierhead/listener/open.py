"""From addresses to listeners, all or nothing.

for listener in await open_all([spec.resolve(endpoint) for spec in specs]):
    ...
"""

from __future__ import annotations

import asyncio
import errno
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pierhead.address import (
    DescriptorAddress,
    InetAddress,
    InetdAddress,
    LaunchdAddress,
    ListenSpec,
    MemoryAddress,
    SystemdAddress,
    VsockAddress,
    refusals,
)
from pierhead.address.registry import Side
from pierhead.address.validation import wrong_side
from pierhead.address.views import MemoryOptions
from pierhead.buffer import BufferPool, BufferSource
from pierhead.errors import ListenError, Overloaded, UsageError
from pierhead.listener.adopt.descriptors import open_descriptors
from pierhead.listener.adopt.inetd import open_inetd
from pierhead.listener.adopt.launchd import open_launchd
from pierhead.listener.adopt.systemd import open_passed
from pierhead.listener.base import Listener
from pierhead.listener.bind.inet import InetSocket, plan_inet
from pierhead.listener.bind.memory import MemoryStreamListener
from pierhead.listener.bind.unix import open_unix
from pierhead.listener.bind.vsock import open_vsock
from pierhead.listener.datagram import SocketDatagramListener
from pierhead.listener.process_sockets import ProcessSockets
from pierhead.listener.set import ListenerSet, abandon
from pierhead.listener.stream import SocketStreamListener
from pierhead.listener.wrap.wrappers import wrap_all
from pierhead.net.memory import MemoryDatagramEnd, Network

__all__ = ["Group", "open_all", "open_listeners"]

#: The specs of one address for a protocol; or a listener that the caller has opened.
Group: TypeAlias = tuple[ListenSpec, ...] | Listener

#: A port that is free for one socket of a group may be taken for the next: the number of attempts.
_PORT_ATTEMPTS = 32


@dataclass(frozen=True, slots=True)
class _Means:
    """The arguments for opening listeners."""

    buffers: BufferSource
    batched: bool | None
    process: ProcessSockets
    leaving: Sequence[Listener] = ()


async def open_listeners(
    spec: ListenSpec,
    *,
    buffers: BufferSource | None = None,
    batched: bool | None = None,
    protocols: tuple[str, ...] = (),
    process_sockets: ProcessSockets | None = None,
) -> ListenerSet:
    """Open one address; a name or a range of ports may yield several listeners.

    Args:
        spec: an address with a scheme; resolve a short form first.
        buffers: the pool of receive buffers for datagram listeners; None for a pool of their own.
        batched: False to receive datagrams one by one even if the system supports batches.
        protocols: what ALPN offers unless the address sets it.
        process_sockets: what the servers of this process share; None for the process-wide default.

    Raises:
        ListenError: which address, which step, why, and what to do; nothing stays open.
    """
    return await open_all(
        [(spec,)],
        buffers=buffers,
        batched=batched,
        protocols=protocols,
        process_sockets=process_sockets,
    )


async def open_all(
    groups: Sequence[Group],
    *,
    buffers: BufferSource | None = None,
    batched: bool | None = None,
    protocols: tuple[str, ...] = (),
    process_sockets: ProcessSockets | None = None,
    beside: Sequence[Listener] = (),
    leaving: Sequence[Listener] = (),
) -> ListenerSet:
    """Open every address, or none.

    A group is the specs of one address for a protocol (`ListenSpec.resolve`): if its members leave
    the port to the system, they all get the same one. An item may also be a listener that the
    caller has opened; a failure leaves it untouched.

    Args:
        groups: the addresses.
        buffers, batched, protocols, process_sockets: as for `open_listeners`.
        beside: other listeners of the caller, which an error may be about.
        leaving: those of the caller that will be closed once everything is open.

    Raises:
        ListenError: which address, which step, why, and what to do; nothing stays open.
    """
    means = _Means(
        BufferPool() if buffers is None else buffers,
        batched,
        process_sockets or ProcessSockets.of_this_process(),
        leaving,
    )
    given = [group for group in groups if not isinstance(group, tuple)]
    opened: list[Listener] = []
    sizes: list[int] = []
    try:
        for group in groups:
            start = len(opened)
            if isinstance(group, tuple):
                opened += await _open_group(group, means, [*beside, *opened])
                opened[start:] = wrap_all(opened[start:], protocols)
            else:
                opened.append(group)
            sizes.append(len(opened) - start)
    except BaseException:
        ListenerSet(opened, given).abandon()
        raise
    return ListenerSet(opened, given, sizes)


async def _open_group(
    group: tuple[ListenSpec, ...], means: _Means, beside: Sequence[Listener]
) -> list[Listener]:
    opened: list[Listener] = []
    free_port: list[InetSocket] = []
    try:
        for spec in group:
            _check_form(spec)
            if not isinstance(spec.address, InetAddress):
                opened += _open_local_beside([*beside, *opened], spec, means)
                continue
            planned = await plan_inet(spec)
            free_port += [one for one in planned if not one.port]
            for one in planned:
                if one.port:
                    opened.append(_open_beside([*beside, *opened], one, means))
        opened += _share_port(free_port, means)
    except BaseException:
        abandon(opened)
        raise
    return opened


def _open_beside(others: Sequence[Listener], one: InetSocket, means: _Means) -> Listener:
    try:
        return _open_inet(one, means)
    except ListenError as error:
        raise _said_of_ours(
            error, lambda other: one.collides(other.spec, other.local), others, means
        ) from error


def _said_of_ours(
    error: ListenError,
    collides: Callable[[Listener], bool],
    others: Sequence[Listener],
    means: _Means,
) -> ListenError:
    """Return the error, or one with another remedy if it is this server that has the address."""
    if error.errno != errno.EADDRINUSE:
        return error
    if ours := [other.local for other in others if collides(other)]:
        remedy = f"this server listens there itself, as {' and '.join(ours)}: leave one out"
    elif ours := [other.local for other in means.leaving if collides(other)]:
        remedy = (
            f"this server itself listens there until the change is made, as {' and '.join(ours)}: "
            "make the change in two, the first without either"
        )
    else:
        return error
    return ListenError(error.address, error.step, error.reason, remedy, error.errno)


def _check_form(spec: ListenSpec) -> None:
    scheme = spec.address.scheme
    if scheme is None:
        raise UsageError(f"{spec} has no scheme: resolve it for a protocol, or write tcp:{spec}")
    for reason in refusals(spec, sys.platform):
        raise ListenError(str(spec), "open", reason, "leave it out, or write another address")
    conflict = wrong_side(Side.LISTEN, spec.options)
    if conflict:
        raise ListenError(str(spec), "open", conflict.reason, conflict.remedy)


def _open_local_beside(
    others: Sequence[Listener], spec: ListenSpec, means: _Means
) -> list[Listener]:
    try:
        return _open_local(spec, means)
    except ListenError as error:
        raise _said_of_ours(
            error, lambda other: other.spec.address == spec.address, others, means
        ) from error


def _open_local(spec: ListenSpec, means: _Means) -> list[Listener]:
    buffers, batched, process = means.buffers, means.batched, means.process
    match spec.address:
        case MemoryAddress():
            return [_open_memory(spec, spec.address)]
        case DescriptorAddress():
            return _all_watched(open_descriptors(spec, buffers, batched, process.reserved))
        case InetdAddress():
            return [_taken_over(spec, means)]
        case VsockAddress():
            return [_watched(open_vsock(spec))]
        case LaunchdAddress():
            return _all_watched(open_launchd(spec, buffers, batched, process.reserved))
        case SystemdAddress():
            return _all_watched(open_passed(spec, buffers, batched, process.passed))
    try:
        return [_watched(open_unix(spec, buffers, batched))]
    except Overloaded as error:
        raise _no_buffers(spec, error) from error


def _taken_over(spec: ListenSpec, means: _Means) -> Listener:
    process = means.process
    listener = open_inetd(
        spec,
        means.buffers,
        means.batched,
        process.reserved,
        process.streams,
        environment=process.environment,
    )
    if isinstance(listener, (SocketStreamListener, SocketDatagramListener)):
        return _watched(listener)
    return listener


def _open_memory(spec: ListenSpec, address: MemoryAddress) -> Listener:
    if address.scheme == "mem":
        return MemoryStreamListener(spec, address.name, Network.current())
    options = MemoryOptions.of(spec.options)
    seed = options.seed or 0
    return MemoryDatagramEnd(spec, address.name, Network.current(), loss=options.loss, seed=seed)


def _open_inet(one: InetSocket, means: _Means) -> Listener:
    try:
        return _watched(one.open(means.buffers, means.batched))
    except Overloaded as error:
        raise _no_buffers(one.spec, error) from error


def _share_port(sockets: Sequence[InetSocket], means: _Means) -> list[Listener]:
    """Open sockets that leave the port to the system, all on the same port."""
    for attempt in range(1, _PORT_ATTEMPTS + 1):
        opened: list[Listener] = []
        try:
            for one in sockets:
                port = int(opened[0].local.rpartition(":")[2]) if opened else 0
                opened.append(_open_inet(one.with_port(port), means))
        except BaseException as error:
            abandon(opened)
            taken = isinstance(error, ListenError) and error.errno == errno.EADDRINUSE
            if not (taken and opened and attempt < _PORT_ATTEMPTS):
                raise
        else:
            return opened
    raise AssertionError("the last attempt returns or raises")


def _watched(listener: SocketStreamListener | SocketDatagramListener) -> Listener:
    """Check now, and not at the first connection, that this event loop can watch sockets."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_reader(listener.fileno(), int)
    except BaseException:
        abandon([listener])
        raise
    loop.remove_reader(listener.fileno())
    return listener


def _all_watched(
    listeners: Sequence[SocketStreamListener | SocketDatagramListener],
) -> list[Listener]:
    try:
        return [_watched(listener) for listener in listeners]
    except BaseException:
        abandon(listeners)
        raise


def _no_buffers(spec: ListenSpec, error: Overloaded) -> ListenError:
    remedy = "give the server a larger buffer pool, or listen on fewer datagram addresses"
    return ListenError(str(spec), "buffers", str(error), remedy)
