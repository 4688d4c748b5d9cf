"""Counters and gauges: what servers count, and nothing a service could count itself.

A metric is a name and labels; `Metrics.snapshot` returns all of them as plain numbers. Every
drop is counted in ``dropped_total`` with a ``reason``. What is received equals the sum of its
outcomes; docs/explanation/the-path.md has the equation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pierhead.printable import digits, visible

__all__ = ["Metric", "Metrics"]

#: How many label sets one name and listener may have. A check or a service may take a label from
#: what a peer has sent; the excess is counted together.
_MOST_SERIES = 256
#: The maximum length of a label value, in characters.
_LONGEST_VALUE = 200
_OTHER = "other"


class Metric:
    """One number: add to it as a counter, or set it as a gauge."""

    __slots__ = ("kind", "labels", "name", "value")

    def __init__(
        self, name: str, labels: tuple[tuple[str, str], ...], kind: Literal["counter", "gauge"]
    ) -> None:
        self.name = name
        self.labels = labels
        self.kind = kind
        self.value: float = 0

    def add(self, amount: float = 1) -> None:
        """Add this many; negative for a gauge that falls."""
        self.value += amount

    def __repr__(self) -> str:
        return f"{_key(self.name, self.labels)} {digits(self.value)}"


class _Watched:
    """A gauge that is read on demand: the sum of what these functions return."""

    __slots__ = ("functions", "labels", "name")

    kind: Literal["gauge"] = "gauge"

    def __init__(self, name: str, labels: tuple[tuple[str, str], ...]) -> None:
        self.name = name
        self.labels = labels
        self.functions: list[Callable[[], float]] = []

    @property
    def value(self) -> float:
        return sum(function() for function in self.functions)


class Metrics:
    """A registry of metrics; handed to servers and layers at construction."""

    def __init__(self) -> None:
        self._metrics: dict[tuple[str, tuple[tuple[str, str], ...]], Metric] = {}
        self._watched: dict[tuple[str, tuple[tuple[str, str], ...]], _Watched] = {}
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

    def snapshot(self) -> dict[str, float]:
        """Return every metric as ``name{label="value"}`` and its number, sorted by name."""
        everything = self._everything()
        return dict(sorted((_key(m.name, m.labels), m.value) for m in everything))

    def total(self, name: str, **labels: str) -> float:
        """Return the sum over all metrics with this name and at least these labels."""
        wanted = set(labels.items())
        everything = self._everything()
        return sum(m.value for m in everything if m.name == name and wanted <= set(m.labels))

    def _everything(self) -> list[Metric | _Watched]:
        return [*self._metrics.values(), *self._watched.values()]

    def _metric(
        self, name: str, labels: dict[str, str], kind: Literal["counter", "gauge"]
    ) -> Metric:
        key = (name, tuple(sorted(labels.items())))
        metric = self._metrics.get(key)
        return self._new(key, labels, kind) if metric is None else metric

    def _new(
        self,
        key: tuple[str, tuple[tuple[str, str], ...]],
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


def _key(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    if not labels:
        return name
    inner = ",".join(f'{label}="{_escape(value)}"' for label, value in labels)
    return f"{name}{{{inner}}}"


def _escape(value: str) -> str:
    return visible(value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
