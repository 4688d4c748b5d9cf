"""An asyncio transport over two coroutine functions: one reads octets, the other writes them.

read() ─▶ a task, as long as the protocol reads ─▶ protocol
write ─▶ what waits, with flow control ─▶ a task ─▶ write()
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pierhead.clock import SystemClock
from pierhead.failure_log import FailureLog, one_line
from pierhead.net.transport.feed import feed, report
from pierhead.net.transport.flow import FlowControl
from pierhead.service.context import Peer

__all__ = ["ByteStream", "CoroutineTransport", "mistakes", "release"]

#: Where mistakes are reported that no server is told of: of all connections, so that many that
#: fail in the same way log one line a second together.
mistakes = FailureLog(SystemClock())
_SOMEBODY = Peer("somebody")


@dataclass(frozen=True, slots=True)
class ByteStream:
    """The read and write functions of one connection.

    Attributes:
        read: waits for octets and returns some; ``b""`` at the end of input. It is cancelled
            when the connection closes.
        write: takes octets, and returns once there is room for more.
        write_eof: ends the write side; None if the two sides cannot end separately.
        close: releases the connection; called once; None if there is nothing to do.
        facts: the values of ``get_extra_info``.
    """

    read: Callable[[], Awaitable[bytes]]
    write: Callable[[bytes], Awaitable[object]]
    write_eof: Callable[[], Awaitable[object]] | None = None
    close: Callable[[], object] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def release(stream: ByteStream, peer: Peer, failures: FailureLog) -> None:
    """Release a connection; a mistake of the program is reported."""
    if stream.close is not None:
        try:
            stream.close()
        except Exception as error:
            _report(failures, peer, "close", error)


def _report(failures: FailureLog, peer: Peer, function: str, error: Exception) -> None:
    failures.report(f"connection of {peer}: {function}()", error, function, peer)


class CoroutineTransport(asyncio.Transport):
    """Joins a `ByteStream` to a protocol, and calls its ``connection_made``.

    Args:
        stream: the functions.
        protocol: gets what is read.
        peer: the other end.
        failures: where mistakes of the functions are reported.
    """

    def __init__(
        self,
        stream: ByteStream,
        protocol: asyncio.BaseProtocol,
        peer: Peer = _SOMEBODY,
        failures: FailureLog = mistakes,
    ) -> None:
        super().__init__(dict(stream.facts))
        self._peer = peer
        self._failures = failures
        self._loop = asyncio.get_running_loop()
        self._stream = stream
        self._protocol = protocol
        self._waiting = bytearray()
        self._being_written = 0
        self._flow = FlowControl()
        self._unread = b""  # input read while the protocol paused
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._eof_asked = False
        self._closing = self._lost = False
        protocol.connection_made(self)
        if not self._closing:
            self._reader = self._loop.create_task(self._read_on())

    # -- reading -------------------------------------------------------------------------------

    def is_reading(self) -> bool:
        """Return whether the protocol receives input."""
        return self._may_read.is_set() and not self._closing

    def pause_reading(self) -> None:
        """Pause delivery; input waits."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Deliver waiting input, and resume."""
        self._may_read.set()

    async def _read_on(self) -> None:
        try:
            while await self._reads_more():
                pass
        except OSError as error:
            self._fail(error)
        except Exception as error:  # a bug in the protocol
            report(self, self._protocol, error)
            self._fail(error)

    async def _reads_more(self) -> bool:
        """Take one piece; return whether there may be another."""
        await self._may_read.wait()
        self._unread = self._unread or await self._read()
        await self._may_read.wait()
        if self._unread:
            taken = feed(self._protocol, self._unread, self.is_reading)
            self._unread = self._unread[taken:]
            return not self._closing
        if not cast(asyncio.Protocol, self._protocol).eof_received():
            self.close()
        return False

    async def _read(self) -> bytes:
        """Return what the read function gives; an error of any other class becomes an OSError."""
        try:
            octets: object = await self._stream.read()
            if octets and not isinstance(octets, bytes | bytearray | memoryview):
                raise TypeError(f"read() returned {type(octets).__name__}, expected bytes")
        except OSError:
            raise
        except Exception as error:  # a bug in the program costs only this connection
            raise self._mistake("read", error) from error
        return cast(bytes, octets)

    def _mistake(self, function: str, error: Exception) -> OSError:
        """Report a bug of the program; return the error that the connection ends with."""
        _report(self._failures, self._peer, function, error)
        return OSError(errno.EIO, f"{function}() failed: {one_line(error)}")

    # -- writing -------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send these octets; copies them."""
        octets = memoryview(data)
        if self._closing:
            return
        if self._eof_asked:
            raise RuntimeError("Cannot call write() after write_eof()")
        if octets:
            self._waiting += octets
            self._write_soon()
            self._flow.update(self)

    def _write_soon(self) -> None:
        if self._writer is None:
            self._writer = self._loop.create_task(self._write_on())

    async def _write_on(self) -> None:
        try:
            while self._waiting:
                octets = bytes(self._waiting)
                self._waiting.clear()
                self._being_written = len(octets)
                await self._stream.write(octets)
                self._being_written = 0
                self._flow.update(self)
            if self._eof_asked and not self._closing and self._stream.write_eof is not None:
                await self._stream.write_eof()
        except OSError as error:
            self._fail(error)
        except Exception as error:  # a bug in the program costs only this connection
            self._fail(self._mistake("write", error))
        else:
            self._written()

    def _written(self) -> None:
        self._writer = None
        if self._waiting:  # since
            self._write_soon()
        elif self._closing:
            self._lose(None)

    def write_eof(self) -> None:
        """End the write side; reading continues."""
        if self._stream.write_eof is None:
            raise NotImplementedError("this connection does not support half-close")
        if not self._eof_asked and not self._closing:
            self._eof_asked = True
            self._write_soon()

    def can_write_eof(self) -> bool:
        """Return whether the write side can be ended separately."""
        return self._stream.write_eof is not None

    def get_write_buffer_size(self) -> int:
        """Return how many octets have not been taken."""
        return len(self._waiting) + self._being_written

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low and high limits."""
        return self._flow.low, self._flow.high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the limits at which the protocol is told to pause and to resume."""
        self._flow.set_limits(high, low)
        self._flow.update(self)

    # -- ending --------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Return whether the transport is closed or closing."""
        return self._closing

    def close(self) -> None:
        """Stop reading, send what has been written, then close."""
        if self._closing:
            return
        self._closing = True
        self._stop_reading()
        if self._writer is None:
            self._lose(None)

    def abort(self) -> None:
        """Close at once; waiting output is lost."""
        self._fail(None)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the current protocol."""
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Switch to another protocol."""
        self._protocol = protocol

    def _fail(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._closing = True
        self._stop_reading()
        if self._writer is not None and self._writer is not asyncio.current_task():
            self._writer.cancel()
        self._writer = None
        self._waiting.clear()
        self._being_written = 0
        self._lose(error)

    def _stop_reading(self) -> None:
        if self._reader is not None and self._reader is not asyncio.current_task():
            self._reader.cancel()
        self._reader = None

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._loop.call_soon(self._end, error)

    def _end(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            release(self._stream, self._peer, self._failures)
            # The protocol refers to this transport; a cycle would live until garbage collection.
            self._protocol = asyncio.Protocol()
