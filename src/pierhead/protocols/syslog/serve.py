"""Syslog as an endpoint and as a wire format."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar, overload

from pierhead.codec import Order, SyslogFraming, WireFormat
from pierhead.protocols.syslog.wire import BsdMessage, LenientCodec, Message, MessageCodec
from pierhead.server.endpoint import Endpoint
from pierhead.server.makes_endpoint import makes_endpoint
from pierhead.server.serve import serve as serve_format
from pierhead.service import Middleware
from pierhead.service.admission import Admission
from pierhead.service.context import Context

__all__ = ["serve", "wire_format"]

M = TypeVar("M")
Sink = Callable[[M, Context], Awaitable[None]]


@overload
def wire_format(
    *, bsd: Literal[False] = ..., non_transparent: bool = ..., max_length_bytes: int = ...
) -> WireFormat[Message, Message]: ...
@overload
def wire_format(
    *, bsd: Literal[True], non_transparent: bool = ..., max_length_bytes: int = ...
) -> WireFormat[Message | BsdMessage, Message | BsdMessage]: ...


def wire_format(
    *, bsd: bool = False, non_transparent: bool = False, max_length_bytes: int = 65_536
) -> WireFormat[Any, Any]:
    """Return the wire format of syslog: RFC 5424 over RFC 6587 on streams, RFC 5426 in datagrams.

    Args:
        bsd: messages may also be in the older format (RFC 3164): any frame is a message then.
        non_transparent: write messages that end with LF, for receivers that do not count octets.
        max_length_bytes: the longest message on a stream.
    """
    codec = LenientCodec() if bsd else MessageCodec()
    framing = SyslogFraming(max_length_bytes, non_transparent)
    # There are no replies, so that a message that is refused holds up nothing.
    return WireFormat(framing, codec, order=Order.ANY)


@overload
def serve(
    service: Sink[Message],
    *,
    bsd: Literal[False] = ...,
    max_length_bytes: int = ...,
    admission: Sequence[Admission] = ...,
    frame_layers: Sequence[Middleware] = ...,
) -> Endpoint: ...
@overload
def serve(
    service: Sink[Message | BsdMessage],
    *,
    bsd: Literal[True],
    max_length_bytes: int = ...,
    admission: Sequence[Admission] = ...,
    frame_layers: Sequence[Middleware] = ...,
) -> Endpoint: ...


@makes_endpoint
def serve(
    service: Sink[Any],
    *,
    bsd: bool = False,
    max_length_bytes: int = 65_536,
    admission: Sequence[Admission] = (),
    frame_layers: Sequence[Middleware] = (),
) -> Endpoint:
    """Return a service that takes syslog messages as an endpoint.

    Nothing is answered. A message that cannot be decoded is counted and dropped; its connection
    goes on. A datagram is one message.

    Args:
        service: takes one message and returns nothing.
        bsd: take messages in the older format too (RFC 3164): the service gets a `BsdMessage` then.
        max_length_bytes: the longest message on a stream.
        admission: checks on every message before it is decoded, in order.
        frame_layers: layers around the octets of every message, outside the codec, outermost first.
    """
    wire: WireFormat[Any, Any] = (
        wire_format(bsd=True, max_length_bytes=max_length_bytes)
        if bsd
        else wire_format(max_length_bytes=max_length_bytes)
    )
    return serve_format(
        service,
        wire,
        name="syslog",
        admission=admission,
        frame_layers=frame_layers,
        short_form=("udp", "tcp"),
    )
