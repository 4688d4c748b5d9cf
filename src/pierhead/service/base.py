"""A service answers requests; a middleware is a service around a service.

    async def shout(line: str, context: Context) -> str:
        return line.upper()

A service returns one reply, None (deliberately silent), or an async iterator of replies. An async
generator function is a service as well: `as_service` converts every form to the first. Everything
that takes a service calls it, so that a layer deals with one form only:

    reply = await service(request, context)

A function that blocks is wrapped in `pierhead.threaded`; any other plain function is refused.

There is no I/O and no clock here: only what layers are built from, not the layers.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from enum import Enum
from types import SimpleNamespace, UnionType
from typing import (
    Any,
    TypeAlias,
    TypeGuard,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pierhead.errors import UsageError
from pierhead.service.context import Context

__all__ = [
    "Middleware",
    "Reply",
    "Service",
    "ServiceFunction",
    "as_service",
    "blocking",
    "from_layer",
    "is_many",
    "stack",
]

Q = TypeVar("Q")
R = TypeVar("R")

#: One reply, silence, or many replies.
Reply: TypeAlias = R | AsyncIterator[R] | None

#: The form that servers and layers call.
Service: TypeAlias = Callable[[Q, Context], Awaitable[Reply[R]]]

#: What a user may write: a service, or an async generator function.
ServiceFunction: TypeAlias = Callable[[Q, Context], Awaitable[Reply[R]] | AsyncIterator[R]]

#: A layer: takes the service it wraps and returns a service.
Middleware: TypeAlias = Callable[[Service[Any, Any]], Service[Any, Any]]


def as_service(function: ServiceFunction[Q, R]) -> Service[Q, R]:
    """Return the function as a service: calling and awaiting it returns a reply.

    A plain function qualifies only if its annotation says that it returns an awaitable or an async
    iterator: any other would block the event loop and fail at its first request.

    Raises:
        UsageError: it is not an async function, async generator function or object with such a
            call.
    """
    kind = _kind(function)
    if kind is _Kind.MANY:
        return _generator_service(function)
    if kind is _Kind.PLAIN:
        raise UsageError(
            f"{_name(function)} is a plain function, which would block all other requests; write "
            "it with 'async def', or have it run in threads: threaded(function). One that returns "
            "an awaitable says so by its annotation"
        )
    return function  # type: ignore[return-value]  # told apart from the generator form above


def from_layer(layer: Middleware, service: Service[Any, Any]) -> Service[Any, Any]:
    """Return the service that a layer makes from another.

    It may be a plain function that returns what the service it wraps returns.

    Raises:
        UsageError: the layer does not return a service.
    """
    if inspect.iscoroutinefunction(layer):
        raise UsageError(f"{_name(layer)} is not a layer; stack takes the service, then layers")
    given: object = layer  # as a caller without a type checker may pass
    if not callable(given):
        star = "; write stack(service, *layers)" if isinstance(given, list | tuple) else ""
        raise UsageError(
            f"{given!r} is not a layer, a function that takes a service and returns one{star}"
        )
    if not _takes(layer, 1):
        raise UsageError(
            f"{_name(layer)} does not take a service; if it makes a layer, call it: "
            f"{_name(layer)}(…)"
        )
    wrapped: Any = layer(service)
    if not callable(wrapped):
        raise UsageError(f"{_name(layer)} returned {wrapped!r}, expected a service")
    return _awaiting(wrapped) if _kind(wrapped) is _Kind.PLAIN else as_service(wrapped)


def blocking(function: Any) -> Any:
    """Return a plain function after checking that it is neither async nor a generator.

    Raises:
        UsageError: it is async, a generator, or does not take a request and a context.
    """
    if _kind(function) is not _Kind.PLAIN:
        raise UsageError(f"{_name(function)} is async; serve it as it is")
    return function


class _Kind(Enum):
    SERVICE = "returns an awaitable"
    MANY = "returns an async iterator"
    PLAIN = "may return anything, and may block"


def _kind(function: Any) -> _Kind:
    """Determine what kind of function it is, without calling it."""
    if not callable(function):
        remedy = ""
        if inspect.iscoroutine(function) or inspect.isasyncgen(function):
            remedy = f"; give the function itself, {_name(function)}, without calling it"
            if inspect.iscoroutine(function):
                function.close()  # no warning that it was never awaited
        raise UsageError(
            f"a service is an async function (request, context); got {function!r}{remedy}"
        )
    call: Any = function
    while isinstance(call, functools.partial):
        call = call.func
    if inspect.isclass(call):
        raise UsageError(
            f"{_name(call)} is a class; write a service with 'async def', or pass an instance with "
            "an async __call__"
        )
    if not _takes(function, 2):
        raise UsageError(f"{_name(function)} does not take (request, context)")
    is_async = _is_marked(call)  # a mock, or compiled
    if not inspect.isroutine(call):
        call = type(call).__call__
    if inspect.isasyncgenfunction(call):
        return _Kind.MANY
    if is_async or inspect.iscoroutinefunction(call):
        return _Kind.SERVICE
    if inspect.isgeneratorfunction(call):
        raise UsageError(
            f"{_name(function)} is a plain generator; write it with 'async def', or return one "
            "reply"
        )
    return _promised(call)


def _is_marked(call: Any) -> bool:
    """Return whether asyncio treats it as a coroutine function, whatever it is written in."""
    # Code that sets the mark has imported asyncio, which this module does not need.
    coroutines = sys.modules.get("asyncio.coroutines")
    mark = getattr(coroutines, "_is_coroutine", None)
    return mark is not None and getattr(call, "_is_coroutine", None) is mark


def _promised(call: Any) -> _Kind:
    """Determine what a plain function returns from its return annotation."""
    given = _result_type(call)
    if isinstance(given, str):  # it refers to a name that only type checkers see
        name = given.partition("[")[0].rpartition(".")[2].strip()
        given = next((one for one in _BY_NAME if one.__name__ == name), None)
    kinds = {_kind_of_type(one) for one in _members(given)}
    return kinds.pop() if len(kinds) == 1 else _Kind.PLAIN


def _result_type(call: Any) -> Any:
    given = getattr(call, "__annotations__", {}).get("return")
    if isinstance(given, str):
        # Only the return annotation: another may refer to a name that only type checkers see.
        result = SimpleNamespace(__annotations__={"return": given})
        with contextlib.suppress(Exception):
            return get_type_hints(result, getattr(call, "__globals__", {}))["return"]
    return given


def _members(given: Any) -> tuple[Any, ...]:
    given = getattr(given, "__value__", given)  # an alias made by a type statement
    return get_args(given) if get_origin(given) in (Union, UnionType) else (given,)


def _kind_of_type(given: Any) -> _Kind:
    given = get_origin(given) or given
    if inspect.isclass(given):
        if issubclass(given, Awaitable):
            return _Kind.SERVICE
        if issubclass(given, AsyncIterator):
            return _Kind.MANY
    return _Kind.PLAIN


#: Names that an annotation is compared with if it cannot be evaluated.
_BY_NAME = (Awaitable, Coroutine, AsyncIterator, AsyncGenerator)


def _takes(function: Any, count: int) -> bool:
    """Return whether it can be called with this many arguments."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # written in C, without a signature
        return True
    return True


