"""Extended DNS errors: reasons for errors, for human readers (RFC 8914)."""

from __future__ import annotations

from typing import ClassVar

from pierhead.protocols.dns.middleware.layer import Layer
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import extended_error
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.service.context import Context

__all__ = ["ExtendedErrors", "extended_errors"]

#: What an RCODE alone does not tell.
_BY_RCODE = {
    iana.REFUSED: extended_error(iana.EDE_NOT_AUTHORITATIVE, "no zone here contains this name"),
    iana.SERVFAIL: extended_error(iana.EDE_OTHER, "the failure is the server's; its log says more"),
    iana.NOTIMP: extended_error(iana.EDE_NOT_SUPPORTED, "this kind of query is not answered here"),
    # Not rate limited, so kept short: the answer must be of no use to a forger of sources.
    iana.FORMERR: extended_error(iana.EDE_OTHER, "malformed option"),
}
_NO_TRANSFER = extended_error(iana.EDE_PROHIBITED, "you may not transfer zones from here")
_NO_CLASS = extended_error(iana.EDE_NOT_SUPPORTED, "this class is not answered here")
_NO_TYPE = extended_error(iana.EDE_OTHER, "this type cannot be queried")
_NO_COOKIE = extended_error(iana.EDE_PROHIBITED, "use TCP")


def extended_errors() -> ExtendedErrors:
    """Return the layer that adds reasons to refusals and failures, if the query has EDNS.

    An option that a service puts into its reply is kept. Outside the other layers it explains their
    refusals as well.
    """
    return ExtendedErrors()


class ExtendedErrors(Layer):
    """The layer of extended errors; created by `extended_errors`."""

    name: ClassVar[str] = "extended_errors"
    is_for_every_opcode: ClassVar[bool] = True
    is_constant = True

    def after(self, query: Query, context: Context, reply: Reply) -> Reply:
        """Add the reason to an error."""
        if reply.rcode in _NO_ERRORS or query.udp_payload < 0:
            return reply
        if any(code == iana.OPTION_EXTENDED_ERROR for code, _ in reply.options):
            return reply
        reason = _reason(query, reply)
        return reply if reason is None else reply.having(*reason)


_NO_ERRORS = (iana.NOERROR, iana.NXDOMAIN)


def _reason(query: Query, reply: Reply) -> tuple[int, bytes] | None:
    """Return the option that explains an error; None if the RCODE says it all."""
    if reply.rcode == iana.REFUSED:
        if reply.truncated:
            return _NO_COOKIE
        if query.qtype in (iana.AXFR, iana.IXFR):
            return _NO_TRANSFER
        if query.qclass != iana.CLASS_IN:
            return _NO_CLASS
    if reply.rcode == iana.FORMERR and iana.is_meta_type(query.qtype):
        return _NO_TYPE
    return _BY_RCODE.get(reply.rcode)
