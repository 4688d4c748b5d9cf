"""What waits inside hypercorn, for a peer or for the application: bounded, and let go at its end.

Three waits of hypercorn 0.18 have no end of their own:

- An application writes on though the window of its stream stays closed: all of it is kept.
- At the end of an HTTP/2 connection, who waits for room in a window is left waiting.
- An application that answers before it has read ten pieces of a body waits to be told, in its own
  full queue, that the response is over, and whoever reads the connection waits with it.

In the latter two the tasks of the connection stay, and so does its place among the connections.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from hypercorn.protocol.h2 import BUFFER_HIGH_WATER, BufferCompleteError, H2Protocol, StreamBuffer

__all__ = ["Inbox", "bound", "release"]

#: What an application that has answered does not want to know any more.
_INPUT = ("http.request", "websocket.receive")


class Inbox(asyncio.Queue[Any]):
    """What an application is told; it holds the reader of the connection back while it is full."""

    _takes_all = False
    _has_answered = False

    @classmethod
    def of(cls, receive: Any) -> Inbox:
        """Return the queue behind hypercorn's ``receive``, which is this from now on."""
        queue = receive.__self__
        queue.__class__ = cls
        return cast(Inbox, queue)

    def full(self) -> bool:
        """Tell whether the reader has to wait."""
        return not self._takes_all and super().full()

    def _put(self, item: Any) -> None:
        if not (self._has_answered and item["type"] in _INPUT):
            super()._put(item)

    def take_all(self) -> None:
        """Let nobody wait any more: what comes now is what had been read already."""
        self._takes_all = True
        for event in self._taken():
            self.put_nowait(event)

    def leave_out_input(self) -> None:
        """Do the same, and keep nothing but the end."""
        self._has_answered = True
        self.take_all()

    def _taken(self) -> list[Any]:
        # To take events is what wakes those who wait to put theirs.
        return [self.get_nowait() for _ in range(self.qsize())]


def bound(engine: H2Protocol) -> None:
    """Bound what waits for each stream that begins from now on; doing it again changes nothing."""
    if not isinstance(engine.stream_buffers, _Buffers):
        engine.stream_buffers = _Buffers(engine.context.event_class)


async def release(engine: H2Protocol) -> None:
    """Let go everything that waits to be sent, and everybody who waits for that."""
    for buffer in list(engine.stream_buffers.values()):
        await buffer.close()


class _Buffers(dict[int, StreamBuffer]):
    """Puts a bounded buffer in place of each that it is given."""

    def __init__(self, event_class: Any) -> None:
        super().__init__()
        self._event_class = event_class

    def __setitem__(self, stream_id: int, _: StreamBuffer) -> None:
        super().__setitem__(stream_id, _Buffer(self._event_class))


class _Buffer(StreamBuffer):
    """Makes the application wait until there is room, whatever else wakes it."""

    async def push(self, data: bytes) -> None:
        """Keep octets to be sent; return once fewer than `BUFFER_HIGH_WATER` wait.

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
