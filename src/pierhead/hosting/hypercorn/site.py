"""An application on hypercorn's server of one connection: its lifespan, and the guests.

    bytes ─▶ HostedConnection ─▶ HypercornPipe ─▶ _Server (hypercorn's TCPServer, in a task)
                                                       └─▶ H11Protocol or H2Protocol
                                                               └─▶ the application, in a task

hypercorn's own accept loop is not used. Each connection has its own context, through which
hypercorn is told to answer what it has begun and to begin nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, cast

import h2.exceptions
import h11
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.events import StreamClosed
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.typing import AppWrapper

from pierhead.connection.life import Waits
from pierhead.hosting.asgi.disconnect import Attention
from pierhead.hosting.asgi.lifespan import Receive, Send, asgi_lifespan
from pierhead.hosting.hypercorn.config import loaded
from pierhead.hosting.hypercorn.pipe import HypercornPipe
from pierhead.hosting.hypercorn.waiting import (
    ConnectionIsOver,
    Inbox,
    Turn,
    bound,
    is_refused,
    release,
)
from pierhead.hosting.refusal import served_already
from pierhead.server.connection import ConnectionScope
from pierhead.server.hosted_transport import HostedTransport

__all__ = ["HypercornSite"]

#: RFC 6455 §7.4 and IANA's registry: the service restarts.
_SERVICE_RESTART = 1012

#: With one of these an application has finished, unless it says that there is more.
_LAST = ("http.response.body", "http.response.trailers", "websocket.close")


class HypercornSite:
    """An application served by at most one server at a time.

    Args:
        app: the application or its name.
        config: hypercorn's, checked.
        mode: ``asgi`` or ``wsgi``; None to detect it.
    """

    def __init__(self, app: Any, config: Config, mode: str | None) -> None:
        self._app = app
        self._config = config
        self._mode = mode
        self._served: _Served | None = None

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Load the application, start it, and stop it at the end.

        Raises:
            StartupError: it could not be loaded or did not start.
        """
        if self._served is not None:
            raise served_already()
        served = _Served(loaded(self._app, self._config, self._mode), self._config)
        self._served = served
        try:
            async with asgi_lifespan(
                served.live,
                startup_timeout=self._config.startup_timeout,
                shutdown_timeout=self._config.shutdown_timeout,
            ):
                yield
        finally:
            self._served = None

    def guest(self, scope: ConnectionScope) -> _Guest:
        """Return the guest that serves a connection."""
        assert self._served is not None  # the lifespan outlasts every connection
        return _Guest(scope, self._served)


class _Served:
    """An application while it is being served."""

    def __init__(self, app: AppWrapper, config: Config) -> None:
        self.app = app
        self.config = config
        self.state: dict[str, Any] = {}

    async def live(self, receive: Receive, send: Send) -> None:
        """Call the application in the scope of its lifespan."""
        asgi = {"version": "3.0", "spec_version": "2.0"}
        scope: Any = {"type": "lifespan", "asgi": asgi, "state": self.state}
        loop = asyncio.get_running_loop()
        in_thread = partial(loop.run_in_executor, None)
        await self.app(scope, cast(Any, receive), cast(Any, send), in_thread, _call_soon(loop))


