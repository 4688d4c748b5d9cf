"""The layer that transfers zones: AXFR (RFC 5936) and IXFR (RFC 1995).

    Query ─▶ allowed? ─▶ zone ─▶ room? ─▶ AXFR over a stream   many replies, one for each message
                                          IXFR                 the same, or one in a datagram

A message is made when the peer has taken the one before, from a version of the zone that nothing
changes: a transfer needs the memory of one message, and sees one version.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import ClassVar, Protocol

from pierhead.errors import DecodeError, UsageError
from pierhead.limits import Limit
from pierhead.middleware.replies import Replies
from pierhead.protocols.dns.middleware.layer import Layer
from pierhead.protocols.dns.middleware.tsig import SignedBy
from pierhead.protocols.dns.trace import Trace
from pierhead.protocols.dns.transfer.answer import changes, client_serial, is_smaller, whole
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.batch import MAX_OCTETS, batch
from pierhead.protocols.dns.wire.edns import MIN_PAYLOAD, PAYLOAD
from pierhead.protocols.dns.wire.message import OPCODE_MASK, Query, Reply
from pierhead.protocols.dns.wire.name import ROOT, from_text, key
from pierhead.protocols.dns.wire.rcode_error import NotAuth, NotImp, Refused, ServFail
from pierhead.protocols.dns.wire.record import Record
from pierhead.protocols.dns.wire.rrset import Name, RRset
from pierhead.protocols.dns.wire.serial import is_newer
from pierhead.protocols.dns.zone.difference import Difference
from pierhead.protocols.dns.zone.zone import Zone
from pierhead.service import Reply as AnyReply
from pierhead.service import Service, ServiceFunction, as_service
from pierhead.service.admission import allow as listed
from pierhead.service.context import Context, Transport

__all__ = ["LIMITS", "TransferSource", "Transfers", "transfers"]

MAX_PER_ZONE = Limit(
    name="max_transfers_per_zone",
    default=50,
    minimum=1,
    maximum=100_000,
    unit="transfers",
    meaning="How many transfers of one zone may be under way; the next is answered SERVFAIL.",
    source="more secondaries than a zone usually has; each holds one message in memory",
    metric="none: EDE and the client's log say so",
    effect="at construction",
)
MAX_PER_PEER = Limit(
    name="max_transfers_per_peer",
    default=20,
    minimum=1,
    maximum=100_000,
    unit="transfers",
    meaning="How many transfers to one address may be under way; the next is answered SERVFAIL.",
    source="BIND requests 10 at once (transfers-in), twice that for two of them on one machine",
    metric="none: EDE and the client's log say so",
    effect="at construction",
)

LIMITS = (MAX_PER_ZONE, MAX_PER_PEER)

_TYPES = (iana.AXFR, iana.IXFR)
#: What an OPT record, its options and a signature may add to an answer in a datagram.
_RESERVE = 256
#: RFC 8914 §4.15: not ready.
_EDE_NOT_READY = 14


class TransferSource(Protocol):
    """Where the zones that are transferred come from; `dns.zones` is one."""

    def find(self, key: Name, /) -> Zone | None:
        """Return the zone of this name, in wire form and lower case; None if there is none."""
        ...

    async def differences(self, zone: Zone, since: int, /) -> Sequence[Difference] | None:
        """Return what leads from the version of a serial number to this one.

        None if that is not known: then the whole zone is transferred.
        """
        ...


def transfers(
    source: TransferSource,
    *,
    allow: Sequence[str] = (),
    keys: Sequence[str] = (),
    permit: Callable[[Query, Context], bool] | None = None,
    condense: bool = False,
    one_per_message: bool = False,
    max_octets: int = int(MAX_OCTETS.default),
    max_transfers_per_zone: int = int(MAX_PER_ZONE.default),
    max_transfers_per_peer: int = int(MAX_PER_PEER.default),
) -> Transfers:
    """Return the layer that transfers zones to secondaries; others are REFUSED.

    Args:
        source: the zones: `dns.zones`, or anything else with the methods of `TransferSource`.
        allow: networks whose servers may transfer, as for `pierhead.service.admission.allow`.
        keys: names of keys; what is signed with one of them is allowed too, from any address. The
            layer that verifies signatures is `dns.tsig`.
        permit: allows more transfers: a function of query and context, for certificates and others.
        condense: whether several versions are sent as one difference (RFC 1995 §5).
        one_per_message: whether each message has only one record, for clients that expect that
            (RFC 5936 §7).
        max_octets: the largest message; see `pierhead.protocols.dns.wire.batch.LIMITS`.
        max_transfers_per_zone, max_transfers_per_peer: how many may be under way; see `LIMITS`.

    Raises:
        UsageError: nobody is allowed, or an argument is invalid.

    Example:
        >>> from pierhead.protocols import dns
        >>> def primary(path):
        ...     zones = dns.zones(path)
        ...     allowed = dns.transfers(zones, allow=["192.0.2.0/24"])
        ...     return dns.serve(dns.standard(zones, transfers=allowed))
    """
    return Transfers(
        source,
        _permission(allow, keys, permit),
        condense=condense,
        one_per_message=one_per_message,
        max_octets=int(MAX_OCTETS.check(max_octets)),
        per_zone=int(MAX_PER_ZONE.check(max_transfers_per_zone)),
        per_peer=int(MAX_PER_PEER.check(max_transfers_per_peer)),
    )


class Transfers(Layer):
    """The layer of zone transfers; created by `transfers`."""

    name: ClassVar[str] = "transfers"
    #: A transfer over a stream is many replies, and what is refused is an error: neither is kept
    #: ready. An IXFR query is longer than what has a ready answer.
    is_constant = True

    def __init__(
        self,
        source: TransferSource,
        may: Callable[[Query, Context], bool],
        *,
        condense: bool,
        one_per_message: bool,
        max_octets: int,
        per_zone: int,
        per_peer: int,
    ) -> None:
        self._source = source
        self._may = may
        self._condense = condense
        self._one_per_message = one_per_message
        self._max_octets = max_octets
        self._turn = asyncio.Lock()
        self._zones = _Places(per_zone, "of this zone")
        self._peers = _Places(per_peer, "to this address")

    def __call__(self, service: ServiceFunction[Query, Reply]) -> Service[Query, Reply]:
        """Return the service with this layer around it."""
        inner = as_service(service)

        async def answer(query: Query, context: Context) -> AnyReply[Reply]:
            if query.qtype not in _TYPES or query.flags & OPCODE_MASK:
                return await inner(query, context)
            return await self._transfer(query, context)

        return answer

    async def _transfer(self, query: Query, context: Context) -> AnyReply[Reply]:
        trace = context.get(Trace)
        if not self._may(query, context):
            if trace is not None:
                trace.note("transfers", "the client may not transfer zones", "RFC 5936 §5")
            raise Refused("zones are transferred to listed servers only")
        zone = self._source.find(key(query.qname))
        if zone is None or query.qclass != zone.rclass:
            # RFC 5936 §2.2.1: "the server is not authoritative for the zone".
            raise NotAuth("the server has no zone of this name and class")
        is_datagram = context.via.transport is Transport.DATAGRAM
        if query.qtype == iana.AXFR:
            if is_datagram:
                raise NotImp("AXFR is for TCP (RFC 5936 §4.2)")
            return self._stream(query, context, zone, whole(zone))
        since = client_serial(query)
        if not is_newer(zone.serial, since):
            return self._one(query, zone)
        found = await self._source.differences(zone, since)
        if trace is not None:
            known = "not known" if found is None else f"{len(found)} versions"
            trace.note("transfers", f"since {since}: {known}", "RFC 1995 §4")
        if found and self._condense and len(found) > 1:
            found = (Difference.condensed(found),)
        sent = changes(zone, found) if found and is_smaller(found, zone) else None
        if not is_datagram:
            return self._stream(query, context, zone, whole(zone) if sent is None else sent)
        return self._one(query, zone) if sent is None else self._datagram(query, zone, sent)

    def _one(self, query: Query, zone: Zone) -> Reply:
        """Return the SOA record alone: nothing has changed, or the client shall ask over TCP."""
        return Reply(query, authoritative=True, answer=((zone.soa.owner, zone.soa),))

    def _datagram(self, query: Query, zone: Zone, sent: Iterator[Record | RRset]) -> Reply:
        """Return the changes if they fit into a datagram, else the SOA record (RFC 1995 §2)."""
        most = min(max(query.udp_payload, MIN_PAYLOAD), PAYLOAD)
        room = most - (_RESERVE if query.udp_payload >= 0 else 0)
        if room < MIN_PAYLOAD:
            return self._one(query, zone)
        messages = batch(query, sent, max_octets=room)
        first = next(messages)
        return self._one(query, zone) if next(messages, None) is not None else first

    def _stream(
        self, query: Query, context: Context, zone: Zone, sent: Iterator[Record | RRset]
    ) -> AnyReply[Reply]:
        leave = self._enter(zone, context)
        messages = batch(
            query, sent, max_octets=self._max_octets, one_per_message=self._one_per_message
        )
        return _Messages(_each(messages, self._turn), leave)

    def _enter(self, zone: Zone, context: Context) -> Callable[[], None]:
        """Take a place for the zone and one for the peer; the result gives both back.

        Raises:
            ServFail: there is none.
        """
        of_zone, of_peer = zone.key, context.peer.source
        self._zones.enter(of_zone)
        try:
            self._peers.enter(of_peer)
        except ServFail:
            self._zones.leave(of_zone)
            raise

        def leave() -> None:
            self._zones.leave(of_zone)
            self._peers.leave(of_peer)

        return leave


class _Places:
    """How many transfers there are of each zone, or to each peer."""

    def __init__(self, most: int, whose: str) -> None:
        self._most = most
        self._whose = whose
        self._taken: Counter[bytes] = Counter()

    def enter(self, who: bytes) -> None:
        if self._taken[who] >= self._most:
            reason = f"{self._most} transfers {self._whose} are under way; try again later"
            raise ServFail(reason, extended_error=_EDE_NOT_READY)
        self._taken[who] += 1

    def leave(self, who: bytes) -> None:
        self._taken[who] -= 1
        if not self._taken[who]:
            del self._taken[who]


class _Messages(Replies[Reply]):
    """The messages of one transfer; at its end its places are free."""

    __slots__ = ("_leave",)

    def __init__(self, inner: AsyncIterator[Reply], leave: Callable[[], None]) -> None:
        super().__init__(inner)
        self._leave = leave

    def _ended(self, error: BaseException | None) -> None:
        self._leave()


async def _each(messages: Iterator[Reply], turn: asyncio.Lock) -> AsyncIterator[Reply]:
    while True:
        # One message of all transfers for each turn of the loop: a message takes as long as a
        # thousand answers, and peers that are always ready must not keep queries waiting.
        async with turn:
            message = next(messages, None)
            await asyncio.sleep(0)
        if message is None:
            return
        yield message


def _permission(
    allow: Sequence[str],
    keys: Sequence[str],
    permit: Callable[[Query, Context], bool] | None,
) -> Callable[[Query, Context], bool]:
    for what, given in (("allow", allow), ("keys", keys)):
        if isinstance(given, str):
            raise UsageError(f"{what} is {given!r}, expected a list; write [{given!r}]")
    if not allow and not keys and permit is None:
        raise UsageError(
            "nobody may transfer; give allow=, keys= or permit=, or leave the layer out"
        )
    networks = listed(*allow) if allow else None
    names = frozenset(key(_key_name(name)) for name in keys)

    def may(query: Query, context: Context) -> bool:
        if networks is not None and networks.lists(context.peer):
            return True
        if names:
            signed = context.get(SignedBy)
            if signed is not None and key(signed.key.name) in names:
                return True
        return permit is not None and permit(query, context)

    return may


def _key_name(text: str) -> Name:
    try:
        return from_text(text, ROOT)
    except DecodeError as error:
        raise UsageError(f"{text!r} is not the name of a key: {error}") from None
