"""Datagrams in batches: one system call receives up to 32, one sends up to 32 (Linux).

`recvmmsg` and `sendmmsg` through ctypes, over memory that is laid out once. Per datagram, only its
bytes and the bytes of its reply address are created; everything else moves as whole arrays.
docs/decisions/0003-batch-io.md has the measurements.

    headers   mmsghdr × 32      as the kernel expects them; fully restored after every call
    vectors   iovec × 32        where each datagram's octets are
    senders   slot × 32         sockaddr, then room for one control message (packet info)
    data      slot × 32         65,536 octets each, borrowed from a `BufferSource`

The address of a reply is the sender's slot as received. On a socket bound to a wildcard address it
includes the packet info, so the reply leaves from the address that the request reached.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import socket
import struct
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from pierhead.buffer import BufferSource
from pierhead.net.datagram.base import Datagram
from pierhead.service.context import Peer

__all__ = ["MAX_BATCH", "PENDING_ERRORS", "BatchIO", "Layout", "fit", "has_batch_io"]

#: How many datagrams one system call carries.
MAX_BATCH = 32

#: The largest possible datagram: the IP length field has 16 bits (RFC 768).
_SLOT_BYTES = 65_536

#: The distance between slots. At a multiple of 4,096 all datagrams would map to the same few sets
#: of the CPU's cache; with nine more cache lines, no two slots share a set in L1 or L2.
STRIDE = _SLOT_BYTES + 9 * 64

#: Errors of an earlier datagram that the kernel reports at the next call (ICMP unreachable and the
#: like). They are unrelated to the call itself.
PENDING_ERRORS = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.ENETDOWN,
        errno.EPROTO,
        errno.ENOPROTOOPT,
        errno.EMSGSIZE,
    }
)

# struct mmsghdr on 64-bit Linux: name, namelen, iov, iovlen, control, controllen, flags, len.
_HEADER = struct.Struct("=QI4xQQQQi4xI4x")
_NAMELEN, _FLAGS, _LENGTH = 2, 12, 14  # in units of 4 octets
_HEADER_WORDS = _HEADER.size // 4
_CONTROLLEN = 5  # in units of 8 octets
_SEND_FLAGS = int(getattr(socket, "MSG_DONTWAIT", 0) | getattr(socket, "MSG_NOSIGNAL", 0))
_AF_UNIX = getattr(socket, "AF_UNIX", 1)
_IP_PKTINFO, _IPV6_PKTINFO = 8, 50  # of Linux
_MAPPED = bytes(10) + b"\xff\xff"
_UNNAMED = _AF_UNIX.to_bytes(2, sys.byteorder)


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a sender's slot: name octets, then control octets (0: none).

    Attributes:
        name: octets for the address.
        control: octets for control messages.
        interface: the offset of the interface index in the slot.
        destination: the offset of an IPv6 destination in the slot.
    """

    name: int
    control: int = 0
    interface: int = 0
    destination: int = 0

    @property
    def size(self) -> int:
        """The size of a slot in octets."""
        return self.name + self.control


# (family, with packet info). A control message is a cmsghdr of 16 octets, then struct
# in_pktinfo (interface, source, destination) or in6_pktinfo (destination, interface).
_LAYOUTS = {
    (socket.AF_INET, False): Layout(16),
    (socket.AF_INET, True): Layout(16, 32, interface=32),
    (socket.AF_INET6, False): Layout(28),
    (socket.AF_INET6, True): Layout(32, 40, interface=64, destination=48),
    (_AF_UNIX, False): Layout(112),
}


@functools.cache
def _library() -> Any:
    library = ctypes.CDLL(None, use_errno=True)
    library.recvmmsg.argtypes = (
        [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
    )  # fmt: skip
    library.sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]
    return library


@functools.cache
def has_batch_io() -> bool:
    """Return whether this system has the two calls with the layout known here."""
    if sys.platform != "linux" or struct.calcsize("P") != 8:
        return False
    try:
        _library()
    except (OSError, AttributeError):
        return False
    return True


