"""The journal keeps what was acknowledged, within its bounds, whatever becomes of the process."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys

import pytest
from tests.processes import PATIENCE_S
from tests.unit.protocols.dns.transfer.copies import lines, zone

from pierhead.errors import UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.journal.store import Journal
from pierhead.protocols.dns.zone.packing import digest


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
