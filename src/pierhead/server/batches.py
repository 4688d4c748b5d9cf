"""What servers of one datagram listener share: batches in and out, loops, errors, counts.

readable ─▶ receive_batch ─▶ `_on_readable` ─▶ … ─▶ `_add` ─▶ send_batch, once per iteration
                                                                  │ no room
                                                                  └─▶ Unsent, for a while
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from pierhead.clock import Clock
from pierhead.failure_log import FailureLog, OnError
from pierhead.listener.base import (
    Datagram,
    DatagramListener,
    PerDatagramVia,
    ReplyTo,
    report_mistakes,
)
from pierhead.listener.own_addresses import OwnAddresses
from pierhead.listener.wrap.wrappers import unwrapped
from pierhead.metrics import Metric, Metrics
from pierhead.server.connection_counters import watch_load
from pierhead.server.listener_options import ListenerOptions
from pierhead.server.loops import Reflections
from pierhead.server.options import ServerOptions
from pierhead.server.unsent import Unsent, is_full
from pierhead.service.context import Peer, Transport, Via
from pierhead.service.counters import RequestCounters
from pierhead.service.request_times import RequestTimes

__all__ = ["BatchServer", "send_reason"]

# Errors of sendmmsg that concern one message, by the label they are counted under.
_SEND_REASONS = {
    errno.EMSGSIZE: "reply_too_large",
    errno.EAGAIN: "send_buffer_full",
    errno.ENOBUFS: "send_buffer_full",
    errno.ECONNREFUSED: "peer_gone",
    errno.ENOENT: "peer_gone",
}

_log = logging.getLogger("pierhead.server")

#: Receiving pauses this long after an error, doubling up to the maximum.
_SHORTEST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0

W = TypeVar("W")


def send_reason(number: int) -> str:
    """Return the label of a send error in the metrics."""
    return _SEND_REASONS.get(number, "send_error")


class BatchServer(ABC, Generic[W]):
    """Serves the datagrams of one listener; ``W`` is whose a datagram to be sent is.

    Args:
        listener: the listener to receive from; closed by `close`.
        options: the limits in effect unless the address overrides them; change them with
            `reconfigure`.
        own_addresses: of all servers in this process; datagrams that claim to be from one are not
            answered.
        on_error: called with every failure here.
    """

    _is_started = False
    _flush_due = False
    _truncated_so_far = 0
    _resuming: asyncio.TimerHandle | None = None
    _log_errors_after = float("-inf")

    def __init__(
        self,
        listener: DatagramListener,
        *,
        options: ServerOptions,
        clock: Clock,
        metrics: Metrics,
        own_addresses: OwnAddresses,
        on_error: OnError | None,
    ) -> None:
        self.listener = listener
        self._clock = clock
        self._own_addresses = own_addresses
        self._loop = asyncio.get_running_loop()
        self._own = unwrapped(listener).local
        self._reflections: Reflections | None = None
        self._on_error = on_error
        self._outgoing: list[Datagram] = []
        self._whose: list[W] = []  # for each of them
        self._unsent: Unsent[W] = Unsent(clock, self._send_again, self._note_sent, self._give_up)
        self._metrics = metrics
        self._unwatch: Callable[[], None] | None = None
        self._name = ""
        self._obey(listener, options)
        self._idle = asyncio.Event()
        self._idle.set()
        self._pause_s = _SHORTEST_PAUSE_S

    # -- what a subclass says ------------------------------------------------------------------

    @abstractmethod
    def _on_readable(self) -> None:
        """Take what has arrived."""

    def _held_bytes(self, whose: W) -> int:
        """Return how many octets a datagram keeps alive, besides its own, while it waits."""
        return 0

    @abstractmethod
    def _note_all_sent(self, whose: list[W]) -> None:
        """Note that the system has taken a datagram of each of these."""

    @abstractmethod
    def _note_sent(self, whose: W) -> None:
        """Note that the system has taken a datagram at last."""

    @abstractmethod
    def _note_refused(self, datagram: Datagram, whose: W, number: int) -> None:
        """Note that the system does not take a datagram."""

    @property
    @abstractmethod
    def in_flight(self) -> int:
        """How many requests are in flight."""

    # -- its life ------------------------------------------------------------------------------

    def _obey(self, listener: DatagramListener, options: ServerOptions) -> None:
        """Do as the address says from now on, which may have another name as well."""
        self.listener = listener
        self._at = ListenerOptions.of(listener.spec)
        self.options = self._at.apply(options)
        self._per_datagram = listener if isinstance(listener, PerDatagramVia) else None
        self._refused_so_far: dict[str, int] = {}
        if self._unwatch is not None:
            if self._name == self._at.name:
                return
            self._unwatch()
        self._name = self._at.name
        self._via = Via(
            transport=Transport.DATAGRAM,
            scheme=self._own.partition(":")[0],
            local=self._own,
            listener=self._name,
        )
        self._received = self._count("datagrams_received_total")
        self._sent = self._count("datagrams_sent_total")
        self._bytes_received = self._count("bytes_received_total")
        self._bytes_sent = self._count("bytes_sent_total")
        self._batches = self._count("batches_total")
        self._truncated = self._count("dropped_total", reason="truncated")
        histogram = partial(self._metrics.histogram, listener=self._name)
        self._times = RequestTimes(histogram, self._clock.monotonic)
        self._counters = RequestCounters(self._count, self._times)
        self._failures = FailureLog(self._clock, self._name, self._on_error)
        self._unwatch = watch_load(self._metrics, self._name, self, lambda: self._unsent.octets)

    def _listen_through(self, listener: DatagramListener, options: ServerOptions) -> bool:
        """Obey a listener, the same or another around the same socket; return whether it is other.

        One that is other has to be started.
        """
        is_other = listener is not self.listener
        if is_other:
            self.listener.stop()
        self._obey(listener, options)
        return is_other

    def start(self) -> None:
        """Start receiving."""
        if not self._is_started:
            self._is_started = True
            self._own_addresses.add(self._own)
        report_mistakes(self.listener, self._failures)
        self.listener.start(self._on_readable)

    def reconfigure(self, options: ServerOptions) -> None:
        """Change the limits, from the next batch on."""
        self.options = self._at.apply(options)

    def drain(self) -> None:
        """Stop receiving; what has been accepted still gets its answers."""
        if self._resuming is not None:
            self._resuming.cancel()
        self.listener.stop()

    async def wait_ended(self) -> None:
        """Wait for ever: more datagrams may always arrive."""
        await asyncio.get_running_loop().create_future()

    def forget(self) -> None:
        """Undo the making of a server that was never started; its listener stays as it is."""
        if self._unwatch is not None:
            self._unwatch()

    def close(self) -> None:
        """Send what is due and close the listener."""
        self.forget()
        self.listener.stop()
        self._flush()
        self._unsent.give_up()
        self.listener.close()
        if self._is_started:
            self._is_started = False
            self._own_addresses.remove(self._own)

    # -- receiving -----------------------------------------------------------------------------

    def _receive(self) -> list[Datagram]:
        try:
            batch = self.listener.receive_batch(self.options.batch_size)
        except OSError as error:
            self._pause(error)
            return []
        self._pause_s = _SHORTEST_PAUSE_S
        if self.listener.truncated != self._truncated_so_far:
            self._count_truncated()
        if self._per_datagram is not None:
            self._count_refused(self._per_datagram)
        self._received.value += len(batch)
        self._bytes_received.value += sum([len(frame) for frame, _ in batch])
        return batch

    def _pause(self, error: OSError) -> None:
        """Stop receiving for a while: a persistent error would make the loop spin."""
        self._count("receive_errors_total").value += 1
        self._failures.note(error, "accept")
        now = self._clock.monotonic()
        if now >= self._log_errors_after:
            self._log_errors_after = now + 1.0
            words = error.strerror or str(error)
            _log.warning("%s: cannot receive: %s; retrying", self._name, words)
        self.listener.stop()
        self._resuming = self._loop.call_later(self._pause_s, self.start)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _count_refused(self, per_datagram: PerDatagramVia) -> None:
        # Another listener of the same name may count here too (both halves of a wildcard).
        for reason, number in per_datagram.refused.items():
            before = self._refused_so_far.get(reason, 0)
            if number != before:
                self._count("dropped_total", reason=reason).value += number - before
                self._refused_so_far[reason] = number

    def _count_truncated(self) -> None:
        now = self.listener.truncated
        self._truncated.value += now - self._truncated_so_far
        self._truncated_so_far = now

    def _is_loop(self, peer: Peer | None) -> bool:
        """Return whether an answer would come back to this process or reach no one; count it."""
        reason = None if peer is None else self._own_addresses.why_silent(peer)
        if reason is not None:
            self._counters.dropped(reason)
        return reason is not None

    def _is_reflected(self, frame: bytes, peer: Peer, now: float) -> bool:
        """Return why a service that reflects its input must not answer, if it must not."""
        assert self._reflections is not None
        reason = self._reflections.why_silent(frame, peer, now)
        if reason is not None:
            self._counters.dropped(reason)
        return reason is not None

    # -- sending -------------------------------------------------------------------------------

    def _add(self, frame: bytes, reply_to: ReplyTo, whose: W) -> None:
        """Queue a datagram, to be sent with the others of this iteration."""
        self._outgoing.append((frame, reply_to))
        self._whose.append(whose)
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        outgoing, whose = self._outgoing, self._whose
        self._outgoing, self._whose = [], []
        if not outgoing:
            return
        if refused := self._send(outgoing):
            timeout = self.options.datagram_write_timeout
            room = self.options.max_unsent_datagram_bytes
            for index, number in refused:
                one = outgoing[index], whose[index]
                held = self._held_bytes(whose[index])
                if not (is_full(number) and self._unsent.keep(*one, timeout, room, held)):
                    self._give_up(*one, number)
            gone = {index for index, _ in refused}
            whose = [one for index, one in enumerate(whose) if index not in gone]
        self._note_all_sent(whose)
        if not self._idle.is_set():
            self._idle.set()

    def _send(self, datagrams: Sequence[Datagram]) -> list[tuple[int, int]]:
        refused = self.listener.send_batch(datagrams)
        self._sent.value += len(datagrams) - len(refused)
        octets = sum([len(frame) for frame, _ in datagrams])
        if refused:
            octets -= sum([len(datagrams[index][0]) for index, _ in refused])
        self._bytes_sent.value += octets
        return refused

    def _send_again(self, datagrams: Sequence[Datagram]) -> list[tuple[int, int]]:
        refused = self._send(datagrams)
        self._idle.set()
        return refused

    def _give_up(self, datagram: Datagram, whose: W, number: int) -> None:
        self._note_refused(datagram, whose, number)
        peer = self.listener.peer(datagram[1])
        self._failures.note(OSError(number, os.strerror(number)), "write", peer)

    def _count(self, name: str, **labels: str) -> Metric:
        return self._metrics.counter(name, listener=self._name, **labels)

    # What a sender may be, at a glance: the port, or the start of a name.

    def _is_suspect(self, peer: Peer) -> bool:
        """Return whether a datagram from this peer would make a loop; quick for all others."""
        raw = peer.raw
        if type(raw) is bytes:
            glance: Any = raw[2:4]
        else:
            glance = raw[1] if type(raw) is tuple else raw
        return glance in self._own_addresses.suspects and self._is_loop(peer)
