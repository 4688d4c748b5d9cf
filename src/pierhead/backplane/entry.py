"""Entries of a stream that servers share at a broker, and what a server has had of each other one.

A server numbers its messages 1, 2, 3 …; entries are

M  origin, number, octets   a message
J  origin, number           the last number so far, of who has connected, and asks for the others'
A  origin, number           the answer: the last number so far

where the origin is of one run of a server: the time at which it came, and random octets. An entry
may be there twice, if the broker's answer was lost, and may be missing; the numbers tell.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from pierhead.errors import DecodeError

__all__ = ["Entry", "Ledger"]

_HEAD = struct.Struct("!c16sQ")

Kind = Literal["M", "A", "J"]
_KINDS: dict[bytes, Kind] = {b"M": "M", b"A": "A", b"J": "J"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: a message, or which number was the last."""

    kind: Kind
    origin: bytes
    number: int
    payload: bytes = b""

    def to_bytes(self) -> bytes:
        """Return its octets."""
        return _HEAD.pack(self.kind.encode(), self.origin, self.number) + self.payload

    @classmethod
    def from_bytes(cls, octets: bytes) -> Entry:
        """Read an entry.

        Raises:
            DecodeError: it is none.
        """
        if len(octets) < _HEAD.size:
            raise DecodeError(f"an entry has {len(octets)} octets, expected {_HEAD.size} or more")
        kind, origin, number = _HEAD.unpack_from(octets)
        if kind not in _KINDS:
            raise DecodeError(f"an entry begins with {kind!r}, expected M, A or J", 0)
        return cls(_KINDS[kind], origin, number, octets[_HEAD.size :])


class Ledger:
    """The last number of each other server: what is new, what was had, what is missing.

    Args:
        own: the origin of the one that keeps it. Nothing that a server with a greater one has said
            is too early to be missed; of another's, what it had said before its first entry here.
        most: servers that are remembered; who was silent for longest is forgotten first.
    """

    def __init__(self, own: bytes, most: int) -> None:
        self._own = own
        self._most = most
        self._last: dict[bytes, int] = {}

    def take(self, entry: Entry) -> tuple[bool, int]:
        """Enter an entry.

        Returns:
            Whether it is a message that is to be passed on, and how many before it are lost.
        """
        is_message = entry.kind == "M"
        last = self._last.pop(entry.origin, None)
        if last is None:
            last = 0 if entry.origin > self._own else entry.number - is_message
        self._last[entry.origin] = max(last, entry.number)
        if len(self._last) > self._most:
            del self._last[next(iter(self._last))]
        if entry.number <= last:
            return False, 0
        return is_message, entry.number - last - is_message
