"""What a server has answered: its head is there, its content may still be coming."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from email.message import Message
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from pierhead.codec.json import Json
from pierhead.errors import DecodeError, again
from pierhead.protocols.http.wire.body import Body
from pierhead.protocols.http.wire.fields import Fields
from pierhead.protocols.http.wire.message import Response

__all__ = ["IncomingContent", "ReceivedResponse"]

M = TypeVar("M")


class ReceivedResponse(Response):
    """A response as it was received.

    Its connection serves the next request once the content has arrived. Content of more than a few
    reads arrives as it is read; whoever does not want all of it leaves an ``async with`` block, or
    calls `close`.

    Attributes:
        status: the status code.
        fields: the header fields.
        body: the content, to iterate over in pieces.
    """

    def __init__(self, status: int, fields: Fields, body: Body, limit: int, content: Any) -> None:
        super().__init__(status, body, fields)
        self._limit = limit
        self._content = content

    async def read(self) -> bytes:
        """Return the whole content.

        Raises:
            ContentTooLarge: it has more than ``max_content_bytes`` octets.
            PeerUnavailable: it is incomplete.
        """
        return await self.body.read(self._limit)

    async def text(self) -> str:
        """Return the whole content as text, in the charset that its type names, else UTF-8.

        Raises:
            DecodeError: it is no such text.
        """
        octets = await self.read()
        charset = _charset(self.fields.get("content-type"))
        try:
            return octets.decode(charset)
        except (UnicodeError, LookupError) as error:
            raise DecodeError(f"the content is not text in {charset}: {error}") from None

    @overload
    async def json(self, kind: type[M]) -> M: ...
    @overload
    async def json(self, kind: Any = ...) -> Any: ...

    async def json(self, kind: Any = Any) -> Any:
        """Return the content as a value of this type.

        Raises:
            DecodeError: it is not JSON of this type; the error says where.
        """
        return Json(kind).decode(await self.read())

    def close(self) -> None:
        """Give up what has not arrived yet, with its connection."""
        self._content.give_up()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _charset(content_type: str | None) -> str:
    message = Message()
    message["content-type"] = content_type or "text/plain"
    return message.get_content_charset("utf-8")


class IncomingContent:
    """The content of one response, as it arrives.

    Args:
        limit: octets that wait for a reader before ``pause`` is called.
        new_future: makes what a reader waits for.
        pause: called when too much waits for the reader.
        resume: called when it has taken enough of it.
        abort: gives up the connection.

    Attributes:
        trailers: the trailer fields; complete at the end.
        is_over: whether all of it has arrived, or nothing more will.
        is_paused: whether the reader is behind.
    """

    def __init__(
        self,
        limit: int,
        new_future: Callable[[], Any],
        pause: Callable[[], None],
        resume: Callable[[], None],
        abort: Callable[[], None],
    ) -> None:
        self._limit = limit
        self._new_future = new_future
        self._pause, self._resume, self._abort = pause, resume, abort
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._waiter: Any = None
        self._error: Exception | None = None
        self.trailers = Fields()
        self.is_over = self.is_paused = False

    def arrived(self, part: bytes) -> None:
        """Take the next octets."""
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._limit and not self.is_paused:
            self.is_paused = True
            self._pause()
        self._wake()

    def end(self, error: Exception | None = None) -> None:
        """Note that nothing more will arrive, and why if that is not the end."""
        if not self.is_over:
            self.is_over, self._error = True, error
            self._wake()

    def give_up(self) -> None:
        """Give up what has not arrived yet."""
        if not self.is_over:
            self._abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._parts:
            if self._error is not None:
                raise again(self._error)
            if self.is_over:
                raise StopAsyncIteration
            self._waiter = self._new_future()
            await self._waiter
        part = self._parts.popleft()
        self._size -= len(part)
        if self.is_paused and self._size <= self._limit // 2:
            self.is_paused = False
            self._resume()
        return part
