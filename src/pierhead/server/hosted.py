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

from pierhead.net.transport.feed import feed
from pierhead.server.connection import ConnectionScope, Standing
from pierhead.server.endpoint import StreamHandler
from pierhead.server.hosted_transport import HostedTransport
from pierhead.server.write_deadline import WriteDeadline

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
        self._close_reason = ""
        self._is_finishing = False
        self._reads_on = False  # though it finishes
        self._is_gone = False
        self._is_paused = False  # by the guest
        self._was_aborted = False
        self._has_ended = False  # the peer, its side
        self._left_out = 0  # octets that came while the connection finishes
        self._linger_until: float | None = None
        self._write_deadline = WriteDeadline()
        self._is_to_wait = False  # the guest, with what it writes
        self._has_been_to_wait = False  # since before this turn of the loop
        self._heard = False
        self._partial_since: float | None = None
        self._last_active = scope.clock.monotonic()

    # -- asyncio's side ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the guest its connection."""
        self._transport = cast(asyncio.Transport, transport)
        if self._close_reason:  # given up during the handshake
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=self._scope.options.max_write_buffer_bytes)
        self._last_active = self._scope.clock.monotonic()
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
        now = self._scope.clock.monotonic()
        if self._partial_since is None and self.guest.awaits_request:
            self._partial_since = now
        self._heard = True
        self._last_active = now
        if isinstance(self.guest.protocol, asyncio.BufferedProtocol):
            with memoryview(data) as octets:
                self._call(feed, self.guest.protocol, octets)
        else:
            self._call(cast(asyncio.Protocol, self.guest.protocol).data_received, data)
        if not self.guest.awaits_request:
            self._partial_since = None

    def eof_received(self) -> bool:
        """Pass the end of input on; what is being answered keeps the connection open."""
        self._has_ended = True
        if self.is_lingering:
            return False
        stays_open = bool(self._call(self.guest.end_of_input, self._guest_transport))
        if not stays_open:
            self._close_reason = self._close_reason or "eof"
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
        self._is_gone = True
        in_flight = 0 if self._was_aborted else self.guest.in_flight
        if self._transport is not None:
            self._call(self.guest.protocol.connection_lost, exc)
        self._scope.counters.closed(self._close_reason or ("peer_gone" if exc else "service"))
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
            if not self._is_gone:
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
            elif self._left_out <= _MOST_LEFT_OUT:
                self._transport.resume_reading()

    def _leave_out(self, size: int) -> None:
        """Read past what comes too late: behind it is the peer's end, which the guest hears of."""
        self._left_out += size
        if self._left_out > _MOST_LEFT_OUT and self._transport is not None:
            self._transport.pause_reading()

    def read_on(self) -> None:
        """Read as before though the connection finishes."""
        if self._is_finishing and not self._reads_on:
            self._reads_on = True

    def close(self) -> None:
        """Close: after the peer where it may still be sending, since the reset that answers what
        nobody reads would overtake what was written.
        """
        transport, linger = self._transport, self._scope.options.linger_timeout
        if transport is None or transport.is_closing() or self.is_lingering:
            return
        if (
            self._has_ended
            or not linger
            or not self._write_deadline.handed_over
            or not transport.can_write_eof()
        ):
            transport.close()
            return
        try:
            transport.write_eof()
        except OSError:  # ENOTCONN: the peer has reset the connection
            transport.close()
            return
        self._linger_until = self._scope.clock.monotonic() + linger
        if self._is_paused or self._left_out > _MOST_LEFT_OUT:
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
        return self._linger_until is not None

    @property
    def _is_deaf(self) -> bool:
        return self._is_finishing and not self._reads_on

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
        self._write_deadline.handed_over += size
        self._scope.counters.bytes_sent.value += size
        self._last_active = self._scope.clock.monotonic()
        self._partial_since = None  # whatever it answers, it has understood

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
        if self._is_finishing or self.is_lingering:
            return Standing.BUSY, self._last_active
        # A guest that has been told nothing and says nothing has nothing to lose, even where it
        # calls the whole connection one request.
        if not self._heard and not self._write_deadline.handed_over:
            return Standing.HALF_DONE, self._last_active
        if self.guest.in_flight or not self.guest.waits_for_peer:
            return Standing.BUSY, self._last_active
        is_half_done = self._partial_since is not None
        return Standing.HALF_DONE if is_half_done else Standing.IDLE, self._last_active

    def sweep(self, now: float) -> None:
        """Enforce this connection's deadlines."""
        transport, options = self._transport, self._scope.options
        if transport is None or self._is_gone:
            return
        if self._write_deadline.is_late(now, transport, options.write_timeout):
            self._scope.note_late_write()
            self.abort("write")
        elif self._linger_until is not None:
            if now >= self._linger_until:
                transport.close()
        elif self.guest.awaits_request and not self._is_paused:
            self._sweep_request(now)
        elif self.guest.waits_for_peer and now - self._last_active >= options.idle_timeout:
            self._give_up("idle")

    def _sweep_request(self, now: float) -> None:
        options = self._scope.options
        if self._partial_since is not None:
            if now - self._partial_since >= options.message_timeout:
                self._give_up("message")
        elif not self._heard:
            if now - self._last_active >= options.first_byte_timeout:
                self._give_up("first_byte")
        elif now - self._last_active >= options.idle_timeout:
            self._give_up("idle")

    def _give_up(self, reason: str) -> None:
        assert self._transport is not None
        self._close_reason = self._close_reason or reason
        self._transport.close()

    def drain(self) -> None:
        """Read no more; let the guest answer what it has accepted; then close."""
        self._finish("drain")

    def _finish(self, reason: str) -> None:
        if self._is_finishing or self._is_gone or self.is_lingering:
            return
        self._close_reason = self._close_reason or reason
        if self._transport is not None and not self._transport.is_closing():
            self._is_finishing = True
            self._call(self.guest.finish, self._guest_transport)

    def abort(self, reason: str) -> None:
        """Close at once; what the guest was working on is lost for this reason."""
        self._close_reason = reason
        if not self._was_aborted:
            self._was_aborted = True
            self._lose(self.guest.in_flight, reason)
        for future in self.guest.unfinished():
            future.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _lose(self, requests: int, reason: str) -> None:
        for _ in range(requests):
            self._scope.counters.requests.lost(reason)
            self._scope.lost(reason)
