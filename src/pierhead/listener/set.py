"""The listeners of one service, for all of its addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from pierhead.address import DescriptorAddress, LaunchdAddress, SystemdAddress
from pierhead.listener.base import Listener
from pierhead.listener.socket_listener import SocketListener
from pierhead.listener.wrap.wrappers import unwrapped

__all__ = ["ListenerSet", "abandon"]

#: Addresses whose sockets are adopted, not opened.
_ADOPTED = (DescriptorAddress, SystemdAddress, LaunchdAddress)


class ListenerSet(Sequence[Listener]):
    """Listeners that were opened together, in the order of their addresses.

    Args:
        members: the listeners, each with its wrappers.
        given: those below the wrappers that the caller has opened, and closes unless they are
            served.
        sizes: how many members each group of addresses has, in their order.
    """

    def __init__(
        self,
        members: Iterable[Listener],
        given: Iterable[Listener] = (),
        sizes: Iterable[int] = (),
    ) -> None:
        self._members = tuple(members)
        self._given = tuple(given)
        self._sizes = tuple(sizes)

    def by_group(self) -> Iterator[tuple[Listener, ...]]:
        """Yield the members of each group of addresses."""
        start = 0
        for size in self._sizes:
            yield self._members[start : start + size]
            start += size

    @property
    def addresses(self) -> list[str]:
        """The bound addresses, as text."""
        return [member.local for member in self._members]

    def close(self) -> None:
        """Close every member."""
        for member in self._members:
            member.close()

    def abandon(self) -> None:
        """Undo the opening, so that another attempt finds everything as this one did."""
        abandon(one for one in self._members if unwrapped(one) not in self._given)

    @overload
    def __getitem__(self, index: int) -> Listener: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Listener, ...]: ...

    def __getitem__(self, index: int | slice) -> Listener | tuple[Listener, ...]:
        return self._members[index]

    def __iter__(self) -> Iterator[Listener]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return f"<ListenerSet {' '.join(self.addresses)}>"


def abandon(listeners: Iterable[Listener]) -> None:
    """Close what was opened; leave adopted sockets open as they were found."""
    for one in listeners:
        listener = unwrapped(one)
        adopted = isinstance(listener.spec.address, _ADOPTED)
        if adopted and isinstance(listener, SocketListener):
            listener.abandon()
        else:
            one.close()
