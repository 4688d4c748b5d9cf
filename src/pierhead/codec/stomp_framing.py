"""Blocks in the form of STOMP 1.2: header lines, a blank line, a body, and a NUL."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pierhead.codec.buffered import BufferedFramer
from pierhead.errors import FramingError, UsageError
from pierhead.limits import Limit

__all__ = ["LIMITS", "StompFraming"]

MAX_LENGTH_BYTES = Limit(
    name="max_length_bytes",
    default=2**16,
    minimum=1,
    maximum=2**30,
    unit="bytes",
    meaning="The longest block, its header and its body together.",
    source="as for lines: asyncio's StreamReader, 64 KiB",
    metric="dropped_total{reason=framing}",
    effect="at the next connection",
)

LIMITS = (MAX_LENGTH_BYTES,)

_NUL = b"\0"
_BETWEEN = re.compile(rb"[\r\n]*")
#: What ends a header, or a block that has no body.
_HEAD_END = re.compile(rb"\0|\n\r?\n")
#: The longest part of a blank line that may be incomplete.
_OVERLAP = 2
_CONTENT_LENGTH = re.compile(rb"\ncontent-length:([^\r\n]*)")
_DIGITS = re.compile(rb"[0-9]+")


@dataclass(frozen=True, slots=True)
class StompFraming:
    r"""A block ends with NUL; its body may contain NUL if a header ``content-length`` counts it.

    The frame is the block without that NUL: header lines that end with LF or CR LF, a blank line,
    the body. Line ends between blocks, which STOMP sends as heart-beats, are skipped.

    Args:
        max_length_bytes: the longest block.

    Example:
        >>> StompFraming().frame(b"SEND\ndestination:/a\n\nahoy")
        b'SEND\ndestination:/a\n\nahoy\x00'
    """

    max_length_bytes: int = 2**16

    def __post_init__(self) -> None:
        MAX_LENGTH_BYTES.check(self.max_length_bytes)

    def new(self) -> StompFramer:
        """Return the framer of a new connection."""
        return StompFramer(self.max_length_bytes)

    def frame(self, payload: bytes, /) -> bytes:
        """Return the block and its NUL.

        Raises:
            UsageError: it is too long, or a reader would see another end of it.
        """
        if len(payload) > self.max_length_bytes:
            raise UsageError(
                f"a block of {len(payload)} octets, expected at most {self.max_length_bytes}"
            )
        framed = payload + _NUL
        framer = self.new()
        framer.feed(framed)
        try:
            is_read = framer.frames(1) == [payload] and not framer.buffered
        except FramingError:
            is_read = False
        if not is_read:
            raise UsageError(
                "a block that would be read otherwise: it begins with the end of a line, contains "
                "NUL without a content-length, or has one that does not fit its body"
            )
        return framed


class StompFramer(BufferedFramer):
    """Splits one stream into blocks."""

    __slots__ = ("_has_body", "_max_length", "_nul_at", "_searched")

    def __init__(self, max_length: int) -> None:
        super().__init__()
        self._max_length = max_length
        self._begin()

    def _begin(self) -> None:
        """Forget what was found out about a block; offsets count from its start."""
        self._has_body = False
        self._nul_at = -1  # known from a content-length
        self._searched = 0  # octets known not to contain what is searched for

    def frames(self, limit: int) -> list[bytes]:
        """Return up to this many complete blocks, oldest first."""
        self._raise_fault()
        data, start = self._data, self._start
        taken: list[bytes | bytearray] = []
        while len(taken) < limit:
            between = _BETWEEN.match(data, start)
            assert between is not None  # matches even if there is nothing
            start = between.end()
            end = self._end(data, start)
            if end is None:
                break
            if isinstance(end, str):
                if not taken:
                    self._fail(end)
                break
            taken.append(data[start:end])
            start = end + 1
            self._begin()
        return self._take(taken, start)

    def _end(self, data: bytes | bytearray, start: int) -> int | str | None:
        """Return where the block ends, why it cannot, or None if it is incomplete."""
        if not self._has_body:
            found = _HEAD_END.search(data, start + self._searched)
            if found is None:
                self._searched = max(0, len(data) - start - _OVERLAP)
                return self._too_long(len(data) - start)
            if found[0] == _NUL:
                return self._too_long(found.start() - start) or found.start()
            if fault := self._read_header(data, start, found.end()):
                return fault
        if self._nul_at < 0:
            end = data.find(_NUL, start + self._searched)
            if end < 0:
                self._searched = len(data) - start
                return self._too_long(self._searched)
            return self._too_long(end - start) or end
        end = start + self._nul_at
        if end >= len(data):
            return None
        return end if data[end] == 0 else f"octet {data[end]:#04x} after a body, expected NUL"

    def _read_header(self, data: bytes | bytearray, start: int, body: int) -> str | None:
        """Note where the body ends, if the header says so; return what is wrong with it."""
        self._has_body, self._searched = True, body - start
        length = _CONTENT_LENGTH.search(data, start, body)
        if length is None:
            return None
        digits = length[1]
        # The number of digits first: int() of very many is slow, and Python refuses it.
        if _DIGITS.fullmatch(digits) is None or len(digits) > len(str(self._max_length)):
            return f"a content-length of {bytes(digits[:20])!r}, expected up to {self._max_length}"
        self._nul_at = body - start + int(digits)
        return self._too_long(self._nul_at)

    def _too_long(self, octets: int) -> str | None:
        if octets <= self._max_length:
            return None
        return f"a block of more than {self._max_length} octets"
