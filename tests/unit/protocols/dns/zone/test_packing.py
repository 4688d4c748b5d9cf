"""Zones and differences as octets."""

from __future__ import annotations

import pytest
from tests.laws.test_transaction_laws import contents, shape
from tests.unit.protocols.dns.transfer.copies import zone

from pierhead.errors import DecodeError
from pierhead.protocols import dns
from pierhead.protocols.dns.zone.packing import (
    digest,
    pack_difference,
    pack_zone,
    unpack_difference,
    unpack_zone,
)


def difference() -> dns.Difference:
    change = dns.Transaction(zone())
    change.replace("host", dns.A("192.0.2.9"), ttl=5)
    change.add("new", dns.TXT("x"))
    return change.commit()[1]


def test_a_zone_comes_back_as_it_was():
    before = zone(b"*.w 60 TXT x\nd 60 DNAME there.\n")
    after = unpack_zone(before.origin, pack_zone(before))
    assert contents(after) == contents(before)
    assert shape(after) == shape(before)
    assert {r.owner for r in after.rrsets()} == {r.owner for r in before.rrsets()}


def test_a_difference_comes_back_as_it_was():
    before = difference()
    again = unpack_difference(before.origin, 1, 2, pack_difference(before))
    assert again == before


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_octets_that_end_too_early_are_an_error(cut):
    octets = pack_difference(difference())
    with pytest.raises(DecodeError, match="too early"):
        unpack_difference(zone().origin, 1, 2, octets[:-cut])
    with pytest.raises(DecodeError):
        unpack_zone(zone().origin, pack_zone(zone())[:-cut])


def test_other_octets_are_an_error():
    with pytest.raises(DecodeError, match="too long"):
        unpack_difference(zone().origin, 1, 2, pack_difference(difference()) + b"x")
    with pytest.raises(DecodeError, match="does not begin with its SOA record"):
        unpack_zone(zone(origin="other.").origin, pack_zone(zone()))
    with pytest.raises(DecodeError, match="does not begin"):
        unpack_zone(zone().origin, b"")
    outside = pack_zone(zone()) + pack_zone(zone(origin="other."))
    with pytest.raises(DecodeError, match="do not belong to it"):
        unpack_zone(zone().origin, outside)


def test_a_digest_is_of_the_records_in_any_order_and_letter_case():
    one = zone(b"a 60 TXT x\nb 60 TXT y\n")
    assert digest(one) == digest(zone(b"B 60 TXT y\nA 60 TXT x\n"))
    assert digest(one) != digest(zone(b"a 60 TXT x\nb 60 TXT z\n"))
    assert digest(one) != digest(zone(b"a 61 TXT x\nb 60 TXT y\n"))
