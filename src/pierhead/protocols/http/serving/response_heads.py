"""The heads of a connection's responses, which say whether it can be used again."""

from __future__ import annotations

from pierhead.clock import Clock
from pierhead.protocols.http.serving.place import RequestPlace
from pierhead.protocols.http.serving.receiver import Receiver
from pierhead.protocols.http.wire import Response
from pierhead.protocols.http.wire.response_writer import date_line, has_content, response_head

__all__ = ["ResponseHeads"]


class ResponseHeads:
    """Writes heads; notes at a request that the connection closes after it.

    Args:
        clock: for the field Date.
        receiver: of the connection.

    Attributes:
        last: the last request that has begun; None before the first.
        is_ending: whether no request will begin after it.
    """

    __slots__ = ("_clock", "_date", "_receiver", "is_ending", "last")

    def __init__(self, clock: Clock, receiver: Receiver) -> None:
        self._clock = clock
        self._receiver = receiver
        self._date = (0, "")
        self.last: RequestPlace | None = None
        self.is_ending = False

    def head(self, place: RequestPlace, response: Response, *, is_chunked: bool) -> bytes:
        """Return the head of the response to a request.

        Raises:
            UsageError: a field contradicts what the server does.
        """
        if not place.close_for and self._closes_after(place, response, is_chunked=is_chunked):
            place.close_for, place.has_commands = "asked", True
        connection = "close" if place.close_for else ""
        if place.version == "1.0" and not connection:
            connection = "keep-alive"
        return response_head(
            place.method, response, self._date_line(), is_chunked=is_chunked, connection=connection
        )

    def _date_line(self) -> str:
        seconds = int(self._clock.wall())
        if self._date[0] != seconds:
            self._date = (seconds, date_line(seconds))
        return self._date[1]

    def _closes_after(self, place: RequestPlace, response: Response, *, is_chunked: bool) -> bool:
        if not place.keeps_alive:
            return True
        fields = response.fields
        if "connection" in fields and "close" in fields.members("connection"):
            return True
        is_endless = response.body.length is None and not is_chunked
        if is_endless and has_content(place.method, response.status):
            return True  # the end of the connection is the end of the content
        if place is not self.last:
            return False
        if self.is_ending or self._receiver.is_over:
            return True
        return not self._receiver.may_discard(place)
