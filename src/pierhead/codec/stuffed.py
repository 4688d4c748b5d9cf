"""The base of COBS and SLIP: stuffing removes one octet value from a packet, and that octet ends
it.

Nothing between two ends is not a packet: senders also write an end before a packet, so that noise
before it does not become part of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pierhead.codec.buffered import BufferedFramer
from pierhead.errors import FramingError

__all__ = ["StuffedFramer"]


class StuffedFramer(BufferedFramer):
    """Splits one stream at its ends and removes the stuffing in between.

    Args:
        end: the octet that ends a packet.
        unstuff: returns the payload of a packet, or raises `FramingError`.
        max_length: the longest payload.
        max_stuffed: the longest such payload after stuffing; more without an end is a fault.
    """

    __slots__ = ("_end", "_ends", "_max_length", "_max_stuffed", "_searched", "_unstuff")

    def __init__(
        self, end: bytes, unstuff: Callable[[bytes], bytes], *, max_length: int, max_stuffed: int
    ) -> None:
        super().__init__()
        self._end = end
        self._ends = re.compile(re.escape(end) + b"*")
        self._unstuff = unstuff
        self._max_length = max_length
        self._max_stuffed = max_stuffed
        # Octets after `_start` known to contain no end.
        self._searched = 0

    def frames(self, limit: int) -> list[bytes]:
        """Return up to this many payloads, oldest first."""
        self._raise_fault()
        data, start = self._data, self._start
        search = start + self._searched
        taken: list[bytes | bytearray] = []
        while len(taken) < limit:
            if search == start and data.startswith(self._end, start):
                start = search = self._after_ends(data, start)
            end = data.find(self._end, search)
            search = end if end >= 0 else len(data)
            if end < 0 and search - start <= self._max_stuffed:
                break
            try:
                taken.append(self._payload(data, start, search))
            except FramingError as fault:
                if not taken:
                    self._fail(str(fault))
                break
            start = search = end + 1
        self._searched = search - start
        return self._take(taken, start)

    def _after_ends(self, data: bytes | bytearray, start: int) -> int:
        """Skip ends, any number of them in one step: a peer may send nothing else."""
        ends = self._ends.match(data, start)
        assert ends is not None  # matches even if there are none
        return ends.end()

    def _payload(self, data: bytes | bytearray, start: int, end: int) -> bytes:
        if end - start <= self._max_stuffed:
            payload = self._unstuff(bytes(data[start:end]))
            if len(payload) <= self._max_length:
                return payload
        raise FramingError(f"a packet of more than {self._max_length} octets")
