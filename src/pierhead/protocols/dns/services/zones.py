"""Serves zones from files.

A zone is given as a file, as ``NAME=FILE``, or as a directory of ``*.zone`` files. Without
``NAME=``, a zone is named after its file without ``.zone``; a file with another ending names the
zone itself, by an SOA record with an absolute owner.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pierhead.errors import ConfigError, Fault, PierheadError, UsageError
from pierhead.protocols.dns.journal.recovery import Take
from pierhead.protocols.dns.journal.store import Journal
from pierhead.protocols.dns.services.zone_reading import (
    STANDARD_INPUT,
    include_file,
    read_zone_text,
)
from pierhead.protocols.dns.services.zone_service import ZoneService
from pierhead.protocols.dns.transfer.notify import Notifier
from pierhead.protocols.dns.wire.name import ROOT, from_text, to_text
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.zone.bounds import DEFAULT_BOUNDS, ZoneBounds
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.signatures import Verify
from pierhead.protocols.dns.zone.targets import Reference, inspect_references
from pierhead.protocols.dns.zone.zone import Zone, Zones

__all__ = ["ZoneFile", "ZoneService", "find_zone_files", "load_zones", "zones"]

_SUFFIX = ".zone"


def zones(
    *sources: str | Path,
    minimal: bool = True,
    include_dirs: Sequence[str | Path] = (),
    bounds: ZoneBounds = DEFAULT_BOUNDS,
    journal: str | Path | None = None,
    take: Take = None,
    notify: Sequence[str] = (),
) -> ZoneService:
    """Return a service that answers from zone files; each is read immediately.

    Args:
        sources: files, ``NAME=FILE``, or directories, whose ``*.zone`` files are all read.
        minimal: omit name servers and addresses that were not asked for; see `ZoneService`.
        include_dirs: directories besides a zone's own that its $INCLUDE may read from.
        bounds: how large each zone may be; see `pierhead.protocols.dns.zone.bounds.LIMITS`.
        journal: the directory of the journal, where changes of zones are durable and from which
            they are restored; None to lose them at the end.
        take: what is served of a zone that was changed in both its file and the journal: the
            version of the ``"file"`` or of the ``"journal"``; None for that of the journal, with a
            warning.
        notify: addresses of secondaries that are told when a zone has changed (RFC 1996), while
            the service is served.

    Raises:
        ConfigError: a file cannot be read or served; lists the faults of all files.
        UsageError: the journal cannot be used.

    Example:
        >>> from pierhead.protocols import dns
        >>> service = dns.zones("zones/", "example.=db.example")  # doctest: +SKIP
    """
    files: dict[Name, str] = {}
    read = partial(load_zones, *sources, include_dirs=include_dirs, bounds=bounds, files=files)
    found = read()
    notifier = Notifier(notify) if notify else None
    kept = None if journal is None else Journal(journal)
    try:
        return ZoneService(
            found,
            minimal=minimal,
            read_again=read,
            journal=kept,
            files=files,
            take=take,
            notifier=notifier,
        )
    except BaseException:
        if kept is not None:
            kept.close()
        raise


def load_zones(
    *sources: str | Path,
    include_dirs: Sequence[str | Path] = (),
    bounds: ZoneBounds = DEFAULT_BOUNDS,
    files: dict[Name, str] | None = None,
) -> Zones:
    """Read the zones of these sources.

    Args:
        sources, include_dirs, bounds: as of `zones`.
        files: gets the file of each zone.

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
    if files is not None:
        files.update((key, file) for key, (_, file) in loaded.items())
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
