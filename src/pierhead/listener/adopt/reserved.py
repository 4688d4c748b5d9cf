"""Which inherited descriptors are being served: each by one listener at a time."""

from __future__ import annotations

from pierhead.errors import ListenError

__all__ = ["ReservedDescriptors"]


class ReservedDescriptors:
    """The descriptors of one process that are being served, each with its address."""

    def __init__(self) -> None:
        self._addresses: dict[int, str] = {}

    def reserve(self, number: int, address: str, called: str) -> None:
        """Note that the listener of this address serves a descriptor from now on.

        Args:
            called: the descriptor as a message names it.

        Raises:
            ListenError: another listener does already.
        """
        if number in self._addresses:
            reason = f"{called} is served already, as {self._addresses[number]}"
            remedy = "leave one of the two addresses out; a descriptor is served once"
            raise ListenError(address, "adopt", reason, remedy)
        self._addresses[number] = address

    def release(self, number: int) -> None:
        """Note that nobody serves this descriptor any more."""
        self._addresses.pop(number, None)

    def __contains__(self, number: object) -> bool:
        return number in self._addresses

    def __repr__(self) -> str:
        return f"<ReservedDescriptors {sorted(self._addresses)}>"
