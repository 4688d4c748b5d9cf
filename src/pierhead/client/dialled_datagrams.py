"""A conversation over datagrams that this side has begun."""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable
from typing import Any

from pierhead.client.datagram_end import DatagramClient
from pierhead.client.line import ClientCounters
from pierhead.client.options import ClientOptions
from pierhead.client.socket_end import Unreachable
from pierhead.clock import Clock
from pierhead.codec.base import WireFormat
from pierhead.connection.conversation import Conversation
from pierhead.connection.liveness import Liveness
from pierhead.connection.message_counters import MessageCounters
from pierhead.errors import DecodeError, PeerUnavailable, UsageError
from pierhead.service.context import Peer, Via

__all__ = ["DialledDatagrams"]

#: Datagrams that wait for the program; further ones are lost, as in a socket.
_MAX_WAITING = 256
#: Datagrams taken in one iteration of the loop.
_PER_TURN = 64


class DialledDatagrams:
    """Carries one conversation of a client over a socket of its own; a `Port`.

    Args:
        address: what was dialled, for messages.
        end: owned; sends and receives.
        messages: the counters of its messages.
        ended: called once, when the socket is closed.

    Attributes:
        conversation: what the program has.
    """

    _has_left = False

    def __init__(
        self,
        wire_format: WireFormat[Any, Any],
        address: str,
        end: DatagramClient,
        *,
        peer: Peer,
        via: Via,
        options: ClientOptions,
        clock: Clock,
        messages: MessageCounters,
        counters: ClientCounters,
        liveness: Liveness[Any, Any] | None = None,
        ended: Callable[[DialledDatagrams], None],
    ) -> None:
        self._address = address
        self._end = end
        self._options = options
        self._clock = clock
        self._messages = messages
        self._counters = counters
        self._ended = ended
        self._due: deque[bytes] = deque()  # what the system has no room for
        self._due_since = 0.0
        self._last_active = self._last_heard = clock.monotonic()
        self._is_open = True
        self._is_finishing = ""
        self._is_gone = False
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.conversation: Conversation[Any, Any] = Conversation(
            self,
            wire_format.replies,
            wire_format.requests,
            peer=peer,
            via=via,
            counters=messages,
            max_waiting=_MAX_WAITING,
            skip=_ignore,
            liveness=liveness,
        )
        self._receiving = asyncio.get_running_loop().create_task(
            self._receive(), name=f"receive {address}"
        )
        counters.opened()

    # -- receiving -----------------------------------------------------------------------------

    async def _receive(self) -> None:
        taken = 0
        while True:
            try:
                frame = await self._end.receive()
            except Unreachable as error:
                self._refused(error)
            except OSError:  # closed
                return
            else:
                self._take(frame)
            taken += 1
            if taken % _PER_TURN == 0:
                await asyncio.sleep(0)  # `receive` does not wait while datagrams are there

    def _take(self, frame: bytes) -> None:
        self._counters.frames_received.value += 1
        self._counters.bytes_received.value += len(frame)
        self._last_active = self._last_heard = self._clock.monotonic()
        if self.conversation.room():
            self.conversation.arrive((frame,))
        else:
            self._messages.note_lost("in", "unread", 1)

    def _refused(self, error: Unreachable) -> None:
        """Tell the program that datagrams do not arrive; later ones may."""
        self._counters.dropped("unreachable")
        reason = f"the network reports: {error.strerror}"
        self.conversation.note_fault(PeerUnavailable(self._address, reason))

    # -- the port ------------------------------------------------------------------------------

    @property
    def is_writable(self) -> bool:
        """Whether the system has room for another datagram."""
        return not self._due

    @property
    def may_send(self) -> bool:
        """Whether datagrams may still be sent."""
        return self._is_open

    @property
    def framing(self) -> None:
        """None: a datagram needs none."""

    def frame(self, payload: bytes) -> bytes:
        """Return the payload."""
        return payload

    def put_framed(self, part: bytes) -> None:
        """Send a datagram.

        Raises:
            UsageError: it is too large.
        """
        if self._due:
            self._due.append(part)
        elif not self._offer(part):
            self._due.append(part)
            self._due_since = self._clock.monotonic()
            self._end.when_writable(self._go_on)

    def _offer(self, payload: bytes) -> bool:
        try:
            is_taken = self._end.offer(payload)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                self._messages.note_lost("out", "send_error", 1)
                return True
            raise UsageError(
                f"a message of {len(payload)} bytes is too large for a datagram; use a stream"
            ) from error
        if is_taken:
            self._counters.frames_sent.value += 1
            self._counters.bytes_sent.value += len(payload)
            self._last_active = self._clock.monotonic()
        return is_taken

    def _go_on(self) -> None:
        """Send what had no room."""
        while self._due and not self._is_gone:
            try:
                if not self._offer(self._due[0]):
                    self._end.when_writable(self._go_on)
                    return
            except UsageError:  # the system says so late
                self._messages.note_lost("out", "reply_too_large", 1)
            self._due.popleft()
            self._due_since = self._clock.monotonic()
        self.conversation.note_writable()
        self._end_when_sent()

    def pump(self) -> None:
        """Do nothing: what had no room is lost."""

    def end_output(self) -> None:
        """Send nothing more; the peer cannot be told."""
        self._is_open = False

    def finish(self, reason: str) -> None:
        """Close after what was sent."""
        self._is_finishing = self._is_finishing or reason
        self._end_when_sent()

    def _end_when_sent(self) -> None:
        if self._is_finishing and not (self._due or self.conversation.has_queued):
            self.abort(self._is_finishing)

    def abort(self, reason: str) -> None:
        """Close at once."""
        if self._is_gone:
            return
        self._is_gone, self._is_open = True, False
        self._end.close()
        lost = self.conversation.note_gone(reason)
        self._messages.note_lost("out", reason, lost + len(self._due))
        self._due.clear()
        self._counters.closed(reason)
        self._ended(self)
        self._gone.set_result(None)
        self._let_go()

    # -- the client's side ---------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Enforce the deadlines."""
        if self._due and now - self._due_since >= self._options.write_timeout:
            self.abort("write")
        elif now - self._last_active >= self._options.idle_timeout:
            self.conversation.note_closing("idle")
            self.abort("idle")
        elif self.conversation.is_dead(now, self._last_heard):
            self.abort("liveness")

    @property
    def is_gone(self) -> bool:
        """Whether the socket is closed."""
        return self._is_gone

    def left(self) -> None:
        """Note that the program has left the conversation."""
        self._has_left = True
        self._let_go()

    def _let_go(self) -> None:
        """Leave no reference cycle behind."""
        if self._has_left and self._is_gone:
            del self.conversation

    def forget_unread(self, reason: str) -> None:
        """Count what nobody will receive any more."""
        self._messages.note_lost("in", reason, self.conversation.take_unread())

    async def leave(self, timeout_s: float) -> None:
        """Send what is due and close; cut off what takes longer than this."""
        self.conversation.close()
        self.forget_unread("closed")
        try:
            await asyncio.wait([self._gone], timeout=timeout_s)
        finally:
            self.abort("write")
            await asyncio.wait([self._receiving])


def _ignore(error: DecodeError, frame: bytes) -> None:
    """Ignore what is not a message: anybody may have sent it."""
