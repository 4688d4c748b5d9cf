"""Streams of a memory network: a pair of `asyncio.Transport`, joined without a socket.

    write ─▶ link (delay, cut) ─▶ inbox of the other side ─▶ data_received

Flow control is that of a socket: the network holds up to 64 KiB that the reader has not taken; the
rest waits in the writer's buffer, and above its high limit the protocol is told to pause.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from pierhead.net.memory.link import Link
from pierhead.net.transport.feed import feed, report
from pierhead.net.transport.flow import FlowControl

__all__ = ["MemoryTransport"]

#: How much the network holds for a reader that does not read, like the buffers of two sockets.
_WINDOW_BYTES = 65_536
#: The maximum size of one data_received.
_READ_BYTES = 65_536


class MemoryTransport(asyncio.Transport):
    """One side of a stream; created in pairs."""

    def __init__(self, link: Link, local: str, remote: str) -> None:
        super().__init__({"sockname": local, "peername": remote})
        self._loop = asyncio.get_running_loop()
        self._direction = link.direction(local)
        self._link = link
        self._other: MemoryTransport | _Gone = self
        self._protocol: asyncio.BaseProtocol | None = None
        self._inbox: deque[bytes] = deque()
        self._waiting: deque[memoryview] = deque()  # output for which the network has no room
        self._waiting_bytes = 0
        self._untaken = 0  # octets in the network that the other side has not read
        self._flow = FlowControl()
        self._reading = True
        self._reads_soon = False
        self._eof_asked = self._eof_sent = self._eof_arrived = self._eof_told = False
        self._closing = self._lost = self._reset_arrived = False
        link.attach(self)

    @classmethod
    def pair(cls, link: Link, first: str, second: str) -> tuple[MemoryTransport, MemoryTransport]:
        """Return both sides of a new stream; each still needs a protocol (`open`)."""
        one, two = cls(link, first, second), cls(link, second, first)
        one._other, two._other = two, one
        return one, two

    def open(self, protocol: asyncio.BaseProtocol) -> None:
        """Attach the protocol, then deliver the input that has arrived."""
        self._protocol = protocol
        protocol.connection_made(self)
        self._read_soon()

    # Writing.

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send these bytes; copies them."""
        chunk = bytes(memoryview(data))
        if self._closing:
            return
        if self._eof_asked:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not self._waiting and self._untaken + len(chunk) <= _WINDOW_BYTES:
            if chunk:
                self._carry(chunk)
            return
        self._waiting.append(memoryview(chunk))
        self._waiting_bytes += len(chunk)
        self._send()
        self._pause_or_resume()

    def write_eof(self) -> None:
        """End the write side; reading continues."""
        if not self._closing:
            self._end_output()

    def can_write_eof(self) -> bool:
        """Return true: each direction of this stream ends separately."""
        return True

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait because the network is full."""
        return self._waiting_bytes

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low and high limits."""
        return self._flow.low, self._flow.high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the limits at which the protocol is told to pause and to resume."""
        self._flow.set_limits(high, low)
        self._pause_or_resume()

    # Reading.

    def is_reading(self) -> bool:
        """Return whether the protocol receives input."""
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        """Pause delivery; input waits."""
        self._reading = False

    def resume_reading(self) -> None:
        """Deliver waiting input, and resume."""
        self._reading = True
        self._read_soon()

    # Ending.

    def is_closing(self) -> bool:
        """Return whether the stream is closed or closing."""
        return self._closing

    def close(self) -> None:
        """Stop reading, send what has been written, then close."""
        if self._closing:
            return
        self._end_output()
        self._closing = True
        if not self._waiting:
            self._end()

    def abort(self) -> None:
        """Close at once: data in transit is lost, and the other side sees a reset."""
        if not self._lost:
            self._closing = True
            self._direction.carry_chunk(self._other._arrive_reset)
            self._lose(None)

    def sever(self) -> None:
        """End at once because the link was cut."""
        self._closing = True
        self._lose(_reset_error())

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the current protocol."""
        if self._protocol is None:
            raise RuntimeError("this stream has no protocol yet")
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Switch to another protocol."""
        self._protocol = protocol

    # Events from the other side.

    def _arrive(self, chunk: bytes) -> None:
        if self._lost:  # this side no longer reads
            self._direction.carry_chunk(self._other._arrive_reset)
            return
        self._inbox.append(chunk)
        self._read_soon()

    def _arrive_eof(self) -> None:
        self._eof_arrived = True
        self._read_soon()

    def _taken(self, size: int) -> None:
        self._untaken -= size
        if self._waiting:
            self._send()
        if self._closing and not self._waiting:
            self._end()
        elif self._flow.is_paused and not self._lost:
            self._pause_or_resume()

    def _arrive_reset(self) -> None:
        # Data from before the reset can still be read.
        self._reset_arrived = True
        if self._inbox and self.is_reading() and self._protocol is not None:
            self._read_soon()
        else:
            self.sever()

    # Implementation.

    def _send(self) -> None:
        """Pass to the network as much as it has room for, and then the end."""
        while self._waiting and self._untaken < _WINDOW_BYTES:
            chunk, room = self._waiting.popleft(), _WINDOW_BYTES - self._untaken
            if len(chunk) > room:
                self._waiting.appendleft(chunk[room:])
                chunk = chunk[:room]
            self._waiting_bytes -= len(chunk)
            self._carry(bytes(chunk))
        if self._eof_asked and not self._waiting and not self._eof_sent:
            self._eof_sent = True
            self._direction.carry_chunk(self._other._arrive_eof)

    def _carry(self, chunk: bytes) -> None:
        self._untaken += len(chunk)
        self._direction.carry_chunk(lambda: self._other._arrive(chunk))

    def _end_output(self) -> None:
        self._eof_asked = True
        self._send()

    def _read_soon(self) -> None:
        if not self._reads_soon and self._protocol is not None:
            self._reads_soon = True
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        self._reads_soon = False
        if self._closing or not self._reading:
            return
        if self._inbox:
            self._guarded(self._deliver, self._take())
            self._read_soon()
        elif self._reset_arrived:
            self.sever()
        elif self._eof_arrived and not self._eof_told:
            self._eof_told = True
            self._guarded(self._tell_eof)

    def _take(self) -> bytes:
        data = self._inbox.popleft()
        while self._inbox and len(data) + len(self._inbox[0]) <= _READ_BYTES:
            data += self._inbox.popleft()
        if len(data) > _READ_BYTES:
            self._inbox.appendleft(data[_READ_BYTES:])
            data = data[:_READ_BYTES]
        return data

    def _deliver(self, data: bytes) -> None:
        taken = feed(self.get_protocol(), data, self.is_reading)
        if taken < len(data) and not self._closing:  # the protocol has paused reading
            self._inbox.appendleft(data[taken:])
            self._other._taken(taken)
        else:
            self._other._taken(len(data))

    def _tell_eof(self) -> None:
        if not cast(asyncio.Protocol, self._protocol).eof_received():
            self.close()

    def _guarded(self, step: Callable[..., None], *arguments: Any) -> None:
        # As asyncio's own transports do: a protocol that raises loses its connection.
        try:
            step(*arguments)
        except Exception as error:
            report(self, self._protocol, error)
            self._closing = True
            self._direction.carry_chunk(self._other._arrive_reset)
            self._lose(error)

    def _pause_or_resume(self) -> None:
        if self._protocol is not None and not self._closing:
            self._flow.update(self)

    def _end(self) -> None:
        """End after the last octet was sent."""
        if self._inbox and not self._lost:
            # As in TCP: input that is never read is answered with a reset.
            self._direction.carry_chunk(self._other._arrive_reset)
        self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = True
        self._inbox.clear()
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._protocol is not None:
            self._loop.call_soon(self._protocol.connection_lost, error)
            self._protocol = None
        # The sides refer to each other; a cycle would live until garbage collection.
        other = self._other
        if isinstance(other, MemoryTransport) and other._lost:
            other._other = self._other = _GONE


class _Gone:
    """Stands in for the other side once neither has anything left to do."""

    def _arrive(self, chunk: bytes) -> None:
        """Do nothing, like all of these: data still in transit is lost."""

    def _arrive_eof(self) -> None: ...

    def _arrive_reset(self) -> None: ...

    def _taken(self, size: int) -> None: ...


_GONE = _Gone()


def _reset_error() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
