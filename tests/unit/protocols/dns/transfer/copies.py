"""Zones, questions and a reader of transfers for the tests of this room."""

from __future__ import annotations

from tests.unit.protocols.dns.middleware.asking import context

from pierhead.protocols import dns
from pierhead.protocols.dns.response import parse_response
from pierhead.protocols.dns.services.zones import ZoneService
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.canonical import canonical_rdata, uncompressed_rdata
from pierhead.protocols.dns.wire.edns import Edns, build_opt
from pierhead.protocols.dns.wire.encode import encode_reply
from pierhead.protocols.dns.wire.message import HEADER, Query
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.query import build_query, parse_query
from pierhead.protocols.dns.zone.zone import Zone, Zones

__all__ = ["axfr", "changed", "ixfr", "lines", "messages", "records", "service", "transfer", "zone"]

#: With a text that makes the whole zone larger than a few changes of it.
TEXT = (
    b"large 60 TXT "
    + b" ".join([b"x" * 250] * 4)
    + b"""
@      3600 SOA ns.other. host.other. 1 7200 900 1209600 300
@      3600 NS  ns.other.
Host   3600 A   192.0.2.1
under  3600 NS  ns.under
ns.under 60 A   192.0.2.2
"""
)


def zone(more: bytes = b"", origin: str = "example.") -> Zone:
    """Return the zone, with more records as text."""
    return dns.parse_zone(TEXT + more, origin=origin)


def service(*zones: Zone) -> ZoneService:
    """Return a service of these zones; of the one above if none is given."""
    return ZoneService(Zones(zones or (zone(),)))


async def changed(served: ZoneService, number: int, origin: str = "example.") -> dns.Difference:
    """Put the next version of a zone into service, with one more address."""
    change = dns.Transaction(served.zones[origin])
    change.replace("www", dns.A(f"192.0.2.{number}"))
    after, difference = change.commit()
    await served.put(after, difference)
    return difference


def axfr(name: str = "example.", *, edns: bool = False) -> Query:
    """Return a query for a whole zone."""
    opt = Edns() if edns else None
    return parse_query(build_query(7, from_text(name), iana.AXFR, edns=opt))


def ixfr(serial: int | None, name: str = "example.", *, size: int = -1) -> Query:
    """Return a query for what has changed since a version; without one if it is None."""
    query = build_query(7, from_text(name), iana.IXFR, edns=None)
    ident, flags, *_ = HEADER.unpack_from(query)
    authority = b""
    if serial is not None:
        rdata = b"\0\0" + serial.to_bytes(4, "big") + bytes(16)
        head = iana.SOA.to_bytes(2, "big") + b"\0\x01" + bytes(4) + len(rdata).to_bytes(2, "big")
        authority = from_text(name) + head + rdata
    opt = build_opt(Edns(size)) if size >= 0 else b""
    counts = 1, 0, 1 if authority else 0, 1 if opt else 0
    return parse_query(HEADER.pack(ident, flags, *counts) + query[12:] + authority + opt)


async def messages(layered, query: Query, *, tcp: bool = True, limit: int = 65535) -> list[bytes]:
    """Return the messages that answer a query."""
    reply = await layered(query, context("127.0.0.1", tcp=tcp))
    if hasattr(reply, "__anext__"):
        return [encode_reply(one, limit, 1232) async for one in reply]
    return [encode_reply(reply, limit, 1232)]


def records(*frames: bytes) -> list[dns.Record]:
    """Return the records of the answer sections, uncompressed, in order."""
    return [
        dns.Record.trusted(
            one.owner,
            one.rtype,
            one.rclass,
            one.ttl,
            uncompressed_rdata(one.rtype, one.frame, one.start, one.length),
        )
        for frame in frames
        for one in parse_response(frame).answer
    ]


async def transfer(layered, query: Query) -> list[dns.Record]:
    """Return the records that answer a query over a stream."""
    return records(*await messages(layered, query))


def lines(whole: Zone) -> set[tuple[bytes, int, int, bytes]]:
    """Return the records of a zone in canonical form."""
    return {
        (each.owner.lower(), each.rtype, each.ttl, canonical_rdata(each.rtype, rdata))
        for each in whole.rrsets()
        for rdata in each.rdatas
    }
