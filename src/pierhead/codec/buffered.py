"""The buffer of every framer here: bytes not yet part of a returned frame.

Linear time: a byte is copied a bounded number of times, however the input is split and however few
frames a call takes. Taking a frame moves an offset; the rest is moved to the front only when it is
shorter than the part taken, so each byte taken pays for one byte moved.
"""

from __future__ import annotations

from typing import NoReturn, cast

from pierhead.errors import FramingError

__all__ = ["BufferedFramer"]


class BufferedFramer:
    """The part of a `Framer` that does not depend on the framing.

    A framing adds ``frames``: it extracts frames from ``_data`` from ``_start`` on, then calls
    `_take` with the offset it reached, or `_fail` with the fault.
    """

    # `bytes` while it holds just the last piece fed: its slices are frames without a second copy,
    # which covers nearly every read. `bytearray` once a frame spans two pieces.
    __slots__ = ("_data", "_fault", "_start")

    def __init__(self) -> None:
        self._data: bytes | bytearray = b""
        self._start = 0
        self._fault = ""

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take in the next bytes of the stream; after a fault they are ignored."""
        if self._fault:
            return
        held = self._data
        if not held or self._start == len(held):
            self._data, self._start = bytes(data), 0
            return
        if isinstance(held, bytes):
            held = self._data = bytearray(held[self._start :])
            self._start = 0
        held += data

    def finish(self) -> list[bytes]:
        """Note that the input has ended; an end inside a frame is a fault."""
        self._raise_fault()
        if self.buffered:
            self._fail(f"the input ended inside a frame, {self.buffered} octets into it")
        return []

    @property
    def buffered(self) -> int:
        """How many bytes are held; 0 between frames."""
        return len(self._data) - self._start

    def _take(self, taken: list[bytes | bytearray], upto: int) -> list[bytes]:
        """Discard everything before this offset and return the frames taken from it."""
        held = self._data
        if upto == len(held):
            # An idle connection holds no buffer, in particular not a large one.
            self._data, self._start = b"", 0
        elif 2 * upto > len(held):
            self._data, self._start = held[upto:], 0
        else:
            self._start = upto
        if type(held) is bytes:
            return cast("list[bytes]", taken)  # slices of bytes
        return [bytes(frame) for frame in taken]

    def _fail(self, reason: str) -> NoReturn:
        """Release the input and raise, now and at every later call."""
        self._fault = reason
        self._data, self._start = b"", 0
        raise FramingError(reason)

    def _raise_fault(self) -> None:
        if self._fault:
            # A new exception each time: one raised twice would grow its traceback.
            raise FramingError(self._fault)
