"""The lifespan of an ASGI application: startup before serving begins, shutdown after it ends.

    startup ─▶ complete ─▶ … serving … ─▶ shutdown ─▶ complete
            └▶ failed: nothing is opened

An application that raises or returns before it has answered does not support the lifespan,
according to the ASGI specification; it is served all the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from pierhead.errors import StartupError

__all__ = ["asgi_lifespan"]

_log = logging.getLogger("pierhead.server")

#: How long an application may take to return after it is done or is cancelled.
_UNWIND_S = 1.0

Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]


@asynccontextmanager
async def asgi_lifespan(
    call: Callable[[Receive, Send], Awaitable[object]],
    *,
    is_required: bool = False,
    startup_timeout: float | None = None,
    shutdown_timeout: float | None = None,
) -> AsyncIterator[None]:
    """Start an application, and stop it at the end of the block.

    A failed shutdown is only logged: everything has been answered by then.

    Args:
        call: calls the application in the scope of its lifespan.
        is_required: whether an application without lifespan support is an error.
        startup_timeout: seconds; None for no limit.
        shutdown_timeout: seconds, likewise.

    Raises:
        StartupError: the application could not start; the message is the application's own.
    """
    talk = _Talk(call)
    try:
        await talk.start(is_required, startup_timeout)
        try:
            yield
        finally:  # an address may not have opened
            await talk.stop(shutdown_timeout)
    finally:
        await talk.end()


class _Talk:
    """The lifespan conversation with an application."""

    def __init__(self, call: Callable[[Receive, Send], Awaitable[object]]) -> None:
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._stage = ""
        self._answer: asyncio.Future[Mapping[str, Any]] | None = None
        self._task = asyncio.get_running_loop().create_task(
            self._run(call), name="lifespan of the application"
        )

    async def _run(self, call: Callable[[Receive, Send], Awaitable[object]]) -> None:
        await call(self._events.get, self._send)

    async def _send(self, message: Mapping[str, Any]) -> None:
        kind = message["type"]
        expected = (f"lifespan.{self._stage}.complete", f"lifespan.{self._stage}.failed")
        if kind not in expected or self._answer is None or self._answer.done():
            stage = self._stage or "serving"
            raise RuntimeError(f"the application sent {kind!r} during its {stage}")
        self._answer.set_result(message)

    async def start(self, is_required: bool, timeout_s: float | None) -> None:
        """Announce that serving is about to begin; raise if it must not."""
        answer = await self._ask("startup", timeout_s)
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise StartupError(f"the application did not start: {_reason(answer, 'startup')}")
        if answer is None and not self._task.done():
            raise StartupError(
                f"the application did not start within {timeout_s:g} s: it did not answer "
                "lifespan.startup"
            )
        if answer is None and is_required:
            raise StartupError(f"the application did not start: {self._ending()}")
        if answer is None:
            _log.info("the application does not support the lifespan: %s", self._ending())

    async def stop(self, timeout_s: float | None) -> None:
        """Announce that serving has ended."""
        if self._task.done():
            if self._answer is not None and self._answer.done():  # it supported the lifespan
                _log.warning(
                    "the application's lifespan ended while it was being served: %s", self._ending()
                )
            return
        answer = await self._ask("shutdown", timeout_s)
        if answer is not None and answer["type"] == "lifespan.shutdown.failed":
            _log.error("the application did not stop cleanly: %s", _reason(answer, "shutdown"))
        elif answer is None and not self._task.done():
            _log.error("the application did not stop within %g s", timeout_s)
        elif answer is None:
            error = None if self._task.cancelled() else self._task.exception()
            _log.error("the application did not stop cleanly: %s", self._ending())
            _log.debug("traceback of the failure above", exc_info=error)

    async def end(self) -> None:
        """Wait for the application to return, cancelling it if necessary."""
        if self._stage == "shutdown" and self._answer is not None and self._answer.done():
            await asyncio.wait([self._task], timeout=_UNWIND_S)
        self._task.cancel()
        await asyncio.wait([self._task], timeout=_UNWIND_S)
        if self._task.done() and not self._task.cancelled():
            self._task.exception()  # already reported, or a consequence of its failed

    async def _ask(self, stage: str, timeout_s: float | None) -> Mapping[str, Any] | None:
        """Announce a stage; return the answer, or None if the application ends or is late."""
        self._stage = stage
        answer = self._answer = asyncio.get_running_loop().create_future()
        self._events.put_nowait({"type": f"lifespan.{stage}"})
        waiting: list[asyncio.Future[Any]] = [answer, self._task]
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else None

    def _ending(self) -> str:
        """Describe in one line how the application ended without an answer."""
        if self._task.cancelled():
            return "it was cancelled"
        error = self._task.exception()
        return "it returned" if error is None else f"{type(error).__name__}: {error}"


def _reason(answer: Mapping[str, Any], stage: str) -> str:
    """Return the application's message; if it sent a traceback, as some do, its last line."""
    message = str(answer.get("message", "")).strip()
    if message.startswith("Traceback (most recent call last)"):
        _log.debug("the application's %s failed:\n%s", stage, message)
        return message.splitlines()[-1]
    return message or f"it answered lifespan.{stage}.failed without a reason"
