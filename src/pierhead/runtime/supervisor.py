"""Serving on every core: one process opens the sockets, and others serve on them.

    supervisor   opens, forks, waits; reads nothing from any socket
      ├─ worker 0      `pierhead.runtime.worker`
      └─ worker 1

The supervisor runs no event loop and has no thread, so that a worker begins as a copy of it: zones
that were loaded before are shared. It keeps the sockets open. A worker that dies is replaced, and
what waits in its queues is served by the next one.

    SIGTERM, SIGINT, SIGQUIT   drains the workers; a second one forces them
    SIGHUP                     reloads files: checked here first, then by every worker
"""

from __future__ import annotations

import asyncio
import math
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Unpack, cast

from pierhead.address import ListenSpec
from pierhead.errors import PierheadError, UsageError
from pierhead.listener.wrap.wrappers import certificate_reader
from pierhead.runtime.notify import Notifier
from pierhead.runtime.run import fill_standard_streams
from pierhead.runtime.say import say
from pierhead.runtime.worker import Lifeline, work
from pierhead.runtime.worker_sockets import WorkerSockets
from pierhead.server.conversing import Conversing
from pierhead.server.endpoint import Endpoint
from pierhead.server.options import ServerLimits, ServerOptions

__all__ = ["MOST_WORKERS", "Supervisor", "divided"]

MOST_WORKERS = 255

_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
#: How long a worker that was told to stop may take beyond its drain timeout, until it is killed.
_MARGIN_S = 10.0
#: A worker that dies is replaced at once; if its successor dies within a minute, after twice this
#: long, doubled each time up to the maximum.
_SHORTEST_BACK_OFF_S = 0.1
_LONGEST_BACK_OFF_S = 30.0
_LONG_ENOUGH_S = 60.0

#: Limits of the whole server; each worker has its share of them.
_DIVIDED = ("max_connections", "max_connections_per_network", "max_requests", "max_peers")


def divided(limits: ServerLimits, workers: int) -> ServerLimits:
    """Return the limits of one worker: those of the whole server are divided, rounded up."""
    usual = ServerOptions()
    share: dict[str, Any] = dict(limits)
    for name in _DIVIDED:
        whole = share.get(name, getattr(usual, name))
        if isinstance(whole, (int, float)) and math.isfinite(whole) and whole > 0:
            share[name] = max(1, math.ceil(whole / workers))
    return cast(ServerLimits, share)


class _Slot:
    """One worker's place: its process, or when the next one begins."""

    def __init__(self) -> None:
        self.pid = 0
        self.began = 0.0
        self.begins_at = 0.0
        self.is_ready = False
        self.heard_at = 0.0
        self.deaths = 0


