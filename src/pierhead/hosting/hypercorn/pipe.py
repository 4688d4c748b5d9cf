"""What hypercorn's server reads from and writes to: a connection as reader and writer in one.

It offers what hypercorn uses of `asyncio.StreamReader` and `asyncio.StreamWriter`. Unlike those, it
shows what has arrived and was not read yet, and lets its owner decide whether the end of input is
reported.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, cast

__all__ = ["HypercornPipe", "PipeOwner"]

#: How much may wait to be read before reading from the peer pauses.
_HIGH_BYTES = 65_536


class PipeOwner(Protocol):
    """Is notified about a connection, and decides on its end."""

    def made(self) -> None:
        """Begin: the connection is established."""
        ...

    def lost(self) -> None:
        """End: the connection is closed or lost."""
        ...

    def has_handled(self) -> None:
        """Be notified that everything read so far was handled."""
        ...

    def has_gone(self) -> bool:
        """Tell whether the end of input, just received, must be reported in any case."""
        ...

    def may_end(self) -> bool:
        """Tell whether it may be reported anyway, now that everything received was read."""
        ...


class HypercornPipe(asyncio.Protocol):
    """A connection.

    Attributes:
        waiting: received data that was not read yet.
        takes_more: whether received data is kept.
    """

    def __init__(self, owner: PipeOwner) -> None:
        self.waiting = bytearray()
        self.takes_more = True
        self._owner = owner
        self._has_ended = False
        self._is_over = False  # nothing more to read, and no answer to wait for
        self._is_lost = False
        self._is_paused = False
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = asyncio.Event()

    # -- the host's side -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)
        self._owner.made()

    def data_received(self, data: bytes) -> None:
        """Keep received data for the reader."""
        if not self.takes_more:
            return
        self.waiting += data
        self._news.set()
        if len(self.waiting) > _HIGH_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """Record the end of input."""
        self._has_ended = True
        self._is_over = self._owner.has_gone()
        self._news.set()

    def pause_writing(self) -> None:
        """Make the writer wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let the writer continue."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """End everything."""
        self._is_lost = True
        for event in (self._news, self._writable, self._closed):
            event.set()
        self._owner.lost()

    # -- hypercorn's side ----------------------------------------------------------------------

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended."""
        return self._is_lost

    @property
    def is_paused(self) -> bool:
        """Whether reading from the peer is paused."""
        return self._is_paused

    def at_eof(self) -> bool:
        """Tell whether there will be nothing more to read."""
        is_over = self._is_over or (self._has_ended and self._owner.may_end())
        return not self.waiting and (self._is_lost or is_over)

    async def read(self, limit: int) -> bytes:
        """Return what was received, at most this much; empty at the end."""
        self._owner.has_handled()
        while not self.waiting and not self.at_eof():
            self._news.clear()
            await self._news.wait()
        data = bytes(self.waiting[:limit])
        del self.waiting[:limit]
        if self._is_paused and len(self.waiting) <= _HIGH_BYTES // 2:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    def write(self, data: bytes) -> None:
        """Send these octets."""
        self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the peer keeps up.

        Raises:
            ConnectionResetError: the connection has ended.
        """
        await self._writable.wait()
        if self._is_lost:
            raise ConnectionResetError("the connection has ended")

    def write_eof(self) -> None:
        """Announce that nothing more will be written."""
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """Close once everything written has been sent."""
        self._transport.close()

    async def wait_closed(self) -> None:
        """Return once the connection has ended."""
        await self._closed.wait()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a property of the connection; for the socket, those hypercorn reads."""
        if name == "socket":
            return _Ends(
                _address(self._transport.get_extra_info("peername")),
                _address(self._transport.get_extra_info("sockname")),
            )
        return self._transport.get_extra_info(name, default)


class _Ends:
    """Both ends of a connection, whether or not there is such a socket below it.

    hypercorn uses addresses of this family unchanged, so it stands for IPv6 too.
    """

    family = 2  # AF_INET, the same number everywhere

    def __init__(self, peer: tuple[str, int] | None, local: tuple[str, int] | None) -> None:
        self._peer = peer
        self._local = local

    def getpeername(self) -> tuple[str, int] | None:
        return self._peer

    def getsockname(self) -> tuple[str, int] | None:
        return self._local


def _address(name: Any) -> tuple[str, int] | None:
    """Return host and port; None for an end without a port."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None
