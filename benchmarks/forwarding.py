"""CPU of passing connections on, per octet and per connection, beside HAProxy.

    python benchmarks/forwarding.py                 every case, five rounds
    python benchmarks/forwarding.py --json          the same, for a program to read

The same loads go through each relay, in turn, to the same upstream on loopback TCP:

    down            one connection on which the upstream sends, and the client reads, 64 KiB at a
                    time, as fast as both can
    connections     connect, send 64 octets, get them back, close; eight at a time

What counts is the CPU time of the relay's process, by the kernel's own account. The relays:

    pierhead        `proxying.forward`: limits, deadlines, counters, health, drain; splice(2)
    copying         the same with splice=False, as it is with TLS
    haproxy         one thread, mode tcp, option splice-auto
    haproxy-copies  the same without splicing
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop

from pierhead import Server
from pierhead.protocols import proxying

MIB = 1024
CONNECTIONS = 2000
ROUNDS = 5
AT_ONCE = 8
CHUNK = 65_536
RELAYS = ("pierhead", "copying", "haproxy", "haproxy-copies")

HAPROXY = """\
global
  nbthread 1
  maxconn 1000
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  {option}
listen front
  bind 127.0.0.1:{port}
  server up 127.0.0.1:{upstream}
"""


# -- the upstream ------------------------------------------------------------------------------


def answer(connection: socket.socket) -> None:
    """Send as many octets as the first eight say; none of them, and the rest comes back."""
    with connection, contextlib.suppress(OSError):
        head = connection.recv(64)
        if not head:
            return
        (size,) = struct.unpack_from("!Q", head)
        if not size:
            connection.sendall(head)
            connection.recv(1)
        data = memoryview(bytes(CHUNK))
        while size > 0:
            size -= connection.send(data[: min(size, CHUNK)])


def serve_upstream() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        print(listening.getsockname()[1], flush=True)
        while True:
            threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()


# -- the relays --------------------------------------------------------------------------------


async def relay(upstream: str, splice: bool) -> None:
    endpoint = proxying.forward(f"tcp:127.0.0.1:{upstream}", splice=splice)
    async with Server(endpoint, "tcp:127.0.0.1:0") as server:
        print(server.addresses[0].rpartition(":")[2], flush=True)
        await asyncio.Event().wait()


@contextlib.contextmanager
def started(*words: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, __file__, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.terminate()


@contextlib.contextmanager
def haproxy(upstream: int, option: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    program = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise SystemExit("haproxy is not installed (Debian: apt-get install haproxy)")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "haproxy.cfg"
        config.write_text(HAPROXY.format(port=port, upstream=upstream, option=option))
        with subprocess.Popen([program, "-db", "-f", str(config)], text=True) as process:
            try:
                for _ in range(500):
                    with contextlib.suppress(OSError):
                        socket.create_connection(("127.0.0.1", port), timeout=1).close()
                        break
                    time.sleep(0.01)
                yield process, port
            finally:
                process.terminate()


@contextlib.contextmanager
def relaying(name: str, loop: str, upstream: int) -> Iterator[tuple[int, int]]:
    """Start a relay; give its process ID and its port."""
    if name.startswith("haproxy"):
        option = "option splice-auto" if name == "haproxy" else ""
        with haproxy(upstream, option) as (process, port):
            yield process.pid, port
    else:
        with started("--relay", name, "--loop", loop, "--upstream", str(upstream)) as (one, port):
            yield one.pid, port


# -- the load ----------------------------------------------------------------------------------


def on_core_ns(pid: int) -> int:
    """Return how long the process's threads have been on a core (proc(5), schedstat)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def down(port: int, size: int) -> None:
    buffer = bytearray(CHUNK)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(struct.pack("!Q", size).ljust(64, b"x"))
        left = size
        while left > 0:
            got = client.recv_into(buffer)
            if not got:
                raise SystemExit("the relay has closed a connection")
            left -= got


def connections(port: int, count: int) -> None:
    def some(number: int) -> None:
        for _ in range(number):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
                client.sendall(bytes(64))
                received = 0
                while received < 64:
                    got = len(client.recv(64))
                    if not got:
                        raise SystemExit("the relay has closed a connection")
                    received += got

    threads = [threading.Thread(target=some, args=(count // AT_ONCE,)) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure(pid: int, port: int, load: str, amount: int) -> float:
    """Return the CPU that a load costs: ns per KiB, or µs per connection."""
    if load == "down":
        down(port, amount << 15)  # it is warm then
        before = on_core_ns(pid)
        down(port, amount << 20)
        return (on_core_ns(pid) - before) / (amount * 1024)
    connections(port, AT_ONCE * 4)
    before = on_core_ns(pid)
    connections(port, amount)
    return (on_core_ns(pid) - before) / 1000 / (amount // AT_ONCE * AT_ONCE)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="uvloop")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--mib", type=int, default=MIB)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--upstream", help=argparse.SUPPRESS)
    parser.add_argument("--relay", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.relay == "upstream":
        serve_upstream()
    if given.relay:
        factory = uvloop.new_event_loop if given.loop == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(relay(given.upstream, given.relay == "pierhead"))
    cases = []
    with started("--relay", "upstream") as (_, upstream):
        for load, amount in (("down", given.mib), ("connections", given.connections)):
            cost: dict[str, list[float]] = {name: [] for name in RELAYS}
            for _ in range(given.rounds):
                for name in RELAYS:
                    with relaying(name, given.loop, upstream) as (pid, port):
                        cost[name].append(measure(pid, port, load, amount))
            cases += [
                {"load": load, "relay": name, "loop": given.loop, "cost": cost[name]}
                for name in RELAYS
            ]
    if given.json:
        print(json.dumps(cases))
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for case in cases:
        unit = "ns per KiB" if case["load"] == "down" else "µs per connection"
        costs = case["cost"]
        print(
            f"{case['load']:12} {case['relay']:15} {statistics.median(costs):9.1f} {unit}"
            f"   ({min(costs):.1f} to {max(costs):.1f})"
        )


if __name__ == "__main__":
    main()
