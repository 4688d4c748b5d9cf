"""EXPIRE: how long a secondary's copy of a zone remains valid (RFC 7314)."""

from __future__ import annotations

from typing import ClassVar

from pierhead.protocols.dns.middleware.layer import Layer
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.service.context import Context

__all__ = ["Expire", "expire"]

_TYPES = (iana.SOA, iana.AXFR, iana.IXFR)


def expire() -> Expire:
    """Return the layer that tells secondaries when the zone they copy expires.

    For a primary that is the EXPIRE field of the SOA record (RFC 7314 §2). The service of a
    secondary adds its own remaining time to the reply, and this layer keeps it.
    """
    return Expire()


class Expire(Layer):
    """The layer of the expire option; created by `expire`."""

    name: ClassVar[str] = "expire"
    option = iana.OPTION_EXPIRE
    is_constant = True

    def after(self, query: Query, context: Context, reply: Reply) -> Reply:
        """Add the expiry time to an answer that begins with the zone's SOA record."""
        if query.option(iana.OPTION_EXPIRE) is None or query.qtype not in _TYPES:
            return reply
        if not (reply.authoritative and reply.answer):
            return reply
        rrset = reply.answer[0][1]
        is_said = any(code == iana.OPTION_EXPIRE for code, _ in reply.options)
        if rrset.rtype != iana.SOA or is_said:
            return reply
        # The last two of the SOA's five numbers are EXPIRE and MINIMUM.
        return reply.having(iana.OPTION_EXPIRE, rrset.rdatas[0][-8:-4])
