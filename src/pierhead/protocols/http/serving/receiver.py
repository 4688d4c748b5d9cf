"""The requests that one connection receives, and the content that is still to come."""

from __future__ import annotations

from typing import Protocol

from pierhead.errors import ConnectionEnded, DecodeError, PierheadError
from pierhead.protocols.http.serving.incoming_body import IncomingBody
from pierhead.protocols.http.serving.place import RequestPlace
from pierhead.protocols.http.wire import Body
from pierhead.protocols.http.wire.head_rules import Head
from pierhead.protocols.http.wire.limits import RequestLimits
from pierhead.protocols.http.wire.refusal import BadMessage
from pierhead.protocols.http.wire.request_reader import RequestReader

__all__ = ["Receiver"]


class _Owner(Protocol):
    """The connection, as far as its receiver needs it."""

    def wake(self) -> None:
        """Go on in this loop iteration, or the next."""
        ...

    def send_continue(self, place: RequestPlace) -> None:
        """Say that content may be sent (RFC 9110 §15.2.1)."""
        ...


class Receiver:
    """Reads requests, and passes content on while services read it.

    Args:
        owner: the connection; until `close`.
        limits: of requests.
        most_bytes: how much of a content may wait for its service.

    Attributes:
        place: the request whose content is still to come; None if there is none.
        is_over: whether no more requests may begin.
        ends_for: why the connection must end, since what follows cannot be read; "" otherwise.
    """

    __slots__ = (
        "_limits",
        "_most_bytes",
        "_owes_continue",
        "_owner",
        "_reader",
        "ends_for",
        "is_over",
        "place",
    )

    def __init__(self, owner: _Owner, limits: RequestLimits, most_bytes: int) -> None:
        self._owner: _Owner | None = owner
        self._limits = limits
        self._most_bytes = most_bytes
        self._reader = RequestReader(limits)
        self._owes_continue = False
        self.place: RequestPlace | None = None
        self.is_over = False
        self.ends_for = ""

    @property
    def buffered(self) -> int:
        """How many octets have arrived and not been read."""
        return self._reader.buffered

    def feed(self, octets: bytes) -> None:
        """Take octets in."""
        self._reader.feed(octets)

    def head(self) -> Head | None:
        """Return the head of the next request; None until it has arrived.

        Raises:
            BadMessage: the input is no request, or passes a limit.
        """
        return self._reader.head()

    def content(self, place: RequestPlace, head: Head, now: float) -> tuple[Body | bytes, int]:
        """Return the content of the request that begins, and how much of it is there."""
        reader = self._reader
        if not reader.is_in_body:
            return b"", 0
        body = place.body = IncomingBody(self, self._most_bytes)
        self.place = place
        self._owes_continue = head.expects_continue
        octets = b""
        try:
            octets = reader.body()
        except DecodeError as error:
            self.fail(error)
        else:
            if not self._has_more() and not reader.trailers:
                place.body = self.place = None
                self._owes_continue = False
                return octets, len(octets)
            if octets:
                body.arrive(octets, now)
            self._note_end(body)
        return Body(body, head.length), len(octets)

    def receive(self, now: float, *, has_ended: bool) -> bool:
        """Pass on what has arrived of a content; return whether requests may begin again.

        Args:
            now: seconds on the server's monotonic clock.
            has_ended: whether the peer has ended its side.
        """
        place, reader = self.place, self._reader
        assert place is not None
        assert place.body is not None
        body = place.body
        if not body.has_room:
            return False
        try:
            octets = reader.body()
        except DecodeError as error:
            self.ends_for = "framing"
            self.fail(error)
            return False
        if octets:
            body.arrive(octets, now)
        if self._note_end(body):
            return True
        if has_ended:
            self.ends_for = "eof"
            self.fail(BadMessage("the input ended within the content"))
        elif body.is_discarded and body.received > self._limits.max_discarded_bytes:
            self.ends_for = "unread"
            self.stop()
        else:
            body.note_waiting(body.is_asked_for or body.is_discarded, now)
        return False

    def _has_more(self) -> bool:
        return self._reader.is_in_body

    def _note_end(self, body: IncomingBody) -> bool:
        if self._reader.is_in_body:
            return False
        self.place, self._owes_continue = None, False
        body.complete(self._reader.trailers)
        return True

    def on_body_wanted(self) -> None:
        """Receive content: a service waits for it, or has taken what there was."""
        if self._owner is None:
            return
        if self._owes_continue and self.place is not None:
            self._owes_continue = False
            self._owner.send_continue(self.place)
        self._owner.wake()

    def may_discard(self, place: RequestPlace) -> bool:
        """Return whether content that is not read can be received and dropped."""
        if place is not self.place or place.body is None:
            return True
        length = place.frame.body.length
        if self._owes_continue:  # its client may or may not send it
            return False
        return length is None or length - place.body.received <= self._limits.max_discarded_bytes

    def leave(self, place: RequestPlace, now: float) -> None:
        """Drop the rest of the content of a request that is answered."""
        if place is not self.place or place.body is None:
            return
        if place.close_for:
            self.fail(ConnectionEnded("the client", "its request is answered"))
        else:
            place.body.discard()
            place.body.note_waiting(True, now)

    def sweep(self, now: float, later: float) -> None:
        """Give up content that arrives too slowly.

        Args:
            later: the deadline of a request whose service waits for its client.
        """
        place, limits = self.place, self._limits
        if place is None or place.body is None:
            return
        if place.body.is_asked_for:
            place.deadline = later
        if place.body.is_late(now, limits.body_timeout, limits.min_body_rate):
            self.ends_for = "message"
            self.fail(BadMessage("the content did not arrive in time", 408))

    def fail(self, error: PierheadError) -> None:
        """Receive no more; whoever reads the content gets this error."""
        if self.place is not None and self.place.body is not None:
            self.place.body.fail(error)
        self.stop()

    def stop(self) -> None:
        """Read nothing more."""
        self.place, self.is_over, self._owes_continue = None, True, False
        self._reader.clear()

    def close(self) -> None:
        """Release the connection."""
        self._owner = None
