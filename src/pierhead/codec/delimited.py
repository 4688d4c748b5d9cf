r"""Frames that end with a delimiter: ``b"\0"``, ``b"\r\n.\r\n"`` or whatever the protocol uses."""

from __future__ import annotations

from dataclasses import dataclass

from pierhead.codec.buffered import BufferedFramer
from pierhead.errors import UsageError
from pierhead.limits import Limit

__all__ = ["LIMITS", "Delimited"]

MAX_LENGTH_BYTES = Limit(
    name="max_length_bytes",
    default=2**16,
    minimum=1,
    maximum=2**30,
    unit="bytes",
    meaning="The longest delimited frame, excluding its delimiter.",
    source="asyncio's StreamReader, 64 KiB",
    metric="dropped_total{reason=framing}",
    effect="at the next connection",
)

#: In the worst case a search costs the input times this, so it is small.
DELIMITER_LENGTH_BYTES = Limit(
    name="delimiter",
    default=1,
    minimum=1,
    maximum=64,
    unit="bytes",
    meaning="The length of a delimiter.",
    source="RFC 2046 §5.1.1 allows boundaries of 70; no other protocol needs as many",
    metric="none: a longer one is refused at construction",
    effect="at construction",
)

LIMITS = (MAX_LENGTH_BYTES, DELIMITER_LENGTH_BYTES)


@dataclass(frozen=True, slots=True)
class Delimited:
    r"""Everything up to the next delimiter is one frame.

    Args:
        delimiter: ends a frame; it is not part of it.
        max_length_bytes: the longest frame, excluding its delimiter.

    Example:
        >>> Delimited(b"\0").frame(b"ahoy")
        b'ahoy\x00'
    """

    delimiter: bytes
    max_length_bytes: int = 2**16

    def __post_init__(self) -> None:
        if not isinstance(self.delimiter, bytes):
            raise UsageError(f"delimiter is {self.delimiter!r}, expected bytes such as b'\\0'")
        DELIMITER_LENGTH_BYTES.check(len(self.delimiter))
        MAX_LENGTH_BYTES.check(self.max_length_bytes)

    def new(self) -> DelimitedFramer:
        """Return the framer of a new connection."""
        return DelimitedFramer(self)

    def frame(self, payload: bytes, /) -> bytes:
        """Return the payload and the delimiter.

        Raises:
            UsageError: the payload is too long, or a reader would see the delimiter too early.
        """
        if len(payload) > self.max_length_bytes:
            raise UsageError(
                f"a payload of {len(payload)} octets, expected at most {self.max_length_bytes}"
            )
        framed = payload + self.delimiter
        # Searched for in both together: b"x-" and b"--" make b"x---", which ends after b"x".
        found = framed.find(self.delimiter)
        if found < len(payload):
            raise UsageError(f"the delimiter {self.delimiter!r} occurs at octet {found} of a frame")
        return framed


class DelimitedFramer(BufferedFramer):
    """Splits one stream at its delimiters."""

    __slots__ = ("_delimiter", "_max_length", "_searched")

    def __init__(self, framing: Delimited) -> None:
        super().__init__()
        self._delimiter = framing.delimiter
        self._max_length = framing.max_length_bytes
        # Octets after `_start` at which no delimiter begins.
        self._searched = 0

    def frames(self, limit: int) -> list[bytes]:
        """Take out up to this many frames, oldest first, without their delimiters."""
        self._raise_fault()
        data, start = self._data, self._start
        delimiter, longest = self._delimiter, self._max_length
        search = start + self._searched
        taken: list[bytes | bytearray] = []
        for _ in range(limit):
            end = data.find(delimiter, search)
            if end < 0:
                # The last octets may be the start of an incomplete delimiter.
                end = max(search, len(data) - len(delimiter) + 1)
            elif end - start <= longest:
                taken.append(data[start:end])
                start = search = end + len(delimiter)
                continue
            search = end
            if end - start > longest and not taken:
                self._fail(f"a frame of more than {longest} octets")
            break
        self._searched = search - start
        return self._take(taken, start)
