"""A cursor over the fields of one record, with a method for each kind of field.

Each method takes one field, or all remaining ones, and returns its wire form. All report errors the
same way: `FieldError` identifies the field by its index, and the zone reader turns that into a
fault with line and column.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime

from pierhead.errors import DecodeError, PierheadError, UsageError
from pierhead.protocols.dns.wire import iana, name
from pierhead.protocols.dns.wire.rrset import Name

__all__ = [
    "FieldError",
    "Fields",
    "ipv4_octets",
    "ipv6_octets",
    "quoted",
    "read_period",
    "type_bitmap",
    "unescape",
]

_LENGTHS = tuple(bytes((n,)) for n in range(256))
#: Exactly the spellings of an octet that inet_pton accepts: not "01" or "+1".
_OCTETS = {str(n).encode(): n for n in range(256)}
_PERIOD = re.compile(rb"(?:[0-9]{1,10}[smhdw])+", re.IGNORECASE)
_PERIOD_PART = re.compile(rb"([0-9]+)([smhdw])")
_UNITS = {b"s": 1, b"m": 60, b"h": 3600, b"d": 86400, b"w": 604800}
_ESCAPE = re.compile(rb"\\(?:([0-9]{3})|(.))", re.DOTALL)
_QUOTED = tuple(
    f"\\{chr(n)}" if n in b'"\\' else chr(n) if 0x20 <= n <= 0x7E else f"\\{n:03d}"
    for n in range(256)
)
#: Names inside RDATA repeat (MX, NS); this many are cached by their text.
_REMEMBERED_NAMES = 4096


class FieldError(PierheadError):
    """A field of a record is wrong.

    Attributes:
        index: which of the entry's fields, from 0; one past the last if a field is missing.
        offset: octets from the start of that field.
    """

    def __init__(self, index: int, message: str, remedy: str = "", offset: int = 0) -> None:
        self.index = index
        self.message = message
        self.remedy = remedy
        self.offset = offset
        super().__init__(index, message, remedy, offset)


class Fields:
    """The fields of one record, and how far they have been read.

    One cursor reads a whole file: the reader sets ``tokens``, ``position`` and ``offsets`` for each
    record.

    Attributes:
        tokens: the fields as written.
        position: how many have been taken.
        offsets: where each starts in the text; None if there are no quotes, or it does not matter.
    """

    __slots__ = ("_names", "_origin", "offsets", "position", "tokens")

    def __init__(self, tokens: list[bytes], position: int = 0, origin: Name | None = None) -> None:
        self.tokens = tokens
        self.position = position
        self.offsets: list[int] | None = None
        self._origin = origin
        self._names: dict[bytes, Name] = {}

    @property
    def origin(self) -> Name | None:
        """What is appended to relative names."""
        return self._origin

    @origin.setter
    def origin(self, origin: Name | None) -> None:
        self._origin = origin
        self._names.clear()

    def take(self, what: str) -> bytes:
        """Return the next field as written; ``what`` describes it if it is missing."""
        position = self.position
        try:
            token = self.tokens[position]
        except IndexError:
            raise FieldError(position, f"the record ends too early, expected {what}") from None
        self.position = position + 1
        return token

    def rest(self, what: str) -> list[bytes]:
        """Return all remaining fields, at least one."""
        found = [self.take(what), *self.tokens[self.position :]]
        self.position = len(self.tokens)
        return found

    def at_end(self) -> bool:
        """Tell whether all fields have been taken."""
        return self.position >= len(self.tokens)

    def is_glued(self) -> bool:
        """Tell whether nothing separates the field taken last from the next one."""
        last = self.position - 1
        if self.offsets is None:
            return True
        return self.offsets[last] + len(self.tokens[last]) == self.offsets[last + 1]

    def wrong(self, message: str, remedy: str = "", offset: int = 0) -> FieldError:
        """Return an error for the field taken last."""
        return FieldError(self.position - 1, message, remedy, offset)

    # Names and numbers

    def name(self) -> Name:
        """Take a domain name."""
        token = self.take("a domain name")
        known = self._names.get(token)
        if known is None:
            known = self.to_name(token)
            if len(self._names) >= _REMEMBERED_NAMES:
                self._names.clear()
            self._names[token] = known
        return known

    def to_name(self, token: bytes) -> Name:
        """Return the name spelled by a field just taken."""
        origin = self._origin
        if token == b"@":
            if origin is None:
                raise self.wrong("'@' without an origin", "put $ORIGIN before it")
            return origin
        if token[:1] == b'"':
            token = token[1:-1]
        if (
            origin is not None
            and 0 < len(token) <= name.MAX_LABEL
            and b"." not in token
            and b"\\" not in token
        ):
            # One relative label, by far the most common owner name.
            found = _LENGTHS[len(token)] + token + origin
            if len(found) <= name.MAX_NAME:
                return found
        try:
            return name.from_text(token, origin)
        except DecodeError as error:
            raise self.wrong(f"bad name: {error.reason}", offset=error.offset or 0) from None

    def number(self, maximum: int, what: str) -> int:
        """Take a whole decimal number from 0 to ``maximum``."""
        token = self.take(what)
        if token.isdigit() and len(token) <= 10:
            value = int(token)
            if value <= maximum:
                return value
        raise self.wrong(f"{_shown(token)} is not {what}, expected 0 to {maximum}")

    def u8(self) -> bytes:
        """Take a number of one octet."""
        return _LENGTHS[self.number(0xFF, "a number")]

    def u16(self) -> bytes:
        """Take a number of two octets."""
        return self.number(0xFFFF, "a number").to_bytes(2, "big")

    def u32(self) -> bytes:
        """Take a number of four octets."""
        return self.number(0xFFFFFFFF, "a number").to_bytes(4, "big")

    def period(self) -> bytes:
        """Take a duration: seconds, or units as in ``1h30m``."""
        token = self.take("a number of seconds")
        value = read_period(token)
        if value is None:
            raise self.wrong(f"{_shown(token)} is not a span of time, expected 3600, 1h or 1w2d")
        if value > 0xFFFFFFFF:
            raise self.wrong(f"{_shown(token)} is too long, expected at most 4294967295 seconds")
        return value.to_bytes(4, "big")

    def moment(self) -> bytes:
        """Take a time as YYYYMMDDHHmmSS or in seconds since 1970 (RFC 4034 §3.2)."""
        token = self.take("a time")
        if len(token) == 14 and token.isdigit():
            try:
                year, *others = (int(token[:4]), *(int(token[n : n + 2]) for n in range(4, 14, 2)))
                month, day, hour, minute, second = others
                moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
            except ValueError:
                raise self.wrong(f"{_shown(token)} is not a date and time") from None
            # Serial arithmetic: the field holds the time modulo 2**32 (RFC 4034 §3.1.5).
            return (int(moment.timestamp()) & 0xFFFFFFFF).to_bytes(4, "big")
        if token.isdigit() and len(token) <= 10 and int(token) <= 0xFFFFFFFF:
            return int(token).to_bytes(4, "big")
        raise self.wrong(f"{_shown(token)} is not a time, expected YYYYMMDDHHmmSS or seconds")

    # Addresses

    def ipv4(self) -> bytes:
        """Take an IPv4 address."""
        token = self.take("an IPv4 address")
        found = ipv4_octets(token)
        if found is None:
            raise self.wrong(f"{_shown(token)} is not an IPv4 address", "one is 192.0.2.1")
        return found

    def ipv6(self) -> bytes:
        """Take an IPv6 address."""
        token = self.take("an IPv6 address")
        found = ipv6_octets(token)
        if found is None:
            raise self.wrong(f"{_shown(token)} is not an IPv6 address", "one is 2001:db8::1")
        return found

    def groups(self) -> bytes:
        """Take 64 bits as four groups of hexadecimal digits (RFC 6742 §2.1.2)."""
        token = self.take("four groups of hexadecimal digits")
        # Such a locator is the upper half of an IPv6 address, written like one.
        found = ipv6_octets(token + b"::") if token.count(b":") == 3 else None
        if found is None or b"::" in token:
            raise self.wrong(f"{_shown(token)} is not four groups of hexadecimal digits")
        return found[:8]

    # Text

    def string(self, remedy: str = "") -> bytes:
        """Take a character-string: its length octet and up to 255 octets."""
        text = self.text()
        if len(text) > 255:
            raise self.wrong(f"string of {len(text)} octets, expected at most 255", remedy)
        return _LENGTHS[len(text)] + text

    def strings(self) -> bytes:
        """Take everything remaining as character-strings, at least one."""
        found: list[bytes] = []
        while not found or self.position < len(self.tokens):
            found.append(self.string("split it into several"))
        return b"".join(found)

    def text(self) -> bytes:
        """Take a string of any length, without a length octet."""
        return self.octets("a string")

    def octets(self, what: str) -> bytes:
        """Take the octets that a field stands for, with escapes resolved."""
        return self.resolve(self.take(what))

    def resolve(self, written: bytes, start: int = 0) -> bytes:
        """Return the octets that a part of the field taken last stands for."""
        try:
            return unescape(written)
        except ValueError:
            raise self.wrong(
                "bad escape, expected \\ and three digits, 000 to 255, or \\X",
                offset=start + _bad_escape(written),
            ) from None

    # Binary data

    def hex(self) -> bytes:
        """Take everything remaining as hexadecimal digits."""
        try:
            return binascii.unhexlify(b"".join(self.rest("hexadecimal digits")))
        except ValueError:
            raise self.wrong("bad hexadecimal data, expected an even number of 0-9 a-f") from None

    def base64(self) -> bytes:
        """Take everything remaining as Base 64 (RFC 4648 §4)."""
        return self.to_base64(b"".join(self.rest("Base 64 data")))

    def to_base64(self, digits: bytes) -> bytes:
        """Return the octets that the field taken last spells in Base 64."""
        try:
            found = binascii.a2b_base64(digits, strict_mode=True)
        except binascii.Error as error:
            raise self.wrong(f"bad Base 64 data: {str(error).lower()}") from None
        # RFC 4648 §3.5: another spelling of the same octets is a transmission error.
        written = binascii.b2a_base64(found, newline=False)
        if written != digits:
            tail = written[-4:].decode()
            raise self.wrong(
                "bad Base 64 data: padding, or the bits that it fills, are not as RFC 4648 §3.5 "
                "requires",
                f"if nothing else is wrong, the end is {tail}" if tail else "",
            )
        return found

    def salt(self) -> bytes:
        """Take an NSEC3 salt: hexadecimal digits, or ``-`` for none (RFC 5155 §3.3)."""
        token = self.take("a salt")
        if token == b"-":
            return b"\x00"
        try:
            salt = binascii.unhexlify(token)
        except ValueError:
            raise self.wrong("bad salt, expected hexadecimal digits or -") from None
        if len(salt) > 255:
            raise self.wrong(f"salt of {len(salt)} octets, expected at most 255")
        return _LENGTHS[len(salt)] + salt

    def hashed(self) -> bytes:
        """Take a hashed owner name in Base 32 with extended hex alphabet (RFC 5155 §3.3).

        There is no padding, and the bits after the last octet are zero (RFC 4648 §3.5).
        """
        token = self.take("a hash")
        digits = token.upper()
        try:
            found = base64.b32hexdecode(digits + b"=" * (-len(digits) % 8))
        except ValueError:
            found = b""
        if not 0 < len(found) < 256 or base64.b32hexencode(found).rstrip(b"=") != digits:
            raise self.wrong(f"{_shown(token)} is not a hash in Base 32 with extended hex alphabet")
        return _LENGTHS[len(found)] + found

    # RR types

    def rtype(self) -> bytes:
        """Take an RR type."""
        return self._type_number().to_bytes(2, "big")

    def rtypes(self) -> bytes:
        """Take everything remaining as RR types and return their bitmap (RFC 4034 §4.1.2)."""
        numbers = set()
        while self.position < len(self.tokens):
            numbers.add(self._type_number())
        return type_bitmap(numbers)

    def _type_number(self) -> int:
        token = self.take("an RR type")
        try:
            return iana.type_number(token.decode("ascii", "replace"))
        except UsageError as error:
            raise self.wrong(str(error)) from None


def unescape(token: bytes) -> bytes:
    """Return the octets that a field stands for: quotes removed, ``\\DDD`` and ``\\X`` resolved.

    Raises:
        ValueError: an escape is invalid.
    """
    if token[:1] == b'"':
        token = token[1:-1]
    if b"\\" not in token:
        return token
    return _ESCAPE.sub(_escaped_octet, token)


def quoted(text: bytes) -> str:
    """Return octets as a quoted character-string; `unescape` undoes it."""
    return f'"{"".join([_QUOTED[octet] for octet in text])}"'


def _bad_escape(token: bytes) -> int:
    """Return where the first invalid escape starts."""
    for found in _ESCAPE.finditer(token):
        digits = found[1]
        if (int(digits) > 255) if digits is not None else found[2].isdigit():
            return found.start()
    return 0


def _escaped_octet(found: re.Match[bytes]) -> bytes:
    digits: bytes | None = found[1]
    if digits is not None:
        return bytes((int(digits),))  # ValueError above 255
    if found[2].isdigit():
        raise ValueError("a digit after a backslash starts a group of three")
    return bytes(found[2])


def read_period(token: bytes) -> int | None:
    """Return the seconds of ``3600`` or ``1h30m``; None if it is neither."""
    if token.isdigit():
        return int(token) if len(token) <= 10 else None
    if not _PERIOD.fullmatch(token):
        return None
    return sum(int(n) * _UNITS[unit] for n, unit in _PERIOD_PART.findall(token.lower()))


def ipv4_octets(token: bytes) -> bytes | None:
    """Return the four octets of a dotted quad; None if it is not one."""
    try:
        first, second, third, fourth = token.split(b".")
        return bytes((_OCTETS[first], _OCTETS[second], _OCTETS[third], _OCTETS[fourth]))
    except (ValueError, KeyError):
        return None


def ipv6_octets(token: bytes) -> bytes | None:
    """Return the sixteen octets of an IPv6 address (RFC 4291 §2.2); None if it is not one."""
    if b"." in token:
        colon = token.rfind(b":") + 1
        tail = ipv4_octets(token[colon:])
        if tail is None:
            return None
        token = token[:colon] + b"%x:%x" % (tail[0] << 8 | tail[1], tail[2] << 8 | tail[3])
    head, gap, end = token.partition(b"::")
    left = head.split(b":") if head else []
    right = end.split(b":") if end else []
    missing = 8 - len(left) - len(right)
    # "::" stands for at least one group of zeros (RFC 5952 §4.2.2 reads it, never writes it).
    if (missing < 1) if gap else missing:
        return None
    groups = [*left, *([b"0"] * missing), *right]
    try:
        return binascii.unhexlify(b"".join([_GROUP_ZEROS[len(group)] + group for group in groups]))
    except (KeyError, ValueError):
        return None


#: What pads a group of one to four hexadecimal digits to four.
_GROUP_ZEROS = {1: b"000", 2: b"00", 3: b"0", 4: b""}


def type_bitmap(numbers: set[int]) -> bytes:
    """Return the windows of a type bitmap (RFC 4034 §4.1.2)."""
    windows: dict[int, bytearray] = {}
    for number in sorted(numbers):
        bits = windows.setdefault(number >> 8, bytearray())
        octet = (number & 0xFF) >> 3
        bits.extend(bytes(octet + 1 - len(bits)))
        bits[octet] |= 0x80 >> (number & 7)
    return b"".join([bytes((window, len(bits))) + bits for window, bits in windows.items()])


def _shown(token: bytes) -> str:
    text = token.decode("utf-8", "replace")
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
