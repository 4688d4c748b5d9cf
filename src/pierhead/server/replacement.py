"""The fate of each address when a server gets another application.

    wanted slots ◀─ match by address ─▶ slots in effect
       new: opened first      kept: listener stays, what serves it changes      gone: drained

A slot is one resolved address; it has no listener, one, or several (a name, a range of ports).
Nothing here opens or closes anything: `Kept.prepare` checks, and `Kept.change` cannot fail after
it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from pierhead.address import ListenSpec
from pierhead.address.listen_options import effect_of_change, show_option
from pierhead.address.option import Effect
from pierhead.errors import ListenError
from pierhead.listener.base import Changeable, DatagramListener, Listener, StreamListener
from pierhead.listener.wrap.wrappers import certificate_reader, unwrapped, wrap_all
from pierhead.reload import Reloaded
from pierhead.server.batches import BatchServer
from pierhead.server.conversing import Conversing
from pierhead.server.datagram import DatagramServer
from pierhead.server.endpoint import Endpoint, StreamHandler
from pierhead.server.handlers import connection_admission, datagram_handler, stream_handler
from pierhead.server.options import ServerOptions
from pierhead.server.peer_conversations import PeerConversations
from pierhead.server.plan import Part, Plan
from pierhead.server.stream import StreamServer
from pierhead.server.succession import Wait
from pierhead.service.admission import Admission, ConnectionAdmission, first_verdict

__all__ = ["AnyServer", "Kept", "Replacement", "Slot", "limit_differences", "slots_of"]

AnyServer: TypeAlias = DatagramServer | PeerConversations | StreamServer


@dataclass(slots=True, eq=False)
class Slot:
    """One address of a plan.

    Attributes:
        part: the endpoint it is for.
        group: the index of its group in the part.
        asked: the address, or a custom listener.
        servers: one for each of its listeners, once it is in effect.
    """

    part: Part
    group: int
    asked: ListenSpec | Listener
    servers: list[AnyServer] = field(default_factory=list)


def slots_of(plan: Plan) -> list[Slot]:
    """Return the slots of a plan, in the order given."""
    return [
        Slot(part, number, asked)
        for part in plan.parts
        for number, group in enumerate(part.groups)
        for asked in (group if isinstance(group, tuple) else (group,))
    ]


class Replacement:
    """The fate of each slot.

    Args:
        before: the slots in effect.
        after: those that are to replace them.
        draining: slots removed earlier whose sockets still send replies: each can come back.

    Attributes:
        slots: the slots that replace those in effect.
        kept: those of them that keep their listeners.
        new: those to be opened.
    """

    def __init__(
        self, before: Sequence[Slot], after: Sequence[Slot], draining: Sequence[Slot] = ()
    ) -> None:
        self.slots = list(after)
        self._before = [*before, *draining]
        self.kept: list[Kept] = []
        self.new: list[Slot] = []
        self._gone = list(before)
        #: For new slots: why an address in effect needs a new listener.
        self._renewed: list[tuple[Slot, str]] = []
        for wanted, found in _partners([*before, *draining], after):
            reason = None if found is None else _needs_new_listener(found, wanted)
            if found is None or reason is not None:
                self.new.append(wanted)
                self._renewed += [] if reason is None else [(wanted, reason)]
            else:
                is_back = found in draining
                self.kept.append(Kept(found, wanted, is_back=is_back))
                if not is_back:
                    self._gone.remove(found)

    @property
    def has_listeners(self) -> bool:
        """Whether there is anything to serve."""
        return any(one.before.servers for one in self.kept) or any(s.servers for s in self.new)

    @property
    def gone(self) -> list[Slot]:
        """Those in effect that are to be drained."""
        return [slot for slot in self._gone if slot.servers]

    def back(self) -> list[AnyServer]:
        """Return the servers that come back while they drain."""
        return [server for kept in self.kept if kept.is_back for server in kept.before.servers]

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Add to the error of an address that cannot be opened how replacement caused it."""
        try:
            yield
        except ListenError as error:
            for slot, reason in self._renewed:
                if error.address.startswith(str(slot.asked)):
                    raise ListenError(
                        error.address,
                        "replace",
                        f"{reason}: this needs a new listener, and the one in effect has the "
                        f"address ({error.reason})",
                        "leave it unchanged, or restart the server",
                        error.errno,
                    ) from error
            raise

    def prepare(self) -> None:
        """Check that every kept slot can change, and change their sockets, all or none.

        Raises:
            ListenError: one cannot.
        """
        for kept in self.kept:
            kept.prepare()
        changed: list[tuple[Changeable, ListenSpec]] = []
        try:
            for kept in self.kept:
                kept.change_sockets(changed)
        except BaseException:
            for listener, spec in reversed(changed):
                with suppress(OSError):
                    listener.change(spec)
            raise

    def change(self) -> list[Wait]:
        """Switch every kept slot over; return functions that wait for the earlier requests."""
        return [wait for kept in self.kept for wait in kept.change()]

    def differences(self) -> Iterator[str]:
        """Yield what will change, one human-readable line each; call it before `change`."""
        for slot in self.new:
            for server in slot.servers:
                yield f"{server.listener.local}: opened for {slot.part.endpoint.name}"
        for kept in self.kept:
            yield from kept.differences()
        for server in [server for slot in self.gone for server in slot.servers]:
            yield f"{server.listener.local}: closed, once what it has accepted is answered"


