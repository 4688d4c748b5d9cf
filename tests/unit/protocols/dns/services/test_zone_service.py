"""Zones with a journal: restored, reloaded, and what happens if a file was edited meanwhile."""

from __future__ import annotations

import sqlite3

import pytest
from tests.unit.protocols.dns.transfer.copies import lines, zone

from pierhead.errors import ConfigError, UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.zone.format import format_zone


@pytest.fixture
def place(tmp_path):
    """A zone file and a journal, and services of both, one after the other."""

    class Place:
        def __init__(self) -> None:
            self.file = tmp_path / "example.zone"
            self.state = tmp_path / "state"
            self.service = None

        def write(self, whole) -> None:
            self.file.write_text("".join(f"{line}\n" for line in format_zone(whole)))

        def start(self, **options):
            if self.service is not None:
                self.service.close()
            self.service = dns.zones(self.file, journal=self.state, **options)
            return self.service

        @property
        def zone(self):
            return self.service.zones["example."]

        def reload(self) -> tuple[str, ...]:
            reloaded = self.service.reload()
            reloaded.commit()
            return reloaded.changes

    place = Place()
    place.write(zone())
    yield place
    if place.service is not None:
        place.service.close()


async def add(served, name: str) -> None:
    async with served.zone("example.").edit() as edit:
        edit.add(name, dns.A("192.0.2.1"))


def with_serial(whole, serial: int, *, name: str):
    change = dns.Transaction(whole)
    change.add(name, dns.A("192.0.2.9"))
    return change.commit(serial=serial)[0]


def names(whole) -> set[str]:
    return {key[1 : 1 + key[0]].decode() for key in whole.nodes if key != whole.key}


async def test_changes_are_there_after_a_restart_with_their_history(place):
    served = place.start()
    await add(served, "one")
    await add(served, "two")
    before = lines(place.zone)
    served = place.start()
    assert lines(place.zone) == before
    assert place.zone.serial == 3
    assert len(await served.differences(place.zone, 1)) == 2
    await add(served, "three")
    assert len(await served.differences(place.zone, 1)) == 3
    assert place.file.read_text().startswith("example.")
    assert "one" not in place.file.read_text()


async def test_an_edited_file_is_the_next_version_if_the_journal_has_nothing_new(place):
    place.start()
    place.write(with_serial(zone(), 5, name="byhand"))
    served = place.start()
    assert (place.zone.serial, place.zone.warnings) == (5, ())
    await add(served, "one")
    served = place.start()
    assert place.zone.serial == 6
    assert {"byhand", "one"} <= names(place.zone)


async def test_a_file_that_was_brought_up_to_date_is_no_change(place):
    served = place.start()
    await add(served, "one")
    place.write(place.zone)
    served = place.start()
    assert (place.zone.serial, place.zone.warnings) == (2, ())
    place.write(with_serial(place.zone, 9, name="byhand"))
    served = place.start()
    assert place.zone.serial == 9
    assert len(await served.differences(place.zone, 1)) == 2


async def test_if_both_have_changed_neither_is_overwritten_in_silence(place):
    served = place.start()
    await add(served, "one")
    place.write(with_serial(zone(), 5, name="byhand"))
    text = place.file.read_text()
    served = place.start()
    assert place.zone.serial == 2
    assert "one" in names(place.zone)
    (warning,) = [w for w in place.zone.warnings if w.code == "journal"]
    assert "changed in the file (serial 5) and in the journal (serial 2)" in str(warning)
    assert "+ byhand.example." in str(warning)
    assert "- one.example." in str(warning)
    assert "--take file" in str(warning)
    assert place.file.read_text() == text


@pytest.mark.parametrize("take", ["file", "journal"])
async def test_what_is_taken_is_served_and_kept(place, take):
    served = place.start()
    await add(served, "one")
    place.write(with_serial(zone(), 5, name="byhand"))
    served = place.start(take=take)
    expected = ({"byhand"}, 5) if take == "file" else ({"one"}, 2)
    assert ({"one", "byhand"} & names(place.zone), place.zone.serial) == expected
    found = await served.differences(place.zone, 1)
    assert len(found) == (2 if take == "file" else 1)
    served = place.start()  # it need not be said again
    assert ({"one", "byhand"} & names(place.zone), place.zone.serial) == expected
    assert not [w for w in place.zone.warnings if w.code == "journal"]


async def test_a_file_with_a_serial_number_that_is_behind_cannot_be_taken(place):
    served = place.start()
    await add(served, "one")
    await add(served, "two")
    place.write(with_serial(zone(), 2, name="byhand"))
    with pytest.raises(ConfigError, match="number that is ahead, such as 4"):
        place.start(take="file")
    place.write(with_serial(zone(), 4, name="byhand"))
    served = place.start(take="file")
    assert place.zone.serial == 4


