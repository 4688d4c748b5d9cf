"""The client: requests to one address, over connections that it opens as needed.

    async with connect("tcp:127.0.0.1:7000", lines.wire_format()) as client:
        print(await client.request("hello"))

A client is a service: layers go around it, and serving one forwards. Many requests may be in flight
at once; each reply goes to its request, as the wire format says. A connection that ends is opened
again when the next request needs it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, Unpack

from pierhead.address import ListenSpec
from pierhead.client.dialled_conversation import dialled_conversation
from pierhead.client.dialler import Dialler
from pierhead.client.line import ClientCounters
from pierhead.client.options import ClientLimits, ClientOptions
from pierhead.client.pool import Pool, Submitted
from pierhead.client.replies import Replies
from pierhead.codec.base import WireFormat, check_one_reply
from pierhead.connection.conversation import Conversation
from pierhead.connection.liveness import Liveness
from pierhead.errors import (
    ConnectionEnded,
    Overloaded,
    RequestTimedOut,
    TimedOut,
    UsageError,
)
from pierhead.metrics import Metrics
from pierhead.service import Middleware, Reply, stack
from pierhead.service.context import Context

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
    """Return a client of this address; ``async with`` connects it.

    Args:
        address: of the server, in any form that a listener takes and that names one place.
        wire_format: the server's: this side encodes its requests and decodes its replies.
        source: the address of this end; None to let the system choose.
        layers: around every request, outermost first, as for a service.
        metrics: the registry to count in; None for one of its own.
        limits: see `ClientLimits`.

    Raises:
        UsageError: the address cannot be dialled, or a limit is out of its range.
    """
    return Client(address, wire_format, source=source, layers=layers, metrics=metrics, **limits)


class Client(Generic[Q, R]):
    """Requests to one address; made by `connect`.

    It opens its first connection when it is entered, or with its first request.

    Attributes:
        metrics: its counters.
    """

    def __init__(
        self,
        address: str | ListenSpec,
        wire_format: WireFormat[Q, R],
        *,
        source: str | None = None,
        layers: Sequence[Middleware] = (),
        metrics: Metrics | None = None,
        **limits: Unpack[ClientLimits],
    ) -> None:
        given: object = wire_format  # as a caller without a type checker may pass
        if not isinstance(given, WireFormat):
            found = type(given).__name__
            raise UsageError(f"a wire format is {found}, expected WireFormat(framing, codec)")
        self._options = ClientOptions.of(limits)
        self.metrics = metrics or Metrics()
        self._wire_format = wire_format
        self._dialler = Dialler(address, source, wire_format, self._options)
        self._counters = ClientCounters(self.metrics, self._dialler.name)
        self._service = stack(self._answer, *layers) if layers else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: Pool | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Client of {self._dialler.name}>"

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            ConnectError: the address cannot be reached.
        """
        await self._running().open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close: replies still awaited have ``drain_timeout`` to arrive, unless an error passes."""
        await self.close(drain=kind is None)

    async def close(self, *, drain: bool = True) -> None:
        """Close; requests made from now on fail.

        Args:
            drain: whether to wait for replies still awaited.
        """
        self._is_closed = True
        self._service = None  # leaves no reference cycle behind
        if self._pool is not None:
            await self._pool.close(drain=drain)

    @property
    def name(self) -> str:
        """The address of the server, as text."""
        return self._dialler.name

    async def check(self) -> None:
        """Find out whether the server is reachable: open a connection and close it.

        Of datagrams, it tells only whether there is a route.

        Raises:
            ConnectError: the address cannot be reached.
        """
        self._bind()
        await self._dialler.check()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of this end, one for each open connection, as text."""
        lines = () if self._pool is None else self._pool.lines
        return tuple(line.local for line in lines if line.is_open)

    def _bind(self) -> None:
        """Belong to the loop that is running at the first use.

        Raises:
            ConnectionEnded: the client is closed.
            UsageError: it belongs to another event loop.
        """
        name = self._dialler.name
        if self._is_closed:
            raise ConnectionEnded(name, "the client is closed", is_clean=True, is_retry_safe=True)
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
            self._dialler.start(self._counters)
        elif self._loop is not loop:
            raise UsageError(
                f"the client of {name} belongs to another event loop; create one in each"
            )

    def _running(self) -> Pool:
        """Return the pool, made for the first request."""
        self._bind()
        if self._pool is None:
            self._pool = Pool(
                self._dialler.name,
                self._dialler.line,
                options=self._options,
                counters=self._counters,
                clock=self._dialler.clock,
            )
        return self._pool

    # -- requests ------------------------------------------------------------------------------

    async def request(  # a timer for each request would cost more: one deadline table has all
        self,
        message: Q,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> R:
        """Send a request and return its reply.

        Args:
            timeout: in seconds, for all of it; None for ``request_timeout``.

        Raises:
            ConnectError: the address cannot be reached.
            ConnectionEnded: the connection ended before the reply.
            RequestTimedOut: no reply came in time.
            DecodeError: the reply is not a message.
            Overloaded: too many requests are waiting.
            UsageError: the message cannot be encoded, or the wire format has many replies.
        """
        check_one_reply(self._wire_format)
        seconds = self._options.request_timeout if timeout is None else timeout
        if self._service is None:
            return await self._one(message, asyncio.get_running_loop().time() + seconds)
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(None if seconds == math.inf else deadline) as scope:
                reply = await self._service(message, self._context(deadline))
        except TimeoutError as error:  # while a layer waited, or what it has sent was not answered
            if scope.expired():
                raise RequestTimedOut(self._dialler.name, "no reply in time") from error
            raise
        return reply  # type: ignore[return-value]  # checked: one reply

    def replies(self, message: Q, *, timeout: float | None = None) -> AsyncIterator[R]:
        """Send a request and iterate over its replies, until the last.

        Args:
            timeout: in seconds, for all of them; None for ``request_timeout``.

        Raises:
            UsageError: the wire format does not say which reply is the last.
        """
        if self._wire_format.last is None:
            raise UsageError(
                "each request has one reply; a format with many says which is the last: "
                "WireFormat(…, last=…)"
            )
        seconds = self._options.request_timeout if timeout is None else timeout
        return self._replies(message, seconds)

    async def _replies(self, message: Q, seconds: float) -> AsyncIterator[R]:
        deadline = asyncio.get_running_loop().time() + seconds
        if self._service is None:
            replies: Any = self._many(message, deadline)
        else:
            replies = await self._service(message, self._context(deadline))
        async with aclosing(replies):
            async for reply in replies:
                yield reply

    def _context(self, deadline: float) -> Context:
        """Return the context of a request that layers see."""
        now = asyncio.get_running_loop().time()
        return Context(self._dialler.peer, now, self._dialler.via, None, (_Deadline(deadline),))

    async def __call__(self, request: Q, context: Context) -> Reply[R]:
        """Answer a request as a service: with the reply of the server."""
        if self._service is not None:
            return await self._service(request, context)
        return await self._answer(request, context)

    async def _answer(self, request: Q, context: Context) -> Reply[R]:
        own = context.get(_Deadline)
        if own is not None:
            deadline = own.at
        else:
            deadline = asyncio.get_running_loop().time() + self._options.request_timeout
        if self._wire_format.last is not None:
            return self._many(request, deadline)
        return await self._one(request, deadline)

    async def _one(self, message: Q, deadline: float) -> R:
        loop = asyncio.get_running_loop()
        pool = self._pool
        if pool is None or self._is_closed or self._loop is not loop:
            pool = self._running()
        reply: asyncio.Future[R] = loop.create_future()
        submitted: Submitted | None = None
        self._counters.requests.value += 1
        try:
            submitted = pool.submit(message, reply, deadline)
            result = await reply
        except BaseException as error:
            is_late = loop.time() >= deadline
            if submitted is not None:
                pool.give_up(submitted, is_late=is_late)
            self._counters.failed(_label(error, is_late=is_late))
            # An error refers to this frame, and the future to the error: no reference cycle.
            del reply, submitted
            raise
        pool.answered(submitted)
        self._counters.answered.value += 1
        return result

    async def _many(self, message: Q, deadline: float) -> AsyncIterator[R]:
        pool = self._running()
        assert self._wire_format.last is not None
        replies: Replies[R] = Replies(self._wire_format.last)
        self._counters.requests.value += 1
        try:
            submitted = pool.submit(message, replies, deadline)
            try:
                async for reply in replies.of(submitted):
                    yield reply
            finally:
                pool.give_up(submitted, is_late=pool.loop.time() >= deadline)
        except BaseException as error:
            self._counters.failed(_label(error, is_late=pool.loop.time() >= deadline))
            raise
        self._counters.answered.value += 1

    # -- conversations -------------------------------------------------------------------------

    def conversation(
        self, *, liveness: Liveness[R, Q] | None = None
    ) -> AbstractAsyncContextManager[Conversation[R, Q]]:
        """Open a conversation, on a connection of its own.

            async with connect(address, lines.wire_format()).conversation() as chat:
                await chat.send("hello")

        Leaving the block sends what is due and closes.

        Args:
            liveness: finds out that the peer is dead, and answers its pings; None for neither.

        Raises:
            ConnectError: the address cannot be reached.
        """
        return dialled_conversation(self._started, liveness)

    def _started(self) -> Dialler:
        self._bind()
        return self._dialler


class _Deadline:
    """The deadline of one request, passed through layers."""

    __slots__ = ("at",)

    def __init__(self, at: float) -> None:
        self.at = at


def _label(error: BaseException, *, is_late: bool) -> str:
    """Return the reason that a failed request is counted under."""
    if isinstance(error, Overloaded):
        return error.limit
    if isinstance(error, TimedOut):
        return "timeout"
    if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        return "timeout" if is_late else "cancelled"
    return _LABELS.get(type(error).__name__, "error")


_LABELS: dict[str, str] = {
    "ConnectError": "connect",
    "ConnectionEnded": "ended",
    "DecodeError": "undecodable",
    "FramingError": "framing",
    "UsageError": "usage",
}
