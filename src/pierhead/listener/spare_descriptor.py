"""A spare descriptor, for when the process has run out of them.

A process that is out of descriptors cannot accept, and so cannot even refuse: its peers wait. Then
the spare descriptor is closed, a waiting connection is accepted in its place and closed, and the
spare is reopened.
"""

from __future__ import annotations

import os
import socket

__all__ = ["SpareDescriptor"]

#: Connections closed in one attempt; the rest wait for the next, so that the loop keeps running.
_MOST = 16


class SpareDescriptor:
    """One descriptor that serves no other purpose."""

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
        except OSError:  # none is waiting, or another thread has taken the number
            pass
        finally:
            self._take_back()
        return count

    def _take_back(self) -> None:
        try:
            self._number = os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError:  # retried at the next shortage
            self._number = None

    def close(self) -> None:
        """Close the descriptor; later calls do nothing."""
        if self._number is not None:
            os.close(self._number)
            self._number = None
