"""The journal: one SQLite file for all zones, written by a thread of its own.

    zones         name  class  digest of its file  checkpoint: a version, whole
    differences   what made each later version, and those before it that secondaries may ask for

A version is restored from the checkpoint and the differences after it. Once these have more octets
than the checkpoint, it is made anew, so a zone's part of the file stays below twice its size and
its history. Changes that wait at the same time are made durable together (group commit).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from struct import error as StructError
from typing import TypeVar

from pierhead.errors import DecodeError, PierheadError, UsageError
from pierhead.protocols.dns.wire.name import to_text
from pierhead.protocols.dns.wire.rrset import Name
from pierhead.protocols.dns.zone.difference import Difference
from pierhead.protocols.dns.zone.history import MAX_OCTETS, MAX_VERSIONS
from pierhead.protocols.dns.zone.packing import (
    digest,
    pack_difference,
    pack_zone,
    unpack_difference,
    unpack_zone,
)
from pierhead.protocols.dns.zone.zone import Zone

__all__ = ["Journal", "JournalError", "Stored"]

T = TypeVar("T")

_FILE = "journal.sqlite"
#: "PHJL": what SQLite and file(1) know it by.
_APPLICATION_ID = 0x50484A4C
_FORMAT = 1
_SCHEMA = """
CREATE TABLE zones (
    name BLOB PRIMARY KEY, origin BLOB NOT NULL, file_digest BLOB NOT NULL,
    checkpoint_serial INTEGER NOT NULL, checkpoint_id INTEGER NOT NULL, checkpoint BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE differences (
    id INTEGER PRIMARY KEY AUTOINCREMENT, zone BLOB NOT NULL, made_at REAL NOT NULL,
    old_serial INTEGER NOT NULL, new_serial INTEGER NOT NULL, records BLOB NOT NULL
);
CREATE INDEX by_zone ON differences (zone, id);
"""
#: A checkpoint of a small zone is cheap, but not free.
_LEAST_OCTETS = 65_536


class JournalError(PierheadError):
    """The journal cannot be written: the change was not made."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a journal has of one zone.

    Attributes:
        zone: the last version.
        file_digest: of the zone file that has been taken into account.
        differences: what led to the last version, as far as it is kept.
    """

    zone: Zone
    file_digest: bytes
    differences: tuple[Difference, ...]


class Journal:
    """The journal in a state directory.

    `read` blocks until the thread has read; what is written is durable once its result is there.

    Attributes:
        path: the file.
        set_aside: where a file that could not be read is now; None if there was none.

    Args:
        directory: where the file is; it is created.
        max_versions, max_octets: how many older versions of each zone are kept for secondaries, as
            in `pierhead.protocols.dns.zone.history.LIMITS`.

    Raises:
        UsageError: the directory cannot be used, another process uses the journal, or the file is
            another program's.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        max_versions: int = int(MAX_VERSIONS.default),
        max_octets: int = int(MAX_OCTETS.default),
    ) -> None:
        self.path = Path(directory) / _FILE
        self.set_aside: Path | None = None
        self._max_versions = int(MAX_VERSIONS.check(max_versions))
        self._max_octets = int(MAX_OCTETS.check(max_octets))
        self._is_closed = False
        #: Octets of the differences after each checkpoint.
        self._since: dict[Name, int] = {}
        self._waiting: list[tuple[Callable[[], object], Future[None]]] = []
        self._thread = ThreadPoolExecutor(1, "pierhead-journal")
        try:
            self._database = self._call(self._open)
        except BaseException:
            self._thread.shutdown()
            raise

    def read(self, origin: Name, key: Name) -> Stored | None:
        """Return what is kept of a zone; None if nothing is.

        Raises:
            DecodeError: it cannot be read.
        """
        return self._call(lambda: self._read(origin, key))

    def begin(self, zone: Zone, file_digest: bytes) -> Future[None]:
        """Keep a zone from this version on, and nothing of it from before."""
        return self._later(lambda: self._begin(zone, file_digest))

    def keep_copy(self) -> Path:
        """Copy the whole journal to another file, before something in it is given up.

        Raises:
            JournalError: it cannot be copied.
        """
        copy = self._damaged_path()
        try:
            self._call(lambda: self._database.execute("VACUUM INTO ?", (str(copy),)))
        except sqlite3.Error as error:
            raise JournalError(
                f"{self.path} is damaged and cannot be copied to {copy.name} ({error}); "
                "nothing was changed"
            ) from None
        return copy

    def take_file(self, key: Name, file_digest: bytes) -> Future[None]:
        """Note that a zone file has been taken into account."""
        statement = "UPDATE zones SET file_digest = ? WHERE name = ?"
        return self._later(lambda: self._database.execute(statement, (file_digest, key)))

    def append(
        self, before: Zone, after: Zone, difference: Difference, file_digest: bytes | None = None
    ) -> Future[None]:
        """Make a difference durable: it is once the result is there.

        Args:
            before, after, difference: the change.
            file_digest: of the zone file that is the reason for it, if there is one.

        Raises:
            JournalError: from the result: it is not durable; the disk is full, for instance.
        """
        change = _Change(before, after, difference, file_digest)
        return self._later(lambda: self._add(change))

    def _later(self, work: Callable[[], object]) -> Future[None]:
        """Do something in the next transaction, with all else that waits then."""
        if self._is_closed:
            raise JournalError(f"{self.path} is closed; nothing was changed")
        future: Future[None] = Future()
        self._waiting.append((work, future))
        self._thread.submit(self._write_waiting)
        return future

    def close(self) -> None:
        """Finish what waits, and close the file; a second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._call(self._database.close)
            self._thread.shutdown()

    def _call(self, work: Callable[[], T]) -> T:
        return self._thread.submit(work).result()

    # -- in the thread ---------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Before SQLite does, so that others cannot read it, nor what it puts beside it.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise UsageError(f"{self.path}: {error.strerror}") from None
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and not _is_damage(error):
                raise UsageError(self._unusable(error)) from None
        self._put_aside()
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, isolation_level=None, timeout=0)
        try:
            # One process owns it: another would not know what this one serves.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            # Before anything is written: it may be another program's.
            database.execute("BEGIN IMMEDIATE")
            is_new = self._is_new(database)
            database.execute("COMMIT")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            if is_new:
                database.execute("BEGIN IMMEDIATE")
                _create(database)
                database.execute("COMMIT")
            ((found,),) = database.execute("PRAGMA quick_check(1)").fetchall()
            if found != "ok":
                raise sqlite3.DatabaseError(found)
            _check_schema(database)
        except BaseException:
            database.close()
            raise
        return database

    def _is_new(self, database: sqlite3.Connection) -> bool:
        """Tell whether a file has nothing in it yet; otherwise it is a journal of this format.

        Raises:
            UsageError: it is neither.
        """
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        (objects,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not (application or version or objects):
            return True
        if application != _APPLICATION_ID:
            raise UsageError(
                f"{self.path} is a database of another program (application_id {application}, "
                f"expected {_APPLICATION_ID}); give the journal a directory of its own"
            )
        if version > _FORMAT:
            raise UsageError(
                f"{self.path} has format {version}, expected {_FORMAT}; use the version of "
                "Pierhead that wrote it"
            )
        if version != _FORMAT:
            raise sqlite3.DatabaseError(f"it has format {version}, which never was")
        return False

    def _unusable(self, error: sqlite3.Error) -> str:
        if "locked" in str(error):
            return f"{self.path} is used by another process; give each a directory of its own"
        return f"{self.path}: {error}"

    def _put_aside(self) -> None:
        """Rename a file that is not a journal, so that nothing of it is lost."""
        self.set_aside = self._damaged_path()
        for suffix in ("", "-wal", "-shm"):
            old = self.path.with_name(_FILE + suffix)
            if old.exists():
                old.rename(self.set_aside.with_name(self.set_aside.name + suffix))

    def _damaged_path(self) -> Path:
        """Return a name that is not taken."""
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        path = self.path.with_name(f"{_FILE}.damaged-{stamp}")
        more = 1
        while path.exists():
            more += 1
            path = self.path.with_name(f"{_FILE}.damaged-{stamp}-{more}")
        return path

    def _read(self, origin: Name, key: Name) -> Stored | None:
        try:
            row = self._database.execute(
                "SELECT file_digest, checkpoint_serial, checkpoint_id, checkpoint FROM zones "
                "WHERE name = ?",
                (key,),
            ).fetchone()
            rows = self._database.execute(
                "SELECT id, old_serial, new_serial, records FROM differences WHERE zone = ? "
                "ORDER BY id",
                (key,),
            ).fetchall()
        except sqlite3.Error as error:
            raise DecodeError(str(error)) from None
        if row is None:
            if rows:
                raise DecodeError("it has differences, but no version they begin with")
            return None
        # SQLite stores a value of any type in any column.
        _check_types("a stored zone", row, (bytes, int, int, bytes))
        for each in rows:
            _check_types("a stored difference", each, (int, int, int, bytes))
        return _restored(origin, row, rows)

    def _write_waiting(self) -> None:
        taken, self._waiting = self._waiting, []
        if not taken:
            return
        try:
            with self._transaction():
                for work, _ in taken:
                    work()
        except Exception as error:
            for _, future in taken:
                future.set_exception(error)
        else:
            for _, future in taken:
                future.set_result(None)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        database = self._database
        try:
            database.execute("BEGIN IMMEDIATE")
            yield
            database.execute("COMMIT")
        except sqlite3.Error as error:
            self._since.clear()
            raise JournalError(f"{self.path}: {error}; nothing was changed") from error
        finally:
            if database.in_transaction:
                database.execute("ROLLBACK")

    def _begin(self, zone: Zone, file_digest: bytes) -> None:
        self._forget(zone.key)
        self._since[zone.key] = 0
        self._database.execute(
            "INSERT INTO zones VALUES (?, ?, ?, ?, 0, ?)",
            (zone.key, zone.origin, file_digest, zone.serial, pack_zone(zone)),
        )

    def _forget(self, key: Name) -> None:
        self._database.execute("DELETE FROM differences WHERE zone = ?", (key,))
        self._database.execute("DELETE FROM zones WHERE name = ?", (key,))

    def _add(self, change: _Change) -> None:
        before, difference = change.before, change.difference
        key = before.key
        known = self._last_serial(key)
        if known is None:
            self._begin(before, digest(before))
        elif known != difference.old_serial:
            raise JournalError(
                f"{self.path} has version {known} of {to_text(before.origin)}, and the change is "
                f"to version {difference.old_serial}; nothing was changed"
            )
        records = pack_difference(difference)
        self._database.execute(
            "INSERT INTO differences (zone, made_at, old_serial, new_serial, records) "
            "VALUES (?, ?, ?, ?, ?)",
            (key, time.time(), difference.old_serial, difference.new_serial, records),
        )
        if change.file_digest is not None:
            self._database.execute(
                "UPDATE zones SET file_digest = ? WHERE name = ?", (change.file_digest, key)
            )
        self._bound(change.after, len(records))

    def _last_serial(self, key: Name) -> int | None:
        row = self._database.execute(
            "SELECT coalesce((SELECT new_serial FROM differences WHERE zone = name AND "
            "id > checkpoint_id ORDER BY id DESC LIMIT 1), checkpoint_serial) "
            "FROM zones WHERE name = ?",
            (key,),
        ).fetchone()
        return None if row is None else int(row[0])

    def _bound(self, zone: Zone, octets: int) -> None:
        """Make a new checkpoint if it is time, and forget what is older and beyond the limits."""
        execute = self._database.execute
        (size,) = execute(
            "SELECT length(checkpoint) FROM zones WHERE name = ?", (zone.key,)
        ).fetchone()
        since = self._since.get(zone.key)
        if since is None:
            (since,) = execute(
                "SELECT total(length(records)) FROM differences, zones "
                "WHERE zone = name AND name = ? AND id > checkpoint_id",
                (zone.key,),
            ).fetchone()
        else:
            since += octets
        self._since[zone.key] = since
        if since <= max(size, _LEAST_OCTETS):
            return
        self._since[zone.key] = 0
        execute(
            "UPDATE zones SET checkpoint = ?, checkpoint_serial = ?, checkpoint_id = "
            "(SELECT max(id) FROM differences WHERE zone = name) WHERE name = ?",
            (pack_zone(zone), zone.serial, zone.key),
        )
        execute(
            "DELETE FROM differences WHERE zone = :zone AND id IN ("
            "SELECT id FROM (SELECT id, row_number() OVER newest AS version, "
            "sum(length(records)) OVER newest AS octets FROM differences WHERE zone = :zone "
            "WINDOW newest AS (ORDER BY id DESC)) WHERE version > :versions OR octets > :octets)",
            {"zone": zone.key, "versions": self._max_versions, "octets": self._max_octets},
        )


@dataclass(frozen=True, slots=True)
class _Change:
    """One difference to make durable."""

    before: Zone
    after: Zone
    difference: Difference
    file_digest: bytes | None


def _is_damage(error: sqlite3.Error) -> bool:
    """Tell whether an error means that the file is no journal, or not whole."""
    return getattr(error, "sqlite_errorname", "") in ("SQLITE_CORRUPT", "SQLITE_NOTADB")


def _create(database: sqlite3.Connection) -> None:
    for statement in _SCHEMA.split(";"):
        database.execute(statement)
    database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {_FORMAT}")


def _check_schema(database: sqlite3.Connection) -> None:
    """Raise a DatabaseError unless the tables are those of a journal, and do nothing of their own.

    An index or a table that somebody has added does no harm.
    """
    expected = sqlite3.connect(":memory:")
    try:
        _create(expected)
        missing = _objects(expected) - _objects(database)
    finally:
        expected.close()
    if missing:
        raise sqlite3.DatabaseError(f"it lacks {', '.join(sorted(name for _, name, _ in missing))}")
    triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    if triggers:
        raise sqlite3.DatabaseError(f"it has the trigger {triggers[0][0]}")


def _objects(database: sqlite3.Connection) -> set[tuple[str, str, str]]:
    return set(database.execute("SELECT type, name, sql FROM sqlite_master"))


def _check_types(what: str, values: Sequence[object], types: Sequence[type]) -> None:
    for value, expected in zip(values, types, strict=True):
        if not isinstance(value, expected):
            raise DecodeError(
                f"{what} has a value of type {type(value).__name__}, expected {expected.__name__}"
            )


def _restored(
    origin: Name, row: tuple[bytes, int, int, bytes], rows: Sequence[tuple[int, int, int, bytes]]
) -> Stored:
    """Return the last version of a zone, from its checkpoint and its differences.

    Raises:
        DecodeError: they are not what a journal writes.
    """
    file_digest, serial, checkpoint_id, octets = row
    differences: list[Difference] = []
    try:
        zone = unpack_zone(origin, octets)
        if zone.serial != serial:
            raise DecodeError(f"a stored zone has serial {zone.serial}, expected {serial}")
        for ident, old, new, records in rows:
            if differences and differences[-1].new_serial != old:
                raise DecodeError(f"the difference to serial {old} is missing")
            difference = unpack_difference(origin, old, new, records)
            differences.append(difference)
            if ident > checkpoint_id:
                zone = difference.apply(zone)
    except DecodeError:
        raise
    except (PierheadError, ValueError, LookupError, StructError) as error:
        # Names, RDATA and numbers are trusted when they are unpacked, and may be anything.
        raise DecodeError(str(error)) from None
    if differences and differences[-1].new_serial != zone.serial:
        raise DecodeError(
            f"it leads to serial {zone.serial}, expected {differences[-1].new_serial}"
        )
    return Stored(zone, file_digest, tuple(differences))
