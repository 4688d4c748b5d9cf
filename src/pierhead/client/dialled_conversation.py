"""A conversation on a connection that this side has opened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

from pierhead.client.facts import facts_of
from pierhead.client.line import ClientCounters
from pierhead.connection.conversation import Conversation
from pierhead.connection.conversation_stream import ConversationStream
from pierhead.connection.liveness import Liveness

__all__ = ["Dialled", "DialledConversation", "dialled_conversation"]


class DialledConversation(ConversationStream):
    """Carries one conversation of a client.

    Args:
        ended: called once, when the connection has ended.
    """

    counters: ClientCounters
    _has_left = False

    def __init__(
        self, *args: Any, ended: Callable[[DialledConversation], None], **given: Any
    ) -> None:
        super().__init__(*args, **given)
        self._ended = ended
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, and note who is at its other end."""
        super().connection_made(transport)
        talk = self.conversation
        talk.peer, talk.via = facts_of(transport, talk.peer, talk.via)
        self.counters.opened()

    def gone(self, reason: str, error: Exception | None) -> None:
        """Tell the conversation, and whoever waits for the end."""
        super().gone(reason, error)
        self.counters.closed(reason)
        self._ended(self)
        self._gone.set_result(None)
        self._let_go()

    def failed(self, mistake: Exception) -> None:
        """Pass a bug of the framing on to whoever receives."""
        self.conversation.end_of_input(mistake)

    def message_cut_off(self) -> None:
        """End: a packet that does not fit into a read is lost, and what follows makes no sense."""
        self.counters.dropped("truncated")
        self.abort("truncated")

    @property
    def is_gone(self) -> bool:
        """Whether the connection has ended."""
        return self._gone.done()

    def left(self) -> None:
        """Note that the program has left the conversation."""
        self._has_left = True
        self._let_go()

    def _let_go(self) -> None:
        """Leave no reference cycle behind."""
        if self._has_left and self._gone.done():
            del self.conversation

    async def leave(self, timeout_s: float) -> None:
        """Send what is due and close; cut off what takes longer than this."""
        self.conversation.close()
        self.forget_unread("closed")
        try:
            await asyncio.wait([self._gone], timeout=timeout_s)
        finally:
            if not self._gone.done():
                self.abort("write")


class Dialled(Protocol):
    """What carries a conversation that this side has begun."""

    @property
    def conversation(self) -> Conversation[Any, Any]:
        """What the program has."""
        ...

    @property
    def is_gone(self) -> bool:
        """Whether the connection has ended."""
        ...

    def forget_unread(self, reason: str) -> None:
        """Count what nobody will receive any more."""
        ...

    def left(self) -> None:
        """Note that the program has left the conversation."""
        ...

    def abort(self, reason: str) -> None:
        """Close at once."""
        ...

    def sweep(self, now: float) -> None:
        """Enforce the deadlines."""
        ...

    async def leave(self, timeout_s: float) -> None:
        """Send what is due and close; cut off what takes longer than this."""
        ...


class Opens(Protocol):
    """Opens conversations."""

    leave_timeout_s: float

    async def conversation(self, liveness: Liveness[Any, Any] | None) -> Dialled:
        """Open one."""
        ...


@asynccontextmanager
async def dialled_conversation(
    started: Callable[[], Opens], liveness: Liveness[Any, Any] | None = None
) -> AsyncIterator[Conversation[Any, Any]]:
    """Open a conversation when the block is entered, and close it when it is left."""
    dialler = started()
    stream = await dialler.conversation(liveness)
    try:
        try:
            yield stream.conversation
        except BaseException:
            stream.forget_unread("aborted")
            stream.abort("aborted")
            raise
        await stream.leave(dialler.leave_timeout_s)
    finally:
        stream.left()
