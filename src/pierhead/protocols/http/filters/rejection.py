"""Why a filter does not answer a request, and the problem document that says so (RFC 9457)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from pierhead.errors import PeerError, UsageError
from pierhead.protocols.http.wire import Fields, Response
from pierhead.protocols.http.wire.refusal import problem

__all__ = ["Rejected", "Stage", "most_specific"]


class Stage(IntEnum):
    """What a request is checked for, in this order, whatever the order in which it is written."""

    PATH = 0
    METHOD = 1
    HOST = 2
    HEAD = 3
    CONTENT = 4
    FUNCTION = 5


class Rejected(PeerError):
    """A filter does not answer this request; raise it from a handler to let others try.

    Args:
        status: a status code, 400 to 599.
        detail: what was found and expected, for the client.
        fields: fields of the response, such as ``Allow``.
        path: the place in the content that is at fault: ``$.number``.
        stage: how far the request got; what a handler raises got furthest.
    """

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        fields: Iterable[tuple[str, str]] = (),
        path: str | None = None,
        stage: Stage = Stage.FUNCTION,
    ) -> None:
        if not 400 <= status <= 599:
            raise UsageError(f"status is {status}, expected 400 to 599")
        self.status = status
        self.detail = detail
        self.fields = tuple(fields)
        self.path = path
        self.stage = stage
        super().__init__(f"{status} {detail}".rstrip())

    def response(self) -> Response:
        """Return the response: a problem document (RFC 9457)."""
        return problem(self.status, self.detail, fields=self.fields, path=self.path)


def most_specific(rejections: Iterable[Rejected]) -> Rejected:
    """Return the rejection that got furthest; the order of the alternatives does not matter.

    Methods that alternatives allow, and media types that they accept, are listed together.
    """
    found = list(rejections)
    if not found:
        return Rejected(404, "nothing is served at this path", stage=Stage.PATH)
    best = max(found, key=_specificity)
    same = [one for one in found if one.status == best.status and one.stage == best.stage]
    if len(same) == 1 or not best.fields:
        return best
    fields, detail = Fields(best.fields), best.detail
    for name in ("Allow", "Accept"):
        listed = {member for one in same for member in Fields(one.fields).members(name)}
        if listed:
            fields = fields.replaced(name, ", ".join(sorted(listed)))
    if best.stage is Stage.METHOD:
        detail = f"expected {' or '.join(fields.members('allow'))}"
    return Rejected(best.status, detail, fields=tuple(fields), path=best.path, stage=best.stage)


def _specificity(rejection: Rejected) -> tuple[int, int, str, str]:
    return rejection.stage, rejection.status, rejection.detail, rejection.path or ""
