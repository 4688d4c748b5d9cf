"""What a user names on the command line, imported: ``module:function``."""

from __future__ import annotations

from typing import Any

from pierhead.config.loading import load_object
from pierhead.service import as_service

__all__ = ["load_service"]


def load_service(reference: str) -> Any:
    """Return the service ``module:function``, from the current directory or the import path.

    Raises:
        UsageError: it cannot be imported, or is no service.
    """
    return as_service(load_object(reference))
