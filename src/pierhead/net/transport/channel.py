"""Channels to a peer for which asyncio has no transport.

asyncio's stream helpers refuse seqpacket sockets, uvloop refuses any family but IP and Unix, and
neither combines two pipes into one transport. Each is a `Channel` here, and `ChannelTransport`
serves them all.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["Channel", "MessageCutOff", "PacketChannel", "PipeChannel", "StreamChannel"]

#: The poll event "the peer has ended its side"; 0 if the system has none.
_RDHUP = getattr(select, "POLLRDHUP", 0)


class MessageCutOff(Exception):
    """A message was larger than the buffer; the rest of it is lost."""


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
        """The transport's extra information."""
        ...

    def receive_into(self, buffer: bytearray | memoryview) -> int | None:
        """Return how many octets arrived, or None at the end of input.

        Raises:
            BlockingIOError: nothing has arrived yet.
            MessageCutOff: a message did not fit.
            OSError: the connection broke.
        """
        ...

    def send(self, data: bytes | memoryview) -> int:
        """Return how many octets were taken; with message boundaries, all of them.

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
            if error.errno != errno.ENOTCONN:  # the peer has closed both sides: nothing to do
                raise

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


class PacketChannel(StreamChannel):
    """A connected seqpacket socket: one message is one packet, even an empty one."""

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
        # recv() returns 0 for an empty message and for the end alike; only the end sets POLLRDHUP.
        return not _RDHUP or bool(self._poll.poll(0))


class PipeChannel:
    """Two descriptors, one per direction: pipes, plain files, or a terminal to write to.

    Both are made non-blocking, and restored at the end: another process may share them, as the
    shell does its terminal.
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
        """Close the write side, which is how the reader of a pipe learns of the end."""
        self._close(self.writing)

    def close(self) -> None:
        """Close both sides."""
        self._close(self.writing)
        self._close(self.reading)

    def _close(self, number: int) -> None:
        if number in self._blocking:
            os.set_blocking(number, self._blocking.pop(number))
            os.close(number)
