"""A conversation: both sides send and receive messages at any time.

    async def chat(conversation: Conversation[str, str]) -> None:
        await conversation.send("hello")
        async for line in conversation:
            await conversation.send(line.upper())

It is the same object in a server's handler and in a client. Any task may send; a peer that does not
take what it is sent makes senders wait, up to ``write_timeout``. Messages keep their order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, Literal, Protocol, TypeVar

from pierhead.codec.base import Decoder, Encoder
from pierhead.connection.liveness import Liveness
from pierhead.connection.message_counters import MessageCounters
from pierhead.connection.sender import Policy, Sender
from pierhead.errors import ConnectionEnded, DecodeError, PierheadError, again
from pierhead.service.context import Peer, Via

__all__ = ["Conversation", "Port", "Receiver"]

In = TypeVar("In")
Out = TypeVar("Out")
In_co = TypeVar("In_co", covariant=True)

#: Received messages that wait for the program; beyond this, or this many octets, reading pauses.
_MAX_WAITING = 32
_MAX_WAITING_BYTES = 65_536
#: Messages sent without a pause before other tasks run.
_PER_TURN = 64


class Port(Protocol):
    """What carries the frames of a conversation."""

    @property
    def is_writable(self) -> bool:
        """Whether the peer keeps up."""
        ...

    @property
    def may_send(self) -> bool:
        """Whether frames may still be sent."""
        ...

    @property
    def framing(self) -> object:
        """What `frame` does: the same for ports that have the same."""
        ...

    def frame(self, payload: bytes, /) -> bytes:
        """Return an encoded message in its form on the wire.

        Raises:
            UsageError: it cannot be carried.
        """
        ...

    def put_framed(self, framed: bytes, /) -> None:
        """Send what `frame` has returned.

        Raises:
            UsageError: the system does not carry it.
        """
        ...

    def pump(self) -> None:
        """Note that there is room for more frames."""
        ...

    def end_output(self) -> None:
        """End this side after what was sent."""
        ...

    def finish(self, reason: str, /) -> None:
        """Send what is due, then close."""
        ...

    def abort(self, reason: str, /) -> None:
        """Close at once."""
        ...


class Receiver(Protocol[In_co]):
    """The receiving half of a conversation."""

    async def receive(self) -> In_co:
        """Return the next message; see `Conversation.receive`."""
        ...

    def __aiter__(self) -> AsyncIterator[In_co]:
        """Iterate over the messages until the peer has ended its side."""
        ...


class Conversation(Generic[In, Out]):
    """Messages in both directions with one peer.

    Args:
        max_waiting: messages that wait to be received, at most.
        skip: called with a frame that is not a message, which is then dropped; None to raise the
            error in `receive`.
        liveness: the pings of this conversation; None for none.

    Attributes:
        peer: the other end.
        via: how the connection arrived, or where it was dialled.
    """

    def __init__(
        self,
        port: Port,
        decoder: Decoder[In],
        encoder: Encoder[Out],
        *,
        peer: Peer,
        via: Via,
        counters: MessageCounters,
        max_waiting: int = _MAX_WAITING,
        skip: Callable[[DecodeError, bytes], None] | None = None,
        liveness: Liveness[In, Out] | None = None,
    ) -> None:
        self.peer = peer
        self.via = via
        self._port = port
        self._decode = decoder.decode
        self._encoder = encoder
        self._encode = encoder.encode
        # Lists: an empty deque takes 760 octets, and these are short, and mostly empty.
        self._inbox: list[bytes] = []
        self._inbox_bytes = 0
        self._is_held_up = False  # the port waits for room
        self._answers_frames = False
        self._receivers: list[asyncio.Future[None]] = []
        self._input_end: Exception | None = None  # why no more messages arrive
        self._fault: PierheadError | None = None  # which the program is to know, once
        self._blocked: list[tuple[asyncio.Future[None], bytes]] = []
        self._queued: list[Sender[Any]] = []  # senders with messages that wait
        self._since_pause = 0
        self._closing = ""
        self._sends_no_more = False  # what waits still leaves
        self._output_end_is_due = False  # once that has left
        self._has_closed = False
        self._watchers: list[asyncio.Future[None]] = []  # of the closing, or the end
        self._counters = counters
        self._max_waiting = max_waiting
        self._skip = skip
        self._liveness = liveness
        self._pinged_at = self._unheard_until = float("-inf")

    def __repr__(self) -> str:
        return f"<Conversation with {self.peer} via {self.via.listener}>"

    # -- receiving -----------------------------------------------------------------------------

    async def receive(self) -> In:
        """Wait for the next message.

        Raises:
            PeerUnavailable: the network reports that datagrams do not arrive; later ones may.
            ConnectionEnded: no more messages arrive. ``is_clean`` tells whether the peer ended its
                side, or this side is closing, and not a fault.
            DecodeError: this one is not a message; the next one may be.
            FramingError: the input cannot be split into messages; no more arrive.
        """
        while True:
            while not self._inbox:
                if self._fault is not None:
                    fault, self._fault = self._fault, None
                    raise fault
                if self._input_end is not None:
                    raise again(self._input_end)
                await self._wait_for_input()
            frame = self._inbox.pop(0)
            self._inbox_bytes -= len(frame)
            if self._is_held_up and self._is_half_empty():
                self._is_held_up = False
                self._port.pump()
            try:
                message = self._decode(frame)
            except DecodeError as error:
                self._counters.undecodable.value += 1
                if self._skip is None:
                    raise
                self._skip(error, frame)
                continue
            except BaseException:  # a bug of the codec
                self._counters.note_lost("in", "error", 1)
                raise
            self._counters.received.value += 1
            return message

    def _is_half_empty(self) -> bool:
        """Return whether it is worth while to ask for more."""
        is_few = len(self._inbox) <= self._max_waiting // 2
        return is_few and self._inbox_bytes <= _MAX_WAITING_BYTES // 2

    def __aiter__(self) -> AsyncIterator[In]:
        """Iterate over the messages; it ends when the peer has ended its side, or with `closing`.

        Anything else that ends them is raised, as by `receive`.
        """
        return self

    async def __anext__(self) -> In:
        """Return the next message."""
        try:
            return await self.receive()
        except ConnectionEnded as end:
            if end.is_clean:
                raise StopAsyncIteration from None
            raise

    async def _wait_for_input(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._receivers.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                with suppress(ValueError):  # somebody was woken in its place
                    self._receivers.remove(waiter)
            else:
                _wake_one(self._receivers)  # the message is for another task
            raise

    # -- sending -------------------------------------------------------------------------------

    async def send(self, message: Out) -> None:
        """Send a message; wait while the peer does not keep up.

        Raises:
            ConnectionEnded: the conversation has ended, or this side of it.
            UsageError: the message cannot be encoded.
        """
        port = self._port
        framed = port.frame(self._encode(message))  # so that a mistake in it is its sender's
        if self._fault is not None or self._sends_no_more or not port.may_send:
            self._check_open()
        if self._is_time_to_pause():
            await asyncio.sleep(0)  # others run, and what is due is written
            self._check_open()
        if port.is_writable and not self._blocked:
            port.put_framed(framed)
            self._counters.sent.value += 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (waiter, framed)
        self._blocked.append(entry)
        try:
            await waiter
        except asyncio.CancelledError:
            if entry in self._blocked:
                self._blocked.remove(entry)
            raise

    def _is_time_to_pause(self) -> bool:
        self._since_pause += 1
        if self._since_pause < _PER_TURN:
            return False
        self._since_pause = 0
        return True

    def sender(
        self, capacity: int = 10, when_full: Literal["wait", "drop-oldest", "close"] = "wait"
    ) -> Sender[Out]:
        """Return a queue to this conversation, which any task may hold.

        Args:
            capacity: how many messages wait in it while the peer does not keep up.
            when_full: what happens then: the sender waits, the oldest message is dropped, or the
                conversation is closed as too slow.
        """
        return Sender(self._outlet(), capacity, Policy(when_full))

    def split(self) -> tuple[Receiver[In], Sender[Out]]:
        """Return the two halves; the sender has the default capacity."""
        return self, self.sender()

    def _outlet(self) -> _Outlet:
        return _Outlet(self)

    def _framed(self, message: Out) -> bytes:
        """Return a message in its form on the wire, so that a mistake in it is its sender's."""
        return self._port.frame(self._encode(message))

    def _check_open(self) -> None:
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault
        if self.closed:
            raise self._ended()

    def _ended(self) -> ConnectionEnded:
        if isinstance(self._input_end, ConnectionEnded) and not self._input_end.is_clean:
            return ConnectionEnded(str(self.peer), self._input_end.reason)
        reason = self._closing or "this side has ended the conversation"
        return ConnectionEnded(str(self.peer), reason, is_clean=True)

    def _put(self, framed: bytes) -> None:
        self._port.put_framed(framed)
        self._counters.sent.value += 1

    # -- the end -------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether nothing more can be sent."""
        return self._sends_no_more or not self._port.may_send

    @property
    def closing(self) -> str:
        """Why this side is closing, ``drain`` if the server stops; "" while it is not.

        No more messages arrive then; there is time until ``drain_timeout`` to say goodbye.
        """
        return self._closing

    @property
    def failure(self) -> Exception | None:
        """Why no more messages arrive, if the peer has not ended its side in order; else None."""
        end = self._input_end
        return None if isinstance(end, ConnectionEnded) and end.is_clean else end

    async def wait_closing(self) -> None:
        """Return once either side has ended or is closing, or the connection is lost."""
        if not (self._closing or self._has_closed or self._input_end is not None):
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._watchers.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._watchers:
                    self._watchers.remove(waiter)

    def end_output(self) -> None:
        """End this side after what has been sent; the peer may still send (half-close)."""
        if self._sends_no_more:
            return
        self._sends_no_more = True
        if self.has_queued:
            self._output_end_is_due = True
        else:
            self._port.end_output()

    def close(self) -> None:
        """Close after what has been sent; no more messages arrive."""
        self.finish("closed")

    def abort(self) -> None:
        """Close at once; what the peer has not taken is lost."""
        self._port.abort("aborted")

    # -- the port's side -----------------------------------------------------------------------

    def room(self) -> int:
        """Return how many frames may arrive now."""
        room = self._max_waiting - len(self._inbox)
        is_full = room <= 0 or self._inbox_bytes >= _MAX_WAITING_BYTES
        if is_full or self._input_end is not None or self._owes_answers():
            self._is_held_up = True
            return 0
        return room

    def _owes_answers(self) -> bool:
        """Return whether the peer asks on, but does not take its answers: they have no bound."""
        return self._answers_frames and not self._port.is_writable

    def note_answered(self) -> None:
        """Note that a frame was answered that nobody will receive."""
        self._answers_frames = True

    def arrive(self, frames: Sequence[bytes]) -> None:
        """Take frames that have arrived."""
        if self._liveness is not None:
            frames = [frame for frame in frames if not self._is_sign_of_life(frame, self._liveness)]
        self._inbox.extend(frames)
        self._inbox_bytes += sum(map(len, frames))
        for _ in range(min(len(frames), len(self._receivers))):
            _wake_one(self._receivers)

    def _is_sign_of_life(self, frame: bytes, liveness: Liveness[In, Out]) -> bool:
        """Return whether a frame is a ping, which is answered, or the answer to one."""
        try:
            message = self._decode(frame)
        except DecodeError:  # whoever receives it is told
            return False
        if liveness.is_ping is not None and liveness.is_ping(message):
            if self._port.may_send and liveness.pong is not None:
                self._port.put_framed(self._framed(liveness.pong(message)))
                self.note_answered()
        elif liveness.is_pong is None or not liveness.is_pong(message):
            return False
        self._counters.signs_of_life.value += 1
        return True

    def is_dead(self, now: float, last_heard: float) -> bool:
        """Return whether the peer has been silent for too long; send a ping if one is due."""
        liveness = self._liveness
        if liveness is None or liveness.make is None:
            return False
        if self._is_held_up:  # it is this side that does not read
            self._unheard_until = now
            return False
        silent_s = now - max(last_heard, self._unheard_until)
        if silent_s >= liveness.dead_after_s:
            return True
        if silent_s >= liveness.ping_after_s and self._pinged_at <= now - silent_s:
            self._pinged_at = now
            if self._port.may_send:
                self._port.put_framed(self._framed(liveness.make()))
                self._counters.pings.value += 1
        return False

    def next_look(self, last_heard: float) -> float:
        """Return when `is_dead` should be asked again, unless the peer is heard before."""
        liveness = self._liveness
        if liveness is None or liveness.make is None:
            return float("inf")
        if self._is_held_up:
            return 0.0
        last_heard = max(last_heard, self._unheard_until)
        is_pinged = self._pinged_at > last_heard
        return last_heard + (liveness.dead_after_s if is_pinged else liveness.ping_after_s)

    def end_of_input(self, error: Exception | None) -> None:
        """Note that no more frames arrive, and why; what has arrived can still be received."""
        if self._input_end is None:
            reason = self._closing or "the peer has ended the conversation"
            self._input_end = error or ConnectionEnded(str(self.peer), reason, is_clean=True)
        while self._receivers:
            _wake_one(self._receivers)
        self._wake_watchers()

    def finish(self, reason: str) -> None:
        """Send and receive nothing more; close once what waits has left."""
        self._sends_no_more = True
        self._output_end_is_due = False  # the port ends both sides
        self.note_closing(reason)
        self.end_of_input(None)
        self._port.finish(reason)

    def note_fault(self, error: PierheadError) -> None:
        """Let the next call that receives or sends raise this; the conversation goes on."""
        self._fault = error
        _wake_one(self._receivers)

    def note_closing(self, reason: str) -> None:
        """Note that this side is closing; the port says when no more messages arrive."""
        self._closing = self._closing or reason
        self._wake_watchers()

    def note_writable(self) -> None:
        """Let those that wait to send go on, oldest first."""
        port = self._port
        while port.is_writable and port.may_send and (self._blocked or self._queued):
            if self._blocked:
                waiter, framed = self._blocked.pop(0)
                self._send_for(waiter, framed)
            if self._queued and port.is_writable:
                sender = self._queued.pop(0)
                if self._forward(sender):
                    self._queued.append(sender)
        if self._output_end_is_due and not self.has_queued:
            self._output_end_is_due = False
            port.end_output()
        if self._answers_frames and self._is_held_up:
            self._is_held_up = False
            port.pump()

    def _forward(self, sender: Sender[Any]) -> bool:
        try:
            return sender.forward()
        except PierheadError:  # the system says late that a datagram is too large
            self._counters.note_lost("out", "send_error", 1)
            return len(sender) > 0

    def _send_for(self, waiter: asyncio.Future[None], framed: bytes) -> None:
        if waiter.done():  # cancelled
            return
        try:
            self._put(framed)
        except PierheadError as error:
            waiter.set_exception(error)
        else:
            waiter.set_result(None)

    @property
    def has_queued(self) -> bool:
        """Whether messages wait until the peer keeps up."""
        return bool(self._queued or self._blocked)

    def note_gone(self, reason: str) -> int:
        """Note that the connection has ended; return how many queued messages are lost."""
        self._has_closed = True
        is_clean = reason in ("eof", "closed") or reason == self._closing
        self.end_of_input(ConnectionEnded(str(self.peer), reason, is_clean=is_clean))
        while self._blocked:
            waiter, _ = self._blocked.pop(0)
            if not waiter.done():
                waiter.set_exception(self._ended())
        lost = sum(sender.end(self._ended()) for sender in self._queued)
        self._queued.clear()
        self._wake_watchers()
        return lost

    @property
    def unread_bytes(self) -> int:
        """Octets that wait to be received."""
        return self._inbox_bytes

    def take_unread(self) -> int:
        """Return how many messages have not been received, and forget them."""
        unread = len(self._inbox)
        self._inbox.clear()
        self._inbox_bytes = 0
        return unread

    def _wake_watchers(self) -> None:
        for waiter in self._watchers:
            if not waiter.done():
                waiter.set_result(None)
        self._watchers.clear()


class _Outlet:
    """The way out of a conversation that its senders share."""

    __slots__ = ("_to",)

    def __init__(self, conversation: Conversation[Any, Any]) -> None:
        self._to = conversation

    @property
    def format(self) -> object:
        return id(self._to._encoder), id(self._to._port.framing)

    def encode(self, message: Any) -> bytes:
        return self._to._framed(message)

    @property
    def is_open(self) -> bool:
        return self._to._port.is_writable and not self._to._blocked

    def check_open(self) -> None:
        self._to._check_open()

    def put(self, framed: bytes) -> None:
        self._to._put(framed)

    def is_time_to_pause(self) -> bool:
        return self._to._is_time_to_pause()

    def join_queue(self, sender: Sender[Any]) -> None:
        self._to._queued.append(sender)

    def too_slow(self) -> ConnectionEnded:
        self._to._port.abort("slow")
        return ConnectionEnded(str(self._to.peer), "it does not keep up with what it is sent")

    def end_output(self) -> None:
        self._to.end_output()


def _wake_one(waiters: list[asyncio.Future[None]]) -> None:
    while waiters:
        waiter = waiters.pop(0)
        if not waiter.done():
            waiter.set_result(None)
            return
