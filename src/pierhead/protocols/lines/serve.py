"""Lines as an endpoint and as a wire format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, overload

from pierhead.codec import Lines
from pierhead.codec.base import WireFormat
from pierhead.connection.liveness import Liveness
from pierhead.protocols.lines.datagram import each_line, lines_of
from pierhead.protocols.lines.wire import Bytes, Text
from pierhead.server.converse import ConversationHandler
from pierhead.server.converse import converse as converse_format
from pierhead.server.conversing import Conversing
from pierhead.server.endpoint import Endpoint
from pierhead.server.makes_endpoint import makes_endpoint
from pierhead.server.serve import serve as serve_format
from pierhead.service import Middleware, ServiceFunction
from pierhead.service.admission import Admission
from pierhead.service.coding import coded, in_frame_layers
from pierhead.service.context import Context, Peer, Via

__all__ = ["converse", "echo", "serve", "wire_format"]


@overload
def wire_format(*, max_length_bytes: int = ...) -> WireFormat[str, str]: ...
@overload
def wire_format(encoding: str, *, max_length_bytes: int = ...) -> WireFormat[str, str]: ...
@overload
def wire_format(encoding: None, *, max_length_bytes: int = ...) -> WireFormat[bytes, bytes]: ...


def wire_format(
    encoding: str | None = "utf-8", *, max_length_bytes: int = 65_536
) -> WireFormat[Any, Any]:
    """Return the wire format of lines: a request is a line, and so is a reply.

    Args:
        encoding: of the text; None for lines of bytes.
        max_length_bytes: the longest line, excluding its line ending.
    """
    codec = Bytes() if encoding is None else Text(encoding)
    return WireFormat(Lines(max_length_bytes=max_length_bytes), codec)


@overload
def serve(
    service: ServiceFunction[str, str],
    *,
    encoding: str = ...,
    max_length_bytes: int = ...,
    admission: Sequence[Admission] = ...,
    frame_layers: Sequence[Middleware] = ...,
) -> Endpoint: ...
@overload
def serve(
    service: ServiceFunction[bytes, bytes],
    *,
    encoding: None,
    max_length_bytes: int = ...,
    admission: Sequence[Admission] = ...,
    frame_layers: Sequence[Middleware] = ...,
) -> Endpoint: ...


@makes_endpoint
def serve(
    service: ServiceFunction[Any, Any],
    *,
    encoding: str | None = "utf-8",
    max_length_bytes: int = 65_536,
    admission: Sequence[Admission] = (),
    frame_layers: Sequence[Middleware] = (),
) -> Endpoint:
    """Return a service of lines as an endpoint.

    The protocol has no way to report an error: a line that is not text in the encoding, that is too
    long, or that the service fails to answer, closes the connection; a datagram gets no reply. A
    reply that contains a newline is an error in the service.

    A datagram may hold several lines; their answers are sent in one datagram, as lines. If one of
    them is refused, all are.

    Args:
        service: answers one line: with a line, None for no reply, or many lines.
        encoding: of the text; None passes bytes to the service and expects bytes.
        max_length_bytes: the longest line, excluding its line ending.
        admission: checks on every line before it is decoded, in order.
        frame_layers: layers around the octets of every line or datagram, outside the codec,
            outermost first; they see everything that passes admission, so no answer is ready.
    """
    lines: WireFormat[Any, Any] = wire_format(encoding, max_length_bytes=max_length_bytes)
    endpoint = serve_format(
        service, lines, name="lines", admission=admission, frame_layers=frame_layers
    )
    datagram = in_frame_layers(
        each_line(coded(service, lines.requests, lines.replies)), frame_layers
    )
    return replace(endpoint, datagram=datagram)


class _Echo:
    """Answers a line with itself, immediately."""

    reflects = True

    async def __call__(self, line: bytes, context: Context) -> bytes:
        return line

    def answer_now(self, line: bytes, peer: Peer, via: Via) -> bytes:
        """Return the reply, which is always known."""
        return line


@overload
def converse(
    handler: ConversationHandler[str, str],
    *,
    encoding: str = ...,
    max_length_bytes: int = ...,
    admission: Sequence[Admission] = ...,
    liveness: Liveness[str, str] | None = ...,
) -> Endpoint: ...
@overload
def converse(
    handler: ConversationHandler[bytes, bytes],
    *,
    encoding: None,
    max_length_bytes: int = ...,
    admission: Sequence[Admission] = ...,
    liveness: Liveness[bytes, bytes] | None = ...,
) -> Endpoint: ...


@makes_endpoint
def converse(
    handler: ConversationHandler[Any, Any],
    *,
    encoding: str | None = "utf-8",
    max_length_bytes: int = 65_536,
    admission: Sequence[Admission] = (),
    liveness: Liveness[Any, Any] | None = None,
) -> Endpoint:
    """Return conversations of lines as an endpoint; each message is a line.

    A datagram may hold several lines, and what is sent is a datagram each.

    Args:
        handler: called with each `Conversation`.
        encoding: of the text; None passes bytes.
        max_length_bytes: the longest line, excluding its line ending.
        admission: checks on every line before it is decoded, in order.
        liveness: finds out that a peer is dead, and answers its pings; None for neither.
    """
    wire = (
        wire_format(None, max_length_bytes=max_length_bytes)
        if encoding is None
        else wire_format(encoding, max_length_bytes=max_length_bytes)
    )
    endpoint = converse_format(handler, wire, name="lines", admission=admission, liveness=liveness)
    conversing = Conversing(handler, wire, frames=lines_of, liveness=liveness)
    return replace(endpoint, datagram=conversing)


#: The service that answers a line with itself; serve it with ``encoding=None``.
echo = _Echo()
