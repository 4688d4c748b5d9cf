"""A descriptor kept back for the moment when there is no other.

A process that is out of descriptors cannot accept, and so cannot even refuse: its peers wait.
One descriptor in reserve is let go then, a waiting connection taken on its number and closed,
and the number taken back.
"""

from __future__ import annotations

import os
import socket

__all__ = ["SpareDescriptor"]

#: Connections closed in a row; the rest wait for the next attempt, so that the loop turns.
_MOST = 16


class SpareDescriptor:
    """One descriptor of no other use."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._take_back()

    def shed(self, listening: socket.socket) -> int:
        """Take waiting connections and close them; return how many."""
        self.close()
        count = 0
        try:
            while count < _MOST:
                connection, _ = listening.accept()
                connection.close()
                count += 1
        except OSError:  # none waits any more, or somebody else was quicker with the number
            pass
        finally:
            self._take_back()
        return count

    def _take_back(self) -> None:
        try:
            self._number = os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError:  # tried again at the next shortage
            self._number = None

    def close(self) -> None:
        """Let the descriptor go; later calls do nothing."""
        if self._number is not None:
            os.close(self._number)
            self._number = None
