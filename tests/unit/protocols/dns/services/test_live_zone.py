"""Edits of a zone that is served: all of one or nothing, one after the other."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.protocols.dns.transfer.copies import lines, service, zone

from pierhead.errors import UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.services.live_zone import LiveZone

NOW = 1_796_000_000.0  # 2026-11-30


def live(served, now=NOW) -> LiveZone:
    async def commit(before, after, difference):
        await served.put(after, difference)

    return LiveZone(lambda: served.zones["example."], commit, lambda: now)


async def test_an_edit_is_served_at_its_end():
    served = service()
    example = served.zone("example.")
    async with example.edit() as edit:
        edit.add("www", dns.A("192.0.2.1"), ttl=60)
        edit.replace("host", dns.A("192.0.2.7"))
        edit.delete("large", "TXT")
        assert example.serial == 1
    assert (example.serial, example.snapshot) == (2, served.zones["example."])
    difference = edit.difference
    assert (difference.old_serial, difference.new_serial) == (1, 2)
    assert [r.type for r in difference.deleted] == ["SOA", "A", "TXT"]
    assert [r.type for r in difference.added] == ["SOA", "A", "A"]
    assert (await served.differences(example.snapshot, 1)) == [difference]
    assert repr(example) == "<LiveZone example. serial 2>"


async def spoiled(edit: dns.Edit) -> None:
    async with edit:
        edit.add("www", dns.A("192.0.2.1"))
        raise ZeroDivisionError


async def test_nothing_has_changed_if_the_block_raises():
    served = service()
    example = served.zone("example.")
    edit = example.edit()
    with pytest.raises(ZeroDivisionError):
        await spoiled(edit)
    assert example.serial == 1
    with pytest.raises(UsageError, match="once its block has ended without an error"):
        assert edit.difference
    async with example.edit() as edit:
        edit.delete("nothing")
    assert not edit.difference
    assert example.serial == 1


async def test_what_could_not_be_served_is_refused_and_the_next_edit_works():
    example = service().zone("example.")
    with pytest.raises(UsageError, match="CNAME"):
        async with example.edit() as edit:
            edit.add("host", dns.CNAME("other.example."))
    async with example.edit() as edit:
        edit.add("www", dns.CNAME("host.example."))
    assert example.serial == 2


async def test_edits_happen_one_after_the_other():
    example = service().zone("example.")

    async def add(number: int) -> dns.Difference:
        async with example.edit() as edit:
            await asyncio.sleep(0)
            edit.add(f"n{number}", dns.A("192.0.2.1"))
        return edit.difference

    made = await asyncio.gather(*map(add, range(5)))
    assert [d.new_serial for d in made] == [2, 3, 4, 5, 6]
    assert example.serial == 6


@pytest.mark.rfc("1982", "3.1")
@pytest.mark.parametrize(
    ("policy", "now", "serials"),
    [
        ("increment", NOW, [2, 3]),
        ("unixtime", NOW, [1_796_000_000, 1_796_000_001]),
        ("date", NOW, [2026113000, 2026113001]),
        ("unixtime", 1.0, [2, 3]),
    ],
)
async def test_serial_numbers_follow_a_policy(policy, now, serials):
    example = live(service(), now)
    found = []
    for number in range(2):
        async with example.edit(serial=policy) as edit:
            edit.replace("www", dns.A(f"192.0.2.{number}"))
        found.append(example.serial)
    assert found == serials


async def test_a_serial_number_of_the_users_own_is_kept():
    example = live(service())
    async with example.edit(serial="unixtime") as edit:
        edit.replace("@", dns.SOA("ns.other.", "host.other.", 77))
    assert example.serial == 77


async def test_a_cancellation_leaves_a_change_made_or_not_made():
    served = service()
    gate = asyncio.Event()

    async def commit(before, after, difference):
        await gate.wait()
        await served.put(after, difference)

    example = LiveZone(lambda: served.zones["example."], commit)

    async def change():
        async with example.edit() as edit:
            edit.add("www", dns.A("192.0.2.1"))

    task = asyncio.create_task(change())
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert served.zones["example."].serial == 2
    async with example.edit() as edit:  # the lock is free
        edit.add("mail", dns.A("192.0.2.1"))
    assert served.zones["example."].serial == 3


async def test_a_change_of_another_version_is_refused():
    served = service()
    example = served.zone("example.")
    other = zone(b"new 60 TXT x\n")

    async def change() -> None:
        async with example.edit() as edit:
            edit.add("www", dns.A("192.0.2.1"))
            served.zones = served.zones.having(other)

    with pytest.raises(UsageError, match="was put into service during the edit"):
        await change()
    assert lines(served.zones["example."]) == lines(other)


async def test_mistakes_are_said():
    served = service()
    example = served.zone("example.")
    with pytest.raises(UsageError, match=r"no zone 'other\.' is served; these are: example\."):
        served.zone("other.")
    with pytest.raises(UsageError, match="expected one of increment, date, unixtime"):
        example.edit(serial="dates")
    edit = example.edit()
    with pytest.raises(UsageError, match=r"write: async with zone\.edit\(\) as"):
        edit.add("www", dns.A("192.0.2.1"))
    async with edit:
        pass
    with pytest.raises(UsageError, match=r"used once; call zone\.edit\(\) again"):
        async with edit:
            pass
    served.zones = dns.Zones()
    with pytest.raises(UsageError, match=r"example\. is no longer served"):
        assert example.snapshot
