"""Frames with a varint before them, as protobuf's ``writeDelimitedTo`` writes its messages."""

from __future__ import annotations

from dataclasses import dataclass

from pierhead.codec.buffered import BufferedFramer
from pierhead.errors import UsageError
from pierhead.limits import Limit

__all__ = ["LIMITS", "VarintPrefixed"]

MAX_LENGTH_BYTES = Limit(
    name="max_length_bytes",
    default=4 * 2**20,
    minimum=1,
    maximum=2**31 - 1,
    unit="bytes",
    meaning="The longest payload of a frame with a varint before it.",
    source="gRPC's default for a received message, 4 MiB; protobuf's messages end at 2 GiB",
    metric="dropped_total{reason=framing}",
    effect="at the next connection",
)

LIMITS = (MAX_LENGTH_BYTES,)

_BITS, _MORE = 7, 0x80


@dataclass(frozen=True, slots=True)
class VarintPrefixed:
    r"""A length as a varint (LEB128: seven bits an octet, the least first), then that many octets.

    A length has one form, the shortest: one with needless octets, which some writers pad it with,
    is a fault.

    Args:
        max_length_bytes: the longest payload.

    Example:
        >>> VarintPrefixed().frame(b"x" * 300)[:3]
        b'\xac\x02x'
    """

    max_length_bytes: int = 4 * 2**20

    def __post_init__(self) -> None:
        MAX_LENGTH_BYTES.check(self.max_length_bytes)

    def new(self) -> VarintPrefixedFramer:
        """Return the framer of a new connection."""
        return VarintPrefixedFramer(self.max_length_bytes)

    def frame(self, payload: bytes, /) -> bytes:
        """Return the length and the payload.

        Raises:
            UsageError: the payload is too long.
        """
        if len(payload) > self.max_length_bytes:
            raise UsageError(
                f"a payload of {len(payload)} octets, expected at most {self.max_length_bytes}"
            )
        return _varint(len(payload)) + payload


class VarintPrefixedFramer(BufferedFramer):
    """Splits one stream by its lengths."""

    __slots__ = ("_max_length",)

    def __init__(self, max_length: int) -> None:
        super().__init__()
        self._max_length = max_length

    def frames(self, limit: int) -> list[bytes]:
        """Return up to this many complete payloads, oldest first."""
        self._raise_fault()
        data, start, have = self._data, self._start, len(self._data)
        taken: list[bytes | bytearray] = []
        while len(taken) < limit:
            # Most frames are short: one octet of length.
            if start < have and data[start] < _MORE and data[start] <= self._max_length:
                body, length = start + 1, data[start]
            else:
                place = self._place(data, start)
                if isinstance(place, str):
                    if not taken:
                        self._fail(place)
                    break
                body, length = place
            end = body + length
            if end > have or body == start:
                break
            taken.append(data[body:end])
            start = end
        return self._take(taken, start)

    def _place(self, data: bytes | bytearray, start: int) -> tuple[int, int] | str:
        """Return where the payload begins, and its length; or what is wrong.

        It begins where the length does if more octets of that are needed.
        """
        length = shift = 0
        for at in range(start, len(data)):
            octet = data[at]
            length |= (octet & ~_MORE) << shift
            if length > self._max_length:
                return f"a length of more than {self._max_length}"
            if octet < _MORE:
                if octet == 0 and shift:
                    return f"a length of {length} with needless octets"
                return at + 1, length
            shift += _BITS
            if self._max_length >> shift == 0:  # no octet that may follow makes it valid
                return f"a length of more than {self._max_length}, or with needless octets"
        return start, 0


def _varint(number: int) -> bytes:
    octets = bytearray()
    while number >= _MORE:
        octets.append(number & 0x7F | _MORE)
        number >>= _BITS
    octets.append(number)
    return bytes(octets)
