"""Responses to octets of HTTP/1.1."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus

from pierhead.errors import UsageError
from pierhead.protocols.http.wire.fields import Fields
from pierhead.protocols.http.wire.message import Response

__all__ = [
    "CONTINUE",
    "LAST_CHUNK",
    "chunk",
    "date_line",
    "has_content",
    "last_chunk",
    "response_head",
]

#: RFC 9110 §15.2.1.
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

LAST_CHUNK = b"0\r\n\r\n"

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus
}

#: What the engine says, not a service.
_OF_THE_ENGINE = frozenset(["connection", "date", "keep-alive", "transfer-encoding", "upgrade"])


def has_content(method: str, status: int) -> bool:
    """Return whether a response has content at all (RFC 9110 §6.4.1)."""
    return method != "HEAD" and status != 204 and status != 304


def response_head(
    method: str, response: Response, date: str, *, is_chunked: bool = False, connection: str = ""
) -> bytes:
    """Return the status line and the fields, with the empty line.

    Args:
        method: of the request.
        date: a whole line, from `date_line`.
        is_chunked: whether the content is sent in chunks.
        connection: the field of this name; "" for none.

    Raises:
        UsageError: a field contradicts what the engine does.
    """
    status, length = response.status, response.body.length
    lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n", date]
    given_length = None
    for name, value in response.fields:
        key = name.lower()
        if key == "content-length":
            given_length = value
        elif key not in _OF_THE_ENGINE:
            lines.append(f"{name}: {value}\r\n")
        elif key == "transfer-encoding" or key == "upgrade":
            raise UsageError(f"a response has the field {name}, which the server sets itself")
    if is_chunked:
        lines.append("Transfer-Encoding: chunked\r\n")
    elif given_length is not None:
        _check_length(given_length, length, method, status)
        if status != 204:
            lines.append(f"Content-Length: {given_length}\r\n")
    elif length is not None and status != 204 and status != 304:
        lines.append(f"Content-Length: {length}\r\n")
    lines.append(f"Connection: {connection}\r\n\r\n" if connection else "\r\n")
    return "".join(lines).encode("latin-1")


def _check_length(given: str, length: int | None, method: str, status: int) -> None:
    """Refuse a length that is not that of the content, which would shift every later response."""
    is_free = not has_content(method, status) and not length  # what GET would have (§8.6)
    if not (given.isascii() and given.isdigit()) or not (is_free or given == str(length)):
        raise UsageError(
            f"a response has Content-Length {given!r} and content of {length} octets; leave the "
            "field out, the server sets it"
        )


def date_line(seconds: float) -> str:
    """Return the field Date for this time, in seconds since 1970 (RFC 9110 §6.6.1)."""
    return f"Date: {formatdate(seconds, usegmt=True)}\r\n"


def chunk(part: bytes) -> bytes:
    """Return octets as one chunk; an empty one would be the last."""
    return b"%x\r\n%b\r\n" % (len(part), part)


def last_chunk(trailers: Fields) -> bytes:
    """Return the end of chunked content, with its trailer fields."""
    if not trailers:
        return LAST_CHUNK
    lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
    return f"0\r\n{lines}\r\n".encode("latin-1")
