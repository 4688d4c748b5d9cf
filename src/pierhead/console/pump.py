"""Octets from one descriptor to another, at the speed of the system: files, pipes, plain sockets.

a file to a socket           sendfile: the octets stay in the kernel
a pipe, on either side       splice, likewise (Linux)
anything else                one buffer, used again
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import stat
from collections.abc import Callable

__all__ = ["Pump"]

#: At most so much in one system call: others get their turn, and a copy stays in the cache.
_SIZE_BYTES = 262_144


class Pump:
    """Moves octets between two descriptors; each waits without a thread.

    Args:
        source: a file, a pipe, a terminal or a socket.
        target: likewise; non-blocking unless it is a file or a terminal.
    """

    def __init__(self, source: int, target: int) -> None:
        self._source = source
        self._target = target
        kind, to = os.fstat(source).st_mode, os.fstat(target).st_mode
        self._is_file = not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or os.isatty(source))
        self._buffer: bytearray | None = None
        self._move: Callable[[], int] = self._copy
        if stat.S_ISREG(kind) and stat.S_ISSOCK(to) and hasattr(os, "sendfile"):
            self._move = self._send_file
        self._rest = memoryview(b"")

    async def run(self) -> None:
        """Move everything, until the source ends.

        Raises:
            OSError: one of them failed.
        """
        while True:
            if self._rest:
                await self._write_rest()
            if not self._is_file and not _is_ready(self._source):
                await _until(self._source, is_writing=False)
            try:
                if not self._move():
                    return
            except BlockingIOError:
                await _until(self._target, is_writing=True)
            except OSError as error:
                if error.errno != errno.EINVAL or self._move == self._copy:
                    raise
                self._move = self._copy  # this kind of file has no sendfile
            if self._is_file:
                await asyncio.sleep(0)

    def _send_file(self) -> int:
        # Without an offset the position of the file moves, as reading moves it.
        return os.sendfile(self._target, self._source, None, _SIZE_BYTES)

    def _copy(self) -> int:
        if self._buffer is None:
            self._buffer = bytearray(_SIZE_BYTES)
        size = os.readv(self._source, [self._buffer])
        self._rest = memoryview(self._buffer)[:size]
        while self._rest:
            try:
                self._rest = self._rest[os.write(self._target, self._rest) :]
            except BlockingIOError:
                break  # `run` waits, and writes the rest
        return size

    async def _write_rest(self) -> None:
        while self._rest:
            await _until(self._target, is_writing=True)
            try:
                self._rest = self._rest[os.write(self._target, self._rest) :]
            except BlockingIOError:
                continue


def _is_ready(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


async def _until(descriptor: int, *, is_writing: bool) -> None:
    """Wait until there is something to read, or room to write."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    add, remove = (
        (loop.add_writer, loop.remove_writer)
        if is_writing
        else (loop.add_reader, loop.remove_reader)
    )
    add(descriptor, _settle, ready)
    try:
        await ready
    finally:
        remove(descriptor)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
