"""Pools of receive buffers: the caller chooses the allocation strategy.

A server takes a buffer for one read, copies what it keeps and returns the buffer, so that ten
thousand idle connections hold none.
"""

from __future__ import annotations

from typing import Protocol

from pierhead.errors import Overloaded, UsageError

__all__ = ["BufferPool", "BufferSource"]


class BufferSource(Protocol):
    """Lends receive buffers."""

    def acquire(self, size_bytes: int) -> bytearray:
        """Return a buffer of at least this size; its content is undefined.

        Raises:
            Overloaded: no buffer is available; the server sheds what it was about to read.
        """
        ...

    def release(self, buffer: bytearray) -> None:
        """Take a buffer back; the borrower must not touch it again."""
        ...


class BufferPool:
    """Keeps released buffers for reuse and never exceeds its memory bound.

    Args:
        max_bytes: the bound on lent and kept buffers together.
    """

    def __init__(self, max_bytes: int = 64 * 2**20) -> None:
        if max_bytes <= 0:
            raise UsageError(f"max_bytes is {max_bytes}, expected a positive number of bytes")
        self.max_bytes = max_bytes
        self.lent_bytes = 0
        self.kept_bytes = 0
        self._kept: dict[int, list[bytearray]] = {}

    def acquire(self, size_bytes: int) -> bytearray:
        """Return a buffer of exactly this size, reusing a kept one if there is one."""
        kept = self._kept.get(size_bytes)
        if kept:
            self.kept_bytes -= size_bytes
            self.lent_bytes += size_bytes
            return kept.pop()
        if self.lent_bytes + size_bytes > self.max_bytes:
            raise Overloaded("max_buffer_bytes")
        if self.lent_bytes + self.kept_bytes + size_bytes > self.max_bytes:
            # Buffers of other sizes take up the room; they are cheap to recreate.
            self._kept.clear()
            self.kept_bytes = 0
        self.lent_bytes += size_bytes
        return bytearray(size_bytes)

    def release(self, buffer: bytearray) -> None:
        """Keep the buffer for the next borrower that needs this size."""
        self.lent_bytes -= len(buffer)
        self.kept_bytes += len(buffer)
        self._kept.setdefault(len(buffer), []).append(buffer)
