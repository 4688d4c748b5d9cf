"""HTTP: a request is a message, and so is a response.

    wire/     requests, responses and fields as values; pure
    client/   `Client`

Every name here is resolved on first use (PEP 562): a client loads no server code.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pierhead.protocols.http.client import Client, ReceivedResponse
    from pierhead.protocols.http.wire import Body, Fields, Request, Response

__all__ = ["Body", "Client", "Fields", "ReceivedResponse", "Request", "Response"]

_HOMES = {
    "client": ("Client", "ReceivedResponse"),
    "wire": ("Body", "Fields", "Request", "Response"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
