"""What every DNS server must do, whatever its service: always the innermost layer.

The codec enforces the rules of the message (header, opcode, counts, EDNS version, sizes); here are
those that need a query or a reply as a value.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from pierhead.errors import ServiceFailed
from pierhead.protocols.dns.middleware.layer import Layer, Verdict, check_opcodes
from pierhead.protocols.dns.trace import Trace
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import OPCODE_MASK, Query, Reply
from pierhead.service.context import Context

__all__ = ["Mandatory", "mandatory"]

#: Meta types that are questions, which the service answers.
_QUESTION_TYPES = (iana.ANY, iana.AXFR, iana.IXFR)
#: Types that are carried in messages or describe them, and never data that can be queried (RFC 6895
#: §3.1), with the answer.
_META_RCODES = {
    # Type 0 is just a type that no zone contains.
    **{n: iana.FORMERR for n in range(1, 256) if iana.is_meta_type(n) and n not in _QUESTION_TYPES},
    iana.MAILA: iana.NOTIMP,  # RFC 1035 §3.2.3: obsolete
    iana.MAILB: iana.NOTIMP,
    iana.TKEY: iana.NOTIMP,
}


def mandatory(*, strict: bool = True, opcodes: Collection[int] = ()) -> Mandatory:
    """Return the layer of what every DNS server must do; `stack` adds it by itself.

    Args:
        strict: refuse questions that no ordinary service can answer: types that are never data
            (TKEY, MAILB, OPT …), and class CH. If false, such a question reaches the service, which
            must handle it; replies must match their question either way, and a message with any
            number of questions other than one is still a format error (RFC 9619 §4).
        opcodes: kinds of messages besides QUERY that the service takes; one that is an object may
            say so itself, by an attribute of this name.

    Example:
        >>> from pierhead.protocols import dns
        >>> relaxed = dns.stack(dns.refuse(), dns.mandatory(strict=False))
    """
    return Mandatory(strict=strict, opcodes=opcodes)


class Mandatory(Layer):
    """Refuses what no service should see, and checks that replies match the question."""

    name: ClassVar[str] = "mandatory"
    is_for_every_opcode: ClassVar[bool] = True
    is_constant = True

    def __init__(self, *, strict: bool = True, opcodes: Collection[int] = ()) -> None:
        self._strict = strict
        self.opcodes = check_opcodes(self, opcodes)

    def before(self, query: Query, context: Context) -> Verdict:
        """Refuse questions that no service can answer."""
        if query.flags & OPCODE_MASK:
            return context  # the layer that let it in handles it
        if not query.has_question:
            # No outer layer handles cookies (RFC 9619 §4).
            return _refuse(query, context, iana.FORMERR, "there is no question", "RFC 9619 §4")
        if not self._strict:
            return context
        rcode = _META_RCODES.get(query.qtype)
        if rcode is not None:
            text = f"{query.rtype} cannot be queried"
            return _refuse(query, context, rcode, text, "RFC 6895 §3.1")
        if query.qclass == iana.CLASS_CH:
            text = "class CH is answered only if identity is configured"
            return _refuse(query, context, iana.REFUSED, text, "RFC 4892 §2.1")
        return context

    def after(self, query: Query, context: Context, reply: Reply) -> Reply:
        """Return the reply if it answers the question that was asked.

        Raises:
            ServiceFailed: it answers another query, and would reach the wrong client.
        """
        asked = reply.query
        if asked is not query and (asked.id, asked.question) != (query.id, query.question):
            raise ServiceFailed(f"the service answered {asked!r}, expected {query!r}")
        if reply.rcode > 15 and query.udp_payload < 0:
            # RFC 6891 §6.1.3: the upper bits of such a code need EDNS.
            return Reply(query, iana.SERVFAIL)
        return reply


def _refuse(query: Query, context: Context, rcode: int, text: str, rule: str) -> Reply:
    trace = context.get(Trace)
    if trace is not None:
        trace.note("mandatory", text, rule)
    return Reply(query, rcode)
