"""Tools for testing services: a memory network, a held clock, and laws for framings, codecs and
transports.

With pytest, use the fixtures `network`, `clock` and `server` (`pierhead.testing.plugin`).
Without it, `HeldLoop` is a loop factory for `asyncio.Runner`, and every event loop has a
`Network.current`. `call` calls a service without a server. `pierhead.testing.laws` has the laws
of framings, codecs and parsers, `check_transport` those of transports.

Names are resolved when they are first used: pytest loads this package in every run.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pierhead.net.memory import Link, Network
    from pierhead.testing.clock import HeldClock, HeldLoop
    from pierhead.testing.direct import call
    from pierhead.testing.transports import check_transport

__all__ = ["HeldClock", "HeldLoop", "Link", "Network", "call", "check_transport"]

_HOMES = {
    "HeldClock": "pierhead.testing.clock",
    "HeldLoop": "pierhead.testing.clock",
    "Link": "pierhead.net.memory",
    "Network": "pierhead.net.memory",
    "call": "pierhead.testing.direct",
    "check_transport": "pierhead.testing.transports",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
