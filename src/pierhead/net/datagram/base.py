"""The types of datagrams as they are received and sent."""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["Datagram", "ReplyTo"]

#: Where a reply goes and which local address it leaves from; opaque to all but the object that
#: received the datagram. Compared and hashed by sender, so that it can be a key.
ReplyTo: TypeAlias = Any

#: One datagram and where its reply goes.
Datagram: TypeAlias = tuple[bytes, ReplyTo]
