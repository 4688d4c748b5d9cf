"""What a user names on the command line, imported: ``module:function``."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from typing import Any

from pierhead.errors import UsageError
from pierhead.service import as_service

__all__ = ["load_service"]


def load_service(reference: str) -> Any:
    """Return the service ``module:function``, from the current directory or the import path.

    Raises:
        UsageError: it cannot be imported, or is no service.
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
    from pierhead.runtime.run import importing

    token = importing.set(module_name)
    try:
        module = importlib.import_module(module_name)
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
    function = getattr(module, attribute, None)
    if function is None:
        known = [n for n, v in vars(module).items() if inspect.isfunction(v) and n[0] != "_"]
        raise UsageError(
            f"{module_name!r} has no {attribute!r}; its functions: {', '.join(known) or 'none'}"
        )
    return as_service(function)


def _no_module(name: str) -> UsageError:
    return UsageError(
        f"{name!r} is not a module name; write shout:shout for the function shout in shout.py in "
        "this folder"
    )
