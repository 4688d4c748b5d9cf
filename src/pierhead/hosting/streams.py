"""Serve a callback written for `asyncio.start_server` on anything that listens.

    import asyncio
    from pierhead import run
    from pierhead import hosting

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()

    run(hosting.streams.serve(echo), "tcp:127.0.0.1:7000", "unix:./echo.sock")

Beside ``peername`` and the like, ``writer.get_extra_info`` knows ``peer`` and ``via``.
"""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeAlias, cast

from pierhead.connection.life import Waits
from pierhead.errors import UsageError
from pierhead.server.connection import ConnectionScope
from pierhead.server.endpoint import Endpoint
from pierhead.server.hosted import hosted
from pierhead.server.makes_endpoint import makes_endpoint

__all__ = ["Callback", "serve"]

#: What `asyncio.start_server` takes.
Callback: TypeAlias = Callable[
    [asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object] | None
]

#: How much a reader buffers before reading from the peer pauses: asyncio's default.
_READER_LIMIT_BYTES = 65_536


@makes_endpoint
def serve(
    callback: Callback,
    *,
    name: str = "streams",
    short_form: tuple[str, ...] = ("tcp",),
    limit: int = _READER_LIMIT_BYTES,
    alpn: tuple[str, ...] = (),
) -> Endpoint:
    """Return the callback, called once for each connection, as an endpoint for streams.

    When an async callback returns or raises, its connection is closed. A connection with no traffic
    for ``idle_timeout`` is closed. When the server stops, the reader reaches its end; a callback
    that has not returned after ``drain_timeout`` is cancelled and reported as lost.

    Args:
        callback: takes an `asyncio.StreamReader` and an `asyncio.StreamWriter`.
        name: for logs and messages.
        short_form: the schemes that an address without a scheme expands to.
        limit: octets in the longest line, and half of what a reader may buffer; as in
            `asyncio.start_server`.
        alpn: protocols to offer in TLS, best first, where the address does not say.
    """
    given: object = callback  # a caller without a type checker may pass anything
    if not callable(given) or inspect.isclass(given):
        hint = "; protocol.serve takes a class of protocols" if callable(given) else ""
        raise UsageError(
            f"{given!r} is not a callback; expected a function of (reader, writer){hint}"
        )
    return Endpoint(
        name=name,
        stream=hosted(lambda scope: _Guest(scope, callback, limit)),
        short_form=short_form,
        alpn=alpn,
    )


class _Guest:
    """A callback with its reader and writer, counted as one request."""

    waits = Waits.ACTIVITY

    def __init__(self, scope: ConnectionScope, callback: Callback, limit: int) -> None:
        self._scope = scope
        self._callback = callback
        self._task: asyncio.Task[None] | None = None
        self._reader = asyncio.StreamReader(limit)
        # asyncio's protocol keeps this callback; a strong reference would make a cycle.
        connected = weakref.WeakMethod(self._connected)

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            method = connected()
            assert method is not None
            method(reader, writer)

        self.protocol: asyncio.BaseProtocol = asyncio.StreamReaderProtocol(self._reader, begin)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        awaited = self._callback(reader, writer)
        if inspect.isawaitable(awaited):
            self._task = asyncio.get_running_loop().create_task(self._run(awaited, writer))

    async def _run(self, awaited: Awaitable[object], writer: asyncio.StreamWriter) -> None:
        try:
            await awaited
        except (ConnectionError, asyncio.IncompleteReadError) as broken:  # the peer's doing
            # The reader keeps the exception, which would keep the frames that keep the reader.
            broken.__traceback__ = None
        except Exception as error:
            self._scope.failures.report(self._scope.via.listener, error)
        finally:
            writer.close()

    @property
    def in_flight(self) -> int:
        """1 while an async callback runs."""
        return len(self.unfinished())

    def end_of_input(self, _: asyncio.Transport) -> bool:
        """End the reader."""
        return bool(cast(asyncio.Protocol, self.protocol).eof_received())

    def finish(self, transport: asyncio.Transport) -> None:
        """End the reader; data already received can still be read."""
        self._reader.feed_eof()
        if self._task is None:  # a plain function does not say when it is done
            transport.close()

    def unfinished(self) -> Collection[asyncio.Future[Any]]:
        """Return the task of the callback while it runs."""
        return () if self._task is None or self._task.done() else (self._task,)
