"""Tables of keys: one declaration reads, checks, writes and documents a section.

A section is a frozen dataclass whose fields are made by `key`; to give it another key is to give
the class another field. `Table` reads such a class, `Variants` an array of tables of which one key
says the class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pierhead.config.kinds import INVALID, Kind
from pierhead.config.spot import Spot, nearest

__all__ = ["NEXT_CONNECTION", "NEXT_REQUEST", "RESTART", "Key", "Table", "Variants", "key"]

_METADATA = "pierhead.config"

#: When a change takes effect, for `Key.effect`.
NEXT_REQUEST: Final = "at a reload, from the next request on"
NEXT_CONNECTION: Final = "at a reload, for new connections"
RESTART: Final = "at a restart"


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table.

    Attributes:
        name: as it is written.
        kind: of its value.
        meaning: one sentence, or more.
        example: a value as `tomllib` returns it.
        effect: when a change takes effect.
        default: None if there is none; see ``is_required``.
        default_text: the default in words, where the value does not say it.
        is_required: whether it must be given.
    """

    name: str
    kind: Kind
    meaning: str
    example: object
    effect: str
    default: Any = None
    default_text: str = ""
    is_required: bool = False


def key(
    kind: Kind,
    meaning: str,
    *,
    example: object,
    effect: str = NEXT_REQUEST,
    default: Any = None,
    default_text: str = "",
    is_required: bool = False,
) -> Any:
    """Return the field of a dataclass that is a key of its table."""
    declared = Key("", kind, meaning, example, effect, default, default_text, is_required)
    metadata = {_METADATA: declared}
    if is_required:
        return dataclasses.field(metadata=metadata)
    # A read-only mapping cannot be hashed, for which dataclasses take it to be mutable.
    return dataclasses.field(default_factory=lambda: default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Table:
    """A table with these keys and no others.

    Args:
        name: of what it configures, for messages.
        keys: by name, in the order in which they are written.
        make: called with the values by name; leaves out what is not given.
    """

    name: str
    keys: Mapping[str, Key]
    make: Callable[..., Any]

    @classmethod
    def of(cls, name: str, made: type[Any]) -> Table:
        """Return the table for a dataclass."""
        keys = {
            one.name: dataclasses.replace(one.metadata[_METADATA], name=one.name)
            for one in dataclasses.fields(made)
            if _METADATA in one.metadata
        }
        return cls(name, keys, made)

    @property
    def expected(self) -> str:
        """The keys."""
        return f"a table with the keys {', '.join(self.keys)}"

    def read(self, value: object, spot: Spot) -> Any:
        """Return what is made of the values; every faulty one is recorded."""
        if not isinstance(value, dict):
            spot.fault("wrong-type", f"{spot.path[-1]} is no table: expected {self.expected}")
            return INVALID
        is_whole = True
        for name in value.keys() - self.keys.keys():
            _unknown(name, self.name, self.keys, spot)
            is_whole = False
        read = {}
        for name, one in self.keys.items():
            if name in value:
                read[name] = one.kind.read(value[name], spot.below(name))
                is_whole = is_whole and read[name] is not INVALID
            elif one.is_required:
                spot.fault("missing-key", _missing(self.name, one), at_key=True)
                is_whole = False
        return self.make(**read) if is_whole else INVALID

    def show(self, value: Any) -> object:
        """Return the keys whose values are not the default."""
        table = {}
        for name, one in self.keys.items():
            here = value.get(name) if isinstance(value, Mapping) else getattr(value, name)
            if here is not None and (one.is_required or here != one.default):
                table[name] = one.kind.show(here)
        return table

    def schema(self) -> dict[str, object]:
        """Return the table in JSON Schema."""
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                name: {"description": one.meaning, **one.kind.schema()}
                for name, one in self.keys.items()
            },
            "required": [name for name, one in self.keys.items() if one.is_required],
        }


