"""What the chat's servers and clients say: lines of text, so that ``nc`` is a client too.

    to the server      the first line is a name; then what is said, and /who, /quit, /help
    from the server    "ada: hello"; what the server itself says begins with "* "
    both               PING, answered by PONG; on UDP, TOKEN x is answered by the same line

Between servers an event is JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pierhead import Lines, Liveness, WireFormat
from pierhead.errors import DecodeError

__all__ = ["ANSWERS", "HELP", "LINES", "Event", "pings"]

HELP = "/who shows who is here, /quit leaves"


@dataclass(frozen=True)
class Event:
    """Something that happened in the room, on one of its servers.

    ``names`` is who is on the server, with ``here``, which no member is shown.
    """

    kind: Literal["said", "told", "raw", "here"]
    who: str = ""
    text: str = ""
    server: str = ""
    names: list[str] = field(default_factory=list)


class _Said:
    """What a client says: a line of UTF-8."""

    def decode(self, frame: bytes) -> str:
        try:
            return frame.decode()
        except UnicodeDecodeError as error:
            raise DecodeError(f"a line is not UTF-8: {error.reason}", error.start) from None

    def encode(self, message: str) -> bytes:
        return message.encode()


class _Shown:
    """What a client is shown of an event."""

    def encode(self, event: Event) -> bytes:
        match event.kind:
            case "said":
                return f"{event.who}: {event.text}".encode()
            case "raw":
                return event.text.encode()
            case _:
                return f"* {event.text}".encode()

    def decode(self, frame: bytes) -> Event:
        return Event("raw", text=frame.decode("utf-8", "replace"))


LINES: WireFormat[str, Event] = WireFormat(Lines(max_length_bytes=4096), _Said(), _Shown())

#: A client answers pings; the server asks, and answers those of other people's clients.
ANSWERS: Liveness[Event, str] = Liveness(
    is_ping=lambda event: event.text == "PING", pong=lambda event: "PONG"
)


def pings(every: float) -> Liveness[str, Event]:
    """Return what finds out within twice this time that a client is gone."""
    return Liveness(
        make=lambda: Event("raw", text="PING"),
        is_pong=lambda line: line == "PONG",
        is_ping=lambda line: line == "PING",
        pong=lambda line: Event("raw", text="PONG"),
        every=every,
        within=every,
    )
