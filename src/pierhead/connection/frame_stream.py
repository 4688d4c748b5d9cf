"""Frames in both directions on one byte stream, for owners that speak at any time.

    octets ─▶ framer ─▶ `frames_arrived`, while the owner has room
    octets ◀── one write per iteration ◀── `put`

It is the same on both sides: a conversation and a client's connection are subclasses, which say how
many frames they have room for and take what arrives. It reads only while there is room, and tells
the owner when the peer does not keep up. Deadlines and the end are those of `Life`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol, cast

from pierhead.clock import Clock
from pierhead.codec.base import Framing
from pierhead.connection.ending import end_stream
from pierhead.connection.frame_budget import FrameBudget
from pierhead.connection.life import Event, Life, State, Timeouts, Waits
from pierhead.connection.read_buffer import ReadBuffer
from pierhead.errors import FramingError, Overloaded, PierheadError
from pierhead.metrics import Metric
from pierhead.net.transport.reset import was_reset

__all__ = ["FrameCounters", "FrameStream", "StreamLimits"]

_OPEN, _FINISHING, _LINGERING = State.OPEN, State.FINISHING, State.LINGERING

#: More frames than a connection can hold.
_ALL = 2**31


class StreamLimits(Timeouts, Protocol):
    """The limits of one stream, besides those of its life."""

    @property
    def idle_timeout(self) -> float:
        """Without input or output, in seconds."""
        ...

    @property
    def max_write_buffer_bytes(self) -> int:
        """Octets that may wait for the peer before senders have to wait."""
        ...

    @property
    def read_size_bytes(self) -> int:
        """The largest piece read at once."""
        ...


class FrameCounters(Protocol):
    """What a stream counts."""

    frames_received: Metric
    frames_sent: Metric
    bytes_received: Metric
    bytes_sent: Metric
    reads_paused: Metric
    writes_paused: Metric


class FrameStream(asyncio.BufferedProtocol, ABC):
    """One byte stream and its framing.

    Args:
        framing: splits the input and frames the output.
        limits: read each time, so that the owner may replace them.
        read_buffer: shared with other streams.
        budget: of frames per iteration, shared by all streams of the event loop.

    Attributes:
        life: the states and deadlines.
        is_cut_off: whether the end of the input may be an attacker's.
        is_writable: whether the peer keeps up.
        last_heard: when octets last arrived.
        due_bytes: octets to be written in this iteration.
    """

    # Defaults that most connections never change are class attributes.
    is_writable = True
    last_heard = 0.0
    joins_frames = True  # what is ready in one loop iteration leaves in one write
    _is_made = False
    _flush_due = False
    _answers_at_once = False  # nothing has been sent since the last input
    _is_pumping = False
    _rests = False  # until its share of a later loop iteration
    _has_had_a_share = False
    _reading_paused = False
    _has_no_buffer = False
    _has_peer_ended = False
    _reads_no_more = False  # what has arrived is still passed on
    _is_input_over = False  # the owner has been told, or has asked for no more
    _is_output_over = False
    is_cut_off = False  # the peer's end is not authenticated: something may be missing

    def __init__(
        self,
        framing: Framing,
        *,
        limits: StreamLimits,
        read_buffer: ReadBuffer,
        clock: Clock,
        budget: FrameBudget,
        counters: FrameCounters,
    ) -> None:
        self.limits = limits
        self.counters = counters
        self.life = Life(clock.monotonic())
        self._clock = clock
        self._framing = framing
        self._framer = framing.new()
        self._read_buffer = read_buffer
        self._budget = budget
        self._due: list[bytes] = []
        self.due_bytes = self._handed_over = 0
        # (octets handed over when it was, frames), to tell how many frames the system has taken.
        self._marks: list[tuple[int, int]] = []  # an empty deque takes 760 octets

    # -- what a subclass says ------------------------------------------------------------------

    @abstractmethod
    def room(self) -> int:
        """Return how many frames may arrive now; reading pauses at 0 until `pump` is called."""

    @abstractmethod
    def frames_arrived(self, frames: Sequence[bytes]) -> None:
        """Take frames, as many as there is room for."""

    @abstractmethod
    def input_ended(self, error: PierheadError | None) -> None:
        """Note that no more frames will arrive; called once while the stream is open.

        ``error`` says what was wrong with the input; None if the peer has ended its side in order.
        """

    @abstractmethod
    def writable(self) -> None:
        """Note that the peer keeps up again."""

    @abstractmethod
    def failed(self, mistake: Exception) -> None:
        """Report a bug of the framing; the stream is aborted."""

    @abstractmethod
    def gone(self, reason: str, error: Exception | None) -> None:
        """Note that the transport has ended; called once."""

    # -- asyncio's side ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note that the connection is established."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self.limits.max_write_buffer_bytes)
        self._loop = asyncio.get_running_loop()
        self._is_made = True
        self.life.last_active = self.last_heard = self._clock.monotonic()
        if not self.life.happens(Event.MADE):  # aborted during the handshake
            self._transport.abort()
        if self._reads_no_more:
            self.end_reading()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Lend asyncio the buffer for one read; `buffer_updated` follows at once, or never."""
        try:
            return self._read_buffer.lend(self.limits.read_size_bytes)
        except Overloaded as error:
            self._loop.call_soon(self.abort, error.limit)
            self._has_no_buffer = True
            return bytearray(512)  # asyncio requires one nevertheless; the abort follows

    def buffer_updated(self, nbytes: int) -> None:
        """Take in what was read."""
        if self._has_no_buffer:
            return
        self.counters.bytes_received.value += nbytes
        self.life.has_heard = True
        self.life.last_active = self.last_heard = self._clock.monotonic()
        self._answers_at_once = True
        if self._is_input_over:
            return
        try:
            self._framer.feed(self._read_buffer.view[:nbytes].tobytes())
        except Exception as mistake:
            self._fail(mistake)
            return
        self.pump()

    def eof_received(self) -> bool:
        """Keep the other half open: a peer that has ended its side may still be sent something."""
        self._has_peer_ended = True
        # Without TLS's close_notify, the end may be an attacker's (RFC 8446 §6.1).
        self.is_cut_off = bool(self._transport.get_extra_info("truncated"))
        if self.life.state is _LINGERING:
            self._close_transport()
        else:
            self.pump()
        return True

    def pause_writing(self) -> None:
        """Note that the peer does not keep up."""
        self.is_writable = False
        self.counters.writes_paused.value += 1

    def resume_writing(self) -> None:
        """Note that the peer keeps up again."""
        self.is_writable = True
        self.writable()
        if self.life.state is _FINISHING:
            self._end_when_sent()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end; input that has arrived is still passed on."""
        if self.life.state is _OPEN:
            self.pump()  # there may be frames that had no room yet
        if exc is None and self.life.state is not State.ABORTED and not self._due:
            self._marks.clear()  # closed, which waits until the system has taken everything
        self.life.happens(Event.LOST)
        self.gone(self.life.reason or ("peer_gone" if exc else "eof"), exc)

    # -- input ---------------------------------------------------------------------------------

    @property
    def has_peer_ended(self) -> bool:
        """Whether the peer has ended its side."""
        return self._has_peer_ended

    def pump(self) -> None:
        """Pass frames on while there is room; call it when there is room again."""
        if self._is_pumping or self._is_input_over or not self._is_made:
            return
        self._is_pumping = True
        try:
            is_empty = self._take_frames()
        except FramingError as error:
            self._end_input(error)
            return
        except Exception as mistake:
            self._fail(mistake)
            return
        finally:
            self._is_pumping = False
        if is_empty and self._has_peer_ended:
            self._take_last()
        elif is_empty and self._reads_no_more:
            self._end_input(None)
        else:
            self._steer_reading()

    def _take_frames(self) -> bool:
        """Take complete frames while there is room; return whether none is left."""
        budget, framer = self._budget, self._framer
        while not self._rests and not self._is_input_over:
            room = self.room()
            if not room:
                return False
            share = budget.share(has_had_a_share=self._has_had_a_share)
            if share <= 0:
                self._rest()
                return False
            frames = framer.frames(min(room, share))
            if not frames:
                self._has_had_a_share = False
                return True
            self.counters.frames_received.value += len(frames)
            budget.left -= len(frames)
            budget.spent()
            self.life.message_began = None
            self._has_had_a_share = framer.buffered > 0
            self.frames_arrived(frames)
            if self._has_had_a_share and len(frames) >= share and budget.is_contended:
                self._rest()
        return False

    def _take_last(self) -> None:
        """Take the frames that the end of the stream completes, if it is genuine."""
        error: PierheadError | None = None
        try:
            if self._framer.buffered:
                if self.is_cut_off:
                    raise FramingError("the stream was truncated: TLS ended without close_notify")
                frames = self._framer.finish()
                self.counters.frames_received.value += len(frames)
                if frames:
                    self.frames_arrived(frames)
        except FramingError as wrong:
            error = wrong
        except Exception as mistake:
            self._fail(mistake)
            return
        self._end_input(error)

    def _end_input(self, error: PierheadError | None) -> None:
        self._is_input_over = True
        self.life.message_began = None
        if error is not None:
            self._pause_reading()
        self.input_ended(error)
        if self._has_peer_ended and self._is_output_over:
            self._close_transport()

    def end_reading(self) -> None:
        """Read nothing more; frames that have arrived are still passed on."""
        if self._is_input_over:
            return
        self._reads_no_more = True
        if self._is_made:
            self._pause_reading()
            self.pump()

    def stop_input(self) -> int:
        """Take no more frames; return how many complete ones are given up."""
        if self._is_input_over:
            return 0
        self._is_input_over = True
        self.life.message_began = None
        try:
            left = len(self._framer.frames(_ALL))
        except Exception:  # of the input, or a bug of the framing: neither has complete frames
            left = 0
        self.counters.frames_received.value += left
        self._framer = self._framing.new()
        return left

    def _fail(self, mistake: Exception) -> None:
        self._is_input_over = True
        self.failed(mistake)
        self._loop.call_soon(self.abort, "error")

    def _rest(self) -> None:
        """Leave the rest of this loop iteration to others."""
        self._rests = True
        self._budget.wait(self._go_on, has_had_a_share=self._has_had_a_share)

    def _go_on(self) -> None:
        self._rests = False
        self.pump()

    def _steer_reading(self) -> None:
        if self._rests or self._reads_no_more or not self.room():
            self._pause_reading()
        else:
            self._resume_reading()
            is_partial = self._framer.buffered > 0
            self.life.note_message(is_partial, self._clock.monotonic())

    def _pause_reading(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self.life.message_began = None
            self.counters.reads_paused.value += 1
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    # -- output --------------------------------------------------------------------------------

    @property
    def may_send(self) -> bool:
        """Whether frames may still be sent."""
        state = self.life.state
        return (state is _OPEN or state is _FINISHING) and not self._is_output_over

    @property
    def unsent_bytes(self) -> int:
        """How many octets wait for the peer."""
        if not self._is_made:
            return 0
        return self.due_bytes + self._transport.get_write_buffer_size()

    @property
    def framing(self) -> Framing:
        """How frames are delimited."""
        return self._framing

    def frame(self, payload: bytes) -> bytes:
        """Return a payload in its form on the wire.

        Raises:
            UsageError: the framing cannot carry it.
        """
        return self._framing.frame(payload)

    def put(self, payload: bytes) -> None:
        """Frame and send a payload.

        Raises:
            UsageError: the framing cannot carry it.
        """
        self.put_framed(self._framing.frame(payload))

    def put_framed(self, framed: bytes) -> None:
        """Send a frame with the others of this iteration, in order.

        The first one after input leaves at once, and its reply may arrive before this returns:
        where messages alternate, nothing would join it, and an iteration of the loop costs as much
        as sending.
        """
        self._due.append(framed)
        self.due_bytes += len(framed)
        if self._answers_at_once:
            self._answers_at_once = False
            self._write()
            return
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)
        if self.due_bytes > self.limits.max_write_buffer_bytes:
            self._write()  # which shows whether the peer keeps up

    def _flush(self) -> None:
        self._flush_due = False
        if self._due:
            self._write()
        if self.life.state is _FINISHING:
            self._end_when_sent()

    def _write(self) -> None:
        if not self._due or not self.may_send or self._transport.is_closing():
            return  # what is due has not been sent: the owner counts it at the end
        frames, self._due = self._due, []
        size, self.due_bytes = self.due_bytes, 0
        self._handed_over += size
        self.counters.bytes_sent.value += size
        self.counters.frames_sent.value += len(frames)
        self.life.last_active = self._clock.monotonic()
        if not self.joins_frames:
            for frame in frames:
                self._transport.write(frame)
        else:
            self._transport.write(frames[0] if len(frames) == 1 else b"".join(frames))
        unsent = self._transport.get_write_buffer_size()
        if unsent or self._marks:
            self._marks.append((self._handed_over, len(frames)))
            self._note_sent(unsent)

    def _note_sent(self, unsent_bytes: int) -> None:
        """Forget the frames that the system has taken."""
        marks, upto = self._marks, self._handed_over - unsent_bytes
        taken = 0
        while taken < len(marks) and marks[taken][0] <= upto:
            taken += 1
        del marks[:taken]

    def take_unsent(self) -> int:
        """Return how many frames have not been taken by the system, and forget them."""
        unsent = len(self._due) + sum(frames for _, frames in self._marks)
        self._due, self.due_bytes = [], 0
        self._marks.clear()
        return unsent

    # -- deadlines and the end -----------------------------------------------------------------

    def end_output(self) -> None:
        """Send what is due, then end this side; the peer may still send (half-close)."""
        if not self.may_send:
            return
        self._write()
        self._is_output_over = True
        if self._has_peer_ended and self._is_input_over:
            self._close_transport()
        elif self._transport.can_write_eof():
            with suppress(OSError):  # ENOTCONN: reset by the peer, which the transport reports soon
                self._transport.write_eof()

    def is_all_sent(self) -> bool:
        """Return whether the owner has nothing more to put; asked while the stream finishes."""
        return True

    def finish(self, reason: str) -> None:
        """Take no more input; send what is due, then close."""
        if not self._is_made:
            self.life.abort(reason)
        elif self.life.finish(reason):
            self._end_when_sent()

    def _end_when_sent(self) -> None:
        if not self.is_all_sent():
            return
        self._write()
        may_be_sending = not self._has_peer_ended and self._handed_over > 0
        now = self._clock.monotonic()
        self._is_input_over = True
        lingers = end_stream(
            self._transport, self.life, self.limits, now, may_be_sending=may_be_sending
        )
        if lingers:
            self._resume_reading()

    def _close_transport(self) -> None:
        self.life.close()
        self._transport.close()

    def abort(self, reason: str) -> None:
        """Close at once; what has not been taken by the system is lost."""
        self.life.abort(reason)
        if self._is_made:
            self._transport.abort()

    @property
    def is_idle(self) -> bool:
        """Whether it waits for nothing but the next message."""
        if self._reading_paused or self.waits() is not Waits.ACTIVITY:
            return False  # while nothing is read, it asks whether the peer has reset
        return self.is_writable and not self.unsent_bytes

    def waits(self) -> Waits:
        """Return what it waits for: a message that has begun, or else any traffic."""
        if self.life.state is not _OPEN:
            return Waits.NOTHING
        return Waits.ACTIVITY if self.life.message_began is None else Waits.A_MESSAGE

    def late_write(self) -> None:
        """Note that the peer has not taken what was sent in time; the stream is aborted."""

    def sweep(self, now: float) -> None:
        """Enforce the deadlines."""
        if not self._is_made or self.life.state is State.GONE:
            return
        if self._reading_paused and was_reset(self._transport):
            self.life.abort("peer_gone")
            self._transport.abort()
            return
        unsent = self._transport.get_write_buffer_size()
        self._note_sent(unsent)
        if self.life.is_write_late(now, self._handed_over, unsent, self.limits):
            self.late_write()
            self.abort("write")
        elif self.life.is_over(now, self.waits(), self.limits, self.limits.idle_timeout):
            self._close_transport()
