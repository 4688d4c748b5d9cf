"""One connection and its upstream: octets in both directions, each with an end of its own.

    client ─▶ Relay ─▶ upstream        the end of one side's stream ends the other's;
       ◀──────────────────             a reset resets the other

Until the upstream is connected, nothing is read from the client. A side that does not take what it
is sent stops the reading from the other: nothing piles up here.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

from pierhead.client.upstream import Upstream
from pierhead.connection.life import Event, Life, State, Waits
from pierhead.errors import ConnectionEnded, PeerUnavailable
from pierhead.protocols.proxying.splicing import Splice, can_splice
from pierhead.protocols.proxying.targets import Target, Targets, forwarded
from pierhead.server.connection import ConnectionScope, Standing
from pierhead.server.succession import nothing_before

__all__ = ["Relay"]


class _Upstream(asyncio.Protocol):
    """The other side of a relay."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read nothing until the relay is ready."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Pass octets on to the client."""
        self._relay.to_client(data)

    def eof_received(self) -> bool:
        """Pass the end of the stream on."""
        self._relay.upstream_ended()
        return True

    def pause_writing(self) -> None:
        """Stop reading from the client."""
        self._relay.hold_client(True)

    def resume_writing(self) -> None:
        """Read on from the client."""
        self._relay.hold_client(False)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the client's side too."""
        self._relay.upstream_lost(exc)


