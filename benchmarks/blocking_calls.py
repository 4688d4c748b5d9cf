"""Time of one request over loopback TCP, one at a time: async, blocking, and by hand.

    python benchmarks/blocking_calls.py

    async       `await client.request(line)` in the program's event loop
    blocking    `peer.request(line)` in a thread, carried out in the event loop in the background
    threads     the same from eight threads at once, time per request
    socket      `sendall` and `readline` on a blocking socket: the hand-written way, without
                deadlines

Each is the median of five rounds; the server is `pierhead serve echo`, in a process of its own.
"""

from __future__ import annotations

import asyncio
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import uvloop

from pierhead import blocking, connect
from pierhead.protocols import lines

REQUESTS = 5_000
ROUNDS = 5
FORMAT = lines.wire_format(None)
LINE = b"x" * 63


@contextmanager
def server() -> Iterator[str]:
    command = [sys.executable, "-m", "pierhead", "serve", "echo", "-l", "tcp:127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            ready = next(line for line in process.stderr if line.startswith("ready "))
            found = re.search(r"tcp:127\.0\.0\.1:\d+", ready)
            assert found
            yield found[0]
        finally:
            process.terminate()


def asynchronous(address: str) -> float:
    async def ask() -> float:
        async with connect(address, FORMAT) as client:
            began = time.perf_counter()
            for _ in range(REQUESTS):
                await client.request(LINE)
            return time.perf_counter() - began

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(ask())


def blocked(address: str) -> float:
    with blocking.connect(address, FORMAT) as peer:
        peer.request(LINE)
        began = time.perf_counter()
        for _ in range(REQUESTS):
            peer.request(LINE)
        return time.perf_counter() - began


def threads(address: str) -> float:
    with blocking.connect(address, FORMAT) as peer, ThreadPoolExecutor(8) as pool:
        peer.request(LINE)
        began = time.perf_counter()
        for _ in pool.map(peer.request, [LINE] * REQUESTS):
            pass
        return time.perf_counter() - began


def by_hand(address: str) -> float:
    host, _, port = address.removeprefix("tcp:").rpartition(":")
    with socket.create_connection((host, int(port))) as sock, sock.makefile("rb") as reader:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        for _ in range(REQUESTS):
            sock.sendall(LINE + b"\n")
            reader.readline()
        return time.perf_counter() - began


CASES: dict[str, Callable[[str], float]] = {
    "async": asynchronous,
    "blocking": blocked,
    "threads": threads,
    "socket": by_hand,
}


def main() -> None:
    with server() as address:
        for name, case in CASES.items():
            seconds = statistics.median(case(address) for _ in range(ROUNDS))
            print(f"{name:<10}{1e6 * seconds / REQUESTS:8.1f} µs per request")


if __name__ == "__main__":
    main()