@dataclass(frozen=True, slots=True)
class Variants:
    """An array of tables; the value of one key says which table each is.

    Args:
        name: of one element, for messages.
        chooser: the key that chooses.
        tables: by the value of that key.
    """

    name: str
    chooser: str
    tables: Mapping[str, Table]

    @property
    def expected(self) -> str:
        """How the tables are written."""
        return f"one or more tables, each under [[{self.name}]]"

    def read(self, value: object, spot: Spot) -> Any:
        """Return what is made of each table; every faulty one is recorded."""
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            remedy = f"write [[{self.name}]] with two brackets" if isinstance(value, dict) else ""
            message = f"{self.name} is no array of tables: expected {self.expected}"
            spot.fault("wrong-type", message, remedy)
            return INVALID
        if not value:
            spot.fault("bad-value", f"{self.name} is empty: expected {self.expected}")
            return INVALID
        read = [self._read_one(one, spot.below(index)) for index, one in enumerate(value)]
        return INVALID if any(one is INVALID for one in read) else tuple(read)

    def _read_one(self, value: dict[str, object], spot: Spot) -> Any:
        word = value.get(self.chooser)
        quoted = ", ".join(f'"{one}"' for one in self.tables)
        if word is None:
            message = f"{self.name} has no {self.chooser}: expected one of {quoted}"
            spot.fault("missing-key", message, at_key=True)
        elif not isinstance(word, str) or word not in self.tables:
            near = nearest(word, self.tables) if isinstance(word, str) else ""
            spot.below(self.chooser).fault(
                "bad-value",
                f"the {self.chooser} {ascii(word)[:60]} is unknown: expected one of {quoted}",
                f'did you mean "{near}"?' if near else "",
            )
        else:
            rest = {name: one for name, one in value.items() if name != self.chooser}
            return self.tables[word].read(rest, spot)
        self._read_rest(value, spot)
        return INVALID

    def _read_rest(self, value: dict[str, object], spot: Spot) -> None:
        """Check what can be checked of a table whose variant is unknown."""
        every: dict[str, list[Key]] = {}
        for table in self.tables.values():
            for name, one in table.keys.items():
                every.setdefault(name, []).append(one)
        for name, ones in every.items():
            if name not in value and len(ones) == len(self.tables) and ones[0].is_required:
                spot.fault("missing-key", _missing(self.name, ones[0]), at_key=True)
        for name, given in value.items():
            if name == self.chooser:
                continue
            if name not in every:
                _unknown(name, self.name, every, spot)
            elif all(one.kind == every[name][0].kind for one in every[name]):
                every[name][0].kind.read(given, spot.below(name))

    def show(self, value: Any) -> object:
        """Return the tables, each with the key that chooses it."""
        shown = []
        for one in value:
            word = next(w for w, table in self.tables.items() if table.make is type(one))
            table = self.tables[word].show(one)
            assert isinstance(table, dict)
            shown.append({self.chooser: word, **table})
        return shown

    def schema(self) -> dict[str, object]:
        """Return the array in JSON Schema."""
        variants = []
        for word, table in self.tables.items():
            one: Any = table.schema()
            one["properties"] = {self.chooser: {"const": word}, **one["properties"]}
            one["required"] = [self.chooser, *one["required"]]
            variants.append(one)
        return {"type": "array", "minItems": 1, "items": {"oneOf": variants}}


def _missing(of: str, missing: Key) -> str:
    return f"{of} has no {missing.name}: expected {missing.kind.expected}"


def _unknown(name: str, of: str, known: Mapping[str, object], spot: Spot) -> None:
    near = nearest(name, known)
    remedy = f"did you mean {near}?" if near else f"known are {', '.join(known)}"
    if len(remedy) > 300:
        remedy = f"{remedy[:300].rpartition(',')[0]}, …"
    message = f"{of} has no key {ascii(name)[1:-1]}"
    spot.below(name).fault("unknown-key", message, remedy, at_key=True)
