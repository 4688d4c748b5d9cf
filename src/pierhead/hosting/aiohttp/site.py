"""An application on aiohttp's protocol: its life, and a guest for each connection.

    lifespan ─▶ AppRunner.setup ─▶ … connections … ─▶ drain ─▶ on_shutdown ─▶ AppRunner.cleanup
    bytes    ─▶ HostedConnection ─▶ _Handler, which is aiohttp's RequestHandler

aiohttp keeps to itself what it works on, so that the handler counts what came in and what was
answered. Needs aiohttp; imported by `pierhead.hosting.aiohttp` when it is first used.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, cast

from aiohttp import StreamReader, http, web

from pierhead.errors import PierheadError, ServiceFailed, StartupError, UsageError
from pierhead.hosting.refusal import served_already

if TYPE_CHECKING:
    from pierhead.hosting.aiohttp import Source
    from pierhead.server.connection import ConnectionScope
    from pierhead.server.hosted_transport import HostedTransport

__all__ = ["AiohttpSite"]

#: aiohttp has a timer of its own for idle connections, which must not be before ours: the
#: longest ``idle_timeout`` there may be.
_KEEPALIVE_S = 2_592_000.0
#: How long aiohttp waits for what the drain has left; it has been named lost.
_SHUTDOWN_S = 1.0


class AiohttpSite:
    """An application that is served once at a time.

    Args:
        name: for messages.
        source: the application, or what makes it.
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
        """Start the application up; at the end, clean it up, whatever happened.

        Raises:
            StartupError: it could not be made or did not start.
            ServiceFailed: it did not end well.
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
        """Return what serves a connection."""
        assert self._runner is not None
        assert self._runner.server is not None
        return _Guest(_Handler(scope, self._runner.server), self._runner)

    async def _make_runner(self) -> _AppRunner | web.ServerRunner:
        made = await self._made()
        if isinstance(made, web.Server):
            if self._settings:
                given = ", ".join(self._settings)
                raise UsageError(f"give {given} to aiohttp.web.Server, which is made already")
            return web.ServerRunner(made, shutdown_timeout=_SHUTDOWN_S)
        if isinstance(made, web.Application):
            return _AppRunner(made, shutdown_timeout=_SHUTDOWN_S, **self._settings)
        raise UsageError(f"the function made {made!r}; expected an aiohttp.web.Application")

    async def _made(self) -> object:
        if isinstance(self._source, web.Application | web.Server):
            return self._source
        with self._naming("making the application", StartupError):
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
        """Say which step has failed; an error of ours says so itself."""
        try:
            yield
        except PierheadError:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise kind(f"{self._name}: {step} failed: {reason}") from error


class _AppRunner(web.AppRunner):
    """Calls ``on_shutdown`` once: when connections are drained, or else at the end."""

    __slots__ = ("_shutting_down",)

    def __init__(self, app: web.Application, **settings: Any) -> None:
        super().__init__(app, **settings)
        self._shutting_down: asyncio.Task[None] | None = None

    def begin_shutdown(self) -> asyncio.Task[None]:
        """Tell the application that connections are to end, and return who does so."""
        if self._shutting_down is None:
            shutdown = super().shutdown()
            self._shutting_down = asyncio.get_running_loop().create_task(shutdown)
        return self._shutting_down

    async def shutdown(self) -> None:
        """Wait for ``on_shutdown``; cleaning up goes on where it has failed."""
        await asyncio.wait([self.begin_shutdown()])

    def shutdown_failure(self) -> Exception | None:
        """Return what ``on_shutdown`` raised, if it did."""
        if self._shutting_down is None or self._shutting_down.cancelled():
            return None
        return cast("Exception | None", self._shutting_down.exception())


class _Handler(web.RequestHandler):
    """aiohttp's protocol for one connection, counting what it takes in and answers."""

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
            **server._kwargs,  # what the application and the caller want of it
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
        self._body: StreamReader | None = None  # of the newest request
        self._is_finishing = False
        self._is_refused = False
        self.input_ended = False
        self.is_upgraded = False  # to WebSocket
        self.task: asyncio.Task[Any] | None = None

    @property
    def in_flight(self) -> int:
        """How many requests have been taken in and not answered, queued ones included."""
        return self._request_count - self._answered

    @property
    def expects_more(self) -> bool:
        """Whether the peer has to send more for what has been taken in."""
        return self.is_upgraded or (self._body is not None and not self._body.is_eof())

    def finish(self) -> None:
        """Answer what has been taken in and nothing after that."""
        self._is_finishing = True

    # -- what aiohttp calls --------------------------------------------------------------------

    async def start(self) -> None:
        """Serve requests until the connection is to end."""
        self.task = asyncio.current_task()
        if self.connected:  # or it has been lost before this task began to run
            await super().start()
        if self._hidden is not None:  # aiohttp has not seen that there is something to close
            self.force_close()

    def data_received(self, data: bytes) -> None:
        """Take in requests and bodies; at the stop, only the rest of a body."""
        if data and self._is_finishing and not self.expects_more:
            return
        super().data_received(data)
        if self._messages:
            self._replace_body(self._messages[-1][1])

    def _replace_body(self, newest: StreamReader) -> None:
        """Note the newest body; one that a newer one has cut off has no end and gets an error.

        aiohttp's parser leaves it as it is where the octets are no chunk, and who reads it would
        wait for ever.
        """
        body, self._body = self._body, newest
        if body is not None and body is not newest and not body.is_eof():
            body.set_exception(web.RequestPayloadError("what follows is no part of a body"))

    def eof_received(self) -> None:
        """Note the end; close where something is missing that will not come any more.

        A peer that closes one direction may read the other. What handlers return is sent to it,
        and for everything else that they do, it has left: that is what aiohttp would tell them.
        """
        self.input_ended = True
        if self.transport is None:
            return
        if self.expects_more or (self.task is not None and self._cancels and self.in_flight):
            self.transport.close()
        elif self._request_in_progress:
            self._hide()

    def _hide(self) -> None:
        """Let handlers find what they find when their client has left: no transport."""
        if self.transport is not None:
            self._hidden, self.transport = self.transport, None

    def _show(self) -> None:
        if self._hidden is not None:
            self.transport, self._hidden = self._hidden, None

    async def _handle_request(self, request: Any, start_time: Any, request_handler: Any) -> Any:
        """Have a request handled; note that the handler has found out that its client left."""

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
        """Send a response; the last one says so (RFC 9112 §9.6)."""
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
        """Report a mistake of the application in one line; say nothing of the peer's."""
        error = named.get("exc_info") or TypeError(*arguments)
        if self._is_peers(error):
            if not self._is_refused:  # the connection ends with the first
                self._is_refused = True
                self._scope.counters.dropped("http")
            self.logger.debug(*arguments, **named)
        else:
            self._scope.failures.report(self._scope.via.listener, error)

    def _is_peers(self, error: BaseException) -> bool:
        """Tell whether what the peer sent is wrong, or it has left while it was served."""
        if isinstance(error, ConnectionError):
            return self.transport is None or self.transport.is_closing()
        return isinstance(error, http.HttpProcessingError | web.RequestPayloadError)


class _Guest:
    """A connection in the hands of aiohttp."""

    def __init__(self, handler: _Handler, runner: _AppRunner | web.ServerRunner) -> None:
        self._handler = handler
        self._runner = runner
        self.protocol: asyncio.BaseProtocol = handler

    @property
    def in_flight(self) -> int:
        """How many requests are being answered or wait for their turn; 1 for a WebSocket."""
        return self._handler.in_flight

    @property
    def waits_for_peer(self) -> bool:
        """Whether nothing is in flight, or only the rest of a body is awaited."""
        handler = self._handler
        if not handler.in_flight:
            return True
        # What the application does not read yet is not the peer's fault.
        is_reading = handler.transport is not None and handler.transport.is_reading()
        return handler.expects_more and not handler.is_upgraded and is_reading

    @property
    def awaits_request(self) -> bool:
        """Whether the peer owes a request."""
        return not self._handler.in_flight

    def end_of_input(self, _: HostedTransport) -> bool:
        """Tell the handler."""
        self._handler.eof_received()
        return False

    def finish(self, transport: HostedTransport) -> None:
        """Close if nothing is in flight; else answer, and read what that takes."""
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
