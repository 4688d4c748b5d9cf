"""A hosted chat keeps writing to a member who never reads: how much memory that takes.

    python benchmarks/attacks/guest_writes.py

Two members connect to an `asyncio.start_server`-style server that writes to every member and never
waits. One member reads, the other does not; 300 MB are offered to each.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pierhead import Server, hosting

OFFERED = 300 * 10**6
PIECE = bytes(100_000)


def resident_mb() -> float:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 10**6


async def reading(reader: asyncio.StreamReader) -> int:
    """Read to the end; return how much that was."""
    size = 0
    while octets := await reader.read(2**20):
        size += len(octets)
    return size


async def main() -> None:
    """Attack, and print how memory and the members fared."""
    members: list[asyncio.StreamWriter] = []
    arrived = asyncio.Semaphore(0)

    async def member(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        members.append(writer)
        arrived.release()
        await reader.read()

    async with Server(hosting.streams.serve(member), "tcp:127.0.0.1:0", write_timeout=60) as server:
        (address,) = server.addresses
        port = int(str(address).rpartition(":")[2])
        well = await asyncio.open_connection("127.0.0.1", port)
        await arrived.acquire()
        silent = await asyncio.open_connection("127.0.0.1", port)
        silent[1].transport.pause_reading()  # type: ignore[attr-defined]
        taken = asyncio.ensure_future(reading(well[0]))
        await arrived.acquire()
        before = most = resident_mb()
        for _ in range(OFFERED // len(PIECE)):
            for one in members:
                one.write(PIECE)
            most = max(most, resident_mb())
            await members[0].drain()  # the pace of the reading member
        members[0].write_eof()
        got = await taken
        count = server.metrics.total("connections_closed_total", reason="max_unsent_bytes")
        print(f"memory: {before:.0f} MB before, {most:.0f} MB at most ({OFFERED:,} octets offered)")
        print(f"who reads got {got:,} octets; cut off for max_unsent_bytes: {count}")
        for _, writer in (well, silent):
            writer.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
