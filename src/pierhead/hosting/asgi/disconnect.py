"""Tells an ASGI application immediately that its client has ended its input.

Servers treat the end of input as a disconnect (``http.disconnect``). But the client may have sent
all its requests and be waiting for the answers: so the application sees what it would see under its
own server, and anything it still sends is delivered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["Attention"]

_DISCONNECT = {"type": "http.disconnect"}


class Attention:
    """What the application calls on one connection are told about its end.

    Attributes:
        ended: set by the owner once nothing more will arrive.
    """

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def call(
        self,
        app: Callable[..., Awaitable[Any]],
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        *others: Any,
    ) -> tuple[Any, bool]:
        """Call an application; return its result, and whether it was told about the end."""
        ear = _Ear(receive, self.ended)
        return await app(scope, ear.receive, *others), ear.has_heard


class _Ear:
    """The ``receive`` of one call."""

    def __init__(self, receive: Callable[[], Awaitable[Any]], ended: asyncio.Event) -> None:
        self._receive = receive
        self._ended = ended
        self._is_whole = False  # the application has received its whole request
        self._kept: Any = None  # what arrived while the application stopped waiting
        self.has_heard = False

    async def receive(self) -> Any:
        """Return the server's next message, or that the client has disconnected."""
        if self._kept is not None:
            event, self._kept = self._kept, None
        elif self._is_whole:
            event = await self._next_or_end()
        else:
            event = await self._receive()
        if event["type"] == "http.request":
            self._is_whole = not event.get("more_body", False)
        return event

    async def _next_or_end(self) -> Any:
        if not self._ended.is_set():
            following = asyncio.ensure_future(self._receive())
            ending = asyncio.ensure_future(self._ended.wait())
            try:
                await asyncio.wait((following, ending), return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                self._kept = _result(following)
                raise
            finally:
                following.cancel()
                ending.cancel()
            if following.done() and not following.cancelled():
                return following.result()
        self.has_heard = True
        return _DISCONNECT


def _result(following: asyncio.Future[Any]) -> Any:
    is_there = following.done() and not following.cancelled() and following.exception() is None
    return following.result() if is_there else None
