"""What leads from an older version of a zone to the latest, and when that is forgotten."""

from __future__ import annotations

import pytest
from tests.unit.protocols.dns.transfer.copies import zone

from pierhead.errors import UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.zone.history import History, octets_of


def versions(count: int) -> tuple[list[dns.Zone], list[dns.Difference]]:
    zones, made = [zone()], []
    for number in range(count):
        change = dns.Transaction(zones[-1])
        change.replace("www", dns.A(f"192.0.2.{number + 1}"))
        after, difference = change.commit()
        zones.append(after)
        made.append(difference)
    return zones, made


def kept(made, **limits) -> History:
    history = History(**limits)
    for difference in made:
        history.append(difference)
    return history


def test_it_leads_from_any_kept_version_to_the_latest():
    zones, made = versions(4)
    history = kept(made)
    for index, old in enumerate(zones[:-1]):
        assert history.since(old.serial) == made[index:]
    assert history.since(zones[-1].serial) is None
    assert history.since(77) is None


def test_the_oldest_are_forgotten_first():
    _, made = versions(5)
    history = kept(made, max_versions=2)
    assert (len(history), history.since(3), history.since(4)) == (2, None, made[3:])


def test_octets_are_bounded():
    zones, _ = versions(0)
    history = History(max_octets=1000)
    whole = zones[0]
    for number in range(5):
        change = dns.Transaction(whole)
        change.replace("www", dns.TXT("x" * 250, f"{number}"))
        whole, difference = change.commit()
        history.append(difference)
    assert 0 < len(history) < 5
    assert sum(map(octets_of, history.since(5) or ())) <= 1000
    change = dns.Transaction(whole)
    change.add("large", dns.TXT("x" * 2000))
    history.append(change.commit()[1])
    assert len(history) == 0


def test_what_does_not_begin_at_the_end_makes_the_rest_useless():
    _, made = versions(3)
    history = kept([made[0], made[2]])
    assert (history.since(1), history.since(3)) == (None, [made[2]])


def test_a_serial_number_that_comes_again_makes_the_rest_useless():
    zones, made = versions(2)
    back = dns.Difference.between(zones[2], zones[0])
    history = kept([*made, back])
    assert history.since(1) is None
    assert history.since(3) == [back]


def test_another_zone_with_the_same_number_makes_all_useless():
    zones, made = versions(1)
    other = dns.Difference(made[0].origin, 2, 2, (), (dns.A("192.0.2.1"),))
    history = kept([*made, other])
    assert len(history) == 0
    assert zones


def test_versions_alone_are_compared_when_it_is_asked():
    zones, made = versions(2)
    history = History()
    history.follow(zones[0], zones[1])
    history.append(made[1])
    assert history.since(1) == made
    history.clear()
    assert history.since(1) is None


def test_limits_have_ranges():
    with pytest.raises(UsageError, match="max_versions is 0"):
        History(max_versions=0)
