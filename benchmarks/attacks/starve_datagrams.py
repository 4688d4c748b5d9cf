"""How long a UDP query waits while TCP clients pipeline endlessly.

.venv/bin/python benchmarks/attacks/starve_datagrams.py [CLIENTS …]

Starts `pierhead serve dns` on loopback. A separate process runs the clients: each keeps a window of
queries in flight and reads every answer. Meanwhile 300 UDP queries are sent, one at a time.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
QUERY = bytes.fromhex(
    "0001010000010000000000000377777707 6578616d706c65 00 0001 0001".replace(" ", "")
)
FRAME = len(QUERY).to_bytes(2, "big") + QUERY
ASKED = 300
#: Queries in flight for one client.
WINDOW = 1000
LONGEST_S = 25.0


class Pipeliner(asyncio.Protocol):
    """Sends queries, and a new one for each answer."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(FRAME * WINDOW)

    def data_received(self, data: bytes) -> None:
        # An answer takes 47 octets more or less; exactness does not matter to an attack.
        self.transport.write(FRAME * (len(data) // 47))


def flood(port: int, clients: int, begun: Any) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(clients):
            await loop.create_connection(Pipeliner, "127.0.0.1", port)
        begun.set()
        await asyncio.sleep(LONGEST_S)

    asyncio.run(run())


def ask(port: int) -> list[float]:
    """Return how long each query took, in ms; lost ones count as a second."""
    took = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(1.0)
        peer.connect(("127.0.0.1", port))
        end = time.monotonic() + LONGEST_S - 5
        while len(took) < ASKED and time.monotonic() < end:
            began = time.perf_counter()
            peer.send(QUERY)
            try:
                peer.recv(4096)
            except TimeoutError:
                took.append(1000.0)
            else:
                took.append((time.perf_counter() - began) * 1000)
    return took


def measure(clients: int) -> None:
    """Print the median and the 99th percentile with so many clients."""
    command = [sys.executable, "-m", "pierhead", "serve", "dns", "--zone", "examples/zones"]
    with subprocess.Popen(
        [*command, "-l", "127.0.0.1:0"], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        line = ""
        while "udp:127.0.0.1:" not in line:
            line = server.stderr.readline()
            if not line:
                raise SystemExit("the server did not start")
        port = int(line.partition("udp:127.0.0.1:")[2].split()[0].rstrip(","))
        begun = multiprocessing.Event()
        attacker = multiprocessing.Process(target=flood, args=(port, clients, begun), daemon=True)
        attacker.start()
        try:
            begun.wait(20)
            time.sleep(0.5)
            took = sorted(ask(port))
        finally:
            attacker.kill()
            server.terminate()
    late = took[int(len(took) * 0.99) - 1]
    print(f"{clients:4} pipelining clients: median {statistics.median(took):8.2f} ms, "
          f"99 % within {late:8.2f} ms")  # fmt: skip


if __name__ == "__main__":
    for number in map(int, sys.argv[1:] or ["0", "50", "900"]):
        measure(number)
