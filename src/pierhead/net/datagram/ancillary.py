"""The ancillary data of datagrams: control messages, and what follows from them.

Three kinds matter here: the address a datagram was sent to (packet info, RFC 3542 §6.2), its
congestion mark (RFC 3168 §5), and the size of each datagram if several from one sender were
coalesced (UDP_GRO, udp(7)).
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from pierhead.service.context import Ecn

__all__ = [
    "IP_PKTINFO",
    "Ancillary",
    "Message",
    "enable_ecn",
    "enable_gro",
    "enable_packet_info",
    "is_packet_info",
    "pack_control_message",
    "read_ancillary",
    "reply_info",
    "split_coalesced",
    "unpack_control_messages",
]

#: Level, kind and data of a control message.
Message: TypeAlias = tuple[int, int, bytes]

#: Missing from Python's socket module; the same option has other numbers elsewhere.
IP_PKTINFO = {"linux": 8, "darwin": 26}.get(sys.platform)
_SOL_UDP, _UDP_GRO = 17, 104  # Linux; missing likewise

_IP, _IPV6 = socket.IPPROTO_IP, socket.IPPROTO_IPV6
_INFO = frozenset({(_IP, IP_PKTINFO), (_IPV6, getattr(socket, "IPV6_PKTINFO", None))})
#: Linux labels the message with the option of the mark, the BSDs (IPv4) with the option that
#: requests it.
_MARK = frozenset(
    {
        (_IP, getattr(socket, "IP_TOS", None)),
        (_IP, getattr(socket, "IP_RECVTOS", None)),
        (_IPV6, getattr(socket, "IPV6_TCLASS", None)),
    }
)
_MARKS = tuple(Ecn)

# The offset of the interface index in in_pktinfo and in6_pktinfo, by level.
_INTERFACE = {_IP: slice(0, 4), _IPV6: slice(16, 20)}

#: struct cmsghdr on 64-bit Linux: length, level, kind; the next one begins at a multiple of 8.
_CMSGHDR = struct.Struct("=QII")


class Ancillary(NamedTuple):
    """The ancillary data of one datagram.

    Attributes:
        packet_info: the message with the address it was sent to; None unless requested.
        ecn: its congestion mark; None unless requested.
        segment_bytes: the size of each of the coalesced datagrams; 0 for a single one.
    """

    packet_info: Message | None
    ecn: Ecn | None
    segment_bytes: int


def enable_ecn(sock: socket.socket, wanted: bool) -> None:
    """Request the congestion mark of each datagram.

    Raises:
        AttributeError: this platform has no such option.
        OSError: the system refused.
    """
    if sock.family == socket.AF_INET6:
        sock.setsockopt(_IPV6, socket.IPV6_RECVTCLASS, wanted)
    if sock.family == socket.AF_INET or sys.platform == "linux":
        # Linux reports the mark of an IPv4 datagram on a dual-stack socket as for IPv4.
        sock.setsockopt(_IP, socket.IP_RECVTOS, wanted)


def enable_gro(sock: socket.socket, wanted: bool) -> None:
    """Let the kernel deliver several datagrams from one sender at once (Linux 5.0).

    Raises:
        OSError: it does not support this.
    """
    sock.setsockopt(_SOL_UDP, _UDP_GRO, wanted)


def enable_packet_info(sock: socket.socket) -> bool:
    """Request the address that each datagram reached; return false if that is not needed."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        return True
    if IP_PKTINFO is None:  # this system has no such option; it chooses the source itself
        return False
    sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    return True


def unpack_control_messages(control: bytes) -> Iterator[Message]:
    """Yield the messages in a control buffer of the kernel (64-bit Linux)."""
    start = 0
    while start + _CMSGHDR.size <= len(control):
        length, level, kind = _CMSGHDR.unpack_from(control, start)
        yield level, kind, control[start + _CMSGHDR.size : start + length]
        start += _aligned(max(length, _CMSGHDR.size))


def pack_control_message(message: Message) -> bytes:
    """Encode a message for the kernel; the inverse of `unpack_control_messages`."""
    level, kind, data = message
    length = _CMSGHDR.size + len(data)
    return (_CMSGHDR.pack(length, level, kind) + data).ljust(_aligned(length), b"\0")


def _aligned(length: int) -> int:
    return (length + 7) & ~7


def read_ancillary(messages: Iterable[Message]) -> Ancillary:
    """Decode control messages; those of other kinds are skipped."""
    info, ecn, segment_bytes = None, None, 0
    for message in messages:
        level, kind, data = message
        if is_packet_info(message):
            info = message
        elif (level, kind) in _MARK:
            # The traffic class, in one octet or in an int; its lower two bits are the mark.
            ecn = _MARKS[int.from_bytes(data, sys.byteorder) & 3]
        elif (level, kind) == (_SOL_UDP, _UDP_GRO):
            segment_bytes = int.from_bytes(data, sys.byteorder)
    return Ancillary(info, ecn, segment_bytes)


def is_packet_info(message: Message) -> bool:
    """Return whether this message has the address that a datagram was sent to."""
    return message[:2] in _INFO


def reply_info(message: Message) -> Message:
    """Convert the packet info of a datagram into that of its reply.

    The interface is left to routing, and so is the address if the datagram was sent to a group,
    which must not be a source address (RFC 4291 §2.7); IPv4 reports a usable one itself.
    """
    level, kind, data = message
    info = bytearray(data)
    info[_INTERFACE[level]] = bytes(4)
    if level == _IPV6 and info[0] == 0xFF:
        info[:16] = bytes(16)
    return level, kind, bytes(info)


def split_coalesced(data: bytes, segment_bytes: int) -> list[bytes]:
    """Return the datagrams that were coalesced, in order.

    All have the same length except the last, which may be shorter.

    Args:
        segment_bytes: that length; 0 for a single datagram.
    """
    if not segment_bytes or len(data) <= segment_bytes:
        return [data]
    return [data[i : i + segment_bytes] for i in range(0, len(data), segment_bytes)]
