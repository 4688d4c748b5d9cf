"""The codec of those who take frames as they are."""

from __future__ import annotations

from pierhead.errors import UsageError

__all__ = ["Octets"]


class Octets:
    """A request is the octets of its frame, and so is a reply."""

    __slots__ = ()

    def decode(self, frame: bytes) -> bytes:
        """Return the frame."""
        return frame

    def encode(self, reply: bytes) -> bytes:
        """Return the reply.

        Raises:
            UsageError: it is not bytes.
        """
        if not isinstance(reply, bytes):
            raise UsageError(f"a reply is {type(reply).__name__}, expected bytes")
        return reply
