"""The inherited descriptors being served: each by one listener at a time."""

from __future__ import annotations

from pierhead.errors import ListenError

__all__ = ["ReservedDescriptors"]


class ReservedDescriptors:
    """The descriptors of one process that are being served, each with its address."""

    def __init__(self) -> None:
        self._addresses: dict[int, str] = {}

    def reserve(self, number: int, address: str, called: str) -> None:
        """Record that the listener of this address serves a descriptor.

        Args:
            called: the name of the descriptor in messages.

        Raises:
            ListenError: another listener does already.
        """
        if number in self._addresses:
            reason = f"{called} is already served, as {self._addresses[number]}"
            remedy = "remove one of the two addresses; a descriptor is served once"
            raise ListenError(address, "adopt", reason, remedy)
        self._addresses[number] = address

    def release(self, number: int) -> None:
        """Record that this descriptor is no longer served."""
        self._addresses.pop(number, None)

    def __contains__(self, number: object) -> bool:
        return number in self._addresses

    def __repr__(self) -> str:
        return f"<ReservedDescriptors {sorted(self._addresses)}>"
