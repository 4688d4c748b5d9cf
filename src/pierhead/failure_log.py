"""Says that a service failed: one line, never a flood, never a traceback above debug level.

A request that makes a service raise can be sent a million times, so at most one line a second is
written, with the number left out since the last one. The traceback goes to the debug level.
"""

from __future__ import annotations

import logging
import traceback

from pierhead.clock import Clock

__all__ = ["FailureLog"]

_log = logging.getLogger("pierhead.server")
_INTERVAL_S = 1.0


class FailureLog:
    """Logs failures of services at a bounded rate."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._quiet_until = float("-inf")
        self._left_out = 0

    def report(self, where: str, error: BaseException) -> None:
        """Write one line about this error, or count it as left out."""
        now = self._clock.monotonic()
        if now < self._quiet_until:
            self._left_out += 1
            return
        more = f" ({self._left_out} more since the last line)" if self._left_out else ""
        self._quiet_until, self._left_out = now + _INTERVAL_S, 0
        _log.error("%s: service failed: %s%s", where, _one_line(error), more)
        _log.debug("%s: traceback of the failure above", where, exc_info=error)


def _one_line(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    try:
        text = str(error)
    except Exception:  # the error's own __str__ may raise, and its class says enough
        text = "(its text cannot be had)"
    # What a peer sent may stand in the message: escape it and keep it short.
    shown = text[:200].encode("unicode_escape").decode("ascii")
    return f"{type(error).__name__}: {shown}{'…' if len(text) > 200 else ''}{place}"
