"""What one request costs on its way through the code, beside another version of it.

    python benchmarks/path_costs.py                            this tree alone
    python benchmarks/path_costs.py --before ../old            each case beside another checkout
    python benchmarks/path_costs.py --case udp --json          some cases, for a program to read

For each case a process serves on loopback and queries itself from a second thread. It counts what
the serving thread does: calls of the package's Python functions (exact, the same in every run), and
its CPU time (the kernel's, the lowest of several rounds; with ``--before`` both trees take turns,
and the ratio is the median of the rounds).

    udp-ready       DNS over UDP, one question at a time, from the ready answers
    udp-made        the same, without ready answers
    tcp-ready       sixteen questions in one write, from the ready answers
    tcp-made        the same, without ready answers
    line            a service of lines, one at a time
    lines           sixteen lines in one write
    waiting         sixteen lines in one write, a service that waits for one loop iteration
    accept          connect, one line, close
    idle            octets of memory for each idle connection (tracemalloc)
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import platform
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve().parent.parent
DEADLINE_S = 60.0
ROUNDS = 7
COUNTED = 320
TIMED = 6_400
PIPELINED = 16
IDLE_CONNECTIONS = 400

ZONE = """
@ 300 SOA ns hostmaster 1 7200 900 1209600 300
@ 300 NS ns
ns 300 A 192.0.2.1
www 300 A 192.0.2.2
"""
QUESTION = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + b"\3www\7example\0\0\1\0\1"
LINE = b"x" * 63 + b"\n"

Load = Callable[[tuple[Any, ...], int], None]


# -- the clients: blocking, in a thread of their own -------------------------------------------


def ask_datagrams(address: tuple[Any, ...], number: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(DEADLINE_S)
        client.connect(address)
        for _ in range(number):
            client.send(QUESTION)
            client.recv(512)


def ask_stream(message: bytes, at_once: int, reply_octets: int) -> Load:
    def load(address: tuple[Any, ...], number: int) -> None:
        with socket.create_connection(address, DEADLINE_S) as client:
            for _ in range(number // at_once):
                client.sendall(message * at_once)
                left = reply_octets * at_once
                while left:
                    left -= len(client.recv(left)) or sys.exit("the server has closed")

    return load


def ask_and_close(address: tuple[Any, ...], number: int) -> None:
    for _ in range(number):
        ask_stream(LINE, 1, len(LINE))(address, 1)


# -- the servers -------------------------------------------------------------------------------


def dns_endpoint(**options: int) -> Any:
    from pierhead.protocols import dns

    with tempfile.NamedTemporaryFile("w", suffix=".zone") as file:
        file.write(ZONE)
        file.flush()
        return dns.serve(dns.zones(f"example.={file.name}"), **options)


def line_endpoint(*, waits: bool = False) -> Any:
    from pierhead.protocols import lines

    async def shout(line: str, context: object) -> str:
        return line

    async def wait(line: str, context: object) -> str:
        await asyncio.sleep(0)
        return line

    return lines.serve(wait if waits else shout)


ANSWER = len(QUESTION) + 16
CASES: dict[str, tuple[Callable[[], Any], str, Load]] = {
    "udp-ready": (dns_endpoint, "udp", ask_datagrams),
    "udp-made": (lambda: dns_endpoint(max_ready_answers=0), "udp", ask_datagrams),
    "tcp-ready": (
        dns_endpoint,
        "tcp",
        ask_stream(struct.pack("!H", len(QUESTION)) + QUESTION, PIPELINED, ANSWER + 2),
    ),
    "tcp-made": (
        lambda: dns_endpoint(max_ready_answers=0),
        "tcp",
        ask_stream(struct.pack("!H", len(QUESTION)) + QUESTION, PIPELINED, ANSWER + 2),
    ),
    "line": (line_endpoint, "tcp", ask_stream(LINE, 1, len(LINE))),
    "lines": (line_endpoint, "tcp", ask_stream(LINE, PIPELINED, len(LINE))),
    "waiting": (lambda: line_endpoint(waits=True), "tcp", ask_stream(LINE, PIPELINED, len(LINE))),
    "accept": (line_endpoint, "tcp", ask_and_close),
}


# -- one process, one case ---------------------------------------------------------------------


@contextlib.contextmanager
def counting() -> Iterator[list[int]]:
    """Count the calls of the package's own functions in this thread."""
    from pierhead import errors

    top = str(Path(errors.__file__).parent)
    count = [0]

    def profile(frame: FrameType, event: str, argument: object) -> None:
        count[0] += event == "call" and frame.f_code.co_filename.startswith(top)

    sys.setprofile(profile)
    try:
        yield count
    finally:
        sys.setprofile(None)


