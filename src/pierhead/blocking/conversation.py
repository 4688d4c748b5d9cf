"""A conversation for a thread: `pierhead.connection.conversation.Conversation` without async."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeAlias, TypeVar

from pierhead.blocking.background import Background, within
from pierhead.connection.conversation import Conversation as AsyncConversation
from pierhead.errors import ConnectionEnded, DecodeError
from pierhead.service.context import Peer, Via

__all__ = ["Conversation", "Leave"]

In = TypeVar("In")
Out = TypeVar("Out")

#: Closes a conversation: after what was sent, or at once because of an error.
Leave: TypeAlias = Callable[[BaseException | None], Coroutine[Any, Any, None]]


class Conversation(Generic[In, Out]):
    """Messages in both directions with one peer.

    Any thread may receive and send. It is closed when its block is left, or when nobody holds it
    any more, as a file is.

    If a server's own block fails because of the peer (a message that cannot be decoded, a
    connection that is cut off), the block ends there and the program goes on: the failure is logged
    and counted as that of any conversation.
    """

    def __init__(
        self,
        background: Background,
        conversation: AsyncConversation[In, Out],
        leave: Leave,
        *,
        is_served: bool,
    ) -> None:
        self._background = background
        self._conversation = conversation
        self._leave = leave
        self._is_served = is_served
        self._is_left = False
        self.is_in_use = False
        self._finalizer = weakref.finalize(self, background.soon, lambda: leave(None))
        self._finalizer.atexit = False

    def __repr__(self) -> str:
        return f"<blocking {self._conversation!r}>"

    @property
    def peer(self) -> Peer:
        """The other end."""
        return self._conversation.peer

    @property
    def via(self) -> Via:
        """How the connection arrived, or where it was dialled."""
        return self._conversation.via

    @property
    def asynchronous(self) -> AsyncConversation[In, Out]:
        """The same conversation for what runs in the event loop; a thread cannot use it."""
        return self._conversation

    # -- receiving -----------------------------------------------------------------------------

    def receive(self, *, timeout: float | None = None) -> In:
        """Wait for the next message.

        Args:
            timeout: in seconds; None to wait as long as the connection lasts.

        Raises:
            ConnectionEnded: no more messages arrive. ``is_clean`` tells whether the peer ended its
                side, or this side is closing, and not a fault.
            DecodeError: this one is not a message; the next one may be.
            TimeoutError: nothing has arrived in time; nothing is lost either.
        """
        late = f"no message from {self._conversation.peer}"
        return self._background.call(within(self._conversation.receive(), timeout, late))

    def __iter__(self) -> Iterator[In]:
        """Iterate over the messages; it ends when the peer has ended its side, or with `closing`.

        Anything else that ends them is raised, as by `receive`.
        """
        return self

    def __next__(self) -> In:
        """Return the next message."""
        try:
            return self.receive()
        except ConnectionEnded as end:
            if end.is_clean:
                raise StopIteration from None
            raise

    # -- sending -------------------------------------------------------------------------------

    def send(self, message: Out, *, timeout: float | None = None) -> None:
        """Send a message; wait while the peer does not keep up.

        Args:
            timeout: in seconds; None for ``write_timeout``.

        Raises:
            ConnectionEnded: the conversation has ended, or this side of it.
            TimeoutError: the peer has not made room in time; the message is not sent.
            UsageError: the message cannot be encoded.
        """
        late = f"{self._conversation.peer} has not taken what it was sent"
        self._background.call(within(self._conversation.send(message), timeout, late))

    def end_output(self) -> None:
        """End this side after what has been sent; the peer may still send (half-close)."""
        self._background.call(_done(self._conversation.end_output))

    # -- the end -------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether nothing more can be sent."""
        return self._conversation.closed

    @property
    def closing(self) -> str:
        """Why this side is closing, ``drain`` if the server stops; "" while it is not."""
        return self._conversation.closing

    def wait_closing(self, *, timeout: float | None = None) -> None:
        """Return once either side closes, or the connection is lost.

        Raises:
            TimeoutError: neither has happened in time.
        """
        late = f"the conversation with {self._conversation.peer} has not ended"
        self._background.call(within(self._conversation.wait_closing(), timeout, late))

    def close(self) -> None:
        """Close after what has been sent; later calls do nothing."""
        self._end(None)

    def abort(self) -> None:
        """Close at once; what the peer has not taken is lost."""
        self._background.call(_done(self._conversation.abort))
        self._end(None)

    def _end(self, error: BaseException | None) -> None:
        if not self._is_left:
            self._is_left = True
            self._finalizer.detach()
            self._background.call(self._leave(error))

    def __enter__(self) -> Self:
        self.is_in_use = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Close: after what was sent, or at once if an error passes."""
        is_the_peer_s = self._is_served and isinstance(error, (ConnectionEnded, DecodeError))
        if error is not None and not is_the_peer_s:
            self._background.call(_done(self._conversation.abort))
            self._end(None)
            return False
        self._end(error)
        return is_the_peer_s


async def _done(function: Callable[[], None]) -> None:
    """Call something in the loop."""
    function()
