"""The shortest way from a service to an endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pierhead.codec.base import WireFormat, check_wire_format
from pierhead.codec.octets import Octets
from pierhead.server.endpoint import Endpoint
from pierhead.server.framed import framed
from pierhead.server.makes_endpoint import makes_endpoint
from pierhead.service import Middleware, ServiceFunction
from pierhead.service.admission import Admission, check_admission
from pierhead.service.coding import coded, in_frame_layers

__all__ = ["raw", "serve"]

Q = TypeVar("Q")
R = TypeVar("R")


@makes_endpoint
def serve(
    service: ServiceFunction[Q, R],
    wire_format: WireFormat[Q, R],
    *,
    name: str = "service",
    admission: Sequence[Admission] = (),
    frame_layers: Sequence[Middleware] = (),
    short_form: tuple[str, ...] = ("tcp",),
) -> Endpoint:
    """Return the service as an endpoint for datagrams and streams.

    Args:
        service: answers one request. One with a ``lifespan()`` is entered while it is served.
        wire_format: how requests and replies are encoded; datagrams carry one frame each.
        name: for logs and messages.
        admission: checks on every frame before it is decoded, in order.
        frame_layers: layers around the octets of every frame, outside the codec; the first is the
            outermost. They see all frames that pass admission, so there are no ready answers.
        short_form: the schemes that an address without a scheme stands for.
    """
    swapped = isinstance(service, WireFormat)
    check_wire_format(
        wire_format,
        "; the service comes first: serve(service, wire_format)" if swapped else "",
    )
    handler = coded(service, wire_format.requests, wire_format.replies)
    handler = in_frame_layers(handler, frame_layers)
    return Endpoint(
        name=name,
        datagram=handler,
        stream=framed(handler, wire_format.framing, wire_format.order),
        short_form=short_form,
        admission=check_admission(admission),
        lifespan=getattr(service, "lifespan", None),
    )


@makes_endpoint
def raw(
    service: ServiceFunction[bytes, bytes],
    *,
    name: str = "raw",
    admission: Sequence[Admission] = (),
    short_form: tuple[str, ...] = ("udp",),
) -> Endpoint:
    """Return the service as an endpoint for datagrams; it takes and returns raw octets.

    Packets of a seqpacket connection are served as well; a stream has no message boundaries, so it
    needs a wire format: `serve`.

    Args:
        service: answers the octets of one datagram.
        name: for logs and messages.
        admission: checks on every datagram, in order.
        short_form: the schemes that an address without a scheme stands for.
    """
    return Endpoint(
        name=name,
        datagram=coded(service, Octets()),
        short_form=short_form,
        admission=check_admission(admission),
    )
