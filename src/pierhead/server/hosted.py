"""The other stock connection: a third-party asyncio protocol on one byte stream.

    bytes ─▶ HostedConnection ─▶ the guest's protocol
    transport ◀── HostedTransport ◀──┘

The guest splits the stream, answers and decides when to close. The host adds what the guest's own
server would otherwise provide: limits and deadlines of the address, counters, an end that loses
nothing. If a protocol raises, its connection is closed and the failure is reported in one line.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Collection
from typing import Any, Protocol, cast

from pierhead.connection.ending import end_stream
from pierhead.connection.life import Event, Life, State, Waits
from pierhead.connection.tasks import named
from pierhead.errors import TimedOut
from pierhead.net.transport.feed import feed
from pierhead.net.transport.reset import was_reset
from pierhead.server.connection import ConnectionScope, Standing
from pierhead.server.endpoint import StreamHandler
from pierhead.server.hosted_transport import HostedTransport

__all__ = ["Guest", "HostedConnection", "hosted"]


#: A finishing connection keeps reading, to notice that its peer leaves, until it has discarded this
#: much.
_MOST_LEFT_OUT = 65_536


class Guest(Protocol):
    """One connection served by third-party code, as far as its host has to know."""

    #: The protocol that serves the connection; the host updates it when the guest switches
    #: protocols.
    protocol: asyncio.BaseProtocol

    @property
    def in_flight(self) -> int:
        """How many requests are in flight, as far as is known; an abort loses them."""
        ...

    @property
    def waits(self) -> Waits:
        """What it waits for from its peer; A_MESSAGE where the peer owes a whole request."""
        ...

    def end_of_input(self, transport: HostedTransport) -> bool:
        """Be notified that the peer has ended its side; return whether the connection stays open.

        It may be called after `finish` too: a guest that is preparing an answer needs to know.
        """
        ...

    def finish(self, transport: HostedTransport) -> None:
        """Accept nothing more, answer what was accepted, then close the transport.

        Called once. Nothing more is read unless the guest calls `HostedTransport.read_on`. The
        protocol may already have been notified of the end of its input.
        """
        ...

    def unfinished(self) -> Collection[asyncio.Future[Any]]:
        """Tasks that still run for this connection after it has closed; an abort cancels them.

        They may take ``after_close_timeout``.
        """
        ...


class _Left:
    """The placeholder for a guest that has left."""

    in_flight = 0
    waits = Waits.ACTIVITY

    def __init__(self) -> None:
        self.protocol: asyncio.BaseProtocol = asyncio.Protocol()

    def end_of_input(self, transport: HostedTransport) -> bool:
        """Let the connection close."""
        return False

    def finish(self, transport: HostedTransport) -> None:
        """Do nothing: the connection has ended."""

    def unfinished(self) -> Collection[asyncio.Future[Any]]:
        """Return nothing."""
        return ()


def hosted(make: Callable[[ConnectionScope], Guest]) -> StreamHandler:
    """Return the handler of connections that creates a guest for each."""

    def connect(scope: ConnectionScope) -> HostedConnection:
        return HostedConnection(scope, make(scope))

    return connect


class HostedConnection(asyncio.Protocol):
    """Serves one connection; created by `hosted`."""

    def __init__(self, scope: ConnectionScope, guest: Guest) -> None:
        self.guest = guest
        self._scope = scope
        self._transport: asyncio.Transport | None = None
        self._life = Life(scope.clock.monotonic())
        self._guest_transport: HostedTransport | None = None
        self._has_given_up = False  # requests in flight were reported lost
        self._reads_on = False  # while it finishes
        self._is_paused = False  # by the guest
        self._has_ended = False  # the peer, its side
        self._rest = b""  # input that arrived while the guest had paused
        self._left_out = 0  # octets discarded while the connection finishes
        self._handed_over = 0  # octets, to the transport
        self._is_to_wait = False  # the guest, with what it writes
        self._has_been_to_wait = False  # before this iteration of the loop
        self._reset: ConnectionResetError | None = None  # noticed while nothing was read
        self._leave_by: float | None = None  # the guest, after the connection has ended
        self._has_been_told_to_leave = False

    # -- asyncio's side ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass the connection to the guest."""
        self._transport = cast(asyncio.Transport, transport)
        if not self._life.happens(Event.MADE):  # aborted during the handshake
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=self._scope.options.max_write_buffer_bytes)
        self._life.last_active = self._scope.clock.monotonic()
        guest_transport = HostedTransport(self, self._transport, self._scope)
        self._guest_transport = guest_transport
        self._call(self.guest.protocol.connection_made, guest_transport)

    def data_received(self, data: bytes) -> None:
        """Pass input to the guest."""
        self._scope.counters.bytes_received.value += len(data)
        if self.is_lingering:
            return
        if self._is_deaf:
            self._leave_out(len(data))
            return
        now, life = self._scope.clock.monotonic(), self._life
        if self.guest.waits is Waits.A_MESSAGE:
            life.note_message(True, now)
        life.has_heard = True
        life.last_active = now
        if self._is_paused:  # uvloop ignores a pause requested in `connection_made`
            assert self._transport is not None
            self._transport.pause_reading()
            self._rest += data
        elif isinstance(self.guest.protocol, asyncio.BufferedProtocol):
            self._feed(data)
        else:
            self._call(cast(asyncio.Protocol, self.guest.protocol).data_received, data)
        if self.guest.waits is not Waits.A_MESSAGE:
            life.end_message()

    def _feed(self, data: bytes) -> None:
        """Pass input to the guest while it is reading; the rest waits until it resumes."""
        while data and self._takes_input():
            protocol = self.guest.protocol

            def is_reading(protocol: asyncio.BaseProtocol = protocol) -> bool:
                return self._takes_input() and self.guest.protocol is protocol

            taken = self._call(feed, protocol, data, is_reading)
            if taken is None:  # it failed
                return
            data = data[taken:]
        self._rest = data

    def _takes_input(self) -> bool:
        transport = self._transport
        is_over = transport is None or transport.is_closing() or self.is_lingering
        return not (is_over or self._is_paused)

    def _feed_rest(self) -> None:
        """Resume reading for the guest: first the input held back, then new input."""
        rest, self._rest = self._rest, b""
        self._feed(rest)
        if self._rest or self._is_paused or self._transport is None:
            return
        if not self._has_ended:
            self._transport.resume_reading()
        elif not self.eof_received():
            self._transport.close()

    def eof_received(self) -> bool:
        """Pass the end of input on; requests being answered keep the connection open."""
        self._has_ended = True
        if self.is_lingering:
            return False
        if self._rest:  # the held input comes first
            return True
        stays_open = bool(self._call(self.guest.end_of_input, self._guest_transport))
        if not stays_open:
            self._life.reason = self._life.reason or "eof"
            if self.guest.in_flight:
                self._finish("eof")
                return True
        return stays_open

    def pause_writing(self) -> None:
        """Tell the guest that its peer does not keep up."""
        self._scope.counters.writes_paused.value += 1
        self._is_to_wait = True
        asyncio.get_running_loop().call_soon(self._note_turn)
        self._call(self.guest.protocol.pause_writing)

    def _note_turn(self) -> None:
        self._has_been_to_wait = self._is_to_wait

    def resume_writing(self) -> None:
        """Tell the guest that its peer keeps up again."""
        self._is_to_wait = self._has_been_to_wait = False
        self._call(self.guest.protocol.resume_writing)

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify the guest, and the server once the guest has left."""
        exc = exc or self._reset
        in_flight = 0 if self._has_given_up else self.guest.in_flight
        self._life.happens(Event.LOST)
        if self._guest_transport is not None:  # it has been given the connection
            self._call(self.guest.protocol.connection_lost, exc)
        self._scope.counters.closed(self._life.reason or ("peer_gone" if exc else "service"))
        if exc is not None:
            self._has_given_up = True
            self._lose(in_flight, "peer_gone")
        self._leave()

    def _leave(self) -> None:
        """Report the end of the connection to the server, after the last of its tasks."""
        unfinished = self._unfinished()
        if not unfinished:
            self._has_left()
            return
        unfinished[0].add_done_callback(lambda _: self._leave())
        if self._leave_by is None:
            now = self._scope.clock.monotonic()
            self._leave_by = now + self._scope.options.after_close_timeout

    def _unfinished(self) -> list[asyncio.Future[Any]]:
        return [future for future in self.guest.unfinished() if not future.done()]

    def _has_left(self) -> None:
        if isinstance(self.guest, _Left):  # it has been given up
            return
        self._scope.closed()
        # The guest refers to its transport and so to this object; a cycle would live until garbage
        # collection.
        self.guest, self._guest_transport = _Left(), None

    def _sweep_leaving(self, now: float) -> None:
        """Cancel the tasks of a guest that does not leave; do not wait for them twice."""
        if self._leave_by is None or now < self._leave_by:
            return
        if self._has_been_told_to_leave:
            self._has_left()
            return
        self._has_been_told_to_leave = True
        unfinished = self._unfinished()
        seconds = self._scope.options.after_close_timeout
        late = TimedOut(
            f"after_close_timeout: cancelled {seconds:g} s after their connection had closed: "
            f"{named(unfinished)}"
        )
        self._scope.failures.report(self._scope.via.listener, late, "service", self._scope.peer)
        self.abort("after_close_timeout")

    def _call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return method(*arguments)
        except Exception as mistake:  # a failure of the guest, not of the peer
            self._scope.failures.report(self._scope.via.listener, mistake)
            if self._life.state is not State.GONE:
                self.abort("error")
            return None

    # -- the guest's side, through its transport ---------------------------------------------

    def pause_reading(self, is_paused: bool) -> None:
        """Pause or resume reading for the guest; a finishing host does not resume."""
        if self._transport is None or self._transport.is_closing() or self.is_lingering:
            return
        if is_paused != self._is_paused:
            self._is_paused = is_paused
            if is_paused:
                self._scope.counters.reads_paused.value += 1
                self._transport.pause_reading()
            elif self._rest:
                asyncio.get_running_loop().call_soon(self._feed_rest)
            elif self._left_out <= _MOST_LEFT_OUT:
                self._transport.resume_reading()

    def _leave_out(self, size: int) -> None:
        """Discard late input to reach the peer's end of stream, of which the guest is notified."""
        self._left_out += size
        if self._left_out > _MOST_LEFT_OUT and self._transport is not None:
            self._transport.pause_reading()

    def read_on(self) -> None:
        """Keep reading while the connection finishes."""
        if self._life.state is State.FINISHING:
            self._reads_on = True

    def close(self) -> None:
        """Close, after the peer if it may still be sending, since a reset in answer to unread input
        would overtake what was written.
        """
        transport, scope, life = self._transport, self._scope, self._life
        if transport is None or transport.is_closing() or self.is_lingering:
            return
        may_be_sending = not self._has_ended and self._handed_over > 0
        now = scope.clock.monotonic()
        lingers = end_stream(transport, life, scope.options, now, may_be_sending=may_be_sending)
        if lingers and (self._is_paused or self._left_out > _MOST_LEFT_OUT):
            transport.resume_reading()

    @property
    def protocol(self) -> asyncio.BaseProtocol:
        """The guest's current protocol; it may switch to another."""
        return self.guest.protocol

    @protocol.setter
    def protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.guest.protocol = protocol

    @property
    def is_lingering(self) -> bool:
        """Whether the guest has closed and the peer has not."""
        return self._life.state is State.LINGERING

    @property
    def _is_deaf(self) -> bool:
        return self._life.state is State.FINISHING and not self._reads_on

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send the guest's octets, unless it has closed or its peer has to be disconnected.

        What is written within one iteration of the loop passes: the peer had no chance to take any
        of it, and a guest may write a long answer before it waits.
        """
        transport = self._transport
        if transport is None or self.is_lingering or transport.is_closing():
            return  # asyncio would log a line for each
        limit = self._scope.options.max_unsent_bytes
        if self._has_been_to_wait and transport.get_write_buffer_size() > limit:
            self._cut_off(transport.get_write_buffer_size())
            return
        self.note_written(len(data))
        transport.write(data)

    def _cut_off(self, unsent: int) -> None:
        mistake = BufferError(
            f"{self._scope.peer} has not taken {unsent} octets, and the program keeps writing "
            "(max_unsent_bytes); await writer.drain(), or heed pause_writing()"
        )
        self._scope.failures.report(self._scope.via.listener, mistake)
        self.abort("max_unsent_bytes")

    def note_written(self, size: int) -> None:
        """Count octets that the guest has written."""
        self._handed_over += size
        self._scope.counters.bytes_sent.value += size
        self._life.last_active = self._scope.clock.monotonic()
        self._life.end_message()  # an answer shows that a request was complete

    # -- the server's side ---------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """How many requests are in flight, as far as is known."""
        return self.guest.in_flight

    @property
    def unsent_bytes(self) -> int:
        """How many octets wait for the peer."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def standing(self) -> tuple[Standing, float]:
        """Return what the connection is doing, and when it was last busy."""
        life = self._life
        if life.state is State.FINISHING or self.is_lingering:
            return Standing.BUSY, life.last_active
        # A guest that has received and sent nothing has nothing to lose, even if it counts the
        # whole connection as one request.
        if not life.has_heard and not self._handed_over:
            return Standing.HALF_DONE, life.last_active
        if self.guest.in_flight or self.guest.waits is Waits.NOTHING:
            return Standing.BUSY, life.last_active
        is_half_done = life.message_began is not None
        return Standing.HALF_DONE if is_half_done else Standing.IDLE, life.last_active

    def sweep(self, now: float) -> None:
        """Enforce this connection's deadlines."""
        transport, options, life = self._transport, self._scope.options, self._life
        if life.state is State.GONE:
            self._sweep_leaving(now)
            return
        if transport is None:
            return
        if (self._is_paused or self._left_out > _MOST_LEFT_OUT) and was_reset(transport):
            self._reset = ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            self._life.abort("peer_gone")
            transport.abort()
            return
        unsent = transport.get_write_buffer_size()
        if life.is_write_late(now, self._handed_over, unsent, options):
            self._scope.note_late_write()
            self.abort("write")
        elif life.is_over(now, self._waits(), options, options.idle_timeout):
            life.close()
            transport.close()

    def _waits(self) -> Waits:
        waits = self.guest.waits
        # A guest that pauses cannot see the end of a message.
        return Waits.ACTIVITY if waits is Waits.A_MESSAGE and self._is_paused else waits

    def drain(self) -> None:
        """Stop reading; let the guest answer what it has accepted; then close."""
        self._finish("drain")

    def _finish(self, reason: str) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing() and self._life.finish(reason):
            self._call(self.guest.finish, self._guest_transport)

    def abort(self, reason: str) -> None:
        """Close at once; the guest's requests in flight are lost for this reason."""
        self._life.abort(reason)
        if not self._has_given_up:  # also after its end: tasks that it started may still run
            self._has_given_up = True
            self._lose(self.guest.in_flight, reason)
        for future in self.guest.unfinished():
            future.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _lose(self, requests: int, reason: str) -> None:
        for _ in range(requests):
            self._scope.counters.requests.lost(reason)
            self._scope.lost(reason)
