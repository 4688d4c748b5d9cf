"""Collects what is wrong in the files of one zone, and turns octet offsets into lines.

Positions stay plain integers until something is wrong, so that good records pay nothing.
"""

from __future__ import annotations

from pierhead.errors import Fault

__all__ = ["Faults", "Place"]

#: Where a record stands: the number of its file, shifted, and the offset in that file.
Place = int

#: A file in the wrong format has a fault on every line; after this many they are only counted.
_MAX_REPORTED = 100
#: The longest line shown in a fault.
_MAX_SHOWN = 400
_FILE_SHIFT = 40


class Faults:
    """The errors and warnings of one zone."""

    def __init__(self) -> None:
        self._files: list[tuple[str, bytes]] = []
        self._errors: list[tuple[Place, Fault]] = []
        self._warnings: list[tuple[Place, Fault]] = []
        self._unreported = 0

    def open_file(self, file_name: str, text: bytes) -> Place:
        """Add a file and return the place of its first octet; add offsets to it."""
        self._files.append((file_name, text))
        return (len(self._files) - 1) << _FILE_SHIFT

    def error(self, place: Place, message: str, remedy: str = "", code: str = "syntax") -> None:
        """Add a reason to refuse the zone."""
        if len(self._errors) < _MAX_REPORTED:
            self._errors.append((place, self._fault(place, message, remedy, code)))
        else:
            self._unreported += 1

    def warning(self, place: Place, message: str, remedy: str = "", code: str = "dubious") -> None:
        """Add something dubious; past the bound it is dropped, for it decides nothing."""
        if len(self._warnings) < _MAX_REPORTED:
            self._warnings.append((place, self._fault(place, message, remedy, code)))

    def whole(self, message: str, remedy: str = "", code: str = "zone") -> None:
        """Add a reason to refuse the zone that belongs to no line."""
        file_name = self._files[0][0]
        self._errors.append((-1, Fault(file_name, 0, 0, message, remedy=remedy, code=code)))

    @property
    def count(self) -> int:
        """How many errors there are, reported or not."""
        return len(self._errors) + self._unreported

    def errors(self) -> list[Fault]:
        """Return the errors in the order of the files, and how many more there are."""
        found = _ordered(self._errors)
        if self._unreported:
            message = f"and {self._unreported} more faults"
            found.append(Fault(self._files[0][0], 0, 0, message, code="more"))
        return found

    def warnings(self) -> tuple[Fault, ...]:
        """Return the warnings in the order of the files."""
        return tuple(_ordered(self._warnings))

    def _fault(self, place: Place, message: str, remedy: str, code: str) -> Fault:
        file_name, text = self._files[place >> _FILE_SHIFT]
        offset = place & ((1 << _FILE_SHIFT) - 1)
        start = text.rfind(b"\n", 0, offset) + 1
        end = text.find(b"\n", start)
        line = text[start:] if end < 0 else text[start:end]
        column = len(text[start:offset].decode("utf-8", "replace")) + 1
        shown = line.decode("utf-8", "replace").rstrip()
        source = shown[:_MAX_SHOWN] if column <= _MAX_SHOWN else ""
        number = text.count(b"\n", 0, start) + 1
        return Fault(file_name, number, column, message, source, remedy, code)


def _ordered(found: list[tuple[Place, Fault]]) -> list[Fault]:
    return [fault for _, fault in sorted(found, key=lambda item: item[0])]
