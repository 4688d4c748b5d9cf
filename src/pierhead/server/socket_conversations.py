"""One conversation for a whole datagram socket, with everybody who sends to it.

It begins with the server and not with a datagram, so that the handler may speak first. When the
handler has returned, or failed, the next datagram begins another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from pierhead.connection.conversation import Conversation
from pierhead.connection.message_counters import MessageCounters
from pierhead.connection.socket_conversation import Addressed, Correspondent, SocketConversation
from pierhead.errors import DecodeError
from pierhead.listener.base import DatagramListener, ReplyTo
from pierhead.server.conversing import Conversing
from pierhead.server.destinations import find, reach
from pierhead.server.options import ServerOptions
from pierhead.server.peer_conversation import PeerConversation
from pierhead.server.peer_conversations import PeerConversations
from pierhead.service.admission import Admission
from pierhead.service.context import Peer, Via

__all__ = ["SocketConversations"]

#: The key of the one conversation, and its peer.
_ALL = "everybody"
#: Datagrams that wait for the handler.
_MAX_WAITING = 1024


class _Everybody(PeerConversation):
    """The port of the one conversation."""

    def __init__(
        self, server: SocketConversations, conversing: Conversing, listener: DatagramListener
    ) -> None:
        super().__init__(server, conversing, _ALL, Peer(_ALL), server.via)
        self._listener = listener
        self._refuse = server.skip

    def converse(self, messages: MessageCounters) -> Conversation[Any, Any]:
        """Return the conversation."""
        wire_format = self._conversing.wire_format
        return SocketConversation(
            self,
            wire_format.requests,
            wire_format.replies,
            find=partial(find, self._listener),
            reach=partial(reach, self._listener),
            peer=self.peer,
            via=self._via,
            counters=messages,
            max_waiting=_MAX_WAITING,
            skip=self._skip_from,
        )

    def _skip_from(self, error: DecodeError, frame: bytes) -> None:
        assert isinstance(frame, Addressed)
        self._refuse(error, bytes(frame), frame.peer.reply_to, frame.peer)


class SocketConversations(PeerConversations):
    """Serves one datagram listener by one conversation; the arguments are its superclass's."""

    @property
    def via(self) -> Via:
        """The listener, as the conversation's way."""
        return self._via

    def start(self) -> None:
        """Start receiving, and the handler."""
        super().start()
        self._everybody()

    def replace(
        self,
        listener: DatagramListener,
        conversing: Conversing,
        *,
        options: ServerOptions,
        admission: Admission | None,
    ) -> Callable[[], Awaitable[None]]:
        """Converse by another handler from now on; the one before is told that it ends."""
        wait = super().replace(listener, conversing, options=options, admission=admission)
        if self._is_started:
            self._everybody()
        return wait

    def _everybody(self) -> PeerConversation:
        known = self._often.get(_ALL)
        if known is None:
            known = _Everybody(self, self._conversing, self.listener)
            self._enter(known, self._often)
        return known

    def _take(self, datagram: bytes, reply_to: ReplyTo, now: float) -> None:
        peer = self.listener.peer(reply_to)
        via = self._via_of(reply_to)
        if self._is_from_loop(peer, via):
            return
        frames = self._frames_of(datagram, reply_to, peer)
        sender = Correspondent(peer, reply_to)
        for frame in frames:
            self._frames.value += 1
            if self._is_admitted(frame, reply_to, peer, via):
                self._pass_on(self._everybody(), Addressed(frame, sender))

    def send(self, frame: bytes, whose: PeerConversation) -> None:
        """Send a datagram to its peer, with the others of this iteration."""
        assert isinstance(frame, Addressed)
        self._add(bytes(frame), frame.peer.reply_to, whose)

    def _note_gone_peer(self, whose: PeerConversation, reason: str) -> None:
        """Do nothing: there are others."""

    def sweep(self, now: float) -> Iterator[bool]:
        """Cancel a handler that does not return; yield whether there is any."""
        self._cancel_late(now - self.options.handler_timeout)
        yield bool(self._leaving)
