"""The codec of services that take raw frames."""

from __future__ import annotations

from pierhead.errors import UsageError

__all__ = ["Octets"]


class Octets:
    """A message is the octets of its frame."""

    __slots__ = ()

    def decode(self, frame: bytes) -> bytes:
        """Return the frame."""
        return frame

    def encode(self, message: bytes) -> bytes:
        """Return the message.

        Raises:
            UsageError: it is not bytes.
        """
        if not isinstance(message, bytes):
            raise UsageError(f"a message is {type(message).__name__}, expected bytes")
        return message