class Relay(asyncio.Protocol):
    """Serves one connection; created by `pierhead.protocols.proxying.forward`."""

    def __init__(self, scope: ConnectionScope, targets: Targets) -> None:
        self._scope = scope
        self._targets = targets
        self._client: asyncio.Transport | None = None
        self._upstream: asyncio.Transport | None = None
        self._chosen: Upstream[Target] | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._early: list[bytes] = []  # octets that came with a handshake
        self._life = Life(scope.clock.monotonic())
        self._upstream_life = Life(scope.clock.monotonic())  # for its write deadline alone
        self._has_client_ended = False
        self._has_upstream_ended = False
        self._to_client = self._to_upstream = 0  # octets handed over
        self._splices: tuple[Splice, Splice] | None = None  # to the upstream, to the client
        self._descriptors: list[socket.socket] = []
        self._is_lost = False

    # -- the client ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect to an upstream."""
        self._client = cast(asyncio.Transport, transport)
        if not self._life.happens(Event.MADE):  # aborted during the handshake
            self._client.abort()
            return
        self._client.pause_reading()
        loop = asyncio.get_running_loop()
        self._dialling = loop.create_task(self._connect(), name=f"relay {self._scope.peer}")

    def data_received(self, data: bytes) -> None:
        """Pass octets on to the upstream."""
        self._note(len(data), self._scope.counters.bytes_received)
        self._life.has_heard = True
        if self._upstream is None:
            self._early.append(bytes(data))
        else:
            self._to_upstream += len(data)
            self._upstream.write(data)

    def eof_received(self) -> bool:
        """Pass the end of the stream on."""
        self._has_client_ended = True
        if self._upstream is not None:
            _end_output(self._upstream)
        self._close_if_over()
        return True

    def pause_writing(self) -> None:
        """Stop reading from the upstream."""
        self._scope.counters.writes_paused.value += 1
        if self._upstream is not None:
            self._upstream.pause_reading()

    def resume_writing(self) -> None:
        """Read on from the upstream."""
        if self._upstream is not None and not self._upstream.is_closing():
            self._upstream.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the upstream's side too."""
        self._life.happens(Event.LOST)
        self._scope.counters.closed(self._life.reason or ("peer_gone" if exc else "eof"))
        if self._dialling is not None:
            self._dialling.cancel()
        self._stop_splicing()
        self._client = None
        if self._upstream is None:
            self._leave()
        elif self._life.reason == "eof":
            self._upstream.close()
        else:
            self._upstream.abort()

    # -- the upstream --------------------------------------------------------------------------

    async def _connect(self) -> None:
        targets, peer = self._targets, self._scope.peer
        tried: list[Upstream[Target]] = []
        try:
            while len(tried) < targets.options.max_upstreams_per_request:
                chosen = targets.choose(peer, tried)
                tried.append(chosen)
                if await self._reach(chosen):
                    return
        except PeerUnavailable as error:  # none is left
            self._scope.failures.note(error, "service", peer)
        except Exception as mistake:
            self._scope.failures.report(self._scope.via.listener, mistake, "service", peer)
        finally:
            self._dialling = None
        self.abort("no_upstream", is_lost=False)

    async def _reach(self, chosen: Upstream[Target]) -> bool:
        other = _Upstream(self)
        targets = self._targets
        targets.upstreams.begun(chosen)
        began = asyncio.get_running_loop().time()
        for_whom = forwarded(self._scope.peer, self._scope.via)
        try:
            transport = await chosen.target.route.stream(
                lambda: other, timeout_s=targets.connect_timeout_s, forwarded=for_whom
            )
        except PeerUnavailable as error:
            self._not_reached(chosen, began, error)
            return False
        except BaseException:
            targets.upstreams.ended(chosen)
            raise
        if transport.is_closing():  # it has left already, and nothing was read from the client
            left = ConnectionEnded(chosen.name, "it closed at once", is_retry_safe=True)
            self._not_reached(chosen, began, left)
            return False
        targets.reached(chosen, began)
        self._chosen = chosen
        self._join(transport)
        return True

    def _not_reached(self, chosen: Upstream[Target], began: float, error: PeerUnavailable) -> None:
        self._targets.upstreams.ended(chosen)
        self._targets.failed(chosen, began)
        self._scope.failures.note(error, "service", self._scope.peer)

    def _join(self, transport: asyncio.Transport) -> None:
        """Begin to relay."""
        self._upstream = transport
        assert self._client is not None
        self._life.last_active = self._scope.clock.monotonic()
        early, self._early = b"".join(self._early), []
        if self._targets.splices and not early and self._can_splice(transport):
            self._splice(self._client, transport)
            return
        self._to_upstream += len(early)
        transport.write(early)
        if self._has_client_ended:
            _end_output(transport)
        self._client.resume_reading()
        transport.resume_reading()

    def _can_splice(self, transport: asyncio.Transport) -> bool:
        via = self._scope.via
        # Of a wrapped listener, octets after the handshake may still be on their way here.
        is_bare = via.tls is None and via.proxy is None
        # So may a PROXY header be, to the upstream.
        is_bare = is_bare and not self._has_client_ended and not transport.get_write_buffer_size()
        return is_bare and can_splice(transport) and can_splice(self._client or transport)

    def to_client(self, data: bytes) -> None:
        """Pass octets of the upstream on."""
        self._note(len(data), self._scope.counters.bytes_sent)
        self._to_client += len(data)
        if self._client is not None:
            self._client.write(data)

    def upstream_ended(self) -> None:
        """Pass the end of the upstream's stream on."""
        self._has_upstream_ended = True
        if self._client is not None:
            _end_output(self._client)
        self._close_if_over()

    def hold_client(self, is_held: bool) -> None:
        """Stop reading from the client, or read on."""
        if self._client is None or self._client.is_closing():
            return
        if is_held:
            self._scope.counters.reads_paused.value += 1
            self._client.pause_reading()
        else:
            self._client.resume_reading()

    def upstream_lost(self, exc: Exception | None) -> None:
        """End the client's side too."""
        self._stop_splicing()
        self._upstream = None
        if self._chosen is not None:
            self._targets.upstreams.ended(self._chosen)
        if self._client is None:
            self._leave()
        elif exc is not None or not self._has_upstream_ended:
            self._life.abort(self._life.reason or "upstream_gone")
            self._client.abort()

    # -- splicing ------------------------------------------------------------------------------

    def _splice(self, client: asyncio.Transport, upstream: asyncio.Transport) -> None:
        # Event loops watch no descriptor that a transport has: each gets a second one.
        try:
            for transport in (client, upstream):
                one = transport.get_extra_info("socket")
                self._descriptors.append(socket.socket(fileno=os.dup(one.fileno())))
        except OSError:  # EMFILE: two more are too many; by transports it needs none
            self._close_descriptors()
            client.resume_reading()
            upstream.resume_reading()
            return
        here, there = (one.fileno() for one in self._descriptors)
        pipes, counters = self._targets.pipes, self._scope.counters
        self._splices = (
            Splice(here, there, pipes, self._moved_up, lambda e: self._spliced(0, e)),
            Splice(
                there,
                here,
                pipes,
                lambda size: self._note(size, counters.bytes_sent),
                lambda e: self._spliced(1, e),
            ),
        )
        for splice in self._splices:
            splice.start()

    def _moved_up(self, size: int) -> None:
        self._life.has_heard = True
        self._note(size, self._scope.counters.bytes_received)

    def _spliced(self, direction: int, error: OSError | None) -> None:
        """One direction has ended."""
        if error is not None:
            self.abort("peer_gone", is_lost=False)
            return
        sink = self._descriptors[1 - direction]
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:  # it has left
            self.abort("peer_gone", is_lost=False)
            return
        if direction:
            self._has_upstream_ended = True
        else:
            self._has_client_ended = True
        self._close_if_over()

    def _stop_splicing(self) -> None:
        for splice in self._splices or ():
            splice.stop()
        self._close_descriptors()

    def _close_descriptors(self) -> None:
        while self._descriptors:
            self._descriptors.pop().close()

    # -- the end -------------------------------------------------------------------------------

    def _note(self, size: int, counter: Any) -> None:
        counter.value += size
        self._life.last_active = self._scope.clock.monotonic()

    def _close_if_over(self) -> None:
        if not (self._has_client_ended and self._has_upstream_ended):
            return
        self._life.close("eof")
        self._stop_splicing()
        for transport in (self._client, self._upstream):
            if transport is not None:
                transport.close()

    def _leave(self) -> None:
        self._scope.closed()

    # -- the server's side ---------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """No requests are in flight: what is relayed has none that is known."""
        return 0

    @property
    def unsent_bytes(self) -> int:
        """How many octets wait here, for either side."""
        return self._unsent(self._client, 1) + self._unsent(self._upstream, 0)

    def _unsent(self, transport: asyncio.Transport | None, direction: int) -> int:
        held = 0 if self._splices is None else self._splices[direction].held
        return held + (0 if transport is None else transport.get_write_buffer_size())

    def standing(self) -> tuple[Standing, float]:
        """Return what the connection is doing, and when it was last busy."""
        life = self._life
        if life.state is not State.OPEN or self.unsent_bytes:
            return Standing.BUSY, life.last_active
        return (Standing.IDLE if life.has_heard else Standing.HALF_DONE), life.last_active

    def sweep(self, now: float) -> None:
        """Enforce the deadlines of both sides."""
        if self._client is None or self._upstream is None:
            return  # connecting has a deadline of its own
        options = self._scope.options
        for life, transport, direction in (
            (self._life, self._client, 1),
            (self._upstream_life, self._upstream, 0),
        ):
            unsent = self._unsent(transport, direction)
            if life.is_write_late(now, self._handed_over(direction), unsent, options):
                self._scope.note_late_write()
                self.abort("write", is_lost=False)
                return
        if self._life.is_over(now, Waits.ACTIVITY, options, options.idle_timeout):
            self.abort("idle", is_lost=False)

    def _handed_over(self, direction: int) -> int:
        if self._splices is not None:
            return self._splices[direction].handed_over
        return self._to_client if direction else self._to_upstream

    def drain(self) -> None:
        """Go on: only the two sides know when they are done; ``drain_timeout`` bounds it."""

    def answer_with(self, handler: object) -> Callable[[], Awaitable[None]]:
        """Stay with its upstream, whatever new connections get."""
        return nothing_before

    def abort(self, reason: str, *, is_lost: bool = True) -> None:
        """Close both sides at once."""
        if is_lost and not self._is_lost and self._upstream is not None:
            self._is_lost = True
            self._scope.lost(reason)
        self._life.abort(reason)
        self._stop_splicing()
        if self._dialling is not None:
            self._dialling.cancel()
        for transport in (self._client, self._upstream):
            if transport is not None:
                transport.abort()


def _end_output(transport: asyncio.Transport) -> None:
    if transport.is_closing():
        return
    try:
        if transport.can_write_eof():
            transport.write_eof()
    except OSError:  # ENOTCONN: it is gone, which it has not reported yet
        transport.abort()
