"""What of a file is sent: all of it, a range, or several (RFC 9110 §14.6)."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence

from pierhead.errors import PierheadError
from pierhead.protocols.http.wire import Body, Response

__all__ = ["Content", "nothing", "parts_of"]

#: How much of a file is in memory at once: as much as a socket takes.
_CHUNK_BYTES = 65_536


class Content:
    """A file that is opened when its content is first asked for, and closed after its last part.

    Many responses may wait for their turn on one connection; only the one being sent has it open.

    Args:
        open_file: opens it, in a thread, and returns its descriptor.
    """

    def __init__(self, open_file: Callable[[], int]) -> None:
        self._open_file = open_file
        self._descriptor = -1

    async def only(self, wanted: range) -> AsyncIterator[bytes]:
        """Give a part in pieces, and close the file."""
        try:
            async for octets in self.part(wanted):
                yield octets
        finally:
            self.close()

    async def part(self, wanted: range) -> AsyncIterator[bytes]:
        """Give a part in pieces.

        Raises:
            PierheadError: the file has become shorter or another: what was promised cannot be sent.
        """
        at = wanted.start
        while at < wanted.stop:
            size = min(_CHUNK_BYTES, wanted.stop - at)
            octets = await asyncio.to_thread(self._read, size, at)
            if not octets:
                raise PierheadError(
                    f"a file was cut to {at} octets while it was sent, expected {wanted.stop}; "
                    "replace files by renaming others over them"
                )
            yield octets
            at += len(octets)

    def close(self) -> None:
        """Close the file; again does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        # A read may still be opening it in its thread when nobody wants its content any more.
        self.close()

    def _read(self, size: int, at: int) -> bytes:
        if self._descriptor < 0:
            self._descriptor = self._open_file()
        return os.pread(self._descriptor, size, at)


async def nothing() -> AsyncIterator[bytes]:
    """Give no octets, in place of those that HEAD does not want."""
    for octets in tuple[bytes, ...]():
        yield octets


def parts_of(
    content: Content,
    ranges: Sequence[range],
    size: int,
    media: str,
    fields: tuple[tuple[str, str], ...],
) -> Response:
    """Return the response with these ranges of a file."""
    if len(ranges) == 1:
        body = Body(content.only(ranges[0]), len(ranges[0]))
        described = (*fields, ("Content-Range", _content_range(ranges[0], size)))
        return Response(206, body, described, content_type=media)
    boundary = secrets.token_hex(16)
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {media}\r\n"
        f"Content-Range: {_content_range(one, size)}\r\n\r\n".encode()
        for one in ranges
    ]
    end = f"\r\n--{boundary}--\r\n".encode()
    length = sum(map(len, heads)) + sum(map(len, ranges)) + len(end)

    async def parts() -> AsyncIterator[bytes]:
        try:
            for head, one in zip(heads, ranges, strict=True):
                yield head
                async for octets in content.part(one):
                    yield octets
        finally:
            content.close()
        yield end

    kind = f"multipart/byteranges; boundary={boundary}"
    return Response(206, Body(parts(), length), fields, content_type=kind)


def _content_range(one: range, size: int) -> str:
    return f"bytes {one.start}-{one.stop - 1}/{size}"
