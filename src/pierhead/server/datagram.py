"""The datagram server: receives in batches, answers each datagram, sends in batches.

    readable ─▶ receive_batch ─▶ respond ───────────▶ send_batch, once per loop iteration
                                    │ waits                 ▲
                                    └─▶ InFlight ─ settle ──┘

It knows bytes only. Work in flight is bounded by ``max_requests``; requests beyond it are counted
and shed, with the protocol's own refusal if it has one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

from pierhead.clock import Clock
from pierhead.connection.in_flight import InFlight, Request
from pierhead.connection.tasks import EagerTasks
from pierhead.errors import RequestLost
from pierhead.failure_log import OnError
from pierhead.listener.base import Datagram, DatagramListener, ReplyTo
from pierhead.listener.own_addresses import OwnAddresses
from pierhead.metrics import Metrics
from pierhead.server.batches import BatchServer, send_reason
from pierhead.server.loops import Reflections
from pierhead.server.lost_requests import LostRequest
from pierhead.server.options import ServerOptions
from pierhead.service import FrameHandler
from pierhead.service.admission import Admission
from pierhead.service.context import Context, Peer
from pierhead.service.respond import Outcome, Responder

__all__ = ["DatagramServer"]

# Looking up an enum member is slow on Python 3.11.
_ANSWERED, _READY = Outcome.ANSWERED, Outcome.READY
_SUSPENDED, _MANY = Outcome.SUSPENDED, Outcome.MANY


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


#: A request without its octets.
_REQUEST_BYTES = 1024


class DatagramServer(BatchServer[_Whose]):
    """Answers the datagrams of one listener.

    Args:
        handler: answers one datagram.
        on_lost: called with every accepted request that will not be answered.
        wake_sweep: called when work begins, so that the owner sweeps deadlines.

    The other arguments are those of `BatchServer`.
    """

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
        super().__init__(
            listener,
            options=options,
            clock=clock,
            metrics=metrics,
            own_addresses=own_addresses,
            on_error=on_error,
        )
        self._on_lost = on_lost
        self._wake_sweep = wake_sweep
        self._tasks = tasks
        self._reflections = Reflections() if handler.reflects else None
        self._responder = self._responder_of(handler, admission)
        self._in_flight: InFlight[_DatagramRequest] = InFlight(self._responder, self, tasks)

    def _obey(self, listener: DatagramListener, options: ServerOptions) -> None:
        super()._obey(listener, options)
        self._ready = self._count("ready_answers_total")

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
        is_other = self._listen_through(listener, options)
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

    def sweep(self, now: float) -> Iterator[bool]:
        """Enforce deadlines in one step; yield whether anything is left to sweep."""
        try:
            self._in_flight.sweep(now)
        except Exception as mistake:  # the other listeners have deadlines too
            self._failures.report(f"{self._name}: sweep", mistake, "sweep")
        yield len(self._in_flight.running) > 0

    async def wait_drained(self) -> None:
        """Return once nothing is in flight and every reply has been handed to the system."""
        while self._in_flight.running or self._outgoing or self._unsent:
            self._idle.clear()
            await self._idle.wait()

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        return len(self._in_flight.running)

    def abort(self, reason: str) -> None:
        """Give up all requests in flight; each is reported lost for this reason."""
        self._in_flight.give_up(reason)
        self._unsent.give_up()
        self._idle.set()

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
                    request.received_at = received_at
                    self._in_flight.go_on(request, reply)
                elif reply is not None:
                    outgoing.append((reply, reply_to))
                    whose.append(outcome)
        finally:  # also where the user has interrupted a service
            if done < len(batch):
                self._lose_rest(batch[done:])
            if in_place := whose.count(_ANSWERED):
                self._times.in_place(received_at, in_place)
            self._flush()
            if self._in_flight.running:
                self._wake_sweep()

    def _lose_rest(self, batch: Sequence[Datagram]) -> None:
        """Account for what was received with a request that the user interrupted."""
        for _, reply_to in batch:
            self._counters.lost("cancelled")
            peer = str(self.listener.peer(reply_to))
            self._on_lost(LostRequest(self._name, peer, "cancelled"))

    def settle(self, request: _DatagramRequest, outcome: Outcome, frame: bytes | None) -> None:
        """Take the outcome of a request that had to wait."""
        request.is_answered = outcome is _ANSWERED
        if frame is not None:
            self._answer(request, frame)
        elif not request.unsent:
            self._note_end(request)
        if not self._idle.is_set():
            self._idle.set()

    async def send(self, request: _DatagramRequest, frame: bytes) -> None:
        """Send one of many replies."""
        self._answer(request, frame)
        # A sender of many replies yields after each, so that a flush comes in between and at most
        # one datagram per request waits here.
        await asyncio.sleep(0)

    def _answer(self, request: _DatagramRequest, frame: bytes) -> None:
        """Queue a reply, to be sent with the others of this iteration."""
        request.unsent += 1
        self._add(frame, request.reply_to, request)

    def lost(self, request: _DatagramRequest, reason: str) -> None:
        """Note that a request will not be answered."""
        self._on_lost(LostRequest(self._name, str(request.peer), reason))
        self._failures.note(RequestLost(reason), "lost", request.peer)

    def _held_bytes(self, whose: _Whose) -> int:
        return _REQUEST_BYTES + len(whose.frame) if type(whose) is _DatagramRequest else 0

    def _note_all_sent(self, whose: list[_Whose]) -> None:
        answered, ready = whose.count(_ANSWERED), whose.count(_READY)
        self._counters.answered.value += answered
        if ready:
            self._ready.value += ready
            self._times.ready(ready)
        if answered + ready < len(whose):
            for each in whose:
                if type(each) is _DatagramRequest:
                    self._note_sent(each)

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
            self._times.ready(1)

    def _note_end(self, request: _DatagramRequest) -> None:
        """Count how an answered request has ended; any other is counted already."""
        if request.is_answered:
            request.is_answered = False
            if request.refused_for:
                self._counters.dropped(request.refused_for)
            else:
                self._counters.answered.value += 1

    def _note_refused(self, datagram: Datagram, whose: _Whose, number: int) -> None:
        """Note that the system does not take a reply, which ends its request, if nothing has."""
        reason = send_reason(number)
        if type(whose) is _DatagramRequest:
            whose.refused_for = reason
            self._note_sent(whose)
        elif whose is _ANSWERED or whose is _READY:
            self._counters.dropped(reason)
