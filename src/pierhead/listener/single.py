"""Datagrams one system call at a time, where there is no `recvmmsg`: as `BatchIO`, but slower."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

from pierhead.buffer import BufferSource
from pierhead.context import Peer
from pierhead.listener.base import Datagram
from pierhead.listener.batch import PENDING_ERRORS

__all__ = ["IP_PKTINFO", "SingleIO"]

_SLOT_BYTES = 65_536
_CONTROL_BYTES = 128

#: Missing from Python's socket module; the same option by other numbers.
IP_PKTINFO = {"linux": 8, "darwin": 26}.get(sys.platform)

# Where the interface index stands in in_pktinfo and in6_pktinfo, by level.
_INTERFACE = {socket.IPPROTO_IP: slice(0, 4), socket.IPPROTO_IPV6: slice(16, 20)}

_Address = tuple[Any, ...] | str | bytes
_Control = tuple[tuple[int, int, bytes], ...]


class SingleIO:
    """Input and output of one datagram socket by `recvmsg` and `sendmsg`.

    The arguments are those of `BatchIO`.
    """

    def __init__(self, sock: socket.socket, packet_info: bool, buffers: BufferSource) -> None:
        self.truncated = 0
        self._sock = sock
        self._control_bytes = _CONTROL_BYTES if packet_info else 0
        self._buffers = buffers
        self._buffer = buffers.acquire(_SLOT_BYTES)

    def receive(self, limit: int) -> list[Datagram]:
        """Take up to this many waiting datagrams; [] when none waits."""
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
            way_back = ("" if address is None else address, _source(control))
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

    def _send(self, payload: bytes, address: _Address, control: _Control) -> int:
        try:
            self._sock.sendmsg([payload], control, 0, address)
        except OSError as error:
            return error.errno or 0
        return 0

    def peer(self, reply_to: tuple[_Address, _Control]) -> Peer:
        """Return the sender of a datagram."""
        address = reply_to[0]
        if isinstance(address, bytes):  # an abstract name: a NUL, then anything
            return Peer("@" + os.fsdecode(address[1:]))
        return Peer(address)

    def close(self) -> None:
        """Give the receive buffer back; the object is of no use afterwards."""
        self._buffers.release(self._buffer)


def _source(control: list[tuple[int, int, bytes]]) -> _Control:
    """Turn the packet info of a datagram into that of its reply.

    The interface is left to routing, and a group address is no source address (RFC 4291 §2.7).
    """
    replies = []
    for level, kind, data in control:
        if level not in _INTERFACE:
            continue
        info = bytearray(data)
        info[_INTERFACE[level]] = bytes(4)
        if level == socket.IPPROTO_IPV6 and info[0] == 0xFF:
            continue
        replies.append((level, kind, bytes(info)))
    return tuple(replies)
