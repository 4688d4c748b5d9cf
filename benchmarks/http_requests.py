"""CPU per request of HTTP/1.1, beside uvicorn with httptools and a bare ASGI application.

    python benchmarks/http_requests.py                 every case, three rounds
    python benchmarks/http_requests.py --rounds 1 --json

Each server answers the same requests on loopback TCP, one process each, on uvloop:

    keep-alive    eight connections, one request at a time on each
    pipelined     eight connections, sixteen requests at a time on each
    echo          keep-alive, POST of 200 octets that come back

What counts is the CPU time of the server's process, by the kernel's own account. The rounds take
turns, so that a busy machine slows both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CONNECTIONS = 8
DEPTH = 16
REQUESTS = 20_000

SERVERS = {
    "pierhead": """
import asyncio, sys, uvloop
from pierhead import Server
from pierhead.protocols import http

async def service(request, context):
    if request.method == "POST":
        return await request.body.read(1000)
    return b"Hello, world!"

async def main():
    async with Server(http.serve(service), "tcp:127.0.0.1:0") as server:
        print(server.addresses[0].rpartition(":")[2], flush=True)
        await asyncio.Event().wait()

uvloop.run(main())
""",
    "uvicorn": """
import asyncio, socket, uvicorn, uvloop

async def app(scope, receive, send):
    content = b"Hello, world!"
    if scope["method"] == "POST":
        content = (await receive())["body"]
    fields = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": content})

async def main():
    config = uvicorn.Config(app, http="httptools", access_log=False, log_level="error",
                            lifespan="off", ws="none")
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    await uvicorn.Server(config).serve([listener])

uvloop.run(main())
""",
}

GET = (
    b"GET /plain HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: benchmark/1\r\nAccept: */*\r\n"
    b"Accept-Encoding: gzip\r\n\r\n"
)
POST = (
    b"POST /echo HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: benchmark/1\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 200\r\n\r\n" + b"x" * 200
)
CASES = {"keep-alive": (GET, 1), "pipelined": (GET, DEPTH), "echo": (POST, 1)}


async def ask(port: int, request: bytes, depth: int, count: int) -> None:
    """Send this many requests on one connection, so many at a time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count // depth):
        writer.write(request * depth)
        for _ in range(depth):
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
    writer.close()
    await writer.wait_closed()


async def load(port: int, request: bytes, depth: int) -> int:
    """Return how many requests were answered."""
    each = REQUESTS // CONNECTIONS // depth * depth
    await asyncio.gather(*(ask(port, request, depth, each) for _ in range(CONNECTIONS)))
    return each * CONNECTIONS


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def measure(name: str) -> dict[str, float]:
    """Return µs of CPU per request, by case."""
    server = subprocess.Popen([sys.executable, "-c", SERVERS[name]], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        port, found = int(server.stdout.readline()), {}
        for case, (request, depth) in CASES.items():
            asyncio.run(ask(port, request, depth, depth * 20))
            before = cpu_s(server.pid)
            count = asyncio.run(load(port, request, depth))
            found[case] = (cpu_s(server.pid) - before) / count * 1e6
        return found
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    seen: dict[str, dict[str, list[float]]] = {name: {c: [] for c in CASES} for name in SERVERS}
    for _ in range(given.rounds):
        for name in SERVERS:
            for case, cost in measure(name).items():
                seen[name][case].append(cost)
    result: dict[str, Any] = {
        name: {case: round(statistics.median(costs), 1) for case, costs in cases.items()}
        for name, cases in seen.items()
    }
    if given.json:
        print(json.dumps(result))
        return
    print(f"{platform.machine()}, Python {platform.python_version()}, {time.strftime('%F')}")
    for case in CASES:
        row = "  ".join(f"{name} {result[name][case]:6.1f}" for name in SERVERS)
        print(f"{case:12} {row}  µs of CPU per request")


if __name__ == "__main__":
    main()
