"""Clients of a hosted ASGI application that open no window, or disconnect while it waits.

    python benchmarks/attacks/closed_windows.py

hypercorn hosts two applications. The first offers 200 MB to one HTTP/2 client that reads everything
it gets and opens no further window. The second refuses a body without reading it; 200 clients send
twenty pieces of a body each, and reset their connections.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import h2.connection

from pierhead import Server
from pierhead.hosting import hypercorn

OFFERED = 200 * 10**6
PIECE = bytes(100_000)
CLIENTS = 200
PIECES = 20
ADDRESS = "tcp:127.0.0.1:0"


def resident_mb() -> float:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 10**6


async def offering(scope: Any, receive: Any, send: Any) -> None:
    """Send far more than any window."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(OFFERED // len(PIECE)):
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})


async def refusing(scope: Any, receive: Any, send: Any) -> None:
    """Refuse a body that has begun, without reading it."""
    assert scope["type"] == "http"
    await asyncio.sleep(2)
    await send({"type": "http.response.start", "status": 413, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def connected(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a server."""
    return await asyncio.open_connection("127.0.0.1", int(str(server.addresses[0]).split(":")[2]))


async def open_no_window() -> None:
    """Ask for a long answer, and let 65,535 octets of it through."""
    async with Server(hypercorn.serve(offering), ADDRESS, drain_timeout=0) as server:
        _, writer = await connected(server)
        connection = h2.connection.H2Connection()
        connection.initiate_connection()
        pseudo = {"method": "GET", "path": "/", "scheme": "http", "authority": "t"}
        headers = [(f":{name}", value) for name, value in pseudo.items()]
        connection.send_headers(1, headers, end_stream=True)
        before = resident_mb()
        writer.write(connection.data_to_send())
        await asyncio.sleep(3)
        print(f"memory: {before:.0f} MB before, {resident_mb():.0f} MB after ({OFFERED:,} offered)")
        writer.close()


async def leave_a_body(server: Server) -> None:
    """Send pieces of a body, read the refusal, and reset."""
    reader, writer = await connected(server)
    writer.write(b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(PIECES):
        writer.write(b"1\r\nx\r\n")
        await asyncio.sleep(0.01)
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


async def reset_in_a_body() -> None:
    """Have many clients leave."""
    async with Server(hypercorn.serve(refusing), ADDRESS, drain_timeout=0) as server:
        await asyncio.gather(*(leave_a_body(server) for _ in range(CLIENTS)))
        await asyncio.sleep(1)
        left = server.metrics.total("connections_open")
        print(f"{CLIENTS} clients have left; connections that are still counted: {left}")


async def main() -> None:
    """Attack, and print the figures."""
    await open_no_window()
    await reset_in_a_body()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
