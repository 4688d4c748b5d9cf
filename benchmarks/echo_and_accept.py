"""CPU per echoed line and per accepted connection, beside asyncio's own servers.

    python benchmarks/echo_and_accept.py            every case, five rounds
    python benchmarks/echo_and_accept.py --json     the same, for a program to read

The same loads are applied to each server, in turn:

    echo            32 connections (or datagram sockets) that send a line of 64 octets and wait
                    for it to come back
    pipelined       the same with 16 lines at a time, as a busy client does
    accept          connections that send one line, wait for it and close, 32 at a time

What counts is the CPU time of the server's process, by the kernel's own account, divided by what it
answered; rates say more about the machine. The servers:

    pierhead        `pierhead serve echo`: framing, limits, deadlines, counters, drain; an answer
                    that is known at once makes no request
    service         the same with an async function: each line is a request, with its own deadline,
                    context and cancellation
    start_server    asyncio.start_server with readline, write, drain: the hand-written way
    streams         the same callback in hosting.streams: on our listeners, with our limits
    protocol        the bare protocol (below) in hosting.protocol, likewise
    datagrams       a DatagramProtocol with loop.create_datagram_endpoint, likewise
    bare            a Protocol that writes back what it reads, without framing, limits or
                    deadlines: not a server to run, but the floor under this event loop
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import platform
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvloop

from pierhead import Context, Server, hosting
from pierhead.protocols import lines

LINE = b"x" * 63 + b"\n"
CONNECTIONS = 32
PIPELINED = 16
ECHOES = 20_000
ACCEPTS = 2_000
ROUNDS = 5
DEADLINE_S = 60.0
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
STREAMS = ("pierhead", "service", "start_server", "streams", "protocol", "bare")
DATAGRAMS = ("pierhead", "service", "datagrams")


# -- the servers: each prints its port or path when it is ready --------------------------------


async def echo_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def answer(line: bytes, context: Context) -> bytes:
    return line


class BareEcho(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class DatagramEcho(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)


async def serve_pierhead(endpoint, network: str, path: str) -> None:
    address = f"unix:{path}" if network == "unix" else f"{network}:127.0.0.1:0"
    async with Server(endpoint, address) as server:
        print(server.addresses[0].rpartition(":")[2], flush=True)
        await asyncio.Event().wait()


async def serve_asyncio(name: str, network: str, path: str) -> None:
    loop = asyncio.get_running_loop()
    if network == "udp":
        transport, _ = await loop.create_datagram_endpoint(DatagramEcho, ("127.0.0.1", 0))
        print(transport.get_extra_info("sockname")[1], flush=True)
        await asyncio.Event().wait()
    if name == "start_server":
        if network == "unix":
            server = await asyncio.start_unix_server(echo_lines, path, backlog=1024)
        else:
            server = await asyncio.start_server(echo_lines, "127.0.0.1", 0, backlog=1024)
    elif network == "unix":
        server = await loop.create_unix_server(BareEcho, path, backlog=1024)
    else:
        server = await loop.create_server(BareEcho, "127.0.0.1", 0, backlog=1024)
    sockname = server.sockets[0].getsockname()
    print(path if network == "unix" else sockname[1], flush=True)
    await server.serve_forever()


def serve(name: str, loop: str, network: str, path: str) -> None:
    if name == "pierhead":
        main = serve_pierhead(lines.serve(lines.echo, encoding=None), network, path)
    elif name == "service":
        main = serve_pierhead(lines.serve(answer, encoding=None), network, path)
    elif name == "streams":
        main = serve_pierhead(hosting.streams.serve(echo_lines), network, path)
    elif name == "protocol":
        main = serve_pierhead(hosting.protocol.serve(BareEcho), network, path)
    else:
        main = serve_asyncio(name, network, path)
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main)


# -- the load ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """A running server: its process, and where it listens."""

    pid: int
    network: str
    place: str

    def connect(self) -> socket.socket:
        if self.network == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(self.place)
            return sock
        kind = socket.SOCK_DGRAM if self.network == "udp" else socket.SOCK_STREAM
        sock = socket.socket(socket.AF_INET, kind)
        sock.connect(("127.0.0.1", int(self.place)))
        return sock

    def on_core_ns(self) -> int:
        """Return how long the process's threads have been on a core (proc(5), schedstat)."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def echo(target: Target, count: int, lines: int = 1) -> None:
    """Send lines on all connections, the next ones when the last have come back."""
    batch = LINE * lines
    with contextlib.ExitStack() as closing, select.epoll() as poll:
        waiting: dict[int, tuple[socket.socket, int]] = {}
        for _ in range(CONNECTIONS):
            sock = closing.enter_context(target.connect())
            poll.register(sock, select.EPOLLIN)
            waiting[sock.fileno()] = sock, len(batch)
            sock.send(batch)
        left = count - CONNECTIONS * lines

        def come_back() -> int:
            nonlocal left
            done = 0
            for number, _ in poll.poll(1.0):
                sock, missing = waiting[number]
                received = len(sock.recv(65_536))
                if not received:
                    raise SystemExit("the server has closed a connection")
                missing -= received
                if missing <= 0 or target.network == "udp":
                    done += lines
                    missing = len(batch)
                    if left > 0:
                        # An echo answers the same datagram of the same sender once in a while.
                        sock.send(b"%063d\n" % left if target.network == "udp" else batch)
                        left -= lines
                waiting[number] = sock, missing
            return done

        _until(count, come_back)


