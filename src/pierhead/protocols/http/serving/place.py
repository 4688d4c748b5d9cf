"""One request of an HTTP/1.1 connection, and how its response is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from pierhead.errors import ServiceFailed
from pierhead.protocols.http.serving.incoming_body import IncomingBody
from pierhead.protocols.http.wire import Fields, Request, Response
from pierhead.protocols.http.wire.response_writer import chunk, has_content, last_chunk
from pierhead.server.connection import ConnectionScope
from pierhead.server.stream_request import StreamRequest

__all__ = ["RequestPlace", "ResponseParts"]


class _Connection(Protocol):
    """What a request needs to know about its connection."""

    @property
    def scope(self) -> ConnectionScope: ...

    def current_idle_timeout(self) -> float: ...

    def head_of(self, place: RequestPlace, response: Response, *, is_chunked: bool) -> bytes: ...


class RequestPlace(StreamRequest):
    """A request's place among those of its connection.

    Attributes:
        method, version: of the request.
        keeps_alive: whether its client wants to use the connection again.
        body: its content, if that was still to come when it began.
        has_begun: whether a part of its response has been sent.
        waits_for_peer: whether sending waits: for the peer, or for the responses before it.
    """

    # Defaults that most requests never change are class attributes.
    method, version = "", "1.1"
    keeps_alive, has_begun, waits_for_peer = True, False, False
    body: IncomingBody | None = None

    def __init__(self, frame: Request | None, deadline: float, connection: _Connection) -> None:
        super().__init__(frame, deadline, connection)
        self._http = connection

    @property
    def takes_trailers(self) -> bool:
        """Whether its client wants trailer fields (RFC 9110 §6.5.1)."""
        members = () if self.frame is None else self.frame.fields.members("te")
        return "trailers" in [one.lower() for one in members]

    def head_of(self, response: Response, *, is_chunked: bool = False) -> bytes:
        """Return the head of a response to it."""
        return self._http.head_of(self, response, is_chunked=is_chunked)


class ResponseParts:
    """The octets of a response whose content is still to come, one part after the other.

    It is what the connection sends as the many replies of a request.

    Raises:
        ServiceFailed: the content has not as many octets as the response says.
    """

    __slots__ = ("_content", "_is_chunked", "_is_over", "_left", "_place", "_response")

    def __init__(self, place: RequestPlace, response: Response) -> None:
        self._place = place
        self._response = response
        self._content: AsyncIterator[bytes] | None = None
        self._left = response.body.length
        self._is_chunked = self._left is None and place.version != "1.0"
        self._is_over = False

    def __aiter__(self) -> ResponseParts:
        return self

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration
        place, response = self._place, self._response
        if self._content is None:
            is_empty = not has_content(place.method, response.status)
            is_chunked = self._is_chunked and not is_empty
            head = place.head_of(response, is_chunked=is_chunked)
            self._content = aiter(response.body)
            if is_empty:
                self._is_over = True
                await response.body.aclose()
            return head
        async for part in self._content:
            if part:
                return self._sent(part)
        self._is_over = True
        if self._left:
            raise ServiceFailed(f"the content of a response lacks {self._left} octets")
        if not self._is_chunked:
            raise StopAsyncIteration
        trailers = response.body.trailers if place.takes_trailers else Fields()
        return last_chunk(trailers)

    def _sent(self, part: bytes) -> bytes:
        if self._is_chunked:
            return chunk(part)
        if self._left is not None:
            if len(part) > self._left:
                raise ServiceFailed("the content of a response is longer than its length")
            self._left -= len(part)
        return part

    async def aclose(self) -> None:
        """Close the content."""
        self._is_over = True
        await self._response.body.aclose()
