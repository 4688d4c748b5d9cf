"""Laws of transfers: a copy made by AXFR or IXFR, from any version, is the zone."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares
from tests.laws.test_transaction_laws import HEADS, ORIGIN, STEPS, carry_out, contents, read, shape
from tests.unit.protocols.dns.transfer.copies import axfr, ixfr, transfer

from pierhead.protocols import dns
from pierhead.protocols.dns.services.zones import ZoneService
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.canonical import canonical_rdata
from pierhead.protocols.dns.zone.packing import (
    digest,
    pack_difference,
    pack_zone,
    unpack_difference,
    unpack_zone,
)
from pierhead.protocols.dns.zone.zone import Zone, Zones

#: Texts that make the whole zone larger than most changes, or not.
PADDING = st.sampled_from([0, 0, 3000])
CHANGES = st.lists(st.lists(STEPS, min_size=1, max_size=4), min_size=1, max_size=6)


def line(record: dns.Record) -> tuple[object, ...]:
    canonical = canonical_rdata(record.rtype, record.rdata)
    return record.owner.lower(), record.rtype, record.ttl, canonical


def as_secondary(old: set[object], found: list[dns.Record]) -> set[object]:
    """Return what a secondary makes of a transfer (RFC 1995 §4): it knows of no difference."""
    soa, *middle, last = found
    assert line(soa) == line(last)
    if not (middle and middle[0].rtype == iana.SOA):
        return {line(record) for record in found}
    zone, deletes = set(old), False
    for record in middle:
        if record.rtype == iana.SOA:
            deletes = not deletes
        if deletes:
            assert line(record) in zone
            zone.discard(line(record))
        else:
            assert line(record) not in zone
            zone.add(line(record))
    return zone


def lived(head: bytes, padding: int, changes) -> tuple[ZoneService, list[Zone]]:
    """Return a service after these changes, and every version there was."""
    zone = read(head, [("add", "pad", (dns.TXT("x" * padding),), 60)] if padding else [])
    served = ZoneService(Zones([zone]))
    versions = [zone]
    for steps in changes:
        made = carry_out(versions[-1], steps)
        if made is not None and made[1]:
            asyncio.run(served.put(*made))
            versions.append(made[0])
    return served, versions


@pytest.mark.rfc("1995", "4")
@shares(incremental=0.05, whole=0.01, latest=0.1, changed=0.1, same=0.0, refused=0.0)
@settings(max_examples=150)
@given(head=HEADS, padding=PADDING, changes=CHANGES, condense=st.booleans())
def test_a_copy_is_the_zone_whichever_version_it_was(head, padding, changes, condense):
    served, versions = lived(head, padding, changes)
    layer = dns.transfers(served, allow=["127.0.0.1"], condense=condense)
    layered = dns.stack(served, layer)
    latest = contents(versions[-1])
    whole = asyncio.run(transfer(layered, axfr(ORIGIN)))
    assert len(whole) == len(latest) + 1
    assert as_secondary(set(), whole) == latest
    for old in versions:
        found = asyncio.run(transfer(layered, ixfr(old.serial, ORIGIN)))
        if old is versions[-1]:
            met("latest")
            assert [line(record) for record in found] == [line(whole[0])]
            continue
        is_whole = found[1].rtype != iana.SOA
        met("whole" if is_whole else "incremental")
        assert as_secondary(contents(old), found) == latest


@pytest.mark.rfc("1995", "5")
@shares(condensed=0.2, changed=0.1, same=0.0, refused=0.0)
@settings(max_examples=150)
@given(head=HEADS, changes=CHANGES)
def test_a_condensed_chain_is_the_difference_of_its_ends(head, changes):
    _, versions = lived(head, 0, changes)
    chain = [dns.Difference.between(*pair) for pair in pairwise(versions)]
    for start in range(len(chain)):
        for end in range(start + 1, len(chain) + 1):
            condensed = dns.Difference.condensed(chain[start:end])
            assert condensed == dns.Difference.between(versions[start], versions[end])
            assert contents(condensed.apply(versions[start])) == contents(versions[end])
            met("condensed")


@shares(replayed=0.2, changed=0.1, same=0.0, refused=0.0)
@settings(max_examples=100)
@given(head=HEADS, changes=CHANGES)
def test_what_was_stored_is_replayed_to_the_same_zone(head, changes):
    """Forwards from the first version, backwards from the last, from octets each time."""
    _, versions = lived(head, 0, changes)
    first, last = versions[0], versions[-1]
    chain = [dns.Difference.between(*pair) for pair in pairwise(versions)]
    stored = [(d.old_serial, d.new_serial, pack_difference(d)) for d in chain]
    again = [unpack_difference(first.origin, *each) for each in stored]
    assert again == chain
    zone = unpack_zone(first.origin, pack_zone(first))
    for difference, version in zip(again, versions[1:], strict=True):
        zone = difference.apply(zone)
        assert contents(zone) == contents(version)
        assert digest(zone) == digest(version)
        assert shape(zone) == shape(version)
        met("replayed")
    zone = unpack_zone(last.origin, pack_zone(last))
    for difference in reversed(again):
        zone = difference.inverted().apply(zone)
    assert contents(zone) == contents(first)
