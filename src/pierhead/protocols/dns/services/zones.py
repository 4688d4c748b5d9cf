"""Answers from zone files.

A zone is given as a file, as ``NAME=FILE``, or as a folder of ``*.zone`` files. The name of a
zone without ``NAME=`` is its file's name without ``.zone``; a file that ends in something else
says its name itself, by an SOA record with an absolute owner.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pierhead.context import Context
from pierhead.endpoint import Reloaded
from pierhead.errors import ConfigError, Fault, PierheadError, UsageError
from pierhead.protocols.dns.trace import Trace
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.protocols.dns.wire.name import ROOT, from_text, to_text
from pierhead.protocols.dns.zone.lookup import lookup
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.targets import Reference
from pierhead.protocols.dns.zone.zone import Zone, Zones

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
        qtype = query._qtype
        trace = context.get(Trace)
        if qtype in _TRANSFERS:
            if trace is not None:
                trace.note("zones", "zones are not transferred", "RFC 5936 §2.2.1")
            return Reply(query, iana.REFUSED)
        found = lookup(
            self.zones,
            query._qname,
            qtype,
            query._qclass,
            dnssec=query._do,
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
    return {(one.owner, one.rtype, one.ttl, frozenset(one.rdatas)) for one in zone.rrsets()}


def _note_steps(trace: Trace, steps: tuple[str, ...]) -> None:
    """Note the steps of a look-up, each "3a: what happened" or "3a: what happened (RFC …)"."""
    for step in steps:
        number, _, text = step.partition(": ")
        text, _, rule = text.partition(" (RFC ")
        rules = [f"RFC 1034 §4.3.2 step {number}"] if number[:1].isdigit() else []
        rules += [f"RFC {rule.removesuffix(')')}"] if rule else []
        trace.note("zones", text, ", ".join(rules))


def zones(*sources: str | Path, minimal: bool = True) -> ZoneService:
    """Return a service that answers from zone files; each is read now.

    Args:
        sources: files, ``NAME=FILE``, or folders, of which every ``*.zone`` file is taken.
        minimal: leave out name servers and addresses that were not asked for; see `ZoneService`.

    Raises:
        ConfigError: a file cannot be read or served; has the faults of all of them.

    Example:
        >>> from pierhead.protocols import dns
        >>> service = dns.zones("zones/", "example.=db.example")  # doctest: +SKIP
    """
    read = partial(load_zones, *sources)
    return ZoneService(read(), minimal=minimal, read_again=read)


def load_zones(*sources: str | Path) -> Zones:
    """Read the zones of these sources.

    Raises:
        ConfigError: has the faults of all files.
        UsageError: no source is given, or a name in front of ``=`` is none.
    """
    if not sources:
        raise UsageError("no zone is given; name a file, NAME=FILE, or a folder of *.zone files")
    loaded: dict[bytes, tuple[Zone, str]] = {}
    faults: list[Fault] = []
    for source in sources:
        try:
            for file in find_zone_files(source):
                try:
                    zone = file.load()
                except ConfigError as error:
                    faults += error.faults
                    continue
                first = loaded.setdefault(zone.key, (zone, str(file.path)))
                if first[0] is not zone:
                    faults.append(_twice(zone, file, first[1]))
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(faults)
    return Zones(zone for zone, _ in loaded.values())


@dataclass(frozen=True, slots=True)
class ZoneFile:
    """One zone file.

    Attributes:
        path: where it is.
        origin: the zone's name; None where the file says it itself.
    """

    path: Path
    origin: str | None

    def read(self) -> bytes:
        """Return the file's content.

        Raises:
            ConfigError: it cannot be read.
        """
        try:
            return self.path.read_bytes()
        except (OSError, ValueError) as error:
            raise _unreadable(self.path, error) from None

    def load(self, references: list[Reference] | None = None) -> Zone:
        """Return the zone; whether its signatures are valid is judged by the time of now.

        Args:
            references: takes in which names of other zones the records lead to, for
                `targets.inspect_references`.

        Raises:
            ConfigError: the file cannot be read or served; has all of its faults.
        """
        text = self.read()
        name = str(self.path)
        try:
            return parse_zone(
                text,
                origin=self.origin,
                file_name=name,
                include=self._include,
                now=int(time.time()),
                references=references,
            )
        except UsageError as error:
            remedy = f"rename the file, or give it as NAME={name}"
            raise ConfigError([Fault(name, 0, 0, str(error), remedy=remedy)]) from None

    def _include(self, path: str) -> bytes:
        """Return the content of a file that $INCLUDE names.

        What goes wrong is said without the folder: the fault names the path as written.
        """
        try:
            folder = self.path.parent.resolve()
            # Where it is after every symbolic link is what counts.
            found = (folder / path).resolve(strict=True)
            if not found.is_relative_to(folder):
                raise UsageError("it leads out of the zone's folder")
            if not found.is_file():
                raise UsageError("it is not a file")
            return found.read_bytes()
        except RuntimeError:  # pathlib's for ELOOP, before Python 3.13
            raise UsageError("its symbolic links go round in a circle") from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise UsageError("its symbolic links go round in a circle") from None
            raise UsageError(error.strerror or str(error)) from None


def find_zone_files(source: str | Path) -> Iterator[ZoneFile]:
    """Give the zone files of a source: a file, ``NAME=FILE``, or a folder.

    Raises:
        ConfigError: the folder has none, or cannot be read.
        UsageError: the name in front of ``=`` is none.
    """
    name, equals, rest = str(source).partition("=")
    # A path may hold an equals sign as well; a name holds no slash.
    if isinstance(source, str) and equals and "/" not in name:
        if not name or not rest:
            raise UsageError(f"{source!r} is no zone; expected NAME=FILE")
        _check_name(name)
        yield ZoneFile(Path(rest), name)
        return
    path = Path(source)
    try:
        # `Path.glob` passes over what it may not read.
        files = sorted(path.iterdir()) if path.is_dir() else None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if files is None:
        yield ZoneFile(path, _origin(path))
        return
    files = [p for p in files if p.name.endswith(_SUFFIX) and not p.name.startswith(".")]
    if not files:
        raise _wrong(path, f"the folder has no *{_SUFFIX} file")
    for file in files:
        yield ZoneFile(file, _origin(file))


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


def _wrong(path: Path, message: str) -> ConfigError:
    return ConfigError([Fault(str(path), 0, 0, message, code="file")])


def _twice(zone: Zone, file: ZoneFile, first: str) -> Fault:
    message = f"zone {to_text(zone.origin)} is in {first} already"
    return Fault(str(file.path), 0, 0, message, remedy="give one of them", code="twice")
