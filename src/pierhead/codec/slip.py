"""SLIP: packets that end with 0xC0, escaped inside them (RFC 1055)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pierhead.codec.stuffed import StuffedFramer
from pierhead.errors import FramingError, UsageError
from pierhead.limits import Limit

__all__ = ["LIMITS", "Slip"]

MAX_LENGTH_BYTES = Limit(
    name="max_length_bytes",
    default=2**16,
    minimum=1,
    maximum=2**30,
    unit="bytes",
    meaning="The longest payload of a SLIP packet, excluding its escapes.",
    source="as for lines: asyncio's StreamReader, 64 KiB; RFC 1055 asks for 1006 at least",
    metric="dropped_total{reason=framing}",
    effect="at the next connection",
)

LIMITS = (MAX_LENGTH_BYTES,)

_END, _ESC = b"\xc0", b"\xdb"
_ESC_END, _ESC_ESC = b"\xdb\xdc", b"\xdb\xdd"

_BAD_ESCAPE = re.compile(rb"\xdb(?![\xdc\xdd])")


@dataclass(frozen=True, slots=True)
class Slip:
    r"""The payload with END and ESC escaped, then END.

    An END before a packet is read but not written: it is for lines that turn noise into octets. For
    the same reason there are no empty packets.

    Args:
        max_length_bytes: the longest payload.

    Example:
        >>> Slip().frame(b"ahoy\xc0")
        b'ahoy\xdb\xdc\xc0'
    """

    max_length_bytes: int = 2**16

    def __post_init__(self) -> None:
        MAX_LENGTH_BYTES.check(self.max_length_bytes)

    def new(self) -> StuffedFramer:
        """Return the framer of a new connection."""
        longest = self.max_length_bytes
        return StuffedFramer(_END, _unescaped, max_length=longest, max_stuffed=2 * longest)

    def frame(self, payload: bytes, /) -> bytes:
        """Return the payload as a packet.

        Raises:
            UsageError: the payload is too long, or empty.
        """
        if not 0 < len(payload) <= self.max_length_bytes:
            raise UsageError(
                f"a payload of {len(payload)} octets, expected 1 to {self.max_length_bytes}"
            )
        # ESC first: the escape of END contains one.
        return payload.replace(_ESC, _ESC_ESC).replace(_END, _ESC_END) + _END


def _unescaped(packet: bytes) -> bytes:
    if _ESC not in packet:
        return packet
    # The program in RFC 1055 accepts such an octet as is; then two packets would have one meaning,
    # and a damaged packet would pass as intact.
    if bad := _BAD_ESCAPE.search(packet):
        found = packet[bad.end() : bad.end() + 1]
        what = f"octet {found[0]:#04x}" if found else "the end of the packet"
        raise FramingError(f"{what} after ESC, expected 0xdc or 0xdd")
    return packet.replace(_ESC_END, _END).replace(_ESC_ESC, _ESC)
