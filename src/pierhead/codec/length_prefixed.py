"""Frames with a length prefix: one, two or four octets, then the payload.

LengthPrefixed(2)    DNS over TCP and TLS (RFC 1035 §4.2.2, RFC 7858 §3.3)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import Literal

from pierhead.codec.buffered import BufferedFramer
from pierhead.errors import UsageError
from pierhead.limits import Limit

__all__ = ["LIMITS", "LengthPrefixed"]

#: The default longest payload if the prefix could state more than is reasonable to buffer.
MAX_LENGTH_BYTES = Limit(
    name="max_length_bytes",
    default=4 * 2**20,
    minimum=1,
    maximum=2**32 - 1,
    unit="bytes",
    meaning="The longest payload of a length-prefixed frame, within the range of its prefix.",
    source="gRPC's default for a received message, 4 MiB",
    metric="dropped_total{reason=framing}",
    effect="at the next connection",
)

LIMITS = (MAX_LENGTH_BYTES,)

_PREFIXES = {
    (1, "big"): Struct(">B"),
    (1, "little"): Struct("<B"),
    (2, "big"): Struct(">H"),
    (2, "little"): Struct("<H"),
    (4, "big"): Struct(">I"),
    (4, "little"): Struct("<I"),
}


@dataclass(frozen=True, slots=True)
class LengthPrefixed:
    """A length, then that many octets.

    Args:
        width: the size of the length in octets: 1, 2 or 4.
        byteorder: ``big`` is network order.
        inclusive: whether the length includes its own octets.
        max_length_bytes: the longest payload; None for the most that the prefix can express, up to
            4 MiB.

    Example:
        >>> framing = LengthPrefixed(2)
        >>> framing.frame(b"ahoy")
        b'\\x00\\x04ahoy'
    """

    width: int
    byteorder: Literal["big", "little"] = "big"
    inclusive: bool = False
    max_length_bytes: int | None = None
    #: The longest payload, in octets.
    longest: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if (self.width, self.byteorder) not in _PREFIXES:
            raise UsageError(
                f"a length of {self.width!r} octets in {self.byteorder!r} order; "
                "expected a width of 1, 2 or 4 and 'big' or 'little'"
            )
        carried = 256**self.width - 1 - self._counted
        longest = self.max_length_bytes
        if longest is None:
            longest = min(carried, int(MAX_LENGTH_BYTES.default))
        elif MAX_LENGTH_BYTES.check(longest) > carried:
            raise UsageError(
                f"max_length_bytes is {longest}, but a length of {self.width} octets carries "
                f"{carried} at most; give a larger width or a smaller limit"
            )
        object.__setattr__(self, "longest", longest)

    @property
    def _counted(self) -> int:
        """How many of its own octets the length includes."""
        return self.width if self.inclusive else 0

    def new(self) -> LengthPrefixedFramer:
        """Return the framer of a new connection."""
        return LengthPrefixedFramer(self)

    def frame(self, payload: bytes, /) -> bytes:
        """Return the length and the payload.

        Raises:
            UsageError: the payload is longer than `longest`.
        """
        length = len(payload)
        if length > self.longest:
            raise UsageError(f"a payload of {length} octets, expected at most {self.longest}")
        if self.inclusive:
            length += self.width
        return length.to_bytes(self.width, self.byteorder) + payload


class LengthPrefixedFramer(BufferedFramer):
    """Splits one stream by its lengths."""

    __slots__ = ("_highest", "_lowest", "_prefix", "_skipped")

    def __init__(self, framing: LengthPrefixed) -> None:
        super().__init__()
        self._prefix = _PREFIXES[framing.width, framing.byteorder]
        # The allowed lengths, and the distance from the offset of a frame to the next one.
        self._lowest = framing.width if framing.inclusive else 0
        self._highest = framing.longest + self._lowest
        self._skipped = framing.width - self._lowest

    def frames(self, limit: int) -> list[bytes]:
        """Return up to this many complete payloads, oldest first."""
        if self._fault:
            self._raise_fault()
        data, start, have = self._data, self._start, len(self._data)
        width, length_at = self._prefix.size, self._prefix.unpack_from
        lowest, highest, skipped = self._lowest, self._highest, self._skipped
        taken: list[bytes | bytearray] = []
        for _ in range(limit):
            body = start + width
            if body > have:
                break
            (length,) = length_at(data, start)
            if not lowest <= length <= highest:
                if taken:
                    break
                self._fail(f"a length of {length}, expected {lowest} to {highest}")
            end = start + length + skipped
            if end > have:
                break
            taken.append(data[body:end])
            start = end
        return self._take(taken, start)
