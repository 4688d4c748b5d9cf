"""Open connections when their listener gets another handler: they switch to it, or close."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

from pierhead.server.connection import ConnectionScope, ServedConnection
from pierhead.server.endpoint import GoesOn, StreamHandler
from pierhead.service.admission import Admission

__all__ = ["Succession", "Wait", "go_over", "nothing_before"]

#: Returns once the requests begun before a change have ended.
Wait: TypeAlias = Callable[[], Awaitable[None]]


class Succession:
    """How the connections of one listener follow its handler.

    Args:
        connections: the open connections, by their scopes; maintained by the listener's server.
        drain_timeout: how long those that close may take.

    Attributes:
        one_closed: to be set, by `closed`, when a connection has; None while it is not awaited.
    """

    def __init__(
        self,
        connections: Mapping[ConnectionScope, ServedConnection],
        drain_timeout: Callable[[], float],
    ) -> None:
        self._connections = connections
        self._drain_timeout = drain_timeout
        self.one_closed: asyncio.Event | None = None

    def follow(
        self, before: StreamHandler, handler: StreamHandler, admission: Admission | None
    ) -> Wait:
        """Make every open connection follow; return a function that waits for earlier requests."""
        gone_over: list[Wait] = []
        leaving: list[ConnectionScope] = []
        for scope, connection in list(self._connections.items()):
            answered = go_over((scope, connection), before, handler, admission)
            if answered is None:
                leaving.append(scope)
                connection.drain()
            else:
                gone_over.append(answered)
        return partial(self._wait, gone_over, leaving)

    def closed(self) -> None:
        """Note that a connection has closed."""
        if self.one_closed is not None:
            self.one_closed.set()
            self.one_closed = None

    async def _wait(self, gone_over: Sequence[Wait], leaving: Sequence[ConnectionScope]) -> None:
        try:
            async with asyncio.timeout(self._drain_timeout()):
                await self._wait_closed(leaving)
        except TimeoutError:
            for scope in leaving:
                if scope in self._connections:
                    self._connections[scope].abort("drain")
            await self._wait_closed(leaving)
        await asyncio.gather(*[answered() for answered in gone_over])

    async def _wait_closed(self, leaving: Sequence[ConnectionScope]) -> None:
        while any(scope in self._connections for scope in leaving):
            self.one_closed = self.one_closed or asyncio.Event()
            await self.one_closed.wait()


def go_over(
    connection: tuple[ConnectionScope, ServedConnection],
    before: StreamHandler,
    handler: StreamHandler,
    admission: Admission | None,
) -> Wait | None:
    """Switch an open connection to another handler from its next request on.

    Returns:
        A function that waits for the earlier requests; None if it cannot have this handler.
    """
    if not (isinstance(handler, GoesOn) and handler.goes_on_from(before)):
        return None
    scope, served = connection
    scope.admission = admission
    follow: Any = served
    return cast(Wait, follow.answer_with(handler.handler))


async def nothing_before() -> None:
    """Return at once: nothing has changed, so there is nothing to wait for."""
