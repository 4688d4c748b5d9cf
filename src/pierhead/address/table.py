"""The table form of an address, as in configuration files.

    listen = [
        "127.0.0.1:5300",
        { address = "tls+tcp::853", cert = "dns.pem", backlog = 512, reuseport = true },
    ]

The key ``address`` has an address; every other key is that of an option. A string is the text after
the ``=`` in an address, except that ``&`` and ``#`` need no escape. True is a key alone, a number
is in the option's unit, and a list has several values for options that allow them. A nested table,
which is how TOML reads ``proxy.from = …``, means the same.

Errors show the entry in TOML, and every fault is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeGuard, cast

from pierhead.address.accounts import Accounts
from pierhead.address.addresses import AbstractAddress, ListenAddress
from pierhead.address.grammar import Parts, read, row_for
from pierhead.address.listen_options import ListenOptions, known_key, row_of_value
from pierhead.address.option_types import Integer, Networks, Permissions, Protocols, Ratio, Value
from pierhead.address.registry import OPTIONS_BY_KEY, PAD, Option
from pierhead.address.text import Span, nearest
from pierhead.address.validation import Conflict, conflicts
from pierhead.errors import AddressError, TableError

__all__ = ["ADDRESS", "NESTED", "Table", "TableValue", "read_table", "takes_several", "write_table"]

#: The values in a table that is written.
TableValue: TypeAlias = bool | int | float | str | list[str]
Table: TypeAlias = dict[str, TableValue]

#: The key of the address itself.
ADDRESS = "address"
#: Prefixes of keys that may be a nested table.
NESTED = ("proxy", "tls")

#: Types whose value is a list, even if the option is given once.
_SEVERAL = (Accounts, Networks, Protocols)


def takes_several(option: Option) -> bool:
    """Return whether this option accepts a list."""
    return option.repeats or isinstance(option.type, _SEVERAL)


def read_table(table: object) -> Parts:
    """Read the table of an address.

    Raises:
        AddressError: the only fault; `TableError` if there are several.
    """
    if not isinstance(table, Mapping):
        raise _no_table(table)
    faults: list[AddressError] = []
    base = _read_address(table, faults)
    given = _read_entries(table, base, faults)
    if base is not None and not faults:
        whole, faults = _whole(str(table[ADDRESS]), base, given)
        if not faults:
            return whole
    raise faults[0] if len(faults) == 1 else TableError(faults)


def _read_address(table: Mapping[object, object], faults: list[AddressError]) -> Parts | None:
    """Return the parsed address, or None after adding a fault."""
    try:
        return read(_address_of(table))
    except AddressError as error:
        faults.append(error)
        return None


def _read_entries(
    table: Mapping[object, object], base: Parts | None, faults: list[AddressError]
) -> dict[str, tuple[_Entry, Value]]:
    """Return the options of a table by key, and add their faults."""
    given: dict[str, tuple[_Entry, Value]] = {}
    for key, value in _flat(table):
        try:
            entry = _Entry.of(key, value)
            option = _choose(entry, base)
            if option is not None:
                _refuse_twice(entry, option, base, given)
                given[option.stands_for or option.key] = (entry, entry.read(option))
        except AddressError as error:
            faults.append(error)
    return given


def write_table(wrappers: tuple[str, ...], address: ListenAddress, options: ListenOptions) -> Table:
    """Return the table that reads back to these parts, in types of TOML and JSON."""
    table: Table = {ADDRESS: "".join(f"{wrapper}+" for wrapper in wrappers) + str(address)}
    for key, value in options.given:
        table[key] = _natural(row_of_value(key, value), value)
    return table


def _natural(option: Option, value: Value) -> TableValue:
    if option.repeats:
        return [option.type.show(str(part)) for part in cast("tuple[str, ...]", value)]
    if isinstance(option.type, _SEVERAL):
        return [option.type.show((part,)) for part in cast("tuple[str, ...]", value)]
    if isinstance(value, bool) or isinstance(option.type, Integer | Ratio):
        return cast("bool | int | float", value)
    return option.type.show(value) or True  # keepalive without times is a key alone


def _no_table(value: object) -> AddressError:
    shown = _show(value)
    reason = f"{shown} is not an address: expected text, or a table with {ADDRESS} and options"
    return AddressError(shown, 0, reason, f"write {_instead_of(value)}")


def _instead_of(value: object) -> str:
    is_port = type(value) is int and 0 <= value <= 65535
    return f'"127.0.0.1:{value}"' if is_port else '"HOST:PORT"'


def _address_of(table: Mapping[object, object]) -> str:
    if ADDRESS not in table:
        keys = ", ".join(map(str, table))
        near = _misspelt(table)
        remedy = f"did you mean {ADDRESS}?" if near else f'write {ADDRESS} = "HOST:PORT"'
        at = 2 + max(keys.find(near), 0) if near else 0
        raise AddressError(f"{{ {keys} }}", at, f"the table has no {ADDRESS}", remedy)
    value = table[ADDRESS]
    if not isinstance(value, str):
        entry = _Entry.of(ADDRESS, value)
        write = f"write {ADDRESS} = {_instead_of(value)}"
        raise entry.error(f"{_show(value)} is not an address: expected text", write)
    return value


def _misspelt(table: Mapping[object, object]) -> str:
    unknown = [str(key) for key in table if key not in OPTIONS_BY_KEY]
    return nearest(ADDRESS, unknown)


def _flat(table: Mapping[object, object]) -> Iterator[tuple[str, object]]:
    """Yield every entry but the address; those of nested tables under their full key."""
    passed_over = ADDRESS if ADDRESS in table else _misspelt(table)
    for key, value in table.items():
        if key in NESTED and isinstance(value, Mapping):
            yield from ((f"{key}.{below}", one) for below, one in value.items())
        elif key != passed_over:
            yield str(key), value


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry in TOML, into which an error points.

    ``body`` is the text after the ``=``; ``spans`` has each value in it, exactly one unless a list.
    """

    name: Span
    value: object
    body: Span
    spans: tuple[Span, ...]

    @classmethod
    def of(cls, key: str, value: object) -> _Entry:
        opening, closing = ("[", "]") if _is_list(value) else ("", "")
        text, ends = f"{key} = {opening}", []
        for number, item in enumerate(value if _is_list(value) else [value]):
            quote = '"' if isinstance(item, str) else ""
            text += (", " if number else "") + quote
            ends.append((len(text), len(text) + len(_show(item))))
            text += _show(item) + quote
        whole = Span.of(text + closing)
        spans = tuple(whole.cut(*both) for both in ends)
        return cls(whole.cut(0, len(key)), value, whole.cut(len(key) + 3), spans)

    def error(self, reason: str, remedy: str = "") -> AddressError:
        return self.body.error(reason, remedy)

    def read(self, option: Option) -> Value:
        if not _is_list(self.value):
            value = _read_one(option, self.value, self.spans[0])
            return (str(value),) if option.repeats else value
        if not takes_several(option):
            reason = f"{self.name} has one value, not a list: expected {option.type.expected}"
            raise self.error(reason, f"write {_example(option)}")
        if not self.value:
            raise self.error(f"the list of {self.name} is empty", "leave it out")
        values: list[str] = []
        for item, span in zip(self.value, self.spans, strict=True):
            value = _read_one(option, item, span)
            values += map(str, value) if isinstance(value, tuple) else [str(value)]
        return tuple(values)


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def _show(value: object) -> str:
    match value:
        case str():
            return value
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > 64:  # Python refuses to print thousands of digits
            return f"a number of {value.bit_length()} bits"
        case int() | float():
            return str(value)
        case Mapping():
            return "{…}"
        case list() | tuple():
            return "[…]"
    return type(value).__name__


