"""Conversations in the order in which they arrive, for threads: the loop around ``accept``.

    with blocking.listen("tcp:127.0.0.1:7000", lines.wire_format()) as listener:
        for conversation in listener:
            with conversation:
                for line in conversation:
                    print(line)

Each thread that iterates takes the next conversation, so that several threads are a pool. Those
that wait for a thread are connections of the server, with its limits; what they have sent is kept.
"""

from __future__ import annotations

import asyncio
import dataclasses
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, Unpack

from pierhead.address import ListenSpec
from pierhead.blocking.background import Background, within
from pierhead.blocking.conversation import Conversation
from pierhead.codec.base import WireFormat
from pierhead.connection.conversation import Conversation as AsyncConversation
from pierhead.errors import ConnectionEnded
from pierhead.failure_log import OnError
from pierhead.metrics import Metrics
from pierhead.server.converse import converse
from pierhead.server.options import ServerLimits
from pierhead.server.server import Server as AsyncServer

__all__ = ["Listener", "listen"]

Q = TypeVar("Q")
R = TypeVar("R")

#: A conversation whose peer has gone waits this long for a thread, unless a limit says otherwise.
_HANDLER_TIMEOUT_S = 3600.0


def listen(
    addresses: str | ListenSpec | Sequence[str | ListenSpec],
    wire_format: WireFormat[Q, R],
    *,
    metrics: Metrics | None = None,
    on_error: OnError | None = None,
    **limits: Unpack[ServerLimits],
) -> Listener[Q, R]:
    """Return the conversations that arrive at one address, or several; ``with`` opens them.

    Args:
        addresses: where to listen.
        wire_format: its requests are what peers send, its replies what is sent to them.
        metrics, on_error, limits: as for `pierhead.Server`.

    Raises:
        UsageError: no address, a limit that is unknown or out of range.
    """
    given = (addresses,) if isinstance(addresses, (str, ListenSpec)) else tuple(addresses)
    return Listener(given, wire_format, metrics=metrics, on_error=on_error, **limits)


class Listener(Generic[Q, R]):
    """Conversations that arrive; made by `listen`."""

    def __init__(
        self,
        addresses: Sequence[str | ListenSpec],
        wire_format: WireFormat[Q, R],
        *,
        metrics: Metrics | None = None,
        on_error: OnError | None = None,
        **limits: Unpack[ServerLimits],
    ) -> None:
        self._arrivals: _Arrivals[Q, R] = _Arrivals()
        endpoint = converse(self._arrivals.handle, wire_format)
        options = {**endpoint.options, "handler_timeout": _HANDLER_TIMEOUT_S}
        endpoint = dataclasses.replace(endpoint, options=options)
        self._server = AsyncServer(
            endpoint, *addresses, metrics=metrics, on_error=on_error, **limits
        )
        self._background = Background.of_this_process()
        self._accepted: weakref.WeakSet[Conversation[Q, R]] = weakref.WeakSet()

    @property
    def addresses(self) -> list[str]:
        """The bound addresses as text, in the order given."""
        return self._server.addresses

    @property
    def metrics(self) -> Metrics:
        """Everything counted so far."""
        return self._server.metrics

    def __enter__(self) -> Self:
        """Open every address.

        Raises:
            ListenError: an address could not be opened; none is left open.
        """
        self._background.call(self._open())
        return self

    async def _open(self) -> None:
        await self._server.__aenter__()
        self._arrivals.watch(self._server)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; conversations whose block is still running have ``drain_timeout``."""
        for conversation in list(self._accepted):
            if not conversation.is_in_use:
                conversation.close()
        self._background.call(self._close(kind, error, trace))

    async def _close(self, *error: Any) -> None:
        self._arrivals.end()
        await self._server.__aexit__(*error)

    def close(self) -> None:
        """Close; those who wait for a conversation are told that there are no more."""
        self.__exit__(None, None, None)

    def accept(self, *, timeout: float | None = None) -> Conversation[Q, R]:
        """Wait for the next conversation.

        Raises:
            ConnectionEnded: the listener is closed.
            TimeoutError: nobody has connected in time.
        """
        work = within(self._arrivals.next(), timeout, "no conversation has arrived")
        arrived = self._background.call(work)
        if arrived is None:
            listener = ", ".join(self.addresses) or "the listener"
            raise ConnectionEnded(listener, "the listener is closed", is_clean=True)
        conversation = Conversation(
            self._background, arrived.conversation, arrived.leave, is_served=True
        )
        self._accepted.add(conversation)
        return conversation

    def __iter__(self) -> Iterator[Conversation[Q, R]]:
        """Iterate over the conversations, until the listener is closed."""
        return self

    def __next__(self) -> Conversation[Q, R]:
        """Return the next conversation."""
        try:
            return self.accept()
        except ConnectionEnded:
            raise StopIteration from None


class _Arrived(Generic[Q, R]):
    """A conversation that has arrived, and the handler that waits until a thread has left it."""

    def __init__(self, conversation: AsyncConversation[Q, R]) -> None:
        self.conversation = conversation
        self._left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def leave(self, error: BaseException | None) -> None:
        """Let the handler return, or fail with the error, so that it is noted as any handler's."""
        if self._left.done():  # the server has given up the connection
            return
        if error is None:
            self._left.set_result(None)
        else:
            self._left.set_exception(error.with_traceback(None))

    async def until_left(self) -> None:
        await self._left


class _Arrivals(Generic[Q, R]):
    """Conversations that wait for a thread; in the event loop alone."""

    def __init__(self) -> None:
        self._waiting: deque[_Arrived[Q, R]] = deque()
        self._takers: deque[asyncio.Future[None]] = deque()
        self._is_over = False
        self._ended: asyncio.Task[None] | None = None

    async def handle(self, conversation: AsyncConversation[Q, R]) -> None:
        """Hand a conversation over, and wait until the thread has left it."""
        arrived = _Arrived(conversation)
        if self._is_over:
            return
        self._waiting.append(arrived)
        self._wake()
        try:
            await arrived.until_left()
        finally:
            if arrived in self._waiting:
                self._waiting.remove(arrived)

    async def next(self) -> _Arrived[Q, R] | None:
        """Return the next one; None if there are no more."""
        while not self._waiting:
            if self._is_over:
                return None
            taker: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._takers.append(taker)
            try:
                await taker
            except asyncio.CancelledError:
                if taker.done() and not taker.cancelled():
                    self._wake()  # it is for another thread
                raise
        return self._waiting.popleft()

    def watch(self, server: AsyncServer) -> None:
        """End when every listener has ended, as standard input does."""

        async def until_ended() -> None:
            await server.wait_ended()
            self._is_over = True
            self._wake_all()

        self._ended = asyncio.get_running_loop().create_task(until_ended(), name="listener ends")

    def end(self) -> None:
        """Hand out no more; those that nobody has taken are closed."""
        self._is_over = True
        if self._ended is not None:
            self._ended.cancel()
        for arrived in self._waiting:
            arrived.conversation.abort()
        self._wake_all()

    def _wake(self) -> None:
        while self._takers:
            taker = self._takers.popleft()
            if not taker.done():
                taker.set_result(None)
                return

    def _wake_all(self) -> None:
        while self._takers:
            self._wake()
