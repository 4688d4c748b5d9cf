"""An application on uvicorn's protocol classes: its lifespan, and a guest for each connection.

    bytes ─▶ HostedConnection ─▶ _Http ─▶ uvicorn's HTTP/1.1 ─▶ the application, in a task
                            └─▶ uvicorn's WebSocket, once upgraded

uvicorn's server is not used: `_ServerState` provides what its protocol classes expect of one,
separately for each connection, so that the tasks of a connection are known.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any, cast

import uvicorn

from pierhead.connection.life import Waits
from pierhead.hosting.asgi.disconnect import Attention
from pierhead.hosting.asgi.lifespan import Receive, Send, asgi_lifespan
from pierhead.hosting.refusal import served_already
from pierhead.hosting.uvicorn.config import load
from pierhead.server.connection import ConnectionScope
from pierhead.server.hosted_transport import HostedTransport

__all__ = ["UvicornSite"]


class UvicornSite:
    """An application served by at most one server at a time.

    Args:
        config: uvicorn's, checked.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        self._config = config
        self._headers = _DefaultHeaders(config)
        self._state: dict[str, Any] | None = None  # the application's; None while not served

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Load the application, start it, and stop it at the end.

        Raises:
            StartupError: it could not be loaded or did not start.
        """
        if self._state is not None:
            raise served_already()
        load(self._config)
        self._state = {}
        try:
            if self._config.lifespan == "off":
                yield
            else:
                async with asgi_lifespan(self._run, is_required=self._config.lifespan == "on"):
                    yield
        finally:
            self._state = None

    async def _run(self, receive: Receive, send: Send) -> None:
        asgi = {"version": self._config.asgi_version, "spec_version": "2.0"}
        scope = {"type": "lifespan", "asgi": asgi, "state": self._state}
        await self._config.loaded_app(scope, receive, send)

    def guest(self, scope: ConnectionScope) -> _Guest:
        """Return the guest that serves a connection."""
        assert self._state is not None  # the lifespan outlasts every connection
        state = _ServerState(self._headers)
        make = cast(Any, self._config.http_protocol_class)
        return _Guest(make(self._config, state, self._state), state)


class _DefaultHeaders:
    """The headers of every response: the date, formatted once a second, and configured headers."""

    def __init__(self, config: uvicorn.Config) -> None:
        self._config = config
        self._second = 0
        self._headers: list[tuple[bytes, bytes]] = []

    def now(self) -> list[tuple[bytes, bytes]]:
        second = int(time.time())
        if second != self._second:
            self._second = second
            date = [(b"date", formatdate(second, usegmt=True).encode())]
            self._headers = (date if self._config.date_header else []) + (
                self._config.encoded_headers
            )
        return self._headers


class _ServerState:
    """What uvicorn's protocols share with their server; here, one for each connection."""

    def __init__(self, headers: _DefaultHeaders) -> None:
        self.total_requests = 0
        self.connections: set[asyncio.BaseProtocol] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._headers = headers

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        return self._headers.now()


class _Guest:
    """One connection served by uvicorn's protocols."""

    def __init__(self, protocol: Any, state: _ServerState) -> None:
        self.protocol: asyncio.BaseProtocol = _Http(protocol)
        self._pings = bool(protocol.config.ws_ping_interval)
        self._state = state
        self._is_finishing = False

    @property
    def in_flight(self) -> int:
        """Requests without a complete response; for a WebSocket, its handshake.

        An open WebSocket is a conversation, not a request. It counts once it has been told to close
        and the application has not finished.
        """
        if isinstance(self.protocol, _Http):
            return self.protocol.in_flight
        is_open = getattr(self.protocol, "handshake_complete", True)
        return len(self.unfinished()) if self._is_finishing or not is_open else 0

    @property
    def waits(self) -> Waits:
        """For nothing while the application works, and for a WebSocket that uvicorn pings."""
        if isinstance(self.protocol, _Http):
            return self.protocol.waits
        return Waits.NOTHING if self._pings or self.in_flight else Waits.ACTIVITY

    def end_of_input(self, _: HostedTransport) -> bool:
        """Tell the application."""
        return bool(cast(asyncio.Protocol, self.protocol).eof_received())

    def finish(self, transport: HostedTransport) -> None:
        """Answer what is in flight, then close; a WebSocket is closed with code 1012."""
        self._is_finishing = True
        if not isinstance(self.protocol, _Http):
            cast(Any, self.protocol).shutdown()
            return
        if self.protocol.is_reading_a_request:
            transport.read_on()
        self.protocol.close_when_answered()

    def unfinished(self) -> Collection[asyncio.Future[Any]]:
        """Return the tasks of the application, including background tasks of a response."""
        return tuple(self._state.tasks)


