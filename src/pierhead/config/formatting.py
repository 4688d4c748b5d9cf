"""The one way to lay out a configuration file: only blanks and line ends change."""

from __future__ import annotations

import re

from pierhead.config.locate import Place, statements

__all__ = ["reformat"]

_COMMENT_BEHIND = re.compile(r"[ \t]*(#[^\n]*)?\n?")


def reformat(text: str) -> str:
    """Return the text in its canonical layout, comments included.

    Headers and keys begin their lines, one blank is on either side of the equals sign, a comment
    behind a value has two before it, one empty line is above each header, and never two.

    Args:
        text: accepted by `tomllib`.
    """
    text = text.replace("\r\n", "\n")
    lines: list[str] = []
    at = 0
    for place in statements(text):
        start = min(place.key, place.start)
        _between(text[at:start], lines)
        if _is_header(place):
            _part_from_above(lines)
        behind = _COMMENT_BEHIND.match(text, place.end)
        comment = f"  {behind[1].rstrip()}" if behind is not None and behind[1] else ""
        lines.append(f"{_written(text, place)}{comment}")
        at = place.end if behind is None else behind.end()
    _between(text[at:], lines)
    return "\n".join(lines).strip("\n") + "\n"


def _is_header(place: Place) -> bool:
    return place.start < place.key


def _written(text: str, place: Place) -> str:
    value = text[place.start : place.end]
    if _is_header(place):
        return value
    key = text[place.key : place.start].rstrip(" \t").removesuffix("=").rstrip(" \t")
    return f"{key} = {value}"


def _between(gap: str, lines: list[str]) -> None:
    """Add comments, and one empty line for several."""
    for line in gap.split("\n")[:-1]:
        if line.strip() or (lines and lines[-1]):
            lines.append(line.strip())
    if last := gap.rpartition("\n")[2].strip():
        lines.append(last)


def _part_from_above(lines: list[str]) -> None:
    """Put an empty line above a header, or above the comments right before it."""
    above = len(lines)
    while above and lines[above - 1].startswith("#"):
        above -= 1
    if above and lines[above - 1]:
        lines.insert(above, "")
