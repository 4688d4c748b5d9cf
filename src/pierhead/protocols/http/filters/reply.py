"""What handlers return, as responses."""

from __future__ import annotations

from typing import Any

from pierhead.codec.json import Json
from pierhead.errors import UsageError
from pierhead.protocols.http.wire import Response

__all__ = ["as_response", "html", "json_reply", "redirect", "status", "text_reply", "with_header"]

_REDIRECTS = (301, 302, 303, 307, 308)


def as_response(*values: object) -> Response:
    """Return what a handler has returned as a response.

    A response is itself, text is ``text/plain``, octets are ``application/octet-stream``, nothing
    is 204, and anything else is JSON.

    Raises:
        UsageError: there are several values, or JSON cannot represent this one.
    """
    if len(values) > 1:
        raise UsageError(f"a filter of {len(values)} values, expected one; give it a handler")
    value = values[0] if values else None
    if isinstance(value, Response):
        return value
    if isinstance(value, str):
        return Response(200, value)
    if isinstance(value, bytes):
        return Response(200, value, content_type="application/octet-stream")
    return Response(204) if value is None else json_reply(value)


def json_reply(value: Any, status: int = 200) -> Response:
    """Return a response of JSON: a dataclass, a struct, a list and so on."""
    return Response(status, _JSON.encode(value), content_type="application/json")


def text_reply(text: str, status: int = 200) -> Response:
    """Return a response of plain text."""
    return Response(status, text)


def html(text: str, status: int = 200) -> Response:
    """Return a response of HTML; what it contains is not escaped."""
    return Response(status, text, content_type="text/html; charset=utf-8")


def redirect(location: str, status: int = 303) -> Response:
    """Return a redirection: 303 has the client GET the location, 307 and 308 repeat the request."""
    if status not in _REDIRECTS:
        raise UsageError(f"status is {status}, expected one of {', '.join(map(str, _REDIRECTS))}")
    return Response(status, fields=(("Location", location),))


def status(code: int, reply: object = None) -> Response:
    """Return what a handler returns as a response with this status."""
    response = as_response(reply)
    return Response(code, response.body, response.fields)


def with_header(reply: object, name: str, value: str) -> Response:
    """Return what a handler returns as a response with one more field."""
    response = as_response(reply)
    return Response(response.status, response.body, response.fields.with_field(name, value))


_JSON = Json[Any]()
