"""A service of HTTP as an endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, Unpack, cast

from pierhead.errors import DecodeError, Overloaded, PierheadError, ServiceFailed, TimedOut
from pierhead.protocols.http.serving.connection import HttpConnection
from pierhead.protocols.http.serving.place import RequestPlace, ResponseParts
from pierhead.protocols.http.wire import Request, Response
from pierhead.protocols.http.wire.limits import RequestLimits
from pierhead.protocols.http.wire.refusal import problem
from pierhead.protocols.http.wire.request_reader import RequestReader
from pierhead.server.connection import ConnectionScope
from pierhead.server.endpoint import Endpoint, StreamHandler
from pierhead.server.makes_endpoint import makes_endpoint
from pierhead.service import Handler, Service, ServiceFunction, as_service
from pierhead.service.admission import Admission, check_admission
from pierhead.service.context import Context

__all__ = ["HttpLimits", "serve"]


class HttpLimits(TypedDict, total=False):
    """The limits that `serve` takes as keywords; see `pierhead.protocols.http.wire.limits`."""

    max_request_line_bytes: int
    max_head_bytes: int
    max_fields: int
    max_body_bytes: int | Literal["off"]
    max_chunk_extension_bytes: int
    max_discarded_bytes: int
    body_timeout: float
    min_body_rate: int


@makes_endpoint
def serve(
    service: ServiceFunction[Request, Response | str | bytes],
    *,
    admission: Sequence[Admission] = (),
    **limits: Unpack[HttpLimits],
) -> Endpoint:
    """Return a service of HTTP as an endpoint.

    A service that raises is answered for with a problem document (RFC 9457): 500, 503 when it took
    too long or a limit was reached, or what is wrong with the request.

    Args:
        service: answers a request with a response; text or octets stand for one with status 200.
            One with a ``lifespan()`` is entered while it is served.
        admission: checks on every request, in order; a dropped one closes its connection.
        limits: how large a request may be.

    Raises:
        UsageError: httptools is not installed, a limit is out of range, or this is no service.
    """
    checked = RequestLimits.of(cast(dict[str, Any], limits))
    RequestReader(checked)  # fails now, not at the first connection, if httptools is missing
    if (check := getattr(service, "check_service", None)) is not None:
        check()  # now, and not at each request
    handler = Handler(_in_parts(as_service(service)), _refusal, reply_type=Response)
    return Endpoint(
        name="http",
        stream=_Http(handler, checked),
        short_form=("tcp",),
        admission=check_admission(admission),
        alpn=("http/1.1",),
        lifespan=getattr(service, "lifespan", None),
    )


@dataclass(frozen=True, slots=True)
class _Http:
    """Makes a connection's server."""

    handler: Handler[Request, Response]
    limits: RequestLimits

    def __call__(self, scope: ConnectionScope) -> HttpConnection:
        return HttpConnection(scope, self.handler, self.limits)

    def goes_on_from(self, before: StreamHandler) -> bool:
        """Return whether another handler's connections read requests as these do."""
        return isinstance(before, _Http) and before.limits == self.limits


def _in_parts(service: Service[Request, Response | str | bytes]) -> Service[Request, Any]:
    """Return a service whose responses are whole, or octets one part after the other."""

    async def answered(request: Request, context: Context) -> Any:
        response: object = await service(request, context)
        if not isinstance(response, Response):
            response = _response(response)
        if response.body.ready is None and isinstance(context.connection, RequestPlace):
            return ResponseParts(context.connection, response)
        return response

    answered.__qualname__ = getattr(service, "__qualname__", "request")
    return answered


def _response(given: object) -> Response:
    if isinstance(given, str | bytes):
        return Response(200, given)
    raise ServiceFailed(
        f"the service returned {type(given).__name__}, expected a Response, str or bytes; give "
        "many parts as one response: Response(200, parts)"
    )


def _refusal(error: PierheadError, request: Request) -> Response:
    """Return what a request gets that has no response of its service."""
    status = getattr(error, "status", None)
    if isinstance(error, DecodeError):
        return problem(status if isinstance(status, int) else 400, error.reason)
    if isinstance(error, TimedOut | Overloaded):
        return problem(503)
    return problem(500)