class _Http(asyncio.Protocol):
    """uvicorn's HTTP protocol, h11 or httptools, with what its host asks about it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._is_lost = False
        self._attention = Attention()
        self._called: set[Any] = set()  # the requests for which the application is running
        self._app = inner.app
        inner.app = self._call

    # -- the host's side -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner.connection_made(transport)
        flow = self._inner.flow
        resume_reading = flow.resume_reading

        def resume_when_none_waits() -> None:
            # uvicorn resumes reading after each response, though thousands may wait in its
            # pipeline: a peer could send requests faster than they are answered, without limit.
            if not getattr(self._inner, "pipeline", ()):
                resume_reading()

        flow.resume_reading = resume_when_none_waits

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> None:
        """Close if the peer has broken off, during a request or its response.

        A client that ends its input after a complete request may well be waiting for the response.
        The application is told that it disconnected, and anything it still sends is delivered.
        """
        self._attention.ended.set()
        last = self._last_in_flight()
        if last is not None and (last.more_body or last.response_started):
            self._inner.transport.close()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._inner.connection_lost(exc)
        for cycle in self._called:  # uvicorn tells the last one it has read, which may be waiting
            cycle.disconnected = True
            cycle.message_event.set()

    # -- what is in progress --------------------------------------------------------------------

    async def _call(self, scope: Any, receive: Any, send: Any) -> Any:
        cycle = receive.__self__
        self._called.add(cycle)
        try:
            result, has_heard = await self._attention.call(self._app, scope, receive, send)
        finally:
            self._called.discard(cycle)
        task = asyncio.current_task()
        is_given_up = task is not None and task.cancelling()
        if (has_heard or is_given_up) and not cycle.response_complete:
            cycle.disconnected = True  # or uvicorn would miss the response and send a 500
            self._inner.transport.close()
        return result

    def _last_in_flight(self) -> Any:
        """Return the last request without a complete response, or None.

        While requests wait in a pipeline, it is the last of those.
        """
        cycle = self._inner.cycle
        return None if cycle is None or cycle.response_complete or self._is_lost else cycle

    @property
    def in_flight(self) -> int:
        """How many requests have no complete response yet, among those read so far."""
        if self._last_in_flight() is None:
            return 0
        return 1 + len(getattr(self._inner, "pipeline", ()))  # h11 reads one at a time

    @property
    def is_reading_a_request(self) -> bool:
        """Whether the body of the last request is still arriving."""
        last = self._last_in_flight()
        return last is not None and last.more_body

    @property
    def waits(self) -> Waits:
        """For the next request, or for the rest of one."""
        if self.in_flight == 0:
            return Waits.A_MESSAGE
        reads = self.is_reading_a_request and not self._inner.flow.read_paused
        return Waits.ACTIVITY if reads else Waits.NOTHING

    def close_when_answered(self) -> None:
        """Close after the last response; at once if nothing is in flight."""
        if self._inner.transport.is_closing():
            return
        last = self._last_in_flight()
        connection = getattr(self._inner, "conn", None)  # h11's
        if last is None or connection is None or not connection.trailing_data[0]:
            self._inner.shutdown()
            return
        # h11 keeps pipelined requests as octets. They have been accepted: look again after this
        # response, by which time the next request is being answered.
        answered = last.on_response

        def look_again() -> None:
            answered()
            self.close_when_answered()

        last.on_response = look_again
