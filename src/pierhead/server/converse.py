"""The endpoint of conversations: a handler per connection, which sends and receives at any time.

    async def chat(conversation: Conversation[str, str]) -> None:
        async for line in conversation:
            await conversation.send(line.upper())

    run(converse(chat, lines.wire_format()), "tcp:127.0.0.1:7000")

A conversation has no request deadline. Its limits are those of a connection: silence, a message
that stays incomplete, a peer that does not take what it is sent. When the server stops, a handler
is told (its messages end, `Conversation.closing`); it is cancelled when the drain timeout passes.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar, overload

from pierhead.codec.base import WireFormat, check_wire_format
from pierhead.codec.packets import Packets
from pierhead.connection.conversation import Conversation
from pierhead.connection.conversation_stream import ConversationStream
from pierhead.connection.life import State
from pierhead.connection.liveness import Liveness
from pierhead.connection.message_counters import MessageCounters
from pierhead.connection.socket_conversation import SocketConversation
from pierhead.errors import (
    DecodeError,
    FramingError,
    PierheadError,
    TimedOut,
    UsageError,
)
from pierhead.server.connection import ConnectionScope, Standing
from pierhead.server.conversing import Conversing
from pierhead.server.endpoint import Endpoint, StreamHandler
from pierhead.server.handler_run import handler_name, run_handler
from pierhead.server.makes_endpoint import makes_endpoint
from pierhead.service.admission import Admission, Answer

__all__ = [
    "ConversationHandler",
    "ServedConversation",
    "SocketHandler",
    "converse",
    "packet_conversations",
]

Q = TypeVar("Q")
R = TypeVar("R")

#: Speaks with one peer; the conversation is closed when it returns.
ConversationHandler: TypeAlias = Callable[[Conversation[Q, R]], Awaitable[None]]

#: Speaks with everybody who sends to a datagram socket.
SocketHandler: TypeAlias = Callable[[SocketConversation[Q, R]], Awaitable[None]]

#: Ten minutes: longer than people are silent, and shorter than NATs remember a connection.
_IDLE_S = 600.0


@overload
def converse(
    handler: ConversationHandler[Q, R],
    wire_format: WireFormat[Q, R],
    *,
    per: Literal["peer"] = ...,
    liveness: Liveness[Q, R] | None = ...,
    name: str = ...,
    admission: Sequence[Admission] = ...,
    short_form: tuple[str, ...] | None = ...,
) -> Endpoint: ...
@overload
def converse(
    handler: SocketHandler[Q, R],
    wire_format: WireFormat[Q, R],
    *,
    per: Literal["socket"],
    name: str = ...,
    admission: Sequence[Admission] = ...,
    short_form: tuple[str, ...] | None = ...,
) -> Endpoint: ...


@makes_endpoint
def converse(
    handler: Any,
    wire_format: WireFormat[Any, Any],
    *,
    per: Literal["peer", "socket"] = "peer",
    liveness: Liveness[Any, Any] | None = None,
    name: str = "conversation",
    admission: Sequence[Admission] = (),
    short_form: tuple[str, ...] | None = None,
) -> Endpoint:
    """Return the handler of conversations as an endpoint.

    Args:
        handler: called with each `Conversation`, in a task of its own.
        wire_format: how messages are encoded: its requests are what peers send, its replies what
            the handler sends.
        per: whose a conversation is: a peer's, or the whole datagram socket's; then it is a
            `SocketConversation`, begins with the server, and streams are not served.
        liveness: finds out that a peer is dead, and answers its pings; None for neither.
        name: for logs and messages.
        admission: checks on every message before it is decoded, in order.
        short_form: the schemes that an address without a scheme stands for; ``tcp``, or ``udp``
            for whole sockets, unless given.
    """
    check_handler(handler)
    check_wire_format(wire_format)
    if per not in ("peer", "socket"):
        raise UsageError(f"per is {per!r}, expected 'peer' or 'socket'")
    per_socket = per == "socket"
    if per_socket and liveness is not None:
        raise UsageError("liveness is for the conversation of one peer, not for a whole socket")
    return Endpoint(
        name=name,
        datagram=Conversing(handler, wire_format, per_socket, liveness=liveness),
        stream=None if per_socket else _ConversingStreams(handler, wire_format, liveness),
        short_form=short_form or (("udp",) if per_socket else ("tcp",)),
        admission=tuple(admission),
        options={"idle_timeout": _IDLE_S},
    )


def check_handler(handler: Any) -> None:
    """Check that a handler is an async function of one argument.

    Raises:
        UsageError: it is not.
    """
    if not callable(handler) or not (
        asyncio.iscoroutinefunction(handler)
        or asyncio.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004
    ):
        name = getattr(handler, "__qualname__", repr(handler))
        raise UsageError(
            f"{name} is not a handler of conversations; write 'async def {name}(conversation)'"
        )


@dataclass(frozen=True, slots=True)
class _ConversingStreams:
    """Creates the object that serves a connection."""

    handler: ConversationHandler[Any, Any]
    wire_format: WireFormat[Any, Any]
    liveness: Liveness[Any, Any] | None = None

    def __call__(self, scope: ConnectionScope) -> ServedConversation:
        return ServedConversation(scope, self.handler, self.wire_format, self.liveness)


def packet_conversations(conversing: Conversing) -> StreamHandler:
    """Return what converses on connections that keep message borders: a frame is a packet."""
    return _ConversingPackets(conversing)


@dataclass(frozen=True, slots=True)
class _ConversingPackets:
    """What `packet_conversations` returns."""

    conversing: Conversing

    def __call__(self, scope: ConnectionScope) -> ServedConversation:
        return _PacketConversation(scope, self.conversing)


class ServedConversation(ConversationStream):
    """Serves one conversation; created by `converse`."""

    _task: asyncio.Task[None] | None = None
    _gone_at: float | None = None
    _is_lost = _is_late = False

    def __init__(
        self,
        scope: ConnectionScope,
        handler: ConversationHandler[Any, Any],
        wire_format: WireFormat[Any, Any],
        liveness: Liveness[Any, Any] | None = None,
    ) -> None:
        super().__init__(
            wire_format.framing,
            wire_format.requests,
            wire_format.replies,
            peer=scope.peer,
            via=scope.via,
            messages=MessageCounters(scope.counters.count),
            liveness=liveness,
            limits=scope.options,
            read_buffer=scope.read_buffer,
            clock=scope.clock,
            budget=scope.budget,
            counters=scope.counters,
        )
        self._scope = scope
        self._handler = handler
        self._reject = getattr(wire_format.replies, "reject", None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the handler."""
        super().connection_made(transport)
        if self.life.state is not State.OPEN:  # aborted during the handshake
            return
        name = handler_name(self._handler)
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._run(), name=f"{name} {self._scope.peer}")
        self._task.add_done_callback(self._handled)

    async def _run(self) -> None:
        self._end(
            await run_handler(self._handler, self.conversation, self._scope.failures, self._refuse)
        )

    def _refuse(self, error: DecodeError) -> str:
        """Answer input that is wrong with the protocol's refusal, if it has one."""
        scope = self._scope
        stage = "framing" if isinstance(error, FramingError) else "decode"
        scope.failures.note(error, stage, scope.peer)
        if self._reject is not None and self.may_send:
            try:
                refusal = self._reject(error, b"")
                if refusal is not None:
                    self.put(refusal)
            except Exception as mistake:
                scope.failures.report(f"{scope.via.listener}: reject", mistake)
        return "framing" if stage == "framing" else "undecodable"

    def _end(self, reason: str) -> None:
        self._messages.note_lost("in", reason, self.stop_input())
        self.forget_unread(reason)
        self.conversation.finish(reason)

    def _handled(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if task.cancelled() or task.exception() is not None:  # the user interrupts the program
            self.forget_unread(self.life.reason or "cancelled")
            self.abort(self.life.reason or "cancelled")
        if self.life.state is State.GONE:
            self._leave()

    def _leave(self) -> None:
        """Report the end to the server, and leave no reference cycle behind."""
        self._scope.closed()
        del self.conversation

    # -- the stream's side ---------------------------------------------------------------------

    def frames_arrived(self, frames: Sequence[bytes]) -> None:
        """Check frames, and pass on those that are admitted."""
        if self._scope.admission is not None:
            frames = [frame for frame in frames if self._is_admitted(frame)]
        super().frames_arrived(frames)

    def _is_admitted(self, frame: bytes) -> bool:
        scope = self._scope
        assert scope.admission is not None
        try:
            verdict = scope.admission(frame, scope.peer, scope.via)
            if verdict is None:
                return True
            scope.counters.dropped(verdict.reason)
            if isinstance(verdict, Answer):
                self.conversation.note_answered()
                self.put(verdict.frame)
        except Exception as mistake:
            where = f"{scope.via.listener}: admission"
            scope.failures.report(where, mistake, "admission", scope.peer)
            scope.counters.dropped("admission_error")
        return False

    def input_ended(self, error: PierheadError | None) -> None:
        """Tell the handler that no more messages arrive."""
        if isinstance(error, FramingError):
            self._scope.counters.dropped("framing")
        super().input_ended(error)

    def failed(self, mistake: Exception) -> None:
        """Report a bug of the framing."""
        where = f"{self._scope.via.listener}: framing"
        self._scope.failures.report(where, mistake, "framing", self._scope.peer)
        super().failed(mistake)

    def gone(self, reason: str, error: Exception | None) -> None:
        """Tell the handler, and the server once it has returned."""
        self._scope.wake()
        super().gone(reason, error)
        self._gone_at = self._clock.monotonic()
        self._scope.counters.closed(reason)
        if self._task is None:
            self._leave()

    def late_write(self) -> None:
        """Report that the peer did not take what it was sent in time."""
        self._scope.note_late_write()

    # -- the server's side ---------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """No requests are in flight: a handler may run as long as its peer stays."""
        return 0

    def standing(self) -> tuple[Standing, float]:
        """Return what the connection is doing, and when it was last busy."""
        life = self.life
        if life.state is not State.OPEN or self.unsent_bytes or not self.is_writable:
            return Standing.BUSY, life.last_active
        return (Standing.IDLE if life.has_heard else Standing.HALF_DONE), life.last_active

    def sweep(self, now: float) -> None:
        """Enforce the deadlines of the connection, and then of the handler."""
        self.limits = self._scope.options
        if self._gone_at is None:
            super().sweep(now)
            self._rest_until_needed()
        elif (
            self._task is not None
            and not self._is_late
            and now - self._gone_at >= self._scope.options.handler_timeout
        ):
            self._is_late = True  # once: what it does at its end may take a while
            self._scope.counters.count("conversations_cancelled_total").value += 1
            late = TimedOut(
                f"{handler_name(self._handler)} has not returned since its peer has gone"
            )
            self._scope.failures.note(late, "service", self._scope.peer)
            self._task.cancel()

    def _rest_until_needed(self) -> None:
        """Let sweeps pass while there is no deadline: thousands of idle peers cost nothing."""
        if self.is_idle:
            idle_until = self.life.last_active + self.limits.idle_timeout
            self._scope.rests_until = min(idle_until, self.conversation.next_look(self.last_heard))

    def buffer_updated(self, nbytes: int) -> None:
        """Take in what was read; it may begin a deadline."""
        self._scope.wake()
        super().buffer_updated(nbytes)

    def put_framed(self, framed: bytes) -> None:
        """Send a frame; it may begin a deadline."""
        self._scope.wake()
        super().put_framed(framed)

    def finish(self, reason: str) -> None:
        """Take no more input; send what is due, then close."""
        self._scope.wake()
        super().finish(reason)

    def drain(self) -> None:
        """Tell the handler: its messages end."""
        self._scope.wake()
        self.conversation.note_closing("drain")
        self.end_reading()

    def abort(self, reason: str) -> None:
        """Close at once, and cancel the handler."""
        if self._task is not None and not self._is_lost:
            self._is_lost = True
            self._scope.lost(reason)
            self._task.cancel()
        super().abort(reason)


class _PacketConversation(ServedConversation):
    """Serves one conversation on a seqpacket connection."""

    joins_frames = False  # each message is a packet of its own

    def __init__(self, scope: ConnectionScope, conversing: Conversing) -> None:
        packets = dataclasses.replace(conversing.wire_format, framing=Packets())
        super().__init__(scope, conversing.handler, packets, conversing.liveness)
        self._messages_of = conversing.frames

    def frames_arrived(self, frames: Sequence[bytes]) -> None:
        """Pass on the messages of each packet."""
        for packet in frames:
            try:
                messages = self._messages_of(packet)
            except DecodeError as error:
                self._scope.counters.dropped("undecodable")
                self._scope.failures.note(error, "decode", self._scope.peer)
            else:
                super().frames_arrived(messages)

    def message_cut_off(self) -> None:
        """Count a packet that did not fit into a read."""
        self._scope.counters.dropped("truncated")
