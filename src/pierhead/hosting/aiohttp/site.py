"""An application on aiohttp's protocol: its lifespan, and a guest for each connection.

    lifespan ─▶ AppRunner.setup ─▶ … connections … ─▶ drain ─▶ on_shutdown ─▶ AppRunner.cleanup
    bytes    ─▶ HostedConnection ─▶ _Handler, which is aiohttp's RequestHandler

aiohttp does not expose what it is working on, so the handler counts what was received and what was
answered. Needs aiohttp; imported by `pierhead.hosting.aiohttp` on first use.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, cast

from aiohttp import StreamReader, http, web

from pierhead.connection.life import Waits
from pierhead.errors import PierheadError, ServiceFailed, StartupError, UsageError
from pierhead.hosting.refusal import served_already

if TYPE_CHECKING:
    from pierhead.hosting.aiohttp import Source
    from pierhead.server.connection import ConnectionScope
    from pierhead.server.hosted_transport import HostedTransport

__all__ = ["AiohttpSite"]

#: aiohttp has its own timer for idle connections, which must not fire before ours: the longest
#: ``idle_timeout`` allowed.
_KEEPALIVE_S = 2_592_000.0
#: How long aiohttp waits for requests left after the drain; they have been reported as lost.
_SHUTDOWN_S = 1.0


class AiohttpSite:
    """An application served by at most one server at a time.

    Args:
        name: for messages.
        source: the application, or the function that creates it.
        settings: aiohttp's own, checked.
    """

    def __init__(self, name: str, source: Source, settings: dict[str, Any]) -> None:
        if not (isinstance(source, web.Application | web.Server) or callable(source)):
            raise UsageError(
                f"{source!r} cannot be served; expected an aiohttp.web.Application, an "
                "aiohttp.web.Server, or a function that makes one"
            )
        self._name = name
        self._source = source
        self._settings = settings
        self._runner: _AppRunner | web.ServerRunner | None = None

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Start the application, and always clean it up at the end.

        Raises:
            StartupError: it could not be created or did not start.
            ServiceFailed: it did not shut down cleanly.
        """
        if self._runner is not None:
            raise served_already()
        self._runner = runner = await self._make_runner()
        try:
            with self._naming("startup", StartupError):
                await runner.setup()
            yield
        finally:
            self._runner = None
            await self._clean_up(runner)

    def guest(self, scope: ConnectionScope) -> _Guest:
        """Return the guest that serves a connection."""
        assert self._runner is not None
        assert self._runner.server is not None
        return _Guest(_Handler(scope, self._runner.server), self._runner)

    async def _make_runner(self) -> _AppRunner | web.ServerRunner:
        made = await self._made()
        if isinstance(made, web.Server):
            if self._settings:
                given = ", ".join(self._settings)
                raise UsageError(f"give {given} to aiohttp.web.Server, which exists already")
            return web.ServerRunner(made, shutdown_timeout=_SHUTDOWN_S)
        if isinstance(made, web.Application):
            return _AppRunner(made, shutdown_timeout=_SHUTDOWN_S, **self._settings)
        raise UsageError(f"the function returned {made!r}; expected an aiohttp.web.Application")

    async def _made(self) -> object:
        if isinstance(self._source, web.Application | web.Server):
            return self._source
        with self._naming("creating the application", StartupError):
            made = self._source()
            return await made if inspect.isawaitable(made) else made

    async def _clean_up(self, runner: _AppRunner | web.ServerRunner) -> None:
        with self._naming("cleanup", ServiceFailed):
            await runner.cleanup()
        if isinstance(runner, _AppRunner) and (mistake := runner.shutdown_failure()) is not None:
            with self._naming("shutdown", ServiceFailed):
                raise mistake

    @contextmanager
    def _naming(self, step: str, kind: type[StartupError | ServiceFailed]) -> Iterator[None]:
        """Name the step that failed, unless the error is already one of Pierhead's."""
        try:
            yield
        except PierheadError:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise kind(f"{self._name}: {step} failed: {reason}") from error


