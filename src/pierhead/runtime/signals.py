"""Signal handling while a server runs: every signal has an action, none kills it unprepared.

    SIGTERM, SIGINT, SIGQUIT   the first stops, any later one forces
    SIGXCPU, SIGPWR            stop: what would follow is worse
    SIGHUP                     reloads; stops if the controlling terminal is gone
    `LEFT`                     their usual effect
    every other                logged and ignored, unless the program has a handler

The handlers are Python's own, not the event loop's, which a service could block by blocking the
loop. `Watchdog` is the thread that ends the process if the loop does not react.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, Self

from pierhead.runtime.early import StoppedEarly
from pierhead.runtime.say import say

__all__ = ["LEFT", "Action", "Hearer", "Signals", "Watchdog", "action"]

#: How long the event loop may take to react to the second signal.
_BLOCKED_S = 0.8

#: Signals that keep their usual effect, and why.
LEFT = {
    **dict.fromkeys(("SIGKILL", "SIGSTOP"), "cannot be handled"),
    **dict.fromkeys(("SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGCONT"), "job control of a shell"),
    **dict.fromkeys(("SIGCHLD", "SIGCLD", "SIGURG", "SIGWINCH", "SIGINFO"), "end no process"),
    **dict.fromkeys(("SIGPIPE", "SIGXFSZ"), "Python ignores them: a write fails instead"),
    **dict.fromkeys(
        ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP", "SIGEMT"),
        "the program cannot go on",
    ),
    **dict.fromkeys(("SIGABRT", "SIGIOT"), "asks for a core dump"),
}
_STOP = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGBREAK")
_STOP_ONCE = ("SIGXCPU", "SIGPWR")


class Action(Enum):
    """What a signal does."""

    STOP = "the first stops, later ones force"
    STOP_ONCE = "stops"
    RELOAD = "reloads; stops if the controlling terminal is gone"
    IGNORE = "logged and ignored"
    LEAVE = "keeps its usual effect"


def action(number: int) -> Action:
    """Return what a signal does."""
    name = _name(number)
    if name in _STOP:
        return Action.STOP
    if name in _STOP_ONCE:
        return Action.STOP_ONCE
    if name == "SIGHUP":
        return Action.RELOAD
    return Action.LEAVE if name in LEFT else Action.IGNORE


class Hearer(Protocol):
    """Receives signals, in the event loop."""

    def stop(self, name: str, /) -> None:
        """The first signal to stop."""
        ...

    def force(self) -> None:
        """A later signal to stop."""
        ...

    def reload(self) -> None:
        """Reload files."""
        ...

    def ignored(self, name: str, /) -> None:
        """A signal without a meaning here."""
        ...


class Signals:
    """Handlers of all signals, from entering to leaving; only in the main thread.

    A signal to stop raises `StoppedEarly` until `hold`; after that, signals are kept until a
    `Hearer` listens.
    """

    def __init__(self) -> None:
        self.watchdog = Watchdog()
        self._before: dict[int, Any] = {}
        self._stops = 0
        self._holds = False
        self._waiting: list[Callable[[Hearer], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hearer: Hearer | None = None
        self._grace: Callable[[], float] = lambda: _BLOCKED_S
        self._has_terminal = False
        self._survives_terminal = False

    def __enter__(self) -> Self:
        self._has_terminal = _has_terminal()
        # nohup and the like have ignored it for us, so that the program outlives the terminal.
        hangup = getattr(signal, "SIGHUP", None)
        self._survives_terminal = hangup is not None and signal.getsignal(hangup) is signal.SIG_IGN
        self.watchdog.start()
        foreign = _handled_elsewhere()
        for number in signal.valid_signals():
            if action(number) is Action.LEAVE or self._is_the_program_s(number, foreign):
                continue
            with contextlib.suppress(OSError, ValueError):  # the C library reserves some
                self._before[number] = signal.signal(number, self._received)
        return self

    def __exit__(self, *error: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Restore the handlers, and end the thread; leaving the block then changes nothing."""
        for number, handler in self._before.items():
            # None: installed other than by Python, which cannot restore it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()
        self.watchdog.end()

    def _is_the_program_s(self, number: int, foreign: frozenset[int]) -> bool:
        """Tell whether the program has its own handler, which it keeps."""
        if _name(number) in ("SIGTERM", "SIGINT"):
            return False
        before = signal.getsignal(number)
        if before is signal.SIG_IGN:
            return action(number) is Action.IGNORE  # as if it did not exist
        return before is not signal.SIG_DFL or number in foreign

    def hold(self) -> None:
        """Raise no more: an event loop runs from here on, or is about to.

        An exception between two instructions of an event loop leaves it neither running nor closed;
        so nothing is raised while it starts or stops, either.
        """
        self._holds = True

    @contextlib.contextmanager
    def heard_by(self, hearer: Hearer, grace: Callable[[], float]) -> Iterator[None]:
        """Pass signals to the hearer, in the running event loop, beginning with those kept.

        Args:
            hearer: called for each signal.
            grace: how long the event loop may take to react to the first stop signal, in seconds.
        """
        self._loop, self._hearer, self._grace = asyncio.get_running_loop(), hearer, grace
        waiting, self._waiting = self._waiting, []
        for tell in waiting:
            tell(hearer)
        try:
            yield
        finally:
            self._loop = self._hearer = None

    def _received(self, number: int, frame: FrameType | None) -> None:
        """Decide; called between two instructions of the main thread, so it takes no lock."""
        name, decided = _name(number), action(number)
        if decided is Action.RELOAD and self._terminal_has_gone():
            decided = Action.IGNORE if self._survives_terminal else Action.STOP_ONCE
        if decided is Action.IGNORE:
            self._tell(lambda hearer: hearer.ignored(name))
        elif decided is Action.RELOAD:
            self._tell(lambda hearer: hearer.reload())
        elif decided is Action.STOP or not self._stops:
            self._stops += 1
            self._stop(name)

    def _stop(self, name: str) -> None:
        if not self._holds:
            raise StoppedEarly(name)
        if self._stops == 1:
            if self._loop is not None:
                self.watchdog.expect(self._grace(), "the event loop did not react to the signal")
            self._tell(lambda hearer: hearer.stop(name))
        else:
            self.watchdog.expect(_BLOCKED_S, "a service blocks the event loop")
            self._tell(lambda hearer: hearer.force())

    def _tell(self, tell: Callable[[Hearer], None]) -> None:
        loop, hearer = self._loop, self._hearer
        if loop is None or hearer is None:
            self._waiting.append(tell)
        else:
            loop.call_soon_threadsafe(tell, hearer)

    def _terminal_has_gone(self) -> bool:
        had, self._has_terminal = self._has_terminal, _has_terminal()
        return had and not self._has_terminal


