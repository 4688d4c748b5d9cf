"""Callbacks into the program: called in the event loop, never awaited."""

from __future__ import annotations

import functools
import inspect
from typing import Any, TypeVar

from pierhead.errors import UsageError

__all__ = ["plain"]

F = TypeVar("F")


def plain(keyword: str, function: F) -> F:
    """Return a plain function, or None, unchanged.

    Raises:
        UsageError: it is not callable, or returns an awaitable, which would not be awaited.
    """
    if function is None:
        return function
    if not callable(function):
        raise UsageError(f"{keyword} is {function!r}, expected a function")
    call: Any = function
    while isinstance(call, functools.partial):
        call = call.func
    if not inspect.isroutine(call) and not inspect.isclass(call):
        call = type(call).__call__
    if inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call):
        name = getattr(function, "__qualname__", repr(function))
        raise UsageError(
            f"{keyword} is called and not awaited, and {name} is async; give a plain function, "
            "which may start a task"
        )
    return function
