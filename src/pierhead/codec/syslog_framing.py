"""Syslog over TCP (RFC 6587): messages with a length before them, or that end with LF."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pierhead.codec.buffered import BufferedFramer
from pierhead.errors import UsageError
from pierhead.limits import Limit

__all__ = ["LIMITS", "SyslogFraming"]

MAX_LENGTH_BYTES = Limit(
    name="max_length_bytes",
    default=2**16,
    minimum=1,
    maximum=2**30,
    unit="bytes",
    meaning="The longest syslog message.",
    source="the most that a datagram carries; RFC 5425 §4.3.1 asks for 8192, RFC 5424 §6.1 for 480",
    metric="dropped_total{reason=framing}",
    effect="at the next connection",
)

LIMITS = (MAX_LENGTH_BYTES,)

_LF = b"\n"
_DIGITS = frozenset(b"0123456789")
# MSG-LEN = NONZERO-DIGIT *DIGIT
_HEAD = re.compile(rb"([1-9][0-9]*)( ?)")
_BETWEEN = re.compile(rb"[\r\n]*")


@dataclass(frozen=True, slots=True)
class SyslogFraming:
    """Both framings of RFC 6587 are read; which one is seen from how each frame begins.

    A digit begins a length: octet counting (§3.4.1), a space and the message follow. Anything else
    begins a message that ends with LF or CR LF: non-transparent framing (§3.4.2). The end of input
    ends such a message as well, and line ends between frames are skipped.

    Args:
        max_length_bytes: the longest message.
        non_transparent: write messages that end with LF, for receivers that do not count octets.

    Example:
        >>> SyslogFraming().frame(b"<34>1 - - - - - -")
        b'17 <34>1 - - - - - -'
    """

    max_length_bytes: int = 2**16
    non_transparent: bool = False

    def __post_init__(self) -> None:
        MAX_LENGTH_BYTES.check(self.max_length_bytes)

    def new(self) -> SyslogFramer:
        """Return the framer of a new connection."""
        return SyslogFramer(self.max_length_bytes)

    def frame(self, payload: bytes, /) -> bytes:
        """Return the message with its length or its end.

        Raises:
            UsageError: it is empty or too long; or, if its length is not written, contains an LF,
                ends with CR, or begins as a length or the end of a line does.
        """
        if not 0 < len(payload) <= self.max_length_bytes:
            raise UsageError(
                f"a message of {len(payload)} octets, expected 1 to {self.max_length_bytes}"
            )
        if not self.non_transparent:
            return b"%d %b" % (len(payload), payload)
        if _LF in payload or payload[:1] == b"\r" or payload[-1:] == b"\r":
            raise UsageError("a message contains the end of a line; only octet counting carries it")
        if payload[0] in _DIGITS:
            raise UsageError("a message begins with a digit, which would be read as its length")
        return payload + _LF


class SyslogFramer(BufferedFramer):
    """Splits one stream into messages."""

    __slots__ = ("_max_length", "_searched")

    def __init__(self, max_length: int) -> None:
        super().__init__()
        self._max_length = max_length
        # Octets after `_start` known to contain no LF.
        self._searched = 0

    def frames(self, limit: int) -> list[bytes]:
        """Return up to this many complete messages, oldest first."""
        self._raise_fault()
        data, start = self._data, self._start
        taken: list[bytes | bytearray] = []
        while len(taken) < limit:
            between = _BETWEEN.match(data, start)
            assert between is not None  # matches even if there is nothing
            start = between.end()
            if start == len(data):
                break
            counted = data[start] in _DIGITS
            place = self._counted(data, start) if counted else self._line(data, start)
            if isinstance(place, tuple):
                body, end, start = place
                taken.append(data[body:end])
                self._searched = 0
            elif place is None or taken:
                break
            else:
                self._fail(place)
        return self._take(taken, start)

    def finish(self) -> list[bytes]:
        """Return the last message if it has no length and no end of line came after it."""
        self._raise_fault()
        if not self.buffered or self._data[self._start] in _DIGITS:
            return super().finish()
        message = self._data[self._start :]
        return self._take([message.removesuffix(b"\r")], len(self._data))

    def _counted(self, data: bytes | bytearray, start: int) -> tuple[int, int, int] | str | None:
        """Return where the next message is, and what follows; why there is none; None if it is
        incomplete.
        """
        head = _HEAD.match(data, start)
        if head is None:
            return "a length that begins with 0"
        digits, space, body = head[1], head[2], head.end()
        # The number of digits first: int() of very many is slow, and Python refuses it.
        if len(digits) > len(str(self._max_length)) or int(digits) > self._max_length:
            return f"a length of more than {self._max_length}"
        if not space:
            found = f"octet {data[body]:#04x}" if body < len(data) else ""
            return f"{found} after a length, expected a space" if found else None
        end = body + int(digits)
        return (body, end, end) if end <= len(data) else None

    def _line(self, data: bytes | bytearray, start: int) -> tuple[int, int, int] | str | None:
        """Return the same for a message that ends with LF."""
        newline = data.find(_LF, start + self._searched)
        end = newline if newline >= 0 else len(data)
        # In an incomplete message, a final CR may turn out to be half of its end.
        stripped = end - data.endswith(b"\r", start, end)
        if stripped - start > self._max_length:
            return f"a message of more than {self._max_length} octets"
        if newline < 0:
            self._searched = end - start
            return None
        return start, stripped, newline + 1
