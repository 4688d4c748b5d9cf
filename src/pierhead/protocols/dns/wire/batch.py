"""Records as messages, as many to each as fit: what a zone transfer consists of (RFC 5936 §2.2).

    records ─▶ Writer: one message's octets, names compressed ─▶ Reply, one for each message

Names keep their letter case, so that a copy of a zone is the same (RFC 5936 §3.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pierhead.errors import UsageError
from pierhead.limits import Limit
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.protocols.dns.wire.name import to_text
from pierhead.protocols.dns.wire.record import Record, not_a_record
from pierhead.protocols.dns.wire.rrset import RRset
from pierhead.protocols.dns.wire.writer import Writer

__all__ = ["LIMITS", "MAX_OCTETS", "batch"]

MAX_OCTETS = Limit(
    name="max_octets",
    default=16_383,
    minimum=512,
    maximum=65_000,
    unit="bytes",
    meaning="The largest message of a transfer; a record that is larger has its own.",
    source="RFC 1035 §4.1.4: the last octet that a compressed name can point to; NSD and Knot DNS "
    "send as much",
    metric="none: the next record begins the next message",
    effect="at construction",
)

LIMITS = (MAX_OCTETS,)

#: The length field of a message on a stream has two octets (RFC 1035 §4.2.2); less what an OPT
#: record and a signature may need.
_LARGEST = 65_535 - 535
#: As in `Query.reply`.
_TTL = 300


def batch(
    query: Query,
    records: Iterable[Record | RRset],
    *,
    max_octets: int = int(MAX_OCTETS.default),
    one_per_message: bool = False,
) -> Iterator[Reply]:
    """Yield replies to a query that have these records, as many to each as fit.

    Each has the question, and is authoritative. Records are taken when a message needs them, so
    that a transfer of any size needs the memory of one message.

    Args:
        query: the query that they answer.
        records: the records in their order; those without a name are of the queried name, those
            without a TTL are cached for 300 seconds.
        max_octets: how large a message is, without what layers add to it.
        one_per_message: whether each record has a message of its own, for clients that expect that
            (RFC 5936 §7).

    Raises:
        UsageError: something is no record.

    Example:
        >>> from pierhead.protocols import dns
        >>> def messages(query, hosts):
        ...     return dns.batch(query, [dns.A(address, name=name) for name, address in hosts])
    """
    limit = int(MAX_OCTETS.check(max_octets))
    message = _Message(query, limit)
    for rrset in _sets(query, records, one_per_message):
        first = 0
        while (first := message.add(rrset, first)) < len(rrset.rdatas):
            if message.count:
                yield message.reply()
                message = _Message(query, limit)
            elif message.limit < _LARGEST:
                message = _Message(query, _LARGEST)
            else:
                size = len(rrset.rdatas[first])
                raise UsageError(
                    f"a record of {to_text(rrset.owner)} has {size} octets of RDATA, which fit "
                    "into no message"
                )
        if one_per_message or message.limit > limit:
            yield message.reply()
            message = _Message(query, limit)
    if message.count:
        yield message.reply()


class _Message:
    """The next message."""

    __slots__ = ("_query", "_shown", "_start", "_writer", "count", "limit")

    def __init__(self, query: Query, limit: int) -> None:
        self.count = 0
        self.limit = limit
        self._query = query
        self._shown: RRset | None = None
        self._writer = Writer(query, limit, True)
        self._start = len(self._writer.buf)

    def add(self, rrset: RRset, first: int) -> int:
        """Append records of a set from this one on; return the first that does not fit."""
        end = self._writer.write_some(rrset, first)
        self.count += end - first
        if self._shown is None and end > first:
            self._shown = rrset
        return end

    def reply(self) -> Reply:
        shown = self._shown
        answer = () if shown is None else ((shown.owner, shown),)
        reply = Reply(self._query, authoritative=True, answer=answer, is_exact=True)
        reply.packed = bytes(self._writer.buf[self._start :]), self.count
        return reply


def _sets(
    query: Query, records: Iterable[Record | RRset], one_per_message: bool
) -> Iterator[RRset]:
    for record in records:
        rrset = record if type(record) is RRset else _as_set(query, record)
        if one_per_message and len(rrset.rdatas) > 1:
            for rdata in rrset.rdatas:
                yield RRset(rrset.owner, rrset.rtype, rrset.ttl, (rdata,), rrset.rclass)
        else:
            yield rrset


def _as_set(query: Query, record: object) -> RRset:
    if not isinstance(record, Record):
        raise not_a_record(record)
    return RRset(
        record.owner or query.qname,
        record.rtype,
        _TTL if record.ttl is None else record.ttl,
        (record.rdata,),
        iana.CLASS_IN if record.rclass is None else record.rclass,
    )
