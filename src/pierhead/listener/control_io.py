"""Datagrams with what the kernel says beside them, for addresses that ask (``ecn``, ``gro``).

    BatchIO ──▶ ControlBatchIO ──┐
                                 ├─▶ ControlIO: coalesced datagrams apart, each with its mark
    SingleIO ─▶ ControlSingleIO ─┘

Other datagram sockets know nothing of this, and pay nothing for it.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from pierhead.buffer import BufferSource
from pierhead.context import Ecn, Peer
from pierhead.listener.base import Datagram, ReplyTo
from pierhead.listener.batch import MAX_BATCH, BatchIO, Layout
from pierhead.listener.control import (
    Message,
    Said,
    control_bytes,
    control_messages,
    read_control,
    reply_info,
    split_coalesced,
)
from pierhead.listener.single import CONTROL_BYTES, Control, SingleIO, source_of

__all__ = ["ControlBatchIO", "ControlIO", "ControlSingleIO", "Marked"]

#: Room for two more messages, each a header and an int: the mark, and the length of segments.
_MORE_CONTROL_BYTES = 2 * 24


class Marked:
    """Where a reply goes, with the congestion mark of its request; equal by sender."""

    __slots__ = ("ecn", "reply_to")

    def __init__(self, reply_to: ReplyTo, ecn: Ecn | None) -> None:
        self.reply_to = reply_to
        self.ecn = ecn

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Marked) and self.reply_to == other.reply_to

    def __hash__(self) -> int:
        return hash(self.reply_to)


class _Receiving(Protocol):
    """A way of receiving that tells what was said beside each datagram."""

    truncated: int

    def receive_said(self, limit: int) -> list[tuple[bytes, Any, Said]]: ...

    def send(self, datagrams: Sequence[Datagram]) -> list[tuple[int, int]]: ...

    def peer(self, reply_to: Any) -> Peer: ...

    def close(self) -> None: ...


class ControlBatchIO(BatchIO):
    """`BatchIO` with room for more control messages; the way back has packet info alone."""

    def _received(self, layout: Layout) -> Layout:
        name = (layout.name + 7) & ~7  # control messages are aligned
        return Layout(name, layout.control + _MORE_CONTROL_BYTES)

    def receive_said(self, limit: int) -> list[tuple[bytes, bytes, Said]]:
        """Take up to this many waiting datagrams, and what was said beside each."""
        count = self._receive(min(limit, MAX_BATCH))
        batch = []
        for i in range(count):
            if self._in_flags[i] & socket.MSG_TRUNC:
                self.truncated += 1
                continue
            slot, said = self._said(i)
            start = self._starts[i]
            data = self._data[start : start + self._in_lengths[i]].tobytes()
            batch.append((data, self._way_back(slot, said), said))
        self._in.headers[:] = self._in.pristine
        return batch

    def _said(self, index: int) -> tuple[bytes, Said]:
        layout = self._in.layout
        slot = bytes(self._in.senders[index * layout.size : (index + 1) * layout.size])
        control = slot[layout.name : layout.name + self._in.control_lengths[index]]
        return slot, read_control(control_messages(control))

    def _way_back(self, slot: bytes, said: Said) -> bytes:
        name = slot[: self._layout.name]
        if not self._layout.control:
            return name
        assert said.packet_info is not None, "whoever opened the socket has asked for it"
        return name + control_bytes(reply_info(said.packet_info))


class ControlSingleIO(SingleIO):
    """`SingleIO` with room for more control messages."""

    def __init__(self, sock: socket.socket, packet_info: bool, buffers: BufferSource) -> None:
        super().__init__(sock, packet_info, buffers)
        self._control_bytes = CONTROL_BYTES

    @staticmethod
    def _control(control: Sequence[Message]) -> Control:
        return tuple(control)  # all of them: `receive_said` reads them first

    def receive_said(self, limit: int) -> list[tuple[bytes, Any, Said]]:
        """Take up to this many waiting datagrams, and what was said beside each."""
        return [
            (data, (address, source_of(control)), read_control(control))
            for data, (address, control) in self.receive(limit)
        ]


class ControlIO:
    """Takes coalesced datagrams apart, and puts its mark on each way back.

    No call returns more datagrams than its limit: what is left of those that the kernel handed
    over together comes first at the next call. That is at most one batch of buffers.

    Args:
        receiving: what to receive with; closed by `close`.
    """

    def __init__(self, receiving: ControlBatchIO | ControlSingleIO) -> None:
        self._receiving: _Receiving = receiving
        self._left: deque[Datagram] = deque()

    @property
    def has_more(self) -> bool:
        """Whether some datagrams wait here, and not in the kernel, for the next call."""
        return bool(self._left)

    @property
    def truncated(self) -> int:
        """How many datagrams were too large for the receive buffer so far."""
        return self._receiving.truncated

    def receive(self, limit: int) -> list[Datagram]:
        """Take up to this many waiting datagrams; [] when none waits."""
        left = self._left
        if not left:
            for data, way_back, said in self._receiving.receive_said(limit):
                marked = Marked(way_back, said.ecn)
                left.extend([(one, marked) for one in split_coalesced(data, said.segment_bytes)])
        return [left.popleft() for _ in range(min(limit, len(left)))]

    def send(self, datagrams: Sequence[Datagram]) -> list[tuple[int, int]]:
        """Send all of them; return ``(index, errno)`` for each that the kernel refused."""
        return self._receiving.send([(data, marked.reply_to) for data, marked in datagrams])

    def peer(self, reply_to: Marked) -> Peer:
        """Return the sender of a datagram."""
        return self._receiving.peer(reply_to.reply_to)

    def close(self) -> None:
        """Give the receive buffer back; the object is of no use afterwards."""
        self._receiving.close()
