"""A server: endpoints joined to addresses, from the first listener opened to the last drained.

    async with Server(lines.serve(shout), "tcp:127.0.0.1:0") as server:
        print(server.addresses)

Entering opens every listener or none. Leaving drains: nothing more is accepted, what has been
accepted is answered, and what could not be answered in time is named in `Server.lost`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, Unpack, cast

from pierhead.address import ListenSpec
from pierhead.address.views import AdmissionOptions
from pierhead.buffer import BufferPool, BufferSource
from pierhead.clock import Clock, SystemClock
from pierhead.connection.tasks import EagerTasks
from pierhead.errors import ListenError, PierheadError, UsageError
from pierhead.failure_log import OnError
from pierhead.listener.base import (
    DatagramListener,
    HasSocket,
    Listener,
    StreamListener,
    check_listener,
)
from pierhead.listener.open import Group, open_all
from pierhead.listener.process_sockets import ProcessSockets
from pierhead.listener.set import ListenerSet
from pierhead.listener.wrap.wrappers import certificate_reader, unwrapped
from pierhead.metrics import Metrics
from pierhead.reload import Reloaded
from pierhead.server.callback import plain
from pierhead.server.datagram import DatagramServer
from pierhead.server.endpoint import Application, Endpoint
from pierhead.server.frame_budget import FrameBudget
from pierhead.server.listener_options import ListenerOptions
from pierhead.server.lost import LostRequests
from pierhead.server.options import ServerLimits, ServerOptions
from pierhead.server.seqpacket import packets
from pierhead.server.stream import OnAccept, StreamServer
from pierhead.server.sweep import Sweep
from pierhead.service.admission import ConnectionAdmission, allow_accounts, in_order
from pierhead.service.context import Transport

__all__ = ["Server"]

_PLURALS = {
    Transport.DATAGRAM: "datagrams",
    Transport.STREAM: "streams",
    Transport.SEQPACKET: "seqpacket connections",
}

#: For listeners, logs, zones, and whatever a program has open beside its connections.
_SPARE_DESCRIPTORS = 512

#: How long cancelled work may take to unwind after the drain timeout; it has been named lost.
_UNWIND_S = 1.0


class Server:
    """Serves one endpoint on some addresses, or a whole application.

    Args:
        what: an endpoint, or an application, which brings its own addresses.
        addresses: where to serve the endpoint: text, parsed, or a listener of your own, which
            is then the server's to close once it has begun.
        clock: where deadlines get the time from; on the event loop's scale.
        metrics: where to count; a registry of its own by default.
        buffers: where receive buffers come from.
        on_error: called with an error and where it happened (``accept``, ``handshake``,
            ``framing``, ``decode``, ``service``, ``write``, ``lost`` …, with ``listener`` and
            ``peer``) for everything that goes wrong; it must be quick and never block.
        on_accept: called with the socket and the peer of each connection that is let in, before
            anything is read; for what no option of an address says. It must be quick and never
            block. What it raises goes to ``on_error`` and closes the connection; one that it
            closes itself is not served. A connection without a socket (in memory, by pipes) is
            not told. The peer of a socket that a PROXY header is to come on is the proxy.
        process_sockets: what the servers of this process have to know of each other; that of all
            which are handed none where None.
        limits: by name; see `pierhead.server.options.LIMITS`.

    Raises:
        UsageError: no address, an unknown limit or one out of range; a callback that is no plain
            function.
        AddressError: an address that does not parse.

    Attributes:
        metrics: everything counted so far.
        lost: accepted requests that were not answered; grows until the last one has drained.
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
        self._application = _application(what, addresses)
        self._given: ServerLimits = limits
        self._options = [self._options_for(e) for e, _ in self._application.endpoints]
        self._clock: Clock = clock or SystemClock()
        self._buffers: BufferSource = buffers or BufferPool()
        self._on_error = plain("on_error", on_error)
        self._on_accept = plain("on_accept", on_accept)
        self._process = process_sockets or ProcessSockets.of_this_process()
        self._groups = [
            [_group(address, endpoint) for address in addresses]
            for endpoint, addresses in self._application.endpoints
        ]
        self._check_addresses()
        self.metrics = metrics or Metrics()
        self.lost = LostRequests()
        self._servers: list[tuple[int, DatagramServer | StreamServer]] = []
        self._sweep = Sweep(self._clock, self._sweep_interval(), self._deadlines)
        self._resources = AsyncExitStack()
        self._is_forced = False
        self._is_entered = False
        self._reloading = asyncio.Lock()
        self._given_up: set[DatagramServer | StreamServer] = set()

    @property
    def addresses(self) -> list[str]:
        """The addresses as bound, in the grammar, in the order asked."""
        return [server.listener.local for _, server in self._servers]

    @property
    def sockets(self) -> list[socket.socket]:
        """The listening sockets, in the order of the addresses that have one.

        For what no option of an address says (`getsockopt`, `setsockopt`); they stay the server's,
        and reading from them or closing them breaks it.
        """
        listeners = [unwrapped(server.listener) for _, server in self._servers]
        return [one.socket for one in listeners if isinstance(one, HasSocket)]

    def reconfigure(self, **limits: Unpack[ServerLimits]) -> None:
        """Change limits while running; each says in its `Limit.effect` when it takes effect.

        Raises:
            UsageError: an unknown limit or one out of range; nothing has changed then.
        """
        given: ServerLimits = {**self._given, **limits}
        changed = [self._options_for(e, given) for e, _ in self._application.endpoints]
        self._given, self._options = given, changed
        self._sweep.interval_s = self._sweep_interval()
        for index, server in self._servers:
            server.reconfigure(changed[index])

    async def reload(self) -> tuple[str, ...]:
        """Read certificates and what endpoints keep in files again: all of it, or none.

        Everything is read and checked in a thread first, while serving goes on, and then put in
        force at once. Open connections live on with the certificates they have.

        Returns:
            What has changed, a line for each.

        Raises:
            PierheadError: something is wrong, and all that was in force stays so. It is the
                first fault; the others are its notes.
        """
        async with self._reloading:
            read = await asyncio.to_thread(self._read_again)
            for one in read:
                one.commit()
        return tuple(dict.fromkeys(change for one in read for change in one.changes))

    def _read_again(self) -> list[Reloaded]:
        listeners = [server.listener for _, server in self._servers]
        readers = [read for read in map(certificate_reader, listeners) if read]
        endpoints = [endpoint for endpoint, _ in self._application.endpoints]
        # An endpoint may be there twice, at different addresses.
        readers += dict.fromkeys(one.reload for one in endpoints if one.reload is not None)
        read: list[Reloaded] = []
        faults: list[PierheadError] = []
        for reader in readers:
            try:
                read.append(reader())
            except PierheadError as error:
                faults.append(error)
        if faults:
            for other in faults[1:]:
                faults[0].add_note(str(other))
            raise faults[0]
        return read

    async def __aenter__(self) -> Self:
        """Enter the resources, open every listener, begin to serve.

        Raises:
            ListenError: an address could not be opened; none stays open.
            UsageError: it was entered before.
        """
        if self._is_entered:
            raise UsageError(
                "this Server was entered before, and serves once; make another one: "
                "Server(endpoint, address)"
            )
        self._is_entered = True
        async with AsyncExitStack() as undo:
            for resource in self._application.resources:
                await undo.enter_async_context(resource)
            for endpoint, _ in self._application.endpoints:
                if endpoint.lifespan is not None:
                    await undo.enter_async_context(endpoint.lifespan())
            await self._open()
            self._resources = undo.pop_all()
        for _, server in self._servers:
            server.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drain, close every listener, leave the resources."""
        try:
            await self.drain()
        finally:
            self._sweep.stop()
            for _, server in self._servers:
                server.close()
            await self._tasks.close()
            await self._resources.aclose()

    async def drain(self) -> None:
        """Accept nothing more and wait until everything accepted has been answered.

        After ``drain_timeout``, or what an address says instead (``drain=``), what is left is
        cancelled and named in `lost`. Draining twice does no harm; cancelling it gives up at once
        what it was waiting for.
        """
        servers = [server for _, server in self._servers]
        for server in servers:
            server.drain()
        try:
            await asyncio.gather(*map(self._finish, servers))
        except asyncio.CancelledError:
            self.abort("drain")
            raise

    async def _finish(self, server: DatagramServer | StreamServer) -> None:
        is_given_up = self._is_forced or server in self._given_up
        waiting = asyncio.ensure_future(server.wait_drained())
        try:
            timeout = 0 if is_given_up else server.options.drain_timeout
            if (await asyncio.wait([waiting], timeout=timeout))[1]:
                self._given_up.add(server)
                server.abort("drain")
                if (await asyncio.wait([waiting], timeout=_UNWIND_S))[1]:
                    server.abort("drain")  # names what does not let go
        finally:
            waiting.cancel()

    async def wait_ended(self) -> None:
        """Return once no listener has more to give and what they gave has been served.

        Standard input ends like that, and so may a listener of your own; others never do.
        """
        for _, server in self._servers:
            await server.wait_ended()

    @property
    def longest_drain(self) -> float:
        """How long draining may take, in seconds: the longest of what each address may."""
        return max(options.drain_timeout for options in self._options_everywhere())

    @property
    def descriptors_wanted(self) -> int:
        """How many descriptors every connection that may be open takes, and some to spare."""
        connections = sum(
            ListenerOptions.of(spec).max_connections or options.max_connections
            for options, groups in zip(self._options, self._groups, strict=True)
            for group in groups
            for spec in _specs(group)
        )
        return connections + _SPARE_DESCRIPTORS

    @property
    def in_flight(self) -> int:
        """How many requests are being worked on."""
        return sum(server.in_flight for _, server in self._servers)

    def abort(self, reason: str) -> None:
        """Give up every request in flight and close every connection, at once."""
        self._is_forced = True
        for _, server in self._servers:
            server.abort(reason)

    async def _open(self) -> None:
        self._tasks, self._budget = EagerTasks(), FrameBudget.of_this_loop()
        opened: list[ListenerSet] = []
        try:
            for owner, groups in enumerate(self._groups):
                alpn = self._application.endpoints[owner][0].alpn
                listeners = await open_all(
                    groups,
                    buffers=self._buffers,
                    protocols=alpn,
                    process_sockets=self._process,
                )
                opened.append(listeners)
                for listener in listeners:
                    self._servers.append((owner, self._serve(owner, listener)))
            if not self._servers:
                raise self._nothing_left()
        except BaseException:
            self._servers.clear()
            for listeners in opened:
                listeners.abandon()
            raise
        self._process.passed.report_unused()

    def _nothing_left(self) -> ListenError:
        asked = ", ".join(str(_specs(group)[0]) for groups in self._groups for group in groups)
        return ListenError(
            asked,
            "open",
            "none of the addresses gave a listener, and nothing is left to serve",
            "leave optional out of one of them, so that its absence is an error of its own",
        )

    def _serve(self, owner: int, listener: Listener) -> DatagramServer | StreamServer:
        endpoint, _ = self._application.endpoints[owner]
        if listener.transport is Transport.DATAGRAM:
            return self._serve_datagrams(endpoint, owner, cast(DatagramListener, listener))
        handler = endpoint.stream
        if listener.transport is Transport.SEQPACKET:
            handler = None if endpoint.datagram is None else packets(endpoint.datagram)
        if handler is None:
            raise _not_served(endpoint, listener)
        stream_listener = cast(StreamListener, listener)
        admission = _admission(endpoint, stream_listener)
        return StreamServer(
            stream_listener,
            handler,
            options=self._options[owner],
            admission=in_order(endpoint.admission),
            connection_admission=admission,
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
        """Have the listener with most connections give some up: there are no more descriptors."""
        streams = [server for _, server in self._servers if isinstance(server, StreamServer)]
        max(streams, key=len).relieve()

    def _serve_datagrams(
        self, endpoint: Endpoint, owner: int, listener: DatagramListener
    ) -> DatagramServer:
        if endpoint.datagram is None:
            raise _not_served(endpoint, listener)
        return DatagramServer(
            listener,
            endpoint.datagram,
            options=self._options[owner],
            admission=in_order(endpoint.admission),
            clock=self._clock,
            metrics=self.metrics,
            tasks=self._tasks,
            on_lost=self.lost.add,
            wake_sweep=self._sweep.wake,
            own_addresses=self._process.own_addresses,
            on_error=self._on_error,
        )

    def _options_for(self, endpoint: Endpoint, given: ServerLimits | None = None) -> ServerOptions:
        """What the caller says goes before what the protocol prefers, and that before ours."""
        preferred = ServerOptions().changed(endpoint.options)
        if given is not None:
            return preferred.changed(given)
        return preferred.changed(self._given, others=_KEYWORDS)

    def _check_addresses(self) -> None:
        """Refuse limits out of range before anything opens."""
        for _ in self._options_everywhere():
            pass

    def _options_everywhere(self) -> Iterator[ServerOptions]:
        """Yield the limits in force at each address."""
        for options, groups in zip(self._options, self._groups, strict=True):
            for group in groups:
                for spec in _specs(group):
                    yield ListenerOptions.of(spec).apply(options)

    def _sweep_interval(self) -> float:
        """Often enough for a deadline to be met an eighth late, between 20 and 2 times a second."""
        timeouts = [
            timeout
            for o in self._options_everywhere()
            for timeout in (
                o.request_timeout,
                o.first_byte_timeout,
                o.message_timeout,
                o.idle_timeout,
                o.write_timeout,
                o.linger_timeout or o.idle_timeout,
            )
        ]
        return min(max(min(timeouts) / 8, 0.05), 0.5)

    def _deadlines(self, now: float) -> Iterator[bool]:
        for _, server in self._servers:
            yield from server.sweep(now)


#: What `Server` takes by name beside limits.
_KEYWORDS = tuple(Server.__init__.__kwdefaults__ or ())


def _name(what: object) -> str:
    return getattr(what, "__qualname__", repr(what))


def _application(
    what: Endpoint | Application, addresses: tuple[str | ListenSpec | Listener, ...]
) -> Application:
    given: object = what  # as a caller without a type checker may have it
    if not isinstance(given, Endpoint | Application):
        raise UsageError(
            f"{_name(given)} is no endpoint; a service becomes one by lines.serve(service), "
            "dns.serve(service) or serve(service, wire_format)"
        )
    if isinstance(what, Application):
        if addresses:
            raise UsageError("an application brings its own addresses; give it none")
        application = what
    else:
        application = Application(endpoints=[(what, addresses)])
    for endpoint, specs in application.endpoints:
        if not specs:
            raise UsageError(
                f"no address to serve {endpoint.name} on; give one such as '127.0.0.1:0'"
            )
    return application


def _group(address: Any, endpoint: Endpoint) -> Group:
    if isinstance(address, str):
        return ListenSpec.parse(address).resolve(endpoint)
    if isinstance(address, ListenSpec):
        return address.resolve(endpoint)
    if isinstance(getattr(address, "transport", None), Transport):
        check_listener(address)
        return cast(Listener, address)
    raise UsageError(
        f"{address!r} is no address; expected text, a ListenSpec or a listener of your own"
    )


def _specs(group: Group) -> tuple[ListenSpec, ...]:
    return group if isinstance(group, tuple) else (group.spec,)


def _admission(endpoint: Endpoint, listener: StreamListener) -> tuple[ConnectionAdmission, ...]:
    """Return the checks on a connection: those of its address, then the endpoint's."""
    own = tuple(one for one in endpoint.admission if isinstance(one, ConnectionAdmission))
    options = AdmissionOptions.of(listener.spec.options)
    users, groups = options.allow_uid or (), options.allow_gid or ()
    if not users and not groups:
        return own
    address = str(listener.spec)
    if not unwrapped(listener).local.startswith(("unix", "inetd")):
        reason = f"{listener.local} is no Unix socket, and the system vouches for its peers alone"
        raise ListenError(address, "option allow-uid", reason, "leave it out")
    try:
        return (allow_accounts(users=users, groups=groups), *own)
    except UsageError as error:
        raise ListenError(address, "option allow-uid", str(error)) from error


def _not_served(endpoint: Endpoint, listener: Listener) -> ListenError:
    return ListenError(
        str(listener.spec),
        "serve",
        f"the {endpoint.name} endpoint does not serve {_PLURALS[listener.transport]}",
        f"{listener.local} is for another protocol",
    )