async def test_a_reload_keeps_what_was_changed(place):
    served = place.start()
    await add(served, "one")
    before = place.zone
    assert place.reload() == ()
    assert place.zone is before
    await add(served, "two")
    assert place.zone.serial == 3


async def test_a_reload_says_that_both_have_changed(place):
    served = place.start()
    await add(served, "one")
    place.write(with_serial(zone(), 5, name="byhand"))
    (line,) = place.reload()
    assert "was changed in the file (serial 5) and in the journal (serial 2)" in line
    assert place.zone.serial == 2
    await add(served, "two")
    assert place.zone.serial == 3


async def test_a_reload_takes_an_edited_file_if_the_journal_has_nothing_new(place):
    served = place.start()
    await add(served, "one")
    place.write(place.zone)
    place.reload()
    place.write(with_serial(place.zone, 7, name="byhand"))
    assert place.reload() == ("zone example. serial 2, now 7",)
    assert len(await served.differences(place.zone, 1)) == 2
    served = place.start()
    assert (place.zone.serial, names(place.zone) >= {"one", "byhand"}) == (7, True)


async def test_without_a_journal_a_reload_keeps_changes_until_the_file_changes(place):
    served = place.service = dns.zones(place.file)
    await add(served, "one")
    assert place.reload() == ()
    assert place.zone.serial == 2
    place.write(with_serial(zone(), 5, name="byhand"))
    assert place.reload() == ("zone example. serial 2, now 5",)
    assert "one" not in names(place.zone)
    assert len(await served.differences(place.zone, 1)) == 2


def test_a_serial_that_goes_back_is_told(place):
    service = dns.zones(place.file)
    place.write(with_serial(zone(), 5, name="byhand"))
    service.reload().commit()
    place.write(with_serial(zone(), 3, name="other"))
    change = "zone example. serial 5, now 3: not newer (RFC 1982), so no secondary follows"
    assert service.reload().changes == (change,)


async def test_an_edit_during_a_reload_is_not_lost(place):
    served = place.start()
    place.write(with_serial(zone(), 5, name="byhand"))
    reloaded = served.reload()
    await add(served, "one")
    reloaded.commit()
    assert "one" in names(place.zone)
    assert "changed in the file (serial 5)" in place.reload()[0]


async def test_a_damaged_journal_is_named_and_the_file_is_served(place):
    served = place.start()
    await add(served, "one")
    served.close()
    (place.state / "journal.sqlite").write_bytes(b"damaged" * 1000)
    place.start()
    assert place.zone.serial == 1
    (warning,) = [w for w in place.zone.warnings if w.code == "journal"]
    assert "could not be read and is now" in str(warning)
    assert [p for p in place.state.iterdir() if "damaged" in p.name]


async def test_a_zone_of_which_the_journal_makes_no_sense_is_named_and_a_copy_is_kept(place):
    served = place.start()
    await add(served, "one")
    served.close()
    with sqlite3.connect(place.state / "journal.sqlite") as database:
        database.execute("UPDATE differences SET records = x'00'")
    database.close()
    served = place.start()
    (warning,) = [w for w in place.zone.warnings if w.code == "journal"]
    assert "what it has of example. cannot be read" in str(warning)
    assert place.zone.serial == 1
    (copy,) = [p for p in place.state.iterdir() if "damaged" in p.name]
    with sqlite3.connect(copy) as database:
        assert database.execute("SELECT records FROM differences").fetchall() == [(b"\0",)]
    database.close()
    await add(served, "two")
    served = place.start()
    assert "two" in names(place.zone)


async def test_what_was_taken_at_the_start_is_not_taken_at_a_reload(place):
    served = place.start()
    await add(served, "one")
    place.write(with_serial(zone(), 5, name="byhand"))
    served = place.start(take="file")
    await add(served, "two")
    place.write(with_serial(zone(), 9, name="again"))
    (line,) = place.reload()
    assert "was changed in the file (serial 9) and in the journal (serial 6)" in line
    assert "two" in names(place.zone)


async def test_a_change_that_is_not_durable_is_not_served(place):
    served = place.start()
    served.close()
    with pytest.raises(dns.JournalError, match="nothing was changed"):
        await add(served, "one")
    assert place.zone.serial == 1


async def test_with_a_journal_zones_are_not_assigned(place):
    served = place.start()
    with pytest.raises(UsageError, match="has a journal; change it in an edit"):
        served.zones = served.zones.having(with_serial(zone(), 5, name="x"))
    served.zones = served.zones  # nothing changes


async def test_being_served_it_is_closed_at_the_end(place):
    served = place.start()
    async with served.lifespan():
        await add(served, "one")
    with pytest.raises(dns.JournalError):
        await add(served, "two")
