"""An asyncio transport over any `Channel`: seqpacket sockets, vsock, a pair of pipes.

readable ─▶ receive_into ─▶ protocol        one message at a time with message boundaries
write ─▶ send, at once ─▶ the rest waits, with flow control, until there is room
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Protocol, cast, runtime_checkable

from pierhead.net.transport.channel import Channel, MessageCutOff
from pierhead.net.transport.feed import buffer_of, report
from pierhead.net.transport.flow import FlowControl

__all__ = ["ChannelTransport", "HearsOfCutOff"]

_READ_BYTES = 65_536


@runtime_checkable
class HearsOfCutOff(Protocol):
    """A protocol that is notified of messages larger than its buffer."""

    def message_cut_off(self) -> None:
        """Note that a message did not fit; none of it is delivered."""
        ...


class ChannelTransport(asyncio.Transport):
    """Joins a channel to a protocol; with message boundaries each `write` is one message."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, channel: Channel, protocol: asyncio.BaseProtocol
    ) -> None:
        super().__init__(dict(channel.facts))
        self._loop = loop
        self._channel = channel
        self._protocol = protocol
        self._waiting: deque[bytes | memoryview] = deque()
        self._waiting_bytes = 0
        self._flow = FlowControl()
        self._awaits_room = False
        self._reading = False
        self._by_turns: asyncio.Handle | None = None
        self._eof_asked = self._eof_received = False
        self._closing = self._lost = False
        self.resume_reading()
        try:
            protocol.connection_made(self)
        except BaseException:
            self.pause_reading()
            raise

    # -- reading -------------------------------------------------------------------------------

    def is_reading(self) -> bool:
        """Return whether the protocol receives input."""
        return self._reading

    def pause_reading(self) -> None:
        """Pause delivery; input waits."""
        if not self._reading:
            return
        self._reading = False
        if self._by_turns is None:
            self._loop.remove_reader(self._channel.reading)
        else:
            self._by_turns.cancel()
            self._by_turns = None

    def resume_reading(self) -> None:
        """Deliver waiting input, and resume."""
        if self._reading or self._closing or self._eof_received:
            return
        self._reading = True
        try:
            self._loop.add_reader(self._channel.reading, self._read)
        except PermissionError:  # a plain file: always readable, so there is nothing to wait for
            self._by_turns = self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        self._by_turns = self._loop.call_soon(self._read_on)
        self._read()

    def _read(self) -> None:
        protocol = self._protocol
        try:
            if isinstance(protocol, asyncio.BufferedProtocol):
                self._read_into(protocol)
            else:
                buffer = bytearray(_READ_BYTES)
                length = self._channel.receive_into(buffer)
                if length is not None:
                    cast(asyncio.Protocol, protocol).data_received(bytes(buffer[:length]))
                else:
                    self._end_of_input()
        except (BlockingIOError, InterruptedError):
            return
        except MessageCutOff:
            if isinstance(protocol, HearsOfCutOff):
                protocol.message_cut_off()
        except OSError as error:
            self._fail(error)
        except Exception as error:
            report(self, self._protocol, error)
            self._fail(error)

    def _read_into(self, protocol: asyncio.BufferedProtocol) -> None:
        length = self._channel.receive_into(buffer_of(protocol, -1))
        if length is not None:
            protocol.buffer_updated(length)
        else:
            self._end_of_input()

    def _end_of_input(self) -> None:
        self.pause_reading()
        self._eof_received = True
        if not cast(asyncio.Protocol, self._protocol).eof_received():
            self.close()

    # -- writing -------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send these octets; with message boundaries, as one message, even an empty one."""
        rest: bytes | memoryview = bytes(memoryview(data))
        if self._closing:
            return
        if self._eof_asked:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not (rest or self._channel.keeps_borders):
            return
        if not self._waiting:
            left = self._send(rest)
            if left is None:
                return
            rest = left
            self._awaits_room = True
            self._loop.add_writer(self._channel.writing, self._write_on)
        self._waiting.append(rest)
        self._waiting_bytes += len(rest)
        self._flow.update(self)

    def _send(self, data: bytes | memoryview) -> bytes | memoryview | None:
        """Send what can be sent now; return the rest, or None."""
        try:
            sent = self._channel.send(data)
        except (BlockingIOError, InterruptedError):
            return data
        except OSError as error:
            self._fail(error)
            return None
        return None if sent == len(data) else memoryview(data)[sent:]

    def _write_on(self) -> None:
        while self._waiting:
            first = self._waiting.popleft()
            self._waiting_bytes -= len(first)
            left = self._send(first)
            if left is not None:
                self._waiting.appendleft(left)
                self._waiting_bytes += len(left)
                break
        if self._lost:
            return
        self._flow.update(self)
        if not self._waiting:
            self._all_written()

    def _all_written(self) -> None:
        self._stop_waiting()
        if self._closing:
            self._lose(None)
        elif self._eof_asked:
            self._end_output()

    def write_eof(self) -> None:
        """End the write side; reading continues."""
        if self._eof_asked or self._closing:
            return
        self._eof_asked = True
        if not self._waiting:
            self._end_output()

    def _end_output(self) -> None:
        try:
            self._channel.end_output()
        except OSError as error:
            self._fail(error)

    def can_write_eof(self) -> bool:
        """Return true: each direction of a channel ends separately."""
        return True

    def get_write_buffer_size(self) -> int:
        """Return how many octets wait for room."""
        return self._waiting_bytes

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
        self.pause_reading()
        self._closing = True
        if not self._waiting:
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
        self.pause_reading()
        self._closing = True
        self._stop_waiting()
        self._waiting.clear()
        self._waiting_bytes = 0
        self._lose(error)

    def _stop_waiting(self) -> None:
        if self._awaits_room:
            self._awaits_room = False
            self._loop.remove_writer(self._channel.writing)

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._loop.call_soon(self._end, error)

    def _end(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._channel.close()
            # The protocol refers to this transport; a cycle would live until garbage collection.
            self._protocol = asyncio.Protocol()