def _call_soon(loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(function(*arguments), loop).result()

    return call


class _Protocol:
    """hypercorn's protocol, whose reader stops waiting at the end of the connection."""

    def __init__(self, inner: ProtocolWrapper, at_end: Callable[[], Awaitable[None]]) -> None:
        self._inner = inner
        self._at_end = at_end
        self.initiate = inner.initiate

    @property
    def protocol(self) -> H11Protocol | H2Protocol:
        """What talks to the peer; an upgrade changes it."""
        return self._inner.protocol

    async def handle(self, event: Event) -> None:
        """Take input, or the end of it."""
        with suppress(ConnectionIsOver):
            await self._inner.handle(event)
        if isinstance(event, Closed):
            await self._at_end()


class _Server(TCPServer):
    """hypercorn's server for one connection, which also tells whether it has work to do."""

    is_idle = True
    on_event: Callable[[], None]
    on_end: Callable[[], None]
    _protocol: _Protocol | None = None

    async def protocol_send(self, event: Event) -> None:
        """Do what hypercorn's protocol asks, and record what it reports about itself."""
        if isinstance(event, Updated | Closed):
            self.is_idle = isinstance(event, Closed) or event.idle
        engine = self.engine
        if isinstance(engine, H2Protocol):
            bound(engine)
        elif engine is not None and not isinstance(engine.can_read, Turn):
            engine.can_read = Turn()
            if self.is_lost:
                await self.let_go()
        # On a lost connection the task group may be ending, and starting a timer in it would fail.
        if not (isinstance(event, Updated) and self.is_lost):
            await super().protocol_send(event)
        self.on_event()

    @property
    def is_lost(self) -> bool:
        """Whether the connection has ended."""
        return cast(HypercornPipe, self.reader).is_lost

    @property
    def waits_for_windows(self) -> bool:
        """Whether every stream is blocked on flow control by its peer."""
        engine = self.engine
        if not isinstance(engine, H2Protocol):
            return False
        waiting = engine.stream_buffers
        return all(stream in waiting and waiting[stream].buffer for stream in engine.streams)

    async def end(self) -> None:
        """Release whatever waits, and tell the application: nothing more is read."""
        await self.let_go()
        self.on_end()

    async def let_go(self) -> None:
        """Release whatever waits for a peer that will read and send nothing more."""
        engine = self.engine
        if isinstance(engine, H2Protocol):
            await release(engine)
        elif engine is not None and isinstance(engine.can_read, Turn):
            await engine.can_read.end()

    @property
    def protocol(self) -> ProtocolWrapper:
        """What hypercorn passes its input to."""
        return cast(ProtocolWrapper, self._protocol)

    @protocol.setter
    def protocol(self, protocol: ProtocolWrapper) -> None:
        self._protocol = _Protocol(protocol, self.end)

    @property
    def engine(self) -> H11Protocol | H2Protocol | None:
        """What talks to the peer; None before it has started."""
        return None if self._protocol is None else self._protocol.protocol

    def streams(self) -> Iterator[HTTPStream | WSStream]:
        """Yield the exchanges in progress."""
        engine = self.engine
        if isinstance(engine, H2Protocol):
            yield from engine.streams.values()
        elif engine is not None and engine.stream is not None:
            yield engine.stream


class _Guest:
    """One connection served by hypercorn."""

    def __init__(self, scope: ConnectionScope, served: _Served) -> None:
        self._scope = scope
        self._served = served
        self._pipe = HypercornPipe(self)
        self.protocol: asyncio.BaseProtocol = self._pipe
        self._context = WorkerContext(None)
        self._server: _Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_finishing = False
        self._is_lost = False
        self._is_over = False  # nothing more is read
        self._attention = Attention()
        self._inboxes: dict[Inbox, str] = {}  # and what the application is called for
        self._was_conversation = False  # a WebSocket was told to end

    # -- the pipe's side -----------------------------------------------------------------------

    def made(self) -> None:
        """Start hypercorn's server."""
        served, loop = self._served, asyncio.get_running_loop()
        stream = cast(Any, self._pipe)  # reader and writer in one
        self._server = _Server(
            cast(AppWrapper, self._answer),
            *(loop, served.config, self._context, served.state, stream, stream),
        )
        self._server.on_event = self._wind_up
        self._server.on_end = self._tell_of_end
        self._spawn(self._server.run())

    def lost(self) -> None:
        """Let hypercorn's server end; otherwise it would still wait for its keep-alive timer."""
        self._is_lost = True
        self._terminate()
        for inbox in self._inboxes:
            inbox.take_all()
        if self._server is not None:
            self._spawn(self._server.let_go())

    def _tell_of_end(self) -> None:
        self._is_over = True
        for inbox, kind in self._inboxes.items():
            inbox.disconnect(kind)

    def has_handled(self) -> None:
        """Close after a refusal, which says that the connection will be closed."""
        if not self._speaks_h2 and any(map(is_refused, self._streams())):
            self._pipe.close()

    def has_gone(self) -> bool:
        """Tell whether the end of input means that the peer is not waiting for a response."""
        return any(stream.state is not ASGIHTTPState.REQUEST for stream in self._streams())

    def may_end(self) -> bool:
        """Tell whether hypercorn, which gives up at the end of input, may be told about it.

        A client that ends its input after a whole request may well be waiting for the response.
        """
        return self._h11 is None or self._h11.their_state not in (h11.DONE, h11.MUST_CLOSE)

    async def _answer(self, scope: Any, receive: Any, send: Any, *others: Any) -> None:
        """Call the application; log a protocol violation during the call in one line.

        hypercorn would log a traceback, and a peer can provoke that (with an invalid upgrade to
        h2c).
        """
        inbox = Inbox.of(receive)
        self._inboxes[inbox] = scope["type"]
        if self._is_over:  # before this task had its first step
            inbox.disconnect(scope["type"])

        async def send_and_note(message: Any) -> None:
            if _is_last(message):
                inbox.leave_out_input()
            await send(message)

        try:
            _, has_heard = await self._attention.call(
                self._served.app, scope, receive, send_and_note, *others
            )
            stream = send.__self__
            if has_heard and stream.state is not ASGIHTTPState.CLOSED:
                stream.closed = True  # or hypercorn would answer 500 for it
                self._pipe.close()
        except (h11.ProtocolError, h2.exceptions.ProtocolError) as error:
            self._scope.counters.requests.failed("protocol")
            self._scope.failures.report(self._scope.via.listener, error)
            self._pipe.close()
        finally:
            inbox.leave_out_input()
            del self._inboxes[inbox]

    def _spawn(self, running: Any) -> None:
        task = asyncio.get_running_loop().create_task(self._report(running))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _report(self, running: Any) -> None:
        try:
            await running
        except Exception as error:
            self._scope.failures.report(self._scope.via.listener, error)
            self._pipe.close()

    # -- what is in progress --------------------------------------------------------------------

    def _streams(self) -> Iterable[HTTPStream | WSStream]:
        return () if self._server is None else self._server.streams()

    @property
    def _h11(self) -> h11.Connection | None:
        """The state of HTTP/1.1; None for HTTP/2 and for an open WebSocket."""
        engine = None if self._server is None else self._server.engine
        if isinstance(engine, H11Protocol) and isinstance(engine.connection, h11.Connection):
            return engine.connection
        return None

    @property
    def _speaks_h2(self) -> bool:
        return self._server is not None and isinstance(self._server.engine, H2Protocol)

    @property
    def _is_reading_a_request(self) -> bool:
        """Whether the body of an HTTP/1.1 request is still arriving."""
        connection = self._h11
        return connection is not None and connection.their_state is h11.SEND_BODY

    @property
    def _waiting(self) -> int:
        """How many requests have arrived and not been started, counted by their heads."""
        if self._speaks_h2 or self._has_websocket or self._is_reading_a_request:
            return 0
        read = b"" if self._h11 is None else self._h11.trailing_data[0]
        return (read + self._pipe.waiting).count(b"\r\n\r\n")

    @property
    def _has_websocket(self) -> bool:
        return any(isinstance(stream, WSStream) for stream in self._streams())

    @property
    def in_flight(self) -> int:
        """Requests without a complete response; for a WebSocket, its handshake.

        An open WebSocket is a conversation, not a request. It counts once it has been told to close
        and the application has not finished.
        """
        if self._was_conversation:
            return int(bool(self._tasks))
        if self._server is None or self._is_lost:
            return 0
        if self._speaks_h2 or self._has_websocket:
            return sum(map(_is_request, self._streams()))
        return int(not self._server.is_idle) + self._waiting

    @property
    def waits(self) -> Waits:
        """For nothing while the application works, and for a WebSocket that hypercorn pings."""
        if self._has_websocket and self._served.config.websocket_ping_interval:
            return Waits.NOTHING
        if self.in_flight:
            reads = self._is_reading_a_request and not self._pipe.is_paused
            has_windows = self._server is not None and self._server.waits_for_windows
            return Waits.ACTIVITY if reads or has_windows else Waits.NOTHING
        # In HTTP/2, not every frame begins a request.
        return Waits.ACTIVITY if self._speaks_h2 or self._has_websocket else Waits.A_MESSAGE

    # -- the end -------------------------------------------------------------------------------

    def end_of_input(self, _: HostedTransport) -> bool:
        """Tell hypercorn, or only the application if the peer may be waiting for its response."""
        self._attention.ended.set()
        self._pipe.eof_received()
        return False

    def finish(self, transport: HostedTransport) -> None:
        """Answer what is in flight, then close; a WebSocket is closed with code 1012."""
        self._is_finishing = True
        if self._speaks_h2 or self._is_reading_a_request:
            transport.read_on()  # for a body, or for window updates that let an answer continue
        self._wind_up()

    def _wind_up(self) -> None:
        """Have hypercorn close after its current work, once nothing else is queued.

        Called after everything that hypercorn does.
        """
        if not self._is_finishing:
            return
        self._pipe.takes_more = self._speaks_h2 or self._is_reading_a_request
        is_done = self._server is None or (self._server.is_idle and not self._waiting)
        if not (is_done or self._speaks_h2 or self._has_websocket):
            return
        self._terminate()
        if self._has_websocket and not self._was_conversation:
            self._was_conversation = True
            self._spawn(self._end_conversations())

    def _terminate(self) -> None:
        if not self._context.terminated.is_set():
            self._spawn(self._context.terminated.set())

    async def _end_conversations(self) -> None:
        """Close every WebSocket, and tell the application."""
        assert self._server is not None
        engine = self._server.engine
        assert engine is not None
        for stream in list(self._server.streams()):
            if isinstance(stream, WSStream):
                close: Any = {"type": "websocket.close", "code": _SERVICE_RESTART}
                await stream.app_send(close)
                await engine.stream_send(StreamClosed(stream_id=stream.stream_id))

    def unfinished(self) -> Collection[asyncio.Future[Any]]:
        """Return the tasks of this connection, including those of the application."""
        return tuple(self._tasks)


def _is_last(message: Any) -> bool:
    """Tell whether this ends a response, or a WebSocket."""
    has_more = message.get("more_body", False) or message.get("more_trailers", False)
    return message["type"] in _LAST and not has_more


def _is_request(stream: HTTPStream | WSStream) -> bool:
    if is_refused(stream):
        return False
    return isinstance(stream, HTTPStream) or stream.state is ASGIWebsocketState.HANDSHAKE
