"""Receiving a transfer: what a server of ours sends is taken, and what lies is refused."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.outcomes import met, shares
from tests.unit.protocols.dns.transfer.copies import axfr, changed, messages, service, zone

from pierhead import Server
from pierhead.errors import ConnectError, DecodeError, PeerError, PierheadError, UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.response import parse_response
from pierhead.protocols.dns.transfer.incoming import Incoming, receive, transfer_query
from pierhead.protocols.dns.wire.encode import encode_reply
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.query import parse_query

ORIGIN = from_text("example.")
OLD, NEW, NEWER = (dns.SOA("ns.a.", "h.a.", n, name="example.") for n in (1, 2, 3))
A, B = dns.A("192.0.2.1", name="a.example."), dns.A("192.0.2.2", name="b.example.")


def message(*records: dns.Record, query=None) -> bytes:
    (reply,) = dns.batch(query or axfr(), records)
    return encode_reply(reply, 65535, 1232)


def taken(*frames: bytes, serial: int | None = None) -> tuple[Incoming, int]:
    incoming = Incoming(7, ORIGIN, serial)
    return incoming, sum(len(incoming.feed(parse_response(frame))) for frame in frames)


def primary(served):
    layer = dns.transfers(served, allow=["127.0.0.1"], max_octets=512)
    return Server(dns.serve(dns.standard(served, transfers=layer)), "tcp:127.0.0.1:0")


async def collect(*arguments, **options) -> list:
    return [r async for records in receive(*arguments, **options) for r in records]


async def test_a_zone_arrives_and_later_what_has_changed():
    text = b"".join(b"n%d 60 TXT %s\n" % (n, b"x" * 100) for n in range(50))
    served = service(zone(text))
    async with primary(served) as server:
        (address,) = server.addresses
        found = await collect(address, "example.")
        assert len(found) == 57
        await changed(served, 1)
        await changed(served, 2)
        changes = await collect(address, "example", serial=1)
        assert [r.type for r in changes].count("SOA") == 6
        assert len(await collect(address, "example.", serial=3)) == 1
        assert len(await collect(address, "example.", serial=77)) == 1
        assert len(await collect(address, "example.", serial=0)) == 58


@pytest.mark.rfc("8945", "5.3.1")
async def test_a_signed_transfer_is_verified():
    served = service(zone(b"".join(b"n%d 60 TXT %s\n" % (n, b"x" * 100) for n in range(50))))
    key, other = (dns.Key(name, b"a secret") for name in ("north.", "south."))
    layer = dns.transfers(served, keys=["north."], max_octets=512)
    layered = dns.standard(served, transfers=layer, tsig=dns.tsig([key, other]))
    async with Server(dns.serve(layered), "tcp:127.0.0.1:0") as server:
        (address,) = server.addresses
        assert len(await collect(address, "example.", tsig_key=key)) == 57
        for wrong in (other, dns.Key("north.", b"another secret"), None):
            with pytest.raises(PierheadError):
                await collect(address, "example.", tsig_key=wrong)


async def test_a_refusal_is_an_error_of_the_peer():
    async with Server(dns.serve(service()), "tcp:127.0.0.1:0") as server:
        with pytest.raises(PeerError, match="answered REFUSED"):
            await collect(*server.addresses, "example.")
    with pytest.raises(ConnectError):
        await collect("tcp:127.0.0.1:1", "example.")
    with pytest.raises(UsageError, match="not a domain name"):
        await collect("tcp:127.0.0.1:1", "a..b")
    with pytest.raises(UsageError, match="serial is -1"):
        await collect("tcp:127.0.0.1:1", "a.", serial=-1)


async def test_a_connection_that_ends_too_early_is_an_error():
    async def half(reader, writer):
        await reader.readexactly(2)
        frame = message(OLD, A)
        query = await reader.read(100)
        frame = query[:2] + frame[2:]
        writer.write(len(frame).to_bytes(2, "big") + frame)
        writer.close()

    server = await asyncio.start_server(half, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(PierheadError, match="ended"):
            await collect(f"tcp:127.0.0.1:{port}", "example.")


@pytest.mark.rfc("5936", "2.2")
def test_a_transfer_ends_with_the_record_it_began_with():
    incoming, count = taken(message(OLD, A), message(B), message(OLD))
    assert (incoming.is_over, count) == (True, 4)


@pytest.mark.rfc("1995", "4")
def test_differences_end_with_the_newest_version():
    incoming, _ = taken(message(NEWER, OLD, A, NEW, B), serial=1)
    assert not incoming.is_over
    incoming, _ = taken(
        message(NEWER, OLD, A, NEW, B), message(NEW, NEWER, A), message(NEWER), serial=1
    )
    assert incoming.is_over
    assert incoming.is_incremental


@pytest.mark.rfc("1995", "2")
def test_one_record_says_that_nothing_has_changed():
    incoming, _ = taken(message(OLD), serial=1)
    assert incoming.is_over
    incoming, _ = taken(message(NEW), serial=1)
    assert not incoming.is_over


@pytest.mark.parametrize(
    ("frames", "serial", "reason"),
    [
        ([message(A)], None, "does not begin with the SOA record"),
        ([message(OLD, NEW)], None, "ends with serial 2, and began with 1"),
        ([message(OLD, A, OLD, B)], None, "records after the end"),
        ([message(OLD, dns.A("192.0.2.1", name="other."))], None, "outside the zone"),
        ([message(NEWER, NEW)], 1, "a difference from 2, expected 1"),
        ([message(NEWER, OLD, NEW, OLD)], 1, "a difference from 1, expected 2"),
        ([b"\0\x08" + message(OLD)[2:]], None, "identifier 8, expected 7"),
        ([message(OLD, query=axfr("other."))], None, "a message about other"),
    ],
)
def test_what_lies_is_refused(frames, serial, reason):
    with pytest.raises(DecodeError, match=reason):
        taken(*frames, serial=serial)


@shares(taken=0.05, refused=0.2)
@given(at=st.integers(2, 120), octet=st.integers(0, 255), serial=st.sampled_from([None, 1]))
def test_any_octets_are_a_message_or_an_error(at, octet, serial):
    frame = bytearray(message(NEWER, OLD, A, NEW, B))
    frame[at % len(frame)] = octet
    try:
        taken(bytes(frame), serial=serial)
    except DecodeError:
        met("refused")
    else:
        met("taken")


async def test_the_query_is_one_that_is_answered():
    query = parse_query(transfer_query(7, ORIGIN, 1))
    served = service()
    await changed(served, 1)
    layered = dns.stack(served, dns.transfers(served, allow=["127.0.0.1"]))
    frames = await messages(layered, query)
    assert taken(*frames, serial=1)[0].is_over