def _partners(before: Sequence[Slot], after: Sequence[Slot]) -> Iterator[tuple[Slot, Slot | None]]:
    """Yield each wanted slot with the one in effect; identical ones are matched first."""
    left, found = list(before), dict[int, Slot]()
    for is_match in (_is_same, _has_same_address, _is_bound_there):
        for wanted in after:
            if id(wanted) not in found:
                partner = next((one for one in left if is_match(one, wanted)), None)
                if partner is not None:
                    found[id(wanted)] = partner
                    left.remove(partner)
    for wanted in after:
        yield wanted, found.get(id(wanted))


def _is_same(before: Slot, after: Slot) -> bool:
    if isinstance(before.asked, ListenSpec) and isinstance(after.asked, ListenSpec):
        return before.asked == after.asked
    return before.asked is after.asked


def _has_same_address(before: Slot, after: Slot) -> bool:
    if isinstance(before.asked, ListenSpec) and isinstance(after.asked, ListenSpec):
        return before.asked.address == after.asked.address
    return False


def _is_bound_there(before: Slot, after: Slot) -> bool:
    """Tell whether the only listener of a slot has the address of another: a port chosen by 0."""
    if not (isinstance(before.asked, ListenSpec) and isinstance(after.asked, ListenSpec)):
        return False
    return _bound(before) == [str(after.asked.address)]


def _bound(slot: Slot) -> list[str]:
    return [unwrapped(server.listener).local for server in slot.servers]


def _needs_new_listener(before: Slot, after: Slot) -> str | None:
    """Return why the listeners cannot stay, in words; None if they can."""
    if any(isinstance(server, BatchServer) for server in before.servers):
        was, will_be = (_kind(slot.part.endpoint) for slot in (before, after))
        if was != will_be:
            return f"{will_be} instead of {was}"
    if not (isinstance(before.asked, ListenSpec) and isinstance(after.asked, ListenSpec)):
        return None
    has_datagrams = any(isinstance(server, BatchServer) for server in before.servers)
    if has_datagrams and before.asked.wrappers != after.asked.wrappers:
        return "another wrapper around datagrams"
    if effect_of_change(before.asked.options, after.asked.options) is Effect.NEW_LISTENER:
        return option_differences(before.asked, after.asked, Effect.NEW_LISTENER)
    return None


def _kind(endpoint: Endpoint) -> str:
    """Return what is made of datagrams, in words."""
    if not isinstance(endpoint.datagram, Conversing):
        return "requests"
    return "one conversation" if endpoint.datagram.per_socket else "conversations"


