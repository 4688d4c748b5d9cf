"""Which pages of other origins may read answers: the CORS protocol of the Fetch standard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pierhead.errors import UsageError
from pierhead.protocols.http.filters.rejection import Rejected
from pierhead.protocols.http.wire import Request, Response
from pierhead.service import Middleware, Service, as_service
from pierhead.service.context import Context

__all__ = ["cors"]


def cors(
    *origins: str,
    methods: Sequence[str] = ("GET", "HEAD", "POST"),
    headers: Sequence[str] = (),
    expose: Sequence[str] = (),
    credentials: bool = False,
    max_age: int = 600,
) -> Middleware:
    """Return a layer that lets pages of these origins ask, and answers their preflight requests.

    Args:
        origins: ``https://example.org``, or ``*`` for any.
        methods: the methods that they may use.
        headers: the fields that they may send, beyond those that every page may.
        expose: the fields of answers that they may read, beyond those that every page may.
        credentials: whether cookies are sent; not with ``*``.
        max_age: for how many seconds a browser need not ask again.

    Raises:
        UsageError: no origin, one that is none, or ``*`` with credentials.
    """
    _check(origins, credentials)
    is_any = "*" in origins
    known = frozenset(origin.lower() for origin in origins)
    allowed_methods = frozenset(methods)
    allowed_headers = frozenset(name.lower() for name in headers)

    def granted(origin: str) -> list[tuple[str, str]]:
        fields = [("Access-Control-Allow-Origin", "*" if is_any else origin)]
        if credentials:
            fields.append(("Access-Control-Allow-Credentials", "true"))
        return fields

    def preflight(request: Request, origin: str) -> Response:
        asked = request.fields.get("access-control-request-method", "")
        names = {n.lower() for n in request.fields.members("access-control-request-headers")}
        if not (is_any or origin.lower() in known):
            return Rejected(403, "this origin may not ask").response()
        if asked not in allowed_methods:
            return Rejected(403, f"expected a method of {', '.join(methods)}").response()
        if not names <= allowed_headers:
            return Rejected(403, f"expected no fields but {', '.join(headers)}").response()
        fields = [*granted(origin), ("Access-Control-Allow-Methods", ", ".join(methods))]
        if headers:
            fields.append(("Access-Control-Allow-Headers", ", ".join(headers)))
        fields.append(("Access-Control-Max-Age", str(max_age)))
        return Response(204, fields=fields)

    def layer(function: Service[Any, Any]) -> Service[Any, Any]:
        service = as_service(function)

        async def shared(request: Request, context: Context) -> Any:
            origin = request.fields.get("origin")
            is_preflight = "access-control-request-method" in request.fields
            if origin is not None and request.method == "OPTIONS" and is_preflight:
                return _varying(preflight(request, origin), is_any)
            response = await service(request, context)
            if not isinstance(response, Response):
                return response
            fields = response.fields
            if origin is not None and (is_any or origin.lower() in known):
                for name, value in granted(origin):
                    fields = fields.with_field(name, value)
                if expose:
                    fields = fields.with_field("Access-Control-Expose-Headers", ", ".join(expose))
            return _varying(Response(response.status, response.body, fields), is_any)

        return shared

    return layer


def _varying(response: Response, is_any: bool) -> Response:
    """Tell caches that the answer depends on the origin, unless it is the same for all."""
    if is_any:
        return response
    return Response(response.status, response.body, response.fields.with_field("Vary", "Origin"))


def _check(origins: Sequence[str], credentials: bool) -> None:
    if not origins:
        raise UsageError("no origin was given, expected one or more, or '*'")
    for origin in origins:
        scheme, _, host = origin.partition("://")
        if origin != "*" and (not scheme or not host or "/" in host):
            raise UsageError(f"{origin!r} is not an origin, expected https://example.org or *")
    if credentials and "*" in origins:
        raise UsageError("credentials are not for any origin; name the origins")
