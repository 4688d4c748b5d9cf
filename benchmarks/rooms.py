"""A room with many members: memory, and how late a message is, beside one who never reads.

    python benchmarks/rooms.py            every case, once; about two minutes
    python benchmarks/rooms.py --json     the same, for a program to read

Server and members are processes of their own. The cases:

    sustainable     500 members, messages of 8 KiB, as fast as all of them take them
    slow member     the same at half that rate, 8 MiB to each, beside one with a receive buffer of
                    64 KiB that never reads: it is cut, alone and once
    large           5,000 members, one message a second

A message carries the time at which the room was given it; the members compare it with the time at
which they have read it whole. What is allowed stands in `ALLOWED`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import selectors
import socket
import subprocess
import sys
import time
from typing import Any

from pierhead import Conversation, Room, Server
from pierhead.protocols import lines

SIZE = 8192
MIB = 2**20
#: (case, figure): the most that it may be.
ALLOWED = {
    ("slow member", "more_memory_mib"): 20,
    ("slow member", "p99_ms"): 50,
    ("slow member", "cut"): 1,
    ("large", "p99_ms"): 250,
}


def rss_mib() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


async def serve(members: int, messages: int, rate: float) -> None:
    """Serve a room, and speak once everybody has come; ``rate`` is 0 for as fast as it goes."""
    room = Room[bytes](when_full="close" if rate else "wait")

    async def sit(conversation: Conversation[bytes, bytes]) -> None:
        async with room.join(conversation):
            async for _ in conversation:
                pass

    endpoint = lines.converse(sit, encoding=None)
    limits: dict[str, Any] = {"max_connections": members + 10, "drain_timeout": 0}
    async with Server(endpoint, "tcp:127.0.0.1:0", **limits) as server:
        print(server.addresses[0].rpartition(":")[2], flush=True)
        while len(room) < members:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        before = most = rss_mib()
        began = time.monotonic()
        cpu = time.process_time()
        for number in range(messages):
            if rate:
                await asyncio.sleep(began + number / rate - time.monotonic())
            await room.send(b"%016x" % time.monotonic_ns() + b"x" * (SIZE - 17))
            most = max(most, rss_mib())
        while any(member.waiting for member in room.members.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        took = time.monotonic() - began
        await asyncio.sleep(0.5)
        figures = {
            "messages_per_s": messages / took,
            "cpu_us_per_delivery": 1e6 * (time.process_time() - cpu) / (messages * members),
            "more_memory_mib": most - before,
            "cut": room.metrics.total("room_members_cut_total"),
            "left": len(room),
        }
        print(json.dumps(figures), flush=True)
        sys.stdin.readline()


class Members:
    """Many sockets that read, in one process."""

    def __init__(self, port: int, number: int) -> None:
        self.late_ms: list[float] = []
        self.closed = 0
        self._selector = selectors.DefaultSelector()
        for _ in range(number):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ, bytearray())

    def read(self, output: Any) -> dict[str, float]:
        """Read until the server reports its figures; return them."""
        self._selector.register(output, selectors.EVENT_READ, None)
        figures: dict[str, float] = {}
        while not figures:
            for key, _ in self._selector.select():
                if key.data is None:
                    figures = json.loads(output.readline())
                else:
                    self._take(key.fileobj, key.data)
        return figures

    def _take(self, sock: Any, head: bytearray) -> None:
        data = sock.recv(2**20)
        if not data:
            self._selector.unregister(sock)
            self.closed += 1
            return
        head += data
        while len(head) >= SIZE:
            self.late_ms.append((time.monotonic_ns() - int(head[:16], 16)) / 1e6)
            del head[:SIZE]


def run(members: int, messages: int, rate: float, slow: int = 0) -> dict[str, float]:
    """Run one case."""
    command = [sys.executable, __file__, "--serve", str(members + slow), str(messages), str(rate)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        port = int(server.stdout.readline())
        never_read = []
        for _ in range(slow):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            sock.connect(("127.0.0.1", port))
            never_read.append(sock)
        everybody = Members(port, members)
        figures = everybody.read(server.stdout)
        server.stdin.write("\n")
        server.stdin.close()
    late = sorted(everybody.late_ms)
    figures["delivered"] = len(late) / (members * messages)
    figures["p50_ms"], figures["p99_ms"] = late[len(late) // 2], late[len(late) * 99 // 100]
    for sock in never_read:
        sock.close()
    return figures


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if given.serve:
        members, messages, rate = given.serve
        asyncio.run(serve(int(members), int(messages), float(rate)))
        return 0
    found = {"sustainable": run(500, 128, 0)}
    half = found["sustainable"]["messages_per_s"] / 2
    found["slow member"] = run(500, 8 * MIB // SIZE, half, slow=1)
    found["large"] = run(5000, 10, 1.0)
    too_much = [
        f"{case}: {figure} is {found[case][figure]:.1f}, at most {most} is allowed"
        for (case, figure), most in ALLOWED.items()
        if found[case][figure] > most
    ]
    if given.json:
        print(json.dumps(found))
    else:
        for case, figures in found.items():
            shown = ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
            print(f"{case:12} {shown}")
        print("\n".join(too_much) or "all as allowed")
    return 1 if too_much else 0


if __name__ == "__main__":
    sys.exit(main())
