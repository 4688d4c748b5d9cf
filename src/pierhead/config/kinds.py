"""The kinds of value that a key can have: how each is read, written and described.

Each kind reads a value that `tomllib` returned and records what is wrong at its `Spot`; writes a
value back; and describes itself in words and in JSON Schema. The law of all of them:
``read(show(value)) == value``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pierhead.address import ListenSpec
from pierhead.config.spot import Spot, nearest
from pierhead.errors import AddressError
from pierhead.limits import Limit
from pierhead.printable import digits

__all__ = [
    "INVALID",
    "Address",
    "Choice",
    "Duration",
    "Flag",
    "Kind",
    "ListOf",
    "Number",
    "Reference",
    "Size",
    "Text",
    "kind_of_limit",
]

_DURATION_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,3})?(?:ms|s|m|h|d))+")
_DURATION_PART = re.compile(r"([0-9.]+)(ms|[smhd])")
_SIZE_UNITS = {
    "GiB": 1 << 30,
    "MiB": 1 << 20,
    "KiB": 1 << 10,
    "GB": 10**9,
    "MB": 10**6,
    "KB": 10**3,
    "kB": 10**3,
    "B": 1,
}
_SIZE = re.compile(r"([0-9]{1,15}) ?([kKMG]i?B|B)")
_REFERENCE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")


class _Invalid:
    """The only instance stands for a value whose fault has been recorded."""

    def __repr__(self) -> str:
        return "INVALID"


INVALID: Final = _Invalid()


class Kind(Protocol):
    """One kind of value."""

    @property
    def expected(self) -> str:
        """What is expected, to follow "expected" in a message."""
        ...

    def read(self, value: object, spot: Spot) -> Any:
        """Return the value, or `INVALID` after recording what is wrong."""
        ...

    def show(self, value: Any) -> object:
        """Return the value as `tomllib` would have."""
        ...

    def schema(self) -> dict[str, object]:
        """Return the kind in JSON Schema."""
        ...


def _wrong_type(value: object, spot: Spot, expected: str, remedy: str = "") -> _Invalid:
    spot.fault("wrong-type", f"{_described(value)}, expected {expected}", remedy)
    return INVALID


def _bad(spot: Spot, message: str, remedy: str = "", offset: int = 0) -> _Invalid:
    spot.fault("bad-value", message, remedy, offset=offset)
    return INVALID


def _described(value: object) -> str:
    match value:
        case bool():
            return f"found {'true' if value else 'false'}"
        case int() | float():
            return f"found the number {digits(value) if value == value else value}"[:80]
        case str():
            return f"found the text {_quoted(value)}"
        case list():
            return "found an array"
        case dict():
            return "found a table"
    return "found a date or a time"


def _quoted(text: str) -> str:
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")


@dataclass(frozen=True, slots=True)
class Flag:
    """``true`` or ``false``."""

    expected: str = "true or false"

    def read(self, value: object, spot: Spot) -> Any:
        """Return the truth value."""
        if isinstance(value, bool):
            return value
        word = value.lower() if isinstance(value, str) else ""
        remedy = f"write {word} without quotation marks" if word in ("true", "false") else ""
        return _wrong_type(value, spot, self.expected, remedy)

    def show(self, value: Any) -> object:
        """Return the truth value."""
        return value

    def schema(self) -> dict[str, object]:
        """Return the kind in JSON Schema."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a range, whole or not; possibly ``"off"``."""

    minimum: float
    maximum: float
    unit: str = ""
    is_whole: bool = True
    may_be_off: bool = False

    @property
    def expected(self) -> str:
        """The range, with its unit."""
        whole = "a whole number" if self.is_whole else "a number"
        unit = f" {self.unit}" if self.unit else ""
        off = ', or "off"' if self.may_be_off else ""
        return f"{whole} from {digits(self.minimum)} to {digits(self.maximum)}{unit}{off}"

    def read(self, value: object, spot: Spot) -> Any:
        """Return the number, or "off"."""
        if value == "off" and self.may_be_off:
            return value
        allowed = int if self.is_whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, allowed):
            is_number = isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value)
            remedy = f"write {value} without quotation marks" if is_number else ""
            return _wrong_type(value, spot, self.expected, remedy)
        if not self.minimum <= value <= self.maximum:  # also refuses NaN
            return _bad(spot, f"{value} is out of range: expected {self.expected}")
        return value

    def show(self, value: Any) -> object:
        """Return the number, or "off"."""
        return value

    def schema(self) -> dict[str, object]:
        """Return the kind in JSON Schema."""
        number: dict[str, object] = {
            "type": "integer" if self.is_whole else "number",
            "minimum": self.minimum,
            "maximum": self.maximum,
        }
        return {"anyOf": [number, {"const": "off"}]} if self.may_be_off else number


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time with its unit: ``"500ms"``, ``"5m"``, ``"1h30m"``; held in seconds."""

    minimum: float
    maximum: float
    may_be_off: bool = False

    @property
    def expected(self) -> str:
        """The range, as it is written."""
        off = ', or "off"' if self.may_be_off else ""
        return f'a duration from "{_seconds(self.minimum)}" to "{_seconds(self.maximum)}"{off}'

    def read(self, value: object, spot: Spot) -> Any:
        """Return the seconds, or "off"."""
        if value == "off" and self.may_be_off:
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            remedy = f'did you mean "{digits(value)}s"?' if 0 <= value < 1e12 else ""
            message = f"{value} has no unit: expected {self.expected}"
            return _bad(spot, message, remedy)
        if not isinstance(value, str):
            return _wrong_type(value, spot, self.expected)
        if not _DURATION.fullmatch(value):
            near = re.fullmatch(r" *([0-9]{1,9}) *(ms|s|m|h|d)?[a-z]* *", value)
            remedy = f'did you mean "{near[1]}{near[2] or "s"}"?' if near else ""
            message = f"{_quoted(value)} is not a duration: expected {self.expected}"
            return _bad(spot, message, remedy)
        parts = _DURATION_PART.findall(value)
        seconds = sum(float(n) * _DURATION_UNITS[unit] for n, unit in parts) / 1000
        if not self.minimum <= seconds <= self.maximum:
            return _bad(spot, f"{value} is out of range: expected {self.expected}")
        return seconds

    def show(self, value: Any) -> object:
        """Return it with units."""
        return value if value == "off" else _seconds(value)

    def schema(self) -> dict[str, object]:
        """Return the kind in JSON Schema."""
        pattern = f"^{_DURATION.pattern}$"
        return {"type": "string", "pattern": f"{pattern}|^off$" if self.may_be_off else pattern}


def _seconds(value: float) -> str:
    left, text = round(value * 1000), ""
    for unit, milliseconds in _DURATION_UNITS.items():
        count, left = divmod(left, milliseconds)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


@dataclass(frozen=True, slots=True)
class Size:
    """A number of octets: ``"64KiB"``, ``"10MB"``, or a plain number."""

    minimum: int
    maximum: int

    @property
    def expected(self) -> str:
        """The range, as it is written."""
        return f'a size from "{_octets(self.minimum)}" to "{_octets(self.maximum)}"'

    def read(self, value: object, spot: Spot) -> Any:
        """Return the octets."""
        if isinstance(value, str):
            found = _SIZE.fullmatch(value)
            if not found or found[2] not in _SIZE_UNITS:
                near = re.fullmatch(r" *([0-9]{1,12}) *([kmg])i?b? *", value, re.IGNORECASE)
                remedy = f'did you mean "{near[1]}{near[2].upper()}iB"?' if near else ""
                message = f"{_quoted(value)} is not a size: expected {self.expected}"
                return _bad(spot, message, remedy)
            value = int(found[1]) * _SIZE_UNITS[found[2]]
        if isinstance(value, bool) or not isinstance(value, int):
            return _wrong_type(value, spot, self.expected)
        if not self.minimum <= value <= self.maximum:
            return _bad(spot, f"{value} bytes are out of range: expected {self.expected}")
        return value

    def show(self, value: Any) -> object:
        """Return it in the largest unit that is exact."""
        return _octets(value)

    def schema(self) -> dict[str, object]:
        """Return the kind in JSON Schema."""
        number = {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}
        return {"anyOf": [number, {"type": "string", "pattern": f"^{_SIZE.pattern}$"}]}


def _octets(value: int) -> str:
    for unit in ("GiB", "MiB", "KiB"):
        if value and value % _SIZE_UNITS[unit] == 0:
            return f"{value // _SIZE_UNITS[unit]}{unit}"
    return f"{value}B"


@dataclass(frozen=True, slots=True)
class Text:
    """Text.

    Args:
        expected: what it means.
        may_be_empty: whether it may be empty.
    """

    expected: str
    may_be_empty: bool = False

    def read(self, value: object, spot: Spot) -> Any:
        """Return the text."""
        if not isinstance(value, str):
            return _wrong_type(value, spot, self.expected)
        if (not value and not self.may_be_empty) or "\0" in value:
            what = "the text has a NUL character" if value else "the text is empty"
            return _bad(spot, f"{what}: expected {self.expected}")
        return value

    def show(self, value: Any) -> object:
        """Return the text."""
        return value

    def schema(self) -> dict[str, object]:
        """Return the kind in JSON Schema."""
        return {"type": "string", "minLength": 0 if self.may_be_empty else 1}


@dataclass(frozen=True, slots=True)
class Reference:
    """A name in a Python module, ``module:object``."""

    expected: str = 'a name in a Python module: "module:object"'

    def read(self, value: object, spot: Spot) -> Any:
        """Return the text."""
        if not isinstance(value, str):
            return _wrong_type(value, spot, self.expected)
        if not _REFERENCE.fullmatch(value):
            remedy = ""
            if re.fullmatch(r"\w+(\.\w+)+", value) and not value.endswith(".py"):
                module, _, name = value.rpartition(".")
                remedy = f'did you mean "{module}:{name}"?'
            return _bad(spot, f"{_quoted(value)} is not {self.expected}", remedy)
        return value

    def show(self, value: Any) -> object:
        """Return the text."""
        return value

    def schema(self) -> dict[str, object]:
        """Return the kind in JSON Schema."""
        return {"type": "string", "pattern": "^[^:]+:[^:]+$"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """The words."""
        quoted = [f'"{word}"' for word in self.words]
        return f"{', '.join(quoted[:-1])} or {quoted[-1]}"

    def read(self, value: object, spot: Spot) -> Any:
        """Return the word."""
        if not isinstance(value, str):
            return _wrong_type(value, spot, self.expected)
        if value not in self.words:
            near = nearest(value, self.words)
            remedy = f'did you mean "{near}"?' if near else ""
            return _bad(spot, f"{_quoted(value)} is unknown: expected {self.expected}", remedy)
        return value

    def show(self, value: Any) -> object:
        """Return the word."""
        return value

    def schema(self) -> dict[str, object]:
        """Return the kind in JSON Schema."""
        return {"enum": list(self.words)}


@dataclass(frozen=True, slots=True)
class Address:
    """A listening address."""

    expected: str = 'an address such as "127.0.0.1:5300" or "unix:/run/a.sock"'

    def read(self, value: object, spot: Spot) -> Any:
        """Return the parsed address."""
        if not isinstance(value, str):
            return _wrong_type(value, spot, self.expected)
        try:
            return ListenSpec.parse(value)
        except AddressError as error:
            spot.fault("bad-address", error.reason, error.remedy, offset=error.position)
            return INVALID

    def show(self, value: Any) -> object:
        """Return the address as text."""
        return str(value)

    def schema(self) -> dict[str, object]:
        """Return the kind in JSON Schema."""
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True)
class ListOf:
    """An array whose elements are of one kind; held as a tuple."""

    kind: Kind
    plural: str
    at_least: int = 0

    @property
    def expected(self) -> str:
        """What the elements are."""
        return f"an array of {self.plural}"

    def read(self, value: object, spot: Spot) -> Any:
        """Return the elements; every faulty one is recorded."""
        if not isinstance(value, list):
            is_one = isinstance(value, str)
            remedy = "put it into brackets: [...]" if is_one else ""
            return _wrong_type(value, spot, self.expected, remedy)
        if len(value) < self.at_least:
            return _bad(spot, f"the array is empty: expected {self.expected}")
        read = [self.kind.read(one, spot.below(index)) for index, one in enumerate(value)]
        return INVALID if any(one is INVALID for one in read) else tuple(read)

    def show(self, value: Any) -> object:
        """Return the elements as a list."""
        return [self.kind.show(one) for one in value]

    def schema(self) -> dict[str, object]:
        """Return the kind in JSON Schema."""
        return {"type": "array", "items": self.kind.schema(), "minItems": self.at_least}


def kind_of_limit(limit: Limit) -> Kind:
    """Return the kind of value that a limit has."""
    if limit.unit == "s":
        return Duration(limit.minimum, limit.maximum, limit.may_be_off)
    if limit.unit == "bytes":
        return Size(int(limit.minimum), int(limit.maximum))
    is_whole = isinstance(limit.default, int)
    return Number(limit.minimum, limit.maximum, limit.unit, is_whole, limit.may_be_off)
