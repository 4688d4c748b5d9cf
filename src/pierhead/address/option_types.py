"""The types an option's value may have: how it is read, checked and written.

Each type reads a `Span`, so that a bad value is an error with a position; writes a value in its
canonical spelling; and checks a value passed by a program. The law of all of them:
``read(show(value)) == value`` for every value they accept.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias, TypeGuard

from pierhead.address.text import Span, escape, nearest

__all__ = [
    "Account",
    "Choice",
    "Duration",
    "FilePath",
    "Flag",
    "Integer",
    "Keepalive",
    "KeepaliveMilliseconds",
    "KeepaliveTimes",
    "Networks",
    "OptionType",
    "Permissions",
    "Protocols",
    "Ratio",
    "Size",
    "Text",
    "Value",
]

#: The value of an option: a flag, a number, seconds, octets, text, or several of them.
Value: TypeAlias = bool | int | float | str | tuple[str, ...] | tuple[float | int | None, ...]

_C_INT = 2**31 - 1
_DURATION = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)")
_DURATION_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE = re.compile(r"([0-9]{1,12})(B|KiB|MiB)?")
_SIZE_UNITS = {"MiB": 1 << 20, "KiB": 1 << 10, "B": 1}


class OptionType(Protocol):
    """One type of value."""

    @property
    def expected(self) -> str:
        """What is expected, with unit and range, to follow "expected" in a message."""
        ...

    @property
    def unit(self) -> str:
        """The unit of the value in a program; empty if it has none."""
        ...

    @property
    def bare(self) -> Value | None:
        """The value that a key without ``=`` stands for; None if it needs one."""
        ...

    def read(self, span: Span) -> Value:
        """Return the value.

        Raises:
            AddressError: the text is not a value of this type.
        """
        ...

    def show(self, value: Value) -> str:
        """Return an accepted value in the form of the grammar."""
        ...

    def accepts(self, value: Value) -> bool:
        """Return whether a program may pass this value."""
        ...


@dataclass(frozen=True, slots=True)
class Flag:
    """On or off; a key alone is on."""

    expected: str = "on or off"
    unit: str = ""
    bare: Value | None = True

    def read(self, span: Span) -> Value:
        """Return the value; yes, no, true and false are accepted as well."""
        word = str(span).lower()
        if word in ("on", "yes", "true"):
            return True
        if word in ("off", "no", "false"):
            return False
        raise span.error(f"{str(span)!r} is not a switch: expected {self.expected}")

    def show(self, value: Value) -> str:
        """Return nothing for on: the key alone means it."""
        return "" if value else "off"

    def accepts(self, value: Value) -> bool:
        """Return whether the value is a bool."""
        return isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number in a range."""

    minimum: int = 1
    maximum: int = _C_INT
    unit: str = ""
    bare: Value | None = None

    @property
    def expected(self) -> str:
        """The range."""
        return f"a whole number from {self.minimum} to {self.maximum}"

    def read(self, span: Span) -> Value:
        """Return the number."""
        text = str(span)
        if not re.fullmatch(r"-?[0-9]{1,15}", text):
            raise span.error(f"{text!r} is not a number: expected {self.expected}")
        if not self.minimum <= int(text) <= self.maximum:
            raise span.error(f"{text} is out of range: expected {self.expected}")
        return int(text)

    def show(self, value: Value) -> str:
        """Return the digits."""
        return str(value)

    def accepts(self, value: Value) -> bool:
        """Return whether the value is a whole number in range."""
        return type(value) is int and self.minimum <= value <= self.maximum


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time, written ``500ms``, ``5s``, ``2m``, ``1h`` or ``7d`` and held in seconds."""

    minimum: float = 0.0
    maximum: float = 86_400.0
    unit: str = "s"
    bare: Value | None = None

    @property
    def expected(self) -> str:
        """The range, as it is written."""
        return f"{_show_seconds(self.minimum)} to {_show_seconds(self.maximum)}"

    def read(self, span: Span) -> Value:
        """Return the seconds."""
        seconds = _read_seconds(span)
        if not self.minimum <= seconds <= self.maximum:
            raise span.error(f"{span} is out of range: expected {self.expected}")
        return seconds

    def show(self, value: Value) -> str:
        """Return it in the largest unit that is exact."""
        return _show_seconds(value)

    def accepts(self, value: Value) -> bool:
        """Return whether the value is a number of whole milliseconds in range."""
        return _is_seconds(value) and self.minimum <= value <= self.maximum


def _is_seconds(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 <= value <= 1e9 and round(value * 1000) / 1000 == value  # refuses NaN


def _show_seconds(value: object) -> str:
    assert isinstance(value, (int, float))
    milliseconds = round(value * 1000)
    if not milliseconds:
        return "0s"
    units = reversed(_DURATION_UNITS_MS.items())
    return next(f"{milliseconds // n}{unit}" for unit, n in units if milliseconds % n == 0)


def _read_seconds(span: Span) -> float:
    text = str(span)
    match = _DURATION.fullmatch(text)
    if match:
        return int(match[1]) * _DURATION_UNITS_MS[match[2]] / 1000
    if re.fullmatch(r"[0-9]+", text):
        raise span.error(f"{text} has no unit", f"did you mean {text}s? (units: ms, s, m, h, d)")
    raise span.error(f"{text!r} is not a duration: expected a whole number and ms, s, m, h or d")


@dataclass(frozen=True, slots=True)
class Size:
    """A number of octets, written ``512``, ``512B``, ``64KiB`` or ``4MiB``."""

    minimum: int = 1
    maximum: int = _C_INT
    unit: str = "bytes"
    bare: Value | None = None

    @property
    def expected(self) -> str:
        """The range in octets."""
        return f"{self.minimum} to {self.maximum} bytes, written with B, KiB or MiB"

    def read(self, span: Span) -> Value:
        """Return the octets."""
        match = _SIZE.fullmatch(str(span))
        if not match:
            raise span.error(f"{str(span)!r} is not a size: expected {self.expected}")
        size = int(match[1]) * _SIZE_UNITS[match[2] or "B"]
        if not self.minimum <= size <= self.maximum:
            raise span.error(f"{span} is out of range: expected {self.expected}")
        return size

    def show(self, value: Value) -> str:
        """Return the size in the largest unit that is exact."""
        assert isinstance(value, int)
        for unit, octets in _SIZE_UNITS.items():
            if value and value % octets == 0:
                return f"{value // octets}{unit}"
        return f"{value}B"

    def accepts(self, value: Value) -> bool:
        """Return whether the value is a whole number in range."""
        return type(value) is int and self.minimum <= value <= self.maximum


@dataclass(frozen=True, slots=True)
class Permissions:
    """File permissions in octal, or one of three words for the usual ones."""

    expected: str = "octal permissions like 0660, or owner, group or everybody"
    unit: str = "octal"
    bare: Value | None = None

    def read(self, span: Span) -> Value:
        """Return the permission bits."""
        text = str(span)
        words = {"owner": 0o600, "group": 0o660, "everybody": 0o666}
        if text in words:
            return words[text]
        if not re.fullmatch(r"0?[0-7]{3}", text):
            raise span.error(f"{text!r} is not a mode: expected {self.expected}")
        return int(text, 8)

    def show(self, value: Value) -> str:
        """Return four octal digits."""
        return f"{value:04o}"

    def accepts(self, value: Value) -> bool:
        """Return whether the value is permission bits."""
        return type(value) is int and 0 <= value <= 0o777


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]
    unit: str = ""
    bare: Value | None = None

    @property
    def expected(self) -> str:
        """The words."""
        return f"{', '.join(self.words[:-1])} or {self.words[-1]}"

    def read(self, span: Span) -> Value:
        """Return the word."""
        text = str(span)
        if text not in self.words:
            near = nearest(text, self.words)
            remedy = f"did you mean {near}?" if near else ""
            raise span.error(f"{text!r} is unknown: expected {self.expected}", remedy)
        return text

    def show(self, value: Value) -> str:
        """Return the word."""
        return str(value)

    def accepts(self, value: Value) -> bool:
        """Return whether the value is one of the words."""
        return value in self.words


@dataclass(frozen=True, slots=True)
class Text:
    """Printable text."""

    longest: int = 255
    unit: str = ""
    bare: Value | None = None

    @property
    def expected(self) -> str:
        """The length."""
        return f"text of at most {self.longest} octets"

    def read(self, span: Span) -> Value:
        """Return the text, percent-escapes resolved."""
        text = span.decode_text()
        if not self.accepts(text):
            raise span.error(f"the text is too long: expected {self.expected}")
        return text

    def show(self, value: Value) -> str:
        """Return the text with blanks and separators escaped."""
        return _escape_value(str(value))

    def accepts(self, value: Value) -> bool:
        """Return whether the value is printable and short enough."""
        if not (isinstance(value, str) and value.isprintable()):
            return False
        return 0 < len(value.encode()) <= self.longest


@dataclass(frozen=True, slots=True)
class FilePath:
    """The path of a file; octets that are not UTF-8 are represented as by ``os.fsdecode``."""

    expected: str = "the path of a file"
    unit: str = ""
    bare: Value | None = None

    def read(self, span: Span) -> Value:
        """Return the path, percent-escapes resolved."""
        path = span.decode()
        if b"\0" in path:
            raise span.error("a path cannot contain NUL")
        return path.decode("utf-8", "surrogateescape")

    def show(self, value: Value) -> str:
        """Return the path with blanks, separators and other octets escaped."""
        return _escape_value(str(value))

    def accepts(self, value: Value) -> bool:
        """Return whether the value can be the path of a file."""
        if not isinstance(value, str) or not value or "\0" in value:
            return False
        try:
            octets = value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return False
        # Escapes that form valid UTF-8 would come back as the character itself.
        return octets.decode("utf-8", "surrogateescape") == value


@dataclass(frozen=True, slots=True)
class Account:
    """A user or group: a name, or a number."""

    expected: str = "a name or a number from 0 to 4294967294"
    unit: str = ""
    bare: Value | None = None

    def read(self, span: Span) -> Value:
        """Return the number or the name."""
        text = span.decode_text()
        account: Value = int(text) if re.fullmatch(r"[0-9]{1,10}", text) else text
        if not self.accepts(account):
            raise span.error(f"{text!r} is not a user or group: expected {self.expected}")
        return account

    def show(self, value: Value) -> str:
        """Return the name or the digits."""
        return _escape_value(str(value))

    def accepts(self, value: Value) -> bool:
        """Return whether the value can name an account."""
        if type(value) is int:
            # chown() takes 2**32 - 1 as "unchanged".
            return 0 <= value < 2**32 - 1
        return (
            isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w.@$-]{0,254}", value) is not None
        )


@dataclass(frozen=True, slots=True)
class Protocols:
    """Names for TLS to negotiate, separated by commas, preferred first (ALPN)."""

    expected: str = "protocol names of 1 to 255 octets, separated by commas"
    unit: str = ""
    bare: Value | None = None

    def read(self, span: Span) -> Value:
        """Return the names."""
        names = []
        for part in span.split(","):
            name = part.decode_text()
            # RFC 7301 §3.1: opaque ProtocolName<1..2^8-1>
            if not 0 < len(name.encode()) <= 255:
                reason = "a protocol name is empty" if not name else "a protocol name is too long"
                raise part.error(f"{reason}: expected {self.expected}")
            names.append(name)
        return tuple(names)

    def show(self, value: Value) -> str:
        """Return the names, separated by commas."""
        assert isinstance(value, tuple)
        return ",".join(_escape_value(str(name), ",") for name in value)

    def accepts(self, value: Value) -> bool:
        """Return whether the value is a tuple of such names."""
        if not isinstance(value, tuple) or not value:
            return False
        return all(isinstance(name, str) and Text().accepts(name) for name in value)


@dataclass(frozen=True, slots=True)
class Networks:
    """IP networks, separated by commas; a single address is a network of one."""

    expected: str = "networks like 10.0.0.0/8 or 2001:db8::/32, separated by commas"
    unit: str = ""
    bare: Value | None = None

    def read(self, span: Span) -> Value:
        """Return the networks, each as ``address/length``."""
        return tuple(self._read_one(part) for part in span.split(","))

    def _read_one(self, part: Span) -> str:
        text = str(part)
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise part.error(f"{text!r} is not a network: expected {self.expected}") from None
        if ipaddress.ip_interface(text).ip != network.network_address:
            raise part.error(f"{text} has bits set behind the prefix", f"did you mean {network}?")
        return str(network)

    def show(self, value: Value) -> str:
        """Return the networks, separated by commas."""
        assert isinstance(value, tuple)
        return ",".join(map(str, value))

    def accepts(self, value: Value) -> bool:
        """Return whether the value is a tuple of networks in canonical spelling."""
        if not isinstance(value, tuple) or not value:
            return False
        try:
            return all(str(ipaddress.ip_network(str(network))) == network for network in value)
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Ratio:
    """A fraction from 0 to 1, exact to a millionth."""

    expected: str = "a number from 0 to 1, with at most six decimals"
    unit: str = ""
    bare: Value | None = None

    def read(self, span: Span) -> Value:
        """Return the fraction."""
        text = str(span)
        if not re.fullmatch(r"0(\.[0-9]{1,6})?|1(\.0{1,6})?", text):
            raise span.error(f"{text!r} is not a fraction: expected {self.expected}")
        return float(text)

    def show(self, value: Value) -> str:
        """Return the significant decimals."""
        return f"{value:.6f}".rstrip("0").rstrip(".")

    def accepts(self, value: Value) -> bool:
        """Return whether the value is such a fraction."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return 0 <= value <= 1 and round(value, 6) == value


