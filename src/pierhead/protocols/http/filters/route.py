"""One way through a filter: what it checks, and what becomes of the values it extracts.

A filter is one route or several alternatives. A route is a list of operations upon a stack of
values, so that `&` joins two lists:

    path("data") & post() & json(Data)  .map(handle)
    [Path,         Take,    Take,        Apply]

`Plan` is a route made ready to run: what can be refused cheaply is checked first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from pierhead.errors import UsageError
from pierhead.protocols.http.filters.rejection import Rejected, Stage
from pierhead.protocols.http.wire import Request
from pierhead.service.context import Context

__all__ = ["Apply", "Asked", "Operation", "Parameter", "Path", "Plan", "Route", "Tail", "Take"]


class Asked:
    """A request on its way through the alternatives.

    Attributes:
        segments: the part of the path that these alternatives see.
        spent: why the content cannot be read any more; None while it can.
        most_bytes: how much of the content one of the alternatives would read.
    """

    __slots__ = ("context", "most_bytes", "request", "segments", "spent")

    def __init__(
        self, request: Request, context: Context, segments: tuple[str, ...] | None = None
    ) -> None:
        self.request = request
        self.context = context
        self.segments = request.segments if segments is None else segments
        self.spent: Rejected | None = None
        self.most_bytes = 0


@dataclass(frozen=True, slots=True)
class Parameter:
    """A segment of a path that is a value; ``convert`` raises ValueError for what is none."""

    name: str
    convert: Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Tail:
    """The rest of a path, as a tuple of segments."""


#: A segment as it is, one that is a value, or all the rest.
Part: TypeAlias = str | Parameter | Tail


@dataclass(frozen=True, slots=True)
class Path:
    """An operation: match the next segments, and push what they are."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Take:
    """An operation: check the request, and push what has been found.

    Attributes:
        stage: when, relative to others.
        take: returns values, or why the request is rejected; awaited if ``waits``.
        count: how many values.
        max_bytes: how much of the content it reads.
    """

    stage: Stage
    take: Callable[[Asked], Any]
    count: int
    waits: bool = False
    max_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Apply:
    """An operation: replace the last ``count`` values by what a function makes of them."""

    function: Callable[..., Any]
    count: int
    waits: bool


Operation: TypeAlias = Path | Take | Apply


@dataclass(frozen=True, slots=True)
class Route:
    """Operations, and how many values they leave."""

    operations: tuple[Operation, ...]
    count: int

    def joined(self, other: Route) -> Route:
        """Return the route that does what this one does, then the other."""
        return Route(self.operations + other.operations, self.count + other.count)

    def applied(self, function: Callable[..., Any], *, waits: bool) -> Route:
        """Return the route whose only value is what a function makes of the values."""
        return Route((*self.operations, Apply(function, self.count, waits)), 1)

    def pattern(self) -> tuple[Part, ...] | None:
        """Return the whole path that is matched; None if any is.

        Raises:
            UsageError: something follows a tail.
        """
        paths = [one.parts for one in self.operations if isinstance(one, Path)]
        parts = tuple(part for one in paths for part in one)
        if any(isinstance(part, Tail) for part in parts[:-1]):
            raise UsageError("a path goes on after its tail, expected the tail at the end")
        return parts if paths else None


class Plan:
    """A route that is ready to run.

    Args:
        route: the route.
        order: which of the alternatives it is.
    """

    __slots__ = ("_checks", "_paths", "_push", "max_bytes", "order", "pattern")

    def __init__(self, route: Route, order: int) -> None:
        self.order = order
        self.pattern = route.pattern()
        operations = route.operations
        takes = [(at, one) for at, one in enumerate(operations) if isinstance(one, Take)]
        self._checks = sorted(takes, key=lambda pair: pair[1].stage)
        self._paths = [
            (at, one.parts) for at, one in enumerate(operations) if isinstance(one, Path)
        ]
        self._push = operations
        self.max_bytes = max((one.max_bytes for _, one in takes), default=0)

    async def run(self, asked: Asked) -> Any:
        """Return the values as a tuple, or why the request is rejected."""
        found: list[tuple[Any, ...]] = [()] * len(self._push)
        if self._paths and not self._match(asked.segments, found):
            return Rejected(404, "nothing is served at this path", stage=Stage.PATH)
        for at, check in self._checks:
            taken = check.take(asked)
            if check.waits:
                taken = await taken
            if isinstance(taken, Rejected):
                return taken
            found[at] = taken
        values: list[Any] = []
        try:
            for at, one in enumerate(self._push):
                if not isinstance(one, Apply):
                    values += found[at]
                    continue
                first = len(values) - one.count
                made = one.function(*values[first:])
                values[first:] = [await made if one.waits else made]
        except Rejected as rejection:
            return rejection
        return tuple(values)

    def _match(self, segments: tuple[str, ...], found: list[tuple[Any, ...]]) -> bool:
        """Match the whole path; what its parts are goes to the places of their operations."""
        here = 0
        for at, parts in self._paths:
            values: list[Any] = []
            for part in parts:
                if isinstance(part, Tail):
                    values.append(segments[here:])
                    here = len(segments)
                    continue
                if here == len(segments):
                    return False
                segment = segments[here]
                here += 1
                if isinstance(part, str):
                    if part != segment:
                        return False
                    continue
                try:
                    values.append(part.convert(segment))
                except ValueError:
                    return False
            found[at] = tuple(values)
        return here == len(segments)
