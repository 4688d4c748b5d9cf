"""Where a value came from, and the list that its faults go to.

A `Source` is a file, an environment variable or an option of the command line; a `Spot` is one
value in the merged document. Whatever is wrong at a spot becomes a `Fault` with the line, the
column and the text of the source that gave the value.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pierhead.config.locate import Path, Place, locate
from pierhead.errors import Fault

__all__ = ["Given", "Source", "Spot", "nearest", "shown_path"]


@dataclass(frozen=True, slots=True)
class Source:
    """A text that gives values, and where each of them stands in it.

    Attributes:
        name: of the file, as the user wrote it.
        text: with ``\\n`` as its only line ending.
        places: of every path in the text.
    """

    name: str
    text: str
    places: Mapping[Path, Place]

    @classmethod
    def of(cls, name: str, text: str) -> Source:
        """Return the source for a text that `tomllib` has accepted."""
        return cls(name, text, locate(text))

    def position(self, offset: int) -> tuple[int, int, str]:
        """Return line and column of an offset, both from 1, and the text of the line."""
        before = self.text.rfind("\n", 0, offset) + 1
        end = self.text.find("\n", before)
        line = self.text[before:] if end < 0 else self.text[before:end]
        return self.text.count("\n", 0, offset) + 1, offset - before + 1, line


@dataclass(frozen=True, slots=True)
class Given:
    """A value given outside the file, which goes before the file's.

    Attributes:
        origin: the variable, or the option (``--set``).
        text: the whole text: ``PIERHEAD_LIMITS_IDLE_TIMEOUT=5s``.
        start: where the value begins in it.
    """

    origin: str
    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Spot:
    """One value of a document.

    Attributes:
        source: the file.
        given: the values that come from elsewhere, by path.
        faults: receives what is wrong.
        path: of this value.
    """

    source: Source
    given: Mapping[Path, Given] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    path: Path = ()

    def below(self, key: str | int) -> Spot:
        """Return the spot of a key of this table, or of an element of this array."""
        return Spot(self.source, self.given, self.faults, (*self.path, key))

    @property
    def origin(self) -> str:
        """Where the value is from: ``pierhead.toml:3``, a variable, or an option."""
        if (given := self._given()) is not None:
            return given.origin
        place = self.source.places.get(self.path)
        if place is None:
            return self.source.name
        return f"{self.source.name}:{self.source.position(place.key)[0]}"

    def fault(
        self,
        code: str,
        message: str,
        remedy: str = "",
        *,
        at_key: bool = False,
        offset: int = 0,
    ) -> None:
        """Record that something is wrong here.

        Args:
            code: what kind of fault it is, without the leading ``config/``.
            message: what was found and what was expected.
            remedy: how to mend it.
            at_key: point at the key instead of the value.
            offset: points this many characters into a string.
        """
        line, column, text, name = self._where(at_key, offset)
        self.faults.append(Fault(name, line, column, message, text, remedy, f"config/{code}"))

    def _where(self, at_key: bool, offset: int) -> tuple[int, int, str, str]:
        if (given := self._given()) is not None:
            start = 0 if at_key else given.start + offset
            return 1, start + 1, given.text, given.origin
        path = self.path
        while path and path not in self.source.places:
            path, at_key = path[:-1], True
        place = self.source.places.get(path)
        if place is None:
            return 0, 0, "", self.source.name
        start = place.key if at_key else place.start + self._inside(place, offset)
        return (*self.source.position(start), self.source.name)

    def _inside(self, place: Place, offset: int) -> int:
        """Return how far into the value an offset of its text is, if that can be told."""
        written = self.source.text[place.start : place.end]
        is_simple = written[:1] in ("'", '"') and written[:3] not in ("'''", '"""')
        if not is_simple or (written[0] == '"' and "\\" in written):
            return 0
        return 1 + min(offset, len(written) - 2)

    def _given(self) -> Given | None:
        for length in range(len(self.path), 0, -1):
            if (given := self.given.get(self.path[:length])) is not None:
                return given
        return None


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that is most like another, or "" if none is."""
    words = {one.replace("-", "_"): one for one in known}
    given = word.lower().replace("-", "_")[:80]
    parts = set(given.split("_"))
    having = [one for one in words if parts <= set(one.split("_"))]
    matches = having if len(having) == 1 else difflib.get_close_matches(given, words, 1)
    return words[matches[0]] if matches else ""


def shown_path(path: Path) -> str:
    """Return a path as it is written in messages: ``serve[0].listen[1]``."""
    parts = [f"[{key}]" if isinstance(key, int) else f".{key}" for key in path]
    return "".join(parts).removeprefix(".")
