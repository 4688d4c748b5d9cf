"""Which records answer a transfer."""

from __future__ import annotations

import pytest
from tests.unit.protocols.dns.transfer.copies import changed, ixfr, service, zone

from pierhead.protocols import dns
from pierhead.protocols.dns.transfer.answer import changes, client_serial, is_smaller, whole
from pierhead.protocols.dns.wire import iana


def test_a_whole_zone_begins_and_ends_with_its_soa_record():
    found = list(whole(zone()))
    assert found[0] is found[-1]
    assert found[0].rtype == iana.SOA
    assert len(found) == 7


async def test_changes_are_between_two_soa_records():
    served = service()
    difference = await changed(served, 1)
    found = list(changes(served.zones["example."], [difference]))
    assert found[1:-1] == [*difference.deleted, *difference.added]
    assert found[0] is found[-1]


async def test_changes_are_compared_with_the_zone_in_octets():
    served = service()
    made = [await changed(served, number) for number in range(20)]
    assert is_smaller(made[:1], served.zones["example."])
    assert not is_smaller(made, served.zones["example."])


@pytest.mark.parametrize("serial", [0, 1, 2**32 - 1])
def test_a_client_says_which_version_it_has(serial):
    assert client_serial(ixfr(serial)) == serial


def test_a_client_that_does_not_say_it_is_told_so():
    with pytest.raises(dns.FormErr, match="SOA record in its authority section"):
        client_serial(ixfr(None))
