"""The sockets of several workers: opened once, by the process that outlives them.

Each worker has sockets of its own for TCP and UDP, which share their port (SO_REUSEPORT): the
kernel gives each a share of the clients, and what waits in the queue of a worker that has died
waits for the next one. All other sockets are shared by the workers.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from pierhead.address import InetAddress, InetdAddress, ListenOptions, ListenSpec, MemoryAddress
from pierhead.address.registry import NAME, OPTIONS, REUSEPORT
from pierhead.address.views import ServingOptions, SocketOptions
from pierhead.errors import ListenError, UsageError
from pierhead.listener.base import Listener
from pierhead.listener.open import Group, open_all
from pierhead.listener.socket_listener import SocketListener
from pierhead.listener.wrap.wrappers import unwrapped, wrap_all

__all__ = ["WorkerSockets"]

#: Options that mean nothing without the wrapper they are for.
_OF_WRAPPERS = frozenset(option.key for option in OPTIONS if option.wrappers)


class WorkerSockets:
    """The listeners of each worker; they belong to the process that opened them.

    Attributes:
        of_worker: for each worker, its listeners.
    """

    def __init__(self, of_worker: Sequence[Sequence[Listener]]) -> None:
        self.of_worker = of_worker

    @classmethod
    async def opened(
        cls, groups: Sequence[Group], workers: int, protocols: tuple[str, ...] = ()
    ) -> WorkerSockets:
        """Open every address for this many workers, or none.

        Raises:
            ListenError: an address is in use, or cannot be opened.
            UsageError: an address is for one process alone.
        """
        for group in groups:
            _check_may_be_shared(group)
        first = await open_all(groups, protocols=protocols)
        found: list[Listener] = list(first)
        columns: list[list[Listener]] = []
        try:
            for one in first:
                column = [one]
                while len(column) < workers:
                    column.append(await _beside(one))
                    found.append(column[-1])
                # Around all of them at once, so that they share the secret of session tickets.
                bases = [unwrapped(listener) for listener in column]
                columns.append(wrap_all(bases, protocols, asked=one.spec))
        except BaseException:
            for listener in found:
                listener.close()
            raise
        return cls([[column[worker] for column in columns] for worker in range(workers)])

    @property
    def addresses(self) -> list[str]:
        """The bound addresses, as text."""
        return [listener.local for listener in self.of_worker[0]]

    def lend(self, worker: int) -> list[Listener]:
        """Return the listeners of a worker, in its process; those of others are closed there.

        Closing these leaves files of sockets as they are: other processes use them.
        """
        mine = self.of_worker[worker]
        for listeners in self.of_worker:
            for listener in listeners:
                base = unwrapped(listener)
                assert isinstance(base, SocketListener)
                base.lend()
                if not any(listener is one for one in mine):
                    listener.close()
        return list(mine)

    def close(self) -> None:
        """Close all of them."""
        for listeners in self.of_worker:
            for listener in listeners:
                listener.close()


def _check_may_be_shared(group: Group) -> None:
    if not isinstance(group, tuple):
        raise UsageError(f"{group!r} is a listener object, which workers cannot share")
    for spec in group:
        if isinstance(spec.address, (InetdAddress, MemoryAddress)):
            raise UsageError(
                f"{spec} is served by one process alone; leave it out, or serve with one worker"
            )


async def _beside(listener: Listener) -> Listener:
    """Return another socket at the same address, or the same where there can be one alone."""
    base = unwrapped(listener)
    assert isinstance(base, SocketListener)
    if not isinstance(base.spec.address, InetAddress):
        return base
    _share_port(base)
    bound = ListenSpec.parse(base.local).address
    name = ServingOptions.of(base.spec.options).name or str(base.spec)
    given = {**dict(base.spec.options.given), REUSEPORT.key: True, NAME.key: name}
    own = {key: value for key, value in given.items() if key not in _OF_WRAPPERS}
    return (await open_all([(ListenSpec((), bound, ListenOptions.of(own)),)]))[0]


def _share_port(base: SocketListener) -> None:
    """Let other sockets of this user be bound to the same port from now on.

    It was bound without, so that a port in use was refused.
    """
    if SocketOptions.of(base.spec.options).reuseport:
        return
    try:
        base.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except (AttributeError, OSError) as error:
        reason = f"workers need SO_REUSEPORT, which this system has not: {error}"
        raise ListenError(str(base.spec), "option", reason, "serve with one worker") from error
