"""The connections of one client: those that are idle, and the requests that wait for one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator

from pierhead.client.line import ClientCounters
from pierhead.client.loop_clock import LoopClock
from pierhead.client.route import Route
from pierhead.connection.sweep import Sweep
from pierhead.errors import ConnectError, ConnectionEnded, Overloaded
from pierhead.protocols.http.client.connection import ClientConnection
from pierhead.protocols.http.client.options import HttpClientOptions

__all__ = ["Connections"]

#: Deadlines of connections are enforced at most this much late.
_SWEEP_S = 0.1


class Connections:
    """Keeps connections alive between requests, and opens others while there is room.

    Args:
        route: leads to the server.
    """

    def __init__(self, route: Route, options: HttpClientOptions, counters: ClientCounters) -> None:
        self.loop = asyncio.get_running_loop()
        self._route = route
        self._options = options
        self._counters = counters
        self._clock = LoopClock()
        self._sweep: Sweep | None = Sweep(self._clock, _SWEEP_S, self._steps)
        self._all: set[ClientConnection] = set()
        self._idle: list[ClientConnection] = []  # the one used last is at the end
        self._opening = 0
        self._waiting: deque[asyncio.Future[ClientConnection | None]] = deque()
        self._all_idle: asyncio.Future[None] | None = None
        self._is_closed = False

    async def take(self, *, fresh: bool = False) -> ClientConnection:
        """Return a connection that has no request, opened if there is room for another.

        Args:
            fresh: whether it must be one that has served nothing yet.

        Raises:
            ConnectError: the server cannot be reached.
            Overloaded: too many requests are waiting.
            ConnectionEnded: the client is closed.
        """
        while True:
            if self._is_closed:
                raise self.closed()
            while self._idle and not fresh:
                connection = self._idle.pop()
                if connection.is_open and not connection.transport.is_closing():
                    return connection
            most = self._options.usual.max_connections
            if fresh and self._idle and len(self._all) + self._opening >= most:
                self._idle.pop(0).finish("idle")
            elif len(self._all) + self._opening < most:
                return await self._open()
            given = await self._wait()
            if given is not None and not fresh and given.is_open:
                return given
            if given is not None:
                given.finish("idle")

    async def _wait(self) -> ClientConnection | None:
        """Wait for a connection, or for room for another."""
        if len(self._waiting) >= self._options.usual.max_waiting_requests:
            raise Overloaded("max_waiting_requests")
        waiter: asyncio.Future[ClientConnection | None] = self.loop.create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and (given := waiter.result()) is not None:
                self.freed(given)
            else:
                self._wake_one()
            raise

    async def _open(self) -> ClientConnection:
        self._opening += 1
        made: list[ClientConnection] = []

        def connection() -> ClientConnection:
            made.append(
                ClientConnection(
                    self._route.name, self._options, self._counters, self._clock, self.freed
                )
            )
            return made[-1]

        try:
            await self._route.stream(connection, timeout_s=self._options.usual.connect_timeout)
        except ConnectError as error:
            self._counters.count("connects_failed_total", reason=error.step).value += 1
            raise
        finally:
            self._opening -= 1
            if not made:
                self._wake_one()
        if self._sweep is None:
            made[-1].abort("closed")
            raise self.closed()
        self._all.add(made[-1])
        self._sweep.wake()
        return made[-1]

    def freed(self, connection: ClientConnection) -> None:
        """Take back a connection: it has no request, or has ended."""
        if connection.is_gone:
            self._all.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            self._wake_one()
        elif connection.is_open and not connection.is_busy and not self._is_closed:
            while self._waiting:
                waiter = self._waiting.popleft()
                if not waiter.done():
                    waiter.set_result(connection)
                    return
            if connection not in self._idle:
                self._idle.append(connection)
        elif self._is_closed and not connection.is_busy:
            connection.finish("closed")
        self._note_idle()

    def _wake_one(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _note_idle(self) -> None:
        if (
            self._all_idle is not None
            and not self._all_idle.done()
            and not any(one.is_busy for one in self._all)
        ):
            self._all_idle.set_result(None)

    @property
    def locals(self) -> Iterator[object]:
        """The addresses of this end."""
        return (one.transport.get_extra_info("sockname") for one in self._all if one.is_open)

    def closed(self) -> ConnectionEnded:
        """Return the error of a client that is closed."""
        return ConnectionEnded(
            self._route.name, "the client is closed", is_clean=True, is_retry_safe=True
        )

    def _steps(self, now: float) -> Iterator[bool]:
        for connection in list(self._all):
            connection.sweep(now)
            yield True

    async def close(self, *, drain: bool) -> None:
        """Close every connection, after the responses still awaited if there is time."""
        self._is_closed = True
        while self._waiting:
            self._wake_one()
        try:
            if drain and any(one.is_busy for one in self._all):
                self._all_idle = self.loop.create_future()
                await asyncio.wait([self._all_idle], timeout=self._options.usual.drain_timeout)
        finally:
            await self._close_all()
            if self._sweep is not None:
                self._sweep.stop()
                self._sweep = None

    async def _close_all(self) -> None:
        leaving = []
        for connection in list(self._all):
            if connection.is_busy:
                connection.abort("closed")
            else:
                connection.finish("closed")
            leaving.append(self.loop.create_task(connection.wait_gone()))
        if not leaving:
            return
        _, late = await asyncio.wait(leaving, timeout=self._options.usual.write_timeout)
        for task in late:
            task.cancel()
        for connection in list(self._all):
            connection.abort("closed")
