"""EDNS options that every server should understand, whether or not it uses them.

The version, the payload size, DO and unknown options are handled by the codec: they are not
optional.
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

    A client subnet is returned with scope 0 (RFC 7871 §7.2.1), so that the answer is cached once
    for all clients. A service that uses the subnet adds the option to its reply itself.
    """
    return EdnsOptions()


class EdnsOptions(Layer):
    """The layer of the client-subnet option; created by `edns`."""

    name: ClassVar[str] = "edns"
    is_for_every_opcode: ClassVar[bool] = True
    inside = {  # noqa: RUF012  # the base class says ClassVar
        "cookies": "it sends refusals, and a client with a cookie discards answers without one",
        "tsig": "it replies by itself, and every reply to a signed question is signed",
    }
    option = iana.OPTION_CLIENT_SUBNET
    is_constant = True

    def before(self, query: Query, context: Context) -> Verdict:
        """Refuse an invalid client subnet, the first or another (RFC 7871 §7.2.1)."""
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
        """Return the subnet with scope 0, unless the service has set the option."""
        data = query.option(iana.OPTION_CLIENT_SUBNET)
        if data is None or any(code == iana.OPTION_CLIENT_SUBNET for code, _ in reply.options):
            return reply
        # The query's scope is already 0: the option can be returned unchanged.
        return reply.having(iana.OPTION_CLIENT_SUBNET, data)
