"""Characters that look like blanks and quotes and are none, as word processors write them.

They become part of a name or a string, where nobody sees them. In quotes and comments they are
what they look like, text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["describe", "find_lookalikes"]

_NAMES = {
    "\N{NO-BREAK SPACE}": "a no-break space",
    "\N{NARROW NO-BREAK SPACE}": "a narrow no-break space",
    "\N{ZERO WIDTH SPACE}": "a zero width space",
    "\N{ZERO WIDTH NO-BREAK SPACE}": "a byte order mark",
    "\N{LEFT DOUBLE QUOTATION MARK}": "a curly quotation mark",
    "\N{RIGHT DOUBLE QUOTATION MARK}": "a curly quotation mark",
    "\N{DOUBLE LOW-9 QUOTATION MARK}": "a curly quotation mark",
    "\N{LEFT SINGLE QUOTATION MARK}": "a curly quotation mark",
    "\N{RIGHT SINGLE QUOTATION MARK}": "a curly quotation mark",
}
_UTF_8 = re.compile(b"|".join(char.encode() for char in _NAMES))
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


def find_lookalikes(text: bytes) -> Iterator[tuple[int, str]]:
    """Give where each stands that is not in quotes or a comment, and what it is."""
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
                yield field.start() + found[0], found[1]


def describe(token: bytes) -> tuple[int, str] | None:
    """Return where the first one in a field stands, and what it is; None in quotes."""
    if token.isascii() or token[:1] in b'";':
        return None
    match = _UTF_8.search(token)
    if match is not None:
        char = match[0].decode()
    else:
        match = _WINDOWS.search(token)
        if match is None or _is_utf_8(token):
            return None
        char = match[0].decode("cp1252")
    name = _NAMES.get(char, "a curly quotation mark")
    return match.start(), f"{name} (U+{ord(char):04X})"


def _is_utf_8(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True
