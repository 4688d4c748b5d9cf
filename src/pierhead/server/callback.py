"""Callbacks into the program: called in the event loop, never awaited."""

from __future__ import annotations

import functools
import inspect
from typing import Any, TypeVar

from pierhead.errors import UsageError

__all__ = ["having", "plain"]

F = TypeVar("F")


def plain(keyword: str, function: F, takes: tuple[str, ...]) -> F:
    """Return a plain function, or None, unchanged.

    Args:
        keyword: where it was given.
        function: the function.
        takes: what it is called with.

    Raises:
        UsageError: it is not callable, cannot be called so, or returns an awaitable, which would
            not be awaited.
    """
    if function is None:
        return function
    if not callable(function):
        raise UsageError(f"{keyword} is {function!r}, expected a function ({', '.join(takes)})")
    call: Any = function
    while isinstance(call, functools.partial):
        call = call.func
    if not inspect.isroutine(call) and not inspect.isclass(call):
        call = type(call).__call__
    name = getattr(function, "__qualname__", repr(function))
    if inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call):
        raise UsageError(
            f"{keyword} is called and not awaited, and {name} is async; give a plain function, "
            "which may start a task"
        )
    try:
        inspect.signature(function).bind(*takes)
    except TypeError:
        raise UsageError(
            f"{keyword} is called with {' and '.join(takes)}, which {name} does not take; write "
            f"def {keyword}({', '.join(takes)})"
        ) from None
    except ValueError:  # written in C, without a signature
        pass
    return function


def having(keyword: str, given: F, *methods: str) -> F:
    """Return an object with these methods, or None, unchanged.

    Raises:
        UsageError: it is a class, or lacks one of them.
    """
    if given is None:
        return given
    if inspect.isclass(given):
        raise UsageError(f"{keyword} is a class; give an instance, {given.__name__}()")
    lacking = [method for method in methods if not callable(getattr(given, method, None))]
    if lacking:
        raise UsageError(f"{keyword} is {given!r}, which has no {' and no '.join(lacking)}")
    return given
