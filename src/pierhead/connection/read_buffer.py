"""The read buffer that the connections of a listener share."""

from __future__ import annotations

from pierhead.buffer import BufferSource

__all__ = ["ReadBuffer"]


class ReadBuffer:
    """One buffer for all connections of a listener, so that an idle connection holds none.

    asyncio asks a connection for a buffer, reads into it and returns it without yielding in
    between; data to be kept is copied then. So one buffer is enough, and a read that finds nothing,
    or the end of the stream, leaves no buffer lent.

    Args:
        source: the pool that lends the buffer, at the first read and when the size changes.

    Attributes:
        buffer: None before the first read.
        view: a view of the buffer, to copy from.
    """

    __slots__ = ("_source", "buffer", "view")

    def __init__(self, source: BufferSource) -> None:
        self._source = source
        self.buffer: bytearray | None = None
        self.view = memoryview(b"")

    def lend(self, size_bytes: int) -> bytearray:
        """Return the buffer, of this size; valid until the caller yields to the loop.

        Raises:
            Overloaded: the pool has no buffer.
        """
        if self.buffer is None or len(self.buffer) != size_bytes:
            self.close()
            self.buffer = self._source.acquire(size_bytes)
            self.view = memoryview(self.buffer)
        return self.buffer

    def close(self) -> None:
        """Return the buffer to the pool; the next read borrows it again."""
        if self.buffer is not None:
            self.view.release()
            self._source.release(self.buffer)
            self.buffer = None
