"""The connections of a client, and the requests that wait for one of them.

    submit ─▶ a line with room ─▶ its reply
        │           ▲
        └▶ waiting ─┘ `changed`: room, a new connection, or none after all

Connections are opened when a request needs one; after failures, with growing delays.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from pierhead.client.deadlines import Deadlines
from pierhead.client.line import ClientCounters, Line, Reply, settle
from pierhead.client.options import ClientOptions
from pierhead.clock import Clock
from pierhead.codec.matching import Asked
from pierhead.connection.sweep import Sweep
from pierhead.errors import ConnectionEnded, Overloaded, RequestTimedOut

__all__ = ["Pool", "Submitted"]

#: Deadlines of connections are enforced at most this much late.
_SWEEP_S = 0.1
_SHORTEST_BACK_OFF_S = 0.1


class Submitted:
    """One request: waiting for a line, or sent on one."""

    __slots__ = ("asked", "deadline", "line", "message", "reply")

    def __init__(self, message: Any, reply: Reply, deadline: float) -> None:
        self.message = message
        self.reply = reply
        self.deadline = deadline
        self.line: Line | None = None
        self.asked: Asked[Any, Any] | None = None

    def send(self, line: Line) -> None:
        """Send it on a line with room."""
        self.asked = line.ask(self.message, self.reply)
        self.line = line


class Pool:
    """The lines of one client.

    Args:
        name: the address, for messages.
        dial: opens a line, given what it calls when it changes; raises ConnectError.

    Attributes:
        loop: the event loop of all of them.
        lines: those that have not ended.
    """

    def __init__(
        self,
        name: str,
        dial: Callable[[Callable[[], None]], Coroutine[Any, Any, Line]],
        *,
        options: ClientOptions,
        counters: ClientCounters,
        clock: Clock,
    ) -> None:
        self._name = name
        self._dial = dial
        self._options = options
        self._counters = counters
        self.loop = asyncio.get_running_loop()
        self._deadlines: Deadlines[Submitted] = Deadlines(self.loop, self._expire)
        self._sweep: Sweep | None = Sweep(clock, _SWEEP_S, self._steps)
        # In order; any of them may be given up, thousands at once.
        self._waiting: OrderedDict[Submitted, None] = OrderedDict()
        self._dialling: asyncio.Task[None] | None = None
        self._is_opening = False
        self._failures = 0
        self._last_failure = ""
        self._not_before = 0.0
        self._is_closed = False
        self._all_answered: asyncio.Future[None] | None = None
        self.lines: list[Line] = []

    # -- requests ------------------------------------------------------------------------------

    def submit(self, message: Any, reply: Reply, deadline: float) -> Submitted:
        """Send a request, now or when there is room; ``reply`` receives the outcome.

        Raises:
            Overloaded: too many requests are waiting.
            ConnectionEnded: the client is closed.
            UsageError: it cannot be encoded.
        """
        submitted = Submitted(message, reply, deadline)
        line = None if self._waiting else self._free()
        if line is not None:
            submitted.send(line)
        elif self._is_closed:
            raise self._closed()
        elif len(self._waiting) >= self._options.max_waiting_requests:
            raise Overloaded("max_waiting_requests")
        else:
            self._waiting[submitted] = None
            self._dial_if_needed()
        self._deadlines.add(submitted)
        return submitted

    def answered(self, submitted: Submitted) -> None:
        """Note that a request has its reply, or the reason why it has none."""
        self._deadlines.remove(submitted)

    def give_up(self, submitted: Submitted, *, is_late: bool = False) -> None:
        """Drop the reply of a request when it arrives."""
        self._deadlines.remove(submitted)
        if submitted.line is not None:
            assert submitted.asked is not None
            submitted.line.give_up(submitted.asked, is_late=is_late)
        else:
            self._waiting.pop(submitted, None)

    def _expire(self, submitted: Submitted) -> None:
        if not submitted.reply.done():
            was_sent = submitted.line is not None
            reason = "no reply in time" if was_sent else self._why_it_waited()
            late = RequestTimedOut(self._name, reason, is_retry_safe=not was_sent)
            submitted.reply.set_exception(late)
        self.give_up(submitted, is_late=True)

    def _why_it_waited(self) -> str:
        if self._last_failure and not any(line.is_open for line in self.lines):
            return f"no connection in time; the last attempt failed: {self._last_failure}"
        return "no connection had room in time"

    def _free(self) -> Line | None:
        """Return the line with the fewest requests, if it has room."""
        if len(self.lines) == 1:  # the usual case
            line = self.lines[0]
            return line if line.has_room else None
        with_room = [line for line in self.lines if line.has_room]
        return min(with_room, key=lambda line: line.load) if with_room else None

    def changed(self) -> None:
        """Send what waits, as far as there is room."""
        self._forget_gone()
        while self._waiting:
            line = self._free()
            if line is None:
                self._dial_if_needed()
                break
            submitted, _ = self._waiting.popitem(last=False)
            if submitted.reply.done():
                continue
            try:
                submitted.send(line)
            except Exception as error:  # it cannot be encoded
                settle(submitted.reply, error)
        if self._all_answered is not None and not self._is_busy() and not self._all_answered.done():
            self._all_answered.set_result(None)

    def _forget_gone(self) -> None:
        if any(line.is_gone for line in self.lines):
            self.lines = [line for line in self.lines if not line.is_gone]

    # -- connections ---------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the first connection, unless there is one.

        Raises:
            ConnectError: the address cannot be reached.
            ConnectionEnded: the client was closed meanwhile.
        """
        if any(line.is_open for line in self.lines):
            return
        self._is_opening = True
        try:
            line = await self._dial(self.changed)
        except BaseException:
            self._is_opening = False
            self.changed()  # a request may wait that began meanwhile
            raise
        self._is_opening = False
        if not self._add(line):
            raise self._closed()

    def _add(self, line: Line) -> bool:
        """Use a new line; return false if it comes too late."""
        if self._sweep is None:
            line.abort("closed")
            return False
        self._failures = 0
        self._last_failure = ""
        self.lines.append(line)
        self._sweep.wake()
        self.changed()
        return True

    def _closed(self) -> ConnectionEnded:
        return ConnectionEnded(
            self._name, "the client is closed", is_clean=True, is_retry_safe=True
        )

    def _dial_if_needed(self) -> None:
        # Those that only wait for the last replies, or for their end, do not count.
        number = sum(line.is_open for line in self.lines)
        is_full = number >= self._options.max_connections
        is_dialling = self._dialling is not None or self._is_opening
        if not (is_dialling or self._is_closed or is_full):
            self._dialling = self.loop.create_task(self._open_another(), name=f"dial {self._name}")

    async def _open_another(self) -> None:
        try:
            await asyncio.sleep(max(0.0, self._not_before - self.loop.time()))
            line = await self._dial(self.changed)
        except Exception as error:
            self._dialling = None
            self._note_failure()
            self._last_failure = getattr(error, "reason", "") or type(error).__name__
            self._fail_waiting(error)
        else:
            self._dialling = None
            self._add(line)

    def _note_failure(self) -> None:
        longest = self._options.max_back_off
        pause = min(longest, _SHORTEST_BACK_OFF_S * 2 ** min(self._failures, 20))
        self._failures += 1
        self._not_before = self.loop.time() + pause * random.uniform(0.5, 1.5)

    def _fail_waiting(self, error: Exception) -> None:
        # Those with room elsewhere, on a connection that is full now, go on waiting.
        if any(line.is_open for line in self.lines):
            return
        waiting, self._waiting = self._waiting, OrderedDict()
        for submitted in waiting:
            settle(submitted.reply, error)

    def _steps(self, now: float) -> Iterator[bool]:
        for line in list(self.lines):
            line.sweep(now)
            yield True

    # -- the end -------------------------------------------------------------------------------

    def _is_busy(self) -> bool:
        return bool(self._waiting) or any(line.load for line in self.lines)

    async def close(self, *, drain: bool) -> None:
        """Close every connection, after the replies still awaited if there is time."""
        self._is_closed = True
        while self._waiting:
            settle(self._waiting.popitem(last=False)[0].reply, self._closed())
        try:
            if self._dialling is not None:
                self._dialling.cancel()
                await asyncio.wait([self._dialling])
            if drain and self._is_busy():
                await self._drained()
        finally:
            await self._close_lines()
            if self._sweep is not None:
                self._sweep.stop()
                self._sweep = None
            self._deadlines.stop()

    async def _drained(self) -> None:
        self._all_answered = self.loop.create_future()
        await asyncio.wait([self._all_answered], timeout=self._options.drain_timeout)

    async def _close_lines(self) -> None:
        lines = list(self.lines)
        for line in lines:
            line.finish("closed")
        leaving = [self.loop.create_task(line.wait_gone()) for line in lines]
        if not leaving:
            return
        try:
            seconds = self._options.write_timeout + self._options.linger_timeout
            await asyncio.wait(leaving, timeout=seconds)
        finally:
            for line, task in zip(lines, leaving, strict=True):
                if not task.done():
                    task.cancel()
                    line.abort("closed")
