"""Bounds what waits inside hypercorn for the peer or the application, and releases it at the end.

Three waits in hypercorn 0.18 never end by themselves:

- An application keeps writing although its stream's window stays closed: everything is buffered.
- At the end of an HTTP/2 connection, tasks that wait for room in a window are left waiting.
- An application that answers before it has read ten pieces of a body waits to be told, through its
  own full queue, that the response is over, and the reader of the connection waits with it.

In the last two cases the tasks of the connection stay, and so does its slot among the connections.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from hypercorn.protocol.h2 import BUFFER_HIGH_WATER, BufferCompleteError, H2Protocol, StreamBuffer

__all__ = ["Inbox", "bound", "release"]

#: Messages that an application which has answered no longer needs.
_INPUT = ("http.request", "websocket.receive")


class Inbox(asyncio.Queue[Any]):
    """The messages for an application; while it is full, the reader of the connection waits."""

    _takes_all = False
    _has_answered = False

    @classmethod
    def of(cls, receive: Any) -> Inbox:
        """Return the queue behind hypercorn's ``receive``, turned into an `Inbox` in place."""
        queue = receive.__self__
        queue.__class__ = cls
        return cast(Inbox, queue)

    def full(self) -> bool:
        """Tell whether the reader must wait."""
        return not self._takes_all and super().full()

    def _put(self, item: Any) -> None:
        if not (self._has_answered and item["type"] in _INPUT):
            super()._put(item)

    def take_all(self) -> None:
        """Make no reader wait any more: what arrives now had been read already."""
        self._takes_all = True
        for event in self._taken():
            self.put_nowait(event)

    def leave_out_input(self) -> None:
        """Do the same, and keep only the end."""
        self._has_answered = True
        self.take_all()

    def _taken(self) -> list[Any]:
        # Taking events wakes the tasks that wait to put theirs.
        return [self.get_nowait() for _ in range(self.qsize())]


def bound(engine: H2Protocol) -> None:
    """Bound the buffer of every stream that begins from now on; idempotent."""
    if not isinstance(engine.stream_buffers, _Buffers):
        engine.stream_buffers = _Buffers(engine.context.event_class)


async def release(engine: H2Protocol) -> None:
    """Release everything that waits to be sent, and every task that waits for that."""
    for buffer in list(engine.stream_buffers.values()):
        await buffer.close()


class _Buffers(dict[int, StreamBuffer]):
    """Stores a bounded buffer in place of each one it is given."""

    def __init__(self, event_class: Any) -> None:
        super().__init__()
        self._event_class = event_class

    def __setitem__(self, stream_id: int, _: StreamBuffer) -> None:
        super().__setitem__(stream_id, _Buffer(self._event_class))


class _Buffer(StreamBuffer):
    """Makes the application wait until there is room, whatever else wakes it."""

    async def push(self, data: bytes) -> None:
        """Buffer octets to send; return once fewer than `BUFFER_HIGH_WATER` are waiting.

        Raises:
            BufferCompleteError: the stream has ended.
        """
        if self._complete:
            raise BufferCompleteError
        self.buffer.extend(data)
        await self._is_empty.clear()
        while len(self.buffer) >= BUFFER_HIGH_WATER and not self._complete:
            await self._paused.clear()
            await self._paused.wait()