def _name(function: object) -> str:
    return getattr(function, "__qualname__", repr(function))


def _awaiting(function: Any) -> Service[Any, Any]:
    @functools.wraps(function)
    async def awaited(request: Any, context: Context) -> Reply[Any]:
        reply = function(request, context)
        return reply if is_many(reply) else await reply

    return awaited


def _generator_service(function: Any) -> Service[Any, Any]:
    async def many(request: Any, context: Context) -> AsyncIterator[Any]:
        replies: AsyncIterator[Any] = function(request, context)
        return replies

    many.__qualname__ = _name(function)
    return many


def is_many(reply: Reply[R]) -> TypeGuard[AsyncIterator[R]]:
    """Return whether a reply is an async iterator of replies."""
    return hasattr(type(reply), "__anext__")


def stack(service: ServiceFunction[Q, R], *layers: Middleware) -> Service[Q, R]:
    """Wrap a service in layers; the first listed is the outermost.

    Example:
        >>> from pierhead.middleware import limit, timeout
        >>> async def shout(line, context):
        ...     return line.upper()
        >>> service = stack(shout, limit(100), timeout(2.0))
    """
    wrapped: Service[Q, R] = as_service(service)
    for layer in reversed(layers):
        wrapped = from_layer(layer, wrapped)
    return wrapped
