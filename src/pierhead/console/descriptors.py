"""Standard input and output as streams of octets that an event loop can wait for.

Neither needs a thread, so that a program can end at any time while it waits.
"""

from __future__ import annotations

import asyncio
import os
import select
import stat
from typing import Self

__all__ = ["Input", "Output"]

#: What one read takes at most: a pipe that was enlarged to its limit holds four times as much.
_READ_BYTES = 262_144


class Input:
    """Octets from a descriptor: a terminal, a pipe, a socket or a file.

    The descriptor stays as it is: another process may share it.
    """

    def __init__(self, descriptor: int = 0, read_size_bytes: int = _READ_BYTES) -> None:
        self._descriptor = descriptor
        self._read_size_bytes = read_size_bytes
        self._is_pollable = _is_pollable(descriptor)
        self.descriptor = descriptor

    @property
    def is_open(self) -> bool:
        """Whether there is such a descriptor: a program may be started without one."""
        try:
            os.fstat(self.descriptor)
        except OSError:
            return False
        return True

    async def read(self) -> bytes:
        """Return what is there, at least one octet; b"" at the end.

        Only one task may wait at a time; one that is cancelled has lost nothing.

        Raises:
            OSError: the descriptor cannot be read.
        """
        if not self._is_pollable:
            await asyncio.sleep(0)
        elif not _is_ready(self._descriptor, select.POLLIN):
            await self._wait()
        try:
            return os.read(self._descriptor, self._read_size_bytes)
        except OSError as error:
            if error.errno == 9:  # EBADF: the program was started without standard input
                return b""
            raise

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._descriptor, _settle, ready)
        try:
            await ready
        finally:
            loop.remove_reader(self._descriptor)


class Output:
    """Octets to a descriptor; waits while its reader does not keep up.

    A pipe is made non-blocking meanwhile. A terminal is not: the shell shares it.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = self.descriptor = descriptor
        self._was_blocking = False

    def __enter__(self) -> Self:
        kind = os.fstat(self._descriptor).st_mode
        if (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)) and os.get_blocking(self._descriptor):
            os.set_blocking(self._descriptor, False)
            self._was_blocking = True
        return self

    def __exit__(self, *error: object) -> None:
        if self._was_blocking:
            os.set_blocking(self._descriptor, True)

    async def write(self, octets: bytes) -> None:
        """Write all of it.

        Raises:
            BrokenPipeError: nobody reads it any more.
            OSError: it cannot be written, since the disk is full and the like.
        """
        while octets := self.write_now(octets):
            await self._wait()

    def write_now(self, octets: bytes) -> bytes:
        """Write what can be written at once; return the rest. Errors are those of `write`."""
        while octets:
            try:
                written = os.write(self._descriptor, octets)
            except BlockingIOError:
                break
            octets = octets[written:]
        return octets

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(self._descriptor, _settle, ready)
        try:
            await ready
        finally:
            loop.remove_writer(self._descriptor)


def _is_pollable(descriptor: int) -> bool:
    """Return whether an event loop can wait for it: files are always ready, and refused."""
    try:
        kind = os.fstat(descriptor).st_mode
    except OSError:  # there is none
        return False
    return stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or os.isatty(descriptor)


def _is_ready(descriptor: int, event: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(0))


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
