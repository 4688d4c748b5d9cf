"""The resources of an application: entered before it is served, exited afterwards."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

from pierhead.errors import UsageError
from pierhead.server.endpoint import Application, Endpoint

__all__ = ["Change", "Resources", "check_resources", "leave"]

_Manager: TypeAlias = AbstractAsyncContextManager[Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Entered:
    """One resource: its owner, and the function that exits it."""

    owner: object
    manager: _Manager


@dataclass(frozen=True, slots=True)
class Change:
    """The resources of another application: all are entered, and none has been exited.

    Attributes:
        entered: all that it needs, in order.
        gone: those no longer needed, in the order entered.
    """

    entered: tuple[_Entered, ...] = ()
    gone: tuple[_Entered, ...] = ()


class Resources:
    """The resources of an application, and the lifespans of its endpoints."""

    def __init__(self) -> None:
        self.entered: tuple[_Entered, ...] = ()

    async def enter(self, application: Application, undo: AsyncExitStack) -> Change:
        """Enter the resources that an application needs and that are not entered yet.

        The same resource, and the lifespan of the same endpoint, are entered once for each
        occurrence in it, and stay entered from one application to the next.

        Args:
            undo: exits what was entered by this call.
        """
        left = list(self.entered)
        entered = []
        owners: list[_Manager | Endpoint] = [
            *application.resources,
            *_with_lifespan(application),
        ]
        for owner in owners:
            found = next((one for one in left if one.owner is owner), None)
            if found is not None:
                left.remove(found)
            else:
                manager = _manager(owner)
                await undo.enter_async_context(manager)
                found = _Entered(owner, manager)
            entered.append(found)
        return Change(tuple(entered), tuple(left))


def _manager(owner: _Manager | Endpoint) -> _Manager:
    if not isinstance(owner, Endpoint):
        return owner
    assert owner.lifespan is not None
    manager = owner.lifespan()
    _check_manager(f"the lifespan of {owner.name}", manager)
    return manager


def check_resources(application: Application) -> None:
    """Check what a caller without a type checker may have passed as resources and lifespans.

    Raises:
        UsageError: resources are not a list of async context managers, or a lifespan is not called.
    """
    given: object = application.resources
    if not isinstance(given, list | tuple):
        raise UsageError(f"resources is {given!r}, expected a list of async context managers")
    for resource in given:
        _check_manager("a resource", resource)
    for owner in _with_lifespan(application):
        if not callable(owner.lifespan):
            raise UsageError(
                f"the lifespan of {owner.name} is {owner.lifespan!r}, expected a function that "
                "returns an async context manager"
            )


def _check_manager(what: str, given: object) -> None:
    kind = type(given)
    if hasattr(kind, "__aenter__") and hasattr(kind, "__aexit__"):
        return
    remedy = ""
    if inspect.isclass(given):
        remedy = f"; give an instance, {given.__name__}()"
    elif inspect.isasyncgen(given):
        remedy = "; decorate its function with @contextlib.asynccontextmanager"
    elif inspect.isfunction(given):
        remedy = f"; call it: {given.__name__}()"
    elif inspect.iscoroutine(given):
        remedy = "; its function is a plain one, not 'async def'"
        given.close()  # no warning that it was never awaited
    elif hasattr(kind, "__enter__"):
        remedy = "; enter it in an async function with @contextlib.asynccontextmanager"
    raise UsageError(f"{what} is {given!r}, expected an async context manager{remedy}")


def _with_lifespan(application: Application) -> list[Endpoint]:
    return [one for one, _ in application.endpoints if one.lifespan is not None]


async def leave(entered: Sequence[_Entered]) -> None:
    """Exit these in reverse order; one that fails does not stop the others."""
    stack = AsyncExitStack()
    for one in entered:
        stack.push_async_exit(one.manager)
    await stack.aclose()