def _read_one(option: Option, value: object, span: Span) -> Value:
    if isinstance(value, str):
        if not span:
            raise span.error(f"the value of {option.key} is empty", f"write {_example(option)}")
        return option.type.read(span)
    if value is True and option.type.bare is not None:
        return option.type.bare
    if isinstance(option.type, Permissions) and type(value) is int:
        reason = f"{value} may or may not have been octal: expected text"
        raise span.error(reason, f"write {_example(option)}")
    if (
        isinstance(option.type, Accounts)
        and type(value) is int
        and option.type.accepts((str(value),))
    ):
        return (str(value),)
    if isinstance(value, bool | int | float) and option.type.accepts(value):
        return value
    reason = f"{span} is not a value of {option.key}: expected {option.type.expected}"
    raise span.error(reason, f"write {_as_text(option, value) or _example(option)}")


def _as_text(option: Option, value: object) -> str:
    """Return the entry with the missing quotes, if that is the fault."""
    try:
        option.type.read(Span.of(_show(value)))
    except AddressError:
        return ""
    return f'{option.key} = "{value}"' if isinstance(value, int | float) else ""


def _example(option: Option) -> str:
    """Return the example of an option in TOML."""
    key, _, text = option.example.partition("=")
    if not text:
        return f"{key} = true"
    return f"{key} = {text}" if isinstance(option.type, Integer | Ratio) else f'{key} = "{text}"'


def _choose(entry: _Entry, base: Parts | None) -> Option | None:
    """Return the row for the entry; None if the address that determines it is unknown."""
    key = known_key(entry.name)
    if base is not None:
        return row_for(base.wrappers, base.address)(key, entry.name, None)
    rows = OPTIONS_BY_KEY[key]
    return rows[0] if len(rows) == 1 else None


def _refuse_twice(
    entry: _Entry,
    option: Option,
    base: Parts | None,
    given: Mapping[str, tuple[_Entry, Value]],
) -> None:
    key = option.stands_for or option.key
    if key in given:
        other = given[key][0].name
        raise entry.name.error(f"{entry.name} says again what {other} says", "leave one out")
    if base is not None and key in base.option_positions:
        reason = f"{key} is given twice: here, and in the address"
        raise entry.name.error(reason, "leave one of them out")


def _whole(
    text: str, base: Parts, given: Mapping[str, tuple[_Entry, Value]]
) -> tuple[Parts, list[AddressError]]:
    """Combine the parts of address and table, and add the conflicts between them."""
    values = dict(base.options.given) | {key: value for key, (_, value) in given.items()}
    address = base.address
    if values.pop(PAD.key, None) == "full":
        assert isinstance(address, AbstractAddress)  # or the option was refused
        address = replace(address, padded=True)
    whole = replace(base, address=address, options=ListenOptions.of(values))

    def fault(conflict: Conflict) -> AddressError:
        if isinstance(conflict.part, str) and conflict.part in given:
            return given[conflict.part][0].name.error(conflict.reason, conflict.remedy)
        return AddressError(text, whole.position(conflict.part), conflict.reason, conflict.remedy)

    return whole, [fault(one) for one in conflicts(whole.wrappers, address, whole.options)]
