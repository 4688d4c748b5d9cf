"""The options given with an address: typed values, in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, cast, overload

from pierhead.address.option import AppliedBy, Effect, Option
from pierhead.address.option_types import Value
from pierhead.address.registry import OPTIONS_BY_KEY
from pierhead.address.text import Span, nearest
from pierhead.errors import AddressError, UsageError

__all__ = [
    "GivenOption",
    "ListenOptions",
    "collect",
    "effect_of_change",
    "is_accepted",
    "known_key",
    "read_options",
    "row_of_value",
    "show_option",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """Only the options given, by key.

    ``given`` may be in any order and is stored in that of the keys.

        >>> options = ListenOptions.parse("reuseport&backlog=512")
        >>> options.get("backlog", 1024), options.get("reuseport", False), str(options)
        (512, True, 'backlog=512&reuseport')

    Raises:
        UsageError: a key is unknown or repeated, or a value is not valid for its option.
    """

    given: tuple[tuple[str, Value], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", tuple(sorted(self.given, key=lambda pair: pair[0])))
        if len({key for key, _ in self.given}) < len(self.given):
            raise UsageError("an option is given twice")
        for key, value in self.given:
            row_of_value(key, value)

    @classmethod
    def of(cls, given: Mapping[str, Value]) -> ListenOptions:
        """Return the options of a mapping from keys to typed values."""
        return cls(tuple(given.items()))

    @classmethod
    def parse(cls, text: str) -> ListenOptions:
        """Parse ``key=value&…``, the text after the ``?`` of an address.

        Raises:
            AddressError: it does not parse.
        """
        span = Span.of(text)
        pairs = read_options(span, _row_that_reads) if span else []
        return cls(collect(pairs))

    @overload
    def get(self, key: str) -> Any: ...

    @overload
    def get(self, key: str, default: T) -> T: ...

    def get(self, key: str, default: T | None = None) -> Any:
        """Return the value given for this key, or the default."""
        for name, value in self.given:
            if name == key:
                return value
        return default

    def rows(self) -> Iterator[tuple[Option, Value]]:
        """Yield the registry row and the value of each option given."""
        for key, value in self.given:
            yield row_of_value(key, value), value

    def without(self, *keys: str) -> ListenOptions:
        """Return a copy without these keys."""
        return ListenOptions(tuple(pair for pair in self.given if pair[0] not in keys))

    def __contains__(self, key: object) -> bool:
        return any(name == key for name, _ in self.given)

    def __bool__(self) -> bool:
        return bool(self.given)

    def __str__(self) -> str:
        return "&".join(show_option(key, value) for key, value in self.given)


def effect_of_change(before: ListenOptions, after: ListenOptions) -> Effect | None:
    """Return when all differences between two addresses' options take effect; None if there are
    none.

    A running server that changes to ``after`` keeps its listener unless this is
    `Effect.NEW_LISTENER`.
    """
    was, will_be = dict(before.given), dict(after.given)
    changed = [key for key in was | will_be if was.get(key) != will_be.get(key)]
    effects = [_effect(key, was.get(key), will_be.get(key)) for key in changed]
    return max(effects, key=list(Effect).index, default=None)


def _effect(key: str, before: Value | None, after: Value | None) -> Effect:
    rows = [row_of_value(key, value) for value in (before, after) if value is not None]
    if after is None and AppliedBy.SOCKET in rows[0].applied_by and rows[0].default is None:
        return Effect.NEW_LISTENER  # the state of a socket before it was set is unknown
    return max((row.effect for row in rows), key=list(Effect).index)


@dataclass(frozen=True, slots=True)
class GivenOption:
    """One option as parsed: its key in the table, its value, and its position."""

    key: str
    value: Value
    position: int


#: Returns the row for a key, or raises an error with a position; it also gets the spans of the key
#: and of the value, None if there is no ``=``.
ChooseRow: TypeAlias = Callable[[str, Span, Span | None], Option]


def read_options(span: Span, choose: ChooseRow) -> list[GivenOption]:
    """Parse ``key=value&…``.

    Raises:
        AddressError: it does not parse.
    """
    seen: dict[str, Option] = {}
    pairs = []
    for part in span.split("&"):
        name, raw = part.partition("=")
        if not name:
            raise part.error("an option is expected", "write key=value, with & between options")
        option = choose(known_key(name), name, raw)
        key = option.stands_for or option.key
        if key in seen and not option.repeats:
            both = f"{key} is given twice"
            if option.key != seen[key].key:
                both = f"{option.key} and {seen[key].key} say the same thing twice"
            raise name.error(both, "leave one of them out")
        seen[key] = option
        pairs.append(GivenOption(key, _read_value(option, name, raw), name.start))
    return pairs


def known_key(name: Span) -> str:
    """Return the key of the table for a written key.

    Raises:
        AddressError: there is none.
    """
    # Wrapper keys may be prefixed; those of proxy must be.
    key = str(name)
    bare = key.removeprefix("tls.")
    rows = OPTIONS_BY_KEY.get(bare, ())
    if rows and (bare == key or any("tls" in row.wrappers for row in rows)):
        return bare
    near = _nearest_key(key)
    remedy = f"did you mean {near}?" if near else "leave it out"
    raise name.error(f"unknown option {key!r}", remedy)


def _nearest_key(key: str) -> str:
    """Return the key that was probably meant; empty if none is near."""
    word = key.lower().replace("_", "-")
    called = {
        name: row.key
        for rows in OPTIONS_BY_KEY.values()
        for row in rows
        for name in (*row.elsewhere, row.limit.replace("_", "-"))
    }
    return called.get(word) or nearest(key, OPTIONS_BY_KEY)


def _read_value(option: Option, name: Span, raw: Span | None) -> Value:
    if raw is None:
        if option.type.bare is None:
            end = len(name)
            raise name.error(f"{name} needs a value", f"write {option.example}", at=end)
        return option.type.bare
    if not raw:
        raise raw.error(f"the value of {name} is empty", f"write {option.example}")
    try:
        return option.type.read(raw)
    except AddressError as error:
        if error.remedy:
            raise
        remedy = f"write it like {option.example}"
        raise AddressError(error.text, error.position, error.reason, remedy) from None


def collect(pairs: list[GivenOption]) -> tuple[tuple[str, Value], ...]:
    """Return each key with its value; values of a repeated option form a tuple."""
    values: dict[str, Value] = {}
    gathered: dict[str, list[str]] = {}
    for pair in pairs:
        values[pair.key] = pair.value
        if any(row.repeats for row in OPTIONS_BY_KEY[pair.key]):
            gathered.setdefault(pair.key, []).append(str(pair.value))
    values.update({key: tuple(each) for key, each in gathered.items()})
    return tuple(values.items())


def _row_that_reads(key: str, name: Span, raw: Span | None) -> Option:
    """Without a scheme, take the first row for which the value is valid."""
    rows = OPTIONS_BY_KEY[key]
    for row in rows[:-1]:
        try:
            _read_value(row, name, raw)
        except AddressError:
            continue
        return row
    return rows[-1]


def show_option(key: str, value: Value) -> str:
    """Return one option in the form of the grammar."""
    option = row_of_value(key, value)
    if option.repeats:
        return "&".join(f"{key}={option.type.show(part)}" for part in cast("tuple[str]", value))
    text = option.type.show(value)
    return f"{key}={text}" if text else key


def row_of_value(key: str, value: Value) -> Option:
    """Return the row of a key for which this value is valid.

    Raises:
        UsageError: the key is unknown, or the value is not valid for it.
    """
    for option in OPTIONS_BY_KEY.get(key, ()):
        if not option.stands_for and is_accepted(option, value):
            return option
    rows = OPTIONS_BY_KEY.get(key, ())
    if not rows:
        near = _nearest_key(key)
        advice = f"; did you mean {near}?" if near else ""
        raise UsageError(f"unknown option {key!r}{advice}")
    raise UsageError(f"{key} is {value!r}, expected {rows[0].type.expected}")


def is_accepted(option: Option, value: Value) -> bool:
    """Return whether the value is valid for this row."""
    if not option.repeats:
        return option.type.accepts(value)
    return (
        isinstance(value, tuple)
        and bool(value)
        and all(isinstance(part, str) and option.type.accepts(part) for part in value)
    )
