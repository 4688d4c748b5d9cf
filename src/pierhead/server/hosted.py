"""The other stock connection: somebody else's asyncio protocol on one byte stream.

    bytes ─▶ HostedConnection ─▶ the guest's protocol
    transport ◀── HostedTransport ◀──┘

The guest cuts the stream, answers and decides when to close. The host adds what the guest's own
server would have to: limits and deadlines of the address, counters, an end that loses nothing.
A protocol that raises has its connection closed and is reported in one line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Protocol, cast

from pierhead.connection.ending import end_stream
from pierhead.connection.life import Event, Life, State, Waits
from pierhead.net.transport.feed import feed
from pierhead.server.connection import ConnectionScope, Standing
from pierhead.server.endpoint import StreamHandler
from pierhead.server.hosted_transport import HostedTransport

__all__ = ["Guest", "HostedConnection", "hosted"]


#: A finishing connection reads on, so that it hears its peer leave, until this much was left out.
_MOST_LEFT_OUT = 65_536


class Guest(Protocol):
    """One connection in the hands of somebody else's code, as far as its host has to know."""

    #: What is in charge of the connection; the host changes it when that puts another in its place.
    protocol: asyncio.BaseProtocol

    @property
    def in_flight(self) -> int:
        """How many requests it works on, as far as can be told; these are lost at an abort."""
        ...

    @property
    def waits_for_peer(self) -> bool:
        """Whether silence counts: the idle timeout is for those who wait for their peer."""
        ...

    @property
    def awaits_request(self) -> bool:
        """Whether the peer has the word and owes a whole request, in its time."""
        ...

    def end_of_input(self, transport: HostedTransport) -> bool:
        """Hear that the peer has ended its side; tell whether the connection stays open.

        It may come after `finish` too: who works on an answer wants to know.
        """
        ...

    def finish(self, transport: HostedTransport) -> None:
        """Accept nothing more, answer what was accepted, then close the transport.

        Called once, and nothing is read any more unless the guest asks for it by
        `HostedTransport.read_on`. The protocol may have been told the end of its input before.
        """
        ...

    def unfinished(self) -> Collection[asyncio.Future[Any]]:
        """What still runs for this connection though it is closed; cancelled at an abort."""
        ...


class _Left:
    """In place of a guest that has left."""

    in_flight = 0
    waits_for_peer = True
    awaits_request = False

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
    """Return the handler of connections that makes a guest for each."""

    def connect(scope: ConnectionScope) -> HostedConnection:
        return HostedConnection(scope, make(scope))

    return connect


