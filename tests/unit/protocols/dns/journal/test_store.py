"""The journal keeps what was acknowledged, within its bounds, whatever becomes of the process."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares
from tests.processes import PATIENCE_S
from tests.unit.protocols.dns.transfer.copies import lines, zone

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.journal.recovery import recover
from pierhead.protocols.dns.journal.store import Journal, _restored
from pierhead.protocols.dns.zone.packing import digest, pack_difference, pack_zone


@pytest.fixture
def journals(tmp_path):
    """Open journals in one folder; each is closed at the end."""
    opened = []

    def opening(**limits) -> Journal:
        opened.append(Journal(tmp_path, **limits))
        return opened[-1]

    yield opening
    for journal in opened:
        journal.close()


def following(before, *, name="www", text="x"):
    change = dns.Transaction(before)
    change.replace(name, dns.TXT(text, str(before.serial)))
    return change.commit()


def fill(journal: Journal, count: int, text: str = "x"):
    version = zone()
    for _ in range(count):
        after, difference = following(version, text=text)
        journal.append(version, after, difference).result()
        version = after
    return version


def test_what_was_written_is_there_again(journals):
    journal = journals()
    last = fill(journal, 5)
    journal.close()
    stored = journals().read(last.origin, last.key)
    assert lines(stored.zone) == lines(last)
    assert stored.file_digest == digest(zone())
    assert [(d.old_serial, d.new_serial) for d in stored.differences] == [
        (n, n + 1) for n in range(1, 6)
    ]


def test_nothing_is_kept_of_an_unknown_zone(journals):
    assert journals().read(zone().origin, zone().key) is None


def test_it_is_written_through_to_the_disk(journals):
    journal = journals()
    pragma = lambda name: journal._call(  # noqa: E731
        lambda: journal._database.execute(f"PRAGMA {name}").fetchone()[0]
    )
    assert (pragma("journal_mode"), pragma("synchronous")) == ("wal", 2)  # FULL


def test_others_cannot_read_it(journals):
    journal = journals()
    fill(journal, 1)
    for path in journal.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_one_process_uses_it(journals):
    journal = journals()
    fill(journal, 1)
    with pytest.raises(UsageError, match="used by another process; give each a directory"):
        journals()
    journal.close()
    assert journals().read(zone().origin, zone().key)


def test_old_versions_are_forgotten_and_the_last_is_still_there(journals):
    journal = journals(max_versions=3)
    last = fill(journal, 400, text="x" * 1000)
    stored = journal.read(last.origin, last.key)
    assert lines(stored.zone) == lines(last)
    # Those after the checkpoint, whose octets are bounded, and three at the most before it.
    assert len(stored.differences) <= 65_536 // 1000 + 3
    journal.close()
    assert journal.path.stat().st_size < 1_000_000
    assert lines(journals().read(last.origin, last.key).zone) == lines(last)


def test_a_change_of_another_version_is_refused(journals):
    journal = journals()
    last = fill(journal, 2)
    after, difference = following(zone())
    with pytest.raises(dns.JournalError, match="has version 3 of example"):
        journal.append(zone(), after, difference).result()
    assert lines(journal.read(last.origin, last.key).zone) == lines(last)


def test_a_closed_one_takes_nothing(journals):
    journal = journals()
    journal.close()
    journal.close()
    after, difference = following(zone())
    with pytest.raises(dns.JournalError, match="is closed; nothing was changed"):
        journal.append(zone(), after, difference)


def test_many_zones_are_apart(journals):
    journal = journals()
    one, other = zone(), zone(origin="other.")
    for version in (one, other):
        journal.append(version, *following(version)).result()
    assert journal.read(one.origin, one.key).zone.origin == one.origin
    assert len(journal.read(other.origin, other.key).differences) == 1
    journal.begin(other, digest(other)).result()
    assert journal.read(other.origin, other.key).differences == ()


@pytest.mark.parametrize("octets", [b"no database" * 100, b"\0" * 5000])
def test_a_file_that_is_no_journal_is_set_aside(journals, tmp_path, octets):
    path = tmp_path / "journal.sqlite"
    path.write_bytes(octets)
    journal = journals()
    assert journal.set_aside.read_bytes() == octets
    assert fill(journal, 1)


def test_damage_inside_is_found(journals, tmp_path):
    journal = journals()
    fill(journal, 200, text="x" * 200)
    journal.close()
    octets = bytearray(journal.path.read_bytes())
    for at in range(4096, len(octets), 4096):
        octets[at : at + 200] = bytes(200)
    journal.path.write_bytes(octets)
    again = journals()
    assert again.set_aside is not None
    assert again.set_aside.exists()


def test_a_later_format_is_left_alone(journals, tmp_path):
    journal = journals()
    journal.close()
    with sqlite3.connect(journal.path) as database:
        database.execute("PRAGMA user_version = 2")
    database.close()
    before = journal.path.read_bytes()
    with pytest.raises(UsageError, match="has format 2, expected 1; use the version of Pierhead"):
        journals()
    assert journal.path.read_bytes() == before


def altered(journals, *statements: str):
    """Return a journal of three changes, closed, in which these statements were executed."""
    journal = journals()
    fill(journal, 3)
    journal.close()
    database = sqlite3.connect(journal.path)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()
    return journal.path


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE differences",
        "DROP TABLE zones",
        "DROP INDEX by_zone",
        "ALTER TABLE zones RENAME COLUMN checkpoint TO cp",
        "ALTER TABLE differences DROP COLUMN made_at",
        "CREATE TRIGGER t AFTER INSERT ON differences BEGIN DELETE FROM differences; END",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = -1",
    ],
)
def test_a_journal_with_other_tables_is_set_aside_whole(journals, statement):
    octets = altered(journals, statement).read_bytes()
    journal = journals()
    assert journal.set_aside is not None
    assert journal.set_aside.read_bytes() == octets
    assert fill(journal, 1)


def test_what_somebody_added_does_no_harm(journals):
    altered(journals, "CREATE INDEX by_time ON differences (made_at)", "ANALYZE")
    journal = journals()
    assert journal.set_aside is None
    assert journal.read(zone().origin, zone().key).zone.serial == 4


WRONG = [
    f"UPDATE {table} SET {column} = {value}"
    for table, column, values in [
        ("differences", "records", ("5", "''", "'abc'", "x''", "x'ffff00'", "zeroblob(9)")),
        ("differences", "old_serial", ("'z'", "-1", "9223372036854775807", "1.5")),
        ("differences", "new_serial", ("'z'", "-1", "9223372036854775807", "1.5")),
        ("zones", "checkpoint", ("'text'", "7", "x'00'", "CAST(x'ff' AS TEXT)", "zeroblob(99)")),
        ("zones", "checkpoint_serial", ("'abc'", "-1", "2")),
        ("zones", "checkpoint_id", ("'abc'", "1", "99", "2.5")),
        ("zones", "file_digest", ("'x'", "0")),
    ]
    for value in values
] + [
    "DELETE FROM zones",
    "DELETE FROM differences WHERE id = 2",
    "DELETE FROM differences WHERE id = 1",
]


@pytest.mark.parametrize("statement", WRONG)
def test_wrong_content_of_a_zone_is_damage_and_the_file_is_served(journals, statement):
    altered(journals, statement)
    journal = journals()
    with pytest.raises(DecodeError):
        journal.read(zone().origin, zone().key)
    recovered = recover(journal, zone(), "example.zone")
    assert recovered.is_damaged
    assert recovered.zone.serial == 1
    assert str(journal.path) in str(recovered.zone.warnings[-1])
    assert journal.keep_copy().exists()
    journal.begin(recovered.zone, recovered.file_digest).result()
    assert fill(journal, 1)


@shares(damage=0.1, version=0.05)
@given(data=st.data())
def test_octets_that_were_changed_are_a_version_or_damage(data):
    version = zone()
    after, difference = following(version)
    packed = [pack_zone(version), pack_difference(difference)]
    which = data.draw(st.integers(0, 1))
    octets = bytearray(packed[which])
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    packed[which] = bytes(octets)
    row, rows = (digest(version), 1, 0, packed[0]), [(1, 1, 2, packed[1])]
    try:
        restored = _restored(version.origin, row, rows)
    except DecodeError:
        met("damage")
    else:
        met("version")
        assert restored.zone.serial == after.serial


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE theirs (a)",),
        ("CREATE TABLE theirs (a)", "PRAGMA user_version = 1"),
        ("CREATE TABLE theirs (a)", "PRAGMA user_version = 1", "PRAGMA application_id = 7"),
        ("PRAGMA application_id = 7",),
    ],
)
def test_a_database_of_another_program_is_refused_and_not_written(journals, tmp_path, statements):
    path = tmp_path / "journal.sqlite"
    database = sqlite3.connect(path)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"journal\.sqlite is a database of another program") as e:
        journals()
    assert "give the journal a directory of its own" in str(e.value)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    Journal(tmp_path / "own").close()


def test_a_full_disk_is_said_and_nothing_has_changed(journals):
    journal = journals()
    last = fill(journal, 2)
    execute = lambda statement: journal._call(  # noqa: E731
        lambda: journal._database.execute(statement).fetchone()
    )
    (pages,) = execute("PRAGMA page_count")
    execute(f"PRAGMA max_page_count = {pages}")
    change = dns.Transaction(last)
    change.replace("www", *(dns.TXT("x" * 200, str(n)) for n in range(200)))
    after, difference = change.commit()
    with pytest.raises(dns.JournalError, match="disk is full; nothing was changed"):
        journal.append(last, after, difference).result()
    assert lines(journal.read(last.origin, last.key).zone) == lines(last)
    execute(f"PRAGMA max_page_count = {pages + 1000}")
    journal.append(last, after, difference).result()
    assert lines(journal.read(last.origin, last.key).zone) == lines(after)


def test_a_directory_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file"):
        Journal(tmp_path / "file")


WRITER = """
import sys
from tests.unit.protocols.dns.journal.test_store import following
from tests.unit.protocols.dns.transfer.copies import zone
from pierhead.protocols.dns.journal.store import Journal

journal = Journal(sys.argv[1])
stored = journal.read(zone().origin, zone().key)
version = zone() if stored is None else stored.zone
while True:
    after, difference = following(version, text="x" * 900)
    journal.append(version, after, difference).result()
    version = after
    print(version.serial, flush=True)
"""


def test_a_process_that_is_killed_loses_nothing_that_was_acknowledged(journals, tmp_path):
    last = 0
    for kill_after in (1, 30, 100):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(kill_after):
            last = int(writer.stdout.readline())
        writer.kill()
        last = max([last, *map(int, writer.stdout.read().split())])
        writer.wait(PATIENCE_S)
        writer.stdout.close()
        journal = journals()
        stored = journal.read(zone().origin, zone().key)
        # The last may have been durable before it was said.
        assert last <= stored.zone.serial <= last + 1
        assert str(stored.zone.serial - 1).encode() in b"".join(
            r.rdatas[0] for r in stored.zone.rrsets() if r.rtype == 16
        )
        journal.close()
