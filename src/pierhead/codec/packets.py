"""The framing of input that is framed already: on seqpacket connections each packet is a frame."""

from __future__ import annotations

from collections import deque

__all__ = ["Packets"]


class Packets:
    """The framing of packets, as a value and as its own framer."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self.buffered = 0

    def new(self) -> Packets:
        """Return the framer of a new connection."""
        return Packets()

    def frame(self, payload: bytes) -> bytes:
        """Return the payload as it is."""
        return payload

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take in one packet."""
        packet = bytes(data)
        self._waiting.append(packet)
        self.buffered += len(packet) or 1

    def frames(self, limit: int) -> list[bytes]:
        """Take out up to this many packets."""
        taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
        self.buffered -= sum(len(packet) or 1 for packet in taken)
        return taken

    def finish(self) -> list[bytes]:
        """Return nothing: a packet is never incomplete."""
        return []
