"""The text that Prometheus and others read (OpenMetrics 1.0), and the merging of several processes.

    Metrics.readings ─┐
    Metrics.readings ─┼─▶ merged ─▶ exposition ─▶ text
    Metrics.readings ─┘

Text is ASCII, and no octet of a peer can break a line of it: label values are escaped as by
`pierhead.printable`, under which two that differ stay different.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import TypeAlias

from pierhead.metrics import Kind, Reading
from pierhead.metrics_table import METRICS
from pierhead.printable import printable

__all__ = ["CONTENT_TYPE", "exposition", "merged"]

#: The media type of the text.
CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

#: In front of every name, so that a query finds what is ours.
_PREFIX = "pierhead_"
#: OpenMetrics: a unit is the last word of the name of its family.
_UNITS = ("seconds", "bytes")

_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_]")

_Key: TypeAlias = tuple[str, Kind, tuple[tuple[str, str], ...]]


def merged(processes: Iterable[Sequence[Reading]]) -> list[Reading]:
    """Return what several processes have counted as that of one, sorted.

    Numbers are added, except of a gauge that has another rule in `METRICS`. Of histograms whose
    buckets differ, as those of two versions may, the bounds that all have remain. The order and the
    grouping of the processes make no difference, but for the rounding of sums.
    """
    found: dict[_Key, Reading] = {}
    for readings in processes:
        for one in readings:
            key = (one.name, one.kind, one.labels)
            before = found.get(key)
            found[key] = one if before is None else _joined(before, one)
    return [found[key] for key in sorted(found)]


def exposition(readings: Iterable[Reading]) -> str:
    """Return readings as OpenMetrics text, with the help of those that Pierhead makes.

    Names begin with ``pierhead_``. Of two kinds of metric with one name, the second has its kind
    behind the name, since a family has one kind.
    """
    families: dict[tuple[str, Kind], list[Reading]] = {}
    for one in readings:
        families.setdefault((_family(one), one.kind), []).append(one)
    lines: list[str] = []
    taken: set[str] = set()
    for (name, kind), members in sorted(families.items()):
        own = f"{name}_{kind}" if name in taken else name
        taken.add(name)
        lines += _header(own, kind, members[0].name)
        for labels, one in sorted(_exposed(members)):
            lines += _samples(own, labels, one)
    return "\n".join([*lines, "# EOF", ""])


def _exposed(members: Sequence[Reading]) -> list[tuple[str, Reading]]:
    """Return the members of a family by their labels as text, of which no two are the same."""
    by_labels: dict[str, Reading] = {}
    for one in members:
        labels = _labels(one.labels)
        before = by_labels.get(labels)
        by_labels[labels] = one if before is None else _joined(before, one)
    return list(by_labels.items())


def _joined(one: Reading, other: Reading) -> Reading:
    row = METRICS.get(one.name)
    if one.kind == "gauge" and row is not None and row.joined == "least":
        return one if one.value <= other.value else other
    value = one.value + other.value
    if one.kind != "histogram":
        return Reading(one.name, one.kind, one.labels, value)
    bounds = tuple(sorted(set(one.bounds) & set(other.bounds)))
    pairs = zip(_within(one, bounds), _within(other, bounds), strict=True)
    counts = tuple(mine + theirs for mine, theirs in pairs)
    return Reading(one.name, one.kind, one.labels, value, bounds, counts)


def _within(one: Reading, bounds: tuple[float, ...]) -> list[int]:
    """Return the counts of a histogram in fewer buckets."""
    if bounds == one.bounds:
        return list(one.counts)
    upto = dict(zip((*one.bounds, math.inf), accumulate(one.counts), strict=True))
    cumulative = [0, *(upto[bound] for bound in (*bounds, math.inf))]
    return [after - before for before, after in pairwise(cumulative)]


def _family(one: Reading) -> str:
    name = one.name.removesuffix("_total") if one.kind == "counter" else one.name
    return _PREFIX + _NOT_IN_A_NAME.sub("_", name)


def _header(family: str, kind: Kind, name: str) -> Iterator[str]:
    yield f"# TYPE {family} {kind}"
    unit = family.rpartition("_")[2]
    if unit in _UNITS:
        yield f"# UNIT {family} {unit}"
    if name in METRICS:
        yield f"# HELP {family} {_quoted(METRICS[name].meaning)}"


def _samples(family: str, labels: str, one: Reading) -> Iterator[str]:
    if one.kind != "histogram":
        suffix = "_total" if one.kind == "counter" else ""
        yield f"{family}{suffix}{_braces(labels)} {_number(one.value)}"
        return
    comma = "," if labels else ""
    for bound, count in zip((*one.bounds, math.inf), accumulate(one.counts), strict=True):
        yield f'{family}_bucket{{{labels}{comma}le="{_number(float(bound))}"}} {count}'
    yield f"{family}_count{_braces(labels)} {sum(one.counts)}"
    yield f"{family}_sum{_braces(labels)} {_number(one.value)}"


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    return ",".join(
        f'{_NOT_IN_A_NAME.sub("_", name)}="{_quoted(printable(value))}"' for name, value in labels
    )


def _braces(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
