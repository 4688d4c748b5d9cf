"""The contract between a stream server and the object that serves one of its connections.

The server accepts, counts, sweeps and drains; it knows no framing. The other side is an `asyncio`
protocol object with a few more methods (`ServedConnection`), created by the endpoint's stream
handler from a `ConnectionScope`. `pierhead.server.framed` has the stock one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Protocol

from pierhead.clock import Clock
from pierhead.connection.frame_budget import FrameBudget
from pierhead.connection.read_buffer import ReadBuffer
from pierhead.connection.tasks import EagerTasks
from pierhead.errors import TimedOut
from pierhead.failure_log import FailureLog
from pierhead.printable import digits
from pierhead.server.connection_counters import ConnectionCounters
from pierhead.server.options import ServerOptions
from pierhead.service.admission import Admission
from pierhead.service.context import Peer, Via

__all__ = ["ConnectionScope", "ServedConnection", "Standing", "Watch", "sweep_one"]


class Standing(Enum):
    """What a connection is doing, as far as eviction is concerned.

    A connection in its handshake is half done as well; the server knows that itself.
    """

    HALF_DONE = "no complete message has arrived yet, or the next one has begun"
    IDLE = "everything is answered"
    BUSY = "it has work that would be lost"


@dataclass(slots=True, kw_only=True, eq=False)
class ConnectionScope:
    """What a server provides to a connection.

    Attributes:
        peer: the other end.
        via: how the connection arrived.
        options: the limits in effect; `reconfigure` replaces them, so read them each time.
        admission: the check to make on every frame, or None.
        clock: the source of time.
        read_buffer: the buffer for reads.
        counters: the counters to update.
        failures: where a service's failure is reported.
        tasks: starts the task of a request at once.
        budget: how many frames may be taken in this iteration of the loop.
        lost: call it when an accepted request will not be answered, with the reason.
        closed: call it once, when the connection has ended.
        has_ended: whether `closed` has been called; maintained by the server.
        has_failed: whether a sweep of it has failed; maintained by `sweep_one`.
        rests_until: a time before which no sweep is needed, as the connection says; 0 for none.
        next_look: when the server looks at it again while it rests; maintained by `Watch`.
        watch: wakes it; None before it is served.
    """

    peer: Peer
    via: Via
    options: ServerOptions
    admission: Admission | None
    clock: Clock
    read_buffer: ReadBuffer
    counters: ConnectionCounters
    failures: FailureLog
    tasks: EagerTasks
    budget: FrameBudget
    lost: Callable[[str], None]
    closed: Callable[[], None]
    has_ended: bool = False
    has_failed: bool = False
    rests_until: float = 0.0
    next_look: _Look | None = None
    watch: Watch | None = None

    def wake(self) -> None:
        """Need a sweep again: something has begun that has a deadline."""
        if self.rests_until and self.watch is not None:
            self.watch.wake(self)

    def note_late_write(self) -> None:
        """Report that the peer did not take its replies within ``write_timeout``."""
        seconds = self.options.write_timeout
        late = TimedOut(f"the peer did not take its replies within {digits(seconds)} s")
        self.failures.note(late, "write", self.peer)


class ServedConnection(Protocol):
    """An asyncio protocol that a stream server can sweep, evict and drain."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start serving."""
        ...

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop serving: cancel what is in flight, then call ``scope.closed``."""
        ...

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        ...

    @property
    def unsent_bytes(self) -> int:
        """How many octets of finished replies wait for the peer."""
        ...

    def standing(self) -> tuple[Standing, float]:
        """Return what the connection is doing, and when it was last busy."""
        ...

    def sweep(self, now: float) -> None:
        """Enforce this connection's deadlines; called several times a second."""
        ...

    def drain(self) -> None:
        """Stop reading; answer what has been accepted; then close."""
        ...

    def abort(self, reason: str) -> None:
        """Close at once; every accepted and unanswered request is lost for this reason.

        It may be called before `connection_made`.
        """
        ...


class Watch:
    """Which connections of a listener a sweep looks at; the others rest until their time.

    Ten thousand idle connections would otherwise cost a sweep as much as busy ones.
    """

    def __init__(self) -> None:
        self._awake: dict[ConnectionScope, None] = {}
        self._due: list[_Look] = []  # a heap
        self._void = 0  # of them
        self._numbers = count()

    def wake(self, scope: ConnectionScope) -> None:
        """Look at a connection at the next sweep."""
        scope.rests_until, scope.watch = 0.0, self
        self._awake[scope] = None

    def forget(self, scope: ConnectionScope) -> None:
        """Hold nothing of a connection that has ended."""
        self._awake.pop(scope, None)
        self._drop(scope)
        scope.watch = None

    def sweep(
        self, connections: Mapping[ConnectionScope, ServedConnection], now: float
    ) -> Iterator[bool]:
        """Sweep the connections that need it; yield whether there are any at all."""
        while self._due and self._due[0].when <= now:
            scope = heappop(self._due).scope
            if scope is None:
                self._void -= 1
                continue
            scope.next_look = None
            if scope.rests_until > now:
                self._look_at(scope.rests_until, scope)
            elif scope.rests_until:
                self.wake(scope)
        for scope in list(self._awake):
            connection = connections.get(scope)
            if connection is None or scope.has_ended:  # since the sweep began
                self._awake.pop(scope, None)
                continue
            sweep_one(scope, connection, now)
            if scope.rests_until > now and not scope.has_ended:
                del self._awake[scope]
                self._look_at(scope.rests_until, scope)
            yield True
        yield len(connections) > 0

    def _look_at(self, when: float, scope: ConnectionScope) -> None:
        """Look at a connection then, or earlier."""
        if scope.next_look is not None:
            if scope.next_look.when <= when:
                return
            self._drop(scope)
        scope.next_look = _Look(when, next(self._numbers), scope)
        heappush(self._due, scope.next_look)

    def _drop(self, scope: ConnectionScope) -> None:
        """Void the entry of a connection; the heap is made anew when most of it is void."""
        look, scope.next_look = scope.next_look, None
        if look is None:
            return
        look.scope = None
        self._void += 1
        if self._void > len(self._due) // 2:
            self._due = [look for look in self._due if look.scope is not None]
            heapify(self._due)
            self._void = 0


class _Look:
    """When to look at a connection; void once it has none."""

    __slots__ = ("_number", "scope", "when")

    def __init__(self, when: float, number: int, scope: ConnectionScope) -> None:
        self.when = when
        self._number = number
        self.scope: ConnectionScope | None = scope

    def __lt__(self, other: _Look) -> bool:
        return (self.when, self._number) < (other.when, other._number)


def sweep_one(scope: ConnectionScope, connection: ServedConnection, now: float) -> None:
    """Sweep one connection; if that fails, report it and give up this connection alone.

    One that cannot be aborted, or fails again after that, is not swept again, and gives its place
    back.
    """
    try:
        connection.sweep(now)
    except Exception as mistake:
        if scope.has_failed:
            scope.closed()
            return
        scope.has_failed = True
        where = f"{scope.via.listener}: sweep"
        scope.failures.report(where, mistake, "sweep", scope.peer)
        try:
            connection.abort("error")
        except Exception as another:
            scope.failures.report(where, another, "sweep", scope.peer)
            scope.closed()
