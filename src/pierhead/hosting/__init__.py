"""Run another library's server on Pierhead's listeners; each module is named after its library.

    from pierhead import hosting, run

    run(hosting.uvicorn.serve(app), "127.0.0.1:8000")

A library is imported on first use. Write ``hosting.uvicorn``: a bare ``uvicorn`` would shadow the
library itself.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pierhead.hosting import aiohttp, granian, grpclib, hypercorn, protocol, streams, uvicorn

__all__ = ["aiohttp", "granian", "grpclib", "hypercorn", "protocol", "streams", "uvicorn"]


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module 'pierhead.hosting' has no attribute {name!r}")
    return importlib.import_module(f"pierhead.hosting.{name}")
