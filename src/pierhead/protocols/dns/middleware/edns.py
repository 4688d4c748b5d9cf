"""EDNS options that every server should understand, whether or not it makes use of them.

The version, the payload size, DO and unknown options are the codec's business: they cannot be
left out.
"""

from __future__ import annotations

from typing import ClassVar

from pierhead.errors import DecodeError
from pierhead.protocols.dns.middleware.layer import Layer, Verdict
from pierhead.protocols.dns.trace import Trace
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import parse_client_subnet
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.service.context import Context

__all__ = ["EdnsOptions", "edns"]


def edns() -> EdnsOptions:
    """Return the layer that tells resolvers that answers are the same for every network.

    A client subnet comes back with scope 0 (RFC 7871 §7.2.1), so that the answer is cached once
    for everybody. A service that does look at it puts the option into its reply itself.
    """
    return EdnsOptions()


class EdnsOptions(Layer):
    """The layer of the client-subnet option; made by `edns`."""

    name: ClassVar[str] = "edns"
    is_for_every_opcode: ClassVar[bool] = True
    inside = {  # noqa: RUF012  # the base class says ClassVar
        "cookies": "it refuses by itself, and a client with a cookie discards an answer without"
    }
    option = iana.OPTION_CLIENT_SUBNET
    is_constant = True

    def before(self, query: Query, context: Context) -> Verdict:
        """Refuse a client subnet that is none, the first or another (RFC 7871 §7.1.2)."""
        try:
            for code, data in query.options:
                if code == iana.OPTION_CLIENT_SUBNET:
                    parse_client_subnet(data)
        except DecodeError as error:
            trace = context.get(Trace)
            if trace is not None:
                trace.note("edns", str(error), "RFC 7871 §6")
            return Reply(query, iana.FORMERR)
        return context

    def after(self, query: Query, context: Context, reply: Reply) -> Reply:
        """Give the subnet back with scope 0, unless the service has said something about it."""
        data = query.option(iana.OPTION_CLIENT_SUBNET)
        if data is None or any(code == iana.OPTION_CLIENT_SUBNET for code, _ in reply.options):
            return reply
        # The query's scope is 0 already: the option is what it has to be.
        return reply.having(iana.OPTION_CLIENT_SUBNET, data)
