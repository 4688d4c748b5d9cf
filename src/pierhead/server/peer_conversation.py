"""The conversation with one peer of a datagram socket."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from pierhead.connection.conversation import Conversation
from pierhead.connection.message_counters import MessageCounters
from pierhead.errors import DecodeError, UsageError
from pierhead.failure_log import FailureLog
from pierhead.listener.base import ReplyTo
from pierhead.server.conversing import Conversing
from pierhead.server.handler_run import handler_name, run_handler
from pierhead.service.context import Peer, Via

__all__ = ["PeerConversation"]

#: Datagrams that wait for a handler: as many as a socket's buffer holds of the smallest ones.
_MAX_WAITING = 256
#: Datagrams of one conversation that the system has not taken, before its senders wait. What has no
#: room is retried and may be overtaken by the next one: that is for a network without order.
_MAX_UNSENT = 64
_MAX_UNSENT_IN_ORDER = 1
#: The largest UDP payload over IPv4.
_LARGEST_BYTES = 65_507


class Socket(Protocol):
    """The socket of a conversation, and the table that it is in."""

    def send(self, frame: bytes, whose: PeerConversation, /) -> None:
        """Send a datagram."""
        ...

    def skip(self, error: DecodeError, frame: bytes, reply_to: ReplyTo, peer: Peer, /) -> None:
        """Refuse a datagram that is not a message."""
        ...

    def leave(self, known: PeerConversation, /) -> None:
        """Take it out of the table."""
        ...

    def ended(self, known: PeerConversation, reason: str, /) -> None:
        """Forget it."""
        ...


class PeerConversation:
    """A `Port` that sends datagrams to one peer, and the handler that speaks with it.

    Attributes:
        reply_to: where its datagrams go, and from which address.
        last_heard: when the peer's last datagram arrived.
        left_at: when it was told that it ends.
        reason: why; "" while it does not.
        has_ended: whether its handler has returned and what it said is sent.
    """

    last_heard = left_at = 0.0
    has_ended = False
    _is_open = True
    _has_returned = False
    _unsent = 0

    def __init__(
        self, socket: Socket, conversing: Conversing, reply_to: ReplyTo, peer: Peer, via: Via
    ) -> None:
        self.reply_to = reply_to
        self.peer = peer
        self.reason = ""
        self._socket = socket
        self._conversing = conversing
        self._via = via
        is_ordered = via.scheme == "unixgram"
        self._max_unsent = _MAX_UNSENT_IN_ORDER if is_ordered else _MAX_UNSENT

    def start(self, messages: MessageCounters, failures: FailureLog) -> None:
        """Start the handler."""
        self._messages = messages
        self.conversation = self.converse(messages)
        handler = self._conversing.handler
        running = run_handler(handler, self.conversation, failures, self._undecodable)
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(running, name=f"{handler_name(handler)} {self.peer}")
        self._task.add_done_callback(self._handled)

    def converse(self, messages: MessageCounters) -> Conversation[Any, Any]:
        """Return the conversation."""
        wire_format = self._conversing.wire_format
        return Conversation(
            self,
            wire_format.requests,
            wire_format.replies,
            peer=self.peer,
            via=self._via,
            counters=messages,
            max_waiting=_MAX_WAITING,
            skip=self._skip,
            liveness=self._conversing.liveness,
        )

    def _skip(self, error: DecodeError, frame: bytes) -> None:
        self._socket.skip(error, frame, self.reply_to, self.peer)

    def _undecodable(self, error: DecodeError) -> str:
        return "undecodable"

    @property
    def unread_bytes(self) -> int:
        """Octets that wait for the handler."""
        return self.conversation.unread_bytes

    def note_taken(self) -> None:
        """Note that the system has taken, or refused, one datagram of this conversation."""
        self._unsent -= 1
        if not self.has_ended and self.conversation.has_queued:
            self.conversation.note_writable()
        self._end_when_sent()

    # -- the port ------------------------------------------------------------------------------

    @property
    def is_writable(self) -> bool:
        """Whether the system keeps up with what is sent to this peer."""
        return self._unsent < self._max_unsent

    @property
    def may_send(self) -> bool:
        """Whether datagrams may still be sent."""
        return self._is_open

    @property
    def framing(self) -> None:
        """None: a datagram needs none."""

    def frame(self, payload: bytes) -> bytes:
        """Return a message as a datagram.

        Raises:
            UsageError: it is too large.
        """
        if len(payload) > _LARGEST_BYTES:
            raise UsageError(
                f"a message of {len(payload)} bytes is too large for a datagram, which holds "
                f"{_LARGEST_BYTES}"
            )
        return payload

    def put_framed(self, framed: bytes) -> None:
        """Send a datagram."""
        self._unsent += 1
        self._socket.send(framed, self)

    def pump(self) -> None:
        """Do nothing: what had no room is lost."""

    def end_output(self) -> None:
        """Send nothing more; the peer cannot be told."""
        self._is_open = False

    def finish(self, reason: str) -> None:
        """End after what was sent."""
        self.tell(reason)

    def abort(self, reason: str) -> None:
        """End at once."""
        self._is_open = False
        self.reason = self.reason or reason
        self._socket.leave(self)
        if not self.has_ended:
            self._messages.note_lost("out", reason, self.conversation.note_gone(reason))

    # -- the end -------------------------------------------------------------------------------

    def tell(self, reason: str) -> None:
        """Tell the handler that no more messages arrive; it may say goodbye."""
        self.reason = self.reason or reason
        self._socket.leave(self)
        if not self.has_ended:
            self.conversation.note_closing(reason)
            self.conversation.end_of_input(None)

    def cancel(self, reason: str) -> None:
        """End at once, and cancel the handler."""
        self.abort(reason)
        self._task.cancel()

    def _handled(self, task: asyncio.Task[str]) -> None:
        self._has_returned = True
        self.reason = self.reason or ("cancelled" if task.cancelled() else task.result())
        self._socket.leave(self)
        if task.cancelled():
            self.abort(self.reason)
        self._end_when_sent()

    def _end_when_sent(self) -> None:
        """Leave nothing behind once the handler has returned and its senders are empty."""
        if not self._has_returned or self.has_ended or self.conversation.has_queued:
            return
        self.has_ended = True
        self._is_open = False
        self._messages.note_lost("in", self.reason, self.conversation.take_unread())
        self._messages.note_lost("out", self.reason, self.conversation.note_gone(self.reason))
        self._socket.ended(self, self.reason)
        del self.conversation