class HostedConnection(asyncio.Protocol):
    """Serves one connection; made by `hosted`."""

    def __init__(self, scope: ConnectionScope, guest: Guest) -> None:
        self.guest = guest
        self._scope = scope
        self._transport: asyncio.Transport | None = None
        self._life = Life(scope.clock.monotonic())
        self._has_given_up = False  # what was in flight is named
        self._reads_on = False  # though it finishes
        self._is_paused = False  # by the guest
        self._has_ended = False  # the peer, its side
        self._rest = b""  # what came while the guest was pausing
        self._left_out = 0  # octets that came while the connection finishes
        self._handed_over = 0  # octets, to the transport
        self._is_to_wait = False  # the guest, with what it writes
        self._has_been_to_wait = False  # since before this turn of the loop

    # -- asyncio's side ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the guest its connection."""
        self._transport = cast(asyncio.Transport, transport)
        if not self._life.happens(Event.MADE):  # given up during the handshake
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=self._scope.options.max_write_buffer_bytes)
        self._life.last_active = self._scope.clock.monotonic()
        guest_transport = HostedTransport(self, self._transport, self._scope)
        self._guest_transport: HostedTransport | None = guest_transport
        self._call(self.guest.protocol.connection_made, guest_transport)

    def data_received(self, data: bytes) -> None:
        """Give the guest what arrived."""
        self._scope.counters.bytes_received.value += len(data)
        if self.is_lingering:
            return
        if self._is_deaf:
            self._leave_out(len(data))
            return
        now, life = self._scope.clock.monotonic(), self._life
        if self.guest.awaits_request:
            life.note_message(True, now)
        life.has_heard = True
        life.last_active = now
        if self._is_paused:  # uvloop forgets a pause that is asked for in `connection_made`
            assert self._transport is not None
            self._transport.pause_reading()
            self._rest += data
        elif isinstance(self.guest.protocol, asyncio.BufferedProtocol):
            self._feed(data)
        else:
            self._call(cast(asyncio.Protocol, self.guest.protocol).data_received, data)
        if not self.guest.awaits_request:
            life.message_began = None

    def _feed(self, data: bytes) -> None:
        """Give the guest what arrived, as far as it reads; the rest waits until it reads again."""
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
        """The guest reads again: first what it left, then what comes."""
        rest, self._rest = self._rest, b""
        self._feed(rest)
        if self._rest or self._is_paused or self._transport is None:
            return
        if not self._has_ended:
            self._transport.resume_reading()
        elif not self.eof_received():
            self._transport.close()

    def eof_received(self) -> bool:
        """Pass the end of input on; what is being answered keeps the connection open."""
        self._has_ended = True
        if self.is_lingering:
            return False
        if self._rest:  # comes first
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
        """Tell the guest, and the server once the guest has left."""
        in_flight = 0 if self._has_given_up else self.guest.in_flight
        self._life.happens(Event.LOST)
        if self._transport is not None:
            self._call(self.guest.protocol.connection_lost, exc)
        self._scope.counters.closed(self._life.reason or ("peer_gone" if exc else "service"))
        if exc is not None:
            self._lose(in_flight, "peer_gone")
        self._leave()

    def _leave(self) -> None:
        """Tell the server that the connection has ended, after the last of its tasks."""
        unfinished = [future for future in self.guest.unfinished() if not future.done()]
        if unfinished:
            unfinished[0].add_done_callback(lambda _: self._leave())
        else:
            self._scope.closed()
            # The guest has its transport and so this object; a cycle would live on until it is
            # collected.
            self.guest, self._guest_transport = _Left(), None

    def _call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return method(*arguments)
        except Exception as mistake:  # of the guest's own, not the peer's
            self._scope.failures.report(self._scope.via.listener, mistake)
            if self._life.state is not State.GONE:
                self.abort("error")
            return None

    # -- the guest's side, by way of its transport ---------------------------------------------

    def pause_reading(self, is_paused: bool) -> None:
        """Read no more, or again, as the guest wants; a host that finishes reads no more."""
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
        """Read past what comes too late: behind it is the peer's end, which the guest hears of."""
        self._left_out += size
        if self._left_out > _MOST_LEFT_OUT and self._transport is not None:
            self._transport.pause_reading()

    def read_on(self) -> None:
        """Read as before though the connection finishes."""
        if self._life.state is State.FINISHING:
            self._reads_on = True

    def close(self) -> None:
        """Close: after the peer where it may still be sending, since the reset that answers what
        nobody reads would overtake what was written.
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
        """The guest's protocol in charge; it may put another in its place."""
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
        """Send octets of the guest's, unless it has closed or its peer has to be cut off.

        What is written within one turn of the loop is let through: the peer had no chance to take
        any of it, and a guest may well write a long answer before it waits.
        """
        transport = self._transport
        if transport is None or self.is_lingering or transport.is_closing():
            return  # asyncio would write a line into the log for each
        limit = self._scope.options.max_unsent_bytes
        if self._has_been_to_wait and transport.get_write_buffer_size() > limit:
            self._cut_off(transport.get_write_buffer_size())
            return
        self.note_written(len(data))
        transport.write(data)

    def _cut_off(self, unsent: int) -> None:
        mistake = BufferError(
            f"{self._scope.peer} has not taken {unsent} octets, and more is written to it "
            "(max_unsent_bytes); await writer.drain(), or heed pause_writing()"
        )
        self._scope.failures.report(self._scope.via.listener, mistake)
        self.abort("max_unsent_bytes")

    def note_written(self, size: int) -> None:
        """Count octets that the guest has written."""
        self._handed_over += size
        self._scope.counters.bytes_sent.value += size
        self._life.last_active = self._scope.clock.monotonic()
        self._life.message_began = None  # whatever it answers, it has understood

    # -- the server's side ---------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """How many requests are being worked on, as far as can be told."""
        return self.guest.in_flight

    @property
    def unsent_bytes(self) -> int:
        """How many octets wait for the peer."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def standing(self) -> tuple[Standing, float]:
        """Return what the connection is doing, and when it last had something to do."""
        life = self._life
        if life.state is State.FINISHING or self.is_lingering:
            return Standing.BUSY, life.last_active
        # A guest that has been told nothing and says nothing has nothing to lose, even where it
        # calls the whole connection one request.
        if not life.has_heard and not self._handed_over:
            return Standing.HALF_DONE, life.last_active
        if self.guest.in_flight or not self.guest.waits_for_peer:
            return Standing.BUSY, life.last_active
        is_half_done = life.message_began is not None
        return Standing.HALF_DONE if is_half_done else Standing.IDLE, life.last_active

    def sweep(self, now: float) -> None:
        """Enforce this connection's deadlines."""
        transport, options, life = self._transport, self._scope.options, self._life
        if transport is None or life.state is State.GONE:
            return
        unsent = transport.get_write_buffer_size()
        if life.is_write_late(now, self._handed_over, unsent, options):
            self._scope.note_late_write()
            self.abort("write")
        elif life.is_over(now, self._waits(), options, options.idle_timeout):
            life.close()
            transport.close()

    def _waits(self) -> Waits:
        if self.guest.awaits_request and not self._is_paused:
            return Waits.A_MESSAGE
        return Waits.ACTIVITY if self.guest.waits_for_peer else Waits.NOTHING

    def drain(self) -> None:
        """Read no more; let the guest answer what it has accepted; then close."""
        self._finish("drain")

    def _finish(self, reason: str) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing() and self._life.finish(reason):
            self._call(self.guest.finish, self._guest_transport)

    def abort(self, reason: str) -> None:
        """Close at once; what the guest was working on is lost for this reason."""
        self._life.abort(reason)
        if not self._has_given_up:  # also after its end: what it has begun may still run
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
