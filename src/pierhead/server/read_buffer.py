"""The buffer that the connections of a listener read into, one after the other."""

from __future__ import annotations

from pierhead.buffer import BufferSource

__all__ = ["ReadBuffer"]


class ReadBuffer:
    """One buffer for all connections of a listener, so that an idle connection holds none.

    asyncio asks a connection for a buffer, reads into it and hands it back without giving way in
    between; what is kept is copied out then. So one is enough, and a read that finds nothing, or
    the end of the stream, leaves nothing lent.

    Args:
        source: where the buffer comes from, at the first read and when the size changes.

    Attributes:
        buffer: None before the first read.
        view: of the buffer, to copy from.
    """

    __slots__ = ("_source", "buffer", "view")

    def __init__(self, source: BufferSource) -> None:
        self._source = source
        self.buffer: bytearray | None = None
        self.view = memoryview(b"")

    def lend(self, size_bytes: int) -> bytearray:
        """Return the buffer, of this size, until the caller gives way.

        Raises:
            Overloaded: the source has none.
        """
        if self.buffer is None or len(self.buffer) != size_bytes:
            self.close()
            self.buffer = self._source.acquire(size_bytes)
            self.view = memoryview(self.buffer)
        return self.buffer

    def close(self) -> None:
        """Give the buffer back to the source; it is taken again at the next read."""
        if self.buffer is not None:
            self.view.release()
            self._source.release(self.buffer)
            self.buffer = None