class _Messages:
    """The headers of one direction, and the memory they point to."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.senders = bytearray(layout.size * MAX_BATCH)
        self.vectors = bytearray(16 * MAX_BATCH)
        self.headers = bytearray(_HEADER.size * MAX_BATCH)
        senders, vectors = _address(self.senders), _address(self.vectors)
        for i in range(MAX_BATCH):
            name = senders + i * layout.size
            control = name + layout.name if layout.control else 0
            fields = (name, layout.name, vectors + 16 * i, 1, control, layout.control, 0, 0)
            _HEADER.pack_into(self.headers, i * _HEADER.size, *fields)
        self.address = _address(self.headers)
        self.pristine = bytes(self.headers)
        self.words = memoryview(self.headers).cast("I")
        pointers = memoryview(self.vectors).cast("Q")
        self.bases, self.sizes = pointers[::2], pointers[1::2]
        self.control_lengths = memoryview(self.headers).cast("Q")[_CONTROLLEN :: _HEADER.size // 8]


class BatchIO:
    """Batch input and output of one datagram socket, which the caller closes.

    Args:
        sock: non-blocking; its packet info option is set by the caller.
        packet_info: whether that option is set.
        buffers: the pool of memory for received datagrams; `close` releases it.

    Raises:
        Overloaded: no buffer was available.
    """

    def __init__(self, sock: socket.socket, packet_info: bool, buffers: BufferSource) -> None:
        self.truncated = 0
        self._fd = sock.fileno()
        self._family = sock.family
        self._unix = sock.family == _AF_UNIX
        self._layout = layout = _LAYOUTS[sock.family, packet_info]
        self._buffers = buffers
        self._buffer = buffers.acquire(STRIDE * MAX_BATCH)
        self._data = memoryview(self._buffer)
        self._in, self._out = _Messages(self._received(layout)), _Messages(layout)
        base = _address(self._buffer)
        for i in range(MAX_BATCH):
            self._in.bases[i], self._in.sizes[i] = base + i * STRIDE, _SLOT_BYTES
        words = self._in.words
        self._in_lengths = words[_LENGTH::_HEADER_WORDS]
        self._in_flags = words[_FLAGS::_HEADER_WORDS]
        self._in_name_lengths = words[_NAMELEN::_HEADER_WORDS]
        self._out_name_lengths = self._out.words[_NAMELEN::_HEADER_WORDS]
        self._starts = range(0, STRIDE * MAX_BATCH, STRIDE)
        self._cuts = [slice(i * layout.size, (i + 1) * layout.size) for i in range(MAX_BATCH)]
        self._no_flags = bytes(4 * MAX_BATCH)
        if layout.control:
            self._interfaces = memoryview(self._in.senders).cast("I")[
                layout.interface // 4 :: layout.size // 4
            ]
            self._no_interfaces = memoryview(array("I", [0] * MAX_BATCH))
        library = _library()
        self._recvmmsg, self._sendmmsg = library.recvmmsg, library.sendmmsg

    def _received(self, layout: Layout) -> Layout:
        """Return the layout for receiving; replies have the given one."""
        return layout

    def receive(self, limit: int) -> list[Datagram]:
        """Take up to this many waiting datagrams, at most `MAX_BATCH`; [] if none is waiting."""
        count = self._receive(min(limit, MAX_BATCH))
        if not count:
            return []
        lengths = self._in_lengths[:count].tolist()
        senders = self._senders(count)
        data = self._data
        batch = [
            (data[start : start + length].tobytes(), sender)
            for start, length, sender in zip(self._starts, lengths, senders, strict=False)
        ]
        if self._in_flags[:count].tobytes() != self._no_flags[: 4 * count]:
            batch = self._whole(batch)
        # The kernel overwrote the capacities with the sizes used.
        used = count * _HEADER.size
        self._in.headers[:used] = self._in.pristine[:used]
        return batch

    def _receive(self, count: int) -> int:
        for _ in range(MAX_BATCH):  # at most one pending error for each datagram of a batch
            received: int = self._recvmmsg(
                self._fd, self._in.address, count, socket.MSG_DONTWAIT, None
            )
            if received >= 0:
                return received
            code = ctypes.get_errno()
            if code == errno.EAGAIN:
                return 0
            if code != errno.EINTR and code not in PENDING_ERRORS:
                raise OSError(code, f"recvmmsg: {errno.errorcode.get(code, code)}")
        return 0

    def _senders(self, count: int) -> list[bytes]:
        layout = self._layout
        if self._unix:
            names, size = self._in.senders, layout.size
            lengths = self._in_name_lengths[:count].tolist()
            return [
                bytes(names[i * size : i * size + length]) or _UNNAMED
                for i, length in enumerate(lengths)
            ]
        if layout.control:
            # The reply is routed like any other; only its source address is set.
            self._interfaces[:count] = self._no_interfaces[:count]
        slots = bytes(self._in.senders)
        if layout.destination and 0xFF in slots[layout.destination :: layout.size]:
            self._forget_multicast(count)
            slots = bytes(self._in.senders)
        return [slots[cut] for cut in self._cuts[:count]]

    def _forget_multicast(self, count: int) -> None:
        # A group must not be a source address (RFC 4291 §2.7); IPv4 reports a usable one itself.
        for cut in self._cuts[:count]:
            start = cut.start + self._layout.destination
            if self._in.senders[start] == 0xFF:
                self._in.senders[start : start + 16] = bytes(16)

    def _whole(self, batch: list[Datagram]) -> list[Datagram]:
        flags = self._in_flags[: len(batch)].tolist()
        whole = [
            datagram
            for datagram, flag in zip(batch, flags, strict=True)
            if not flag & socket.MSG_TRUNC
        ]
        self.truncated += len(batch) - len(whole)
        return whole

    def send(self, datagrams: Sequence[Datagram]) -> list[tuple[int, int]]:
        """Send all of them; return ``(index, errno)`` for each that the kernel refused."""
        refused: list[tuple[int, int]] = []
        for start in range(0, len(datagrams), MAX_BATCH):
            chunk = datagrams[start : start + MAX_BATCH]
            # The payloads stay referenced while the kernel reads them.
            payloads = self._prepare(chunk)
            self._send(len(chunk), start, refused)
            del payloads
        return refused

    def _prepare(self, datagrams: Sequence[Datagram]) -> bytes:
        payloads, senders = zip(*datagrams, strict=True)
        count = len(payloads)
        if count == 1 and not self._unix:
            return self._prepare_one(payloads[0], senders[0])
        lengths = array("Q", map(len, payloads))
        joined = b"".join(payloads)
        base = _start(joined)
        starts = array("Q", accumulate(lengths, initial=base))
        self._out.bases[:count] = memoryview(starts)[:count]
        self._out.sizes[:count] = memoryview(lengths)
        size = self._layout.size
        if self._unix:
            self._out_name_lengths[:count] = memoryview(array("I", map(len, senders)))
            senders = tuple(sender.ljust(size, b"\0") for sender in senders)
        slots = b"".join(senders)
        if len(slots) != count * size:
            raise ValueError("a reply's way back was not made by this listener")
        self._out.senders[: count * size] = slots
        return joined

    def _prepare_one(self, payload: bytes, sender: bytes) -> bytes:
        # A lightly loaded server sends one at a time; building arrays for one costs more than the
        # rest.
        if len(sender) != self._layout.size:
            raise ValueError("a reply's way back was not made by this listener")
        self._out.bases[0] = _start(payload)
        self._out.sizes[0] = len(payload)
        self._out.senders[: len(sender)] = sender
        return payload

    def _send(self, count: int, first: int, refused: list[tuple[int, int]]) -> None:
        position, retried = 0, False
        while position < count:
            address = self._out.address + position * _HEADER.size
            sent = self._sendmmsg(self._fd, address, count - position, _SEND_FLAGS)
            if sent > 0:
                position, retried = position + sent, False
                continue
            code = ctypes.get_errno()
            if code == errno.EINTR:
                continue
            if code in PENDING_ERRORS and not retried:
                retried = True  # perhaps an earlier datagram's error: reported once, then gone
                continue
            refused.append((first + position, code))
            position, retried = position + 1, False

    def peer(self, reply_to: bytes) -> Peer:
        """Return the sender of a datagram."""
        return Peer(reply_to)

    def way_to(self, address: Any) -> bytes:
        """Return the way to a host and a port, or to octets that are the name of a socket."""
        if self._unix:
            return _UNNAMED + bytes(address)
        host, port, *rest = fit(self._family, address)
        if self._family == socket.AF_INET:
            name = _sockaddr("HH", self._family, socket.htons(port), socket.inet_aton(host))
        else:
            octets = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
            flow, scope = (*rest, 0, 0)[:2]
            name = _sockaddr("HHI", self._family, socket.htons(port), flow, octets)
            name += struct.pack("=I", scope)
        slot = name.ljust(self._layout.name, b"\0")
        return slot + self._no_packet_info(is_mapped=_MAPPED in name[8:20])

    def _no_packet_info(self, *, is_mapped: bool) -> bytes:
        """Return packet info that leaves the source address to the system."""
        if not self._layout.control:
            return b""
        is_inet = self._family == socket.AF_INET
        level, kind, size = (0, _IP_PKTINFO, 12) if is_inet else (41, _IPV6_PKTINFO, 20)
        header = struct.pack("=Qii", 16 + size, level, kind)
        if is_mapped:  # the system refuses a source of the other version
            header += _MAPPED
        return header.ljust(self._layout.control, b"\0")

    def close(self) -> None:
        """Release the receive buffer; the object must not be used afterwards."""
        self._data.release()
        self._buffers.release(self._buffer)


def fit(family: int, address: Any) -> Any:
    """Return an address as a socket of this family takes it: IPv4 through IPv6 is mapped."""
    if family == socket.AF_INET6 and ":" not in address[0]:
        return (f"::ffff:{address[0]}", *address[1:])
    return address


def _sockaddr(fields: str, *values: Any) -> bytes:
    return struct.pack(f"={fields}", *values[:-1]) + bytes(values[-1])


def _address(buffer: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def _start(data: bytes) -> int:
    """Return the address of the octets of a bytes object; ctypes.cast takes twice as long."""
    return ctypes.c_void_p.from_buffer(ctypes.c_char_p(data)).value or 0
