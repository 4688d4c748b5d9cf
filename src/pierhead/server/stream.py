"""The stream server: accepts connections, bounds them, enforces their deadlines, drains them.

    accept ─▶ admission ─▶ room? ─▶ handshake (with a deadline) ─▶ attach ─▶ ServedConnection

It knows no framing and no protocol: an endpoint's stream handler creates the object that serves a
connection. A connection counts from accept on, so that a flood of handshakes is bounded too.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias, cast

from pierhead.buffer import BufferSource
from pierhead.clock import Clock
from pierhead.connection.frame_budget import FrameBudget
from pierhead.connection.read_buffer import ReadBuffer
from pierhead.connection.tasks import EagerTasks
from pierhead.errors import HandshakeError, RequestLost, TimedOut
from pierhead.failure_log import FailureLog, OnError
from pierhead.listener.base import (
    Accepted,
    HandshakeResult,
    ListenerEnded,
    OutOfDescriptors,
    StreamListener,
    credentials_of,
    is_handshaking,
    names_peer,
    report_mistakes,
    socket_of,
)
from pierhead.metrics import Metrics
from pierhead.server.accept_rate import AcceptRate
from pierhead.server.arriving import Arriving, arrived
from pierhead.server.connection import ConnectionScope, ServedConnection, Watch
from pierhead.server.connection_counters import ConnectionCounters, watch_load
from pierhead.server.endpoint import StreamHandler
from pierhead.server.listener_options import ListenerOptions
from pierhead.server.lost_requests import LostRequest
from pierhead.server.occupancy import Network, Occupancy, network_of
from pierhead.server.options import ServerOptions
from pierhead.server.succession import Succession, Wait, go_over, nothing_before
from pierhead.service.admission import Admission, ConnectionAdmission
from pierhead.service.context import Credentials, Peer, Via

__all__ = ["OnAccept", "StreamServer"]

_log = logging.getLogger("pierhead.server")

#: Accepting pauses this long after an error such as EMFILE, doubling up to the maximum.
_SHORTEST_BACK_OFF_S = 0.05
#: Connections accepted per iteration of the loop, so that a flood starves nothing else.
_ACCEPTS_PER_TURN = 16
#: Evicted connections that have not closed yet; a service may not end its requests.
_LEAVING = 64
#: Connections given up when the process is out of descriptors, and how long the limit then holds.
_RELIEF = 64
_RELIEF_S = 60.0


#: Called with each admitted connection, before anything is read.
OnAccept: TypeAlias = Callable[[socket.socket, Peer], object]

#: A network without connections.
_NOBODY: Network = object()


class StreamServer:
    """Serves the connections of one listener.

    Args:
        listener: the listener to accept from; closed by `close` and when draining begins.
        handler: creates the object that serves a connection.
        options: the limits in effect unless the address overrides them; change them with
            `reconfigure`.
        on_lost: called with every accepted request that will not be answered.
        relieve: called when the process is out of descriptors; calls `relieve` of the server that
            holds the most.
        wake_sweep: called when a connection opens, so that the owner sweeps deadlines.
        on_error: called with every failure here.
        on_accept: called with each admitted connection that has a socket.

    Attributes:
        handler: takes the next connection.
    """

    def __init__(
        self,
        listener: StreamListener,
        handler: StreamHandler,
        *,
        options: ServerOptions,
        admission: Admission | None,
        connection_admission: tuple[ConnectionAdmission, ...],
        clock: Clock,
        metrics: Metrics,
        buffers: BufferSource,
        tasks: EagerTasks,
        budget: FrameBudget,
        relieve: Callable[[], None],
        on_lost: Callable[[LostRequest], None],
        wake_sweep: Callable[[], None],
        on_error: OnError | None = None,
        on_accept: OnAccept | None = None,
    ) -> None:
        self.handler = handler
        self._admission = admission
        self._connection_admission = connection_admission
        self._clock = clock
        self._read_buffer = ReadBuffer(buffers)
        self._tasks = tasks
        self._budget = budget
        self._relieve = relieve
        self._most_for_now: int | None = None
        self._most_until = 0.0
        self._on_lost = on_lost
        self._on_accept = on_accept
        self._wake_sweep = wake_sweep
        self._metrics = metrics
        self._on_error = on_error
        self._connections: dict[ConnectionScope, ServedConnection] = {}
        self._watch = Watch()
        self._unwatch: Callable[[], None] | None = None
        self._name = ""
        self._accept_rate: AcceptRate | None = None
        self._obey(listener, options)
        self._attaching: set[Arriving] = set()
        self._places: Occupancy[Arriving] = Occupancy()
        self._has_room = asyncio.Event()
        self._accepting: asyncio.Task[None] | None = None
        self._all_closed = asyncio.Event()
        self._succession = Succession(self._connections, lambda: self.options.drain_timeout)
        self._ended = asyncio.Event()
        self._is_draining = False
        self._log_errors_after = float("-inf")

    def _obey(self, listener: StreamListener, options: ServerOptions) -> None:
        """Do as the address says from now on, which may have another name as well."""
        self.listener = listener
        self._at = ListenerOptions.of(listener.spec)
        self.options = self._at.apply(options)
        self._usual_via = Via(
            transport=listener.transport,
            scheme=listener.local.partition(":")[0],
            local=listener.local,
            listener=self._at.name,
        )
        if self._unwatch is None or self._name != self._at.name:
            if self._unwatch is not None:
                self._unwatch()
            self._name, self._accept_rate = self._at.name, None
            self._counters = ConnectionCounters(self._metrics, self._name, self._clock.monotonic)
            self._failures = FailureLog(self._clock, self._name, self._on_error)
            self._unwatch = watch_load(self._metrics, self._name, self, self._unsent_bytes)
        rate = self._at.max_rate
        if rate != (None if self._accept_rate is None else self._accept_rate.per_second):
            self._accept_rate = (
                None if rate is None else AcceptRate(rate, self._clock, self._counters)
            )

    def replace(
        self,
        listener: StreamListener,
        handler: StreamHandler,
        *,
        options: ServerOptions,
        admission: Admission | None,
        connection_admission: tuple[ConnectionAdmission, ...],
    ) -> Wait:
        """Serve by another handler from the next connection on; none is refused by it.

        Open connections go over to it with their next request. Where they cannot, since it frames
        or orders messages otherwise or is a guest's, they answer what they have accepted and close.

        Args:
            listener: the same, or another around the same socket.

        Returns:
            What waits until the requests before that are answered.
        """
        is_other = listener is not self.listener
        self._obey(listener, options)
        before, self.handler = self.handler, handler
        self._admission, self._connection_admission = admission, connection_admission
        self.reconfigure(options)
        if is_other and self._accepting is not None:
            self._accepting.cancel()
            self.start(after=self._accepting)
        if handler is before:
            return nothing_before
        return self._succession.follow(before, handler, admission)

    def start(self, after: asyncio.Task[None] | None = None) -> None:
        """Begin to accept, once another task has left off."""
        self._accepting = asyncio.get_running_loop().create_task(
            self._accept_forever(after), name=f"accept {self._name}"
        )

    def reconfigure(self, options: ServerOptions) -> None:
        """Change the limits, for open connections too."""
        self.options = self._at.apply(options)
        for scope in self._connections:
            scope.options = self.options
            scope.wake()
        self._has_room.set()  # there may be room now

    def __len__(self) -> int:
        """Return how many connections there are, including handshakes."""
        return len(self._connections) + len(self._attaching)

    def sweep(self, now: float) -> Iterator[bool]:
        """Enforce the deadlines of one connection after another; yield true after each."""
        yield from self._watch.sweep(self._connections, now)

    def drain(self) -> None:
        """Stop accepting; let every connection answer what it has accepted, then close.

        A handshake in progress continues under its own deadline: the peer may already consider
        itself connected.
        """
        self._is_draining = True
        if self._accepting is not None:
            self._accepting.cancel()
        self.listener.close()
        for connection in list(self._connections.values()):
            connection.drain()

    async def wait_drained(self) -> None:
        """Return once every connection has closed and accepting has stopped."""
        if self._accepting is not None:
            await asyncio.wait([self._accepting])
        while self._connections or self._attaching:
            self._all_closed.clear()
            await self._all_closed.wait()

    async def wait_ended(self) -> None:
        """Return once the listener is exhausted and its last connection has closed."""
        await self._ended.wait()
        await self.wait_drained()

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        return sum(connection.in_flight for connection in self._connections.values())

    def _unsent_bytes(self) -> int:
        return sum(connection.unsent_bytes for connection in self._connections.values())

    def abort(self, reason: str) -> None:
        """Close every connection at once."""
        for arriving in list(self._attaching):
            if arriving.connection is not None:
                arriving.connection.abort(reason)
            arriving.task.cancel()
        for connection in list(self._connections.values()):
            connection.abort(reason)

    def forget(self) -> None:
        """Undo the making of a server that was never started; its listener stays as it is."""
        if self._unwatch is not None:
            self._unwatch()

    def close(self) -> None:
        """Close the listener."""
        self.forget()
        self.listener.close()
        self._read_buffer.close()

    # -- accepting -----------------------------------------------------------------------------

    async def _accept_forever(self, after: asyncio.Task[None] | None) -> None:
        if after is not None:
            await asyncio.wait([after])
        back_off = _SHORTEST_BACK_OFF_S
        in_a_row = 0
        while True:
            if self.options.when_full == "wait":
                await self._wait_for_room()
            if self._accept_rate is not None:
                await self._accept_rate.wait()
            try:
                accepted = await self.listener.accept()
            except ListenerEnded:
                self._ended.set()
                return
            except Exception as error:  # any error: it affects this listener only, and for a while
                self._report_accept_error(error)
                if isinstance(error, OutOfDescriptors):
                    self._relieve()
                await asyncio.sleep(back_off * random.uniform(0.75, 1.25))
                back_off = min(2 * back_off, self._at.longest_back_off)
                continue
            back_off = _SHORTEST_BACK_OFF_S
            if self._accept_rate is not None:
                self._accept_rate.accepted()
            try:
                self._take(accepted)
            except Exception as mistake:  # accepting goes on, whatever was accepted
                self._failures.report(f"{self._name}: accept", mistake, "accept")
                in_a_row = -1
            in_a_row = (in_a_row + 1) % _ACCEPTS_PER_TURN
            if not in_a_row:
                await asyncio.sleep(0)

    async def _wait_for_room(self) -> None:
        """Return once another connection may be open; new ones wait in the system's backlog."""
        if len(self) < self._max_connections:
            return
        began = self._clock.monotonic()
        self._counters.count("accepts_paused_total").value += 1
        try:
            while len(self) >= self._max_connections and self.options.when_full == "wait":
                self._has_room.clear()
                await self._has_room.wait()
        finally:
            waited = self._clock.monotonic() - began
            self._counters.count("accepts_paused_seconds_total").value += waited

    def _report_accept_error(self, error: Exception) -> None:
        self._counters.count("accept_errors_total").value += 1
        self._failures.note(error, "accept")
        if isinstance(error, OutOfDescriptors):
            shed = self._counters.count("dropped_total", reason="no_descriptor")
            shed.value += error.shed
        now = self._clock.monotonic()
        if now >= self._log_errors_after:
            self._log_errors_after = now + 1.0
            words = error.strerror if isinstance(error, OSError) else None
            _log.warning("%s: cannot accept: %s; retrying", self._name, words or repr(error))

    def _take(self, accepted: Accepted) -> None:
        self._counters.accepted.value += 1
        via = self._via(accepted)
        network = self._network(accepted.peer, via.credentials)
        if not (self._may_come_in(accepted, via, network) and self._is_left_open(accepted)):
            accepted.close()
            return
        arriving = Arriving(accepted, self._clock.monotonic())
        self._attaching.add(arriving)
        self._places.add(arriving, network)
        arriving.task = asyncio.get_running_loop().create_task(self._attach(arriving, via))
        arriving.task.add_done_callback(partial(self._attached, arriving))

    def _is_left_open(self, accepted: Accepted) -> bool:
        """Call `on_accept` with a connection; return whether it is still open."""
        if self._on_accept is None or (sock := socket_of(accepted)) is None:
            return True
        try:
            self._on_accept(sock, accepted.peer)
        except Exception as error:
            self._drop_by_mistake("on_accept", error, accepted.peer)
            return False
        if sock.fileno() >= 0:
            return True
        self._counters.dropped("on_accept")
        return False

    def _drop_by_mistake(self, stage: str, error: Exception, peer: Peer) -> None:
        """Report that a user's function failed, and count the connection it cost."""
        self._failures.report(f"{self._name}: {stage}", error, stage, peer)
        self._counters.dropped(f"{stage}_error")

    def _via(self, accepted: Accepted) -> Via:
        credentials = credentials_of(accepted)
        local = accepted.local or self._usual_via.local
        if credentials is None and local == self._usual_via.local:
            return self._usual_via
        return Via(
            transport=self.listener.transport,
            scheme=local.partition(":")[0],
            local=local,
            listener=self._name,
            credentials=credentials,
        )

    def _network(self, peer: Peer, credentials: Credentials | None) -> Network:
        options = self.options
        return network_of(
            peer, credentials, options.network_ipv4_prefix, options.network_ipv6_prefix
        )

    def _may_come_in(self, accepted: Accepted, via: Via, network: Network) -> bool:
        # If a PROXY header will name the client, everything that depends on it waits for that.
        is_named = not names_peer(accepted)
        if is_named and not (self._admits(accepted.peer, via) and self._has_share(network)):
            return False
        return self._makes_room(network)

    def _admits(self, peer: Peer, via: Via) -> bool:
        for check in self._connection_admission:
            try:
                drop = check.admit_connection(peer, via)
            except Exception as error:
                self._drop_by_mistake("admission", error, peer)
                return False
            if drop is not None:
                self._counters.dropped(drop.reason)
                return False
        return True

    def _scope(self, arriving: Arriving, peer: Peer, via: Via) -> ConnectionScope:
        scope = ConnectionScope(
            peer=peer,
            via=via,
            options=self.options,
            admission=self._admission,
            clock=self._clock,
            read_buffer=self._read_buffer,
            counters=self._counters,
            failures=self._failures,
            tasks=self._tasks,
            budget=self._budget,
            lost=lambda reason: self._lost(peer, reason),
            closed=lambda: self._closed(arriving, scope),
        )
        return scope

    def _lost(self, peer: Peer, reason: str) -> None:
        self._on_lost(LostRequest(self._name, str(peer), reason))
        self._failures.note(RequestLost(reason), "lost", peer)

    @property
    def _max_connections(self) -> int:
        most = self._at.max_connections or self.options.max_connections
        if self._most_for_now is None:
            return most
        if self._clock.monotonic() >= self._most_until:
            self._most_for_now = None
            return most
        return min(most, self._most_for_now)

    def relieve(self) -> None:
        """Give up some connections, and hold no more than the rest for a while.

        The process is out of descriptors: this listener now counts as full, and the network that
        holds the most gives way, as if the limit had been reached.
        """
        if self.options.when_full == "evict":
            self._most_for_now = max(1, len(self) - _RELIEF)
            self._most_until = self._clock.monotonic() + _RELIEF_S
            for _ in range(_RELIEF):
                victim = self._places.gives_way(_NOBODY)
                if victim is None:
                    break
                self._evict(victim)

    def _makes_room(self, newcomer: Network) -> bool:
        """Make room for one more by evicting another; if that is impossible, count a refusal."""
        if len(self._places) < self._max_connections:
            return True
        if self.options.when_full == "evict" and len(self) < self._max_connections + _LEAVING:
            victim = self._places.gives_way(newcomer)
            if victim is not None:
                self._evict(victim)
                return True
        self._counters.dropped("max_connections" if self._at.max_connections is None else "maxconn")
        return False

    def _has_share(self, network: Network) -> bool:
        """Return whether this network may have one more, perhaps by evicting one of its own."""
        share = self.options.max_connections_per_network
        if not share or self._places.held_by(network) < share:
            return True
        victim = None
        if self.options.when_full == "evict":
            victim = self._places.gives_way_within(network)
        if victim is None:
            self._counters.dropped("max_connections_per_network")
            return False
        self._evict(victim)
        return True

    def _evict(self, victim: Arriving) -> None:
        self._places.remove(victim)
        if victim.is_served and victim.connection is not None:
            victim.connection.abort("evicted")
        else:
            self._counters.closed("evicted")
            victim.task.cancel()

    async def _attach(self, arriving: Arriving, via: Via) -> None:
        accepted = arriving.accepted
        arrival = None
        try:
            if is_handshaking(accepted):
                async with asyncio.timeout(self.options.handshake_timeout):
                    arrival = await accepted.handshake()
                    scope = await self._serve(arriving, via, arrival)
            else:
                scope = await self._serve(arriving, via, None)
        except TimeoutError as error:  # the handshake's, or the system's own (ETIMEDOUT)
            reason = "handshake" if is_handshaking(accepted) else "peer_gone"
            late = error if str(error) else TimedOut("the handshake was not through in time")
            self._note_unserved(accepted, arrival, reason, late)
            del late  # it keeps this frame, which kept it until garbage collection
            return
        except HandshakeError as error:
            self._note_unserved(accepted, arrival, error.reason, error)
            return
        except OSError as error:
            self._note_unserved(accepted, arrival, "peer_gone", error)
            return
        except Exception:  # a bug in the program; `_attached` reports it
            accepted.close()
            raise
        if scope is None or scope.has_ended:  # it ended while it was being attached
            return
        connection = arriving.connection
        assert connection is not None
        scope.options = self.options
        arriving.is_served = True
        self._connections[scope] = connection
        self._watch.wake(scope)
        self._attaching.discard(arriving)  # it would be counted twice
        scope.counters.open.value += 1
        self._wake_sweep()
        if self._is_draining:
            connection.drain()

    def _note_unserved(
        self, accepted: Accepted, arrival: HandshakeResult | None, reason: str, error: Exception
    ) -> None:
        """Count and name a connection that ended before anything served it."""
        self._counters.closed(reason)
        if is_handshaking(accepted) and arrival is None:
            self._counters.handshake_failed(reason)
        self._failures.note(error, "handshake", accepted.peer)

    async def _serve(
        self, arriving: Arriving, via: Via, arrival: HandshakeResult | None
    ) -> ConnectionScope | None:
        """Create the object that serves the connection after its handshakes, and attach it."""
        accepted = arriving.accepted
        peer = accepted.peer
        if arrival is not None:
            via, peer = arrived(via, peer, arrival), arrival.peer
            if names_peer(accepted) and not self._admits_named(arriving, peer, via):
                accepted.close()
                return None
        scope, handler = self._scope(arriving, peer, via), self.handler
        connection = arriving.connection = handler(scope)
        report_mistakes(accepted, self._failures)
        await accepted.attach(cast(asyncio.BaseProtocol, connection))
        if handler is not self.handler:  # it was replaced meanwhile
            now, admission = self.handler, self._admission
            if go_over((scope, connection), handler, now, admission) is None:
                connection.drain()
        return scope

    def _admits_named(self, arriving: Arriving, peer: Peer, via: Via) -> bool:
        """Run the checks that had to wait for the client's address."""
        if not self._admits(peer, via):
            return False
        if peer is arriving.accepted.peer:  # the proxy is its own client
            network = self._network(peer, via.credentials)
        else:
            network = self._network(peer, None)
        self._places.remove(arriving)
        if not self._has_share(network):
            return False
        self._places.add(arriving, network)
        return True

    def _attached(self, arriving: Arriving, task: asyncio.Task[None]) -> None:
        self._attaching.discard(arriving)
        if not arriving.is_served:
            self._places.remove(arriving)
        if task.cancelled():
            arriving.accepted.close()  # which has no effect unless it was cancelled before it began
        elif (error := task.exception()) is not None:
            self._failures.report(self._name, error)
        self._note_if_empty()

    def _closed(self, arriving: Arriving, scope: ConnectionScope) -> None:
        scope.has_ended = True
        # Otherwise a connection would be a cycle that lives until garbage collection.
        scope.closed, arriving.connection = _has_ended, None
        self._places.remove(arriving)
        self._watch.forget(scope)
        if self._connections.pop(scope, None) is not None:
            scope.counters.open.value -= 1
        if self._succession.one_closed is not None:
            self._succession.closed()
        self._note_if_empty()

    def _note_if_empty(self) -> None:
        self._has_room.set()
        if not self._connections and not self._attaching:
            self._all_closed.set()


def _has_ended() -> None:
    """Do nothing: the end of the connection has been reported."""
