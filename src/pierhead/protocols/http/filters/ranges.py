"""Which part of a representation a request wants (RFC 9110 §14)."""

from __future__ import annotations

import re

__all__ = ["wanted_ranges"]

#: More ranges than a reader of documents asks for; each costs a part of a message.
_MAX_RANGES = 16

_ONE = re.compile(r"(\d{0,18})-(\d{0,18})\Z", re.ASCII)


def wanted_ranges(field: str | None, size: int) -> list[range] | None:
    """Return the ranges of octets that a field ``Range`` asks for; None for all there is.

    None of them can be satisfied if the list is empty. A field that is malformed, of another unit,
    or asks for more than there is altogether, is ignored, as RFC 9110 §14.2 allows.
    """
    unit, equals, text = (field or "").partition("=")
    if not equals or unit.strip(" \t").lower() != "bytes":
        return None
    specs = [spec for part in text.split(",") if (spec := part.strip(" \t"))]
    if not specs or len(specs) > _MAX_RANGES:
        return None
    found = []
    for spec in specs:
        matched = _ONE.match(spec)
        if matched is None or spec == "-":
            return None
        first, last = matched.groups()
        if first and last and int(last) < int(first):
            return None
        one = _resolved(first, last, size)
        if one:
            found.append(one)
    # Ranges that overlap would have one request answered by many times the file.
    return None if sum(map(len, found)) > size else found


def _resolved(first: str, last: str, size: int) -> range:
    if not first:  # the last so many octets
        return range(max(0, size - int(last)), size)
    return range(int(first), min(size, int(last) + 1 if last else size))
