"""AXFR and IXFR: who gets them, what is in them, and how many there may be at once."""

from __future__ import annotations

import time

import pytest
from tests.unit.protocols.dns.middleware.asking import context
from tests.unit.protocols.dns.transfer.copies import (
    axfr,
    changed,
    ixfr,
    lines,
    messages,
    records,
    service,
    transfer,
    zone,
)

from pierhead.errors import UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.codec import QueryCodec, ReplyCodec
from pierhead.protocols.dns.response import parse_response
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.tsig import find_tsig, sign
from pierhead.protocols.dns.zone.difference import Difference
from pierhead.service.coding import coded


def primary(served, **options):
    options.setdefault("allow", ["127.0.0.0/8"])
    return dns.stack(served, dns.transfers(served, **options))


def rcode(frames: list[bytes]) -> int:
    (frame,) = frames
    return parse_response(frame).rcode


def serials(found) -> list[int]:
    return [int.from_bytes(r.rdata[-20:-16], "big") for r in found if r.rtype == iana.SOA]


# -- AXFR --------------------------------------------------------------------------------------


@pytest.mark.rfc("5936", "2.2")
@pytest.mark.rfc("5936", "3.5")
async def test_a_transfer_is_the_zone_between_two_soa_records():
    served = service()
    found = await transfer(primary(served), axfr())
    assert found[0].rtype == found[-1].rtype == iana.SOA
    assert serials(found) == [1, 1]
    owners = {(record.owner, record.rtype) for record in found}
    assert (from_text("ns.under.example."), iana.A) in owners  # glue
    assert len(found) == 7


@pytest.mark.rfc("5936", "3.4")
async def test_names_keep_their_letter_case():
    (frame,) = await messages(primary(service()), axfr("EXAMPLE."))
    assert from_text("Host.example.") in {record.owner for record in records(frame)}
    assert parse_response(frame).question == (from_text("EXAMPLE."), iana.AXFR, 1)


@pytest.mark.rfc("5936", "2.2.1")
async def test_the_header_says_what_it_must():
    (frame,) = await messages(primary(service()), axfr())
    response = parse_response(frame)
    assert response.id == 7
    assert response.authoritative
    assert response.rcode == dns.NOERROR
    assert not response.truncated
    assert not response.recursion_available
    assert not response.authority + response.additional


@pytest.mark.rfc("5936", "2.2")
async def test_large_zones_take_several_messages_and_nothing_is_lost():
    text = b"".join(b"n%d 60 TXT %s\n" % (n, b"x" * 200) for n in range(400))
    served = service(zone(text))
    frames = await messages(primary(served), axfr())
    assert len(frames) > 4
    assert all(len(frame) <= 16_383 for frame in frames)
    # As many as fit: no message could have taken the first record of the next.
    assert all(len(frame) > 16_383 - 300 for frame in frames[:-1])
    found = records(*frames)
    assert len(found) == 407
    assert {(r.owner.lower(), r.rtype, r.ttl, r.rdata) for r in found} == lines(
        served.zones["example."]
    )


@pytest.mark.rfc("5936", "7.1")
async def test_each_record_may_have_its_own_message():
    frames = await messages(primary(service(), one_per_message=True), axfr())
    assert [len(records(frame)) for frame in frames] == [1] * 7


@pytest.mark.rfc("5936", "4.2")
async def test_there_is_no_axfr_over_udp():
    assert rcode(await messages(primary(service()), axfr(), tcp=False)) == dns.NOTIMP


@pytest.mark.rfc("5936", "5")
@pytest.mark.parametrize("query", [axfr(), ixfr(1)])
async def test_who_is_not_listed_is_refused(query):
    layered = primary(service(), allow=["192.0.2.0/24"])
    assert rcode(await messages(layered, query)) == dns.REFUSED
    assert rcode(await messages(dns.stack(service()), query)) == dns.REFUSED


async def test_a_function_may_permit_more():
    seen = []

    def permit(query, context):
        seen.append(str(context.peer))
        return query.name == "example."

    layered = primary(service(), allow=(), permit=permit)
    assert len(await transfer(layered, axfr())) == 7
    assert rcode(await messages(layered, axfr("other."))) == dns.REFUSED
    assert seen == ["127.0.0.1:5353"] * 2


