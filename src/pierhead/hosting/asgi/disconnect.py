"""Tells an ASGI application at once that its client has ended its side.

Servers take the end of input for the client's leaving (``http.disconnect``). It may as well be a
client that has asked all it wants to and waits: so the application hears what it would hear under
its own server, and whatever it answers all the same is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["Attention"]

_DISCONNECT = {"type": "http.disconnect"}


class Attention:
    """What the calls of an application on one connection hear of its end.

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
        """Call an application; return what it returns, and whether it has heard of the end."""
        ear = _Ear(receive, self.ended)
        return await app(scope, ear.receive, *others), ear.has_heard


class _Ear:
    """One call's ``receive``."""

    def __init__(self, receive: Callable[[], Awaitable[Any]], ended: asyncio.Event) -> None:
        self._receive = receive
        self._ended = ended
        self._is_whole = False  # the application has got all of its request
        self._kept: Any = None  # what came while the application gave up waiting
        self.has_heard = False

    async def receive(self) -> Any:
        """Return what the server has to say, or that the client has left."""
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