class Watchdog:
    """Ends the process unless it is told in time that all is well.

    Attributes:
        last_words: returns what is printed before the end, after the reason.
    """

    def __init__(self) -> None:
        self.last_words: Callable[[], list[str]] = list
        # Signal handlers may use it: the queue is reentrant, and starting a thread is not.
        self._orders: queue.SimpleQueue[tuple[float, str] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._watch, name="pierhead watchdog", daemon=True)

    def start(self) -> None:
        """Start watching; nothing is expected yet."""
        self._thread.start()

    def expect(self, seconds: float, reason: str) -> None:
        """End the process in this many seconds for this reason, unless told otherwise."""
        self._orders.put((time.monotonic() + seconds, reason))

    def relax(self) -> None:
        """Expect nothing."""
        self._orders.put((float("inf"), ""))

    def end(self) -> None:
        """Stop watching."""
        self._orders.put(None)
        self._thread.join()

    def _watch(self) -> None:
        deadline, reason = float("inf"), ""
        while True:
            left = min(deadline - time.monotonic(), threading.TIMEOUT_MAX)
            try:
                order = self._orders.get(timeout=max(left, 0))
            except queue.Empty:
                if time.monotonic() >= deadline:
                    self._end_process(reason)
                continue
            if order is None:
                return
            deadline, reason = order

    def _end_process(self, reason: str) -> None:
        try:
            for line in [f"forced: {reason}", *self.last_words()]:
                say(line)
        finally:
            os._exit(1)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # between SIGRTMIN and SIGRTMAX
        return f"signal {int(number)}"


def _has_terminal() -> bool:
    """Tell whether this process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True


def _handled_elsewhere() -> frozenset[int]:
    """Return the signals with a handler unknown to Python (`faulthandler` installs such).

    Only Linux reports them; elsewhere the set is empty.
    """
    try:
        status = Path("/proc/self/status").read_text("ascii", "replace")
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        mask = int(caught.split()[1], 16)
    except (OSError, StopIteration, ValueError, IndexError):
        return frozenset()
    return frozenset(bit + 1 for bit in range(mask.bit_length()) if mask >> bit & 1)
