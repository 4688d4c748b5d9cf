"""COBS, consistent overhead byte stuffing (Cheshire and Baker, 1997): packets end with a zero."""

from __future__ import annotations

from dataclasses import dataclass

from pierhead.codec.stuffed import StuffedFramer
from pierhead.errors import FramingError, UsageError
from pierhead.limits import Limit

__all__ = ["LIMITS", "Cobs"]

MAX_LENGTH_BYTES = Limit(
    name="max_length_bytes",
    default=2**16,
    minimum=1,
    maximum=2**30,
    unit="bytes",
    meaning="The longest payload of a COBS packet, excluding its stuffing.",
    source="as for lines: asyncio's StreamReader, 64 KiB",
    metric="dropped_total{reason=framing}",
    effect="at the next connection",
)

LIMITS = (MAX_LENGTH_BYTES,)

#: The most non-zero octets in a block; a block of this length is not followed by a zero.
_LONGEST_BLOCK = 254
_NO_ZERO_FOLLOWS = _LONGEST_BLOCK + 1


@dataclass(frozen=True, slots=True)
class Cobs:
    r"""The payload in blocks, each with a length prefix in place of the zero after it; then a zero.

    It carries any octets, with an overhead of one for each 254. Zeros before a packet are skipped.

    Args:
        max_length_bytes: the longest payload.

    Example:
        >>> Cobs().frame(b"ahoy\0you")
        b'\x05ahoy\x04you\x00'
    """

    max_length_bytes: int = 2**16

    def __post_init__(self) -> None:
        MAX_LENGTH_BYTES.check(self.max_length_bytes)

    def new(self) -> StuffedFramer:
        """Return the framer of a new connection."""
        longest = self.max_length_bytes
        # Some senders append an empty block to a last one of full length.
        stuffed = longest + longest // _LONGEST_BLOCK + 1
        return StuffedFramer(b"\0", _unstuffed, max_length=longest, max_stuffed=stuffed)

    def frame(self, payload: bytes, /) -> bytes:
        """Return the payload as a packet.

        Raises:
            UsageError: the payload is too long.
        """
        if len(payload) > self.max_length_bytes:
            raise UsageError(
                f"a payload of {len(payload)} octets, expected at most {self.max_length_bytes}"
            )
        packet = bytearray()
        start, zero = 0, 0
        # A zero at the very end is followed by an empty block.
        while zero >= 0 or start < len(payload):
            zero = payload.find(0, start, start + _LONGEST_BLOCK)
            block = payload[start : zero if zero >= 0 else start + _LONGEST_BLOCK]
            packet.append(len(block) + 1)
            packet += block
            start += len(block) + (zero >= 0)
        return bytes(packet) + b"\0"


def _unstuffed(packet: bytes) -> bytes:
    payload = bytearray()
    start = code = 0
    while start < len(packet):
        code = packet[start]
        if start + code > len(packet):
            raise FramingError(
                f"a block of {code - 1} octets, {len(packet) - start - 1} before the zero"
            )
        payload += packet[start + 1 : start + code]
        if code != _NO_ZERO_FOLLOWS:
            payload.append(0)
        start += code
    if code != _NO_ZERO_FOLLOWS:
        payload.pop()  # that zero is the one that ends the packet
    return bytes(payload)
