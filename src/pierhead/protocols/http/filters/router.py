"""Many alternatives: which of them may answer a request is found by the segments of its path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pierhead.protocols.http.filters.rejection import Rejected, most_specific
from pierhead.protocols.http.filters.route import Asked, Parameter, Plan, Route, Tail

__all__ = ["Router"]


class _Node:
    """Where paths may go on from here."""

    __slots__ = ("any", "ends", "literals", "tails")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.ends: list[Plan] = []
        self.tails: list[Plan] = []


class Router:
    """Alternatives in their order; the first that takes a request answers it.

    A request is checked by those alone whose literal segments are those of its path: a hundred
    routes cost what ten cost.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for order, route in enumerate(routes):
            self._add(Plan(route, order))

    async def run(self, asked: Asked) -> tuple[Any, ...] | Rejected:
        """Return the values of the first alternative that takes the request, or a rejection."""
        rejections = []
        plans = self.candidates(asked.segments)
        if len(plans) > 1:
            # What is read for one alternative must do for those that follow.
            asked.most_bytes = max(plan.max_bytes for plan in plans)
        for plan in plans:
            taken: tuple[Any, ...] | Rejected = await plan.run(asked)
            if not isinstance(taken, Rejected):
                return taken
            rejections.append(taken)
        return most_specific(rejections)

    def candidates(self, segments: tuple[str, ...]) -> list[Plan]:
        """Return the alternatives whose literal segments match, in order."""
        found = list(self._root.tails)
        nodes = [self._root]
        for segment in segments:
            following = []
            for node in nodes:
                if (literal := node.literals.get(segment)) is not None:
                    following.append(literal)
                if node.any is not None:
                    following.append(node.any)
            if not following:
                break
            nodes = following
            for node in nodes:
                found += node.tails
        else:
            for node in nodes:
                found += node.ends
        if len(found) > 1:
            found.sort(key=lambda plan: plan.order)
        return found

    def _add(self, plan: Plan) -> None:
        node = self._root
        if plan.pattern is None:
            node.tails.append(plan)
            return
        for part in plan.pattern:
            if isinstance(part, Tail):
                node.tails.append(plan)
                return
            if isinstance(part, Parameter):
                node.any = node.any or _Node()
                node = node.any
            else:
                node = node.literals.setdefault(part, _Node())
        node.ends.append(plan)
