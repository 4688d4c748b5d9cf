"""What a datagram is to those who receive and send it."""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["Datagram", "ReplyTo"]

#: Where a reply goes and which local address it leaves from; opaque to everyone but what
#: received the datagram. Equal and hashable by sender, so that it can be a key.
ReplyTo: TypeAlias = Any

#: One datagram and where its reply goes.
Datagram: TypeAlias = tuple[bytes, ReplyTo]
