"""A new source for each frame: its cost when the table of sources is full.

    python benchmarks/attacks/new_sources.py

Every frame comes from an address never seen before, so that each makes `per_source_rate` evict
another. It measures the process's CPU time, with a table of 100 and one of 400,000; the ratio
should not depend on the size of the table.
"""

from __future__ import annotations

import sys
import time

from pierhead.service.admission import per_source_rate
from pierhead.service.context import Peer, Transport, Via

FRAMES = 50_000
SIZES = (100, 400_000)
_VIA = Via(transport=Transport.DATAGRAM, scheme="udp", local="udp:[::]:53", listener="udp:[::]:53")
_INET = (2).to_bytes(2, sys.byteorder)


def peer(number: int) -> Peer:
    """Return one of 2^32 peers."""
    return Peer(_INET + b"\x14\xe9" + number.to_bytes(4, "big") + bytes(8))


def new_source_us(size: int) -> float:
    """Return the time that a frame of a new source takes in a full table of this size."""
    check = per_source_rate(max_sources=size)
    for number in range(size + size // 3):  # full, and some have been forgotten
        check(b"", peer(number), _VIA)
    began = time.process_time()
    for number in range(10_000_000, 10_000_000 + FRAMES):
        check(b"", peer(number), _VIA)
    return (time.process_time() - began) / FRAMES * 1e6


def main() -> None:
    """Print the cost in each table, and their ratio."""
    small, large = map(new_source_us, SIZES)
    print(f"{small:.1f} us among {SIZES[0]}, {large:.1f} us among {SIZES[1]:,}", end=" ")
    print(f"sources: {large / small:.1f} times as much")


if __name__ == "__main__":
    main()
