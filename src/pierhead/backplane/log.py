"""The last messages that a server has sent, by number, bounded in number and in octets."""

from __future__ import annotations

__all__ = ["Log"]


class Log:
    """Messages 1, 2, 3 …; the oldest are forgotten first.

    Args:
        most, most_bytes: the bounds; one message is always kept.

    Attributes:
        last: the number of the last message; 0 before the first.
        first: the number of the oldest that is kept; ``last + 1`` if there is none.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self.last = 0
        self.first = 1
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: dict[int, bytes] = {}

    def append(self, payload: bytes) -> None:
        """Keep a message as the last one."""
        self.last += 1
        self._kept[self.last] = payload
        self._bytes += len(payload)
        while self.first < self.last and (
            len(self._kept) > self._most or self._bytes > self._most_bytes
        ):
            self._bytes -= len(self._kept.pop(self.first))
            self.first += 1

    def get(self, number: int) -> bytes:
        """Return a message that is kept."""
        return self._kept[number]
