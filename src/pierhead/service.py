"""A service answers requests; a middleware is a service around a service.

    async def shout(line: str, context: Context) -> str:
        return line.upper()

A service returns one reply, None (deliberately silent), or an async iterator of replies. An
async generator function is a service as well: `as_service` brings every form to the first one,
and everything that takes a service calls it, so that a layer has one form to deal with:

    reply = await service(request, context)

Here is no I/O and no clock: what a layer may be made of, not the layers.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias, TypeGuard, TypeVar

from pierhead.context import Context
from pierhead.errors import UsageError

__all__ = ["Middleware", "Reply", "Service", "ServiceFunction", "as_service", "is_many", "stack"]

Q = TypeVar("Q")
R = TypeVar("R")

#: One reply, silence, or many replies.
Reply: TypeAlias = R | AsyncIterator[R] | None

#: The form that servers and layers call.
Service: TypeAlias = Callable[[Q, Context], Awaitable[Reply[R]]]

#: What a user may write: a service, or an async generator function.
ServiceFunction: TypeAlias = Callable[[Q, Context], Awaitable[Reply[R]] | AsyncIterator[R]]

#: A layer: takes the service it wraps, returns the service it is.
Middleware: TypeAlias = Callable[[Service[Any, Any]], Service[Any, Any]]


def as_service(function: ServiceFunction[Q, R]) -> Service[Q, R]:
    """Return the function as a service: called and awaited, it gives a reply.

    Raises:
        UsageError: it is no async function, generator function or object with such a call.
    """
    if not callable(function):
        raise UsageError(f"a service is an async function (request, context); got {function!r}")
    call: Any = function
    while isinstance(call, functools.partial):
        call = call.func
    if inspect.isclass(call):
        raise UsageError(
            f"{_name(call)} is a class; write a service with 'async def', or pass an instance with "
            "an async __call__"
        )
    if not inspect.isroutine(call):
        call = type(call).__call__
    if inspect.isasyncgenfunction(call):
        return _generator_service(function)
    if not _takes_two(function):
        raise UsageError(f"{_name(function)} does not take (request, context)")
    if inspect.isgeneratorfunction(call):
        raise UsageError(f"{_name(function)} is a plain generator; write it with 'async def'")
    return function  # type: ignore[return-value]  # told apart from the generator form above


def _takes_two(function: Any) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # written in C, without a signature
        return True
    return True


def _name(function: object) -> str:
    return getattr(function, "__qualname__", repr(function))


def _generator_service(function: Any) -> Service[Any, Any]:
    async def many(request: Any, context: Context) -> AsyncIterator[Any]:
        replies: AsyncIterator[Any] = function(request, context)
        return replies

    many.__qualname__ = _name(function)
    return many


def is_many(reply: Reply[R]) -> TypeGuard[AsyncIterator[R]]:
    """Tell whether a reply is an async iterator of replies."""
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
        if inspect.iscoroutinefunction(layer):
            raise UsageError(f"{_name(layer)} is no layer; stack takes the service, then layers")
        wrapped = layer(wrapped)
    return wrapped
