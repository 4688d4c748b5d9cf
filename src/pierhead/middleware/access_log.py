"""One log line per request, or per so many, after its last reply."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from pierhead.clock import Clock, SystemClock
from pierhead.errors import UsageError
from pierhead.middleware.replies import Replies
from pierhead.service import Middleware, Reply, Service, as_service, is_many
from pierhead.service.context import Context

__all__ = ["access_log"]

R = TypeVar("R")

# Characters that a path, a name or an address may contain without being quoted.
_PLAIN = re.compile(r"[\w.:/@%\[\]+?&,-]+", re.ASCII)


def access_log(
    logger: logging.Logger | None = None, clock: Clock | None = None, *, one_of: int = 1
) -> Middleware:
    """Return a layer that logs each request at INFO.

        peer=192.0.2.1:5353 via=udp:127.0.0.1:5300 outcome=answered replies=1 ms=0.214

    The outcome is ``answered``, ``silent``, ``cancelled``, ``abandoned`` (the consumer closed
    many replies before their end) or the name of the exception. Text chosen by a peer, such as the
    path of its socket, is quoted unless it is harmless. Errors in formatting or in a handler are
    handled by `logging`, and never affect the request.

    Around octets, as one of ``frame_layers=``, it also logs the sizes of request and replies:
    ``in=5 out=12``. The record has all of them as ``record.fields`` too, for formatters.

    Args:
        logger: None for ``pierhead.access``.
        clock: measures the duration; None for the machine's.
        one_of: of so many requests that were answered one is logged; of the others, all.

    Raises:
        UsageError: ``one_of`` is less than 1.
    """
    if one_of < 1:
        raise UsageError(f"one_of is {one_of}, expected 1 or more")
    log = logger if logger is not None else logging.getLogger("pierhead.access")
    sample = _Sample(one_of)
    now = (clock if clock is not None else SystemClock()).monotonic

    def layer(function: Service[Any, Any]) -> Service[Any, Any]:
        service = as_service(function)

        def logged(request: Any, context: Context) -> Awaitable[Reply[Any]]:
            if not log.isEnabledFor(logging.INFO):
                return service(request, context)
            return _logged(service, request, context, _Line(log, now, request, context, sample))

        return logged

    return layer


async def _logged(
    service: Service[Any, Any], request: Any, context: Context, line: _Line
) -> Reply[Any]:
    try:
        reply = await service(request, context)
    except BaseException as error:
        line.write(error, 0)
        raise
    if is_many(reply):
        return _LoggedReplies(reply, line)
    line.add_size(reply)
    line.write(None, 0 if reply is None else 1)
    return reply


class _LoggedReplies(Replies[R]):
    __slots__ = ("_count", "_line")

    def __init__(self, inner: AsyncIterator[R], line: _Line) -> None:
        super().__init__(inner)
        self._line = line
        self._count = 0

    async def _step(self) -> R:
        reply = await self._inner.__anext__()
        self._count += 1
        self._line.add_size(reply)
        return reply

    def _ended(self, error: BaseException | None) -> None:
        self._line.write(error, self._count)


class _Line:
    """The log line of one request, created when the request arrives."""

    __slots__ = ("_context", "_in", "_log", "_now", "_out", "_sample", "_started")

    def __init__(
        self,
        log: logging.Logger,
        now: Callable[[], float],
        request: object,
        context: Context,
        sample: _Sample,
    ) -> None:
        self._log = log
        self._now = now
        self._context = context
        self._sample = sample
        self._in = len(request) if isinstance(request, bytes) else None
        self._out = 0
        self._started = now()

    def add_size(self, reply: object) -> None:
        """Add a reply of octets to their size."""
        if isinstance(reply, bytes):
            self._out += len(reply)

    def write(self, error: BaseException | None, replies: int) -> None:
        outcome = _outcome(error, replies)
        if outcome == "answered" and not self._sample.takes():
            return
        # Formatted by the handler, which catches errors of its own.
        peer, via = _Quoted(self._context.peer), _Quoted(self._context.via.listener)
        ms = (self._now() - self._started) * 1000
        fields = {"peer": peer.value, "via": via.value, "outcome": outcome, "replies": replies}
        fields["ms"] = round(ms, 3)
        text, numbers = "peer=%s via=%s outcome=%s replies=%d ms=%.3f", [replies, ms]
        if self._in is not None:
            text += " in=%d out=%d"
            numbers += [self._in, self._out]
            fields |= {"in": self._in, "out": self._out}
        self._log.info(text, peer, via, outcome, *numbers, extra={"fields": fields})


class _Sample:
    """Takes the first of so many, and the first of the next."""

    __slots__ = ("_left", "_one_of")

    def __init__(self, one_of: int) -> None:
        self._one_of = one_of
        self._left = 0

    def takes(self) -> bool:
        if self._left:
            self._left -= 1
            return False
        self._left = self._one_of - 1
        return True


def _outcome(error: BaseException | None, replies: int) -> str:
    match error:
        case None:
            return "answered" if replies else "silent"
        case asyncio.CancelledError():
            return "cancelled"
        case GeneratorExit():
            return "abandoned"
    return type(error).__name__


class _Quoted:
    """A value as one field of a line: quoted where it could end the field or the line."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __str__(self) -> str:
        text = str(self.value)
        return text if _PLAIN.fullmatch(text) else json.dumps(text)
