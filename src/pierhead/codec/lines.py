"""Lines: each ends with LF or CRLF; LF is written.

A CR not followed by LF belongs to the line. The end of input ends the last line as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pierhead.codec.buffered import BufferedFramer
from pierhead.errors import UsageError
from pierhead.limits import Limit

__all__ = ["LIMITS", "Lines"]

MAX_LENGTH_BYTES = Limit(
    name="max_length_bytes",
    default=2**16,
    minimum=1,
    maximum=2**30,
    unit="bytes",
    meaning="The longest line, excluding its end.",
    source="asyncio's StreamReader, 64 KiB",
    metric="dropped_total{reason=framing}",
    effect="at the next connection",
)

LIMITS = (MAX_LENGTH_BYTES,)

_CR = 0x0D


@dataclass(frozen=True, slots=True)
class Lines:
    r"""One line is one frame, without its end.

    Args:
        max_length_bytes: the longest line, excluding its end.
        newline: written at the end of a line; both forms are read.

    Example:
        >>> Lines(newline=b"\r\n").frame(b"220 ready")
        b'220 ready\r\n'
    """

    max_length_bytes: int = 2**16
    newline: Literal[b"\n", b"\r\n"] = b"\n"

    def __post_init__(self) -> None:
        MAX_LENGTH_BYTES.check(self.max_length_bytes)
        if self.newline not in (b"\n", b"\r\n"):
            raise UsageError(
                rf"newline is {self.newline!r}, expected b'\n' or b'\r\n'; "
                "for other ends use Delimited"
            )

    def new(self) -> LinesFramer:
        """Return the framer of a new connection."""
        return LinesFramer(self.max_length_bytes)

    def frame(self, payload: bytes, /) -> bytes:
        """Return the line and its end.

        Raises:
            UsageError: the payload is too long, holds a LF, or ends with a CR that would be read
                as a part of the line's end.
        """
        if b"\n" in payload or payload[-1:] == b"\r" or len(payload) > self.max_length_bytes:
            self._check(payload)
        return payload + self.newline

    def _check(self, payload: bytes) -> None:
        if len(payload) > self.max_length_bytes:
            raise UsageError(
                f"a line of {len(payload)} octets, expected at most {self.max_length_bytes}"
            )
        if b"\n" in payload:
            raise UsageError(f"a line contains a LF at octet {payload.index(10)}; send two lines")
        if self.newline == b"\n":
            raise UsageError(
                "a line ends with CR and would lose it; remove it or end lines with "
                r"newline=b'\r\n'"
            )


class LinesFramer(BufferedFramer):
    """Splits one stream into lines."""

    __slots__ = ("_max_length", "_searched")

    def __init__(self, max_length: int) -> None:
        super().__init__()
        self._max_length = max_length
        # Octets after `_start` known to contain no LF: a long line that arrives octet by octet is
        # searched once.
        self._searched = 0

    def frames(self, limit: int) -> list[bytes]:
        """Take out up to this many lines, oldest first, without their ends."""
        if self._fault:
            self._raise_fault()
        if (lines := self._all_at_once(limit)) is not None:
            return lines
        data, start = self._data, self._start
        find, longest = data.find, self._max_length
        search = start + self._searched
        taken: list[bytes | bytearray] = []
        for _ in range(limit):
            newline = find(b"\n", search)
            search = newline if newline >= 0 else len(data)
            # In an incomplete line, a final CR may turn out to be half of its end.
            end = search - 1 if search > start and data[search - 1] == _CR else search
            if end - start > longest:
                if taken:
                    break
                self._fail(f"a line of more than {longest} octets")
            if newline < 0:
                break
            taken.append(data[start:end])
            start = search = newline + 1
        self._searched = search - start
        return self._take(taken, start)

    def _all_at_once(self, limit: int) -> list[bytes] | None:
        """Return the lines of a piece that consists of complete ones; None for any other.

        Nearly every piece does, and this takes a third of the time.
        """
        data = self._data
        if type(data) is not bytes or self._start or self._searched or data[-1:] != b"\n":
            return None
        if len(data) > self._max_length or b"\r" in data:
            return None
        lines = data.split(b"\n")
        if len(lines) > limit + 1:
            return None
        lines.pop()  # the rest after the last end
        self._data = b""
        return lines

    def finish(self) -> list[bytes]:
        """Return the last line if no end of line came after it."""
        self._raise_fault()
        if not self.buffered:
            return []
        if self.buffered > self._max_length:  # the CR was not part of an end
            self._fail(f"a line of more than {self._max_length} octets")
        return self._take([self._data[self._start :]], len(self._data))
