"""A service that refuses every query."""

from __future__ import annotations

from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import extended_error
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.service import Service
from pierhead.service.context import Context

__all__ = ["refuse"]


def refuse(reason: str = "") -> Service[Query, Reply]:
    """Return a service that refuses every query.

    Args:
        reason: sent to clients that support EDNS (RFC 8914, code 18); keep it short.

    Example:
        >>> from pierhead.protocols import dns
        >>> site = dns.Router()
        >>> site.mount("internal.example.", dns.refuse("only for the office"))
    """
    options = (extended_error(iana.EDE_PROHIBITED, reason),) if reason else ()

    async def refused(query: Query, context: Context) -> Reply:
        return Reply(query, iana.REFUSED, options=options)

    return refused
