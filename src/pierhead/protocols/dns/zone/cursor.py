"""A cursor over the octets of one RDATA, with a method for each kind of field.

The inverse of `fields.Fields`: each method takes one field, or all remaining ones, and returns its
text. Truncated or malformed data raises `DecodeError`.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from datetime import UTC, datetime

from pierhead.errors import DecodeError
from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.reader import read_name
from pierhead.protocols.dns.zone.fields import quoted
from pierhead.protocols.dns.zone.svcb_format import service_parameter

__all__ = ["Cursor", "format_unknown"]


def format_unknown(rdata: bytes) -> str:
    r"""Return RDATA in the generic form for every type: ``\# 4 c0000201`` (RFC 3597 §5)."""
    return f"\\# {len(rdata)} {rdata.hex()}".rstrip()


class Cursor:
    """Takes fields off RDATA in turn, and returns their text.

    Attributes:
        frame: a message, or only RDATA.
        position: where the next field starts.
        end: where RDATA ends.
    """

    __slots__ = ("_is_plain", "_start", "end", "frame", "position")

    def __init__(self, frame: bytes, position: int, end: int, *, is_plain: bool = False) -> None:
        """Start at a position; names in plain RDATA are uncompressed."""
        self.frame = frame
        self.position = self._start = position
        self.end = end
        self._is_plain = is_plain

    def take(self, count: int) -> bytes:
        """Return the next octets."""
        position = self.position
        if position + count > self.end:
            raise DecodeError(f"RDATA ends early, {count} octets expected", position)
        self.position = position + count
        return self.frame[position : position + count]

    def rest(self) -> bytes:
        """Return the remaining octets, at least one."""
        return self.take(max(1, self.end - self.position))

    def number(self, width: int) -> int:
        """Return the next number of this many octets."""
        return int.from_bytes(self.take(width), "big")

    def unknown(self) -> str:
        """Return the whole RDATA in hexadecimal: it has no other text (RFC 3597 §5)."""
        self.position = self.end
        return format_unknown(self.frame[self._start : self.end])

    def u8(self) -> str:
        """Take a number of one octet."""
        return str(self.number(1))

    def u16(self) -> str:
        """Take a number of two octets."""
        return str(self.number(2))

    def u32(self) -> str:
        """Take a number of four octets."""
        return str(self.number(4))

    def octal(self) -> str:
        """Take a number of two octets, in octal."""
        return f"{self.number(2):o}"

    def name(self) -> str:
        """Take a domain name."""
        if self._is_plain:
            return name.to_text(self._plain_name())
        found, position = read_name(self.frame, self.position)
        if position > self.end:
            raise DecodeError("RDATA ends inside a name", self.position)
        self.position = position
        return name.to_text(found)

    def _plain_name(self) -> bytes:
        start = position = self.position
        length = 1
        while length:
            if position >= self.end:
                raise DecodeError("a name is cut off", start)
            length = self.frame[position]
            if length > name.MAX_LABEL:
                raise DecodeError(f"a label of {length} octets", position)
            position += 1 + length
        if position - start > name.MAX_NAME:
            raise DecodeError(f"a name of {position - start} octets", start)
        return self.take(position - start)

    def ipv4(self) -> str:
        """Take an IPv4 address."""
        return ".".join([str(octet) for octet in self.take(4)])

    def ipv6(self) -> str:
        """Take an IPv6 address."""
        return str(ipaddress.IPv6Address(self.take(16)))

    def groups(self) -> str:
        """Take 64 bits as four groups of hexadecimal digits (RFC 6742 §2.1.2)."""
        found = self.take(8)
        return ":".join([f"{found[n]:02x}{found[n + 1]:02x}" for n in range(0, 8, 2)])

    def string(self) -> str:
        """Take a character-string."""
        return quoted(self.take(self.number(1)))

    def strings(self) -> str:
        """Take everything remaining as character-strings, at least one."""
        found = [self.string()]
        while self.position < self.end:
            found.append(self.string())
        return " ".join(found)

    def text(self) -> str:
        """Take everything remaining as one string."""
        return quoted(self.take(self.end - self.position))

    def tag(self) -> str:
        """Take a property tag (RFC 8659 §4.1)."""
        found = self.take(self.number(1))
        if not found.isalnum():
            raise DecodeError("a property tag consists only of letters and digits", self.position)
        return found.decode("ascii")

    def hex(self) -> str:
        """Take everything remaining, at least one octet, in hexadecimal."""
        return self.rest().hex().upper()

    def base64(self) -> str:
        """Take everything remaining, at least one octet, in Base 64."""
        return self.to_base64(self.rest())

    def to_base64(self, octets: bytes) -> str:
        """Return octets just taken in Base 64."""
        return binascii.b2a_base64(octets, newline=False).decode()

    def key(self) -> str:
        """Take an optional key."""
        # RFC 2535 §3.1.2: a KEY with both first bits set may have no key material.
        is_none = self.position == self.end and self.frame[self._start] & 0xC0 == 0xC0
        return "" if is_none else self.base64()

    def salt(self) -> str:
        """Take an NSEC3 salt (RFC 5155 §3.3)."""
        return self.take(self.number(1)).hex().upper() or "-"

    def hashed(self) -> str:
        """Take a hashed owner name (RFC 5155 §3.3)."""
        found = self.take(self.number(1))
        if not found:
            raise DecodeError("an empty hash", self.position)
        return base64.b32hexencode(found).decode().rstrip("=").lower()

    def moment(self) -> str:
        """Take a time (RFC 4034 §3.2)."""
        return datetime.fromtimestamp(self.number(4), UTC).strftime("%Y%m%d%H%M%S")

    def rtype(self) -> str:
        """Take an RR type."""
        return iana.type_text(self.number(2))

    def rtypes(self) -> str:
        """Take everything remaining as a type bitmap (RFC 4034 §4.1.2)."""
        found = []
        before = -1
        while self.position < self.end:
            window, length = self.take(2)
            if window <= before or not 1 <= length <= 32:
                raise DecodeError("bad type bitmap (RFC 4034 §4.1.2)", self.position)
            before = window
            octets = self.take(length)
            if self._is_plain and not octets[-1]:
                raise DecodeError("a type bitmap ends in zero (RFC 4034 §4.1.2)", self.position)
            for index, octet in enumerate(octets):
                found += [
                    iana.type_text(window << 8 | index << 3 | bit)
                    for bit in range(8)
                    if octet & 0x80 >> bit
                ]
        return " ".join(found)

    def parameters(self) -> str:
        """Take everything remaining as service parameters (RFC 9460 §2.2)."""
        found = []
        before = -1
        while self.position < self.end:
            key = self.number(2)
            if self._is_plain and key <= before:
                raise DecodeError("parameters out of order (RFC 9460 §2.2)", self.position)
            before = key
            found.append(service_parameter(key, self.take(self.number(2))))
        return " ".join(found)

    def more_string(self) -> str:
        """Take a character-string if anything remains."""
        return self.string() if self.position < self.end else ""

    def scheme(self) -> str:
        """Take the scheme of a DSYNC record."""
        number = self.number(1)
        return "NOTIFY" if number == 1 else str(number)
