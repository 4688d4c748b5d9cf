"""Answers from zone files.

A zone is given as a file, as ``NAME=FILE``, or as a folder of ``*.zone`` files. The name of a
zone without ``NAME=`` is its file's name without ``.zone``; a file that ends in something else
says its name itself, by an SOA record with an absolute owner.
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
from pierhead.protocols.dns.zone.bounds import DEFAULT_BOUNDS, ZoneBounds
from pierhead.protocols.dns.zone.lookup import lookup
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.signatures import Verify
from pierhead.protocols.dns.zone.targets import Reference, inspect_references
from pierhead.protocols.dns.zone.zone import Zone, Zones
from pierhead.reload import Reloaded
from pierhead.service.context import Context

__all__ = ["ZoneFile", "ZoneService", "find_zone_files", "load_zones", "zones"]

_SUFFIX = ".zone"

#: Transfers are closed to everybody here (RFC 5936 §2.2.1). What else is no data is refused by
#: the mandatory layer.
_TRANSFERS = (iana.AXFR, iana.IXFR)


class ZoneService:
    """A service that answers from zones.

    Attributes:
        zones: what it answers from; replace the whole to answer from other zones.

    Args:
        zones: what it answers from at first.
        minimal: see `minimal`.
        read_again: reads the zones from where they came from; None where `reload` changes nothing.
    """

    __slots__ = ("_minimal", "_read_again", "zones")

    def __init__(
        self,
        zones: Zones,
        *,
        minimal: bool = True,
        read_again: Callable[[], Zones] | None = None,
    ) -> None:
        self.zones = zones
        self._minimal = minimal
        self._read_again = read_again

    def reload(self) -> Reloaded:
        """Read the zones again; what it returns puts all of them in force.

        Raises:
            ConfigError: one of them is wrong; those in force stay.
        """
        before = self.zones
        after = before if self._read_again is None else self._read_again()

        def put_in_force() -> None:
            self.zones = after

        return Reloaded(commit=put_in_force, changes=tuple(_changes(before, after)))

    @property
    def minimal(self) -> bool:
        """Whether answers go without what most clients drop; settled when the service is made.

        That is the name servers of the zone, and the addresses of who is named in the answer
        (RFC 1034 §4.3.2 step 6).
        """
        return self._minimal

    def snapshot(self) -> Zones:
        """Return what every answer is made from: the same zones, the same answers."""
        return self.zones

    async def __call__(self, query: Query, context: Context) -> Reply:
        """Answer the query; REFUSED for a name in none of the zones."""
        # Once per packet: the slots behind the properties are read.
        qtype = query.qtype
        trace = context.get(Trace)
        if qtype in _TRANSFERS:
            if trace is not None:
                trace.note("zones", "zones are not transferred", "RFC 5936 §2.2.1")
            return Reply(query, iana.REFUSED)
        found = lookup(
            self.zones,
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


def _changes(before: Zones, after: Zones) -> Iterator[str]:
    """Give a line for each zone that was added, changed or removed."""
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
    """Return what makes two zones the same: their records as RFC 4034 §6.2 compares them."""
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
    """Note the steps of a look-up, each "3a: what happened" or "3a: what happened (RFC …)"."""
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
    """Return a service that answers from zone files; each is read now.

    Args:
        sources: files, ``NAME=FILE``, or folders, of which every ``*.zone`` file is taken.
        minimal: leave out name servers and addresses that were not asked for; see `ZoneService`.
        include_dirs: folders besides a zone's own that its $INCLUDE may read from.
        bounds: how large each zone may be; see `pierhead.protocols.dns.zone.bounds.LIMITS`.

    Raises:
        ConfigError: a file cannot be read or served; has the faults of all of them.

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
        ConfigError: has the faults of all files.
        UsageError: no source is given, or a name in front of ``=`` is none.
    """
    if not sources:
        raise UsageError("no zone is given; name a file, NAME=FILE, or a folder of *.zone files")
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
        # What one zone says of another can be judged when all of them are there.
        zone.warnings += tuple(inspect_references(together, leads[zone.key]))
    return together


@dataclass(frozen=True, slots=True)
class ZoneFile:
    """One zone file.

    Attributes:
        path: where it is.
        origin: the zone's name; None where the file says it itself.
    """

    path: Path
    origin: str | None

    include_dirs: tuple[Path, ...] = ()
    bounds: ZoneBounds = DEFAULT_BOUNDS
    is_standard_input: bool = False

    @property
    def name(self) -> str:
        """How the file is called in faults."""
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
        """Return the zone; whether its signatures are valid is judged by the time of now.

        Args:
            references: takes in which names of other zones the records lead to, for
                `targets.inspect_references`.
            verify: computes whether signatures match the records; None leaves that open.

        Raises:
            ConfigError: the file cannot be read or served; has all of its faults.
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
        """Return the content of a file that $INCLUDE names."""
        return include_file(self._place(), path, self.include_dirs, self.bounds.zone_octets)


def find_zone_files(
    source: str | Path,
    *,
    include_dirs: Sequence[str | Path] = (),
    bounds: ZoneBounds = DEFAULT_BOUNDS,
) -> Iterator[ZoneFile]:
    """Give the zone files of a source: a file, ``NAME=FILE``, or a folder.

    ``-`` in place of the file is standard input.

    Args:
        source: which.
        include_dirs: folders besides the zone's own that $INCLUDE may read from.
        bounds: how large a zone may be.

    Raises:
        ConfigError: the folder has none, or cannot be read.
        UsageError: the name in front of ``=`` is none.
    """
    made = partial(ZoneFile, include_dirs=tuple(map(Path, include_dirs)), bounds=bounds)
    name, equals, rest = str(source).partition("=")
    # A path may hold an equals sign as well; a name holds no slash.
    if isinstance(source, str) and equals and "/" not in name:
        if not name or not rest:
            raise UsageError(f"{source!r} is no zone; expected NAME=FILE")
        _check_name(name)
        yield made(Path(rest), name, is_standard_input=rest == "-")
        return
    path = Path(source)
    if source == "-":
        yield made(path, None, is_standard_input=True)
        return
    try:
        # `Path.glob` passes over what it may not read.
        files = sorted(path.iterdir()) if path.is_dir() else None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if files is None:
        yield made(path, _origin(path))
        return
    files = [p for p in files if p.name.endswith(_SUFFIX) and not p.name.startswith(".")]
    if not files:
        raise _wrong(path, f"the folder has no *{_SUFFIX} file")
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
    """Say why the system, or Python in front of it, refused to read."""
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return _wrong(path, f"cannot be read: {reason}")


def _wrong(path: Path | str, message: str) -> ConfigError:
    return ConfigError([Fault(str(path), 0, 0, message, code="file")])


def _twice(zone: Zone, file: ZoneFile, first: str) -> Fault:
    message = f"zone {to_text(zone.origin)} is in {first} already"
    return Fault(file.name, 0, 0, message, remedy="give one of them", code="twice")
