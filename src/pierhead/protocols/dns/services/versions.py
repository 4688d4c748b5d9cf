"""The versions of the zones of one service: those in files, in the journal, and being served.

files ──read──▶ prepare ──▶ Prepared ──put_in_force──▶ what is served
                   │ recover                   └──▶ history, journal
                journal
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from pierhead.errors import ConfigError, Fault
from pierhead.protocols.dns.journal.recovery import Recovered, Take, recover
from pierhead.protocols.dns.journal.store import Journal
from pierhead.protocols.dns.wire.name import to_text
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.zone.difference import Difference
from pierhead.protocols.dns.zone.history import History
from pierhead.protocols.dns.zone.zone import Zone, Zones

__all__ = ["Prepared", "Versions"]

_log = logging.getLogger("pierhead.dns.zones")


@dataclass(frozen=True, slots=True)
class Prepared:
    """The next version of one zone, after its file was read again.

    Attributes:
        before: the version served meanwhile; None if there was none.
        recovered: the next one.
        difference: between the two; None if there was none before.
        read: the zone as it is in its file.
    """

    before: Zone | None
    recovered: Recovered
    difference: Difference | None
    read: Zone

    @property
    def zone(self) -> Zone:
        """What is to be served: the same object if nothing has changed."""
        if self.before is not None and not self.difference:
            return self.before
        return self.recovered.zone


class Versions:
    """The versions of a service's zones.

    Args:
        journal: where changes are durable; None to keep them in memory.
        files: the file of each zone, for messages.
        take: what is served at first of a zone that has changed in both its file and the journal.
        make_history: makes what remembers a zone's last versions.
    """

    def __init__(
        self,
        journal: Journal | None,
        files: Mapping[Name, str],
        take: Take,
        make_history: Callable[[], History],
    ) -> None:
        self.journal = journal
        self._files = files
        self._take: Take = take
        self._make_history = make_history
        self._histories: dict[Name, History] = {}
        #: Each zone as it was last read.
        self._read: dict[Name, Zone] = {}

    def history(self, key: Name) -> History:
        """Return what leads to the version of a zone that is served."""
        history = self._histories.get(key)
        if history is None:
            history = self._histories[key] = self._make_history()
        return history

    def keep_only(self, zones: Iterable[Zone]) -> None:
        """Forget the history of all other zones."""
        for key in self._histories.keys() - {zone.key for zone in zones}:
            del self._histories[key]

    def start(self, read: Zones) -> Zones:
        """Return what is served of these zones at first.

        Raises:
            ConfigError: lists the faults of all of them.
        """
        if self.journal is None:
            self._read = {zone.key: zone for zone in read}
            return read
        prepared = self.prepare(read, Zones(), self._take)
        if self.journal.set_aside is not None:
            for one in prepared:
                one.zone.warnings += (self._damaged(self.journal),)
                break
        for one in prepared:
            history = self.history(one.zone.key)
            for difference in one.recovered.differences:
                history.append(difference)
            if one.recovered.pending is not None:
                history.append(one.recovered.pending)
            note = self._note(one)
            if note is not None:
                note.result()
            self._read[one.zone.key] = one.read
        return Zones(one.zone for one in prepared)

    def prepare(self, read: Zones, served: Zones, take: Take = None) -> list[Prepared]:
        """Return the next version of each zone, now that the files have been read.

        It takes time, and changes nothing.

        Args:
            read: the zones of the files.
            served: what is served meanwhile.
            take: as of `recover`; none at a reload, where nobody has been asked.

        Raises:
            ConfigError: lists the faults of all zones.
        """
        faults: list[Fault] = []
        prepared = []
        now = {zone.key: zone for zone in served}
        for zone in read:
            before = now.get(zone.key)
            try:
                recovered = self._recover(zone, before, take)
            except ConfigError as error:
                faults += error.faults
                continue
            difference = None
            if before is not None and before.rclass == zone.rclass:
                difference = Difference.between(before, recovered.zone)
            prepared.append(Prepared(before, recovered, difference, zone))
        if faults:
            raise ConfigError(faults)
        return prepared

    def put_in_force(self, prepared: Iterable[Prepared], served: Zones) -> Zones:
        """Return what is served from now on: a zone that was changed meanwhile stays as it is."""
        now = {zone.key: zone for zone in served}
        zones = []
        for one in prepared:
            current = now.get(one.zone.key)
            if current is not one.before and current is not None:
                zones.append(current)
                continue
            if one.difference:
                self.history(one.zone.key).append(one.difference)
            one.zone.warnings = one.recovered.zone.warnings
            self._read[one.zone.key] = one.read
            note = self._note(one)
            if note is not None:
                note.add_done_callback(_report)
            zones.append(one.zone)
        self.keep_only(zones)
        return Zones(zones)

    def _recover(self, zone: Zone, before: Zone | None, take: Take) -> Recovered:
        if self.journal is not None:
            where = self._files.get(zone.key, to_text(zone.origin))
            return recover(self.journal, zone, where, take)
        last = self._read.get(zone.key)
        if before is not None and last is not None and _is_same(last, zone):
            return Recovered(before)  # the file has not changed; what is served may have
        return Recovered(zone)

    def _note(self, one: Prepared) -> Future[None] | None:
        """Write down what the journal does not have yet."""
        recovered, journal = one.recovered, self.journal
        if journal is None or recovered.file_digest is None:
            return None
        if recovered.is_damaged:
            journal.keep_copy()
        if recovered.restarts:
            return journal.begin(recovered.zone, recovered.file_digest)
        if recovered.pending is not None:
            return journal.append(
                recovered.zone, recovered.zone, recovered.pending, recovered.file_digest
            )
        return journal.take_file(recovered.zone.key, recovered.file_digest)

    def _damaged(self, journal: Journal) -> Fault:
        return Fault(
            str(journal.path),
            0,
            0,
            f"it could not be read and is now {journal.set_aside}; zones are served from files",
            remedy="restore it from a copy, if changes are missing",
            code="journal",
        )


def _is_same(one: Zone, other: Zone) -> bool:
    return one.rclass == other.rclass and not Difference.between(one, other)


def _report(note: Future[None]) -> None:
    error = note.exception()
    if error is not None:
        _log.error("after a reload: %s", error)
