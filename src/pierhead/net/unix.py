"""Names of Unix domain sockets in the system's form."""

from __future__ import annotations

import sys

from pierhead.address import AbstractAddress

__all__ = ["SUN_PATH_BYTES", "abstract_name"]

#: Size of sun_path, including the NUL at its end.
SUN_PATH_BYTES = 104 if sys.platform == "darwin" or "bsd" in sys.platform else 108


def abstract_name(address: AbstractAddress) -> bytes:
    """Return the name in the system's form."""
    name = b"\0" + address.name
    return name.ljust(SUN_PATH_BYTES, b"\0") if address.padded else name
