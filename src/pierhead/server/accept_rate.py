"""The accept rate of a listener whose address sets it (``maxrate=``)."""

from __future__ import annotations

import asyncio

from pierhead.clock import Clock
from pierhead.rate import Rate
from pierhead.server.connection_counters import ConnectionCounters

__all__ = ["AcceptRate"]

#: An event loop may fire timers this much early: its clock resolution, rounded up.
_GRAIN_NS = 1000


class AcceptRate:
    """Limits the accept loop of one listener to a rate, with a burst of one second's worth.

    Faster connections are not dropped: they wait in the system's backlog. The pauses are counted in
    ``accepts_paused_total`` and ``accepts_paused_seconds_total``.

    Args:
        per_second: connections accepted per second.
    """

    def __init__(self, per_second: int, clock: Clock, counters: ConnectionCounters) -> None:
        self.per_second = per_second
        self._rate = Rate(per_second, burst=per_second)
        self._full_at_ns = 0
        self._now = clock.monotonic
        self._pauses = counters.count("accepts_paused_total")
        self._paused_s = counters.count("accepts_paused_seconds_total")

    async def wait(self) -> None:
        """Return once another connection may be accepted; takes no token, so safe to cancel."""
        if not self._wait_ns():
            return
        self._pauses.value += 1
        began = self._now()
        try:
            while wait_ns := self._wait_ns():  # noqa: ASYNC110  # it waits for time alone
                await asyncio.sleep((wait_ns + _GRAIN_NS) / 1e9)
        finally:
            self._paused_s.value += self._now() - began

    def accepted(self) -> None:
        """Take the token of an accepted connection."""
        now = self._now_ns()
        taken = self._rate.take(self._full_at_ns, now)
        assert taken is not None, "wait() returns when there is a token"
        self._full_at_ns = taken

    def _wait_ns(self) -> int:
        return self._rate.wait_ns(self._full_at_ns, self._now_ns())

    def _now_ns(self) -> int:
        return int(self._now() * 1e9)
