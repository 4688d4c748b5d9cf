"""Write one service; serve it on anything that listens.

    from pierhead import Context, run
    from pierhead.protocols import lines

    async def shout(line: str, context: Context) -> str:
        return line.upper()

    run(lines.serve(shout), "tcp:127.0.0.1:7000", "unix:./shout.sock")

Every name here is resolved when it is first used (PEP 562), so that importing the package costs
nothing and a program loads only what it runs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pierhead import blocking as blocking
    from pierhead import console as console
    from pierhead.address import ListenSpec
    from pierhead.blocking.threads import threaded
    from pierhead.buffer import BufferPool, BufferSource
    from pierhead.client.balance import Balance
    from pierhead.client.client import Client, connect
    from pierhead.client.options import ClientLimits
    from pierhead.codec import (
        ById,
        Cobs,
        Delimited,
        InOrder,
        Json,
        LengthPrefixed,
        Lines,
        MsgPack,
        Netstring,
        Octets,
        Packed,
        Protobuf,
        Slip,
        StompFraming,
        SyslogFraming,
        VarintPrefixed,
        json_lines,
    )
    from pierhead.codec.base import Codec, Order, WireFormat
    from pierhead.connection.conversation import Conversation
    from pierhead.connection.liveness import Liveness
    from pierhead.connection.room import Room
    from pierhead.connection.sender import Sender
    from pierhead.connection.socket_conversation import SocketConversation
    from pierhead.errors import ConnectionEnded, DecodeError, PeerUnavailable, PierheadError
    from pierhead.listener.base import ListenerEnded
    from pierhead.listener.custom import (
        CustomConnection,
        CustomDatagramListener,
        CustomStreamListener,
    )
    from pierhead.listener.listening_sockets import listening_sockets
    from pierhead.listener.process_sockets import ProcessSockets
    from pierhead.listener.stream import AcceptedSocket
    from pierhead.metrics import Metrics
    from pierhead.runtime.run import run
    from pierhead.server.converse import converse
    from pierhead.server.endpoint import Application, Endpoint
    from pierhead.server.framed import framed
    from pierhead.server.options import ServerLimits
    from pierhead.server.serve import raw, serve
    from pierhead.server.server import Server
    from pierhead.service import Middleware, Service, stack
    from pierhead.service.coding import coded
    from pierhead.service.context import Context, Ecn, Peer, Transport, Via

__version__ = "0.1.0"

__all__ = [
    "AcceptedSocket",
    "Application",
    "Balance",
    "BufferPool",
    "BufferSource",
    "ById",
    "Client",
    "ClientLimits",
    "Cobs",
    "Codec",
    "ConnectionEnded",
    "Context",
    "Conversation",
    "CustomConnection",
    "CustomDatagramListener",
    "CustomStreamListener",
    "DecodeError",
    "Delimited",
    "Ecn",
    "Endpoint",
    "InOrder",
    "Json",
    "LengthPrefixed",
    "Lines",
    "ListenSpec",
    "ListenerEnded",
    "Liveness",
    "Metrics",
    "Middleware",
    "MsgPack",
    "Netstring",
    "Octets",
    "Order",
    "Packed",
    "Peer",
    "PeerUnavailable",
    "PierheadError",
    "ProcessSockets",
    "Protobuf",
    "Room",
    "Sender",
    "Server",
    "ServerLimits",
    "Service",
    "Slip",
    "SocketConversation",
    "StompFraming",
    "SyslogFraming",
    "Transport",
    "VarintPrefixed",
    "Via",
    "WireFormat",
    "coded",
    "connect",
    "converse",
    "framed",
    "json_lines",
    "listening_sockets",
    "raw",
    "run",
    "serve",
    "stack",
    "threaded",
]

_HOMES = {
    "AcceptedSocket": "listener.stream",
    "Application": "server.endpoint",
    "Balance": "client.balance",
    "BufferPool": "buffer",
    "BufferSource": "buffer",
    "ById": "codec",
    "Client": "client.client",
    "ClientLimits": "client.options",
    "Cobs": "codec",
    "Codec": "codec.base",
    "ConnectionEnded": "errors",
    "Context": "service.context",
    "Conversation": "connection.conversation",
    "CustomConnection": "listener.custom",
    "CustomDatagramListener": "listener.custom",
    "CustomStreamListener": "listener.custom",
    "DecodeError": "errors",
    "Delimited": "codec",
    "Ecn": "service.context",
    "Endpoint": "server.endpoint",
    "InOrder": "codec",
    "Json": "codec",
    "LengthPrefixed": "codec",
    "Lines": "codec",
    "ListenSpec": "address",
    "Liveness": "connection.liveness",
    "ListenerEnded": "listener.base",
    "Metrics": "metrics",
    "Middleware": "service",
    "MsgPack": "codec",
    "Netstring": "codec",
    "Octets": "codec",
    "Order": "codec.base",
    "Packed": "codec",
    "Peer": "service.context",
    "PeerUnavailable": "errors",
    "PierheadError": "errors",
    "ProcessSockets": "listener.process_sockets",
    "Protobuf": "codec",
    "Room": "connection.room",
    "Sender": "connection.sender",
    "Server": "server.server",
    "ServerLimits": "server.options",
    "Service": "service",
    "Slip": "codec",
    "SocketConversation": "connection.socket_conversation",
    "StompFraming": "codec",
    "SyslogFraming": "codec",
    "Transport": "service.context",
    "VarintPrefixed": "codec",
    "Via": "service.context",
    "WireFormat": "codec.base",
    "coded": "service.coding",
    "connect": "client.client",
    "converse": "server.converse",
    "framed": "server.framed",
    "json_lines": "codec",
    "listening_sockets": "listener.listening_sockets",
    "raw": "server.serve",
    "run": "runtime.run",
    "serve": "server.serve",
    "stack": "service",
    "threaded": "blocking.threads",
}

#: Packages that are reached as an attribute, without an import of their own.
_ROOMS = frozenset(("blocking", "console"))


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"pierhead.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pierhead' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"pierhead.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
