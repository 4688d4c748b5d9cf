"""The stock connection: a framing and a frame handler on one byte stream.

    bytes ─▶ framer ─▶ admission ─▶ answer_now ─▶ a task each, up to the window ─▶ service
                           │            │                                            │
    transport ◀── one write per turn ◀── in order, or as ready ◀─────────────────────┘

Pipelining is parallel and bounded: up to ``max_requests_per_connection`` requests are worked on
at once; when the window is full, or the peer does not take its replies, reading pauses. The
reply to an accepted request is never dropped; only the write deadline (or the peer) cuts it off.

What happens at the end, whoever ends it:

- end of input, or `drain`: what has come in whole is answered, then the connection closes;
- a framing error: the protocol's refusal follows the answers still due, then it closes;
- a failed request without refusal, where replies go in order: only those before it are given;
- after the last byte the server ends its stream and waits ``linger_timeout`` for the peer's end:
  closing on unread input would send a reset that can overtake the reply.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import cast

from pierhead.admission import Answer
from pierhead.codec.base import Framing, Order, check_framing
from pierhead.context import Context
from pierhead.errors import FramingError, Overloaded, UsageError
from pierhead.server.connection import ConnectionScope, Standing
from pierhead.server.endpoint import StreamHandler
from pierhead.server.incoming import Incoming
from pierhead.server.outgoing import Outgoing
from pierhead.server.request import Requests
from pierhead.server.turn import Turn
from pierhead.service import FrameHandler

__all__ = ["FramedConnection", "framed"]


def framed(handler: FrameHandler, framing: Framing, order: Order = Order.IN_ORDER) -> StreamHandler:
    """Return the handler of connections that cuts them into frames and answers each."""
    check_framing(framing)

    def connect(scope: ConnectionScope) -> FramedConnection:
        return FramedConnection(scope, handler, framing, order)

    return connect


class _State(Enum):
    OPEN = "reading and answering"
    FINISHING = "reading no more; answers are due"
    LINGERING = "all sent; waiting for the peer to close"
    CLOSED = "nothing left to do but to be told so"


_OPEN, _FINISHING, _LINGERING, _CLOSED = _State  # a member's look-up is slow on Python 3.11


class FramedConnection(asyncio.BufferedProtocol):
    """Serves one connection; made by `framed`."""

    # What most connections never change is an attribute of the class.
    idle_timeout: float | None = None  # None: as the options say
    _state = _OPEN
    _close_reason = ""
    _flush_due = False
    _is_made = False  # the transport is there
    _is_gone = False  # the transport has said so
    _was_aborted = False
    _is_broken_off = False
    _advancing = False
    _rests = False  # until it has its share of another turn of the loop
    _has_had_a_share = False  # of a turn, and its input is not through
    _joins_frames = True  # what is ready in one turn leaves in one write
    _reading_paused = False
    _has_no_buffer = False
    _heard = False
    _partial_since: float | None = None
    _linger_until = 0.0

    def __init__(
        self, scope: ConnectionScope, handler: FrameHandler, framing: Framing, order: Order
    ) -> None:
        self.scope = scope
        self._framing = framing
        self._in_order = order is Order.IN_ORDER
        self._answer_now = handler.answer_now
        self._incoming = Incoming(framing, scope.counters.frames_received)
        self._requests: Requests[Turn] = Requests(
            handler, self, scope.tasks, scope.counters.requests, scope.failures
        )
        self._start = self._requests.start
        self._running = self._requests.running
        self._turns: deque[Turn] = deque()  # in order only: replies due, oldest first
        self._outgoing = Outgoing(scope.counters, is_joined=self._joins_frames)
        self._last_active = scope.clock.monotonic()

    # -- asyncio's side ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start serving."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self.scope.options.max_write_buffer_bytes)
        self._loop = asyncio.get_running_loop()
        self._last_active = self.scope.clock.monotonic()
        self._is_made = True
        if self._state is _CLOSED:  # given up during the handshake
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
            return bytearray(512)  # asyncio wants one all the same; the abort follows

    def buffer_updated(self, nbytes: int) -> None:
        """Take in what was read."""
        if self._has_no_buffer:
            return
        scope = self.scope
        scope.counters.bytes_received.value += nbytes
        self._heard = True
        if self._state is _OPEN:
            self._incoming.framer.feed(scope.read_buffer.view[:nbytes].tobytes())
        self._advance()

    def eof_received(self) -> bool:
        """Keep the other half open: a peer that has finished asking still gets its answers."""
        self._incoming.has_ended = True
        # Without TLS's close_notify, whatever came last may be half of what was sent: it is no
        # message, though the end of the stream would make it one (RFC 8446 §6.1).
        self._incoming.is_cut_off = bool(self._transport.get_extra_info("truncated"))
        if self._state is _OPEN:
            self.finish("eof")
        elif self._state is _LINGERING:
            self._close_transport()
        return True

    def pause_writing(self) -> None:
        """The peer does not keep up: begin no request, read nothing."""
        self._outgoing.is_writable = False
        self.scope.counters.writes_paused.value += 1
        self._pause_reading()

    def resume_writing(self) -> None:
        """The peer keeps up again: let waiting senders on, oldest first."""
        self._outgoing.resume()
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop serving."""
        reason = self._close_reason or "peer_gone"
        self._state = _CLOSED
        if exc is None and not self._outgoing.frames:
            self._outgoing.note_sent(0)  # closed, which waits for the system to take everything
        self._lose_replies(reason)
        self._lose(reason, self._incoming.give_up())
        self.scope.counters.closed(reason)
        self._is_gone = True
        # What `abort` gave up has its reason already.
        self._requests.cancel_all("peer_gone")
        if not self._running:
            self._leave()

    def _leave(self) -> None:
        """Tell the server that nothing is left, and leave no cycle behind."""
        self._requests.close()
        self.scope.closed()

    # -- the server's side ---------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """How many requests are being worked on."""
        return len(self._running)

    @property
    def unsent_bytes(self) -> int:
        """How many octets wait for the peer, also behind a slow reply."""
        return self._outgoing.waiting(self._transport)

    def standing(self) -> tuple[Standing, float]:
        """Return what the connection is doing, and when it last had something to do."""
        if self._state is not _OPEN or self._is_busy() or not self._outgoing.is_writable:
            return Standing.BUSY, self._last_active
        is_half_done = self._incoming.framer.buffered or not self._heard
        return Standing.HALF_DONE if is_half_done else Standing.IDLE, self._last_active

    def current_idle_timeout(self) -> float:
        """The idle timeout in force, in seconds: the connection's own or the server's."""
        return self.scope.options.idle_timeout if self.idle_timeout is None else self.idle_timeout

    def sweep(self, now: float) -> None:
        """Enforce this connection's deadlines."""
        self._requests.sweep(now)
        self._outgoing.note_sent(self._transport.get_write_buffer_size())
        timeout = self.scope.options.write_timeout
        if self._outgoing.deadline.is_late(now, self._transport, timeout):
            self.scope.note_late_write()
            self.abort("write")
        elif self._state is _LINGERING:
            if now >= self._linger_until:
                self._close_transport()
        elif self._state is _OPEN:
            self._sweep_reading(now)

    def drain(self) -> None:
        """Read no more; answer what has been accepted; then close."""
        self.finish("drain")

    def abort(self, reason: str) -> None:
        """Close at once; everything accepted and unanswered is lost for this reason."""
        self._close_reason, self._state = reason, _CLOSED
        if not self._is_made:
            return
        if not self._was_aborted:
            self._outgoing.note_sent(self._transport.get_write_buffer_size())
            self._lose_replies(reason)
            self._lose(reason, self._incoming.give_up())
        self._was_aborted = True
        # A request may do this while others of the same read are still to begin.
        self._is_broken_off = True
        self._requests.cancel_all(reason)
        self._transport.abort()

    def _lose(self, reason: str, requests: int = 1) -> None:
        """Name accepted requests whose replies will not arrive."""
        for _ in range(requests):
            self.scope.counters.requests.lost(reason)
            self.scope.lost(reason)

    def _lose_replies(self, reason: str) -> None:
        """Give up the replies that were made and have not been sent in full."""
        self._lose(reason, self._outgoing.give_up(self._turns))
        self._turns.clear()

    def finish(self, reason: str) -> None:
        """Accept nothing more; close once everything accepted is answered."""
        if self._state is not _OPEN:
            return
        self._state, self._close_reason = _FINISHING, reason
        # What has come in whole counts as accepted: `_pump` still takes it from the framer.
        if not self._incoming.has_ended:
            self._pause_reading()
        self._advance()

    # -- taking frames in ----------------------------------------------------------------------

    def _pump(self) -> None:
        """Take whole frames from the framer while there is room for what they may become."""
        options, budget = self.scope.options, self.scope.budget
        incoming, outgoing, limit = self._incoming, self._outgoing, options.max_write_buffer_bytes
        while incoming and outgoing.is_writable and not self._rests:
            window = options.max_requests_per_connection
            room = window - (len(self._turns) if self._in_order else len(self._running))
            if room <= 0 or not outgoing.has_room(limit, self._transport):
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
            if not frames:
                break
            taken = self._take(frames)
            if taken < len(frames):
                incoming.put_back(frames[taken:])
            budget.left -= taken
            budget.spent()
            self._has_had_a_share = bool(incoming)
            if incoming and taken >= share and budget.is_contended:
                self._rest()
        if self._incoming.framer.buffered or self._partial_since is not None:
            self._note_partial()
        # Where everything has been answered in place, there is nothing to steer.
        is_busy = self._running or self._turns or self._rests or incoming.is_held_up
        if is_busy or self._reading_paused or not self._outgoing.is_writable:
            self._steer_reading()

    def _rest(self) -> None:
        """Leave the rest of this turn of the loop to others."""
        self._rests = True
        self.scope.budget.wait(self._go_on, has_had_a_share=self._has_had_a_share)

    def _go_on(self) -> None:
        self._rests = False
        self._advance()

    def _take(self, frames: Sequence[bytes]) -> int:
        """Begin requests, until replies wait that the peer may not take; return how many."""
        scope, turns, start, outgoing = self.scope, self._turns, self._start, self._outgoing
        received_at = scope.clock.monotonic()
        deadline = received_at + scope.options.request_timeout
        limit = scope.options.max_write_buffer_bytes
        self._last_active = received_at
        self._partial_since = None  # whatever is left in the framer is the next message
        is_checked = scope.admission is not None or self._answer_now is not None
        in_order, peer, via, taken = self._in_order, scope.peer, scope.via, 0
        for frame in frames:
            taken += 1
            if not (is_checked and self._is_settled(frame)):
                turn = Turn(frame, deadline, self)
                if in_order:
                    turns.append(turn)
                reply = start(turn, Context(peer, received_at, via, turn))
                if reply is not None:
                    self._answer_in_place(turn, reply)
            if self._is_broken_off:  # by this request, that was settled at once
                self._lose(self._close_reason or "unanswered", len(frames) - taken)
                return len(frames)
            if outgoing.size_bytes + outgoing.held_bytes > limit:
                break
        return taken

    def _answer_in_place(self, turn: Turn, reply: bytes) -> None:
        """Take the reply of a request that waited for nothing."""
        turns = self._turns
        try:
            framed_reply = self._framing.frame(reply)
        except Exception as mistake:  # the framing cannot carry it
            self._requests.refuse(turn, mistake)
        else:
            outgoing = self._outgoing
            if not self._in_order or (turns and turns[0] is turn):
                outgoing.frames.append(framed_reply)  # `add`, without the call
                outgoing.size_bytes += len(framed_reply)
                if len(turns) <= 1 and not (turn.has_commands or self._is_gone):
                    outgoing.answered += 1
                    turns.clear()
                    return  # the usual case, and nothing more than it takes
            else:
                outgoing.hold(turn, framed_reply)
            turn.is_answered = True
        self.finished(turn)

    def _is_settled(self, frame: bytes) -> bool:
        """Tell whether a check or a ready answer has settled this frame, or failed to."""
        scope = self.scope
        try:
            if scope.admission is not None:
                verdict = scope.admission(frame, scope.peer, scope.via)
                if verdict is not None:
                    scope.counters.dropped(verdict.reason)
                    if isinstance(verdict, Answer):
                        self._answer_at_once(verdict.frame)
                    return True
            answer_now = self._answer_now
            ready = None if answer_now is None else answer_now(frame, scope.peer, scope.via)
            if ready is None:
                return False
            self._answer_at_once(ready, is_ready=True)
        except Exception as mistake:  # of a check, or in a ready answer: not the peer's
            scope.failures.report(f"{self.where}: admission", mistake, "admission", scope.peer)
            scope.counters.dropped("admission_error")
            turn = Turn(frame, 0.0, self)
            if self._in_order:
                self._turns.append(turn)
            turn.close_unanswered()
            self.finished(turn)
        return True

    def _answer_at_once(self, frame: bytes, *, is_ready: bool = False) -> None:
        """Give an answer that needs no service, after those that are due."""
        outgoing, framed_reply = self._outgoing, self._framing.frame(frame)
        if self._turns:
            turn = Turn(b"", 0.0, self)
            outgoing.hold(turn, framed_reply)
            turn.done, turn.is_ready = True, is_ready
            self._turns.append(turn)
        else:
            outgoing.add(framed_reply)
            outgoing.ready += is_ready

    def _refuse_stream(self, error: FramingError) -> None:
        """Answer a stream that cannot be cut any further with one last refusal."""
        scope = self.scope
        scope.counters.dropped("framing")
        scope.failures.note(error, "framing", scope.peer)
        refusal = self._requests.refusal(error, b"", scope.peer)
        self._incoming.clear()
        if refusal is not None:
            self._answer_at_once(refusal)
        self.finish("framing")

    def deliver(self, turn: Turn, frame: bytes) -> None:
        """Take a reply; it is held back while older ones are due (in order)."""
        framed_reply, outgoing = self._framing.frame(frame), self._outgoing
        if self._in_order and (not self._turns or self._turns[0] is not turn):
            outgoing.hold(turn, framed_reply)
            return
        outgoing.add(framed_reply)
        self._schedule_flush()

    async def deliver_one(self, turn: Turn, frame: bytes) -> None:
        """Take one of many replies; wait for the turn and for room."""
        if not isinstance(frame, bytes):
            raise UsageError(f"a reply is {type(frame).__name__}, expected bytes")
        if self._in_order and (not self._turns or self._turns[0] is not turn):
            turn.ready = self._loop.create_future()
            await turn.ready
        await self._outgoing.room()
        self.deliver(turn, frame)
        if self._outgoing.size_bytes > self.scope.options.max_write_buffer_bytes:
            self._outgoing.write(self._transport)  # which tells whether the peer keeps up
        await asyncio.sleep(0)  # others have their turn, and what is ready is written
        await self._outgoing.room()

    def finished(self, turn: Turn) -> None:
        """A request has had its last reply."""
        turn.done = True
        if self._state is _CLOSED:
            if turn.is_answered:
                self._lose(self._close_reason or "peer_gone")
            if self._is_gone and not self._running:
                self._leave()
            return
        if self._in_order:
            while self._turns and self._turns[0].done:
                oldest = self._turns.popleft()
                self._release(oldest)
                if oldest.is_unanswered:
                    self._break_off()
                    break
                if oldest.has_commands:
                    self._obey(oldest)
            if self._turns:
                self._release(self._turns[0])
        else:
            self._outgoing.answered += turn.is_answered
            if turn.has_commands:
                self._obey(turn)
        self._schedule_flush()

    def _obey(self, turn: Turn) -> None:
        """Let the two commands of a service take effect."""
        if turn.new_idle_timeout is not None:
            self.idle_timeout = turn.new_idle_timeout
        if turn.close_for:
            self.finish(turn.close_for)

    def lost(self, turn: Turn, reason: str) -> None:
        """A request will not be answered."""
        self.scope.lost(reason)

    def unanswered(self, turn: Turn) -> None:
        """A request has failed, and there is no refusal."""
        if self._in_order:
            turn.close_unanswered()

    @property
    def where(self) -> str:
        """The listener, for the log."""
        return self.scope.via.listener

    def _break_off(self) -> None:
        """Give no reply any more: the peer would take it for the one that is missing."""
        self._is_broken_off = True
        self._lose("unanswered", self._outgoing.give_up_held(self._turns))
        self._turns.clear()
        self._requests.cancel_all("unanswered")
        self._lose("unanswered", self._incoming.give_up())
        self.finish("unanswered")

    def _release(self, turn: Turn) -> None:
        """Let out what a turn holds; it has come up."""
        if self._outgoing.release(turn):
            self._schedule_flush()
        if turn.ready is not None and not turn.ready.done():
            turn.ready.set_result(None)

    def _schedule_flush(self) -> None:
        if not (self._flush_due or self._advancing):
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write everything that became ready in this turn of the loop, in one piece."""
        self._flush_due = False
        self._last_active = self.scope.clock.monotonic()
        if self._state is not _CLOSED:
            self._outgoing.write(self._transport)
            self._advance()

    def _advance(self) -> None:
        """Go on with whatever the last change made possible."""
        if self._advancing:  # a request that finished while it was being started
            return
        self._advancing = True
        try:
            if self._state is _OPEN or self._state is _FINISHING:
                self._pump()
                if self._state is not _CLOSED:
                    self._outgoing.write(self._transport)  # what was answered in place
            if self._state is _FINISHING and self._has_answered_all():
                self._end_output()
        except BaseException:  # the user has interrupted a service
            self._flush_due = True
            self._loop.call_soon(self._flush)
            raise
        finally:
            self._advancing = False

    def _has_answered_all(self) -> bool:
        # Not writable with input left: whole frames may be waiting for `resume_writing`.
        return not self._is_busy() and (self._outgoing.is_writable or not self._incoming)

    def _is_busy(self) -> bool:
        is_waiting = self._incoming.is_held_up or self._flush_due or self._rests
        return bool(self._running or self._turns or self._outgoing.frames or is_waiting)

    def _end_output(self) -> None:
        """Everything is answered: close, after the peer where it may still be sending."""
        linger = self.scope.options.linger_timeout
        if (
            self._incoming.has_ended
            or not linger
            or not self._outgoing.deadline.handed_over
            or self._transport.is_closing()
            or not self._transport.can_write_eof()
        ):
            self._close_transport()
            return
        try:
            self._transport.write_eof()
        except OSError:  # ENOTCONN: the peer has reset the connection, and nobody has noticed yet
            self._close_transport()
            return
        self._state = _LINGERING
        self._linger_until = self.scope.clock.monotonic() + linger
        self._resume_reading()

    def _close_transport(self) -> None:
        self._state = _CLOSED
        self._transport.close()

    def _steer_reading(self) -> None:
        """Read while there is room for what may come, and only then."""
        if self._state is not _OPEN:
            return
        load = len(self._turns) if self._in_order else len(self._running)
        has_room = load < self.scope.options.max_requests_per_connection
        is_held_up = self._rests or self._incoming.is_held_up
        if has_room and self._outgoing.is_writable and not is_held_up:
            self._resume_reading()
        else:
            self._pause_reading()

    def _pause_reading(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._partial_since = None
            self.scope.counters.reads_paused.value += 1
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()
            self._note_partial()

    def _note_partial(self) -> None:
        """Start or stop the clock of a message that has begun and is not whole."""
        if not self._incoming.framer.buffered or self._reading_paused:
            self._partial_since = None
        elif self._partial_since is None:
            self._partial_since = self.scope.clock.monotonic()

    def _sweep_reading(self, now: float) -> None:
        options = self.scope.options
        if self._is_busy() or self._reading_paused:
            return
        if self._partial_since is not None:
            if now - self._partial_since >= options.message_timeout:
                self._give_up("message")
        elif not self._heard:
            if now - self._last_active >= options.first_byte_timeout:
                self._give_up("first_byte")
        elif now - self._last_active >= self.current_idle_timeout():
            self._give_up("idle")

    def _give_up(self, reason: str) -> None:
        """Close a connection that owes nobody an answer."""
        self._close_reason = reason
        self._close_transport()
