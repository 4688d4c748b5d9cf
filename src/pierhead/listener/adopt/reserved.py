"""Which inherited descriptors are being served: each by one listener at a time.

The descriptor table belongs to the process, and so does this list: two servers in one process
must not both take descriptor 3.
"""

from __future__ import annotations

from pierhead.errors import ListenError

__all__ = ["release_descriptor", "reserve_descriptor", "reserved_descriptors"]

_reserved: dict[int, str] = {}


def reserve_descriptor(number: int, address: str, called: str) -> None:
    """Note that the listener of this address serves a descriptor from now on.

    Args:
        called: the descriptor as a message names it.

    Raises:
        ListenError: another listener does already.
    """
    if number in _reserved:
        reason = f"{called} is served already, as {_reserved[number]}"
        remedy = "leave one of the two addresses out; a descriptor is served once"
        raise ListenError(address, "adopt", reason, remedy)
    _reserved[number] = address


def release_descriptor(number: int) -> None:
    """Note that nobody serves this descriptor any more."""
    _reserved.pop(number, None)


def reserved_descriptors() -> frozenset[int]:
    """Return the numbers that are being served."""
    return frozenset(_reserved)
