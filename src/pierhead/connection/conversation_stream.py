"""A conversation on one byte stream, from either side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pierhead.codec.base import Decoder, Encoder, Framing
from pierhead.connection.conversation import Conversation
from pierhead.connection.frame_stream import FrameStream
from pierhead.connection.liveness import Liveness
from pierhead.connection.message_counters import MessageCounters
from pierhead.errors import ConnectionEnded, PierheadError
from pierhead.service.context import Peer, Via

__all__ = ["ConversationStream"]


class ConversationStream(FrameStream):
    """Carries one conversation.

    Args:
        messages: the counters of its messages.
        liveness: its pings; None for none.

    The other arguments are those of `FrameStream` and `Conversation`.
    """

    def __init__(
        self,
        framing: Framing,
        decoder: Decoder[Any],
        encoder: Encoder[Any],
        *,
        peer: Peer,
        via: Via,
        messages: MessageCounters,
        liveness: Liveness[Any, Any] | None = None,
        **stream: Any,
    ) -> None:
        super().__init__(framing, **stream)
        self._messages = messages
        self.conversation: Conversation[Any, Any] = Conversation(
            self, decoder, encoder, peer=peer, via=via, counters=messages, liveness=liveness
        )

    def sweep(self, now: float) -> None:
        """Enforce the deadlines, and find out whether the peer is dead."""
        super().sweep(now)
        if self.life.is_open and self.conversation.is_dead(now, self.last_heard):
            super().abort("liveness")  # not this class's: a handler is told, not cancelled

    def room(self) -> int:
        """Return how many frames may arrive now."""
        return self.conversation.room()

    def frames_arrived(self, frames: Sequence[bytes]) -> None:
        """Pass frames to the conversation."""
        self.conversation.arrive(frames)

    def input_ended(self, error: PierheadError | None) -> None:
        """Tell the conversation that its peer has ended."""
        if error is None and self.is_cut_off:
            error = self._broken_off("TLS ended without close_notify, so something may be missing")
        self.conversation.end_of_input(error)

    def _broken_off(self, reason: str) -> ConnectionEnded:
        return ConnectionEnded(str(self.conversation.peer), reason)

    def writable(self) -> None:
        """Let those that wait to send go on."""
        self.conversation.note_writable()

    def is_all_sent(self) -> bool:
        """Return whether nothing waits in a sender."""
        return not self.conversation.has_queued

    def failed(self, mistake: Exception) -> None:
        """Tell the conversation; the owner reports it."""
        self.conversation.end_of_input(self._broken_off("a bug of the framing"))

    def gone(self, reason: str, error: Exception | None) -> None:
        """Tell the conversation, and count what is lost."""
        lost = self.conversation.note_gone(reason)
        self._messages.note_lost("out", reason, lost + self.take_unsent())
        self._messages.note_lost("in", reason, self.stop_input())

    def forget_unread(self, reason: str) -> None:
        """Count what nobody will receive any more."""
        self._messages.note_lost("in", reason, self.conversation.take_unread())
