"""What a backplane does with messages of other servers: decode, pass on, count."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from pierhead.codec.base import Codec
from pierhead.errors import DecodeError, UsageError
from pierhead.metrics import Metrics

__all__ = ["Delivery", "Text"]

M = TypeVar("M")

_log = logging.getLogger("pierhead.backplane")


class Text:
    """Text as UTF-8: how messages are encoded between servers unless a codec is given."""

    def encode(self, message: str) -> bytes:
        """Return its octets."""
        return message.encode("utf-8", "surrogatepass")

    def decode(self, frame: bytes) -> str:
        """Return the text."""
        try:
            return frame.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise DecodeError(f"a message is not UTF-8: {error.reason}", error.start) from None


class Delivery(Generic[M]):
    """Passes what was said elsewhere to a room.

    Args:
        room: its name.
        codec: of its messages.
        deliver: takes a message.
        metrics: where to count.

    Attributes:
        links: the connections that are up.
    """

    def __init__(
        self,
        room: str,
        codec: Codec[M],
        deliver: Callable[[M], Awaitable[None]],
        metrics: Metrics,
    ) -> None:
        self.room = room
        self.links = metrics.gauge("backplane_links_up", room=room)
        self._codec = codec
        self._deliver = deliver
        self._received = metrics.counter("backplane_received_total", room=room)
        self._missed = metrics.counter("backplane_missed_total", room=room)

    async def take(self, payload: bytes) -> None:
        """Pass a message on; one that this server cannot read or encode is logged, alone."""
        self._received.value += 1
        try:
            await self._deliver(self._codec.decode(payload))
        except (DecodeError, UsageError) as error:
            _log.warning("a message of room %r: %s", self.room, error)

    def note_missed(self, number: int, where: str) -> None:
        """Say how many messages are lost."""
        self._missed.value += number
        _log.warning("%s: %d messages of room %r were missed", where, number, self.room)
