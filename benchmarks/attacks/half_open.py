"""Incomplete connections against honest clients: how many honest ones are served.

    python benchmarks/attacks/half_open.py

One process opens 1,500 connections to a server that accepts 1,024, sends one octet on each (or the
beginning of a TLS handshake) and opens another for each that is closed. Meanwhile 100 honest
clients connect one after the other; each sends one request and wants the answer within two seconds.
They come from another network than the attacker, and then from the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

FLOOD = 1500
HONEST = 100
PATIENCE_S = 2.0
#: How long the honest clients try in total.
LONGEST_S = 10.0

ATTACKER = "127.9.9.9"
SOURCES = {"another network": "127.1.1.1", "the same network": "127.9.9.10"}


class Held(asyncio.Protocol):
    """One connection of the attacker: sends the beginning, and reconnects when closed."""

    def __init__(self, flood: Flood) -> None:
        self.flood = flood

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the beginning."""
        self.flood.open.add(transport)
        transport.write(self.flood.beginning)  # type: ignore[attr-defined]
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Reconnect."""
        self.flood.open.discard(self.transport)
        self.flood.missing.release()


class Flood:
    """Keeps connections incomplete."""

    def __init__(self, port: int, beginning: bytes) -> None:
        self.port = port
        self.beginning = beginning
        self.open: set[asyncio.BaseTransport] = set()
        self.missing = asyncio.Semaphore(FLOOD)
        self.opened = 0
        self.is_on = asyncio.Event()

    async def run(self) -> None:
        """Open missing connections, forever."""
        loop = asyncio.get_running_loop()
        while True:
            await self.missing.acquire()
            with contextlib.suppress(OSError):
                await loop.create_connection(
                    lambda: Held(self), "127.0.0.1", self.port, local_addr=(ATTACKER, 0)
                )
                self.opened += 1
                if self.opened >= FLOOD:
                    self.is_on.set()
                continue
            self.missing.release()
            await asyncio.sleep(0.01)


async def honest(port: int, source: str, tls: ssl.SSLContext | None) -> bool:
    """Send one request; tell whether the answer arrived."""
    writer = None
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, local_addr=(source, 0), ssl=tls
            )
            writer.write(b"ahoy\n")
            return await reader.readline() == b"ahoy\n"
    except (OSError, TimeoutError):
        return False
    finally:
        if writer is not None:
            writer.transport.abort()


async def attack(port: int, source: str, beginning: bytes, tls: ssl.SSLContext | None) -> str:
    """Attack, and return how the honest clients fared."""
    flood = Flood(port, beginning)
    running = asyncio.ensure_future(flood.run())
    await flood.is_on.wait()
    served = asked = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LONGEST_S):
            for _ in range(HONEST):
                asked += 1
                served += await honest(port, source, tls)
    running.cancel()
    for transport in list(flood.open):
        transport.abort()  # type: ignore[attr-defined]
    return f"{served} of {asked} honest clients served, {flood.opened} connections of the attacker"


def main() -> None:
    """Attack a server of lines, and one behind TLS."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        key, cert = Path(folder, "key.pem"), Path(folder, "cert.pem")
        request = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=a -keyout {key} -out {cert}"
        subprocess.run(["openssl", *request.split()], check=True, capture_output=True)
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        plain, encrypted = "tcp:127.0.0.1:0", f"tls+tcp:127.0.0.1:0?cert={cert}&key={key}"
        for address, beginning, tls, what in (
            (plain, b"x", None, "one octet"),
            (encrypted, b"\x16\x03\x01", trusting, "a TLS handshake begun"),
        ):
            for where, source in SOURCES.items():
                with subprocess.Popen(
                    [sys.executable, "-m", "pierhead", "serve", "echo", "-l", address],
                    stderr=subprocess.PIPE,
                    text=True,
                ) as server:
                    assert server.stderr is not None
                    ready = next(line for line in server.stderr if line.startswith("ready "))
                    port = int(ready.rpartition(":")[2])
                    print(f"{what}, from {where}:", end=" ", flush=True)
                    print(asyncio.run(attack(port, source, beginning, tls)))
                    server.terminate()
                    server.wait(30)


if __name__ == "__main__":
    main()
