"""The service of zones: it answers from them, and lets them be changed.

Query ─▶ lookup in the zones of this moment ─▶ Reply
edit, put, reload ─▶ another set of zones; the packet path sees one reference change
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

from pierhead.errors import UsageError
from pierhead.protocols.dns.journal.recovery import Take
from pierhead.protocols.dns.journal.store import Journal
from pierhead.protocols.dns.services.live_zone import LiveZone
from pierhead.protocols.dns.services.versions import Versions
from pierhead.protocols.dns.trace import Trace
from pierhead.protocols.dns.transfer.notify import Notifier
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.canonical import canonical_rdata
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.protocols.dns.wire.name import to_text
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.wire.serial import is_newer
from pierhead.protocols.dns.zone.difference import Difference
from pierhead.protocols.dns.zone.history import History
from pierhead.protocols.dns.zone.lookup import lookup
from pierhead.protocols.dns.zone.zone import Zone, Zones
from pierhead.reload import Reloaded
from pierhead.service.context import Context

__all__ = ["ZoneService", "zone_changes"]

#: Transfers are answered by a layer, `dns.transfers`; without it they are not allowed (RFC 5936
#: §2.2.1). Other types that are not data are refused by the mandatory layer.
_TRANSFERS = (iana.AXFR, iana.IXFR)


class ZoneService:
    """A service that answers from zones.

    Args:
        zones: the initial zones.
        minimal: see `minimal`.
        read_again: reads the zones from their source; None if `reload` changes nothing.
        history: makes what remembers a zone's last versions, for secondaries.
        journal: where changes are durable; None to keep them in memory.
        files: the file of each zone, for messages.
        take: what is served of a zone that has changed in both its file and the journal.
        notifier: tells secondaries what has changed.

    Raises:
        ConfigError: a zone has changed in both, and the one to take cannot be served.
    """

    __slots__ = (
        "_changing",
        "_live",
        "_minimal",
        "_notifier",
        "_read_again",
        "_versions",
        "_zones",
    )

    def __init__(
        self,
        zones: Zones,
        *,
        minimal: bool = True,
        read_again: Callable[[], Zones] | None = None,
        history: Callable[[], History] = History,
        journal: Journal | None = None,
        files: Mapping[Name, str] | None = None,
        take: Take = None,
        notifier: Notifier | None = None,
    ) -> None:
        self._versions = Versions(journal, files or {}, take, history)
        self._zones = self._versions.start(zones)
        self._live: dict[Name, LiveZone] = {}
        #: Those whose next version is being written to the journal.
        self._changing: set[Name] = set()
        self._minimal = minimal
        self._notifier = notifier
        self._read_again = read_again

    @property
    def zones(self) -> Zones:
        """What it answers from; assign another set to change it.

        What makes one version the next is then found out when a secondary asks for it, by comparing
        all of both. `zone` and `put` know it, and with a journal only these may change a zone.

        Raises:
            UsageError: on assignment, there is a journal, which would not have the change.
        """
        return self._zones

    @zones.setter
    def zones(self, zones: Zones) -> None:
        pairs = _pairs(self._zones, zones)
        if pairs and self._versions.journal is not None:
            name = to_text(pairs[0][0].origin)
            raise UsageError(
                f"zone {name} has a journal; change it in an edit: async with "
                f"service.zone({name!r}).edit() as edit"
            )
        self._activate(zones)
        for old, new in pairs:
            self._versions.history(new.key).follow(old, new)
        self._versions.keep_only(zones)

    def zone(self, name: str) -> LiveZone:
        """Return a zone to change it while it is served.

        Raises:
            UsageError: no zone of this name is served here.

        Example:
            >>> from pierhead.protocols import dns
            >>> async def announce(service, address):
            ...     async with service.zone("example.").edit() as edit:
            ...         edit.add("new", dns.A(address), ttl=60)
        """
        try:
            key = self._zones[name].key
        except KeyError:
            served = ", ".join(to_text(zone.origin) for zone in self._zones) or "none"
            raise UsageError(f"no zone {name!r} is served; these are: {served}") from None
        live = self._live.get(key)
        if live is None:
            live = self._live[key] = LiveZone(lambda: self._served(key), self._change)
        return live

    def _served(self, key: Name) -> Zone:
        zone = self.find(key)
        if zone is None:
            raise UsageError(f"the zone {to_text(key)} is no longer served")
        return zone

    async def put(self, zone: Zone, difference: Difference) -> None:
        """Serve the next version of a zone, as `Transaction.commit` returns both.

        With a journal, it is durable before it is served.

        Raises:
            UsageError: it is not the next version of a zone that is served here, or another change
                of it is under way.
            JournalError: it could not be made durable.
        """
        served = self.find(zone.key)
        is_next = served is not None and served.serial == difference.old_serial
        if served is None or not is_next or zone.serial != difference.new_serial:
            shown = "no such zone is served" if served is None else f"{served!r} is served"
            raise UsageError(f"{difference!r} is not the next one: {shown}")
        await self._change(served, zone, difference)

    async def _change(self, before: Zone, after: Zone, difference: Difference) -> None:
        key = after.key
        if key in self._changing:
            raise UsageError(
                f"another change of {to_text(key)} is under way; use edit(), which waits"
            )
        self._changing.add(key)
        try:
            journal = self._versions.journal
            if journal is not None:
                await asyncio.wrap_future(journal.append(before, after, difference))
            self._activate(self._zones.having(after))
            self._versions.history(key).append(difference)
        finally:
            self._changing.discard(key)

    def _activate(self, zones: Zones) -> None:
        """Serve these zones from now on, and tell secondaries which are new."""
        known = {id(zone) for zone in self._zones}
        self._zones = zones
        if self._notifier is not None:
            for zone in zones:
                if id(zone) not in known:
                    self._notifier.changed(zone)

    def find(self, key: Name) -> Zone | None:
        """Return the zone of this name in lower case; None if it is not served here."""
        zone = self._zones.find(key)
        return zone if zone is not None and zone.key == key else None

    async def differences(self, zone: Zone, since: int) -> Sequence[Difference] | None:
        """Return what leads from an older version to this one; None if that is not known."""
        found = self._versions.history(zone.key).since(since)
        return found if found and found[-1].new_serial == zone.serial else None

    def reload(self) -> Reloaded:
        """Read the zones again; committing the result activates all of them.

        A zone whose file has not changed stays as it is, with its changes.

        Raises:
            ConfigError: one of them is invalid; the current ones stay active.
        """
        before = self._zones
        if self._read_again is None:
            return Reloaded(commit=lambda: None)
        prepared = self._versions.prepare(self._read_again(), before)

        def put_in_force() -> None:
            busy = [zone for zone in self._zones if zone.key in self._changing]
            free = [one for one in prepared if one.zone.key not in self._changing]
            self._activate(Zones((*self._versions.put_in_force(free, self._zones), *busy)))

        after = Zones(one.zone for one in prepared)
        found = [fault for one in prepared for fault in one.recovered.zone.warnings]
        warnings = [" ".join(str(fault).split()) for fault in found if fault.code == "journal"]
        return Reloaded(commit=put_in_force, changes=(*zone_changes(before, after), *warnings))

    def close(self) -> None:
        """Close the journal, if there is one; then nothing can be changed any more."""
        if self._versions.journal is not None:
            self._versions.journal.close()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """What `dns.serve` enters while this service is served; at its end it is closed."""
        try:
            if self._notifier is None:
                yield
                return
            async with self._notifier as notifier:
                # A secondary may have missed what changed while nothing was served.
                for zone in self._zones:
                    notifier.changed(zone)
                yield
        finally:
            await asyncio.to_thread(self.close)

    @property
    def minimal(self) -> bool:
        """Whether answers omit what most clients drop; fixed when the service is created.

        That is the name servers of the zone, and the addresses of names in the answer (RFC 1034
        §4.3.2 step 6).
        """
        return self._minimal

    def snapshot(self) -> Zones:
        """Return what every answer is made from: the same zones give the same answers."""
        return self._zones

    async def __call__(self, query: Query, context: Context) -> Reply:
        """Answer the query; REFUSED for a name in no zone."""
        # Once per packet: this reads the slots behind the properties.
        qtype = query.qtype
        trace = context.get(Trace)
        if qtype in _TRANSFERS:
            if trace is not None:
                trace.note("zones", "zones are not transferred", "RFC 5936 §2.2.1")
            return Reply(query, iana.REFUSED)
        found = lookup(
            self._zones,
            query.qname,
            qtype,
            query.qclass,
            dnssec=query.dnssec_ok,
            minimal=self._minimal,
            trace=trace is not None,
        )
        if trace is not None:
            _note_steps(trace, found.steps)
        return Reply(
            query,
            found.rcode,
            found.authoritative,
            found.answer,
            found.authority,
            glue=found.glue,
            additional=found.additional,
            made_by=found.made_by,
        )


def _pairs(before: Zones, after: Zones) -> list[tuple[Zone, Zone]]:
    """Return the versions of each zone that has another one afterwards."""
    old = {zone.key: zone for zone in before}
    both = [(old[zone.key], zone) for zone in after if zone.key in old]
    return [(was, now) for was, now in both if was is not now and was.rclass == now.rclass]


def zone_changes(before: Zones, after: Zones) -> Iterator[str]:
    """Yield a line for each zone that was added, changed or removed."""
    old, new = ({zone.key: zone for zone in zones} for zones in (before, after))
    for key, zone in new.items():
        name = to_text(zone.origin)
        if key not in old:
            yield f"zone {name} added, serial {zone.serial}"
        elif old[key].serial != zone.serial:
            change = f"zone {name} serial {old[key].serial}, now {zone.serial}"
            is_back = not is_newer(zone.serial, old[key].serial)
            yield f"{change}: not newer (RFC 1982), so no secondary follows" if is_back else change
        elif not _holds_the_same(old[key], zone):
            yield f"zone {name} changed, but its serial is {zone.serial} as before"
    for key in old.keys() - new.keys():
        yield f"zone {to_text(old[key].origin)} removed"


def _holds_the_same(one: Zone, other: Zone) -> bool:
    return _contents(one) == _contents(other)


def _contents(zone: Zone) -> set[tuple[bytes, int, int, frozenset[bytes]]]:
    """Return what defines a zone's contents: its records, compared as in RFC 4034 §6.2."""
    return {
        (
            one.owner.lower(),
            one.rtype,
            one.ttl,
            frozenset(canonical_rdata(one.rtype, rdata) for rdata in one.rdatas),
        )
        for one in zone.rrsets()
    }


def _note_steps(trace: Trace, steps: tuple[str, ...]) -> None:
    """Record the steps of a lookup, each "3a: what happened" or "3a: what happened (RFC …)"."""
    for step in steps:
        number, _, text = step.partition(": ")
        text, _, rule = text.partition(" (RFC ")
        rules = [f"RFC 1034 §4.3.2 step {number}"] if number[:1].isdigit() else []
        rules += [f"RFC {rule.removesuffix(')')}"] if rule else []
        trace.note("zones", text, ", ".join(rules))
