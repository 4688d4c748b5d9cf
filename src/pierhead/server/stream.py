"""The stream server: accepts connections, bounds them, sweeps their deadlines, drains them.

    accept ─▶ admission ─▶ room? ─▶ handshake (with a deadline) ─▶ attach ─▶ ServedConnection

It knows no framing and no protocol: an endpoint's stream handler makes the object that serves a
connection. A connection counts from accept on, so that a flood of handshakes is bounded too.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import random
from collections.abc import Callable
from typing import cast

from pierhead.admission import Admission, ConnectionAdmission
from pierhead.buffer import BufferSource
from pierhead.clock import Clock
from pierhead.context import Peer, Transport, Via
from pierhead.endpoint import StreamHandler
from pierhead.errors import HandshakeError
from pierhead.failure_log import FailureLog
from pierhead.listener.base import Accepted, Arrival, Handshaking, StreamListener, arrive
from pierhead.metrics import Metrics
from pierhead.server.connection import ConnectionScope, ServedConnection
from pierhead.server.lost import Lost
from pierhead.server.metered import ConnectionCounters
from pierhead.server.options import ServerOptions

__all__ = ["StreamServer"]

_log = logging.getLogger("pierhead.server")

#: Accepting pauses this long after an error such as EMFILE, doubled up to the longest.
_SHORTEST_BACK_OFF_S = 0.05
_LONGEST_BACK_OFF_S = 1.0
#: Connections accepted in a row before the loop turns, so that a flood starves nobody.
_ACCEPTS_PER_TURN = 16


class StreamServer:
    """Serves the connections of one listener.

    Args:
        listener: what to accept from; closed by `close` and when draining begins.
        handler: makes the object that serves a connection.
        options: the limits in force; change them with `reconfigure`.
        on_lost: told of every accepted request that will not be answered.
        wake_sweep: called when a connection opens, so that the owner sweeps deadlines.
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
        on_lost: Callable[[Lost], None],
        wake_sweep: Callable[[], None],
    ) -> None:
        self.listener = listener
        self._handler = handler
        self._options = options
        self._admission = admission
        self._connection_admission = connection_admission
        self._clock = clock
        self._buffers = buffers
        self._on_lost = on_lost
        self._wake_sweep = wake_sweep
        self._name = str(listener.spec)
        self._counters = ConnectionCounters(metrics, self._name)
        self._failures = FailureLog(clock)
        self._connections: dict[ConnectionScope, ServedConnection] = {}
        self._attaching: dict[asyncio.Task[None], ServedConnection | None] = {}
        self._accepting: asyncio.Task[None] | None = None
        self._all_closed = asyncio.Event()
        self._is_draining = False
        self._log_errors_after = float("-inf")

    def start(self) -> None:
        """Begin to accept."""
        self._accepting = asyncio.get_running_loop().create_task(
            self._accept_forever(), name=f"accept {self._name}"
        )

    def reconfigure(self, options: ServerOptions) -> None:
        """Put other limits in force, for open connections too."""
        self._options = options
        for scope in self._connections:
            scope.options = options

    def sweep(self, now: float) -> bool:
        """Enforce deadlines; true as long as there is anything to sweep."""
        for connection in list(self._connections.values()):
            connection.sweep(now)
        return bool(self._connections)

    def drain(self) -> None:
        """Accept no more; let every connection answer what it has accepted, then close.

        A handshake in progress goes on under its own deadline: the peer may already have been
        told that it is connected.
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

    def abort(self, reason: str) -> None:
        """Close every connection at once."""
        for task, connection in list(self._attaching.items()):
            if connection is not None:
                connection.abort(reason)
            task.cancel()
        for connection in list(self._connections.values()):
            connection.abort(reason)

    def close(self) -> None:
        """Close the listener."""
        self.listener.close()

    # -- accepting -----------------------------------------------------------------------------

    async def _accept_forever(self) -> None:
        back_off = _SHORTEST_BACK_OFF_S
        in_a_row = 0
        while True:
            try:
                accepted = await self.listener.accept()
            except OSError as error:
                self._report_accept_error(error)
                await asyncio.sleep(back_off * random.uniform(0.75, 1.25))
                back_off = min(2 * back_off, _LONGEST_BACK_OFF_S)
                continue
            back_off = _SHORTEST_BACK_OFF_S
            self._take(accepted)
            in_a_row += 1
            if in_a_row >= _ACCEPTS_PER_TURN:
                in_a_row = 0
                await asyncio.sleep(0)

    def _report_accept_error(self, error: OSError) -> None:
        self._counters.count("accept_errors_total").value += 1
        now = self._clock.monotonic()
        if now >= self._log_errors_after:
            self._log_errors_after = now + 1.0
            _log.warning("%s: cannot accept: %s; trying again", self._name, error.strerror or error)

    def _take(self, accepted: Accepted) -> None:
        via = Via(
            transport=Transport.STREAM,
            scheme=accepted.local.partition(":")[0],
            local=accepted.local,
            listener=self._name,
        )
        self._counters.accepted.value += 1
        # Where a PROXY header is to name the client, the checks wait for that name.
        if not _names_peer(accepted) and not self._admits(accepted.peer, via):
            accepted.close()
            return
        if not self._has_room():
            self._counters.dropped("max_connections")
            accepted.close()
            return
        task = asyncio.get_running_loop().create_task(self._attach(accepted, via))
        self._attaching[task] = None
        task.add_done_callback(self._attached)

    def _admits(self, peer: Peer, via: Via) -> bool:
        for check in self._connection_admission:
            drop = check.admit_connection(peer, via)
            if drop is not None:
                self._counters.dropped(drop.reason)
                return False
        return True

    def _scope(self, peer: Peer, via: Via) -> ConnectionScope:
        scope = ConnectionScope(
            peer=peer,
            via=via,
            options=self._options,
            admission=self._admission,
            clock=self._clock,
            buffers=self._buffers,
            counters=self._counters,
            failures=self._failures,
            lost=lambda reason: self._on_lost(Lost(self._name, str(peer), reason)),
            closed=lambda: self._closed(scope),
        )
        return scope

    def _has_room(self) -> bool:
        """Make room for one more, at the cost of the connection that is idle longest."""
        if len(self._connections) + len(self._attaching) < self._options.max_connections:
            return True
        idle = [
            (since, c) for c in self._connections.values() if (since := c.idle_since()) is not None
        ]
        if not idle:
            return False
        _, victim = min(idle, key=lambda pair: pair[0])
        victim.abort("evicted")
        return True

    async def _attach(self, accepted: Accepted, via: Via) -> None:
        try:
            async with asyncio.timeout(self._options.handshake_timeout):
                scope = await self._serve(accepted, via)
        except TimeoutError:
            self._counters.closed("handshake")
            return
        except HandshakeError as error:
            self._counters.closed(error.reason)
            _log.debug("%s: %s: %s", self._name, accepted.peer, error)
            return
        except OSError:
            self._counters.closed("peer_gone")
            return
        if scope is None or scope.has_ended:  # it came, asked and went while it was being attached
            return
        connection = self._attaching[cast("asyncio.Task[None]", asyncio.current_task())]
        assert connection is not None
        scope.options = self._options
        self._connections[scope] = connection
        self._counters.open.value += 1
        self._wake_sweep()
        if self._is_draining:
            connection.drain()

    async def _serve(self, accepted: Accepted, via: Via) -> ConnectionScope | None:
        """Go through the handshakes, then make what serves the connection and attach it."""
        arrival = await arrive(accepted)
        via = _arrived(via, accepted.peer, arrival)
        if _names_peer(accepted) and not self._admits(arrival.peer, via):
            accepted.close()
            return None
        scope = self._scope(arrival.peer, via)
        try:
            connection = self._handler(scope)
        except BaseException:
            accepted.close()
            raise
        self._attaching[cast("asyncio.Task[None]", asyncio.current_task())] = connection
        await accepted.attach(cast(asyncio.BaseProtocol, connection))
        return scope

    def _attached(self, task: asyncio.Task[None]) -> None:
        del self._attaching[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.report(self._name, error)
        self._note_if_empty()

    def _closed(self, scope: ConnectionScope) -> None:
        scope.has_ended = True
        if self._connections.pop(scope, None) is not None:
            self._counters.open.value -= 1
        self._note_if_empty()

    def _note_if_empty(self) -> None:
        if not self._connections and not self._attaching:
            self._all_closed.set()


def _names_peer(accepted: Accepted) -> bool:
    return isinstance(accepted, Handshaking) and accepted.names_peer


def _arrived(via: Via, socket_peer: Peer, arrival: Arrival) -> Via:
    """Add what the handshakes have brought to light."""
    if arrival.tls is None and arrival.proxy is None:
        return via
    return dataclasses.replace(
        via,
        encrypted=arrival.tls is not None,
        tls=arrival.tls,
        proxy=arrival.proxy,
        socket_peer=None if arrival.peer is socket_peer else socket_peer,
    )
