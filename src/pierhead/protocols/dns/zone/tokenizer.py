"""Master-file text to entries: lists of fields, comments and parentheses gone (RFC 1035 §5.1).

Pure and context-free: what a field means is decided by its reader. Fields are slices of the
text as written: quotes and escapes stay, so that ``"@"`` and ``@`` are still different.
"""

from __future__ import annotations

import re

from pierhead.errors import PierheadError

__all__ = ["Entry", "EntryError", "read_entry"]

# Alternatives are told apart by their first character and repeats are possessive, so that the
# time is linear in the text whatever it holds.
_TOKEN = re.compile(
    rb"""
    [ \t\r\f\v]++ | ;[^\n]*+                       # what separates; a comment
  | (?P<newline> \n )
  | (?P<open> \( )
  | (?P<close> \) )
  | (?P<quoted> " (?: [^"\\\n]++ | \\[^\n] )*+ " )
  | (?P<bare> (?: [^ \t\r\f\v\n;()"\\]++ | \\[^\n] )++ )
    """,
    re.VERBOSE,
)
#: Where reading goes on after a parenthesis that is never closed: at the next line that starts
#: like a record or a directive.
_NEXT_RECORD = re.compile(rb"\n(?=[^ \t\r\f\v\n;)])")


class EntryError(PierheadError):
    """The text of an entry cannot be split into fields.

    ``offset`` counts octets of the text; reading may go on at ``resume``.
    """

    def __init__(self, message: str, remedy: str, offset: int, resume: int) -> None:
        self.message = message
        self.remedy = remedy
        self.offset = offset
        self.resume = resume
        super().__init__(message, remedy, offset, resume)


class Entry:
    """One record or directive.

    Attributes:
        tokens: the fields as written; none for a line without any.
        offsets: where each field starts in the text.
        end: where the next entry starts.
    """

    __slots__ = ("end", "offsets", "tokens")

    def __init__(self, tokens: list[bytes], offsets: list[int], end: int) -> None:
        self.tokens = tokens
        self.offsets = offsets
        self.end = end


def read_entry(text: bytes, position: int) -> Entry:
    """Return the entry that starts here; it ends with the line, or beyond it in parentheses.

    Raises:
        EntryError: an unbalanced parenthesis or quote, or a backslash before the end of a line.
    """
    tokens: list[bytes] = []
    offsets: list[int] = []
    opened: list[int] = []  # RFC 1035 does not nest parentheses; BIND reads files that do
    size = len(text)
    match = _TOKEN.match
    while position < size:
        found = match(text, position)
        if found is None:
            raise _broken(text, position)
        kind = found.lastgroup
        if kind == "newline":
            if not opened:
                return Entry(tokens, offsets, position + 1)
        elif kind == "open":
            opened.append(position)
        elif kind == "close":
            if not opened:
                raise EntryError("')' without '('", "", position, _next_line(text, position))
            opened.pop()
        elif kind is not None:
            tokens.append(found[0])
            offsets.append(position)
        position = found.end()
    if opened:
        raise _unclosed(text, opened[0])
    return Entry(tokens, offsets, size)


def _broken(text: bytes, position: int) -> EntryError:
    resume = _next_line(text, position)
    if text[position : position + 1] == b'"':
        return EntryError(
            "quotation mark without its partner on this line",
            'close the string on the line it starts on; write a " inside as \\"',
            position,
            resume,
        )
    message = "backslash at the end of the line, expected \\DDD or \\X"
    return EntryError(message, "", position, resume)


def _unclosed(text: bytes, position: int) -> EntryError:
    found = _NEXT_RECORD.search(text, position)
    resume = found.end() if found else len(text)
    return EntryError("'(' without ')'", "close it after the record's last field", position, resume)


def _next_line(text: bytes, position: int) -> int:
    end = text.find(b"\n", position)
    return len(text) if end < 0 else end + 1
