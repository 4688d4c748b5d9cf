"""Which of several forms a client prefers (RFC 9110 §12.4, §12.5)."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["chosen", "media_type", "weights"]


def chosen(offered: Sequence[str], accept: Sequence[str]) -> str | None:
    """Return the media type that the fields ``Accept`` prefer; None if they accept none.

    Without such a field everything is acceptable.
    """
    if not accept:
        return offered[0] if offered else None
    ranges = weights(accept)
    best, found = 0.0, None
    for one in offered:
        quality = _quality(media_type(one), ranges)
        if quality > best:
            best, found = quality, one
    return found


def weights(fields: Sequence[str]) -> dict[str, float]:
    """Return the members of such a field, in lower case, with their weights."""
    found: dict[str, float] = {}
    for member in ",".join(fields).split(","):
        name, *parameters = (part.strip(" \t").lower() for part in member.split(";"))
        if name:
            found[name] = next((_weight(one[2:]) for one in parameters if one[:2] == "q="), 1.0)
    return found


def media_type(field: str | None) -> str:
    """Return the media type of a field without its parameters, in lower case."""
    return (field or "").partition(";")[0].strip(" \t").lower()


def _quality(media: str, ranges: dict[str, float]) -> float:
    """Return how much a type is wanted: the most specific range counts (RFC 9110 §12.5.1)."""
    for one in (media, f"{media.partition('/')[0]}/*", "*/*"):
        if one in ranges:
            return ranges[one]
    return 0.0


def _weight(text: str) -> float:
    # A weight has up to three decimals: 0.5, 1, 1.000 (RFC 9110 §12.4.2).
    plain = text.replace(".", "", 1)
    return min(float(text), 1.0) if plain.isascii() and plain.isdigit() else 0.0
