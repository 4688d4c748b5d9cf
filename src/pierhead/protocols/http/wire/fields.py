"""The fields of a message: a multimap in order, names without case (RFC 9110 §5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from pierhead.errors import UsageError

__all__ = ["Fields", "FieldsGiven", "is_token"]

#: RFC 9110 §5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")

#: RFC 9110 §5.5: visible characters and obs-text, with space and tab inside.
_VALUE = re.compile(r"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?\Z")


def is_token(text: str) -> bool:
    """Return whether the text is a token, as the names of methods and fields are."""
    return _TOKEN.match(text) is not None


class Fields:
    """The fields of a message, in order; immutable.

    Names are compared without their case and kept as given. Values are text of ISO 8859-1, without
    space at either end.

    Args:
        fields: names with their values; a name may come more than once.

    Raises:
        UsageError: a name is no token, or a value has a line end or another control character.
    """

    __slots__ = ("_items",)

    def __init__(self, fields: FieldsGiven = ()) -> None:
        pairs: Iterable[tuple[str, str]]
        if isinstance(fields, Fields):
            self._items: tuple[tuple[str, str], ...] = fields._items
            return
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        self._items = tuple((name, value) for name, value in pairs)
        for name, value in self._items:
            if not is_token(name):
                raise UsageError(f"field name is {name!r}, expected a token (RFC 9110 section 5.1)")
            if _VALUE.match(value) is None:
                raise UsageError(
                    f"the value of field {name} is {value!r}, expected text of ISO 8859-1 without "
                    "control characters or outer space (RFC 9110 section 5.5)"
                )

    @classmethod
    def of_parser(cls, pairs: Iterable[tuple[str, str]]) -> Fields:
        """Return fields that a parser has checked already."""
        fields = cls.__new__(cls)
        fields._items = tuple(pairs)
        return fields

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value under this name; the default where there is none."""
        wanted = name.lower()
        for one, value in self._items:
            if one.lower() == wanted:
                return value
        return default

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value under this name, in order."""
        wanted = name.lower()
        return tuple(value for one, value in self._items if one.lower() == wanted)

    def members(self, name: str) -> tuple[str, ...]:
        """Return the members of a comma-separated list without quoted parts (RFC 9110 §5.6.1)."""
        joined = ",".join(self.all(name)).split(",")
        return tuple(stripped for one in joined if (stripped := one.strip(" \t")))

    def with_field(self, name: str, value: str) -> Fields:
        """Return these fields with one more at the end."""
        return Fields((*self._items, (name, value)))

    def replaced(self, name: str, value: str) -> Fields:
        """Return these fields with one value under this name."""
        return self.without(name).with_field(name, value)

    def without(self, name: str) -> Fields:
        """Return these fields without those of this name."""
        wanted = name.lower()
        return Fields.of_parser(item for item in self._items if item[0].lower() != wanted)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __add__(self, others: Fields) -> Fields:
        return Fields.of_parser((*self._items, *others._items))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Fields):
            return NotImplemented
        return self._compared() == other._compared()

    def __hash__(self) -> int:
        return hash(self._compared())

    def _compared(self) -> tuple[tuple[str, str], ...]:
        return tuple((name.lower(), value) for name, value in self._items)

    def __repr__(self) -> str:
        return f"Fields({list(self._items)!r})"


#: What stands for fields: pairs, or a mapping of names to values.
FieldsGiven: TypeAlias = Fields | Mapping[str, str] | Iterable[tuple[str, str]]