async def test_a_key_may_be_enough():
    served = service()
    keys = [dns.Key(f"{name}.example", b"a secret") for name in ("north", "south")]
    layer = dns.transfers(served, keys=["North.example."])
    layered = dns.stack(served, dns.tsig(keys), layer)
    replies = QueryCodec(layered.opcodes), ReplyCodec()
    handler = coded(layered, *replies)
    for key, records_found in zip(keys, (7, 0), strict=True):
        signed = sign(axfr().frame, key, int(time.time())).frame
        reply = await handler.service(signed, context("192.0.2.9", tcp=True))
        frames = [reply] if isinstance(reply, bytes) else [frame async for frame in reply]
        assert len(records(*frames)) == records_found
        assert all(find_tsig(frame) is not None for frame in frames)
    assert rcode(await messages(layered, axfr())) == dns.REFUSED


@pytest.mark.rfc("5936", "2.2.1")
@pytest.mark.parametrize("name", ["other.", "host.example.", "."])
async def test_what_is_no_zone_here_is_not_transferred(name):
    assert rcode(await messages(primary(service()), axfr(name))) == dns.NOTAUTH


async def test_other_queries_go_to_the_service():
    layered = primary(service())
    reply = await layered(axfr().asking(from_text("host.example."), iana.A), context())
    assert reply.rcode == dns.NOERROR


async def test_a_transfer_sees_one_version_of_the_zone():
    served = service(zone(b"".join(b"n%d 60 TXT x\n" % n for n in range(2000))))
    reply = await primary(served)(axfr(), context("127.0.0.1", tcp=True))
    first = await reply.__anext__()
    await changed(served, 9)
    rest = [first, *[one async for one in reply]]
    assert len(rest) > 1
    assert sum(one.packed[1] for one in rest) == 2007
    assert serials(await transfer(primary(served), axfr())) == [2, 2]


@pytest.mark.parametrize(
    ("limit", "other"),
    [("max_transfers_per_zone", "127.0.0.2"), ("max_transfers_per_peer", "127.0.0.1")],
)
async def test_there_are_only_so_many_at_once_and_a_place_is_given_back(limit, other):
    layered = primary(service(), **{limit: 1})
    first = await layered(axfr(), context("127.0.0.1", tcp=True))
    refused = await layered(axfr(edns=True), context(other, tcp=True))
    assert refused.rcode == dns.SERVFAIL
    assert b"try again later" in refused.options[0][1]
    await first.aclose()
    again = await layered(axfr(), context(other, tcp=True))
    assert len([one async for one in again]) == 1
    last = await layered(axfr(), context(other, tcp=True))
    await last.aclose()


async def test_limits_are_of_one_zone_and_one_peer():
    served = service(zone(), zone(origin="other."))
    layered = primary(served, max_transfers_per_zone=1, max_transfers_per_peer=1)
    open_ones = [
        await layered(axfr("example."), context("127.0.0.1", tcp=True)),
        await layered(axfr("other."), context("127.0.0.2", tcp=True)),
    ]
    for one in open_ones:
        assert len([reply async for reply in one]) == 1


# -- IXFR --------------------------------------------------------------------------------------


@pytest.mark.rfc("1995", "4")
async def test_an_incremental_transfer_has_each_version_in_turn():
    served = service()
    made = [await changed(served, 1), await changed(served, 2)]
    found = await transfer(primary(served), ixfr(1))
    assert serials(found) == [3, 1, 2, 2, 3, 3]
    middle = found[1:-1]
    expected = [*made[0].deleted, *made[0].added, *made[1].deleted, *made[1].added]
    assert [(r.owner, r.rtype, r.ttl, r.rdata) for r in middle] == [
        (r.owner, r.rtype, r.ttl, r.rdata) for r in expected
    ]


@pytest.mark.rfc("1995", "5")
async def test_versions_may_be_condensed_into_one():
    served = service()
    for number in (1, 2, 3):
        await changed(served, number)
    found = await transfer(primary(served, condense=True), ixfr(1))
    assert serials(found) == [4, 1, 4, 4]
    assert [r.rdata[-1] for r in found if r.rtype == iana.A] == [3]


@pytest.mark.rfc("1995", "2")
@pytest.mark.parametrize("serial", [1, 2, 2**31])
@pytest.mark.parametrize("tcp", [True, False])
async def test_who_has_the_latest_version_or_a_later_one_gets_the_soa_record_alone(serial, tcp):
    (frame,) = await messages(primary(service()), ixfr(serial), tcp=tcp)
    assert [(r.rtype, r.rdata[-17]) for r in records(frame)] == [(iana.SOA, 1)]


@pytest.mark.rfc("1995", "4")
async def test_the_whole_zone_is_sent_if_the_changes_are_not_known():
    served = service()
    await changed(served, 1)
    found = await transfer(primary(served), ixfr(0))
    assert serials(found) == [2, 2]
    assert len(found) == 8


