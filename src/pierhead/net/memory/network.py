"""The network itself: who is called what, and what lies between them. One per event loop."""

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
    """An end that takes connections."""

    def offer(self, transport: MemoryTransport, source: str) -> None:
        """Take a new connection: this side of it, and who is at the other.

        Raises:
            ConnectionRefusedError: too many wait already.
        """
        ...


class DatagramEnd(Protocol):
    """An end that datagrams are sent to."""

    def arrive(self, payload: bytes, sender: str) -> None:
        """Take a datagram that has made its way."""
        ...


class Network:
    """The ends that exist in one event loop, and the links between them."""

    _by_loop: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, Network]] = WeakKeyDictionary()

    def __init__(self) -> None:
        #: Stream listeners and datagram ends by name.
        self.streams: dict[str, StreamEnd] = {}
        self.datagrams: dict[str, DatagramEnd] = {}
        self._links: WeakValueDictionary[frozenset[str], Link] = WeakValueDictionary()
        self._kept: dict[frozenset[str], Link] = {}  # those that a test may have changed
        self._unnamed = itertools.count(1)

    @classmethod
    def current(cls) -> Network:
        """Return the network of the running event loop, made at the first call."""
        return cls.of(asyncio.get_running_loop())

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> Network:
        """Return the network of this event loop, made at the first call."""
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
        """Return the link that traffic takes; it lives as long as anybody holds it.

        So a server that is asked by a thousand unnamed clients does not keep a thousand links.
        """
        ends = frozenset((first, second))
        link = self._links.get(ends)
        if link is None:
            link = self._links[ends] = Link(first, second)
        return link

    def unused_name(self) -> str:
        """Return a name for an end that was given none: ``client-1`` and so on."""
        return f"client-{next(self._unnamed)}"


def register(ends: dict[str, T], name: str, end: T, address: str) -> None:
    """Enter an end under its name.

    Raises:
        ListenError: there is one of this name already.
    """
    if name in ends:
        raise ListenError(
            address,
            "open",
            f"the memory network has an end called {name!r} already",
            "close that one first, or choose another name",
        )
    ends[name] = end


def connect_memory(
    name: str, protocol: asyncio.BaseProtocol, source: str | None
) -> MemoryTransport:
    """Connect to a stream listener of this event loop's network.

    Raises:
        ConnectionRefusedError: nobody listens under this name.
        OSError: EHOSTUNREACH, the link is cut.
    """
    network = Network.current()
    local = source or network.unused_name()
    listener = network.streams.get(name)
    if listener is None:
        raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody listens on mem:{name}")
    link = network.link(local, name)
    if link.is_cut:
        raise OSError(errno.EHOSTUNREACH, f"the link from {local} to {name} is cut")
    near, far = MemoryTransport.pair(link, local, name)
    listener.offer(far, local)
    near.open(protocol)
    return near
