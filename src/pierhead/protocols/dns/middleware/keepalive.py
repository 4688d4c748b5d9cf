"""TCP keepalive: how long a connection stays open without queries (RFC 7828)."""

from __future__ import annotations

from typing import ClassVar

from pierhead.protocols.dns.middleware.layer import Layer, Verdict
from pierhead.protocols.dns.trace import Trace
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.service.context import Context

__all__ = ["Keepalive", "keepalive"]


def keepalive() -> Keepalive:
    """Return the layer that sends the idle timeout of a connection on request.

    It is the connection's own, as set by the server's options or an inner layer.
    """
    return Keepalive()


class Keepalive(Layer):
    """The layer of the keepalive option; created by `keepalive`."""

    name: ClassVar[str] = "keepalive"
    is_for_every_opcode: ClassVar[bool] = True
    inside = {  # noqa: RUF012  # the base class says ClassVar
        "cookies": "it sends refusals, and a client with a cookie discards answers without one",
        "tsig": "it replies by itself, and every reply to a signed question is signed",
    }
    option = iana.OPTION_KEEPALIVE
    is_constant = True

    def before(self, query: Query, context: Context) -> Verdict:
        """Refuse a query with a timeout, which only a server may send."""
        if context.connection is None or not query.option(iana.OPTION_KEEPALIVE):
            return context
        trace = context.get(Trace)
        if trace is not None:
            trace.note("keepalive", "the query names a timeout", "RFC 7828 §3.2.1")
        return Reply(query, iana.FORMERR)

    def after(self, query: Query, context: Context, reply: Reply) -> Reply:
        """Add the idle timeout; never over datagrams (RFC 7828 §3.2.2)."""
        connection = context.connection
        if connection is None or query.option(iana.OPTION_KEEPALIVE) is None:
            return reply
        # "in units of 100 milliseconds, encoded in network byte order", in two octets.
        timeout = min(int(connection.idle_timeout * 10), 0xFFFF)
        return reply.having(iana.OPTION_KEEPALIVE, timeout.to_bytes(2, "big"))
