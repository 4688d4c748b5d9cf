"""What ten thousand idle connections cost a server that pings each every 30 seconds.

    python benchmarks/liveness.py           a minute of it
    python benchmarks/liveness.py --seconds 120

The server is a process of its own; its CPU time, by the kernel's account, is divided by the time
that has passed. The peers are in this process and answer each ping. At most 1 % of a core is
allowed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import selectors
import socket
import subprocess
import sys
import time

from pierhead import Conversation, Liveness, Server
from pierhead.protocols import lines

ALLOWED = 0.01


async def serve(peers: int) -> None:
    """Serve until the input ends."""

    async def sit(conversation: Conversation[bytes, bytes]) -> None:
        async for _ in conversation:
            pass

    pings = Liveness(make=lambda: b"PING", is_pong=lambda line: line == b"PONG", every=30)
    endpoint = lines.converse(sit, encoding=None, liveness=pings)
    async with Server(
        endpoint, "tcp:127.0.0.1:0", max_connections=peers + 10, drain_timeout=0
    ) as server:
        print(server.addresses[0].rpartition(":")[2], flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        print(
            int(server.metrics.total("connections_open")),
            int(server.metrics.total("signs_of_life_received_total")),
            flush=True,
        )


def cpu_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def answer(peers: selectors.BaseSelector, seconds: float) -> None:
    """Answer pings for this long."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        for key, _ in peers.select(left):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            if sock.recv(100):
                sock.send(b"PONG\n")
            else:
                peers.unregister(sock)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if given.serve:
        asyncio.run(serve(given.peers))
        return 0
    command = [sys.executable, __file__, "--serve", "--peers", str(given.peers)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        port = int(server.stdout.readline())
        peers = selectors.DefaultSelector()
        for _ in range(given.peers):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.send(b"hello\n")
            peers.register(sock, selectors.EVENT_READ)
            answer(peers, 0.0001)  # those who came first are pinged already
        answer(peers, 2)
        before, began = cpu_s(server.pid), time.monotonic()
        answer(peers, given.seconds)
        share = (cpu_s(server.pid) - before) / (time.monotonic() - began)
        server.stdin.write("\n")
        server.stdin.close()
        alive, signs = map(int, server.stdout.readline().split())
    print(f"{alive} of {given.peers} alive, {signs} answers, {share:.2%} of a core")
    return 0 if share <= ALLOWED and alive == given.peers else 1


if __name__ == "__main__":
    sys.exit(main())
