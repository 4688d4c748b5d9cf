"""Minimal responses: nothing in an answer that was not asked for."""

from __future__ import annotations

from typing import ClassVar

from pierhead.protocols.dns.middleware.layer import Layer
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.protocols.dns.wire.rrset import RRset
from pierhead.service.context import Context

__all__ = ["MinimalResponses", "minimal_responses"]

_NS_OCTETS = iana.NS.to_bytes(2, "big")


def minimal_responses() -> MinimalResponses:
    """Return the layer that omits what an answer can do without.

    That is the additional section, except for the glue of a referral, and the zone's own name
    servers beside an answer. Proofs, SOA records of negative answers and referrals stay.
    """
    return MinimalResponses()


class MinimalResponses(Layer):
    """The layer of minimal responses; created by `minimal_responses`."""

    name: ClassVar[str] = "minimal_responses"
    is_constant = True

    def after(self, query: Query, context: Context, reply: Reply) -> Reply:
        """Omit what is not needed."""
        authority = reply.authority
        if reply.answer and authority:
            authority = tuple(each for each in authority if not _is_ns(each[1]))
        if not reply.additional and len(authority) == len(reply.authority):
            return reply
        return reply.reduced(authority)


def _is_ns(rrset: RRset) -> bool:
    if rrset.rtype == iana.RRSIG:  # RFC 4034 §3.1: the type covered comes first
        return rrset.rdatas[0].startswith(_NS_OCTETS)
    return rrset.rtype == iana.NS
