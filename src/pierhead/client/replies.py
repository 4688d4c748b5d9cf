"""Many replies to one request, as they arrive."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

from pierhead.client.pool import Submitted
from pierhead.errors import again

__all__ = ["Replies"]

R = TypeVar("R")

#: Replies that wait for the program; beyond this nothing is read on the connection.
_MAX_WAITING = 32


class Replies(Generic[R]):
    """Collects the replies to one request; the place where a line puts them.

    Args:
        is_last: recognises the last reply.
    """

    def __init__(self, is_last: Callable[[R], bool]) -> None:
        self._is_last = is_last
        self._arrived: deque[R] = deque()
        self._has_all = False
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._submitted: Submitted | None = None

    # -- the line's side -----------------------------------------------------------------------

    def done(self) -> bool:
        """Return whether nothing more is wanted."""
        return self._has_all or self._error is not None

    def set_result(self, reply: R) -> None:
        """Take a reply; a reader that is slow holds up the line."""
        self._arrived.append(reply)
        self._has_all = self._is_last(reply)
        if len(self._arrived) >= _MAX_WAITING and self._submitted is not None:
            line = self._submitted.line
            if line is not None:
                line.hold_up()
        self._wake()

    def set_exception(self, error: BaseException) -> None:
        """Take the reason why there are no more replies."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- the reader's side ---------------------------------------------------------------------

    async def of(self, submitted: Submitted) -> AsyncIterator[R]:
        """Yield the replies to this request, until the last.

        Raises:
            PierheadError: there are no more, for this reason.
        """
        self._submitted = submitted
        while True:
            while self._arrived:
                reply = self._arrived.popleft()
                if not self._arrived and submitted.line is not None:
                    submitted.line.read_on()
                yield reply
            if self._error is not None:
                raise again(self._error)
            if self._has_all:
                return
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
