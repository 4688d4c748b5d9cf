"""Where each key and value stands in a TOML text that `tomllib` has accepted.

`tomllib` says what a document holds and not where. This scanner does only the rest: it follows
tables, dotted keys, arrays and inline tables, and notes for each path the offsets of its key and of
its value. A text that `tomllib` refuses must not be given to it.

    [[serve]]                 ("serve", 0)            the key is `serve`
    listen = ["tcp::53"]      ("serve", 0, "listen")  and ("serve", 0, "listen", 0)
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Path", "Place", "locate", "statements"]

#: Keys of tables and indexes of arrays, from the root.
Path: TypeAlias = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*")
_BLANK_AND_COMMENTS = re.compile(r"(?:[ \t\n]+|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BASIC_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL_STRING = re.compile(r"'[^'\n]*'")
#: The last three quotation marks end it; up to two before them belong to the text.
_LONG_BASIC_STRING = re.compile(r'"""(?:[^\\]|\\.)*?""""{0,2}', re.DOTALL)
_LONG_LITERAL_STRING = re.compile(r"'''.*?''''{0,2}", re.DOTALL)
#: A number, a truth value, a date; a date and its time may have one blank between them.
_PLAIN = re.compile(r"[^,\]}#\n]*")


@dataclass(frozen=True, slots=True)
class Place:
    """Offsets in the text: of a key, and of the start and the end of its value.

    The value of a table with a header is the header; that of a table made by dotted keys is the
    first of them. An element of an array has no key: its value stands for it.
    """

    key: int
    start: int
    end: int


def statements(text: str) -> list[Place]:
    """Return the place of every header and of every pair outside inline tables, in order.

    A header's key stands behind its brackets, that of a pair before its value.
    """
    scanner = _Scanner(text)
    scanner.scan()
    return scanner.statements


def locate(text: str) -> dict[Path, Place]:
    """Return the place of every key, table and array element.

    Args:
        text: accepted by `tomllib`, with ``\\n`` as its only line ending.
    """
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._places: dict[Path, Place] = {}
        self._lengths: dict[Path, int] = {}  # of arrays of tables
        self.statements: list[Place] = []

    def scan(self) -> dict[Path, Place]:
        table: Path = ()
        self._skip(_BLANK_AND_COMMENTS)
        while self._at < len(self._text):
            start = self._at
            if self._text[start] == "[":
                table = self._header()
                self.statements.append(Place(start + 1, start, self._at))
            else:
                value = self._pair(table)
                self.statements.append(Place(start, value, self._at))
            self._skip(_BLANK_AND_COMMENTS)
        return self._places

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        assert found is not None  # tomllib has accepted the text
        self._at = found.end()
        return found.group()

    def _header(self) -> Path:
        start = self._at
        is_array = self._text.startswith("[[", start)
        self._at += 2 if is_array else 1
        keys = self._dotted_key()
        self._at += 2 if is_array else 1
        path: Path = ()
        for position, (name, key) in enumerate(keys):
            path = (*path, name)
            is_last = position == len(keys) - 1
            place = Place(key, start, self._at)
            if is_last and is_array:
                self._places.setdefault(path, place)
                length = self._lengths.get(path, 0)
                self._lengths[path] = length + 1
                path = (*path, length)
                self._places[path] = place
            elif is_last:
                self._places[path] = place  # the header of a table known from one below it
            else:
                self._places.setdefault(path, place)
                if path in self._lengths:
                    path = (*path, self._lengths[path] - 1)
        return path

    def _pair(self, table: Path) -> int:
        """Note a pair; return where its value starts."""
        keys = self._dotted_key()
        self._at += 1  # the equals sign
        self._skip(_BLANK)
        path = table
        for name, key in keys[:-1]:
            path = (*path, name)
            self._places.setdefault(path, Place(key, key, key + 1))
        name, key = keys[-1]
        start = self._at
        self._value((*path, name), key)
        return start

    def _dotted_key(self) -> list[tuple[str, int]]:
        keys = []
        while True:
            self._skip(_BLANK)
            at = self._at
            keys.append((self._simple_key(), at))
            self._skip(_BLANK)
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _simple_key(self) -> str:
        quote = self._text[self._at]
        if quote == "'":
            return self._skip(_LITERAL_STRING)[1:-1]
        if quote == '"':
            written = self._skip(_BASIC_STRING)
            name = tomllib.loads(f"key = {written}")["key"]
            assert isinstance(name, str)
            return name
        return self._skip(_BARE_KEY)

    def _value(self, path: Path, key: int | None) -> None:
        start = self._at
        first = self._text[start]
        self._places[path] = Place(start if key is None else key, start, start)  # before its parts
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        elif first in "\"'":
            self._skip(self._string_pattern(first))
        else:
            self._at = start + len(self._skip(_PLAIN).rstrip(" \t"))
        self._places[path] = Place(start if key is None else key, start, self._at)

    def _string_pattern(self, quote: str) -> re.Pattern[str]:
        is_long = self._text.startswith(3 * quote, self._at)
        if quote == '"':
            return _LONG_BASIC_STRING if is_long else _BASIC_STRING
        return _LONG_LITERAL_STRING if is_long else _LITERAL_STRING

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip(_BLANK_AND_COMMENTS)
            if self._text[self._at] == "]":
                break
            self._value((*path, index), None)
            index += 1
            self._skip(_BLANK_AND_COMMENTS)
            if self._text[self._at] == ",":
                self._at += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while True:
            self._skip(_BLANK_AND_COMMENTS)
            if self._text[self._at] == "}":
                break
            self._pair(path)
            self._skip(_BLANK_AND_COMMENTS)
            if self._text[self._at] == ",":
                self._at += 1
        self._at += 1
