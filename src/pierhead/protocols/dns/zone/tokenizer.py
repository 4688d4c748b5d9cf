"""Master-file text to entries: lists of fields, without comments and parentheses (RFC 1035 §5.1).

Pure and context-free: the reader of a field decides what it means. Fields are slices of the
original text: quotes and escapes stay, so that ``"@"`` and ``@`` still differ.
"""

from __future__ import annotations

import re

from pierhead.errors import PierheadError

__all__ = ["Entries", "Entry", "EntryError", "read_entry"]

# Alternatives differ in their first character and repeats are possessive, so that the time is
# linear in the text whatever it contains.
_TOKEN = re.compile(
    rb"""
    [ \t]++ | ;[^\n]*+                             # what separates; a comment
  | (?P<newline> \r++\n?+ | \n )                  # as BIND and NSD have it: LF, CR, or both
  | (?P<open> \( )
  | (?P<close> \) )
  | (?P<quoted> " (?: [^"\\\n]++ | \\[^\n] )*+ " )
  | (?P<bare> (?: [^ \t\r\n\0;()"\\]++ | \\[^\r\n\0] )++ )
    """,
    re.VERBOSE,
)
#: Where reading resumes after a parenthesis that is never closed: at the next line that starts like
#: a record or a directive.
_NEXT_RECORD = re.compile(rb"[\r\n](?=[^ \t\r\n;)])")
_LINE_END = re.compile(rb"\r++\n?+|\n")
#: RFC 1035 does not nest parentheses; BIND reads files that do. More than this is a file full of
#: unclosed ones, each of which would otherwise be kept to the end of the text.
_MAX_NESTED = 100


class EntryError(PierheadError):
    """The text of an entry cannot be split into fields.

    ``offset`` counts octets of the text; reading may resume at ``resume``.
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
        tokens: the fields as written; empty for a line without any.
        offsets: where each field starts in the text.
        end: where the next entry starts.
    """

    __slots__ = ("end", "offsets", "tokens")

    def __init__(self, tokens: list[bytes], offsets: list[int], end: int) -> None:
        self.tokens = tokens
        self.offsets = offsets
        self.end = end


class Entries:
    """The entries of one text, read in order.

    An unclosed parenthesis is detected only at the end of the text. The first entry that gets there
    has passed all unclosed ones after it; remembering them spares every later entry the search: the
    text is read at most twice.

    Attributes:
        text: the whole text.
    """

    __slots__ = ("_unclosed", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._unclosed: frozenset[int] = frozenset()

    def read(self, position: int) -> Entry:
        """Return the entry that starts here; it ends with the line, or beyond it in parentheses.

        Raises:
            EntryError: an unbalanced parenthesis or quote, a backslash before the end of a line,
                or a NUL octet outside quotes and comments.
        """
        text = self.text
        tokens: list[bytes] = []
        offsets: list[int] = []
        opened: list[int] = []
        size = len(text)
        match = _TOKEN.match
        while position < size:
            found = match(text, position)
            if found is None:
                raise _broken(text, position)
            kind = found.lastgroup
            if kind == "newline":
                if not opened:
                    return Entry(tokens, offsets, found.end())
            elif kind == "open":
                opened.append(position)
                if position in self._unclosed or len(opened) > _MAX_NESTED:
                    raise self._unclosed_error(opened)
            elif kind == "close":
                if not opened:
                    raise EntryError("')' without '('", "", position, _next_line(text, position))
                opened.pop()
            elif kind is not None:
                tokens.append(found[0])
                offsets.append(position)
            position = found.end()
        if opened:
            raise self._unclosed_error(opened)
        return Entry(tokens, offsets, size)

    def _unclosed_error(self, opened: list[int]) -> EntryError:
        """Blame the outermost parenthesis, and remember all open ones."""
        if opened[-1] not in self._unclosed:
            self._unclosed = frozenset(opened)
        message = "'(' without ')'"
        if len(opened) > _MAX_NESTED:
            message = f"{message}: more than {_MAX_NESTED} are open after it"
        found = _NEXT_RECORD.search(self.text, opened[0])
        resume = found.end() if found else len(self.text)
        remedy = "close it after the record's last field"
        return EntryError(message, remedy, opened[0], resume)


def read_entry(text: bytes, position: int = 0) -> Entry:
    """Return the entry that starts here, independently of those after it.

    Raises:
        EntryError: as `Entries.read`.
    """
    return Entries(text).read(position)


def _broken(text: bytes, position: int) -> EntryError:
    resume = _next_line(text, position)
    if text[position : position + 1] == b'"':
        return EntryError(
            "quotation mark without its partner on this line",
            'close the string on the line it starts on; write a " inside as \\"',
            position,
            resume,
        )
    if b"\0" in text[position : position + 2]:
        return EntryError(
            "a NUL octet, as where a file was not written to its end",
            "write \\000 in a name or a string that should contain it",
            position,
            resume,
        )
    message = "backslash at the end of the line, expected \\DDD or \\X"
    return EntryError(message, "", position, resume)


def _next_line(text: bytes, position: int) -> int:
    found = _LINE_END.search(text, position)
    return found.end() if found else len(text)
