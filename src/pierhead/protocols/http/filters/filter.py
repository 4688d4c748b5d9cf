"""A filter extracts values from a request or rejects it; it is a service too.

    received = (http.path("data") & http.post() & http.json(Data)).map(lambda data: f"{data}")

Its type parameters are the types of the values: those are the arguments of its handler, and type
checkers refuse a handler of other ones.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, Generic, TypeVar, TypeVarTuple, overload

from pierhead.errors import UsageError
from pierhead.protocols.http.filters.rejection import Rejected, Stage
from pierhead.protocols.http.filters.reply import as_response
from pierhead.protocols.http.filters.route import Asked, Path, Route, Tail, Take
from pierhead.protocols.http.filters.router import Router
from pierhead.protocols.http.wire import Request, Response
from pierhead.service.context import Context

__all__ = ["Filter"]

Ts = TypeVarTuple("Ts")
R = TypeVar("R")
S = TypeVar("S")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")

#: Alternatives of alternatives multiply; a program that needs as many has written them by a loop.
_MAX_ROUTES = 10_000


class Filter(Generic[*Ts]):
    """What a request must be, and the values it then has.

    ``a & b`` takes what both take, and has the values of ``a``, then of ``b``. ``a | b`` takes what
    ``a`` takes, and otherwise what ``b`` takes. What is checked first does not depend on the order
    in which it is written: the path, the method, the host, other fields, the content.

    As a service it answers with its value, as `as_response` does, or with the most specific of the
    rejections.
    """

    def __init__(self, routes: tuple[Route, ...]) -> None:
        if len(routes) > _MAX_ROUTES:
            raise UsageError(f"a filter of {len(routes)} routes, expected {_MAX_ROUTES} at most")
        counts = sorted({route.count for route in routes})
        if len(counts) > 1:
            raise UsageError(
                f"alternatives of {counts[0]} and of {counts[1]} values, expected as many in each; "
                "give each its handler by map or then first"
            )
        for route in routes:
            route.pattern()
        self._routes = routes

    @classmethod
    def taking(
        cls,
        stage: Stage,
        take: Callable[[Asked], Any],
        count: int,
        *,
        waits: bool = False,
        max_bytes: int = 0,
    ) -> Filter[*Ts]:
        """Return a filter of one operation; see `Take`."""
        return cls((Route((Take(stage, take, count, waits, max_bytes),), count),))

    @overload
    def __and__(self, other: Filter[()]) -> Filter[*Ts]: ...
    @overload
    def __and__(self, other: Filter[A]) -> Filter[*Ts, A]: ...
    @overload
    def __and__(self, other: Filter[A, B]) -> Filter[*Ts, A, B]: ...
    @overload
    def __and__(self, other: Filter[A, B, C]) -> Filter[*Ts, A, B, C]: ...
    @overload
    def __and__(self, other: Filter[A, B, C, D]) -> Filter[*Ts, A, B, C, D]: ...
    @overload
    def __and__(self, other: Filter[A, B, C, D, E]) -> Filter[*Ts, A, B, C, D, E]: ...
    @overload
    def __and__(self, other: Filter[A, B, C, D, E, F]) -> Filter[*Ts, A, B, C, D, E, F]: ...
    def __and__(self, other: Filter[*tuple[Any, ...]]) -> Filter[*tuple[Any, ...]]:
        if not isinstance(other, Filter):
            return NotImplemented
        return Filter(tuple(one.joined(two) for one in self._routes for two in other._routes))

    @overload
    def __or__(self, other: Filter[*Ts]) -> Filter[*Ts]: ...
    @overload
    def __or__(self: Filter[R], other: Filter[S]) -> Filter[R | S]: ...
    def __or__(self, other: Filter[*tuple[Any, ...]]) -> Filter[*tuple[Any, ...]]:
        if not isinstance(other, Filter):
            return NotImplemented
        return Filter(self._routes + other._routes)

    def map(self, function: Callable[[*Ts], R]) -> Filter[R]:
        """Return the filter whose value is what the function returns for the values of this one.

        Raises:
            UsageError: it is an async function.
        """
        if inspect.iscoroutinefunction(function):
            raise UsageError(f"{_name(function)} is async, expected a plain one; give it to then")
        return Filter(tuple(one.applied(function, waits=False) for one in self._routes))

    def then(self, function: Callable[[*Ts], Awaitable[R]]) -> Filter[R]:
        """Return the filter whose value is what the async function returns.

        A `Rejected` that it raises lets the alternatives that follow try.
        """
        return Filter(tuple(one.applied(function, waits=True) for one in self._routes))

    @overload
    def recover(self: Filter[R], function: Callable[[Rejected], Awaitable[S]]) -> Filter[R | S]: ...
    @overload
    def recover(self: Filter[R], function: Callable[[Rejected], S]) -> Filter[R | S]: ...
    def recover(self: Filter[Any], function: Callable[[Rejected], Any]) -> Filter[Any]:
        """Return the filter that has a function answer what this one rejects.

        It takes every request, so alternatives that follow are never asked. The function may raise
        the rejection again, or another one.
        """
        router = self._router
        _one_value(self._routes)

        async def recovered(asked: Asked, segments: tuple[str, ...]) -> Any:
            below = Asked(asked.request, asked.context, segments)
            below.spent = asked.spent
            taken = await router.run(below)
            asked.spent = below.spent
            if not isinstance(taken, Rejected):
                return taken[0]
            answer = function(taken)
            return await answer if inspect.isawaitable(answer) else answer

        take = Take(Stage.HEAD, lambda asked: (asked,), 1)
        return Filter((Route((take, Path((Tail(),))), 2).applied(recovered, waits=True),))

    def check_service(self) -> None:
        """Check that there is one value to answer with, or none.

        Raises:
            UsageError: there are several.
        """
        if self._routes[0].count > 1:
            _one_value(self._routes)

    async def __call__(self, request: Request, context: Context) -> Response:
        """Answer a request, as a service."""
        taken = await self._router.run(Asked(request, context))
        return taken.response() if isinstance(taken, Rejected) else as_response(*taken)

    @cached_property
    def _router(self) -> Router:
        return Router(self._routes)


def _one_value(routes: tuple[Route, ...]) -> None:
    if routes[0].count != 1:
        raise UsageError(f"a filter of {routes[0].count} values, expected one; give it a handler")


def _name(function: object) -> str:
    return getattr(function, "__qualname__", repr(function))
