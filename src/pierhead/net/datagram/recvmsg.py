"""Datagrams one per system call, where there is no `recvmmsg`: like `BatchIO`, but slower."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from pierhead.buffer import BufferSource
from pierhead.net.datagram.ancillary import Message, is_packet_info, reply_info
from pierhead.net.datagram.base import Datagram
from pierhead.net.datagram.batch import PENDING_ERRORS, fit
from pierhead.service.context import Peer

__all__ = ["CONTROL_BYTES", "Control", "RecvmsgIO", "source_of"]

_SLOT_BYTES = 65_536

#: Room for the control messages of one datagram.
CONTROL_BYTES = 128

_Address = tuple[Any, ...] | str | bytes

#: Control messages of one datagram.
Control = tuple[Message, ...]


def source_of(control: Sequence[Message]) -> Control:
    """Return packet info that makes a reply leave from the address that the request reached."""
    return tuple(reply_info(message) for message in control if is_packet_info(message))


class RecvmsgIO:
    """Input and output of one datagram socket by `recvmsg` and `sendmsg`.

    The arguments are those of `BatchIO`.
    """

    #: Converts the ancillary data of a datagram into that of its reply.
    _control = staticmethod(source_of)

    def __init__(self, sock: socket.socket, packet_info: bool, buffers: BufferSource) -> None:
        self.truncated = 0
        self._sock = sock
        self._control_bytes = CONTROL_BYTES if packet_info else 0
        self._buffers = buffers
        self._buffer = buffers.acquire(_SLOT_BYTES)

    def receive(self, limit: int) -> list[Datagram]:
        """Take up to this many waiting datagrams; [] if none is waiting."""
        batch: list[Datagram] = []
        for _ in range(limit):
            try:
                length, control, flags, address = self._sock.recvmsg_into(
                    [self._buffer], self._control_bytes
                )
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno not in PENDING_ERRORS:
                    raise
                continue
            if flags & socket.MSG_TRUNC:
                self.truncated += 1
                continue
            way_back = ("" if address is None else address, self._control(control))
            batch.append((bytes(self._buffer[:length]), way_back))
        return batch

    def send(self, datagrams: Sequence[Datagram]) -> list[tuple[int, int]]:
        """Send all of them; return ``(index, errno)`` for each that the kernel refused."""
        refused = []
        for index, (payload, (address, control)) in enumerate(datagrams):
            code = self._send(payload, address, control)
            if code in PENDING_ERRORS:  # perhaps an earlier datagram's error: reported once
                code = self._send(payload, address, control)
            if code:
                refused.append((index, code))
        return refused

    def _send(self, payload: bytes, address: _Address, control: Control) -> int:
        try:
            self._sock.sendmsg([payload], control, 0, address)
        except OSError as error:
            return error.errno or 0
        return 0

    def peer(self, reply_to: tuple[_Address, Control]) -> Peer:
        """Return the sender of a datagram."""
        address = reply_to[0]
        if isinstance(address, bytes):  # an abstract name: a NUL, then anything
            return Peer.abstract(address)
        return Peer(address)

    def way_to(self, address: _Address) -> tuple[_Address, Control]:
        """Return the way to an address."""
        return (fit(self._sock.family, address), ())

    def close(self) -> None:
        """Release the receive buffer; the object must not be used afterwards."""
        self._buffers.release(self._buffer)
