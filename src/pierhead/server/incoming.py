"""Input of one connection: its complete frames that have not begun."""

from __future__ import annotations

from collections.abc import Sequence

from pierhead.codec.base import Framing
from pierhead.metrics import Metric

__all__ = ["Incoming"]

#: More frames than a connection can hold.
_ALL = 2**31


class Incoming:
    """What a peer has sent, split into frames on demand.

    Args:
        framing: splits the input.
        received: counts frames.

    Attributes:
        framer: holds input that has not been split yet.
        has_ended: whether the peer has ended its side.
        is_cut_off: whether the input may be truncated, because the end is not authenticated.
    """

    __slots__ = ("_framing", "_put_back", "_received", "framer", "has_ended", "is_cut_off")

    def __init__(self, framing: Framing, received: Metric) -> None:
        self._framing = framing
        self._received = received
        self._put_back: Sequence[bytes] = ()
        self.framer = framing.new()
        self.has_ended = self.is_cut_off = False

    def __bool__(self) -> bool:
        return bool(self._put_back) or self.framer.buffered > 0

    @property
    def is_held_up(self) -> bool:
        """Whether there are complete frames that could not begin."""
        return bool(self._put_back)

    def take(self, limit: int) -> Sequence[bytes]:
        """Return up to this many frames, oldest first.

        Raises:
            FramingError: the input cannot be split.
        """
        if self._put_back:
            frames, self._put_back = self._put_back[:limit], self._put_back[limit:]
            return frames
        frames = self.framer.frames(limit)
        if not frames and self.has_ended and not self.is_cut_off and self.framer.buffered:
            frames = self.framer.finish()  # frames that the end of input completes
        self._received.value += len(frames)
        return frames

    def put_back(self, frames: Sequence[bytes]) -> None:
        """Put back frames that were taken and could not begin."""
        self._put_back = [*frames, *self._put_back]

    def clear(self) -> None:
        """Discard everything, and start over."""
        self._put_back, self.framer = (), self._framing.new()

    def give_up(self) -> int:
        """Discard everything; return how many complete frames there were."""
        if not (self._put_back or self.framer.buffered):
            return 0
        try:
            whole = self.framer.frames(_ALL)
        except Exception:  # of the input, or a bug of the framing: neither has complete frames
            whole = []
        self._received.value += len(whole)
        given_up = len(self._put_back) + len(whole)
        self.clear()
        return given_up
