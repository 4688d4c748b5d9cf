"""Counters, gauges and histograms: what servers count, and nothing a service could count itself.

A metric is a name and labels; `Metrics.snapshot` returns all of them as plain numbers,
`Metrics.readings` as values that `pierhead.metrics_text` merges and writes for Prometheus. Every
drop is counted in ``dropped_total`` with a ``reason``. What is received equals the sum of its
outcomes; docs/explanation/the-path.md has the equation.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pierhead.printable import digits, visible

__all__ = ["BOUNDS", "Histogram", "Kind", "Metric", "Metrics", "Reading"]

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
_Labels: TypeAlias = tuple[tuple[str, str], ...]

#: The upper bounds of the buckets of a histogram, in seconds: from what is answered in place to the
#: default of ``request_timeout``. Each costs one line for each series of the exposition.
BOUNDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

#: How many label sets one name and listener may have. A check or a service may take a label from
#: what a peer has sent; the excess is counted together.
_MOST_SERIES = 256
#: The maximum length of a label value, in characters.
_LONGEST_VALUE = 200
_OTHER = "other"


class Metric:
    """One number: add to it as a counter, or set it as a gauge."""

    __slots__ = ("kind", "labels", "name", "value")

    def __init__(self, name: str, labels: _Labels, kind: Literal["counter", "gauge"]) -> None:
        self.name = name
        self.labels = labels
        self.kind = kind
        self.value: float = 0

    def add(self, amount: float = 1) -> None:
        """Add this many; negative for a gauge that falls."""
        self.value += amount

    def __repr__(self) -> str:
        return f"{_key(self.name, self.labels)} {digits(self.value)}"


class Histogram:
    """How many observations fell into each bucket, and their sum.

    Attributes:
        counts: one number for each of `BOUNDS`, and one for what is above all of them.
        total: the sum of what was observed.
    """

    __slots__ = ("counts", "labels", "name", "total")

    kind: Literal["histogram"] = "histogram"

    def __init__(self, name: str, labels: _Labels) -> None:
        self.name = name
        self.labels = labels
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total: float = 0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value, this many times."""
        self.counts[bisect_left(BOUNDS, value)] += times
        self.total += value * times

    @property
    def value(self) -> float:
        """How many values have been observed."""
        return sum(self.counts)

    def __repr__(self) -> str:
        return f"{_key(self.name, self.labels)} {digits(self.value)} observed"


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric at one time; a value that another process can be sent.

    Attributes:
        value: of a histogram the sum of what was observed.
        bounds: of a histogram the upper bounds of its buckets, ascending.
        counts: of a histogram the number in each bucket, and above all of them; not cumulative.
    """

    name: str
    kind: Kind
    labels: _Labels
    value: float
    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()


class _Watched:
    """A gauge that is read on demand: the sum of what these functions return."""

    __slots__ = ("functions", "labels", "name")

    kind: Literal["gauge"] = "gauge"

    def __init__(self, name: str, labels: _Labels) -> None:
        self.name = name
        self.labels = labels
        self.functions: list[Callable[[], float]] = []

    @property
    def value(self) -> float:
        return sum(function() for function in self.functions)


class Metrics:
    """A registry of metrics; handed to servers and layers at construction."""

    def __init__(self) -> None:
        self._metrics: dict[tuple[str, _Labels], Metric] = {}
        self._watched: dict[tuple[str, _Labels], _Watched] = {}
        self._histograms: dict[tuple[str, _Labels], Histogram] = {}
        self._series: dict[tuple[str, str], int] = {}

    def counter(self, name: str, **labels: str) -> Metric:
        """Return the counter with this name and these labels, created at the first call."""
        return self._metric(name, labels, "counter")

    def gauge(self, name: str, **labels: str) -> Metric:
        """Return the gauge with this name and these labels, created at the first call."""
        return self._metric(name, labels, "gauge")

    def watch(self, name: str, function: Callable[[], float], **labels: str) -> Callable[[], None]:
        """Register a function that is called whenever the gauge is read; return the function that
        ends it.

        The values of several functions with the same name and labels are added.
        """
        key = (name, tuple(sorted(labels.items())))
        watched = self._watched.setdefault(key, _Watched(*key))
        watched.functions.append(function)

        def end() -> None:
            if function in watched.functions:
                watched.functions.remove(function)

        return end

    def histogram(self, name: str, **labels: str) -> Histogram:
        """Return the histogram with this name and these labels, created at the first call.

        For labels that the program itself chooses: their number has no bound.
        """
        key = (name, tuple(sorted(labels.items())))
        histogram = self._histograms.get(key)
        if histogram is None:
            histogram = self._histograms[key] = Histogram(*key)
        return histogram

    def readings(self) -> list[Reading]:
        """Return every metric as a value."""
        found = [Reading(m.name, m.kind, m.labels, m.value) for m in self._numbers()]
        found += [
            Reading(one.name, one.kind, one.labels, one.total, BOUNDS, tuple(one.counts))
            for one in self._histograms.values()
        ]
        return found

    def snapshot(self) -> dict[str, float]:
        """Return every metric as ``name{label="value"}`` and its number, sorted by name.

        Of a histogram, the number of what it has observed.
        """
        everything = self._everything()
        return dict(sorted((_key(m.name, m.labels), m.value) for m in everything))

    def total(self, name: str, **labels: str) -> float:
        """Return the sum over all metrics with this name and at least these labels."""
        wanted = set(labels.items())
        everything = self._everything()
        return sum(m.value for m in everything if m.name == name and wanted <= set(m.labels))

    def _numbers(self) -> list[Metric | _Watched]:
        return [*self._metrics.values(), *self._watched.values()]

    def _everything(self) -> list[Metric | _Watched | Histogram]:
        return [*self._numbers(), *self._histograms.values()]

    def _metric(
        self, name: str, labels: dict[str, str], kind: Literal["counter", "gauge"]
    ) -> Metric:
        key = (name, tuple(sorted(labels.items())))
        metric = self._metrics.get(key)
        return self._new(key, labels, kind) if metric is None else metric

    def _new(
        self,
        key: tuple[str, _Labels],
        labels: dict[str, str],
        kind: Literal["counter", "gauge"],
    ) -> Metric:
        name = key[0]
        owner = name, labels.get("listener", "")
        number = self._series.get(owner, 0)
        cut = {label: value[:_LONGEST_VALUE] for label, value in labels.items()}
        if number >= _MOST_SERIES:
            cut = {label: cut[label] if label == "listener" else _OTHER for label in cut}
        if cut != labels:
            return self._metric(name, cut, kind)
        self._series[owner] = number + 1
        metric = self._metrics[key] = Metric(name, key[1], kind)
        return metric


def _key(name: str, labels: _Labels) -> str:
    if not labels:
        return name
    inner = ",".join(f'{label}="{_escape(value)}"' for label, value in labels)
    return f"{name}{{{inner}}}"


def _escape(value: str) -> str:
    return visible(value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
