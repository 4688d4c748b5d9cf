"""One connection of HTTP/1.1: octets to requests, responses to octets.

    bytes ─▶ RequestReader: llhttp ─▶ Exchange: the window ─▶ respond ─▶ InFlight: what waits
                       │ content          ▲                      │            │
                       ▼                  └── the order of responses ─────────┘
                  IncomingBody ◀── read by the service, as fast as it likes

Pipelined requests run in parallel and are answered in order (RFC 9112 §9.3.2). A request begins
with its head; content that has not arrived with it is received while the service reads it, and the
next request begins after it. What a peer can make it hold: one read, one head or what waits of a
content, and responses up to a limit.

How a connection ends:

- a request or its response says so, or HTTP/1.0 does: after that response;
- end of input: what has arrived is answered;
- `drain`: what has begun is answered, and its content still received; nothing else is accepted;
- a malformed request, or one too slow: it is refused after the responses still due, then closed;
- content that is neither read nor discarded: after the response;
- a response that fails half-way: at once, so that its client cannot take it for a whole one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

from pierhead.connection.ending import end_stream
from pierhead.connection.exchange import Exchange, Phase
from pierhead.connection.in_flight import InFlight
from pierhead.connection.life import Event, Life, State, Waits
from pierhead.errors import ConnectionEnded, Overloaded
from pierhead.net.transport.reset import was_reset
from pierhead.protocols.http.serving.place import RequestPlace
from pierhead.protocols.http.serving.receiver import Receiver
from pierhead.protocols.http.serving.response_heads import ResponseHeads
from pierhead.protocols.http.serving.senders import Senders
from pierhead.protocols.http.wire import Request, Response
from pierhead.protocols.http.wire.head_rules import Head
from pierhead.protocols.http.wire.limits import RequestLimits
from pierhead.protocols.http.wire.refusal import BadMessage, problem
from pierhead.protocols.http.wire.response_writer import CONTINUE, has_content
from pierhead.server.connection import ConnectionScope, Standing
from pierhead.service import Handler
from pierhead.service.context import Context
from pierhead.service.respond import Outcome, Responder

__all__ = ["HttpConnection"]

# Looking up an enum member is slow on Python 3.11.
_OPEN, _FINISHING, _LINGERING = State.OPEN, State.FINISHING, State.LINGERING
_TAKING, _BROKEN_OFF, _OVER = Phase.OPEN, Phase.BROKEN_OFF, Phase.OVER
_REFUSED, _SUSPENDED, _MANY = Outcome.REFUSED, Outcome.SUSPENDED, Outcome.MANY

#: Outcomes without a response: the client would take the next one for it.
_WITHOUT = (Outcome.SILENT, Outcome.FAILED, Outcome.LOST)


class HttpConnection(asyncio.BufferedProtocol):
    """Serves one connection; an endpoint of `pierhead.protocols.http.serve` creates it."""

    # Defaults that most connections never change are class attributes.
    _is_made = False  # the transport is connected
    _flush_due = False
    _advancing = False
    _rests = False  # until its share of a later loop iteration
    _has_had_a_share = False  # of one loop iteration, with input left
    _is_held_up = False  # input is there for which there is no room
    _is_draining = False
    _reading_paused = False
    _has_no_buffer = False
    _has_ended = False  # the peer's side
    _lost_for = "peer_gone"  # requests, unless it is aborted

    def __init__(
        self, scope: ConnectionScope, handler: Handler[Request, Response], limits: RequestLimits
    ) -> None:
        self.scope = scope
        self._receiver = Receiver(self, limits, scope.options.read_size_bytes)
        self._exchange: Exchange[bytes] = Exchange(in_order=True)
        self._senders = Senders(self._exchange)
        self._life = Life(scope.clock.monotonic())
        self._responder = _responder(scope, handler)
        self._in_flight: InFlight[RequestPlace] = InFlight(self._responder, self, scope.tasks)
        self._scheme = "https" if scope.via.encrypted else "http"
        self._heads = ResponseHeads(scope.clock, self._receiver)

    # -- asyncio's side ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start serving."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self.scope.options.max_write_buffer_bytes)
        self._loop = asyncio.get_running_loop()
        self._is_made = True
        self._life.last_active = self.scope.clock.monotonic()
        if not self._life.happens(Event.MADE):  # aborted during the handshake
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Lend asyncio the buffer for one read; `buffer_updated` follows at once, or never."""
        try:
            return self.scope.read_buffer.lend(self.scope.options.read_size_bytes)
        except Overloaded as error:
            self.scope.counters.dropped(error.limit)
            self._loop.call_soon(self.abort, error.limit)
            self._has_no_buffer = True
            return bytearray(512)  # asyncio requires one nevertheless; the abort follows

    def buffer_updated(self, nbytes: int) -> None:
        """Take in what was read."""
        if self._has_no_buffer:
            return
        scope, life = self.scope, self._life
        scope.counters.bytes_received.value += nbytes
        life.has_heard = True
        if life.state is _OPEN or self._receiver.place is not None:
            self._receiver.feed(scope.read_buffer.view[:nbytes].tobytes())
        self._advance()

    def eof_received(self) -> bool:
        """Keep the other half open: a peer that has ended its side still gets its responses."""
        self._has_ended = True
        if self._life.state is _LINGERING:
            self._close_transport()
            return True
        if not self._life.finish("eof"):  # it finishes already
            self._life.reason = self._life.reason or "eof"
        self._advance()
        return True

    def pause_writing(self) -> None:
        """Stop beginning requests: the peer does not keep up."""
        self._exchange.is_writable = False
        self.scope.counters.writes_paused.value += 1
        self._steer_reading()

    def resume_writing(self) -> None:
        """Let waiting senders continue, oldest first: the peer keeps up again."""
        self._exchange.is_writable = True
        self._senders.wake()
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop serving."""
        if exc is None and not self._exchange.due:
            self._count_sent(0)  # closed, which waits until the system has taken everything
        self._life.happens(Event.LOST)
        self._end_exchange()
        self.scope.counters.closed(self._life.reason or "peer_gone")
        # Requests given up by `abort` already have their reason.
        if self._in_flight.running:
            self._in_flight.give_up("peer_gone")
        else:
            self._leave()

    def _leave(self) -> None:
        """Report the end to the server, and leave no reference cycle behind."""
        self._in_flight.close()
        self._receiver.close()
        self._heads.last = None
        self.scope.closed()

    # -- the server's side ---------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        return len(self._in_flight.running)

    @property
    def unsent_bytes(self) -> int:
        """How many octets wait for the peer, including those behind a slow response."""
        return self._exchange.waiting_bytes + self._transport.get_write_buffer_size()

    def standing(self) -> tuple[Standing, float]:
        """Return what the connection is doing, and when it was last busy."""
        life = self._life
        if life.state is not _OPEN or self._is_busy() or not self._exchange.is_writable:
            return Standing.BUSY, life.last_active
        is_half_done = self._receiver.buffered or not life.has_heard
        return Standing.HALF_DONE if is_half_done else Standing.IDLE, life.last_active

    def current_idle_timeout(self) -> float:
        """The idle timeout in effect, in seconds: the connection's own or the server's."""
        asked = self._exchange.idle_timeout
        return self.scope.options.idle_timeout if asked is None else asked

    def sweep(self, now: float) -> None:
        """Enforce this connection's deadlines."""
        life, options = self._life, self.scope.options
        self._sweep_requests(now)
        if self._reading_paused and was_reset(self._transport):
            self.abort("peer_gone")
            return
        unsent = self._transport.get_write_buffer_size()
        self._count_sent(unsent)
        if life.is_write_late(now, self._exchange.handed_over, unsent, options):
            self.scope.note_late_write()
            self.abort("write")
            return
        is_reading = life.state is _OPEN and not self._reading_paused
        waits = Waits.A_MESSAGE if is_reading and not self._is_busy() else Waits.NOTHING
        if life.is_over(now, waits, options, self.current_idle_timeout()):
            if life.state is _OPEN and life.reason == "message":
                self._refuse_stream(BadMessage("the request did not arrive in time", 408))
            else:
                self._close_transport()

    def _sweep_requests(self, now: float) -> None:
        """Enforce the deadlines of requests; time in which they wait for the peer has its own."""
        receiver = self._receiver
        if not self._in_flight.running and receiver.place is None:
            return
        later = now + self.scope.options.request_timeout
        for request in self._in_flight.running:
            if request.waits_for_peer:
                request.deadline = later
        receiver.sweep(now, later)
        if receiver.ends_for:
            self.finish(receiver.ends_for)
        self._in_flight.sweep(now)

    def drain(self) -> None:
        """Begin no more requests, but one if no response is to come that says ``close``; close."""
        self._is_draining = True
        self._receiver.is_over = self._receiver.is_over or self._exchange.load > 0
        self._life.finish("drain")
        self._advance()

    def abort(self, reason: str) -> None:
        """Close at once; every accepted and unanswered request is lost for this reason."""
        is_new = self._life.abort(reason)
        if not self._is_made:
            return
        if is_new:
            self._lost_for = reason
            self._count_sent(self._transport.get_write_buffer_size())
            self._end_exchange()
        self._in_flight.give_up(reason)
        self._transport.abort()

    def answer_with(self, handler: Handler[Any, Any]) -> Callable[[], Awaitable[None]]:
        """Answer by another handler from the next request on.

        Returns:
            What waits until the requests before that are answered.
        """
        self._responder = _responder(self.scope, handler)
        return partial(self._in_flight.wait_settled, self._in_flight.answer_with(self._responder))

    def finish(self, reason: str) -> None:
        """Begin nothing more; close once everything that has begun is answered."""
        if self._life.finish(reason):
            self._advance()

    def _end_exchange(self) -> None:
        """Give up responses that have not been sent, and content that will not arrive."""
        self._exchange.end()
        self._lose(self._lost_for, self._exchange.take_lost())
        self._receiver.fail(ConnectionEnded(str(self.scope.peer), "it closed the connection"))

    def _lose(self, reason: str, requests: int) -> None:
        """Report accepted requests whose responses will not arrive."""
        for _ in range(requests):
            self.scope.counters.requests.lost(reason)
            self.scope.lost(reason)

    # -- receiving requests --------------------------------------------------------------------

    def _pump(self) -> None:
        """Begin requests while there is room for their responses, and receive their content."""
        receiver, life = self._receiver, self._life
        self._is_held_up = False
        while not self._rests:
            if receiver.place is not None:
                now = life.last_active = self.scope.clock.monotonic()
                if not receiver.receive(now, has_ended=self._has_ended):
                    break
            elif receiver.is_over or not receiver.buffered or not self._begin_next():
                break
        if receiver.ends_for:
            life.finish(receiver.ends_for)
        if receiver.buffered or life.message_began is not None:
            is_waiting = receiver.place is not None or self._is_held_up or self._rests
            is_partial = receiver.buffered > 0 and not is_waiting
            life.note_message(is_partial, self.scope.clock.monotonic())

    def _begin_next(self) -> bool:
        """Begin the next request, if it has arrived and there is room."""
        budget = self.scope.budget
        if self._exchange.waiting_bytes > self.scope.options.max_write_buffer_bytes:
            self._write()  # which shows whether the peer keeps up
        if not self._room():
            self._is_held_up = True
            return False
        share = budget.share(has_had_a_share=self._has_had_a_share)
        if share <= 0:
            self._rest()
            return False
        try:
            head = self._receiver.head()
        except BadMessage as error:
            self._refuse_stream(error)
            return False
        if head is None:
            self._has_had_a_share = False
            return False
        budget.left -= 1
        budget.spent()
        self._begin(head)
        self._has_had_a_share = self._receiver.buffered > 0
        if self._has_had_a_share and share <= 1 and budget.is_contended:
            self._rest()
        return True

    def _room(self) -> int:
        options = self.scope.options
        return self._exchange.room(
            options.max_requests_per_connection,
            options.max_write_buffer_bytes,
            options.max_request_bytes_per_connection,
        )

    def _rest(self) -> None:
        """Leave the rest of this loop iteration to others."""
        self._rests = True
        self.scope.budget.wait(self._go_on, has_had_a_share=self._has_had_a_share)

    def _go_on(self) -> None:
        self._rests = False
        self._advance()

    def _begin(self, head: Head) -> None:
        """Answer a request, whose content may still be to come."""
        scope, life = self.scope, self._life
        scope.counters.frames_received.value += 1
        now = scope.clock.monotonic()
        life.last_active = now
        life.end_message()
        place = self._heads.last = RequestPlace(None, now + scope.options.request_timeout, self)
        place.method, place.version = head.method, head.version
        if not head.keeps_alive or self._is_draining:
            place.keeps_alive, self._receiver.is_over = False, True
        content, size = self._receiver.content(place, head, now)
        place.frame = Request(
            head.method,
            head.target,
            head.fields,
            content,
            version=head.version,
            scheme=self._scheme,
            authority=head.authority,
        )
        self._respond(place, head.size + size, Context(scope.peer, now, scope.via, place))

    def _respond(self, place: RequestPlace, size: int, context: Context) -> None:
        exchange, part, outcome = self._exchange, None, None
        try:
            outcome, reply = self._responder.respond(place.frame, context)
            if outcome is _SUSPENDED or outcome is _MANY:
                place.received_at = context.received_at
                exchange.begin(place, size)
                self._in_flight.go_on(place, reply)
                return
            if reply is not None:
                part = self._whole(place, reply)
        except KeyboardInterrupt:
            if place.outcome is None:  # during the first step
                self.scope.lost("cancelled")
                exchange.settle_at_once(place, Outcome.LOST)
                self._obey_exchange()
            raise
        except Exception as mistake:  # the response cannot be sent as it is
            exchange.begin(place)
            self._in_flight.unsendable(place, outcome or _REFUSED, mistake)
            return
        if part is None:
            exchange.settle_at_once(place, Outcome.FAILED)
        else:
            exchange.settle_at_once(place, outcome, part, len(part))
            if outcome is not _REFUSED:
                self.scope.counters.requests.times.in_place(context.received_at, 1)
        self._note_settled(place)

    def wake(self) -> None:
        """Go on in this loop iteration, or the next."""
        self._schedule_flush()

    def send_continue(self, place: RequestPlace) -> None:
        """Say that content may be sent, after the responses before it (RFC 9110 §15.2.1)."""
        self._exchange.send(place, CONTINUE, len(CONTINUE))

    def _refuse_stream(self, error: BadMessage) -> None:
        """Answer input that is no request with one last refusal."""
        scope = self.scope
        scope.counters.dropped("framing")
        scope.failures.note(error, "framing", scope.peer)
        self._receiver.stop()
        place = self._heads.last = RequestPlace(None, 0.0, self)
        place.keeps_alive = False
        refusal = self._in_flight.responder.refusal(error, cast(Request, None), scope.peer)
        part = self._whole(place, refusal or problem(error.status))
        self._exchange.settle_at_once(place, _REFUSED, part, len(part))
        self.finish("framing")

    # -- sending responses ---------------------------------------------------------------------

    def head_of(self, place: RequestPlace, response: Response, *, is_chunked: bool) -> bytes:
        """Return the head of a response, and note whether the connection closes after it."""
        self._receiver.is_over |= self._is_draining and place is self._heads.last
        self._heads.is_ending = self._life.state is not _OPEN and not self._is_held_up
        return self._heads.head(place, response, is_chunked=is_chunked)

    def _whole(self, place: RequestPlace, response: Response) -> bytes:
        """Return a whole response, whose content is there."""
        head = self.head_of(place, response, is_chunked=False)
        content = response.body.ready
        assert content is not None, "the service is wrapped so that others are sent in parts"
        return head + content if has_content(place.method, response.status) else head

    def settle(self, request: RequestPlace, outcome: Outcome, frame: Any) -> None:
        """Take the outcome of a request that had to wait."""
        self._settle(request, outcome, frame)
        queue = self._exchange.queue
        if queue and (comes_up := queue[0].comes_up) and not comes_up.done():
            comes_up.set_result(None)
        if self._exchange.phase is not _OVER:
            self._schedule_flush()

    def _settle(self, place: RequestPlace, outcome: Outcome, response: Any) -> None:
        exchange = self._exchange
        if place.has_begun and (response is not None or outcome in _WITHOUT):
            exchange.settle(place, Outcome.FAILED)  # it is cut off, which its client must see
        elif response is not None:
            part = self._whole(place, response)
            exchange.settle(place, outcome, part, len(part))
        elif outcome in _WITHOUT:
            exchange.settle(place, Outcome.LOST if outcome is Outcome.LOST else Outcome.FAILED)
        else:
            exchange.settle(place, outcome)  # the last part has been sent
        self._note_settled(place)

    def _note_settled(self, place: RequestPlace) -> None:
        """Release what is not needed any more, and apply the consequences."""
        exchange = self._exchange
        self._receiver.leave(place, self._life.last_active)
        place.frame = None  # it may wait for older responses, and its octets need not
        if exchange.closes_for or exchange.phase is not _TAKING:
            self._obey_exchange()

    async def send(self, request: RequestPlace, frame: bytes) -> None:
        """Take one part of a response; wait until its request is the oldest, and for room."""
        exchange = self._exchange
        request.waits_for_peer = True
        if not exchange.may_send(request):
            request.comes_up = self._loop.create_future()
            await request.comes_up
        await self._senders.wait()
        request.has_begun = True
        exchange.send(request, frame, len(frame))
        self._schedule_flush()
        if exchange.due_bytes > self.scope.options.max_write_buffer_bytes:
            self._write()  # which shows whether the peer keeps up
        await asyncio.sleep(0)  # lets others run, and ready responses be written
        await self._senders.wait()
        request.waits_for_peer = False
        request.deadline = self.scope.clock.monotonic() + self.scope.options.request_timeout

    def lost(self, request: RequestPlace, reason: str) -> None:
        """Note that a request will not be answered."""
        self.scope.lost(reason)

    def _obey_exchange(self) -> None:
        """Apply the consequences of a settled request: report lost responses, or close."""
        exchange, life = self._exchange, self._life
        if exchange.phase is _BROKEN_OFF and self._in_flight.given_up_for is None:
            self._receiver.stop()
            self._in_flight.give_up("unanswered")
            self._lose("unanswered", exchange.take_lost())
        elif exchange.phase is _OVER:
            self._lose(self._lost_for, exchange.take_lost())
            if life.state is State.GONE and not self._in_flight.running:
                self._leave()
        if exchange.closes_for and life.state is _OPEN:
            self.finish(exchange.closes_for)

    def _schedule_flush(self) -> None:
        if not (self._flush_due or self._advancing):
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write everything that became ready in this loop iteration, in one piece."""
        self._flush_due = False
        self._life.last_active = self.scope.clock.monotonic()
        if self._exchange.phase is not _OVER:
            self._write()
            self._advance()

    def _write(self) -> None:
        """Hand the due parts to the transport."""
        exchange, transport, counters = self._exchange, self._transport, self.scope.counters
        size = exchange.due_bytes
        parts = exchange.take()
        if parts:
            counters.frames_sent.value += len(parts)
            counters.bytes_sent.value += size
            transport.write(parts[0] if len(parts) == 1 else b"".join(parts))
        if not transport.is_closing():  # otherwise the write has failed
            self._count_sent(transport.get_write_buffer_size())

    def _count_sent(self, unsent_bytes: int) -> None:
        """Count the responses that the system has taken; this many octets remain."""
        answered, ready = self._exchange.note_unsent(unsent_bytes)
        self.scope.counters.requests.answered.value += answered
        self.scope.counters.ready_answers.value += ready

    def _advance(self) -> None:
        """Continue with whatever the last change made possible."""
        if self._advancing:  # a request that finished while it was being started
            return
        self._advancing = True
        life = self._life
        try:
            if life.state in (_OPEN, _FINISHING) and not self._transport.is_closing():
                self._pump()
                if self._exchange.phase is not _OVER:
                    self._write()  # requests answered in place
                    self._steer_reading()
            if life.state is _FINISHING and not self._is_busy() and self._exchange.is_writable:
                self._end_output()
        except BaseException:  # the user interrupted a service
            self._flush_due = True
            self._loop.call_soon(self._flush)
            raise
        finally:
            self._advancing = False

    def _is_busy(self) -> bool:
        is_waiting = self._is_held_up or self._flush_due or self._rests
        return is_waiting or self._receiver.place is not None or not self._exchange.is_idle

    # -- reading and the end -------------------------------------------------------------------

    def _end_output(self) -> None:
        """Everything is answered: close, after the peer if it may still be sending."""
        may_be_sending = not self._has_ended and self._exchange.handed_over > 0
        now, options, life = self.scope.clock.monotonic(), self.scope.options, self._life
        if end_stream(self._transport, life, options, now, may_be_sending=may_be_sending):
            self._resume_reading()

    def _close_transport(self) -> None:
        self._life.close()
        self._transport.close()

    def _steer_reading(self) -> None:
        """Read only while there is room for what may arrive."""
        state = self._life.state
        if state is not _OPEN and state is not _FINISHING:
            return
        receiver = self._receiver
        if receiver.place is not None and receiver.place.body is not None:
            reads = receiver.place.body.has_room and not self._has_ended
        else:
            reads = state is _OPEN and not (receiver.is_over or self._rests or self._is_held_up)
            reads = reads and self._room() > 0
        if reads:
            self._resume_reading()
        else:
            self._pause_reading()

    def _pause_reading(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._life.end_message()
            self.scope.counters.reads_paused.value += 1
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()


def _responder(
    scope: ConnectionScope, handler: Handler[Request, Response]
) -> Responder[Request, Response]:
    return Responder(
        handler,
        admission=scope.admission,
        first_step=scope.tasks.first_step,
        counters=scope.counters.requests,
        failures=scope.failures,
        where=scope.via.listener,
    )
