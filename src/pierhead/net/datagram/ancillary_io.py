"""Datagrams with their ancillary data, for addresses with the options ``ecn`` or ``gro``.

    BatchIO ───▶ AncillaryBatchIO ────┐
                                      ├─▶ AncillaryIO: coalesced datagrams apart, with their marks
    RecvmsgIO ─▶ AncillaryRecvmsgIO ──┘

Other datagram sockets do not use this code, and pay nothing for it.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from pierhead.buffer import BufferSource
from pierhead.net.datagram.ancillary import (
    Ancillary,
    Message,
    pack_control_message,
    read_ancillary,
    reply_info,
    split_coalesced,
    unpack_control_messages,
)
from pierhead.net.datagram.base import Datagram, ReplyTo
from pierhead.net.datagram.batch import MAX_BATCH, BatchIO, Layout
from pierhead.net.datagram.recvmsg import CONTROL_BYTES, Control, RecvmsgIO, source_of
from pierhead.service.context import Ecn, Peer

__all__ = ["AncillaryBatchIO", "AncillaryIO", "AncillaryRecvmsgIO", "ReplyToWithEcn"]

#: Room for two more messages, each a header and an int: the mark, and the length of segments.
_MORE_CONTROL_BYTES = 2 * 24


class ReplyToWithEcn:
    """Where a reply goes, with the congestion mark of its request; compared by sender."""

    __slots__ = ("ecn", "reply_to")

    def __init__(self, reply_to: ReplyTo, ecn: Ecn | None) -> None:
        self.reply_to = reply_to
        self.ecn = ecn

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReplyToWithEcn) and self.reply_to == other.reply_to

    def __hash__(self) -> int:
        return hash(self.reply_to)


class _Receiving(Protocol):
    """Receives datagrams with the ancillary data of each."""

    truncated: int

    def receive_ancillary(self, limit: int) -> list[tuple[bytes, Any, Ancillary]]: ...

    def send(self, datagrams: Sequence[Datagram]) -> list[tuple[int, int]]: ...

    def peer(self, reply_to: Any) -> Peer: ...

    def way_to(self, address: Any) -> ReplyTo: ...

    def close(self) -> None: ...


class AncillaryBatchIO(BatchIO):
    """`BatchIO` with room for more control messages; replies have packet info only."""

    def _received(self, layout: Layout) -> Layout:
        name = (layout.name + 7) & ~7  # control messages are aligned
        return Layout(name, layout.control + _MORE_CONTROL_BYTES)

    def receive_ancillary(self, limit: int) -> list[tuple[bytes, bytes, Ancillary]]:
        """Take up to this many waiting datagrams, each with its ancillary data."""
        count = self._receive(min(limit, MAX_BATCH))
        batch = []
        for i in range(count):
            if self._in_flags[i] & socket.MSG_TRUNC:
                self.truncated += 1
                continue
            slot, ancillary = self._ancillary(i)
            start = self._starts[i]
            data = self._data[start : start + self._in_lengths[i]].tobytes()
            batch.append((data, self._way_back(slot, ancillary), ancillary))
        self._in.headers[:] = self._in.pristine
        return batch

    def _ancillary(self, index: int) -> tuple[bytes, Ancillary]:
        layout = self._in.layout
        slot = bytes(self._in.senders[index * layout.size : (index + 1) * layout.size])
        control = slot[layout.name : layout.name + self._in.control_lengths[index]]
        return slot, read_ancillary(unpack_control_messages(control))

    def _way_back(self, slot: bytes, ancillary: Ancillary) -> bytes:
        name = slot[: self._layout.name]
        if not self._layout.control:
            return name
        assert ancillary.packet_info is not None, "the code that opened the socket has requested it"
        return name + pack_control_message(reply_info(ancillary.packet_info))


class AncillaryRecvmsgIO(RecvmsgIO):
    """`RecvmsgIO` with room for more control messages."""

    def __init__(self, sock: socket.socket, packet_info: bool, buffers: BufferSource) -> None:
        super().__init__(sock, packet_info, buffers)
        self._control_bytes = CONTROL_BYTES

    @staticmethod
    def _control(control: Sequence[Message]) -> Control:
        return tuple(control)  # all of them: `receive_ancillary` reads them first

    def receive_ancillary(self, limit: int) -> list[tuple[bytes, Any, Ancillary]]:
        """Take up to this many waiting datagrams, each with its ancillary data."""
        return [
            (data, (address, source_of(control)), read_ancillary(control))
            for data, (address, control) in self.receive(limit)
        ]


class AncillaryIO:
    """Splits coalesced datagrams, and attaches the mark to each reply address.

    No call returns more datagrams than its limit: the rest of a coalesced delivery comes first at
    the next call. That is at most one batch of buffers.

    Args:
        receiving: the object to receive with; closed by `close`.
    """

    def __init__(self, receiving: AncillaryBatchIO | AncillaryRecvmsgIO) -> None:
        self._receiving: _Receiving = receiving
        self._left: deque[Datagram] = deque()

    @property
    def has_more(self) -> bool:
        """Whether some datagrams wait here, and not in the kernel, for the next call."""
        return bool(self._left)

    @property
    def truncated(self) -> int:
        """How many datagrams have been too large for the receive buffer so far."""
        return self._receiving.truncated

    def receive(self, limit: int) -> list[Datagram]:
        """Take up to this many waiting datagrams; [] if none is waiting."""
        left = self._left
        if not left:
            for data, way_back, ancillary in self._receiving.receive_ancillary(limit):
                marked = ReplyToWithEcn(way_back, ancillary.ecn)
                left.extend(
                    [(one, marked) for one in split_coalesced(data, ancillary.segment_bytes)]
                )
        return [left.popleft() for _ in range(min(limit, len(left)))]

    def send(self, datagrams: Sequence[Datagram]) -> list[tuple[int, int]]:
        """Send all of them; return ``(index, errno)`` for each that the kernel refused."""
        return self._receiving.send([(data, marked.reply_to) for data, marked in datagrams])

    def peer(self, reply_to: ReplyToWithEcn) -> Peer:
        """Return the sender of a datagram."""
        return self._receiving.peer(reply_to.reply_to)

    def way_to(self, address: Any) -> ReplyToWithEcn:
        """Return the way to an address."""
        return ReplyToWithEcn(self._receiving.way_to(address), None)

    def close(self) -> None:
        """Release the receive buffer; the object must not be used afterwards."""
        self._receiving.close()
