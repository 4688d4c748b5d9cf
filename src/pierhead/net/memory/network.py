"""The network itself: its named ends and the links between them. One per event loop."""

from __future__ import annotations

import asyncio
import errno
import itertools
from typing import ClassVar, Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from pierhead.errors import ListenError
from pierhead.net.memory.link import Link
from pierhead.net.memory.transport import MemoryTransport

__all__ = ["DatagramEnd", "Network", "StreamEnd", "connect_memory", "register"]

T = TypeVar("T")


class StreamEnd(Protocol):
    """An end that accepts connections."""

    def offer(self, transport: MemoryTransport, source: str) -> None:
        """Take a new connection: this side of it, and the peer at the other.

        Raises:
            ConnectionRefusedError: too many are already waiting.
        """
        ...


class DatagramEnd(Protocol):
    """An end that receives datagrams."""

    def arrive(self, payload: bytes, sender: str) -> None:
        """Take a datagram that has arrived."""
        ...


class Network:
    """The ends that exist in one event loop, and the links between them."""

    _by_loop: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, Network]] = WeakKeyDictionary()

    def __init__(self) -> None:
        #: Stream listeners and datagram ends by name.
        self.streams: dict[str, StreamEnd] = {}
        self.datagrams: dict[str, DatagramEnd] = {}
        self._links: WeakValueDictionary[frozenset[str], Link] = WeakValueDictionary()
        self._kept: dict[frozenset[str], Link] = {}  # links that a test may have changed
        self._unnamed = itertools.count(1)

    @classmethod
    def current(cls) -> Network:
        """Return the network of the running event loop, created at the first call."""
        return cls.of(asyncio.get_running_loop())

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> Network:
        """Return the network of this event loop, created at the first call."""
        network = cls._by_loop.get(loop)
        if network is None:
            network = cls._by_loop[loop] = cls()
        return network

    def between(self, first: str, second: str) -> Link:
        """Return the link between two ends, whether or not they exist yet.

        Names are those of the addresses: ``memgram:a`` and ``mem:a`` are both ``"a"``.
        """
        link = self._kept[frozenset((first, second))] = self.link(first, second)
        return link

    def link(self, first: str, second: str) -> Link:
        """Return the link that traffic takes; it lives as long as it is referenced.

        So a server with a thousand unnamed clients does not keep a thousand links.
        """
        ends = frozenset((first, second))
        link = self._links.get(ends)
        if link is None:
            link = self._links[ends] = Link(first, second)
        return link

    def unused_name(self) -> str:
        """Return a name for an unnamed end: ``client-1`` and so on."""
        return f"client-{next(self._unnamed)}"


def register(ends: dict[str, T], name: str, end: T, address: str) -> None:
    """Register an end under its name.

    Raises:
        ListenError: there is already one with this name.
    """
    if name in ends:
        raise ListenError(
            address,
            "open",
            f"the memory network already has an end called {name!r}",
            "close that one first, or choose another name",
            errno.EADDRINUSE,
        )
    ends[name] = end


def connect_memory(
    name: str, protocol: asyncio.BaseProtocol, source: str | None
) -> MemoryTransport:
    """Connect to a stream listener of this event loop's network.

    Raises:
        ConnectionRefusedError: no listener has this name.
        OSError: EHOSTUNREACH, the link is cut.
    """
    network = Network.current()
    local = source or network.unused_name()
    listener = network.streams.get(name)
    if listener is None:
        raise ConnectionRefusedError(errno.ECONNREFUSED, f"no listener on mem:{name}")
    link = network.link(local, name)
    if link.is_cut:
        raise OSError(errno.EHOSTUNREACH, f"the link from {local} to {name} is cut")
    near, far = MemoryTransport.pair(link, local, name)
    listener.offer(far, local)
    near.open(protocol)
    return near
