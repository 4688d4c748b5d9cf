"""The content of a message: octets that are there, or octets that are still coming."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pierhead.errors import DecodeError
from pierhead.protocols.http.wire.fields import Fields

__all__ = ["Body", "ContentTooLarge"]


class ContentTooLarge(DecodeError):
    """The content is longer than its limit; its refusal has the status 413."""

    status = 413


class Body:
    """The content of a request or response.

    It is read once: whole by `read`, or in pieces by ``async for``. An engine that receives content
    gives it chunks as they are asked for, so that what nobody reads is not received.

    Args:
        content: the octets, or an async iterator of them.
        length: how many there will be; None if that is not known.

    Attributes:
        length: how many octets there are; None where that is not known.
    """

    __slots__ = ("_content", "_read", "length")

    def __init__(
        self, content: bytes | AsyncIterator[bytes] = b"", length: int | None = None
    ) -> None:
        self._content = content
        self._read: bytes | None = content if isinstance(content, bytes) else None
        self.length = len(content) if isinstance(content, bytes) else length

    async def read(self, limit: int) -> bytes:
        """Return all of it; what has been read whole can be read again.

        Raises:
            ContentTooLarge: it has more octets than this; known before reading where the length is.
        """
        if self.length is not None and self.length > limit:
            raise ContentTooLarge(f"the content has {self.length} octets, expected {limit} at most")
        if self._read is None:
            parts, size = [], 0
            async for part in self:
                size += len(part)
                if size > limit:
                    raise ContentTooLarge(f"the content has more than {limit} octets")
                parts.append(part)
            self._read = b"".join(parts)
        return self._read

    @property
    def ready(self) -> bytes | None:
        """The octets, if they are all there; None while they may still be coming."""
        return self._read

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._read is not None:
            return _Once(self._read)
        assert not isinstance(self._content, bytes)
        return self._content.__aiter__()

    @property
    def trailers(self) -> Fields:
        """The trailer fields, once everything has been read: those of the iterator, if it has."""
        trailers = getattr(self._content, "trailers", None)
        return trailers if isinstance(trailers, Fields) else Fields()

    async def aclose(self) -> None:
        """Close an iterator that is not read to its end."""
        close = getattr(self._content, "aclose", None)
        if close is not None:
            await close()


class _Once:
    """Octets that are there, as one piece; none if there are none."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        octets, self._octets = self._octets, b""
        if not octets:
            raise StopAsyncIteration
        return octets
