"""The stock connection: a framing and a frame handler on one byte stream.

    bytes ─▶ Incoming: framer ─▶ Exchange: the window ─▶ respond ─▶ InFlight: what waits
                                                           │            │
    transport ◀── one write per turn ◀── Exchange: the order of replies ┘

Pipelined requests run in parallel, within bounds: up to ``max_requests_per_connection`` at once;
when the window is full, or the peer does not take its replies, reading pauses. The reply to an
accepted request is never dropped; only the write deadline (or the peer) can cut it off.

How a connection ends:

- end of input, or `drain`: complete frames are answered, then the connection closes;
- a framing error: the protocol's refusal follows the replies still due, then it closes;
- a failed request without a refusal, if replies are in order: only those before it are sent;
- after the last byte the server ends its stream and waits ``linger_timeout`` for the peer's end:
    closing with unread input would send a reset that can overtake the reply.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from pierhead.codec.base import Framing, Order, check_framing
from pierhead.connection.ending import end_stream
from pierhead.connection.exchange import Exchange, Phase
from pierhead.connection.in_flight import InFlight
from pierhead.connection.life import Event, Life, State, Waits
from pierhead.errors import FramingError, Overloaded
from pierhead.net.transport.reset import was_reset
from pierhead.server.connection import ConnectionScope, Standing
from pierhead.server.endpoint import StreamHandler
from pierhead.server.incoming import Incoming
from pierhead.server.stream_request import StreamRequest
from pierhead.service import FrameHandler
from pierhead.service.context import Context
from pierhead.service.respond import Outcome, Responder

__all__ = ["FramedConnection", "framed"]


def framed(handler: FrameHandler, framing: Framing, order: Order = Order.IN_ORDER) -> StreamHandler:
    """Return the handler of connections that splits them into frames and answers each."""
    check_framing(framing)
    return _Framed(handler, framing, order)


@dataclass(frozen=True, slots=True)
class _Framed:
    """What `framed` returns."""

    handler: FrameHandler
    framing: Framing
    order: Order

    def __call__(self, scope: ConnectionScope) -> FramedConnection:
        return FramedConnection(scope, self.handler, self.framing, self.order)

    def goes_on_from(self, before: StreamHandler) -> bool:
        """Return whether another handler's connections split and order frames as these do."""
        if not isinstance(before, _Framed):
            return False
        return before.framing == self.framing and before.order is self.order


# Looking up an enum member is slow on Python 3.11.
_OPEN, _FINISHING, _LINGERING = State.OPEN, State.FINISHING, State.LINGERING
_TAKING, _BROKEN_OFF, _OVER = Phase.OPEN, Phase.BROKEN_OFF, Phase.OVER
_READY, _REFUSED = Outcome.READY, Outcome.REFUSED
_SUSPENDED, _MANY = Outcome.SUSPENDED, Outcome.MANY


