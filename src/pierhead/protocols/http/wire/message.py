"""Requests and responses of HTTP, the same for every version of it (RFC 9110)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cached_property
from urllib.parse import unquote

from pierhead.errors import UsageError
from pierhead.protocols.http.wire.body import Body
from pierhead.protocols.http.wire.fields import Fields, FieldsGiven, is_token

__all__ = ["Request", "Response"]


class Request:
    """What a client asks.

    Args:
        method: a token, in its own case (``GET``).
        target: as received: ``/path?query``, an absolute URI, ``host:port`` of CONNECT, or ``*``.
        fields: the header fields.
        body: the content.
        version: ``1.0``, ``1.1`` or ``2``.
        scheme: ``http`` or ``https``: whether the connection is encrypted.
        authority: the host that is asked, with its port if it was given; "" if none was.
    """

    def __init__(
        self,
        method: str,
        target: str,
        fields: FieldsGiven = (),
        body: Body | bytes = b"",
        *,
        version: str = "1.1",
        scheme: str = "http",
        authority: str = "",
    ) -> None:
        if not is_token(method):
            raise UsageError(f"method is {method!r}, expected a token (RFC 9110 section 9.1)")
        self.method = method
        self.target = target
        self.fields = fields if isinstance(fields, Fields) else Fields(fields)
        self.body = body if isinstance(body, Body) else Body(body)
        self.version = version
        self.scheme = scheme
        self.authority = authority or self.fields.get("host", "") or ""

    @cached_property
    def raw_path(self) -> str:
        """The path as received, percent-encoded."""
        target = self.target
        if not target.startswith("/") and "://" in target:  # absolute-form (RFC 9112 §3.2.2)
            target = "/" + target.partition("://")[2].partition("/")[2]
        return target.partition("?")[0]

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The path between its slashes, decoded one by one: ``/a%2Fb/c`` has two segments."""
        parts = self.raw_path.split("/")[1:]
        return tuple(unquote(part, errors="surrogateescape") for part in parts)

    @cached_property
    def query(self) -> str:
        """What follows the question mark, percent-encoded; "" if there is none."""
        return self.target.partition("?")[2]

    def __repr__(self) -> str:
        return f"Request({self.method!r}, {self.target!r})"


class Response:
    """What a server answers.

    Args:
        status: a final status code, 200 to 599.
        body: the content: octets, text (UTF-8), or an async iterator of octets.
        fields: header fields. Length, date and connection are the engine's.
        length: how many octets an iterator will give; None where that is not known.
        content_type: sets the field unless it is among the fields. Text has ``text/plain`` unless
            given.
    """

    def __init__(
        self,
        status: int = 200,
        body: bytes | str | AsyncIterator[bytes] | Body = b"",
        fields: FieldsGiven = (),
        *,
        length: int | None = None,
        content_type: str | None = None,
    ) -> None:
        if not 200 <= status <= 599:
            raise UsageError(f"status is {status}, expected a final one, 200 to 599")
        self.status = status
        given = fields if isinstance(fields, Fields) else Fields(fields)
        if isinstance(body, str):
            content_type = content_type or "text/plain; charset=utf-8"
            body = body.encode()
        if content_type is not None and "content-type" not in given:
            given = given.with_field("Content-Type", content_type)
        self.fields = given
        self.body = body if isinstance(body, Body) else Body(body, length)

    def __repr__(self) -> str:
        return f"Response({self.status}, {self.body.ready!r})"
