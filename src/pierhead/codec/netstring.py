"""Netstrings: ``4:ahoy,`` (D. J. Bernstein, 1997)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pierhead.codec.buffered import BufferedFramer
from pierhead.errors import UsageError
from pierhead.limits import Limit

__all__ = ["LIMITS", "Netstring"]

MAX_LENGTH_BYTES = Limit(
    name="max_length_bytes",
    default=2**16,
    minimum=1,
    maximum=2**30,
    unit="bytes",
    meaning="The longest payload of a netstring.",
    source="as for lines: asyncio's StreamReader, 64 KiB",
    metric="dropped_total{reason=framing}",
    effect="at the next connection",
)

LIMITS = (MAX_LENGTH_BYTES,)

# "The number 0 is written 0, and no other number begins with a 0."
_HEAD = re.compile(rb"(0|[1-9][0-9]*|)(:?)")

_COMMA = 0x2C


@dataclass(frozen=True, slots=True)
class Netstring:
    """The length in decimal, a colon, the payload, a comma.

    Args:
        max_length_bytes: the longest payload.

    Example:
        >>> Netstring().frame(b"ahoy")
        b'4:ahoy,'
    """

    max_length_bytes: int = 2**16

    def __post_init__(self) -> None:
        MAX_LENGTH_BYTES.check(self.max_length_bytes)

    def new(self) -> NetstringFramer:
        """Return the framer of a new connection."""
        return NetstringFramer(self.max_length_bytes)

    def frame(self, payload: bytes, /) -> bytes:
        """Return the payload as a netstring.

        Raises:
            UsageError: the payload is too long.
        """
        if len(payload) > self.max_length_bytes:
            raise UsageError(
                f"a payload of {len(payload)} octets, expected at most {self.max_length_bytes}"
            )
        return b"%d:%b," % (len(payload), payload)


class NetstringFramer(BufferedFramer):
    """Splits one stream into the payloads of its netstrings."""

    __slots__ = ("_max_length",)

    def __init__(self, max_length: int) -> None:
        super().__init__()
        self._max_length = max_length

    def frames(self, limit: int) -> list[bytes]:
        """Return up to this many complete payloads, oldest first."""
        self._raise_fault()
        data, start = self._data, self._start
        taken: list[bytes | bytearray] = []
        for _ in range(limit):
            place = self._place(data, start)
            if isinstance(place, tuple):
                body, end = place
                taken.append(data[body:end])
                start = end + 1
            elif place is None or taken:
                break
            else:
                self._fail(place)
        return self._take(taken, start)

    def _place(self, data: bytes | bytearray, start: int) -> tuple[int, int] | str | None:
        """Return where the next payload is, why there is none, or None if it is incomplete."""
        head = _HEAD.match(data, start)
        assert head is not None  # each part of the pattern may be empty
        digits, colon, body = head[1], head[2], head.end()
        if not digits or not colon:
            if body < len(data) or colon:
                return "a length that is not a decimal number followed by a colon"
            if not digits:
                return None
        # The number of digits first: int() of very many is slow, and Python refuses it.
        if len(digits) > len(str(self._max_length)) or int(digits) > self._max_length:
            return f"a length of more than {self._max_length}"
        end = body + int(digits)
        if not colon or end >= len(data):
            return None
        if data[end] != _COMMA:
            return f"octet {data[end]:#04x} after a payload of {end - body}, expected a comma"
        return body, end
