"""Collects the faults in the files of one zone, and converts octet offsets into lines.

Positions stay plain integers until there is a fault, so that good records cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pierhead.errors import Fault, PierheadError

__all__ = ["Faults", "Place", "TooManyFaults"]

#: Where a record starts: the number of its file, shifted, and the offset in that file.
Place = int

#: A file in the wrong format has a fault on every line; beyond this many they are only counted.
_MAX_REPORTED = 100
#: Counting costs as much as reporting, 50 µs each: beyond this many, reading stops.
_MAX_COUNTED = 10_000
#: The longest line shown in a fault.
_MAX_SHOWN = 400
#: Two of the longest names fit, with every octet escaped; a field may be as long as the file.
_MAX_MESSAGE = 2000
_FILE_SHIFT = 40


class TooManyFaults(PierheadError):
    """There are so many errors that more would be useless: reading stops."""


class _Found(NamedTuple):
    """What is wrong, and where; line numbers are computed at the end."""

    place: Place
    message: str
    remedy: str
    code: str


class Faults:
    """The errors and warnings of one zone."""

    def __init__(self) -> None:
        self._files: list[tuple[str, bytes]] = []
        self._errors: list[_Found] = []
        self._warnings: list[_Found] = []
        self._whole: list[Fault] = []
        self._unreported = 0

    def open_file(self, file_name: str, text: bytes) -> Place:
        """Add a file and return the place of its first octet; add offsets to it."""
        self._files.append((file_name, text))
        return (len(self._files) - 1) << _FILE_SHIFT

    def error(self, place: Place, message: str, remedy: str = "", code: str = "syntax") -> None:
        """Add a reason to refuse the zone.

        Raises:
            TooManyFaults: there are already so many that reading should stop.
        """
        if len(self._errors) < _MAX_REPORTED:
            self._errors.append(_Found(place, _clipped(message), _clipped(remedy), code))
            return
        self._unreported += 1
        if self.count >= _MAX_COUNTED:
            raise TooManyFaults(f"{self.count} faults")

    def warning(self, place: Place, message: str, remedy: str = "", code: str = "dubious") -> None:
        """Add something dubious; beyond the limit it is dropped, since it decides nothing."""
        if len(self._warnings) < _MAX_REPORTED:
            self._warnings.append(_Found(place, message, remedy, code))

    def locate(self, place: Place, message: str, remedy: str, code: str) -> Fault:
        """Return a fault at a place, without adding it."""
        return next(self._located([_Found(place, message, remedy, code)]))

    def whole(self, message: str, remedy: str = "", code: str = "zone") -> None:
        """Add a reason to refuse the zone that belongs to no particular line."""
        file_name = self._files[0][0]
        self._whole.append(Fault(file_name, 0, 0, message, remedy=remedy, code=code))

    @property
    def count(self) -> int:
        """How many errors there are, whether reported or not."""
        return len(self._whole) + len(self._errors) + self._unreported

    def errors(self) -> list[Fault]:
        """Return the errors in file order, and how many more there are."""
        found = [*self._whole, *self._located(self._errors)]
        if self._unreported:
            message = f"and {self._unreported} more faults"
            if self.count >= _MAX_COUNTED:
                message = (
                    f"and at least {self._unreported} more faults: "
                    f"reading stopped at {_MAX_COUNTED}"
                )
            found.append(Fault(self._files[0][0], 0, 0, message, code="more"))
        return found

    def warnings(self) -> tuple[Fault, ...]:
        """Return the warnings in file order."""
        return tuple(self._located(self._warnings))

    def _located(self, found: list[_Found]) -> Iterator[Fault]:
        """Convert places into lines and columns; each file's lines are counted once."""
        file, counted, number = -1, 0, 1
        for place, message, remedy, code in sorted(found, key=lambda item: item.place):
            if place >> _FILE_SHIFT != file:
                file, counted, number = place >> _FILE_SHIFT, 0, 1
            file_name, text = self._files[file]
            offset = place & ((1 << _FILE_SHIFT) - 1)
            start = text.rfind(b"\n", 0, offset) + 1
            number += text.count(b"\n", counted, start)
            counted = start
            source, column = _line(text, start, offset)
            yield Fault(file_name, number, column, message, source, remedy, code)


def _clipped(text: str) -> str:
    return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + "…"


def _line(text: bytes, start: int, offset: int) -> tuple[str, int]:
    """Return the line that starts here, as displayed, and the column of an offset in it."""
    end = text.find(b"\n", start)
    line = text[start:] if end < 0 else text[start:end]
    column = len(text[start:offset].decode("utf-8", "replace")) + 1
    shown = line.decode("utf-8", "replace").rstrip() if column <= _MAX_SHOWN else ""
    return shown[:_MAX_SHOWN], column
