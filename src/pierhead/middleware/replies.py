"""How a layer covers all of many replies.

A layer wraps the iterator that a service returned in a subclass of `Replies` and overrides what it
needs: each step, or the end. Whatever happens, there is exactly one end, and the inner iterator is
closed once: after its last reply, a failure, a cancellation, or when the consumer stops early.

It is a class and not an async generator: closing a generator that was never started runs none of
its code, and a request cancelled before its first reply would never end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Generic, TypeVar

__all__ = ["Replies"]

R = TypeVar("R")


class Replies(Generic[R]):
    """Many replies, seen by a layer; the consumer iterates to the end or closes it."""

    __slots__ = ("_inner", "_over")

    def __init__(self, inner: AsyncIterator[R]) -> None:
        self._inner = inner
        self._over = False

    def __aiter__(self) -> AsyncIterator[R]:
        return self

    async def __anext__(self) -> R:
        if self._over:
            raise StopAsyncIteration
        try:
            return await self._step()
        except StopAsyncIteration:
            await self._end(None)
            raise
        except BaseException as error:
            await self._end(error)
            raise

    async def aclose(self) -> None:
        """Stop here; a second call does nothing."""
        await self._end(GeneratorExit())

    async def _step(self) -> R:
        """Return the next reply; raises StopAsyncIteration after the last."""
        return await self._inner.__anext__()

    def _ended(self, error: BaseException | None) -> None:
        """Called once at the end: after the last reply (None), on a failure or a cancellation, or
        on `aclose` before either (GeneratorExit)."""

    async def _end(self, error: BaseException | None) -> None:
        if self._over:
            return
        self._over = True
        try:
            # An iterator need not have aclose(); an async generator has it.
            close = getattr(self._inner, "aclose", None)
            if close is not None:
                await close()
        finally:
            self._ended(error)
