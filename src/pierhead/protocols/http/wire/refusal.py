"""What a peer's message is refused with: its status, and a problem document (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus

from pierhead.errors import DecodeError
from pierhead.printable import visible
from pierhead.protocols.http.wire.fields import FieldsGiven
from pierhead.protocols.http.wire.message import Response

__all__ = ["BadMessage", "problem"]


class BadMessage(DecodeError):
    """A message breaks a rule of HTTP, or passes a limit.

    ``status`` is the status code of its refusal; after one that a reader raises, nothing more can
    be read from the connection.
    """

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


#: The names of RFC 9110 where those of Python are older.
_PHRASES = {413: "Content Too Large", 414: "URI Too Long", 422: "Unprocessable Content"}


def problem(
    status: int, detail: str = "", *, fields: FieldsGiven = (), path: str | None = None
) -> Response:
    """Return a response that says what is wrong, as a problem document (RFC 9457).

    Args:
        status: its code.
        detail: what was found and expected.
        fields: further fields.
        path: the place in the content that is at fault: ``$.number``.
    """
    document: dict[str, object] = {"title": _phrase(status), "status": status}
    if detail:
        document["detail"] = visible(detail)
    if path is not None:
        document["path"] = path
    content = json.dumps(document).encode() + b"\n"
    return Response(status, content, fields, content_type="application/problem+json")


def _phrase(status: int) -> str:
    if status in _PHRASES:
        return _PHRASES[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # a code that nobody has registered
        return "Error"
