"""Moves octets from socket to socket without copying them here: splice(2), Linux.

    source ─▶ pipe ─▶ sink

A pipe is taken from a pool while octets are in it, so that an idle connection has none.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

if sys.platform != "win32":
    import fcntl

__all__ = ["Pipes", "Splice", "can_splice"]

#: Octets asked for at once; also the size that pipes are given, where the system allows it.
_ONCE = 1 << 20
#: Half of the smallest pipe: a source that gave less is empty, most likely.
_FEW = 32_768
#: Times that one direction moves octets before others have their turn.
_ROUNDS = 4
#: Idle pipes that are kept.
_KEPT = 64

_FAMILIES = {socket.AF_INET, socket.AF_INET6, getattr(socket, "AF_UNIX", socket.AF_INET)}
_PLAIN = ("asyncio.selector_events", "uvloop")


def can_splice(transport: asyncio.BaseTransport) -> bool:
    """Return whether a transport is a plain socket that splice(2) reads and writes."""
    if sys.platform != "linux" or not hasattr(os, "splice"):
        return False
    sock = transport.get_extra_info("socket")
    is_plain = type(transport).__module__.startswith(_PLAIN)
    return is_plain and sock is not None and sock.family in _FAMILIES


class Pipes:
    """Pipes that are used again and again."""

    def __init__(self) -> None:
        self._free: list[tuple[int, int]] = []
        self._is_closed = False

    def take(self) -> tuple[int, int]:
        """Return the ends of an empty pipe, to read and to write.

        Raises:
            OSError: EMFILE: there is no descriptor left.
        """
        if self._free:
            return self._free.pop()
        pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with suppress(OSError):  # EPERM: users other than root have a limit for all their pipes
            fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, _ONCE)
        return pipe

    def give_back(self, pipe: tuple[int, int], *, is_empty: bool) -> None:
        """Take a pipe back."""
        if is_empty and not self._is_closed and len(self._free) < _KEPT:
            self._free.append(pipe)
            return
        for end in pipe:
            os.close(end)

    def close(self) -> None:
        """Close the idle ones, and the others as they come back."""
        self._is_closed = True
        while self._free:
            for end in self._free.pop():
                os.close(end)


class Splice:
    """One direction of a connection.

    Args:
        source, sink: descriptors that no transport watches; they stay the caller's.
        moved: called with the number of octets that have reached the sink.
        ended: called once: with None at the end of the source's stream, when everything before has
            reached the sink, or with the error that ended it.

    Attributes:
        held: octets that wait in the pipe.
        handed_over: octets taken from the source so far.
    """

    def __init__(
        self,
        source: int,
        sink: int,
        pipes: Pipes,
        moved: Callable[[int], None],
        ended: Callable[[OSError | None], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._source = source
        self._sink = sink
        self._pipes = pipes
        self._moved = moved
        self._ended = ended
        self._pipe: tuple[int, int] | None = None
        self._is_blocked = False
        self._is_stopped = False
        self.held = 0
        self.handed_over = 0

    def start(self) -> None:
        """Begin to move octets."""
        self._loop.add_reader(self._source, self._on_readable)

    def stop(self) -> None:
        """Move nothing more; what is in the pipe is lost."""
        if self._is_stopped:
            return
        self._is_stopped = True
        self._loop.remove_reader(self._source)
        if self._is_blocked:
            self._loop.remove_writer(self._sink)
        self._release()

    def _release(self) -> None:
        if self._pipe is not None:
            self._pipes.give_back(self._pipe, is_empty=not self.held)
            self._pipe = None

    def _on_readable(self) -> None:
        try:
            self._move()
        except BlockingIOError:
            self._release()
        except OSError as error:
            self._end(error)

    def _move(self) -> None:
        if self._pipe is None:
            self._pipe = self._pipes.take()
        for _ in range(_ROUNDS):
            taken = os.splice(self._source, self._pipe[1], _ONCE, flags=os.SPLICE_F_NONBLOCK)
            if not taken:
                self._end(None)
                return
            self.held += taken
            self.handed_over += taken
            if not self._drain():
                return
            if taken < _FEW:
                break
        self._release()

    def _drain(self) -> bool:
        """Empty the pipe; return false if the sink takes no more for now."""
        assert self._pipe is not None
        try:
            while self.held:
                moved = os.splice(self._pipe[0], self._sink, self.held, flags=os.SPLICE_F_NONBLOCK)
                self.held -= moved
                self._moved(moved)
        except BlockingIOError:
            if not self._is_blocked:
                self._is_blocked = True
                self._loop.remove_reader(self._source)
                self._loop.add_writer(self._sink, self._on_writable)
            return False
        return True

    def _on_writable(self) -> None:
        try:
            if not self._drain():
                return
        except OSError as error:
            self._end(error)
            return
        self._release()
        self._is_blocked = False
        self._loop.remove_writer(self._sink)
        self._loop.add_reader(self._source, self._on_readable)

    def _end(self, error: OSError | None) -> None:
        self.stop()
        self._ended(error)
