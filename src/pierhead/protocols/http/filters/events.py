"""Server-sent events: many replies to one request, as the HTML standard specifies them."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from pierhead.errors import UsageError
from pierhead.limits import Limit
from pierhead.protocols.http.wire import Response

__all__ = ["LIMITS", "Event", "events"]

LIMITS = (
    Limit(
        "keep_alive",
        15.0,
        0.01,
        3_600.0,
        "s",
        "after how much silence a comment is sent, so that no proxy takes the stream for dead",
        "HTML standard, section 9.2.7: every 15 seconds or so",
        "none: nothing is refused",
        "new streams",
    ),
)

_LINE_END = re.compile("\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        data: text of any number of lines.
        event: its type; ``message`` if it is empty.
        id: what a client that reconnects sends as ``Last-Event-ID``.
        retry_ms: after how many milliseconds a client reconnects.
    """

    data: str
    event: str = ""
    id: str = ""
    retry_ms: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("event", self.event), ("id", self.id)):
            if _LINE_END.search(value) or "\0" in value:
                raise UsageError(f"{name} is {value!r}, expected one line")

    def encode(self) -> bytes:
        """Return the event as it is sent."""
        lines = [f"data: {line}" for line in _LINE_END.split(self.data)]
        if self.retry_ms is not None:
            lines.insert(0, f"retry: {self.retry_ms}")
        if self.id:
            lines.insert(0, f"id: {self.id}")
        if self.event:
            lines.insert(0, f"event: {self.event}")
        return "\n".join([*lines, "", ""]).encode()


def events(source: AsyncIterable[Event | str], *, keep_alive: float = 15.0) -> Response:
    """Return a response of events as they come; text is an event with this data.

    The source is closed when the client is gone. No more is taken from it than the client reads.
    """
    seconds = LIMITS[0].check(keep_alive)
    fields = (("Cache-Control", "no-store"),)
    return Response(200, _encoded(source, seconds), fields, content_type="text/event-stream")


async def _encoded(source: AsyncIterable[Event | str], seconds: float) -> AsyncIterator[bytes]:
    iterator = aiter(source)
    following = asyncio.ensure_future(_next(iterator))
    try:
        while True:
            await asyncio.wait((following,), timeout=seconds)
            if not following.done():
                yield b":\n\n"
                continue
            event = following.result()
            if event is None:
                return
            yield (Event(event) if isinstance(event, str) else event).encode()
            following = asyncio.ensure_future(_next(iterator))
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        if (close := getattr(iterator, "aclose", None)) is not None:
            await close()


async def _next(iterator: AsyncIterator[Event | str]) -> Event | str | None:
    return await anext(iterator, None)
