"""A client for scripts: `pierhead.client.client.Client`, and a conversation, without async.

with blocking.connect("tcp:127.0.0.1:7000", lines.wire_format()) as peer:
    peer.send("hello")
    print(peer.receive())
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, Unpack

from pierhead.address import ListenSpec
from pierhead.blocking.background import Background
from pierhead.blocking.conversation import Conversation
from pierhead.client.client import Client as AsyncClient
from pierhead.client.options import ClientLimits
from pierhead.codec.base import WireFormat
from pierhead.connection.conversation import Conversation as AsyncConversation
from pierhead.metrics import Metrics
from pierhead.service import Middleware

__all__ = ["Client", "connect"]

Q = TypeVar("Q")
R = TypeVar("R")


def connect(
    address: str | ListenSpec,
    wire_format: WireFormat[Q, R],
    *,
    source: str | None = None,
    layers: Sequence[Middleware] = (),
    metrics: Metrics | None = None,
    **limits: Unpack[ClientLimits],
) -> Client[Q, R]:
    """Return a client of this address; ``with`` connects it.

    The arguments are those of `pierhead.connect`.

    Raises:
        UsageError: the address cannot be dialled, or a limit is out of its range.
    """
    client = AsyncClient(
        address, wire_format, source=source, layers=layers, metrics=metrics, **limits
    )
    return Client(client)


class Client(Generic[Q, R]):
    """One peer, for a conversation or for requests; made by `connect`.

    Any thread may use it. `send`, `receive` and iteration share one conversation, which ``with``
    opens. Requests go over connections of their own, each reply to its request; before the first of
    them, a conversation that has not been used is closed.
    """

    def __init__(self, client: AsyncClient[Q, R]) -> None:
        self._client = client
        self._background = Background.of_this_process()
        self._opening = threading.Lock()
        self._talk: Conversation[R, Q] | None = None
        self._has_talked = False

    def __repr__(self) -> str:
        return f"<blocking {self._client!r}>"

    @property
    def metrics(self) -> Metrics:
        """Its counters."""
        return self._client.metrics

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of this end, one for each open connection for requests, as text."""
        return self._client.addresses

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            ConnectError: the address cannot be reached.
        """
        self._own_talk()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close: after what was sent, or at once if an error passes."""
        if self._talk is not None:
            self._talk.__exit__(kind, error, trace)
        self._background.call(self._client.close(drain=error is None))

    def close(self) -> None:
        """Close, after what has been sent; replies still awaited have ``drain_timeout``."""
        self.__exit__(None, None, None)

    # -- requests ------------------------------------------------------------------------------

    def request(self, message: Q, *, timeout: float | None = None) -> R:
        """Send a request and return its reply; many threads may wait for one at once.

        Arguments and errors are those of `pierhead.Client.request`.
        """
        self._give_up_unused()
        return self._background.call(self._client.request(message, timeout=timeout))

    def replies(self, message: Q, *, timeout: float | None = None) -> Iterator[R]:
        """Send a request and iterate over its replies, until the last.

        Arguments and errors are those of `pierhead.Client.replies`.
        """
        self._give_up_unused()
        return self._each(self._client.replies(message, timeout=timeout))

    def _each(self, replies: AsyncIterator[R]) -> Iterator[R]:
        call = self._background.call
        try:
            while True:
                try:
                    reply = call(_next(replies))
                except StopAsyncIteration:
                    return
                yield reply
        finally:
            close: Any = getattr(replies, "aclose", None)
            if close is not None:
                call(close())

    # -- the conversation ----------------------------------------------------------------------

    def send(self, message: Q, *, timeout: float | None = None) -> None:
        """Send a message; see `Conversation.send`."""
        self._own_talk(is_used=True).send(message, timeout=timeout)

    def receive(self, *, timeout: float | None = None) -> R:
        """Wait for the next message; see `Conversation.receive`."""
        return self._own_talk(is_used=True).receive(timeout=timeout)

    def __iter__(self) -> Iterator[R]:
        """Iterate over the messages of the peer; see `Conversation`."""
        return iter(self._own_talk(is_used=True))

    def end_output(self) -> None:
        """End this side after what has been sent; the peer may still send (half-close)."""
        self._own_talk(is_used=True).end_output()

    @property
    def asynchronous(self) -> AsyncConversation[R, Q]:
        """The conversation for what runs in the event loop; a thread cannot use it."""
        return self._own_talk(is_used=True).asynchronous

    def conversation(self) -> Conversation[R, Q]:
        """Open one more conversation, on a connection of its own.

        Raises:
            ConnectError: the address cannot be reached.
        """
        opened = self._client.conversation()
        conversation = self._background.call(_enter(opened))

        async def leave(error: BaseException | None) -> None:
            await opened.__aexit__(None, None, None)

        return Conversation(self._background, conversation, leave, is_served=False)

    def _own_talk(self, *, is_used: bool = False) -> Conversation[R, Q]:
        with self._opening:
            if self._talk is None:
                self._talk = self.conversation()
            self._has_talked = self._has_talked or is_used
            return self._talk

    def _give_up_unused(self) -> None:
        """Close the conversation that ``with`` has opened, if nobody has used it."""
        with self._opening:
            if self._talk is not None and not self._has_talked:
                self._talk.close()
                self._talk = None


async def _next(replies: AsyncIterator[R]) -> R:
    return await anext(replies)


async def _enter(opened: Any) -> Any:
    return await opened.__aenter__()