async def test_the_whole_zone_is_sent_if_the_changes_are_larger():
    served = service()
    for number in range(1, 20):
        await changed(served, number)
    assert serials(await transfer(primary(served), ixfr(1))) == [20, 20]
    assert serials(await transfer(primary(served), ixfr(19))) == [20, 19, 20, 20]


@pytest.mark.rfc("1995", "3")
async def test_without_the_version_of_the_client_it_is_a_format_error():
    assert rcode(await messages(primary(service()), ixfr(None))) == dns.FORMERR


@pytest.mark.rfc("1995", "2")
async def test_over_udp_the_changes_are_sent_if_they_fit_else_the_soa_record():
    served = service(zone(b"".join(b"n%d 60 TXT %s\n" % (n, b"x" * 200) for n in range(20))))
    await changed(served, 1)
    layered = primary(served)
    (frame,) = await messages(layered, ixfr(1), tcp=False, limit=512)
    assert serials(records(frame)) == [2, 1, 2, 2]
    (frame,) = await messages(layered, ixfr(1, size=512), tcp=False, limit=512)
    assert serials(records(frame)) == [2]
    (frame,) = await messages(layered, ixfr(1, size=1232), tcp=False, limit=1232)
    assert serials(records(frame)) == [2, 1, 2, 2]
    for number in range(2, 12):
        await changed(served, number)
    (frame,) = await messages(layered, ixfr(1), tcp=False, limit=512)
    assert serials(records(frame)) == [12]


async def test_a_datagram_that_became_too_large_is_truncated():
    served = service(zone(b"".join(b"n%d 60 TXT %s\n" % (n, b"x" * 200) for n in range(20))))
    for number in range(1, 6):
        await changed(served, number)
    (frame,) = await messages(primary(served), ixfr(1, size=1232), tcp=False, limit=512)
    assert parse_response(frame).truncated
    assert not records(frame)


@pytest.mark.rfc("1982", "3.2")
async def test_serial_numbers_go_round():
    start = service()
    change = dns.Transaction(start.zones["example."])
    after, difference = change.commit(serial=2**31)
    await start.put(after, difference)
    for serial in (2**32 - 2, 5):
        after, difference = dns.Transaction(start.zones["example."]).commit(serial=serial)
        await start.put(after, difference)
    assert serials(await transfer(primary(start), ixfr(2**32 - 2))) == [5, 2**32 - 2, 5, 5]


async def test_a_new_set_of_zones_is_compared_with_the_old_one():
    served = service()
    change = dns.Transaction(served.zones["example."])
    change.add("www", dns.A("192.0.2.80"))
    after, _ = change.commit()
    served.zones = served.zones.having(after)
    assert serials(await transfer(primary(served), ixfr(1))) == [2, 1, 2, 2]


async def test_only_the_next_version_of_a_zone_is_put_into_service():
    served = service()
    difference = await changed(served, 1)
    with pytest.raises(UsageError, match="is not the next one"):
        await served.put(served.zones["example."], difference)
    other = Difference(from_text("no."), 1, 2)
    with pytest.raises(UsageError, match="is not the next one"):
        await served.put(zone(origin="no."), other)


# -- arguments ---------------------------------------------------------------------------------


def test_somebody_must_be_allowed():
    with pytest.raises(UsageError, match="nobody may transfer; give allow=, keys= or permit="):
        dns.transfers(service())
    with pytest.raises(UsageError, match=r"allow is '::1', expected a list; write \['::1'\]"):
        dns.transfers(service(), allow="::1")
    dns.transfers(service(), allow=["::1"])
    dns.transfers(service(), permit=lambda query, context: False)


@pytest.mark.parametrize("name", ["max_transfers_per_zone", "max_transfers_per_peer", "max_octets"])
def test_limits_have_ranges(name):
    with pytest.raises(UsageError, match=name):
        dns.transfers(service(), allow=["::1"], **{name: 0})


def test_the_standard_layers_have_a_place_for_it():
    served = service()
    layered = dns.standard(served, transfers=dns.transfers(served, allow=["::1"]))
    assert repr(layered).endswith("transfers > mandatory>")
    with pytest.raises(UsageError, match=r"expected dns\.transfers\(…\) or None"):
        dns.standard(served, transfers=True)


def test_answers_are_kept_ready_beside_it():
    served = service()
    layered = dns.stack(served, dns.transfers(served, allow=["::1"]))
    assert layered.snapshot is not None
