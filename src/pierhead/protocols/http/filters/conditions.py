"""Whether a request still wants what it asks for (RFC 9110 §13)."""

from __future__ import annotations

from email.utils import formatdate, parsedate_to_datetime
from typing import NamedTuple

from pierhead.protocols.http.wire import Fields

__all__ = ["Validators", "failed_condition", "is_range_current"]


class Validators(NamedTuple):
    """What tells one state of a representation from another.

    Attributes:
        etag: the entity tag, with its quotes.
        modified: when it was modified, in whole seconds since 1970.
    """

    etag: str
    modified: int

    def fields(self) -> tuple[tuple[str, str], ...]:
        """Return the fields of a response that carry them."""
        modified = formatdate(self.modified, usegmt=True)
        return ("ETag", self.etag), ("Last-Modified", modified)


def failed_condition(fields: Fields, current: Validators) -> int | None:
    """Return 304 or 412 if a GET or HEAD is not to be answered as usual (RFC 9110 §13.2.2)."""
    before = _date(fields.get("if-unmodified-since"))
    if "if-match" in fields:
        if not _listed(fields, "if-match", current.etag, strongly=True):
            return 412
    elif before is not None and current.modified > before:
        return 412
    if "if-none-match" in fields:
        return 304 if _listed(fields, "if-none-match", current.etag, strongly=False) else None
    since = _date(fields.get("if-modified-since"))
    return 304 if since is not None and current.modified <= since else None


def is_range_current(fields: Fields, current: Validators) -> bool:
    """Return whether ``If-Range`` lets a range be sent (RFC 9110 §13.1.5)."""
    field = fields.get("if-range")
    if field is None:
        return True
    if field.startswith(('"', "W/")):
        return field == current.etag and not field.startswith("W/")
    # A date is strong only if nothing changed within its second, as a strong tag says.
    return _date(field) == current.modified and not current.etag.startswith("W/")


def _listed(fields: Fields, name: str, etag: str, *, strongly: bool) -> bool:
    given = ",".join(fields.all(name)).strip(" \t")
    if given == "*":
        return True
    if strongly and etag.startswith("W/"):
        return False
    # Tags of ours contain neither commas nor quotes, so that splitting is exact for them.
    tags = [tag.strip(" \t") for tag in given.split(",")]
    return etag in tags if strongly else _opaque(etag) in map(_opaque, tags)


def _opaque(tag: str) -> str:
    return tag.removeprefix("W/")


def _date(field: str | None) -> int | None:
    """Return a date in seconds since 1970; None if there is none, or it is malformed."""
    if field is None:
        return None
    try:
        parsed = parsedate_to_datetime(field)
        return int(parsed.timestamp()) if parsed.tzinfo is not None else None
    except (ValueError, TypeError, OverflowError):
        return None
