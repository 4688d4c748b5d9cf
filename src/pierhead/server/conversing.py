"""What a conversation endpoint serves datagrams with: a handler and its wire format."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pierhead.codec.base import WireFormat
from pierhead.connection.liveness import Liveness

__all__ = ["Conversing"]


def one_frame(datagram: bytes) -> Sequence[bytes]:
    """Return the frames of a datagram: it is one."""
    return (datagram,)


@dataclass(frozen=True, slots=True)
class Conversing:
    """How conversations are held on a datagram socket.

    Attributes:
        handler: called with each conversation.
        wire_format: how messages are encoded; a datagram needs no framing.
        per_socket: whether the socket has one conversation, instead of one for each peer.
        frames: splits a datagram into its messages; raises DecodeError.
        liveness: the pings of each conversation; None for none.
    """

    handler: Callable[[Any], Awaitable[None]]
    wire_format: WireFormat[Any, Any]
    per_socket: bool = False
    frames: Callable[[bytes], Sequence[bytes]] = one_frame
    liveness: Liveness[Any, Any] | None = None