@dataclass(slots=True, eq=False)
class Kept:
    """A slot that keeps its listeners.

    Attributes:
        before, after: the slot in effect, and the one that replaces it.
        is_back: whether it was draining.
    """

    before: Slot
    after: Slot
    is_back: bool = False
    _prepared: list[_Prepared] = field(default_factory=list)

    def prepare(self) -> None:
        """Check that every change is possible, and prepare it.

        Raises:
            ListenError: one is not.
        """
        self._prepared = [self._prepare(server) for server in self.before.servers]

    def _prepare(self, server: AnyServer) -> _Prepared:
        endpoint = self.after.part.endpoint
        listener: Listener = server.listener
        spec = self.after.asked if isinstance(self.after.asked, ListenSpec) else listener.spec
        if spec != listener.spec or (spec.wrappers and self._has_other_protocols()):
            listener = self._rewrapped(spec, unwrapped(listener))
        admission = first_verdict(endpoint.admission)
        if isinstance(server, BatchServer):
            datagrams = datagram_handler(endpoint, listener)
            return _PreparedDatagrams(server, spec, listener, datagrams, admission)
        checks = connection_admission(endpoint, listener, spec)
        handler = stream_handler(endpoint, listener)
        if endpoint is self.before.part.endpoint:
            handler = server.handler  # the same object, so that open connections are unaffected
        return _PreparedStreams(server, spec, listener, handler, admission, checks)

    def _has_other_protocols(self) -> bool:
        return self.before.part.endpoint.alpn != self.after.part.endpoint.alpn

    def _rewrapped(self, spec: ListenSpec, base: Listener) -> Listener:
        """Return the same listener with the wrappers in the address."""
        if isinstance(base, Changeable):
            with refused(spec):
                base.check_change(spec)
        return wrap_all([base], self.after.part.endpoint.alpn, spec)[0]

    def readers(self) -> Iterator[Callable[[], Reloaded]]:
        """Yield what rereads the files of what stays as it is: certificates, and an endpoint's."""
        for server in self.before.servers:
            reader = certificate_reader(server.listener)
            if reader is not None and self.before.asked == self.after.asked:
                yield reader
        reload = self.after.part.endpoint.reload
        # The endpoint may be another with other limits, and still answer from the same files.
        if reload is not None and reload == self.before.part.endpoint.reload:
            yield reload

    def change_sockets(self, changed: list[tuple[Changeable, ListenSpec]]) -> None:
        """Apply the changes to the sockets.

        Args:
            changed: receives each listener that is about to change, and its earlier spec.

        Raises:
            ListenError: the system refuses a change after all.
        """
        for one in self._prepared:
            base = unwrapped(one.listener)
            if isinstance(base, Changeable) and base.spec != one.spec:
                changed.append((base, base.spec))
                with refused(one.spec):
                    base.change(one.spec)

    def change(self) -> list[Wait]:
        """Serve as the other slot specifies; return waits for the earlier requests."""
        self.after.servers = self.before.servers
        return [one.change(self.after.part.options) for one in self._prepared]

    def differences(self) -> Iterator[str]:
        """Yield what will change, one human-readable line each."""
        before, after = self.before, self.after
        for server in before.servers:
            where = server.listener.local
            if self.is_back:
                yield f"{where}: opened for {after.part.endpoint.name}"
                continue
            if isinstance(before.asked, ListenSpec) and isinstance(after.asked, ListenSpec):
                if after.asked.wrappers != before.asked.wrappers:
                    yield f"{where}: is {after.asked} now, was {before.asked}"
                elif words := option_differences(before.asked, after.asked):
                    yield f"{where}: {words}"
            if after.part.endpoint is not before.part.endpoint:
                was, now = before.part.endpoint.name, after.part.endpoint.name
                yield f"{where}: {now} served anew" if was == now else f"{where}: {now}, was {was}"


@dataclass(frozen=True, slots=True)
class _PreparedDatagrams:
    """What one datagram server will serve."""

    server: DatagramServer | PeerConversations
    spec: ListenSpec
    listener: Listener
    handler: Any
    admission: Admission | None

    def change(self, options: ServerOptions) -> Wait:
        listener = cast(DatagramListener, self.listener)
        return self.server.replace(
            listener, self.handler, options=options, admission=self.admission
        )


@dataclass(frozen=True, slots=True)
class _PreparedStreams:
    """What one stream server will serve."""

    server: StreamServer
    spec: ListenSpec
    listener: Listener
    handler: StreamHandler
    admission: Admission | None
    checks: tuple[ConnectionAdmission, ...]

    def change(self, options: ServerOptions) -> Wait:
        return self.server.replace(
            cast(StreamListener, self.listener),
            self.handler,
            options=options,
            admission=self.admission,
            connection_admission=self.checks,
        )


_Prepared: TypeAlias = _PreparedDatagrams | _PreparedStreams


@contextmanager
def refused(spec: ListenSpec) -> Iterator[None]:
    """Convert a system error of a change into a `ListenError`."""
    try:
        yield
    except ListenError:
        raise
    except OSError as error:
        words = error.strerror or str(error)
        remedy = "leave the option unchanged; the listener in effect is unaffected"
        raise ListenError(str(spec), "replace", words, remedy, error.errno) from error


def option_differences(before: ListenSpec, after: ListenSpec, only: Effect | None = None) -> str:
    """Return which options differ, and when that takes effect, in words; "" if none does."""
    was, will_be = dict(before.options.given), dict(after.options.given)
    words = []
    for key in sorted(was | will_be):
        if was.get(key) == will_be.get(key):
            continue
        effect = effect_of_change(
            before.options.without(*(was.keys() - {key})),
            after.options.without(*(will_be.keys() - {key})),
        )
        if effect is None or (only is not None and effect is not only):
            continue
        old, new = (
            show_option(key, one[key]) if key in one else f"no {key}" for one in (was, will_be)
        )
        words.append(f"{new}, was {old}, {effect.value}" if only is None else f"{new}, was {old}")
    return "; ".join(words)


def limit_differences(kept: Sequence[Kept]) -> Iterator[str]:
    """Yield which limits of the listeners that stay will differ, one line each."""
    names = [one.name for one in dataclasses.fields(ServerOptions)]
    for one in kept:
        was, part = one.before.part.options, one.after.part
        for name in names:
            old, new = getattr(was, name), getattr(part.options, name)
            if old != new:
                yield f"{part.endpoint.name}: {name} is {new}, was {old}"
