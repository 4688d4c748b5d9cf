"""The datagram server: receives in batches, answers each datagram, sends in batches.

    readable ─▶ receive_batch ─▶ respond ───────────▶ send_batch, once per loop iteration
                                    │ waits                 ▲
                                    └─▶ InFlight ─ settle ──┘

It knows bytes only. Work in flight is bounded by ``max_requests``; requests beyond it are counted
and shed, with the protocol's own refusal if it has one.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

from pierhead.clock import Clock
from pierhead.connection.in_flight import InFlight, Request
from pierhead.connection.tasks import EagerTasks
from pierhead.errors import RequestLost
from pierhead.failure_log import FailureLog, OnError
from pierhead.listener.base import Datagram, DatagramListener, PerDatagramVia, ReplyTo
from pierhead.listener.own_addresses import OwnAddresses
from pierhead.listener.wrap.wrappers import unwrapped
from pierhead.metrics import Metric, Metrics
from pierhead.server.connection_counters import watch_load
from pierhead.server.listener_options import ListenerOptions
from pierhead.server.loops import Reflections
from pierhead.server.lost_requests import LostRequest
from pierhead.server.options import ServerOptions
from pierhead.server.unsent import Unsent, is_full
from pierhead.service import FrameHandler
from pierhead.service.admission import Admission
from pierhead.service.context import Context, Peer, Transport, Via
from pierhead.service.counters import RequestCounters
from pierhead.service.respond import Outcome, Responder

__all__ = ["DatagramServer"]

# Errors of sendmmsg that concern one message, by the label they are counted under.
_SEND_REASONS = {
    errno.EMSGSIZE: "reply_too_large",
    errno.EAGAIN: "send_buffer_full",
    errno.ENOBUFS: "send_buffer_full",
    errno.ECONNREFUSED: "peer_gone",
    errno.ENOENT: "peer_gone",
}


# Looking up an enum member is slow on Python 3.11.
_ANSWERED, _READY = Outcome.ANSWERED, Outcome.READY
_SUSPENDED, _MANY = Outcome.SUSPENDED, Outcome.MANY

_log = logging.getLogger("pierhead.server")

#: Receiving pauses this long after an error, doubling up to the maximum.
_SHORTEST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


class _DatagramRequest(Request):
    """One datagram, its sender and where its replies go.

    Attributes:
        unsent: how many of its replies the system has not taken.
        refused_for: why the system refused one of them; "" if it did not.
        is_answered: whether its service has given its last reply.
    """

    unsent = 0
    refused_for = ""
    is_answered = False

    def __init__(self, frame: bytes, deadline: float, peer: Peer, reply_to: ReplyTo) -> None:
        super().__init__(frame, deadline)
        self._peer = peer
        self.reply_to = reply_to

    @property
    def peer(self) -> Peer:
        """The client."""
        return self._peer


#: Whose reply a datagram is: a request's that had to wait, or how another ended.
_Whose: TypeAlias = _DatagramRequest | Outcome


class DatagramServer:
    """Answers the datagrams of one listener.

    Args:
        listener: the listener to receive from; closed by `close`.
        handler: answers one datagram.
        options: the limits in effect unless the address overrides them; change them with
            `reconfigure`.
        on_lost: called with every accepted request that will not be answered.
        wake_sweep: called when work begins, so that the owner sweeps deadlines.
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
        handler: FrameHandler,
        *,
        options: ServerOptions,
        admission: Admission | None,
        clock: Clock,
        metrics: Metrics,
        tasks: EagerTasks,
        on_lost: Callable[[LostRequest], None],
        wake_sweep: Callable[[], None],
        own_addresses: OwnAddresses,
        on_error: OnError | None = None,
    ) -> None:
        self.listener = listener
        self._clock = clock
        self._on_lost = on_lost
        self._wake_sweep = wake_sweep
        self._own_addresses = own_addresses
        self._loop = asyncio.get_running_loop()
        self._own = unwrapped(listener).local
        self._reflections = Reflections() if handler.reflects else None
        self._tasks = tasks
        self._on_error = on_error
        self._outgoing: list[Datagram] = []
        self._whose: list[_Whose] = []  # for each of them
        self._unsent: Unsent[_Whose] = Unsent(
            clock, self._send_again, self._note_sent, self._give_up
        )
        self._metrics = metrics
        self._unwatch: Callable[[], None] | None = None
        self._name = ""
        self._obey(listener, options)
        self._responder = self._responder_of(handler, admission)
        self._in_flight: InFlight[_DatagramRequest] = InFlight(self._responder, self, tasks)
        self._idle = asyncio.Event()
        self._idle.set()
        self._pause_s = _SHORTEST_PAUSE_S

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
        self._ready = self._count("ready_answers_total")
        self._truncated = self._count("dropped_total", reason="truncated")
        self._counters = RequestCounters(self._count)
        self._failures = FailureLog(self._clock, self._name, self._on_error)
        self._unwatch = watch_load(self._metrics, self._name, self, lambda: self._unsent.octets)

    def _responder_of(
        self, handler: FrameHandler, admission: Admission | None
    ) -> Responder[bytes, bytes]:
        return Responder(
            handler,
            admission=admission,
            first_step=self._tasks.first_step,
            counters=self._counters,
            failures=self._failures,
            where=self._name,
        )

    def replace(
        self,
        listener: DatagramListener,
        handler: FrameHandler,
        *,
        options: ServerOptions,
        admission: Admission | None,
    ) -> Callable[[], Awaitable[None]]:
        """Answer by another handler from the next datagram on; no datagram is lost by it.

        Args:
            listener: the same, or another around the same socket.

        Returns:
            What waits until the requests before that are answered.
        """
        is_other = listener is not self.listener
        if is_other:
            self.listener.stop()
        self._obey(listener, options)
        if not handler.reflects:
            self._reflections = None
        elif self._reflections is None:
            self._reflections = Reflections()
        self._responder = self._responder_of(handler, admission)
        before = self._in_flight.answer_with(self._responder)
        if is_other and self._is_started:
            self.start()
        return partial(self._in_flight.wait_settled, before)

    def present(self) -> Callable[[], Awaitable[None]]:
        """Return what waits until the requests that are in flight now are answered."""
        return partial(self._in_flight.wait_settled, frozenset(self._in_flight.running))

    def start(self) -> None:
        """Start receiving."""
        if not self._is_started:
            self._is_started = True
            self._own_addresses.add(self._own)
        self.listener.start(self._on_readable)

    def reconfigure(self, options: ServerOptions) -> None:
        """Change the limits, from the next batch on."""
        self.options = self._at.apply(options)

    def sweep(self, now: float) -> Iterator[bool]:
        """Enforce deadlines in one step; yield whether anything is left to sweep."""
        try:
            self._in_flight.sweep(now)
        except Exception as mistake:  # the other listeners have deadlines too
            self._failures.report(f"{self._name}: sweep", mistake, "sweep")
        yield len(self._in_flight.running) > 0

    def drain(self) -> None:
        """Stop receiving; accepted requests are still answered."""
        if self._resuming is not None:
            self._resuming.cancel()
        self.listener.stop()

    async def wait_drained(self) -> None:
        """Return once nothing is in flight and every reply has been handed to the system."""
        while self._in_flight.running or self._outgoing or self._unsent:
            self._idle.clear()
            await self._idle.wait()

    async def wait_ended(self) -> None:
        """Wait for ever: more datagrams may always arrive."""
        await asyncio.get_running_loop().create_future()

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        return len(self._in_flight.running)

    def abort(self, reason: str) -> None:
        """Give up all requests in flight; each is reported lost for this reason."""
        self._in_flight.give_up(reason)
        self._unsent.give_up()
        self._idle.set()

    def forget(self) -> None:
        """Undo the making of a server that was never started; its listener stays as it is."""
        if self._unwatch is not None:
            self._unwatch()

    def close(self) -> None:
        """Send ready replies and close the listener."""
        self.forget()
        self.listener.stop()
        self._flush()
        self._unsent.give_up()
        self.listener.close()
        if self._is_started:
            self._is_started = False
            self._own_addresses.remove(self._own)

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

    def _on_readable(self) -> None:
        batch = self._receive()
        if not batch:
            return
        options = self.options
        self._batches.value += 1
        received_at = self._clock.monotonic()
        deadline = received_at + options.request_timeout
        peer_of, via = self.listener.peer, self._via
        outgoing, whose = self._outgoing, self._whose
        respond = self._responder.respond
        self._responder.max_running = options.max_requests
        self._in_flight.max_replies = options.max_replies_per_datagram
        per_datagram, suspects = self._per_datagram, self._own_addresses.suspects
        self._flush_due = True  # at the end, for everything answered in place
        reflections, done = self._reflections, 0
        try:
            for frame, reply_to in batch:
                done += 1
                peer = peer_of(reply_to)
                if per_datagram is not None:
                    via = per_datagram.via(reply_to, self._via)
                    if self._is_loop(via.socket_peer):
                        continue
                raw = peer.raw
                if type(raw) is bytes:
                    glance: Any = raw[2:4]  # the port, or the start of a name
                else:
                    glance = raw[1] if type(raw) is tuple else raw
                if glance in suspects and self._is_loop(peer):
                    continue
                if reflections is not None and self._is_reflected(frame, peer, received_at):
                    continue
                try:
                    outcome, reply = respond(frame, Context(peer, received_at, via))
                except KeyboardInterrupt:
                    self._on_lost(LostRequest(self._name, str(peer), "cancelled"))
                    raise
                if outcome is _SUSPENDED or outcome is _MANY:
                    request = _DatagramRequest(frame, deadline, peer, reply_to)
                    self._in_flight.go_on(request, reply)
                elif reply is not None:
                    outgoing.append((reply, reply_to))
                    whose.append(outcome)
        finally:  # also where the user has interrupted a service
            if done < len(batch):
                self._lose_rest(batch[done:])
            self._flush()
            if self._in_flight.running:
                self._wake_sweep()

    def _lose_rest(self, batch: Sequence[Datagram]) -> None:
        """Account for what was received with a request that the user interrupted."""
        for _, reply_to in batch:
            self._counters.lost("cancelled")
            peer = str(self.listener.peer(reply_to))
            self._on_lost(LostRequest(self._name, peer, "cancelled"))

    def _is_loop(self, peer: Peer | None) -> bool:
        """Return why an answer would come back to this process or reach nobody, if it would."""
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

    def settle(self, request: _DatagramRequest, outcome: Outcome, frame: bytes | None) -> None:
        """Take the outcome of a request that had to wait."""
        request.is_answered = outcome is _ANSWERED
        if frame is not None:
            self._add(request, frame)
        elif not request.unsent:
            self._note_end(request)
        if not self._idle.is_set():
            self._idle.set()

    async def send(self, request: _DatagramRequest, frame: bytes) -> None:
        """Send one of many replies."""
        self._add(request, frame)
        # A sender of many replies yields after each, so that a flush comes in between and at most
        # one datagram per request waits here.
        await asyncio.sleep(0)

    def _add(self, request: _DatagramRequest, frame: bytes) -> None:
        """Queue a reply, to be sent with the others of this iteration."""
        self._outgoing.append((frame, request.reply_to))
        self._whose.append(request)
        request.unsent += 1
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def lost(self, request: _DatagramRequest, reason: str) -> None:
        """Note that a request will not be answered."""
        self._on_lost(LostRequest(self._name, str(request.peer), reason))
        self._failures.note(RequestLost(reason), "lost", request.peer)

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
                if not (is_full(number) and self._unsent.keep(*one, timeout, room)):
                    self._give_up(*one, number)
            gone = {index for index, _ in refused}
            whose = [one for index, one in enumerate(whose) if index not in gone]
        answered, ready = whose.count(_ANSWERED), whose.count(_READY)
        self._counters.answered.value += answered
        self._ready.value += ready
        if answered + ready < len(whose):
            for each in whose:
                if type(each) is _DatagramRequest:
                    self._note_sent(each)
        if not self._idle.is_set():
            self._idle.set()

    def _note_sent(self, whose: _Whose) -> None:
        """Count a request as answered once the system has taken its last reply."""
        if type(whose) is _DatagramRequest:
            whose.unsent -= 1
            if not whose.unsent:
                self._note_end(whose)
        elif whose is _ANSWERED:
            self._counters.answered.value += 1
        elif whose is _READY:
            self._ready.value += 1

    def _note_end(self, request: _DatagramRequest) -> None:
        """Count how an answered request has ended; any other is counted already."""
        if request.is_answered:
            request.is_answered = False
            if request.refused_for:
                self._counters.dropped(request.refused_for)
            else:
                self._counters.answered.value += 1

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

    def _give_up(self, datagram: Datagram, whose: _Whose, number: int) -> None:
        """Note that the system does not take a reply, which ends its request, if nothing has."""
        reason = _SEND_REASONS.get(number, "send_error")
        if type(whose) is _DatagramRequest:
            whose.refused_for = reason
            self._note_sent(whose)
        elif whose is _ANSWERED or whose is _READY:
            self._counters.dropped(reason)
        peer = self.listener.peer(datagram[1])
        self._failures.note(OSError(number, os.strerror(number)), "write", peer)

    def _count(self, name: str, **labels: str) -> Metric:
        return self._metrics.counter(name, listener=self._name, **labels)