async def measure(case: str) -> dict[str, float]:
    """Serve one case to a thread of this process; return calls and CPU per request."""
    from pierhead import Server

    make, scheme, load = CASES[case]
    async with Server(make(), f"{scheme}:127.0.0.1:0") as server:
        address = server.sockets[0].getsockname()
        await asyncio.to_thread(load, address, PIPELINED * 8)
        with counting() as count:
            await asyncio.to_thread(load, address, COUNTED)
        number = TIMED // 8 if case == "accept" else TIMED
        gc.collect()
        before = time.thread_time_ns()
        await asyncio.to_thread(load, address, number)
        spent = time.thread_time_ns() - before
    return {"calls": count[0] / COUNTED, "cpu_us": spent / 1e3 / number}


async def measure_idle() -> dict[str, float]:
    """Return the octets that an idle connection holds in the server's memory."""
    from pierhead import Server

    async with Server(line_endpoint(), "tcp:127.0.0.1:0") as server:
        address = server.sockets[0].getsockname()
        with contextlib.ExitStack() as stack:
            ask_all(stack, address, 20)
            await asyncio.sleep(0.1)
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            await asyncio.to_thread(ask_all, stack, address, IDLE_CONNECTIONS)
            await asyncio.sleep(0.1)
            gc.collect()
            held = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
    return {"octets": held / IDLE_CONNECTIONS}


def ask_all(stack: contextlib.ExitStack, address: tuple[Any, ...], number: int) -> None:
    for _ in range(number):
        stack.enter_context(socket.create_connection(address, DEADLINE_S))


def run_case(case: str) -> None:
    import uvloop

    loop = asyncio.new_event_loop if case == "idle" else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop) as runner:
        print(json.dumps(runner.run(measure_idle() if case == "idle" else measure(case))))


# -- all of them, in turn ----------------------------------------------------------------------


def measured(tree: Path, case: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", case]
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    done = subprocess.run(
        command, env=environment, capture_output=True, timeout=DEADLINE_S, check=False
    )
    if done.returncode:
        sys.exit(f"{case} in {tree}: {done.stderr.decode()[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout)
    return result


def compare(case: str, before: Path | None, rounds: int) -> dict[str, float]:
    found: list[dict[str, float]] = []
    other: list[dict[str, float]] = []
    for _ in range(1 if case == "idle" else rounds):
        found.append(measured(HERE, case))
        if before is not None:
            other.append(measured(before, case))
    result = {name: min(one[name] for one in found) for name in found[0]}
    for name in found[0] if other else ():
        result[f"{name}_before"] = min(one[name] for one in other)
        ratios = [a[name] / b[name] for a, b in zip(found, other, strict=True)]
        result[f"{name}_ratio"] = statistics.median(ratios)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="another tree to compare")
    parser.add_argument("--case", default="", help="only cases that begin so")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--json", action="store_true", help="print one object")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        run_case(asked.measure)
        return
    if not asked.json:
        print(f"{platform.platform()}, Python {platform.python_version()}, uvloop", flush=True)
    results = {}
    for case in (*CASES, "idle"):
        if case.startswith(asked.case):
            results[case] = compare(case, asked.before, asked.rounds)
            if not asked.json:
                figures = (f"{name} {value:.2f}" for name, value in results[case].items())
                print(f"{case:<10} {'  '.join(figures)}", flush=True)
    if asked.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