def accept(target: Target, count: int) -> None:
    """Connect, send one line, get it back and close, some connections at a time."""
    with contextlib.ExitStack() as closing, select.epoll() as poll:
        waiting: dict[int, socket.socket] = {}
        closing.callback(lambda: [sock.close() for sock in waiting.values()])

        left = count

        def one_more() -> None:
            nonlocal left
            left -= 1
            sock = target.connect()
            sock.send(LINE)
            poll.register(sock, select.EPOLLIN)
            waiting[sock.fileno()] = sock

        def come_back() -> int:
            done = 0
            for number, _ in poll.poll(1.0):
                waiting[number].recv(65_536)
                waiting.pop(number).close()
                if left > 0:
                    one_more()
                done += 1
            return done

        for _ in range(CONNECTIONS):
            one_more()
        _until(count, come_back)


def _until(count: int, step: Callable[[], int]) -> None:
    give_up = time.monotonic() + DEADLINE_S
    while count > 0:
        count -= step()
        if time.monotonic() > give_up:
            raise SystemExit(f"{count} answers are missing after {DEADLINE_S:.0f} s")


LOADS = {
    "echo": (echo, ECHOES),
    "pipelined": (partial(echo, lines=PIPELINED), 4 * ECHOES),
    "accept": (accept, ACCEPTS),
}


# -- measuring ---------------------------------------------------------------------------------


@contextlib.contextmanager
def running(name: str, loop: str, network: str, folder: str) -> Iterator[Target]:
    path = f"{folder}/{name}-{loop}"
    arguments = ["--serve", name, "--loop", loop, "--network", network, "--path", path]
    with subprocess.Popen(
        [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            place = process.stdout.readline().strip()
            yield Target(process.pid, network, path if network == "unix" else place)
        finally:
            process.kill()


@dataclass
class Case:
    """What one server took for each answer of one load, in microseconds of CPU, by round."""

    load: str
    network: str
    loop: str
    server: str
    cpu_us: list[float]
    per_second: list[float]

    @property
    def median_us(self) -> float:
        return statistics.median(self.cpu_us)


def measure(load: str, network: str, loop: str, rounds: int, count: int | None) -> list[Case]:
    """Apply one load to each server of a network, in turn, so that the machine is fair to all."""
    names = DATAGRAMS if network == "udp" else STREAMS
    cases = [Case(load, network, loop, name, [], []) for name in names]
    put, usual = LOADS[load]
    count = count or usual
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        targets = [stack.enter_context(running(name, loop, network, folder)) for name in names]
        for target in targets:
            put(target, count // 10)  # warm
        for _ in range(rounds):
            for case, target in zip(cases, targets, strict=True):
                before, began = target.on_core_ns(), time.monotonic()
                put(target, count)
                case.cpu_us.append((target.on_core_ns() - before) / count / 1000)
                case.per_second.append(count / (time.monotonic() - began))
    return cases


def show(cases: list[Case]) -> None:
    first = cases[0]
    print(f"\n{first.load}, {first.network}, on {first.loop}")
    for case in cases:
        ratio = case.median_us / first.median_us
        span = f"{min(case.cpu_us):.1f}–{max(case.cpu_us):.1f}"
        rate = statistics.median(case.per_second)
        print(
            f"  {case.server:14}{case.median_us:7.1f} µs ({span})   {ratio:5.2f} × pierhead"
            f"   {rate:8.0f}/s"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--serve", choices=[*STREAMS, "datagrams"], help=argparse.SUPPRESS)
    parser.add_argument("--path", default="", help=argparse.SUPPRESS)
    parser.add_argument("--loop", choices=LOOPS, help="this event loop alone (default: both)")
    parser.add_argument("--network", choices=["tcp", "unix", "udp"], help="this alone")
    parser.add_argument("--load", choices=LOADS, help="this load alone (default: both)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds (default: %(default)s)")
    parser.add_argument("--count", type=int, help="answers in a round (default: the load's own)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.loop, given.network, given.path)
        return
    everything: list[Case] = []
    for load in [given.load] if given.load else LOADS:
        for network in [given.network] if given.network else ["tcp", "unix", "udp"]:
            if load != "echo" and network == "udp":
                continue
            for loop in [given.loop] if given.loop else LOOPS:
                cases = measure(load, network, loop, given.rounds, given.count)
                everything += cases
                if not given.json:
                    show(cases)
    if given.json:
        print(json.dumps([case.__dict__ for case in everything], indent=2))
    else:
        python = platform.python_version()
        print(f"\n{platform.machine()}, Python {python}, uvloop {uvloop.__version__}")


if __name__ == "__main__":
    main()
