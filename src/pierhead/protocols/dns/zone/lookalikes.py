"""Characters that look like blanks and quotes and are none, as word processors write them.

They become part of a name or a string, where nobody sees them. In quotes and comments they are
what they look like, text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Lookalike", "describe", "find_lookalikes", "plain"]

_BLANK, _QUOTE, _NOTHING = "type a plain blank", "type a plain quotation mark", "take it out"
#: What each is called, what stands for it in plain text, and what to do.
_KINDS = {
    "\N{NO-BREAK SPACE}": ("a no-break space", b" ", _BLANK),
    "\N{NARROW NO-BREAK SPACE}": ("a narrow no-break space", b" ", _BLANK),
    "\N{ZERO WIDTH SPACE}": ("a zero width space", b"", _NOTHING),
    "\N{ZERO WIDTH NO-BREAK SPACE}": ("a byte order mark", b"", _NOTHING),
    "\N{LEFT DOUBLE QUOTATION MARK}": ("a curly quotation mark", b'"', _QUOTE),
    "\N{RIGHT DOUBLE QUOTATION MARK}": ("a curly quotation mark", b'"', _QUOTE),
    "\N{DOUBLE LOW-9 QUOTATION MARK}": ("a curly quotation mark", b'"', _QUOTE),
    "\N{LEFT SINGLE QUOTATION MARK}": ("a curly quotation mark", b"'", _QUOTE),
    "\N{RIGHT SINGLE QUOTATION MARK}": ("a curly quotation mark", b"'", _QUOTE),
    "\N{SINGLE LOW-9 QUOTATION MARK}": ("a curly quotation mark", b"'", _QUOTE),
}
_UTF_8 = re.compile(b"|".join(char.encode() for char in _KINDS))
#: The same in Windows-1252, where the text is no UTF-8.
_WINDOWS = re.compile(rb"[\x82\x84\x91-\x94\xa0]")
_ANY = re.compile(_UTF_8.pattern + b"|" + _WINDOWS.pattern)


#: A string in quotes, a comment, or a field without either.
_FIELD = re.compile(
    rb"""
    "(?: [^"\\\n]++ | \\[^\n] )*+ "? | ;[^\n]*+ | (?: [^\s;"\\]++ | \\[^\n] )++ | \\
    """,
    re.VERBOSE,
)


class Lookalike(NamedTuple):
    """One of them: where it stands, what it is, and what to do about it."""

    offset: int
    what: str
    remedy: str


def find_lookalikes(text: bytes) -> Iterator[Lookalike]:
    """Give each that is not in quotes or a comment."""
    if text.isascii():
        return
    position = 0
    while (match := _ANY.search(text, position)) is not None:
        start = text.rfind(b"\n", 0, match.start()) + 1
        end = text.find(b"\n", start)
        position = end if end >= 0 else len(text)
        # A string ends on its line, so that a line is enough to tell what is in quotes.
        for field in _FIELD.finditer(text, start, position):
            found = describe(field[0])
            if found is not None:
                yield Lookalike(field.start() + found.offset, found.what, found.remedy)


def describe(token: bytes) -> Lookalike | None:
    """Return the first one in a field; None in quotes."""
    if token.isascii() or token[:1] in b'";':
        return None
    match = _pattern(token).search(token)
    if match is None:
        return None
    char = _char(match[0])
    what, _, remedy = _KINDS[char]
    return Lookalike(match.start(), f"{what} (U+{ord(char):04X})", remedy)


def plain(text: bytes) -> bytes:
    """Return the text with plain characters for all of them."""
    return _pattern(text).sub(lambda match: _KINDS[_char(match[0])][1], text)


def _pattern(text: bytes) -> re.Pattern[bytes]:
    return _UTF_8 if _UTF_8.search(text) or _is_utf_8(text) else _WINDOWS


def _char(found: bytes) -> str:
    return found.decode("cp1252" if len(found) == 1 else "utf-8")


def _is_utf_8(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True
