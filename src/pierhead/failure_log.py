"""The log of failures: one line per distinct failure, at a bounded rate; everything at DEBUG.

A request that makes a service raise can be sent a million times. Failures are distinct if their
class or the place in the program that raised them differs; each is logged at most once a second,
with the number omitted since. Nothing in a line is printed as a peer sent it: text is escaped and
shortened.
"""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

from pierhead.clock import Clock
from pierhead.printable import printable
from pierhead.rate import Rate
from pierhead.service.context import Peer

__all__ = ["FailureLog", "OnError", "Where", "one_line"]

_log = logging.getLogger("pierhead.server")
_INTERVAL_S = 1.0
#: How many distinct failures are tracked; the oldest is forgotten first. About 100 KB of memory.
_MOST = 128
#: Lines in a burst, and lines a second after that, over all failures.
_LINES = Rate(per_second=10, burst=32)
_LONGEST = 200


class Where(str):
    """Where a failure happened: a string that names the stage, with attributes for the rest.

    The stages are ``accept``, ``handshake``, ``admission``, ``on_accept``, ``framing``, ``decode``,
    ``service``, ``read``, ``write``, ``close``, ``lost`` and ``sweep``.

    Attributes:
        listener: the listener's name.
        peer: the other end; None if there was none, or it is unknown.
    """

    __slots__ = ("listener", "peer")

    listener: str
    peer: Peer | None

    def __new__(cls, stage: str, listener: str = "", peer: Peer | None = None) -> Where:
        """Return the stage with its attributes."""
        where = super().__new__(cls, stage)
        where.listener = listener
        where.peer = peer
        return where


#: Called with every failure.
OnError: TypeAlias = Callable[[BaseException, Where], object]


class FailureLog:
    """Logs the failures of one listener at a bounded rate, and reports them to a callback.

    Args:
        listener: its name.
        on_error: called with every failure, without a bound; must be quick and never block.
    """

    def __init__(self, clock: Clock, listener: str = "", on_error: OnError | None = None) -> None:
        self._clock = clock
        self._listener = listener
        self._on_error = on_error
        self._seen: OrderedDict[tuple[object, ...], _Seen] = OrderedDict()
        self._full_at_ns = 0

    def report(
        self,
        where: str,
        error: BaseException,
        stage: str = "service",
        peer: Peer | None = None,
    ) -> None:
        """Log a failure of the program itself, or count it as omitted."""
        self._tell(error, stage, peer)
        now = self._clock.monotonic()
        key = (where, type(error), *_place(error))
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = _Seen()
            if len(self._seen) > _MOST:
                self._seen.popitem(last=False)
        if now < seen.quiet_until or not self._may_write(now):
            seen.left_out += 1
            _write(logging.DEBUG, "%s: %s: %s", where, stage, one_line(error))
            return
        more = f" ({seen.left_out} more since the last line)" if seen.left_out else ""
        seen.quiet_until, seen.left_out = now + _INTERVAL_S, 0
        _write(logging.ERROR, "%s: service failed: %s%s", where, _with_place(error), more)
        if _log.isEnabledFor(logging.DEBUG):
            text = "%s: traceback of the failure above\n%s"
            _write(logging.DEBUG, text, where, _traceback(error))

    def note(self, error: BaseException, stage: str, peer: Peer | None = None) -> None:
        """Report a failure, often caused by the peer, at DEBUG and to ``on_error``."""
        if _log.isEnabledFor(logging.DEBUG):
            whom = "" if peer is None else f" {peer}"
            _write(logging.DEBUG, "%s: %s%s: %s", self._listener, stage, whom, one_line(error))
        self._tell(error, stage, peer)

    def _tell(self, error: BaseException, stage: str, peer: Peer | None) -> None:
        if self._on_error is not None:
            try:
                self._on_error(error, Where(stage, self._listener, peer))
            except Exception as mistake:  # the program's own: logged once only
                self._on_error = None
                text = "on_error failed and will not be called again: %s"
                _write(logging.ERROR, text, _with_place(mistake))

    def _may_write(self, now: float) -> bool:
        taken = _LINES.take(self._full_at_ns, int(now * 1e9))
        if taken is None:
            return False
        self._full_at_ns = taken
        return True


def _write(level: int, text: str, *arguments: object) -> None:
    """Write a line, best effort: a log handler that fails must not fail a request."""
    with contextlib.suppress(Exception):
        _log.log(level, text, *arguments)


class _Seen:
    """One kind of failure."""

    __slots__ = ("left_out", "quiet_until")

    def __init__(self) -> None:
        self.quiet_until = float("-inf")
        self.left_out = 0


def one_line(error: BaseException) -> str:
    """Return the class and the text of an error, safe to print and short."""
    try:
        text = str(error)
    except Exception:  # the error's own __str__ may raise; its class says enough
        text = "(its text is unavailable)"
    cut = "…" if len(text) > _LONGEST else ""
    return f"{type(error).__name__}: {printable(text[:_LONGEST])}{cut}"


def _with_place(error: BaseException) -> str:
    name, line = _place(error)
    return f"{one_line(error)} at {name}:{line}" if name else one_line(error)


def _place(error: BaseException) -> tuple[str, int]:
    """Return the file and line that raised; "" if there is no traceback."""
    trace = error.__traceback__
    if trace is None:
        return "", 0
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename, trace.tb_lineno


def _traceback(error: BaseException) -> str:
    """Return the traceback of an error and of its causes, with their texts escaped."""
    parts: list[str] = []
    told: set[int] = set()
    behind: BaseException | None = error
    while behind is not None and id(behind) not in told:
        told.add(id(behind))
        parts.append("".join(traceback.format_tb(behind.__traceback__)) + one_line(behind))
        behind = behind.__cause__ or (None if behind.__suppress_context__ else behind.__context__)
    return "\ncaused by\n".join(parts)
