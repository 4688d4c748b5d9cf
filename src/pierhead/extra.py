"""What to say when the package that an extra brings is not installed."""

from __future__ import annotations

from pierhead.errors import UsageError

__all__ = ["missing_extra"]


def missing_extra(extra: str, error: ModuleNotFoundError) -> UsageError:
    """Return the error with the line that installs it; a missing module of ours is raised on."""
    name = error.name or extra
    if name.partition(".")[0] == "pierhead":
        raise error
    return UsageError(f"{name} is not installed; install it: pip install 'pierhead[{extra}]'")
