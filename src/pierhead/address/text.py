"""A part of the input that knows its position, and percent-encoding.

Everything that parses an address reads a `Span`, so that an error can point at the faulty character
in the whole input.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pierhead.errors import AddressError

__all__ = ["LONGEST_TEXT", "Span", "escape", "nearest"]

#: Longer input is refused before it is parsed. A path has at most 107 octets and a host name
#: 253 characters; the rest leaves room for the paths of several certificates.
LONGEST_TEXT = 4096

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Span:
    """The characters ``start`` to ``end`` of an input text."""

    whole: str
    start: int
    end: int

    @classmethod
    def of(cls, text: str) -> Span:
        """Return the whole input, after checking for characters that cannot be intended.

        Raises:
            AddressError: the text is too long, has blanks around it, or an unprintable character.
        """
        span = cls(text, 0, len(text))
        if len(text) > LONGEST_TEXT:
            reason = f"the address has {len(text)} characters, at most {LONGEST_TEXT} are allowed"
            raise span.error(reason, "shorten its names and paths", at=LONGEST_TEXT)
        if not text.isprintable():
            span._refuse_unprintable()
        if text != text.strip():
            before = len(text) - len(text.lstrip())
            at = 0 if before else len(text.rstrip())
            raise span.error("blanks around the address", f"write {text.strip()!r}", at=at)
        return span

    def _refuse_unprintable(self) -> None:
        for at, character in enumerate(self.whole):
            # Python represents octets of the command line that are not UTF-8 as U+DC80 to U+DCFF:
            # they are allowed, in paths.
            if not (character.isprintable() or "\udc80" <= character <= "\udcff"):
                escaped = escape(character.encode("utf-8", "surrogatepass"))
                # No path contains NUL.
                written = f"; where a path has it, write {escaped}" if character != "\0" else ""
                reason = f"unprintable character U+{ord(character):04X}"
                raise self.error(reason, f"take it out{written}", at=at)

    def __str__(self) -> str:
        return self.whole[self.start : self.end]

    def __len__(self) -> int:
        return self.end - self.start

    def __bool__(self) -> bool:
        return self.end > self.start

    def cut(self, start: int, end: int | None = None) -> Span:
        """Return the part from ``start`` to ``end``, counted from the start of this span."""
        return Span(self.whole, self.start + start, self.end if end is None else self.start + end)

    def partition(self, separator: str) -> tuple[Span, Span | None]:
        """Return the parts before and after the first separator; None if there is none."""
        at = self.whole.find(separator, self.start, self.end)
        if at < 0:
            return self, None
        after = Span(self.whole, at + len(separator), self.end)
        return Span(self.whole, self.start, at), after

    def split(self, separator: str) -> list[Span]:
        """Return the spans between separators; one empty span for an empty one."""
        spans, rest = [], self
        while True:
            first, after = rest.partition(separator)
            spans.append(first)
            if after is None:
                return spans
            rest = after

    def decode(self) -> bytes:
        """Return the decoded octets: UTF-8, with ``%41`` for an octet.

        Raises:
            AddressError: a percent sign without two hexadecimal digits.
        """
        text = str(self)
        broken = _BROKEN_ESCAPE.search(text)
        if broken:
            raise self.error(
                "% is not followed by two hexadecimal digits",
                "write %25 for a percent sign",
                at=broken.start(),
            )
        octets = text.encode("utf-8", "surrogateescape")
        return _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), octets)

    def decode_text(self) -> str:
        """Return the decoded printable text, percent-escapes resolved.

        Raises:
            AddressError: a broken escape, octets that are not UTF-8, or an unprintable character.
        """
        try:
            text = self.decode().decode()
        except UnicodeDecodeError:
            raise self.error(f"{self._quoted()} is not UTF-8", "write the name in UTF-8") from None
        if not text.isprintable():
            raise self.error(f"{self._quoted()} hides an unprintable character", "take it out")
        return text

    def _quoted(self) -> str:
        return repr(str(self).encode("utf-8", "surrogateescape").decode("utf-8", "replace"))

    def error(self, reason: str, remedy: str = "", at: int = 0) -> AddressError:
        """Return an error that points ``at`` characters into this span."""
        return AddressError(self.whole, self.start + at, reason, remedy)


def escape(octets: bytes, special: str = "") -> str:
    """Return the octets as printable text: blanks, unprintable and special ones as ``%41``."""
    return "".join(
        character
        if character.isprintable() and character not in special and character not in "% "
        else "".join(f"%{octet:02X}" for octet in character.encode("utf-8", "surrogateescape"))
        for character in octets.decode("utf-8", "surrogateescape")
    )


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the only known word that has all parts of this one, or else the most similar.

    Empty if there is none.
    """
    given, words = word.lower().replace("_", "-")[:40], list(known)
    parts = set(given.split("-"))
    having = [one for one in words if parts <= set(re.split("[-.]", one))]
    if len(having) == 1:
        return having[0]
    matches = difflib.get_close_matches(given, words, n=1, cutoff=0.6)
    return matches[0] if matches else ""