class _AppRunner(web.AppRunner):
    """Calls ``on_shutdown`` once: after the connections have drained, or else at the end."""

    __slots__ = ("_shutting_down",)

    def __init__(self, app: web.Application, **settings: Any) -> None:
        super().__init__(app, **settings)
        self._shutting_down: asyncio.Task[None] | None = None

    def begin_shutdown(self) -> asyncio.Task[None]:
        """Announce to the application that connections will close; return the task doing so."""
        if self._shutting_down is None:
            shutdown = super().shutdown()
            self._shutting_down = asyncio.get_running_loop().create_task(shutdown)
        return self._shutting_down

    async def shutdown(self) -> None:
        """Wait for ``on_shutdown``; cleanup continues even if it failed."""
        await asyncio.wait([self.begin_shutdown()])

    def shutdown_failure(self) -> Exception | None:
        """Return what ``on_shutdown`` raised, if it did."""
        if self._shutting_down is None or self._shutting_down.cancelled():
            return None
        return cast("Exception | None", self._shutting_down.exception())


class _Handler(web.RequestHandler):
    """aiohttp's protocol for one connection, counting requests received and answered."""

    __slots__ = (
        "_answered",
        "_body",
        "_cancels",
        "_has_found_out",
        "_hidden",
        "_is_finishing",
        "_is_refused",
        "_scope",
        "input_ended",
        "is_upgraded",
        "task",
    )

    def __init__(self, scope: ConnectionScope, server: web.Server) -> None:
        loop = asyncio.get_running_loop()
        settings = {
            **server._kwargs,  # the application's and the caller's settings
            "keepalive_timeout": _KEEPALIVE_S,
            "tcp_keepalive": False,
            "lingering_time": scope.options.linger_timeout,
        }
        super().__init__(server, loop=loop, **settings)
        self._scope = scope
        self._cancels = server.handler_cancellation
        self._hidden: asyncio.Transport | None = None
        self._has_found_out = False
        self._answered = 0
        self._body: StreamReader | None = None  # the newest request's
        self._is_finishing = False
        self._is_refused = False
        self.input_ended = False
        self.is_upgraded = False  # to WebSocket
        self.task: asyncio.Task[Any] | None = None

    @property
    def in_flight(self) -> int:
        """How many requests were received and not yet answered, queued ones included."""
        return self._request_count - self._answered

    @property
    def expects_more(self) -> bool:
        """Whether the peer still has to send part of a request already received."""
        return self.is_upgraded or (self._body is not None and not self._body.is_eof())

    def finish(self) -> None:
        """Answer the requests already received and accept no more."""
        self._is_finishing = True

    # -- what aiohttp calls --------------------------------------------------------------------

    async def start(self) -> None:
        """Serve requests until the connection closes."""
        self.task = asyncio.current_task()
        if self.connected:  # or it was lost before this task started
            await super().start()
        if self._hidden is not None:  # aiohttp cannot see a transport to close
            self.force_close()

    def data_received(self, data: bytes) -> None:
        """Accept requests and bodies; while stopping, only the rest of a body."""
        if data and self._is_finishing and not self.expects_more:
            return
        super().data_received(data)
        if self._messages:
            self._replace_body(self._messages[-1][1])

    def _replace_body(self, newest: StreamReader) -> None:
        """Record the newest body; one cut off by a newer one never ends and gets an error.

        When the octets are not a valid chunk, aiohttp's parser leaves the body as it is, and its
        reader would wait forever.
        """
        body, self._body = self._body, newest
        if body is not None and body is not newest and not body.is_eof():
            body.set_exception(web.RequestPayloadError("what follows is not part of the body"))

    def eof_received(self) -> None:
        """Record the end of input; close if part of a request is missing.

        A peer that closes its sending direction may still read. What handlers return is sent to it;
        otherwise handlers see it as disconnected, as they would under aiohttp's own server.
        """
        self.input_ended = True
        if self.transport is None:
            return
        if self.expects_more or (self.task is not None and self._cancels and self.in_flight):
            self.transport.close()
        elif self._request_in_progress:
            self._hide()

    def _hide(self) -> None:
        """Show handlers what they see after a disconnect: no transport."""
        if self.transport is not None:
            self._hidden, self.transport = self.transport, None

    def _show(self) -> None:
        if self._hidden is not None:
            self.transport, self._hidden = self._hidden, None

    async def _handle_request(self, request: Any, start_time: Any, request_handler: Any) -> Any:
        """Handle a request; record whether the handler noticed that its client disconnected."""

        async def handle(request: Any) -> Any:
            try:
                return await request_handler(request)
            except ConnectionError:
                self._has_found_out = self._hidden is not None
                raise

        if self.input_ended:
            self._hide()
        return await super()._handle_request(request, start_time, handle)

    def force_close(self) -> None:
        """Close at once."""
        self._show()
        super().force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        self._hidden = None
        super().connection_lost(exc)

    def set_parser(self, *arguments: Any, **named: Any) -> None:
        """Let a WebSocket read from now on."""
        self.is_upgraded = True
        super().set_parser(*arguments, **named)

    async def finish_response(self, request: Any, resp: Any, start_time: Any) -> Any:
        """Send a response, marking the last one as such (RFC 9112 §9.6)."""
        self._show()
        if self._has_found_out:
            self.force_close()
        if self._is_finishing and self.in_flight <= 1 and isinstance(resp, web.StreamResponse):
            resp.force_close()
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._answered += 1
            self._scope.counters.requests.answered.value += 1

    def log_exception(self, *arguments: Any, **named: Any) -> None:
        """Log an application's error in one line; log nothing for the peer's."""
        error = named.get("exc_info") or TypeError(*arguments)
        if self._is_peers(error):
            if not self._is_refused:  # the connection ends with the first
                self._is_refused = True
                self._scope.counters.dropped("http")
            self.logger.debug(*arguments, **named)
        else:
            self._scope.failures.report(self._scope.via.listener, error)

    def _is_peers(self, error: BaseException) -> bool:
        """Tell whether the peer sent something invalid, or disconnected while being served."""
        if isinstance(error, ConnectionError):
            return self.transport is None or self.transport.is_closing()
        return isinstance(error, http.HttpProcessingError | web.RequestPayloadError)