class FramedConnection(asyncio.BufferedProtocol):
    """Serves one connection; created by `framed`."""

    # Defaults that most connections never change are class attributes.
    _is_made = False  # the transport is connected
    _flush_due = False
    _advancing = False
    _rests = False  # until its share of a later loop iteration
    _has_had_a_share = False  # of one loop iteration, with input left
    _joins_frames = True  # what is ready in one loop iteration leaves in one write
    _reading_paused = False
    _has_no_buffer = False
    _lost_for = "peer_gone"  # requests, unless it is aborted
    _waiters: deque[asyncio.Future[None]] | None = None  # until the peer catches up

    def __init__(
        self, scope: ConnectionScope, handler: FrameHandler, framing: Framing, order: Order
    ) -> None:
        self.scope = scope
        self._framing = framing
        self._incoming = Incoming(framing, scope.counters.frames_received)
        self._exchange: Exchange[bytes] = Exchange(in_order=order is Order.IN_ORDER)
        self._life = Life(scope.clock.monotonic())
        responder = _responder(scope, handler)
        self._respond = responder.respond
        self._in_flight: InFlight[StreamRequest] = InFlight(responder, self, scope.tasks)

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
        buffer = self.scope.read_buffer.buffer
        if buffer is not None and len(buffer) == self.scope.options.read_size_bytes:
            return buffer
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
        if life.state is _OPEN:
            try:
                self._incoming.framer.feed(scope.read_buffer.view[:nbytes].tobytes())
            except Exception as mistake:
                self._fail_framing(mistake)
        self._advance()

    def eof_received(self) -> bool:
        """Keep the other half open: a peer that has ended its side still gets its replies."""
        self._incoming.has_ended = True
        # Without TLS's close_notify, the last input may be truncated: it is not a message, even
        # where the end of the stream would complete one (RFC 8446 §6.1).
        self._incoming.is_cut_off = bool(self._transport.get_extra_info("truncated"))
        if self._life.state is _OPEN:
            self.finish("eof")
        elif self._life.state is _LINGERING:
            self._close_transport()
        return True

    def pause_writing(self) -> None:
        """Stop beginning requests and reading: the peer does not keep up."""
        self._exchange.is_writable = False
        self.scope.counters.writes_paused.value += 1
        self._pause_reading()

    def resume_writing(self) -> None:
        """Let waiting senders continue, oldest first: the peer keeps up again."""
        self._exchange.is_writable = True
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
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
        self.scope.closed()

    # -- the server's side ---------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        return len(self._in_flight.running)

    @property
    def unsent_bytes(self) -> int:
        """How many octets wait for the peer, including those behind a slow reply."""
        return self._exchange.waiting_bytes + self._transport.get_write_buffer_size()

    def standing(self) -> tuple[Standing, float]:
        """Return what the connection is doing, and when it was last busy."""
        life = self._life
        if life.state is not _OPEN or self._is_busy() or not self._exchange.is_writable:
            return Standing.BUSY, life.last_active
        is_half_done = self._incoming.framer.buffered or not life.has_heard
        return Standing.HALF_DONE if is_half_done else Standing.IDLE, life.last_active

    def current_idle_timeout(self) -> float:
        """The idle timeout in effect, in seconds: the connection's own or the server's."""
        asked = self._exchange.idle_timeout
        return self.scope.options.idle_timeout if asked is None else asked

    def sweep(self, now: float) -> None:
        """Enforce this connection's deadlines."""
        life, options = self._life, self.scope.options
        if self._in_flight.running:
            self._in_flight.sweep(now)
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
            self._close_transport()

    def drain(self) -> None:
        """Stop reading; answer what has been accepted; then close."""
        self.finish("drain")

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

    def answer_with(self, handler: FrameHandler) -> Callable[[], Awaitable[None]]:
        """Answer by another handler from the next request on.

        Returns:
            What waits until the requests before that are answered.
        """
        responder = _responder(self.scope, handler)
        self._respond = responder.respond
        return partial(self._in_flight.wait_settled, self._in_flight.answer_with(responder))

    def finish(self, reason: str) -> None:
        """Accept nothing more; close once everything accepted is answered."""
        if not self._life.finish(reason):
            return
        # Complete frames count as accepted: `_pump` still takes them from the framer.
        if not self._incoming.has_ended:
            self._pause_reading()
        self._advance()

    def _end_exchange(self) -> None:
        """Give up finished replies that have not been sent, and requests that have not begun."""
        self._exchange.end()
        self._lose(self._lost_for, self._exchange.take_lost() + self._incoming.give_up())

    def _lose(self, reason: str, requests: int) -> None:
        """Report accepted requests whose replies will not arrive."""
        for _ in range(requests):
            self.scope.counters.requests.lost(reason)
            self.scope.lost(reason)

    # -- receiving frames ----------------------------------------------------------------------

    def _pump(self) -> None:
        """Take complete frames from the framer while there is room for their replies."""
        options, budget = self.scope.options, self.scope.budget
        incoming, exchange, limit = self._incoming, self._exchange, options.max_write_buffer_bytes
        most_bytes = options.max_request_bytes_per_connection
        has_more = bool(incoming)
        while has_more and not self._rests:
            if exchange.due_bytes + exchange.held_bytes > limit:
                self._write()  # which shows whether the peer keeps up
            room = exchange.room(options.max_requests_per_connection, limit, most_bytes)
            if not room:
                break
            share = budget.share(has_had_a_share=self._has_had_a_share)
            if share <= 0:
                self._rest()
                break
            try:
                frames = incoming.take(min(room, share))
            except FramingError as error:
                self._refuse_stream(error)
                break
            except Exception as mistake:
                self._fail_framing(mistake)
                break
            if not frames:
                break
            taken = self._take(frames)
            if taken < len(frames):
                incoming.put_back(frames[taken:])
            budget.left -= taken
            budget.spent()
            self._has_had_a_share = has_more = bool(incoming)
            if has_more and taken >= share and budget.is_contended:
                self._rest()
        if has_more or self._life.message_began is not None:
            self._note_partial()
        # If everything was answered in place, there is nothing to update.
        is_waiting = self._rests or has_more or not exchange.is_writable
        if is_waiting or exchange.queue or self._in_flight.running or self._reading_paused:
            self._steer_reading()

    def _rest(self) -> None:
        """Leave the rest of this loop iteration to others."""
        self._rests = True
        self.scope.budget.wait(self._go_on, has_had_a_share=self._has_had_a_share)

    def _go_on(self) -> None:
        self._rests = False
        self._advance()

    def _take(self, frames: Sequence[bytes]) -> int:
        """Respond to frames until replies wait for the peer; return how many were taken."""
        scope, exchange, respond = self.scope, self._exchange, self._respond
        received_at = scope.clock.monotonic()
        deadline = received_at + scope.options.request_timeout
        limit = scope.options.max_write_buffer_bytes
        most = scope.options.max_request_bytes_per_connection
        self._life.last_active = received_at
        if self._life.message_began is not None:  # what is left in the framer is the next message
            self._life.end_message()
        peer, via, frame_reply, taken = scope.peer, scope.via, self._framing.frame, 0
        outcome, in_place = None, 0
        for frame in frames:
            taken += 1
            if outcome is not _READY or exchange.queue:  # otherwise no service has seen them
                request = StreamRequest(frame, deadline, self)
                context = Context(peer, received_at, via, request)
            else:
                request.frame = frame
            try:
                outcome, reply = respond(frame, context)
                if outcome is _SUSPENDED or outcome is _MANY:
                    request.received_at = received_at
                    exchange.begin(request, len(frame))
                    self._in_flight.go_on(request, reply)
                elif reply is None:
                    exchange.settle_at_once(request, outcome)
                else:
                    part = frame_reply(reply)
                    exchange.settle_at_once(request, outcome, part, len(part))
                    in_place += outcome is not _REFUSED
            except KeyboardInterrupt:
                if request.outcome is None:  # during the first step
                    scope.lost("cancelled")
                    exchange.settle_at_once(request, Outcome.LOST)
                    self._obey_exchange()
                self._keep_or_lose(frames[taken:])
                raise
            except Exception as mistake:  # the framing cannot carry the reply
                exchange.begin(request)
                self._in_flight.unsendable(request, outcome or _REFUSED, mistake)
                outcome = None  # the request is not used again
            if exchange.closes_for or exchange.phase is not _TAKING:
                self._obey_exchange()
            if exchange.phase is not _TAKING:
                self._keep_or_lose(frames[taken:])
                taken = len(frames)
                break
            if exchange.due_bytes + exchange.held_bytes > limit or exchange.open_bytes >= most:
                break
        if in_place:
            scope.counters.requests.times.in_place(received_at, in_place)
        return taken

    def _keep_or_lose(self, frames: Sequence[bytes]) -> None:
        """Put back frames that have not begun; they are lost if no more requests may begin."""
        if self._exchange.phase is _TAKING:
            self._incoming.put_back(frames)
        else:
            is_broken_off = self._exchange.phase is _BROKEN_OFF
            self._lose("unanswered" if is_broken_off else self._lost_for, len(frames))

    def _refuse_stream(self, error: FramingError) -> None:
        """Answer a stream that cannot be split any further with one last refusal."""
        scope = self.scope
        scope.counters.dropped("framing")
        scope.failures.note(error, "framing", scope.peer)
        refusal = self._in_flight.responder.refusal(error, b"", scope.peer)
        self._incoming.clear()
        try:
            part = None if refusal is None else self._framing.frame(refusal)
        except Exception as mistake:
            scope.failures.report(f"{scope.via.listener}: reject", mistake)
            part = None
        if part is not None:
            place = StreamRequest(b"", 0.0, self)
            self._exchange.settle_at_once(place, _REFUSED, part, len(part))
        self.finish("framing")

    def _fail_framing(self, mistake: Exception) -> None:
        """Give up a connection whose framing has a bug of its own."""
        self._incoming.clear()
        scope = self.scope
        scope.failures.report(f"{scope.via.listener}: framing", mistake, "framing", scope.peer)
        self._loop.call_soon(self.abort, "error")

    # -- sending replies --------------------------------------------------------------------

    def settle(self, request: StreamRequest, outcome: Outcome, frame: bytes | None) -> None:
        """Take the outcome of a request that had to wait."""
        exchange = self._exchange
        if frame is None:
            exchange.settle(request, outcome)
        else:
            part = self._framing.frame(frame)
            exchange.settle(request, outcome, part, len(part))
        request.frame = b""  # it may wait for older replies, and its octets need not
        if exchange.closes_for or exchange.phase is not _TAKING:
            self._obey_exchange()
        if exchange.queue and (comes_up := exchange.queue[0].comes_up) and not comes_up.done():
            comes_up.set_result(None)
        if exchange.phase is not _OVER:
            self._schedule_flush()

    async def send(self, request: StreamRequest, frame: bytes) -> None:
        """Take one of many replies; wait until its request is the oldest, and for room."""
        exchange = self._exchange
        if not exchange.may_send(request):
            request.comes_up = self._loop.create_future()
            await request.comes_up
        await self._wait_for_room()
        part = self._framing.frame(frame)
        exchange.send(request, part, len(part))
        self._schedule_flush()
        if exchange.due_bytes > self.scope.options.max_write_buffer_bytes:
            self._write()  # which shows whether the peer keeps up
        await asyncio.sleep(0)  # lets others run, and ready replies be written
        await self._wait_for_room()

    def lost(self, request: StreamRequest, reason: str) -> None:
        """Note that a request will not be answered."""
        self.scope.lost(reason)

    async def _wait_for_room(self) -> None:
        while not self._exchange.is_writable:
            waiter: asyncio.Future[None] = self._loop.create_future()
            if self._waiters is None:
                self._waiters = deque()
            self._waiters.append(waiter)
            await waiter

    def _obey_exchange(self) -> None:
        """Apply the consequences of a settled request: report lost replies, or close."""
        exchange, life = self._exchange, self._life
        if exchange.phase is _BROKEN_OFF and self._in_flight.given_up_for is None:
            self._in_flight.give_up("unanswered")
            self._lose("unanswered", exchange.take_lost() + self._incoming.give_up())
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
        """Hand the due replies to the transport."""
        exchange, transport, counters = self._exchange, self._transport, self.scope.counters
        size = exchange.due_bytes
        frames = exchange.take()
        if frames:
            counters.frames_sent.value += len(frames)
            counters.bytes_sent.value += size
            if not self._joins_frames:
                for frame in frames:
                    transport.write(frame)
            else:
                transport.write(frames[0] if len(frames) == 1 else b"".join(frames))
        if transport.is_closing():  # the write has failed: what it took arrives nowhere
            return
        self._count_sent(transport.get_write_buffer_size())

    def _count_sent(self, unsent_bytes: int) -> None:
        """Count the replies that the system has taken; this many octets remain."""
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
            if (
                life.state is _OPEN or life.state is _FINISHING
            ) and not self._transport.is_closing():
                self._pump()
                if self._exchange.phase is not _OVER:
                    self._write()  # requests answered in place
                    if self._reading_paused:  # which may have made room
                        self._steer_reading()
            if life.state is _FINISHING and self._has_answered_all():
                self._end_output()
        except BaseException:  # the user interrupted a service
            self._flush_due = True
            self._loop.call_soon(self._flush)
            raise
        finally:
            self._advancing = False

    def _has_answered_all(self) -> bool:
        # Not writable with input left: complete frames may be waiting for `resume_writing`.
        return not self._is_busy() and (self._exchange.is_writable or not self._incoming)

    def _is_busy(self) -> bool:
        is_waiting = self._incoming.is_held_up or self._flush_due or self._rests
        return is_waiting or not self._exchange.is_idle

    # -- reading and the end -------------------------------------------------------------------

    def _end_output(self) -> None:
        """Everything is answered: close, after the peer if it may still be sending."""
        may_be_sending = not self._incoming.has_ended and self._exchange.handed_over > 0
        now = self.scope.clock.monotonic()
        options, life = self.scope.options, self._life
        if end_stream(self._transport, life, options, now, may_be_sending=may_be_sending):
            self._resume_reading()

    def _close_transport(self) -> None:
        self._life.close()
        self._transport.close()

    def _steer_reading(self) -> None:
        """Read only while there is room for what may arrive."""
        if self._life.state is not _OPEN:
            return
        options = self.scope.options
        has_room = self._exchange.room(
            options.max_requests_per_connection,
            options.max_write_buffer_bytes,
            options.max_request_bytes_per_connection,
        )
        is_held_up = self._rests or self._incoming.is_held_up
        if has_room and not is_held_up:
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
            self._note_partial()

    def _note_partial(self) -> None:
        is_partial = self._incoming.framer.buffered > 0 and not self._reading_paused
        self._life.note_message(is_partial, self.scope.clock.monotonic())


def _responder(scope: ConnectionScope, handler: FrameHandler) -> Responder[bytes, bytes]:
    return Responder(
        handler,
        admission=scope.admission,
        first_step=scope.tasks.first_step,
        counters=scope.counters.requests,
        failures=scope.failures,
        where=scope.via.listener,
    )
