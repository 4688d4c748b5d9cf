"""Bounds what waits inside hypercorn for the peer or the application, and releases it at the end.

Some waits in hypercorn 0.18 never end by themselves:

- An application keeps writing although its stream's window stays closed: everything is buffered.
- At the end of an HTTP/2 connection, tasks that wait for room in a window are left waiting.
- At the end of an HTTP/1.1 connection with pipelined requests, its reader waits for the next turn,
  which does not come.
- An application that answers before it has read ten pieces of a body waits to be told, through its
  own full queue, that the response is over, and the reader of the connection waits with it.
- An application whose WebSocket is refused after its handshake has begun, for frames that came too
  early, is not told of it, and the connection stays open.

The tasks of the connection would stay, and so would its slot among the connections.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from hypercorn.asyncio.worker_context import EventWrapper
from hypercorn.protocol.h2 import BUFFER_HIGH_WATER, BufferCompleteError, H2Protocol, StreamBuffer
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream

__all__ = ["ConnectionIsOver", "Inbox", "Turn", "bound", "is_refused", "release"]

#: Messages that an application which has answered no longer needs.
_INPUT = ("http.request", "websocket.receive")


#: What an application is told in place of a disconnect that hypercorn does not report, by what it
#: is called for.
_DISCONNECTS = {
    "http": {"type": "http.disconnect"},
    "websocket": {"type": "websocket.disconnect", "code": 1006},
}


class ConnectionIsOver(Exception):
    """Ends the wait of a reader for its turn."""


class Turn(EventWrapper):
    """The event for which the reader of HTTP/1.1 waits while a response is being made."""

    _is_over = False

    async def wait(self) -> None:
        """Return when the next request may be read.

        Raises:
            ConnectionIsOver: it will not be.
        """
        await super().wait()
        if self._is_over:
            raise ConnectionIsOver

    async def clear(self) -> None:
        """Make the reader wait."""
        if not self._is_over:
            await super().clear()

    async def end(self) -> None:
        """Let the reader wait no more."""
        self._is_over = True
        await self.set()


def is_refused(stream: HTTPStream | WSStream) -> bool:
    """Tell whether hypercorn has refused a request without closing the stream.

    It does that before it calls the application, or while the application has not yet accepted a
    WebSocket. In HTTP/1.1 it has announced that it closes the connection, and does not.
    """
    is_early = isinstance(stream, WSStream) and stream.state is ASGIWebsocketState.HANDSHAKE
    return stream.closed and (is_early or getattr(stream, "app_put", None) is None)


class Inbox(asyncio.Queue[Any]):
    """The messages for an application; while it is full, the reader of the connection waits."""

    _takes_all = False
    _has_answered = False
    _has_end = False

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
        self._has_end |= item["type"].endswith(".disconnect")
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

    def disconnect(self, kind: str) -> None:
        """Tell the application that its client has disconnected, unless it has been told.

        Args:
            kind: what it is called for: ``http`` or ``websocket``.
        """
        self.take_all()
        if not self._has_end:
            self.put_nowait(_DISCONNECTS[kind])

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
