"""Connects a DNS service to the wire: datagrams, streams and the check before both."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pierhead.protocols.dns.admission import check_header
from pierhead.protocols.dns.answer_cache import MAX_READY_ANSWERS, MAX_READY_BYTES, AnswerCache
from pierhead.protocols.dns.codec import (
    MAX_UDP_PAYLOAD,
    DatagramReplyCodec,
    QueryCodec,
    ReplyCodec,
    wire_format,
)
from pierhead.protocols.dns.middleware import ExtendedErrors, RateLimit
from pierhead.protocols.dns.stacking import Stack, standard
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.server.endpoint import Endpoint
from pierhead.server.framed import framed
from pierhead.server.makes_endpoint import makes_endpoint
from pierhead.service import FrameHandler, Middleware, ServiceFunction
from pierhead.service.admission import Admission, check_admission
from pierhead.service.coding import coded, in_frame_layers

__all__ = ["serve"]


@makes_endpoint
def serve(
    service: ServiceFunction[Query, Reply],
    *,
    admission: Sequence[Admission] = (),
    frame_layers: Sequence[Middleware] = (),
    max_udp_payload: int = int(MAX_UDP_PAYLOAD.default),
    max_ready_answers: int = int(MAX_READY_ANSWERS.default),
    max_ready_bytes: int = int(MAX_READY_BYTES.default),
) -> Endpoint:
    """Return an endpoint that answers DNS queries with a service.

    An address without a scheme stands for UDP and TCP. Replies on one connection are sent in any
    order (RFC 7766 §7).

    Args:
        service: takes a `Query`, returns a `Reply`. The standard layers are added around it, unless
            it is already a stack: `standard` with options, or `stack` with layers of your choice,
            ``dns.stack(service)`` for only the mandatory ones.
        admission: further checks, run after the header check.
        frame_layers: layers around the octets of every message, outside the codec, outermost first;
            they see everything that passes admission, so no answers are kept ready.
        max_udp_payload: the largest answer in a datagram, 512 to 4096 octets.
        max_ready_answers: how many answers of each transport are kept ready, if the service and its
            layers allow it; 0 keeps none.
        max_ready_bytes: how much memory the ready answers of each transport may use.

    Example:
        >>> from pierhead.protocols import dns
        >>> async def always(query, context):
        ...     return query.reply(dns.A("192.0.2.1"))
        >>> endpoint = dns.serve(always)
    """
    layered = service if isinstance(service, Stack) else standard(service)
    tells_why = any(isinstance(layer, ExtendedErrors) for layer in layered.layers)
    queries = QueryCodec(layered.opcodes)
    stream = ReplyCodec(max_udp_payload, extended_errors=tells_why, queries=queries)
    datagram = DatagramReplyCodec(max_udp_payload, extended_errors=tells_why, queries=queries)
    travels = wire_format()
    bounds = (
        int(MAX_READY_ANSWERS.check(max_ready_answers)),
        int(MAX_READY_BYTES.check(max_ready_bytes)),
    )
    if frame_layers:
        bounds = (0, 0)
    datagrams = in_frame_layers(_handler(layered, queries, datagram, bounds), frame_layers)
    streams = in_frame_layers(_handler(layered, queries, stream, bounds), frame_layers)
    return Endpoint(
        name="dns",
        datagram=datagrams,
        stream=framed(streams, travels.framing, travels.order),
        short_form=("udp", "tcp"),
        admission=(check_header, *check_admission(admission)),
        reload=layered.reload,
        lifespan=layered.lifespan,
        alpn=("dot",),  # RFC 7858, as registered by IANA for ALPN
    )


def _handler(
    layered: Stack, queries: QueryCodec, replies: ReplyCodec, bounds: tuple[int, int]
) -> FrameHandler:
    """Return the handler of frames, with ready answers if allowed."""
    limits = [layer for layer in layered.layers if isinstance(layer, RateLimit)]
    limit = limits[0] if limits else None
    withholds = None
    if limit is not None and isinstance(replies, DatagramReplyCodec):
        withholds = limit.withholds_refusal
    ready = None
    if layered.snapshot is not None and all(bounds):
        ready = AnswerCache(layered.snapshot, limit, *bounds)
    handler = coded(layered.service, queries, replies, ready)
    return dataclasses.replace(handler, withholds=withholds)
