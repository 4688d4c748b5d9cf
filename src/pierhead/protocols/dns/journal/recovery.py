"""Which version of a zone is served, if its file and the journal differ.

the file is as the journal knows it         the journal's version
the file has what the journal has           the same
the file was edited, the journal was not    the file's version, which the journal then has too
both have changed                           the journal's version, with a warning of what is
                                            different, until somebody decides
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pierhead.errors import ConfigError, DecodeError, Fault
from pierhead.protocols.dns.journal.store import Journal, Stored
from pierhead.protocols.dns.wire.name import to_text
from pierhead.protocols.dns.wire.serial import advance, is_newer
from pierhead.protocols.dns.zone.difference import Difference
from pierhead.protocols.dns.zone.packing import digest
from pierhead.protocols.dns.zone.zone import Zone

__all__ = ["Recovered", "Take", "recover"]

#: What is served if both the file and the journal have changed.
Take: TypeAlias = Literal["file", "journal"] | None

#: How many records of a difference a warning shows.
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Recovered:
    """What is served of a zone.

    Attributes:
        zone: the version.
        differences: what led to it, as far as it is kept.
        pending: what the journal does not have yet, because it is the file that has changed.
        file_digest: of the file, if the journal is to note that it was taken into account.
        restarts: whether the journal of this zone begins anew, at this version.
        is_damaged: whether that is because it cannot be read.
    """

    zone: Zone
    differences: tuple[Difference, ...] = ()
    pending: Difference | None = None
    file_digest: bytes | None = None
    restarts: bool = False
    is_damaged: bool = False


def recover(journal: Journal, file: Zone, where: str, take: Take = None) -> Recovered:
    """Return which version of a zone is served; the journal is only read.

    Args:
        journal: what has changed.
        file: the zone as it is in its file.
        where: the file, for faults.
        take: what is served if both have changed; None for the journal's version, with a warning.

    Raises:
        ConfigError: the file is to be served, and its serial number is not ahead of the journal's.
    """
    try:
        stored = journal.read(file.origin, file.key)
    except DecodeError as error:
        fault = Fault(
            str(journal.path),
            0,
            0,
            f"what it has of {to_text(file.origin)} cannot be read ({error.reason}); a copy is "
            f"kept beside it, and the version in {where} is served",
            remedy="restore the journal from a copy, if changes are missing",
            code="journal",
        )
        anew = Recovered(file, restarts=True, file_digest=digest(file), is_damaged=True)
        return _having(anew, fault)
    if stored is None:
        return Recovered(file)
    return _decide(stored, file, where, take)


def _decide(stored: Stored, file: Zone, where: str, take: Take) -> Recovered:
    of_file = digest(file)
    kept = Recovered(stored.zone, stored.differences)
    if of_file == stored.file_digest:
        return kept
    of_journal = digest(stored.zone)
    if of_file == of_journal:
        return Recovered(stored.zone, stored.differences, file_digest=of_file)
    difference = Difference.between(stored.zone, file)
    is_ahead = is_newer(file.serial, stored.zone.serial)
    if of_journal == stored.file_digest:
        if is_ahead:
            return Recovered(file, stored.differences, difference, of_file)
        return Recovered(file, restarts=True, file_digest=of_file)
    if take == "journal":
        return Recovered(stored.zone, stored.differences, file_digest=of_file)
    if take == "file":
        if not is_ahead:
            raise ConfigError([_not_ahead(stored.zone, file, where)])
        return Recovered(file, stored.differences, difference, of_file)
    return _having(kept, _both_changed(stored.zone, file, where, difference))


def _having(recovered: Recovered, fault: Fault) -> Recovered:
    recovered.zone.warnings += (fault,)
    return recovered


def _not_ahead(zone: Zone, file: Zone, where: str) -> Fault:
    message = (
        f"{to_text(zone.origin)} has serial {file.serial} in the file, and {zone.serial} in the "
        "journal"
    )
    remedy = f"give the file a serial number that is ahead, such as {advance(zone.serial)}"
    return Fault(where, 0, 0, message, remedy=remedy, code="journal")


def _both_changed(zone: Zone, file: Zone, where: str, difference: Difference) -> Fault:
    lines = str(difference).splitlines()
    shown = "".join(f"\n    {line}" for line in lines[:_SHOWN])
    more = f"\n    and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    message = (
        f"{to_text(zone.origin)} was changed in the file (serial {file.serial}) and in the journal "
        f"(serial {zone.serial}), whose version is served; to become the file's, it would have "
        f"to change by:{shown}{more}"
    )
    remedy = "choose one: take the journal's version (--take journal) or the file's (--take file)"
    return Fault(where, 0, 0, message, remedy=remedy, code="journal")
