"""Serial numbers: a ring of 32 bits, in which half of all numbers are ahead (RFC 1982)."""

from __future__ import annotations

from typing import Final

from pierhead.errors import UsageError

__all__ = ["MAX_SERIAL", "advance", "is_newer"]

MAX_SERIAL: Final = 2**32 - 1
_RING = 2**32
#: RFC 1982 §3.1: the largest number that can be added, 2 to the power 31, less 1.
_MAX_STEP = 2**31 - 1


def advance(serial: int, step: int = 1) -> int:
    """Return the serial number that many steps ahead (RFC 1982 §3.1).

    Raises:
        UsageError: more than 2147483647 steps, or a number that is not a serial number.
    """
    if not 0 <= step <= _MAX_STEP:
        raise UsageError(f"{step} steps, expected 0 to {_MAX_STEP} (RFC 1982 §3.1)")
    if not 0 <= serial <= MAX_SERIAL:
        raise UsageError(f"serial is {serial}, expected 0 to {MAX_SERIAL}")
    return (serial + step) % _RING


def is_newer(serial: int, than: int) -> bool:
    """Tell whether a serial number is ahead of another (RFC 1982 §3.2).

    Of two that are exactly half a ring apart neither is: the RFC leaves that undefined.
    """
    return 0 < (serial - than) % _RING <= _MAX_STEP
