"""Requests and their replies on one byte stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from pierhead.client.line import ClientCounters, Reply, local_name, log_bug, settle_all
from pierhead.client.options import ClientOptions
from pierhead.codec.base import WireFormat
from pierhead.codec.matching import Asked, InOrder
from pierhead.connection.frame_stream import FrameStream
from pierhead.connection.life import State, Waits
from pierhead.errors import ConnectionEnded, DecodeError, FramingError, PierheadError

__all__ = ["RequestStream"]

#: Frames taken at a time; replies do not wait here.
_ROOM = 1024
#: Of the time that a request may take: the first to miss its deadline finds that the peer has
#: stopped, although it was asked a little earlier than noted here.
_LONG_ENOUGH = 0.9


class RequestStream(FrameStream):
    """Sends requests, and gives each reply to the request that it answers.

    A request that was given up keeps its place: its reply is dropped, and never another's. If
    replies come in order and one is late, no further request is sent behind it, since it may never
    be answered: the stream closes once the others are. So does a stream on which replies are owed
    and none has arrived for as long as a request may take: its peer has stopped.

    Args:
        address: what was dialled, for messages.
        changed: called when there may be room for another request, or the stream has ended.
    """

    counters: ClientCounters
    limits: ClientOptions
    _is_retired = False
    _is_held_up = False  # by a reader of many replies
    _owed_since: float | None = None  # a reply, or since the last reply while more are owed

    def __init__(
        self,
        wire_format: WireFormat[Any, Any],
        address: str,
        changed: Callable[[], None],
        **stream: Any,
    ) -> None:
        super().__init__(wire_format.framing, **stream)
        self._address = address
        self._changed = changed
        self._encode = wire_format.requests.encode
        self._decode = wire_format.replies.decode
        self._matcher = wire_format.matcher()
        self._in_order = isinstance(wire_format.matching, InOrder)
        self._awaited = 0
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- the client's side ---------------------------------------------------------------------

    @property
    def local(self) -> str:
        """The address of this end, as text."""
        return local_name(self._transport)

    @property
    def is_open(self) -> bool:
        """Whether it takes requests, now or once there is room."""
        return self.life.state is State.OPEN and not self._is_retired and not self._is_input_over

    @property
    def is_gone(self) -> bool:
        """Whether the transport has ended."""
        return self._gone.done()

    @property
    def load(self) -> int:
        """How many requests are without their reply."""
        return self._awaited

    @property
    def has_room(self) -> bool:
        """Whether it takes another request now."""
        return (
            self.is_writable
            and self._awaited < self.limits.max_requests_per_connection
            and self._matcher.has_room
            and self.is_open
        )

    def ask(self, request: Any, reply: Reply) -> Asked[Any, Any]:
        """Send a request; its reply, or an error, goes there.

        Raises:
            UsageError: it cannot be encoded.
        """
        asked = self._matcher.ask(request, reply)
        try:
            framed = self.frame(self._encode(asked.request))
        except BaseException:
            self._matcher.take_back(asked)
            raise
        self._awaited += 1
        if self._owed_since is None:
            self._owed_since = self._clock.monotonic()
        self.put_framed(framed)
        return asked

    def give_up(self, asked: Asked[Any, Any], *, is_late: bool) -> None:
        """Drop the reply to a request when it arrives."""
        if asked.is_answered or asked.is_given_up or self._gone.done():
            return
        self._matcher.give_up(asked)
        self._awaited -= 1
        has_stopped = is_late and self._has_stopped(self._clock.monotonic())
        if has_stopped or self._matcher.is_spent or (self._in_order and is_late):
            self._retire()
        self.read_on()
        self._changed()

    def _retire(self) -> None:
        """Send no more requests, and close once the others are answered."""
        self._is_retired = True
        self._close_if_done()

    def hold_up(self) -> None:
        """Read nothing more until `read_on`: a reader of many replies is slow."""
        self._is_held_up = True

    def read_on(self) -> None:
        """Read on."""
        if self._is_held_up:
            self._is_held_up = False
            self.pump()

    def _close_if_done(self) -> None:
        if self._is_retired and not self._awaited and self.life.state is State.OPEN:
            self.finish("late_reply")

    async def wait_gone(self) -> None:
        """Return once the transport has ended."""
        await asyncio.wait([self._gone])

    # -- the stream's side ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        super().connection_made(transport)
        self.counters.opened()

    def room(self) -> int:
        """Return how many frames may arrive now."""
        return 0 if self._is_held_up else _ROOM

    def frames_arrived(self, frames: Sequence[bytes]) -> None:
        """Give each reply to its request."""
        take, decode, owed = self._matcher.take, self._decode, False
        for frame in frames:
            try:
                reply = decode(frame)
                asked = take(reply)
            except DecodeError as error:
                self._fail_all(error, "undecodable")
                return
            if asked is None:
                # In order, whatever follows would be taken for the reply to the next request.
                self.counters.dropped("unexpected")
                if self._in_order:
                    self._fail_all(self._ended("a reply to no request"), "unexpected")
                    return
                continue
            owed = True
            if asked.is_given_up:
                self.counters.late.value += 1
            else:
                self._awaited -= asked.is_answered
                if not asked.token.done():
                    asked.token.set_result(reply)
        if owed:
            self._owed_since = self.life.last_active if len(self._matcher) else None
        if self._is_retired:
            self._close_if_done()
        self._changed()

    def input_ended(self, error: PierheadError | None) -> None:
        """Fail what is awaited: no reply can arrive."""
        if error is not None and self.has_peer_ended:
            self._fail_all(self._ended(f"the peer has ended inside a reply: {error}"), "eof")
        elif error is not None:
            self._fail_all(error, "framing")
        else:
            self._fail_all(self._ended("the peer has closed the connection"), "eof")

    def message_cut_off(self) -> None:
        """Fail what is awaited: a packet that does not fit into a read is lost."""
        self.counters.dropped("truncated")
        most = self.limits.read_size_bytes
        reason = f"a packet has more than {most} bytes; raise read_size_bytes"
        self._fail_all(FramingError(reason), "truncated")

    def writable(self) -> None:
        """Let the next requests go on."""
        self._changed()

    def failed(self, mistake: Exception) -> None:
        """Pass a bug of the codec or the framing on to those who wait."""
        if not self._fail_waiting(mistake):
            log_bug(self._address, mistake)

    def gone(self, reason: str, error: Exception | None) -> None:
        """Fail what is awaited."""
        text = f"the connection was lost: {error}" if error else f"the connection ended: {reason}"
        self._fail_waiting(self._ended(text))
        self.take_unsent()
        self.counters.closed(reason)
        if not self._gone.done():
            self._gone.set_result(None)
        self._changed()

    def _ended(self, reason: str) -> ConnectionEnded:
        return ConnectionEnded(self._address, reason)

    def _fail_waiting(self, error: Exception) -> bool:
        """Fail what is awaited; return whether anything is."""
        self._awaited = 0
        return settle_all(self._matcher.end(), error)

    def _fail_all(self, error: Exception, reason: str) -> None:
        self._fail_waiting(error)
        if reason == "eof":
            self.finish(reason)
        else:
            self._loop.call_soon(self.abort, reason)
            self.stop_input()
        self._changed()

    def sweep(self, now: float) -> None:
        """Enforce the deadlines; ask nothing more of a peer that owes replies and sends none."""
        super().sweep(now)
        if not self._is_retired and self._has_stopped(now):
            self._retire()
            self._changed()

    def _has_stopped(self, now: float) -> bool:
        """Tell whether replies are owed and none has come for as long as a request may take."""
        since = self._owed_since
        if since is None or self._is_held_up:
            return False
        return now - since >= _LONG_ENOUGH * self.limits.request_timeout

    def waits(self) -> Waits:
        """Return what it waits for: a reply that has begun, or the next request."""
        if self.life.message_began is not None:
            return super().waits()
        return Waits.NOTHING if self._awaited else super().waits()
