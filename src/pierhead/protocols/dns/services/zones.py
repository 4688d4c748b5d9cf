"""Serves zones from files.

A zone is given as a file, as ``NAME=FILE``, or as a directory of ``*.zone`` files. Without
``NAME=``, a zone is named after its file without ``.zone``; a file with another ending names the
zone itself, by an SOA record with an absolute owner.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pierhead.errors import ConfigError, Fault, PierheadError, UsageError
from pierhead.protocols.dns.services.zone_reading import (
    STANDARD_INPUT,
    include_file,
    read_zone_text,
)
from pierhead.protocols.dns.trace import Trace
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.canonical import canonical_rdata
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.protocols.dns.wire.name import ROOT, from_text, to_text
from pierhead.protocols.dns.wire.name import key as name_key
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.zone.bounds import DEFAULT_BOUNDS, ZoneBounds
from pierhead.protocols.dns.zone.difference import Difference
from pierhead.protocols.dns.zone.history import History
from pierhead.protocols.dns.zone.lookup import lookup
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.signatures import Verify
from pierhead.protocols.dns.zone.targets import Reference, inspect_references
from pierhead.protocols.dns.zone.zone import Zone, Zones
from pierhead.reload import Reloaded
from pierhead.service.context import Context

__all__ = ["ZoneFile", "ZoneService", "find_zone_files", "load_zones", "zones"]

_SUFFIX = ".zone"

#: Transfers are not allowed here (RFC 5936 §2.2.1). Other types that are not data are refused by
#: the mandatory layer.
_TRANSFERS = (iana.AXFR, iana.IXFR)


class ZoneService:
    """A service that answers from zones.

    Args:
        zones: the initial zones.
        minimal: see `minimal`.
        read_again: reads the zones from their source; None if `reload` changes nothing.
        history: makes what remembers a zone's last versions, for secondaries.
    """

    __slots__ = ("_histories", "_make_history", "_minimal", "_read_again", "_zones")

    def __init__(
        self,
        zones: Zones,
        *,
        minimal: bool = True,
        read_again: Callable[[], Zones] | None = None,
        history: Callable[[], History] = History,
    ) -> None:
        self._zones = zones
        self._histories: dict[Name, History] = {}
        self._make_history = history
        self._minimal = minimal
        self._read_again = read_again

    @property
    def zones(self) -> Zones:
        """What it answers from; assign another set to change it.

        What makes one version the next is then found out when a secondary asks for it, by comparing
        all of both; `put` has it from the transaction.
        """
        return self._zones

    @zones.setter
    def zones(self, zones: Zones) -> None:
        before, self._zones = self._zones, zones
        for old, new in _pairs(before, zones):
            self._history(new.key).follow(old, new)
        for key in self._histories.keys() - {zone.key for zone in zones}:
            del self._histories[key]

    def put(self, zone: Zone, difference: Difference) -> None:
        """Serve the next version of a zone, as `Transaction.commit` returns both.

        Raises:
            UsageError: it is not the next version of a zone that is served here.
        """
        served = self.find(zone.key)
        if served is None or served.serial != difference.old_serial:
            raise UsageError(f"{difference!r} does not begin at {served or 'a zone served here'!r}")
        self._zones = self._zones.having(zone)
        self._history(zone.key).append(difference)

    def find(self, key: Name) -> Zone | None:
        """Return the zone of this name in lower case; None if it is not served here."""
        zone = self._zones.find(key)
        return zone if zone is not None and zone.key == key else None

    async def differences(self, zone: Zone, since: int) -> Sequence[Difference] | None:
        """Return what leads from an older version to this one; None if that is not known."""
        found = self._history(zone.key).since(since)
        return found if found and found[-1].new_serial == zone.serial else None

    def _history(self, key: Name) -> History:
        history = self._histories.get(key)
        if history is None:
            history = self._histories[key] = self._make_history()
        return history

    def reload(self) -> Reloaded:
        """Read the zones again; calling the result activates all of them.

        Raises:
            ConfigError: one of them is invalid; the current ones stay active.
        """
        before = self._zones
        after = before if self._read_again is None else self._read_again()
        # Here, because comparing two large zones takes time, and this is called in a thread.
        made = [Difference.between(old, new) for old, new in _pairs(before, after)]

        def put_in_force() -> None:
            if self._zones is not before:  # changed meanwhile: what was compared is not served
                self.zones = after
                return
            self._zones = after
            for difference in made:
                self._history(name_key(difference.origin)).append(difference)

        return Reloaded(commit=put_in_force, changes=tuple(_changes(before, after)))

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


def _changes(before: Zones, after: Zones) -> Iterator[str]:
    """Yield a line for each zone that was added, changed or removed."""
    old, new = ({zone.key: zone for zone in zones} for zones in (before, after))
    for key, zone in new.items():
        name = to_text(zone.origin)
        if key not in old:
            yield f"zone {name} added, serial {zone.serial}"
        elif old[key].serial != zone.serial:
            yield f"zone {name} serial {old[key].serial}, now {zone.serial}"
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


def zones(
    *sources: str | Path,
    minimal: bool = True,
    include_dirs: Sequence[str | Path] = (),
    bounds: ZoneBounds = DEFAULT_BOUNDS,
) -> ZoneService:
    """Return a service that answers from zone files; each is read immediately.

    Args:
        sources: files, ``NAME=FILE``, or directories, whose ``*.zone`` files are all read.
        minimal: omit name servers and addresses that were not asked for; see `ZoneService`.
        include_dirs: directories besides a zone's own that its $INCLUDE may read from.
        bounds: how large each zone may be; see `pierhead.protocols.dns.zone.bounds.LIMITS`.

    Raises:
        ConfigError: a file cannot be read or served; lists the faults of all files.

    Example:
        >>> from pierhead.protocols import dns
        >>> service = dns.zones("zones/", "example.=db.example")  # doctest: +SKIP
    """
    read = partial(load_zones, *sources, include_dirs=include_dirs, bounds=bounds)
    return ZoneService(read(), minimal=minimal, read_again=read)


def load_zones(
    *sources: str | Path,
    include_dirs: Sequence[str | Path] = (),
    bounds: ZoneBounds = DEFAULT_BOUNDS,
) -> Zones:
    """Read the zones of these sources.

    Raises:
        ConfigError: lists the faults of all files.
        UsageError: no source is given, or a name before ``=`` is invalid.
    """
    if not sources:
        raise UsageError("no zone is given; name a file, NAME=FILE, or a directory of *.zone files")
    loaded: dict[bytes, tuple[Zone, str]] = {}
    leads: dict[bytes, list[Reference]] = {}
    faults: list[Fault] = []
    for source in sources:
        try:
            for file in find_zone_files(source, include_dirs=include_dirs, bounds=bounds):
                references: list[Reference] = []
                try:
                    zone = file.load(references)
                except ConfigError as error:
                    faults += error.faults
                    continue
                first = loaded.setdefault(zone.key, (zone, file.name))
                leads.setdefault(zone.key, references)
                if first[0] is not zone:
                    faults.append(_twice(zone, file, first[1]))
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(faults)
    together = Zones(zone for zone, _ in loaded.values())
    for zone in together:
        # References between zones can be checked once all of them are loaded.
        zone.warnings += tuple(inspect_references(together, leads[zone.key]))
    return together


@dataclass(frozen=True, slots=True)
class ZoneFile:
    """One zone file.

    Attributes:
        path: where it is.
        origin: the zone's name; None if the file names it itself.
    """

    path: Path
    origin: str | None

    include_dirs: tuple[Path, ...] = ()
    bounds: ZoneBounds = DEFAULT_BOUNDS
    is_standard_input: bool = False

    @property
    def name(self) -> str:
        """The name of the file in faults."""
        return STANDARD_INPUT if self.is_standard_input else str(self.path)

    def read(self) -> bytes:
        """Return the file's content.

        Raises:
            ConfigError: it cannot be read.
        """
        try:
            return read_zone_text(self._place(), self.bounds.zone_octets)
        except UsageError as error:
            raise _wrong(self.name, str(error)) from None

    def _place(self) -> Path | None:
        return None if self.is_standard_input else self.path

    def load(self, references: list[Reference] | None = None, verify: Verify | None = None) -> Zone:
        """Return the zone; the validity period of signatures is checked against the current time.

        Args:
            references: collects the names in other zones that records point to, for
                `targets.inspect_references`.
            verify: verifies signatures against the records; None skips that.

        Raises:
            ConfigError: the file cannot be read or served; lists all of its faults.
        """
        text = self.read()
        name = "-" if self.is_standard_input else str(self.path)
        try:
            return parse_zone(
                text,
                origin=self.origin,
                file_name=self.name,
                include=self._include,
                now=int(time.time()),
                references=references,
                bounds=self.bounds,
                confined=not self.include_dirs,
                verify=verify,
            )
        except UsageError as error:
            remedy = f"rename the file, or give it as NAME={name}"
            raise ConfigError([Fault(self.name, 0, 0, str(error), remedy=remedy)]) from None

    def _include(self, path: str) -> bytes:
        """Return the content of a file named by $INCLUDE."""
        return include_file(self._place(), path, self.include_dirs, self.bounds.zone_octets)


def find_zone_files(
    source: str | Path,
    *,
    include_dirs: Sequence[str | Path] = (),
    bounds: ZoneBounds = DEFAULT_BOUNDS,
) -> Iterator[ZoneFile]:
    """Yield the zone files of a source: a file, ``NAME=FILE``, or a directory.

    ``-`` in place of the file is standard input.

    Args:
        source: the source.
        include_dirs: directories besides the zone's own that $INCLUDE may read from.
        bounds: how large a zone may be.

    Raises:
        ConfigError: the directory has none, or cannot be read.
        UsageError: the name before ``=`` is invalid.
    """
    if not isinstance(source, str | Path):
        raise UsageError(f"a zone is {source!r}, expected a path, NAME=FILE or a directory")
    made = partial(ZoneFile, include_dirs=tuple(map(Path, include_dirs)), bounds=bounds)
    name, equals, rest = str(source).partition("=")
    # A path may contain an equals sign too; a name contains no slash.
    if isinstance(source, str) and equals and "/" not in name:
        if not name or not rest:
            raise UsageError(f"{source!r} is not a zone; expected NAME=FILE")
        _check_name(name)
        yield made(Path(rest), name, is_standard_input=rest == "-")
        return
    path = Path(source)
    if source == "-":
        yield made(path, None, is_standard_input=True)
        return
    try:
        # `Path.glob` skips what it may not read.
        files = sorted(path.iterdir()) if path.is_dir() else None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if files is None:
        yield made(path, _origin(path))
        return
    files = [p for p in files if p.name.endswith(_SUFFIX) and not p.name.startswith(".")]
    if not files:
        raise _wrong(path, f"the directory has no *{_SUFFIX} file")
    for file in files:
        yield made(file, _origin(file))


def _check_name(name: str) -> None:
    try:
        from_text(name, ROOT)
    except PierheadError as error:
        raise UsageError(f"{name!r} is not the name of a zone: {error}") from None


def _origin(path: Path) -> str | None:
    return path.name.removesuffix(_SUFFIX) if path.name.endswith(_SUFFIX) else None


def _unreadable(path: Path, error: OSError | ValueError) -> ConfigError:
    """Explain why the system, or Python, refused to read it."""
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return _wrong(path, f"cannot be read: {reason}")


def _wrong(path: Path | str, message: str) -> ConfigError:
    return ConfigError([Fault(str(path), 0, 0, message, code="file")])


def _twice(zone: Zone, file: ZoneFile, first: str) -> Fault:
    message = f"zone {to_text(zone.origin)} is already in {first}"
    return Fault(file.name, 0, 0, message, remedy="give one of them", code="twice")
