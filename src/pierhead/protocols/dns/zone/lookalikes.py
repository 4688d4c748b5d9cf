"""Characters that look like spaces and quotation marks but are not, as word processors insert.

They become an invisible part of a name or a string. Inside quotes and comments they are ordinary
text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Lookalike", "describe", "find_lookalikes", "plain"]

_BLANK, _QUOTE, _NOTHING = "type a plain space", "type a plain quotation mark", "remove it"
#: The name of each, its plain-text replacement, and the remedy.
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
#: The same in Windows-1252, if the text is not UTF-8.
_WINDOWS = re.compile(rb"[\x82\x84\x91-\x94\xa0]")
_ANY = re.compile(_UTF_8.pattern + b"|" + _WINDOWS.pattern)


#: A quoted string, a comment, or an unquoted field.
_FIELD = re.compile(
    rb"""
    "(?: [^"\\\n]++ | \\[^\n] )*+ "? | ;[^\n]*+ | (?: [^\s;"\\]++ | \\[^\n] )++ | \\
    """,
    re.VERBOSE,
)


class Lookalike(NamedTuple):
    """One occurrence: its offset, what it is, and the remedy."""

    offset: int
    what: str
    remedy: str


def find_lookalikes(text: bytes) -> Iterator[Lookalike]:
    """Yield each one outside quotes and comments."""
    if text.isascii():
        return
    position = 0
    while (match := _ANY.search(text, position)) is not None:
        start = text.rfind(b"\n", 0, match.start()) + 1
        end = text.find(b"\n", start)
        position = end if end >= 0 else len(text)
        # A string ends on its line, so one line is enough to tell what is quoted.
        for field in _FIELD.finditer(text, start, position):
            found = describe(field[0])
            if found is not None:
                yield Lookalike(field.start() + found.offset, found.what, found.remedy)


def describe(token: bytes) -> Lookalike | None:
    """Return the first one in a field; None if it is quoted."""
    if token.isascii() or token[:1] in b'";':
        return None
    match = _pattern(token).search(token)
    if match is None:
        return None
    char = _char(match[0])
    what, _, remedy = _KINDS[char]
    return Lookalike(match.start(), f"{what} (U+{ord(char):04X})", remedy)


def plain(text: bytes) -> bytes:
    """Return the text with plain characters in place of all of them."""
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
