"""The pulse of the event loop: signs of life while it beats, a warning when it does not.

A service that computes, or calls something that blocks, stops every other service of the process.
The loop beats by a timer; a thread notices that it does not, and says what holds it and where,
while it still does. Supervisors are told from the beat itself, so that a blocked loop says nothing.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from pierhead.metrics import Metrics

__all__ = ["BLOCKED_S", "Pulse"]

_log = logging.getLogger("pierhead.runtime")

#: A loop is blocked if it is this late, in seconds; a client notices a second.
BLOCKED_S = 1.0
#: Where the frames of Pierhead itself are from.
_OWN = str(Path(__file__).parents[1])
#: Between two beats, unless a supervisor wants them more often.
_BEAT_S = 0.5


class Pulse:
    """Beats in the running event loop, from entering to leaving.

    Args:
        metrics: counts how often and how long the loop was blocked.
        alive: called with each beat.
        within_s: the longest time without a call of ``alive``, in seconds; None for any.
    """

    def __init__(
        self, metrics: Metrics, alive: Callable[[], None], within_s: float | None = None
    ) -> None:
        self._alive = alive
        # Half of what is allowed, as sd_watchdog_enabled(3) recommends.
        self._every_s = _BEAT_S if within_s is None else min(_BEAT_S, within_s / 2)
        self._times = metrics.counter("loop_blocked_total")
        self._seconds = metrics.counter("loop_blocked_seconds_total")
        self._ended = threading.Event()
        self._due = 0.0
        self._thread: threading.Thread | None = None

    def __enter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._of_loop = threading.get_ident()
        self._handle = self._loop.call_soon(self._beat)
        self._due = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name="pierhead pulse", daemon=True)
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._handle.cancel()
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _beat(self) -> None:
        now = time.monotonic()
        late = now - self._due
        self._due = now + self._every_s
        self._handle = self._loop.call_later(self._every_s, self._beat)
        if late >= BLOCKED_S:
            self._times.add()
            self._seconds.add(late)
            _log.warning("the event loop was blocked for %.1f s", late)
        self._alive()

    def _watch(self) -> None:
        """Warn once for each time that the loop is blocked, while it is."""
        warned_of = -1.0
        while not self._ended.wait(self._every_s):
            due = self._due
            if due != warned_of and time.monotonic() - due >= BLOCKED_S:
                warned_of = due
                _log.warning(
                    "the event loop is blocked by %s; nothing else is served meanwhile: use await, "
                    "or threaded() for a function that blocks",
                    _holder(sys._current_frames().get(self._of_loop)),
                )


def _holder(frame: FrameType | None) -> str:
    """Return the function that Pierhead has called and not had back, and where it is by now."""
    innermost, called = frame, None
    while frame is not None and not frame.f_code.co_filename.startswith(_OWN):
        called, frame = frame, frame.f_back
    if innermost is None:
        return "what cannot be seen"
    if frame is None or called is None or called is innermost:
        return _place(innermost)
    return f"{_place(called)}, now at {_place(innermost)}"


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno})"