class KeepaliveTimes(NamedTuple):
    """When an idle connection is probed; None leaves a value to the system."""

    idle: float | None = None
    interval: float | None = None
    probes: int | None = None


_JUST_ENABLED = KeepaliveTimes()


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Keepalive times ``idle:interval:count``, each optional; a key alone just enables it."""

    expected: str = "idle:interval:count like 60s:5s:3, in whole seconds"
    unit: str = "s"
    bare: Value | None = _JUST_ENABLED

    def read(self, span: Span) -> Value:
        """Return the times."""
        parts = _keepalive_parts(span, self.expected)
        count = _read_count(parts[2])
        return KeepaliveTimes(_whole_seconds(parts[0]), _whole_seconds(parts[1]), count)

    def show(self, value: Value) -> str:
        """Return the times; an empty text if none is given."""
        assert isinstance(value, tuple)
        idle, interval, count = value
        parts = ["" if time is None else _show_seconds(time) for time in (idle, interval)]
        parts.append("" if count is None else str(count))
        return ":".join(parts).rstrip(":")

    def accepts(self, value: Value) -> bool:
        """Return whether the value is keepalive times that the system supports."""
        if not isinstance(value, tuple) or len(value) != 3:
            return False
        idle, interval, count = value
        times = all(_is_keepalive_time(time) for time in (idle, interval))
        return times and (count is None or (type(count) is int and 1 <= count <= 127))


@dataclass(frozen=True, slots=True)
class KeepaliveMilliseconds(Keepalive):
    """Keepalive as tokio-listener writes it: ``idle:count:interval`` in milliseconds.

    The system uses whole seconds: fractions are rounded up.
    """

    expected: str = "idle:count:interval in milliseconds, like 60000:3:5000"
    bare: Value | None = None

    def read(self, span: Span) -> Value:
        """Return the times, in seconds as everywhere else."""
        idle, count, interval = _keepalive_parts(span, self.expected)
        return KeepaliveTimes(_read_ms(idle), _read_ms(interval), _read_count(count))


def _keepalive_parts(span: Span, expected: str) -> list[Span]:
    parts = span.split(":")
    if len(parts) > 3:
        raise parts[3].error(f"more than three parts: expected {expected}")
    return parts + [span.cut(len(span))] * (3 - len(parts))


def _is_keepalive_time(seconds: object) -> bool:
    # TCP_KEEPIDLE and TCP_KEEPINTVL count whole seconds, and Linux takes at most 32767.
    if seconds is None:
        return True
    return _is_seconds(seconds) and 1 <= seconds <= 32_767 and int(seconds) == seconds


def _whole_seconds(span: Span) -> float | None:
    return _checked_time(span, _read_seconds(span)) if span else None


def _read_ms(span: Span) -> float | None:
    if not span:
        return None
    if not re.fullmatch(r"[0-9]{1,12}", str(span)):
        raise span.error(f"{str(span)!r} is not a number of milliseconds")
    return _checked_time(span, float(-(-int(str(span)) // 1000)))


def _checked_time(span: Span, seconds: float) -> float:
    if not _is_keepalive_time(seconds):
        reason = "the system counts keepalive times in whole seconds, from 1 to 32767"
        raise span.error(f"{span} cannot be kept: {reason}")
    return seconds


def _read_count(span: Span) -> int | None:
    if not span:
        return None
    count = Integer(1, 127).read(span)
    assert isinstance(count, int)
    return count


def _escape_value(value: str, separator: str = "") -> str:
    return escape(value.encode("utf-8", "surrogateescape"), "&#" + separator)
