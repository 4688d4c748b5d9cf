"""Joins a DNS service to the wire: datagrams, streams and the check in front of both."""

from __future__ import annotations

from collections.abc import Sequence

from pierhead.admission import Admission
from pierhead.codec import LengthPrefixed
from pierhead.codec.base import Order
from pierhead.coded import coded
from pierhead.endpoint import Endpoint
from pierhead.protocols.dns.admission import check_header
from pierhead.protocols.dns.codec import MAX_UDP_PAYLOAD, DatagramCodec, StreamCodec
from pierhead.protocols.dns.middleware import ExtendedErrors
from pierhead.protocols.dns.stacking import Stack, standard
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.server.framed import framed
from pierhead.service import ServiceFunction

__all__ = ["serve"]


def serve(
    service: ServiceFunction[Query, Reply],
    *,
    admission: Sequence[Admission] = (),
    max_udp_payload: int = int(MAX_UDP_PAYLOAD.default),
) -> Endpoint:
    """Return the endpoint that answers DNS queries with a service.

    An address without scheme stands for UDP and TCP. Replies on one connection leave in any
    order (RFC 7766 §7).

    Args:
        service: takes a `Query`, gives a `Reply`. The standard layers go around it, unless it is
            a stack already: `standard` with options, or `stack` with layers of your choice,
            ``dns.stack(service)`` for none but what is mandatory.
        admission: further checks, asked after the header check.
        max_udp_payload: the largest answer in a datagram, 512 to 4096 octets.

    Example:
        >>> from pierhead.protocols import dns
        >>> async def always(query, context):
        ...     return query.reply(dns.A("192.0.2.1"))
        >>> endpoint = dns.serve(always)
    """
    layered = service if isinstance(service, Stack) else standard(service)
    tells_why = any(isinstance(layer, ExtendedErrors) for layer in layered.layers)
    stream = coded(layered, StreamCodec(max_udp_payload, extended_errors=tells_why))
    datagram = coded(layered, DatagramCodec(max_udp_payload, extended_errors=tells_why))
    return Endpoint(
        name="dns",
        datagram=datagram,
        stream=framed(stream, LengthPrefixed(2), Order.ANY),
        short_form=("udp", "tcp"),
        admission=(check_header, *admission),
    )
