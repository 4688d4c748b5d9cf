"""A service that answers from a table in the program: no file, no zone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from pierhead.errors import DecodeError, UsageError
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.protocols.dns.wire.name import ROOT, from_text, key
from pierhead.protocols.dns.wire.record import Record, check_ttl, rrsets
from pierhead.service import Service
from pierhead.service.context import Context

__all__ = ["static"]


def static(
    names: Mapping[str, Record | Iterable[Record]], *, ttl: int = 300
) -> Service[Query, Reply]:
    """Return a service that has these records under these names.

    A name in the table without the queried type gets an empty answer; any other name is refused,
    since the service cannot know whether it exists.

    Args:
        names: one or more records for each name.
        ttl: how many seconds a record may be cached that has no TTL of its own.

    Raises:
        UsageError: a name is invalid, a TTL is out of range or differs within a set, or a record
            has its own name.

    Example:
        >>> from pierhead.protocols import dns
        >>> service = dns.static({"www.example.": dns.A("192.0.2.1")}, ttl=60)
    """
    check_ttl(ttl)
    if not isinstance(names, Mapping):
        raise UsageError(
            f"names is {type(names).__name__}, expected a table: {{'www.example.': "
            "dns.A('192.0.2.1')}"
        )
    table = {_key(name): _records(name, given, ttl) for name, given in names.items()}

    async def answer(query: Query, context: Context) -> Reply:
        records = table.get(key(query.qname))
        if records is None or query.qclass != iana.CLASS_IN:
            return Reply(query, iana.REFUSED)
        return query.reply(*records, ttl=ttl)

    return answer


def _key(name: str) -> bytes:
    try:
        return key(from_text(name, ROOT))
    except DecodeError as error:
        raise UsageError(f"{name!r} is not a domain name: {error}") from None


def _records(name: str, given: Record | Iterable[Record], ttl: int) -> tuple[Record, ...]:
    records: tuple[object, ...] = (given,) if isinstance(given, Record) else tuple(given)
    for record in records:
        if not isinstance(record, Record):
            found = type(record).__name__
            raise UsageError(f"a record is {found}, expected one such as dns.A('192.0.2.1')")
        if record.owner:
            raise UsageError(f"{name!r} has {record!r}; the table says whose a record is")
    checked = cast(tuple[Record, ...], records)
    rrsets(checked, from_text(name, ROOT), ttl)  # they go together, or that is said now
    return checked
