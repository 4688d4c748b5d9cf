"""Both sides for scripts and threads: clients, conversations and servers without async.

    with blocking.connect("tcp:127.0.0.1:7000", lines.wire_format()) as peer:
        peer.send("hello")
        print(peer.receive())

    with blocking.listen("tcp:127.0.0.1:7000", lines.wire_format()) as listener:
        for conversation in listener:
            with conversation:
                for line in conversation:
                    print(line)

The objects are those of the async half, each call of which is carried out in one event loop, in a
thread that the whole process shares. They may be used from any thread, and beside any event loop
of the program's own. Ctrl-C ends every wait.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pierhead.blocking.client import Client, connect
    from pierhead.blocking.conversation import Conversation
    from pierhead.blocking.listener import Listener, listen
    from pierhead.blocking.server import Server, serve
    from pierhead.blocking.threads import threaded
    from pierhead.blocking.typed import typed_lines

__all__ = [
    "Client",
    "Conversation",
    "Listener",
    "Server",
    "connect",
    "listen",
    "serve",
    "threaded",
    "typed_lines",
]

_HOMES = {
    "Client": "client",
    "Conversation": "conversation",
    "Listener": "listener",
    "Server": "server",
    "connect": "client",
    "listen": "listener",
    "serve": "server",
    "threaded": "threads",
    "typed_lines": "typed",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pierhead.blocking' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"pierhead.blocking.{home}"), name)
    globals()[name] = value
    return value