class Supervisor:
    """Serves an endpoint by several processes.

    Args:
        endpoint: complete: what it has loaded is shared by the workers.
        specs: where to serve it.
        workers: how many processes, 2 to 255.
        limits: of the whole server; see `divided`.

    Raises:
        UsageError: this system has no fork, or the number is out of range.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        specs: Sequence[ListenSpec],
        workers: int,
        **limits: Unpack[ServerLimits],
    ) -> None:
        if not hasattr(os, "fork"):
            raise UsageError("several workers need fork(), which this system has not")
        if not 2 <= workers <= MOST_WORKERS:
            raise UsageError(f"workers is {workers}, expected 2 to {MOST_WORKERS}")
        self._endpoint = endpoint
        self._groups = [spec.resolve(endpoint) for spec in specs]
        self._slots = [_Slot() for _ in range(workers)]
        self._limits = divided(limits, workers)
        drain = limits.get("drain_timeout", ServerOptions().drain_timeout)
        self._longest_stop_s = 2 * float(drain) + _MARGIN_S
        self._stops = 0
        self._hangups = 0
        self._kill_at = math.inf
        self._worst = 0
        self._was_ready = False
        self._sockets: WorkerSockets

    def run(self, on_ready: Callable[[Sequence[str]], None] | None = None) -> int:
        """Serve until told to stop; return the exit status.

        Args:
            on_ready: called with the bound addresses once every worker serves.

        Raises:
            ListenError: an address cannot be opened.
        """
        fill_standard_streams()
        self._sockets = asyncio.run(
            WorkerSockets.opened(self._groups, len(self._slots), self._endpoint.alpn)
        )
        if isinstance(self._endpoint.datagram, Conversing):
            say("note: conversations of different workers share no memory; rooms need a backplane")
        before = {number: signal.signal(number, self._heard) for number in self._heeded()}
        self._woken, waker = _pipe()
        self._ready, ready = _pipe()
        alive, self._alive = _pipe()
        self._notifier = Notifier.from_environment()
        watchdog_s = self._notifier.watchdog_s
        self._pulse_s = None if watchdog_s is None else watchdog_s / 4
        self._lifeline = Lifeline(ready, alive, self._pulse_s)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        try:
            self._supervise(on_ready)
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            for descriptor in (self._woken, waker, self._ready, ready, alive, self._alive):
                os.close(descriptor)
            self._sockets.close()
            self._notifier.close()
        return self._worst

    @staticmethod
    def _heeded() -> tuple[signal.Signals, ...]:
        return (*_STOPS, signal.SIGHUP, signal.SIGCHLD)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if number in _STOPS:
            self._stops += 1
        elif number == signal.SIGHUP:
            self._hangups += 1

    # -- what it does until everything has ended -----------------------------------------------

    def _supervise(self, on_ready: Callable[[Sequence[str]], None] | None) -> None:
        told_stops = 0
        while True:
            self._bury()
            while told_stops < self._stops:
                told_stops += 1
                self._stop(told_stops)
            if self._stops and not any(slot.pid for slot in self._slots):
                return
            if self._hangups:
                self._hangups = 0
                self._reload()
            if not self._stops:
                self._begin_due()
            self._note_ready(on_ready)
            self._feed_watchdog()
            self._wait()
            if time.monotonic() >= self._kill_at:
                self._kill_at = math.inf
                self._kill()

    def _wait(self) -> None:
        """Wait for a signal, a worker that is ready, or the next time."""
        times = [slot.begins_at for slot in self._slots if not slot.pid and not self._stops]
        if self._pulse_s is not None:
            times.append(time.monotonic() + self._pulse_s)
        until = min([*times, self._kill_at])
        timeout = None if until == math.inf else max(0.0, until - time.monotonic())
        readable, _, _ = select.select([self._woken, self._ready], [], [], timeout)
        if self._woken in readable:
            _emptied(self._woken)

    def _begin_due(self) -> None:
        now = time.monotonic()
        for number, slot in enumerate(self._slots):
            if not slot.pid and now >= slot.begins_at:
                slot.began, slot.is_ready = now, False
                slot.pid = self._fork(number)

    def _fork(self, number: int) -> int:
        pid = os.fork()
        if pid:
            return pid
        # The worker. A terminal's Ctrl-C is for the supervisor, which tells the workers.
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            for one in self._heeded():
                signal.signal(one, signal.SIG_DFL)
            os.close(self._alive)
            self._notifier.close()
            listeners = self._sockets.lend(number)
        except BaseException as mistake:
            say(f"worker {number}: {type(mistake).__name__}: {mistake}")
            os._exit(3)
        work(number, self._endpoint, listeners, self._lifeline, **self._limits)

    def _note_ready(self, on_ready: Callable[[Sequence[str]], None] | None) -> None:
        now = time.monotonic()
        for number in _emptied(self._ready):
            self._slots[number].is_ready, self._slots[number].heard_at = True, now
        if not self._was_ready and all(slot.is_ready for slot in self._slots):
            self._was_ready = True
            if on_ready is not None:
                on_ready(self._sockets.addresses)
            addresses = " ".join(self._sockets.addresses)
            say(f"ready {addresses}")
            self._notifier.ready(f"serving {addresses} with {len(self._slots)} workers")

    def _feed_watchdog(self) -> None:
        """Give a sign of life, if every worker has given one lately."""
        if self._pulse_s is None:
            return
        oldest = time.monotonic() - 2 * self._pulse_s
        serving = [slot for slot in self._slots if slot.pid and slot.is_ready]
        if all(slot.heard_at >= oldest for slot in serving):
            self._notifier.alive()

    def _bury(self) -> None:
        """Note the workers that have ended, and when their successors begin."""
        for number, slot in enumerate(self._slots):
            if not slot.pid:
                continue
            pid, status = os.waitpid(slot.pid, os.WNOHANG)
            if not pid:
                continue
            slot.pid = 0
            code = os.waitstatus_to_exitcode(status)
            if self._stops:
                self._worst = max(self._worst, 1 if code < 0 else code)
                continue
            if not self._was_ready:  # it cannot start: neither can the others
                self._worst = max(self._worst, code if code > 0 else 1)
                self._stops += 1
                continue
            self._note_death(number, slot, code)

    def _note_death(self, number: int, slot: _Slot, code: int) -> None:
        now = time.monotonic()
        slot.deaths = 0 if now - slot.began >= _LONG_ENOUGH_S else slot.deaths + 1
        pause = min(_LONGEST_BACK_OFF_S, _SHORTEST_BACK_OFF_S * 2 ** min(slot.deaths - 1, 20))
        slot.begins_at = now + (pause if slot.deaths > 1 else 0.0)
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"
        again = f"in {pause:g} s" if slot.deaths > 1 else "at once"
        say(f"worker {number} has ended {how}; the next one begins {again}")

    def _stop(self, times: int) -> None:
        if times == 1:
            say(f"draining {len(self._slots)} workers; a second signal forces")
            self._notifier.stopping(f"draining {len(self._slots)} workers")
            self._kill_at = time.monotonic() + self._longest_stop_s
        # Of two pending signals with one number, a process hears one.
        self._tell(signal.SIGTERM if times % 2 else signal.SIGINT)

    def _kill(self) -> None:
        for number, slot in enumerate(self._slots):
            if slot.pid:
                say(f"worker {number} does not stop, and is killed")
        self._tell(signal.SIGKILL)

    def _tell(self, number: signal.Signals) -> None:
        for slot in self._slots:
            if slot.pid:
                os.kill(slot.pid, number)

    def _reload(self) -> None:
        """Read every file here first: what is wrong reaches no worker."""
        if self._stops:
            say("SIGHUP while stopping: nothing is reloaded")
            return
        listeners = [one for group in self._sockets.of_worker for one in group]
        readers = [read for read in map(certificate_reader, listeners) if read]
        if self._endpoint.reload is not None:
            readers.append(self._endpoint.reload)
        read, faults = [], []
        for reader in readers:
            try:
                read.append(reader())
            except PierheadError as error:
                faults.append(f"error: {error}")
            except Exception as mistake:  # in a reload hook of the program's
                faults.append(f"error: {type(mistake).__name__}: {str(mistake)!a}")
        if faults:
            say("\n".join([*faults, "not reloaded: everything stays as it was"]))
            return
        for one in read:  # workers begun from now on have it too
            one.commit()
        for change in dict.fromkeys(change for one in read for change in one.changes):
            say(change)
        self._notifier.reloading()
        self._tell(signal.SIGHUP)
        self._notifier.ready("reloaded")


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends


def _emptied(descriptor: int) -> bytes:
    """Return everything that a pipe holds."""
    found = b""
    while True:
        try:
            octets = os.read(descriptor, 4096)
        except BlockingIOError:
            return found
        if not octets:
            return found
        found += octets
