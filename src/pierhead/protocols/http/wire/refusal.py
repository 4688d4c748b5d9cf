"""What a peer's message is refused with: its status, and a problem document (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus

from pierhead.errors import DecodeError
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


def problem(status: int, detail: str = "") -> Response:
    """Return a response that says what is wrong, as a problem document (RFC 9457)."""
    document: dict[str, object] = {"title": HTTPStatus(status).phrase, "status": status}
    if detail:
        document["detail"] = detail
    content = json.dumps(document).encode() + b"\n"
    return Response(status, content, content_type="application/problem+json")
