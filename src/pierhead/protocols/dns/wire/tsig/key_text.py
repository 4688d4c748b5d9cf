"""Keys as text: the statements of BIND's configuration, and the lines of dig and Knot.

    key "north.example." {                       hmac-sha256:north.example.:c2VjcmV0
        algorithm hmac-sha256;
        secret "c2VjcmV0";
    };

No error shows a secret, or the line that one may be in.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, NoReturn

from pierhead.errors import ConfigError, Fault, UsageError
from pierhead.protocols.dns.wire.tsig.key import Key

__all__ = ["bind_text", "parse_key", "parse_keys"]

_DEFAULT = "hmac-sha256"
_TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|\#[^\n]*|/\*.*?\*/)
      |"(?P<quoted>[^"\n]*)"
      |(?P<sign>[{};])
      |(?P<word>[^\s{};"]+)
      |(?P<bad>.)""",
    re.VERBOSE | re.DOTALL,
)
_EXPECTED = 'key "NAME" { algorithm hmac-sha256; secret "BASE64"; };'


def parse_key(text: str) -> Key:
    """Return the key written as ``[algorithm:]name:secret``; HMAC-SHA-256 unless it says so.

    Raises:
        UsageError: it is no key; the text is not shown.
    """
    parts = text.strip().split(":")
    if len(parts) == 2:
        parts.insert(0, _DEFAULT)
    if len(parts) != 3:
        raise UsageError(f"a key of {len(parts)} parts, expected [algorithm:]name:secret")
    algorithm, name, secret = parts
    return Key(name, secret, algorithm=algorithm)


def parse_keys(text: str, file: str = "<text>") -> tuple[Key, ...]:
    """Return the keys in a text: statements as tsig-keygen writes them, or ``algo:name:secret``.

    Args:
        text: statements, or one key a line; comments and empty lines are skipped.
        file: what messages call it.

    Raises:
        ConfigError: one is not a key, or there is none.
    """
    reader = _Reader(text, file)
    keys = tuple(reader.statements() if reader.has_statements() else reader.lines())
    if not keys:
        reader.fail(0, "there is no key in it", f"expected {_EXPECTED}")
    return keys


def bind_text(key: Key) -> str:
    """Return the key as a statement of BIND's configuration, with its secret."""
    secret = base64.b64encode(key.secret).decode("ascii")
    return f'key "{key.text}" {{\n\talgorithm {key.algorithm_text};\n\tsecret "{secret}";\n}};\n'


class _Token(NamedTuple):
    text: str
    kind: str
    offset: int


class _Reader:
    """Goes through the text of one file."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._tokens = self._split()

    def has_statements(self) -> bool:
        """Tell whether the text begins with a statement."""
        first = next(self._split(), None)
        return first is not None and first.text == "key"

    def lines(self) -> Iterator[Key]:
        """Give the key of each line."""
        offset = 0
        for line in self._text.splitlines(keepends=True):
            start = line.strip()
            if start and not start.startswith(("#", ";", "//")):
                yield self._made(offset, partial(parse_key, start))
            offset += len(line)

    def statements(self) -> Iterator[Key]:
        """Give the key of each statement."""
        for token in self._tokens:
            if token.text != "key" or token.kind != "word":
                self.fail(token.offset, "expected a key statement", _EXPECTED)
            yield self._statement(token)

    def _statement(self, start: _Token) -> Key:
        name = self._next("the name of the key")
        self._sign("{")
        found: dict[str, _Token] = {}
        while (word := self._next("algorithm, secret or }")).text != "}":
            if word.text not in ("algorithm", "secret"):
                self.fail(word.offset, "expected algorithm, secret or }", _EXPECTED)
            if word.text in found:
                self.fail(word.offset, f"{word.text} is given twice", "keep one of them")
            found[word.text] = self._next(f"the {word.text}")
            self._sign(";")
        self._sign(";")
        for each in ("algorithm", "secret"):
            if each not in found:
                self.fail(start.offset, f"the key has no {each}", f"expected {_EXPECTED}")
        algorithm, secret = found["algorithm"].text, found["secret"].text
        return self._made(start.offset, partial(Key, name.text, secret, algorithm=algorithm))

    def _made(self, offset: int, make: Callable[[], Key]) -> Key:
        try:
            return make()
        except UsageError as error:
            self.fail(offset, str(error), "")

    def _next(self, expected: str) -> _Token:
        token = next(self._tokens, None)
        if token is None:
            self.fail(len(self._text), f"the file ends, expected {expected}", _EXPECTED)
        if token.kind == "sign" and token.text not in expected:
            self.fail(token.offset, f"{token.text!r}, expected {expected}", _EXPECTED)
        return token

    def _sign(self, sign: str) -> None:
        token = self._next(sign)
        if token.text != sign or token.kind != "sign":
            self.fail(token.offset, f"expected {sign!r}", _EXPECTED)

    def _split(self) -> Iterator[_Token]:
        for found in _TOKEN.finditer(self._text):
            kind = found.lastgroup or "bad"
            if kind == "bad":
                self.fail(found.start(), f"unexpected {found[0]!r}", _EXPECTED)
            if kind != "skip":
                yield _Token(found[kind], kind, found.start())

    def fail(self, offset: int, message: str, remedy: str) -> NoReturn:
        """Report what is wrong at an offset."""
        line = self._text.count("\n", 0, offset) + 1
        column = offset - (self._text.rfind("\n", 0, offset) + 1) + 1
        raise ConfigError([Fault(self._file, line, column, message, remedy=remedy)])
