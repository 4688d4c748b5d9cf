"""A server: endpoints joined to addresses, from opening the first listener to draining the last.

    async with Server(lines.serve(shout), "tcp:127.0.0.1:0") as server:
        print(server.addresses)

Entering opens every listener or none. Leaving drains: nothing more is accepted, accepted requests
are answered, and those that could not be answered in time are listed in `Server.lost`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, Unpack, cast

from pierhead.address import ListenSpec
from pierhead.buffer import BufferPool, BufferSource
from pierhead.clock import Clock, SystemClock
from pierhead.connection.frame_budget import FrameBudget
from pierhead.connection.sweep import Sweep
from pierhead.connection.tasks import EagerTasks
from pierhead.errors import ListenError, UsageError
from pierhead.failure_log import OnError
from pierhead.listener.base import DatagramListener, HasSocket, Listener, StreamListener
from pierhead.listener.open import Group, open_all
from pierhead.listener.process_sockets import ProcessSockets
from pierhead.listener.wrap.wrappers import certificate_reader, unwrapped
from pierhead.metrics import Metrics
from pierhead.reload import read_again
from pierhead.server.batches import BatchServer
from pierhead.server.callback import having, plain
from pierhead.server.conversing import Conversing
from pierhead.server.datagram import DatagramServer
from pierhead.server.endpoint import Application, Endpoint
from pierhead.server.handlers import connection_admission, datagram_handler, stream_handler
from pierhead.server.lost_requests import LostRequests
from pierhead.server.options import ServerLimits
from pierhead.server.peer_conversations import PeerConversations
from pierhead.server.plan import Part, Plan
from pierhead.server.replacement import (
    AnyServer,
    Replacement,
    Slot,
    limit_differences,
    slots_of,
)
from pierhead.server.resources import Change, Resources, leave
from pierhead.server.socket_conversations import SocketConversations
from pierhead.server.stream import OnAccept, StreamServer
from pierhead.server.succession import Wait, nothing_before
from pierhead.service.admission import first_verdict
from pierhead.service.context import Transport

__all__ = ["Server"]

_log = logging.getLogger("pierhead.server")

#: How long cancelled work may take to unwind after the drain timeout; it is already reported lost.
_UNWIND_S = 1.0


class Server:
    """Serves one endpoint on some addresses, or a whole application.

    Args:
        what: an endpoint, or an application, which has its own addresses.
        addresses: where to serve the endpoint: text, parsed addresses, or listener objects, which
            the server closes once it has started.
        clock: the clock for deadlines; on the event loop's scale.
        metrics: the registry to count in; its own by default.
        buffers: the pool of receive buffers.
        on_error: called with an error and where it happened (``accept``, ``handshake``,
            ``framing``, ``decode``, ``service``, ``read``, ``write``, ``lost`` …, with ``listener``
            and ``peer``) for every failure; it must be quick and never block.
        on_accept: called with the socket and the peer of each admitted connection, before anything
            is read; for settings that no address option covers. It must be quick and never block.
            An exception goes to ``on_error`` and closes the connection; a connection that it closes
            itself is not served. It is not called for connections without a socket (in memory,
            pipes). If a PROXY header is expected on the socket, the peer is the proxy.
        process_sockets: what the servers of this process share about their sockets; None for the
            process-wide default.
        limits: by name; see `pierhead.server.options.LIMITS`.

    Raises:
        UsageError: no address, an unknown limit or one out of range; a callback that is not a plain
            function of its arguments.
        AddressError: an address does not parse.

    Attributes:
        metrics: everything counted so far.
        lost: accepted requests that were not answered; it grows until draining has finished.
    """

    def __init__(
        self,
        what: Endpoint | Application,
        *addresses: str | ListenSpec | Listener,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
        buffers: BufferSource | None = None,
        on_error: OnError | None = None,
        on_accept: OnAccept | None = None,
        process_sockets: ProcessSockets | None = None,
        **limits: Unpack[ServerLimits],
    ) -> None:
        self._plan = Plan.of(what, addresses, limits, _KEYWORDS)
        self._given: ServerLimits = limits
        self._clock: Clock = having("clock", clock, "monotonic") or SystemClock()
        self._buffers: BufferSource = buffers or BufferPool()
        self._on_error = plain("on_error", on_error, ("error", "where"))
        self._on_accept = plain("on_accept", on_accept, ("sock", "peer"))
        self._process = process_sockets or ProcessSockets.of_this_process()
        self.metrics = having("metrics", metrics, "counter", "gauge") or Metrics()
        self.lost = LostRequests()
        self._slots: list[Slot] = []
        self._sweep = Sweep(self._clock, self._plan.sweep_interval, self._deadlines)
        self._resources = Resources()
        self._is_forced = False
        self._is_entered = self._is_stopping = False
        self._reloading = asyncio.Lock()
        self._given_up: set[AnyServer] = set()
        self._gone: set[AnyServer] = set()  # replaced, and still answering what they accepted
        self._draining: list[Slot] = []  # theirs
        self._coming_back: set[AnyServer] = set()  # those of them that a replacement needs again
        self._retiring: set[asyncio.Task[None]] = set()
        self._replaced = asyncio.Event()

    def _serving(self) -> list[AnyServer]:
        """The servers in effect, in the order of their addresses."""
        return [server for slot in self._slots for server in slot.servers]

    def _all_servers(self) -> list[AnyServer]:
        return [*self._serving(), *self._gone, *self._coming_back]

    @property
    def addresses(self) -> list[str]:
        """The bound addresses as text, in the order given."""
        return [server.listener.local for server in self._serving()]

    @property
    def served(self) -> list[tuple[str, str]]:
        """The name of the endpoint at each bound address, and the address as text."""
        return [
            (slot.part.endpoint.name, server.listener.local)
            for slot in self._slots
            for server in slot.servers
        ]

    @property
    def sockets(self) -> list[socket.socket]:
        """The listening sockets, in the order of the addresses that have one.

        For settings that no address option covers (`getsockopt`, `setsockopt`). They belong to the
        server; reading from them or closing them breaks it.
        """
        listeners = [unwrapped(server.listener) for server in self._serving()]
        return [one.socket for one in listeners if isinstance(one, HasSocket)]

    def reconfigure(self, **limits: Unpack[ServerLimits]) -> None:
        """Change limits at run time; `Limit.effect` says when each takes effect.

        Raises:
            UsageError: an unknown limit or one out of range; then nothing is changed.
        """
        given: ServerLimits = {**self._given, **limits}
        self._limit(self._plan.with_limits(given), given)

    def _limit(self, plan: Plan, given: ServerLimits) -> None:
        for slot in self._slots:
            slot.part = plan.parts[self._plan.parts.index(slot.part)]
        self._plan, self._given = plan, given
        self._sweep.interval_s = plan.sweep_interval
        for slot in self._slots:
            for server in slot.servers:
                server.reconfigure(slot.part.options)

    async def reload(self) -> tuple[str, ...]:
        """Reload certificates and the files of endpoints: all of them, or none.

        Everything is read and checked in a thread first, while serving continues, and then takes
        effect at once. Open connections keep their certificates.

        Returns:
            What has changed, one line each.

        Raises:
            PierheadError: something is wrong, and everything stays as it was. It is the first
                fault; the others are its notes.
        """
        async with self._reloading:
            listeners = [server.listener for server in self._serving()]
            readers = [read for read in map(certificate_reader, listeners) if read]
            endpoints = [part.endpoint for part in self._plan.parts]
            readers += [one.reload for one in endpoints if one.reload is not None]
            read = await asyncio.to_thread(read_again, readers)
            for one in read:
                one.commit()
        return tuple(dict.fromkeys(change for one in read for change in one.changes))

    async def replace(
        self,
        what: Endpoint | Application,
        *addresses: str | ListenSpec | Listener,
        reread: bool = False,
        **limits: Unpack[ServerLimits],
    ) -> tuple[str, ...]:
        """Serve another application from now on, all of it or none.

        Listeners are matched by address alone, custom ones by identity. If one stays, no connection
        is refused and no datagram lost: the next request goes to the new service, on open
        connections too if messages are framed and ordered as before; others answer what they have
        accepted and close. Everything new is entered, read, opened and checked before anything
        changes; what is removed answers what it has accepted, and is exited after that.

        Args:
            what, addresses: as of `Server`.
            reread: whether what stays rereads its certificates and files, as in `reload`.
            limits: limits to change as well.

        Returns:
            What has changed, one line each.

        Raises:
            PierheadError: something is wrong, and everything stays as it was.
        """
        async with self._reloading:
            self._check_is_serving()
            given: ServerLimits = {**self._given, **limits}
            before, plan = self._given, Plan.of(what, addresses, given)
            draining = [slot for slot in self._draining if self._still_sends(slot)]
            replacement = Replacement(self._slots, slots_of(plan), draining)
            async with AsyncExitStack() as undo:
                self._hold_back(replacement.back(), undo)
                needed = await self._resources.enter(plan.application, undo)
                with replacement.explained():
                    await self._open(replacement.new, undo, replacement)
                if not replacement.has_listeners:
                    raise self._nothing_left(replacement.slots)
                readers = [read for kept in replacement.kept for read in kept.readers()]
                read = await asyncio.to_thread(read_again, readers) if reread else []
                await asyncio.sleep(0)  # a service may have called this: not inside a batch
                self._check_is_serving()
                replacement.prepare()
                undo.pop_all()
            changes = [*replacement.differences(), *limit_differences(replacement.kept)]
            changes += [change for one in read for change in one.changes]
            self._put_in_force(plan, replacement, needed)
            for one in read:
                one.commit()
            if self._given is not before:  # `reconfigure` was called in between
                given = {**self._given, **limits}
            self._limit(self._plan.with_limits(given), given)
        return tuple(dict.fromkeys(changes))

    def _check_is_serving(self) -> None:
        if self._is_stopping or not self._slots:
            state = "is stopping" if self._is_stopping else "has not been entered"
            raise UsageError(f"this Server {state}, and has nothing to replace")

    def _put_in_force(self, plan: Plan, replacement: Replacement, needed: Change) -> None:
        gone = [server for slot in replacement.gone for server in slot.servers]
        back = replacement.back()
        waits = replacement.change()
        self._plan, self._slots = plan, replacement.slots
        self._resources.entered = needed.entered
        for slot in replacement.new:
            for server in slot.servers:
                server.start()
        self._coming_back.clear()
        for server in back:
            server.start()
        self._draining = [s for s in self._draining if self._still_sends(s)] + replacement.gone
        for server in gone:
            server.drain()
        self._let_go(gone, waits, needed)
        self._replaced.set()
        self._process.passed.report_unused()

    def _hold_back(self, servers: Sequence[AnyServer], undo: AsyncExitStack) -> None:
        """Keep these draining servers from being closed: they are needed again."""
        self._gone.difference_update(servers)
        self._coming_back.update(servers)

        def go_on_draining() -> None:
            self._coming_back.clear()
            self._let_go(servers, (), Change())

        undo.callback(go_on_draining)

    def _let_go(self, gone: Sequence[AnyServer], waits: Sequence[Wait], needed: Change) -> None:
        self._gone.update(gone)
        retiring = asyncio.create_task(self._retire(gone, waits, needed), name="replaced")
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    async def _retire(
        self, gone: Sequence[AnyServer], waits: Sequence[Wait], needed: Change
    ) -> None:
        """Exit what was replaced, after its last request."""
        try:
            await asyncio.gather(*map(self._finish_gone, gone), *[wait() for wait in waits])
        finally:
            for server in self._gone.intersection(gone):
                server.close()
                self._gone.discard(server)
            try:
                await leave(needed.gone)
            except Exception:
                _log.exception("exiting what was replaced failed")

    def _still_sends(self, slot: Slot) -> bool:
        """Return whether the sockets of a removed slot are still open, so that it can come back."""
        return all(one in self._gone and isinstance(one, BatchServer) for one in slot.servers)

    async def _finish_gone(self, server: AnyServer) -> None:
        present = nothing_before if isinstance(server, StreamServer) else server.present()
        await self._finish(server, is_gone=True)
        if server not in self._gone:  # it is back
            await present()

    async def _end_retiring(self) -> None:
        if not self._retiring:
            return
        _, late = await asyncio.wait(self._retiring, timeout=_UNWIND_S)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    async def __aenter__(self) -> Self:
        """Enter the resources, open every listener, start serving.

        Raises:
            ListenError: an address could not be opened; none is left open.
            UsageError: it has been entered before.
        """
        if self._is_entered:
            raise UsageError(
                "this Server has been entered before and can serve only once; create another: "
                "Server(endpoint, address)"
            )
        self._is_entered = True
        self._tasks, self._budget = EagerTasks(), FrameBudget.of_this_loop()
        slots = slots_of(self._plan)
        async with AsyncExitStack() as undo:
            needed = await self._resources.enter(self._plan.application, undo)
            await self._open(slots, undo)
            if not any(slot.servers for slot in slots):
                raise self._nothing_left(slots)
            undo.pop_all()
        self._process.passed.report_unused()
        self._resources.entered, self._slots = needed.entered, slots
        for server in self._serving():
            server.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drain, close every listener, exit the resources."""
        try:
            await self.drain()
        finally:
            self._sweep.stop()
            for server in self._serving():
                server.close()
            await self._end_retiring()
            await self._tasks.close()
            await leave(self._resources.entered)

    async def drain(self) -> None:
        """Stop accepting and wait until everything accepted has been answered.

        After ``drain_timeout``, or an address's own ``drain=``, the remaining requests are
        cancelled and listed in `lost`. Draining twice is harmless; cancelling it gives up the
        remaining requests at once.
        """
        self._is_stopping = True
        servers = self._serving()
        for server in servers:
            server.drain()
        try:
            await asyncio.gather(*map(self._finish, self._all_servers()))
        except asyncio.CancelledError:
            self.abort("drain")
            raise

    async def _finish(self, server: AnyServer, *, is_gone: bool = False) -> None:
        is_given_up = self._is_forced or server in self._given_up
        waiting = asyncio.ensure_future(server.wait_drained())
        try:
            timeout = 0 if is_given_up else server.options.drain_timeout
            if (await asyncio.wait([waiting], timeout=timeout))[1]:
                if is_gone and server not in self._gone:
                    return
                self._given_up.add(server)
                server.abort("drain")
                if (await asyncio.wait([waiting], timeout=_UNWIND_S))[1]:
                    server.abort("drain")  # reports requests that do not end
        finally:
            waiting.cancel()

    async def wait_ended(self) -> None:
        """Return once every listener is exhausted and its connections have been served.

        Standard input ends like that, and a custom listener may; others never do.
        """
        while True:
            self._replaced.clear()
            servers = self._serving()
            ended = asyncio.ensure_future(_all(server.wait_ended() for server in servers))
            replaced = asyncio.ensure_future(self._replaced.wait())
            try:
                waiting: list[asyncio.Future[Any]] = [ended, replaced]
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    await ended
                    return
            finally:
                ended.cancel()
                replaced.cancel()

    @property
    def longest_drain(self) -> float:
        """How long draining may take, in seconds: the longest of all addresses."""
        return self._plan.longest_drain

    @property
    def descriptors_wanted(self) -> int:
        """How many descriptors all permitted connections need, and some to spare."""
        return self._plan.descriptors_wanted

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        return sum(server.in_flight for server in self._all_servers())

    def abort(self, reason: str) -> None:
        """Give up every request in flight and close every connection, at once."""
        self._is_forced = True
        for server in self._all_servers():
            server.abort(reason)

    async def _open(
        self, slots: Sequence[Slot], undo: AsyncExitStack, to: Replacement | None = None
    ) -> None:
        """Open these slots and create a server for each listener; none of them serves yet.

        Args:
            undo: undoes the opening.
            to: the replacement that they are opened for.
        """
        beside: list[Listener] = []
        leaving: list[Listener] = []
        if to is not None:
            beside += [server.listener for kept in to.kept for server in kept.before.servers]
            leaving += [server.listener for slot in to.gone for server in slot.servers]
        for part in dict.fromkeys(slot.part for slot in slots):
            numbers = sorted({slot.group for slot in slots if slot.part is part})
            own = [[s for s in slots if s.part is part and s.group == n] for n in numbers]
            listeners = await open_all(
                [_group_of(group) for group in own],
                buffers=self._buffers,
                protocols=part.endpoint.alpn,
                process_sockets=self._process,
                beside=beside,
                leaving=leaving,
            )
            beside += listeners
            undo.callback(listeners.abandon)
            for group, opened in zip(own, listeners.by_group(), strict=True):
                for listener in opened:
                    server = self._serve(part, listener)
                    undo.callback(server.forget)
                    _slot_for(listener, group).servers.append(server)

    def _nothing_left(self, slots: Sequence[Slot]) -> ListenError:
        asked = ", ".join(str(_spec_of(slot)) for slot in slots)
        return ListenError(
            asked,
            "open",
            "none of the addresses has a listener, and nothing is left to serve",
            "leave optional out of one of them, so that its absence is an error",
        )

    def _serve(self, part: Part, listener: Listener) -> AnyServer:
        endpoint = part.endpoint
        if listener.transport is Transport.DATAGRAM:
            return self._serve_datagrams(part, cast(DatagramListener, listener))
        handler = stream_handler(endpoint, listener)
        return StreamServer(
            cast(StreamListener, listener),
            handler,
            options=part.options,
            admission=first_verdict(endpoint.admission),
            connection_admission=connection_admission(endpoint, listener, listener.spec),
            clock=self._clock,
            metrics=self.metrics,
            buffers=self._buffers,
            tasks=self._tasks,
            budget=self._budget,
            relieve=self._relieve,
            on_lost=self.lost.add,
            wake_sweep=self._sweep.wake,
            on_error=self._on_error,
            on_accept=self._on_accept,
        )

    def _relieve(self) -> None:
        """Let the listener with the most connections give some up: descriptors are exhausted."""
        streams = [one for one in self._all_servers() if isinstance(one, StreamServer)]
        max(streams, key=len).relieve()

    def _serve_datagrams(self, part: Part, listener: DatagramListener) -> AnyServer:
        endpoint = part.endpoint
        handler = datagram_handler(endpoint, listener)
        common: dict[str, Any] = {
            "options": part.options,
            "admission": first_verdict(endpoint.admission),
            "clock": self._clock,
            "metrics": self.metrics,
            "on_lost": self.lost.add,
            "wake_sweep": self._sweep.wake,
            "own_addresses": self._process.own_addresses,
            "on_error": self._on_error,
        }
        if isinstance(handler, Conversing):
            server = SocketConversations if handler.per_socket else PeerConversations
            return server(listener, handler, **common)
        return DatagramServer(listener, handler, tasks=self._tasks, **common)

    def _deadlines(self, now: float) -> Iterator[bool]:
        for server in self._all_servers():
            yield from server.sweep(now)


#: Keyword arguments of `Server` besides limits.
_KEYWORDS = tuple(Server.__init__.__kwdefaults__ or ())


async def _all(ends: Iterable[Awaitable[None]]) -> None:
    await asyncio.gather(*ends)


def _group_of(slots: Sequence[Slot]) -> Group:
    """Return the specs of one address that are to be opened."""
    first = slots[0].asked
    if not isinstance(first, ListenSpec):
        return first
    return tuple(slot.asked for slot in slots if isinstance(slot.asked, ListenSpec))


def _slot_for(listener: Listener, group: Sequence[Slot]) -> Slot:
    """Return the slot for which a listener was opened; in a group each has its own address."""
    address = listener.spec.address
    return next((one for one in group if _spec_of(one).address == address), group[0])


def _spec_of(slot: Slot) -> ListenSpec:
    return slot.asked if isinstance(slot.asked, ListenSpec) else slot.asked.spec
