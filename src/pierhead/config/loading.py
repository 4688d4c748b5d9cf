"""``module:object`` from the program's folder or the import path."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from contextvars import ContextVar
from typing import Any

from pierhead.errors import UsageError

__all__ = ["importing", "load_object"]

#: The module that is imported to find an object; its own program must not run then.
importing: ContextVar[str | None] = ContextVar("importing", default=None)


def load_object(reference: str) -> Any:
    """Import ``module:object`` from the current directory or the import path.

    Raises:
        UsageError: there is none, or importing the module failed.
    """
    module_name, colon, attribute = reference.partition(":")
    if not colon or not module_name or not attribute:
        raise UsageError(
            f"{reference!r} names no function; expected MODULE:FUNCTION, as shout:shout"
        )
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise _no_module(module_name)
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    module = _imported(module_name)
    found = getattr(module, attribute, None)
    if found is None:
        known = [n for n, v in vars(module).items() if inspect.isfunction(v) and n[0] != "_"]
        raise UsageError(
            f"{module_name!r} has no {attribute!r}; its functions: {', '.join(known) or 'none'}"
        )
    return found


def _imported(module_name: str) -> Any:
    token = importing.set(module_name)
    try:
        return importlib.import_module(module_name)
    except UsageError:
        raise
    except ModuleNotFoundError as error:
        if module_name.endswith(".py"):
            raise _no_module(module_name) from None
        raise UsageError(f"cannot import {module_name!r}: {error}") from None
    except SystemExit as error:
        raise UsageError(
            f"importing {module_name!r} exited the program: SystemExit: {error}; put the script's "
            "own code under: if __name__ == '__main__'"
        ) from None
    except Exception as error:
        raise UsageError(
            f"importing {module_name!r} failed: {type(error).__name__}: {error}"
        ) from error
    finally:
        importing.reset(token)


def _no_module(name: str) -> UsageError:
    return UsageError(
        f"{name!r} is not a module name; write shout:shout for the function shout in shout.py in "
        "this folder"
    )
