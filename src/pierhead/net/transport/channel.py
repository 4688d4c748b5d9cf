"""Ways to and from a peer that asyncio has no transport for.

asyncio's stream helpers refuse seqpacket sockets, uvloop refuses any family but IP and Unix, and
nobody makes one transport of two pipes. Each is a `Channel` here, and `ChannelTransport` serves
them all.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["Channel", "MessageCutOff", "PacketChannel", "PipeChannel", "StreamChannel"]

#: Poll event "the peer has ended its side"; 0 where the system has no such.
_RDHUP = getattr(select, "POLLRDHUP", 0)


class MessageCutOff(Exception):
    """A message was larger than the buffer; what was left of it is gone."""


class Channel(Protocol):
    """Moves octets without ever blocking; owns its descriptors and closes them once."""

    @property
    def keeps_borders(self) -> bool:
        """Whether each `send` is one `receive_into` at the other end."""
        ...

    @property
    def reading(self) -> int:
        """The descriptor to wait on for input."""
        ...

    @property
    def writing(self) -> int:
        """The descriptor to wait on for room."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the transport tells as its extra information."""
        ...

    def receive_into(self, buffer: bytearray | memoryview) -> int | None:
        """Return how many octets came, or None at the end of the input.

        Raises:
            BlockingIOError: nothing is there yet.
            MessageCutOff: a message did not fit.
            OSError: the connection broke.
        """
        ...

    def send(self, data: bytes | memoryview) -> int:
        """Return how many octets were taken; where borders are kept, all of them.

        Raises:
            BlockingIOError: there is no room yet.
            OSError: the connection broke, or a message is too large ever to be sent.
        """
        ...

    def end_output(self) -> None:
        """Say that nothing more will be sent."""
        ...

    def close(self) -> None:
        """Close both directions; later calls do nothing."""
        ...


class StreamChannel:
    """A connected stream socket of any family."""

    keeps_borders = False

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self.reading = self.writing = sock.fileno()
        self.facts: Mapping[str, Any] = {"socket": sock, "sockname": sock.getsockname()}

    def receive_into(self, buffer: bytearray | memoryview) -> int | None:
        """Return how many octets came, or None at the end of the input."""
        return self._sock.recv_into(buffer) or None

    def send(self, data: bytes | memoryview) -> int:
        """Return how many octets were taken."""
        return self._sock.send(data)

    def end_output(self) -> None:
        """Say that nothing more will be sent."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # the peer has closed all of it: that is said
                raise

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


class PacketChannel(StreamChannel):
    """A connected seqpacket socket: one message is one packet, an empty one included."""

    keeps_borders = True

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._poll = select.poll()
        self._poll.register(sock, _RDHUP)

    def receive_into(self, buffer: bytearray | memoryview) -> int | None:
        """Return how many octets came, or None at the end of the input."""
        length, _, flags, _ = self._sock.recvmsg_into([buffer])
        if flags & socket.MSG_TRUNC:
            raise MessageCutOff
        return length if length or not self._has_ended() else None

    def _has_ended(self) -> bool:
        # recv() says 0 for an empty message and for the end alike; only the second hangs up.
        return not _RDHUP or bool(self._poll.poll(0))


class PipeChannel:
    """Two descriptors, one for each direction: pipes, or plain files, or a terminal to write to.

    Both are set not to block, and back to what they were at the end: another process may have
    them too, the shell its terminal.
    """

    keeps_borders = False

    def __init__(self, reading: int, writing: int) -> None:
        self.reading, self.writing = reading, writing
        self.facts: Mapping[str, Any] = {"pipe": (reading, writing)}
        self._blocking = {number: os.get_blocking(number) for number in (reading, writing)}
        for number in self._blocking:
            os.set_blocking(number, False)

    def receive_into(self, buffer: bytearray | memoryview) -> int | None:
        """Return how many octets came, or None at the end of the input."""
        return os.readv(self.reading, [buffer]) or None

    def send(self, data: bytes | memoryview) -> int:
        """Return how many octets were taken."""
        return os.write(self.writing, data)

    def end_output(self) -> None:
        """Close the writing side: the reader of a pipe learns it so."""
        self._close(self.writing)

    def close(self) -> None:
        """Close both sides."""
        self._close(self.writing)
        self._close(self.reading)

    def _close(self, number: int) -> None:
        if number in self._blocking:
            os.set_blocking(number, self._blocking.pop(number))
            os.close(number)
