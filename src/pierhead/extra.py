"""The error for a missing package that belongs to an extra."""

from __future__ import annotations

from pierhead.errors import UsageError

__all__ = ["missing_extra"]


def missing_extra(extra: str, error: ModuleNotFoundError) -> UsageError:
    """Return an error with the command that installs it; re-raise if the module is our own."""
    name = error.name or extra
    if name.partition(".")[0] == "pierhead":
        raise error
    return UsageError(f"{name} is not installed; install it: pip install 'pierhead[{extra}]'")
