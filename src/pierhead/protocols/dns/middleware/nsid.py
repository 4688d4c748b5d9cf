"""NSID: which of several servers behind one address answered (RFC 5001)."""

from __future__ import annotations

from typing import ClassVar

from pierhead.errors import UsageError
from pierhead.protocols.dns.middleware.layer import Layer
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.message import Query, Reply
from pierhead.service.context import Context

__all__ = ["Nsid", "nsid"]

#: Room for the rest of a message of 512 octets with the longest name.
_MAX_OCTETS = 128


def nsid(identifier: str | bytes) -> Nsid:
    """Return the layer that sends this server's identifier on request.

    Args:
        identifier: 1 to 128 octets; text is sent as UTF-8.

    Raises:
        UsageError: it has another length.

    Example:
        >>> from pierhead.protocols import dns
        >>> layer = dns.nsid("north-2")
    """
    if not isinstance(identifier, str | bytes):
        raise UsageError(f"the identifier is {identifier!r}, expected text or bytes")
    octets = identifier.encode() if isinstance(identifier, str) else identifier
    if not 1 <= len(octets) <= _MAX_OCTETS:
        raise UsageError(f"NSID of {len(octets)} octets, expected 1 to {_MAX_OCTETS}")
    return Nsid(octets)


class Nsid(Layer):
    """The layer of the name server identifier; created by `nsid`."""

    name: ClassVar[str] = "nsid"
    is_for_every_opcode: ClassVar[bool] = True
    option = iana.OPTION_NSID
    is_constant = True

    def __init__(self, identifier: bytes) -> None:
        self._identifier = identifier

    def after(self, query: Query, context: Context, reply: Reply) -> Reply:
        """Add the identifier if the query requests it."""
        if query.option(iana.OPTION_NSID) is None:
            return reply
        return reply.having(iana.OPTION_NSID, self._identifier)