class _Guest:
    """A connection served by aiohttp."""

    def __init__(self, handler: _Handler, runner: _AppRunner | web.ServerRunner) -> None:
        self._handler = handler
        self._runner = runner
        self.protocol: asyncio.BaseProtocol = handler

    @property
    def in_flight(self) -> int:
        """How many requests are being answered or queued; 1 for a WebSocket."""
        return self._handler.in_flight

    @property
    def waits(self) -> Waits:
        """For the next request, or for the rest of a body."""
        handler = self._handler
        if not handler.in_flight:
            return Waits.A_MESSAGE
        # Input that the application has not read yet is not the peer's fault.
        is_reading = handler.transport is not None and handler.transport.is_reading()
        expects_more = handler.expects_more and not handler.is_upgraded and is_reading
        return Waits.ACTIVITY if expects_more else Waits.NOTHING

    def end_of_input(self, _: HostedTransport) -> bool:
        """Tell the handler."""
        self._handler.eof_received()
        return False

    def finish(self, transport: HostedTransport) -> None:
        """Close if nothing is in flight; otherwise answer, reading whatever that takes."""
        handler = self._handler
        handler.finish()
        if not handler.input_ended and isinstance(self._runner, _AppRunner):
            self._runner.begin_shutdown()  # WebSockets are the application's to close
        if not handler.in_flight:
            transport.close()
        elif not handler.input_ended:
            transport.read_on()

    def unfinished(self) -> Collection[asyncio.Future[Any]]:
        """Return the task that serves the connection while it runs."""
        task = self._handler.task
        return () if task is None or task.done() else (task,)
