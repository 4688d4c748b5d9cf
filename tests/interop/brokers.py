"""Redis and NATS on loopback, which can be killed and started again, and a link that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

from tests.processes import Running, free_port, require_program, wait_until

from pierhead.backplane import Brokered, jetstream, redis_streams

__all__ = ["BROKERS", "BrokerProcess", "Link"]

BROKERS = ("redis", "nats")


class BrokerProcess:
    """A broker, with its data in a directory."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind = kind
        self.port = free_port()
        self._data = directory / "data"
        self._running: Running | None = None
        self._program = require_program(f"{kind}-server")

    def start(self, *, empty: bool = False) -> None:
        if empty:
            shutil.rmtree(self._data)
        self._data.mkdir(exist_ok=True)
        self._running = Running(self._command())
        wait_until(self._listens, self._running)

    def _command(self) -> list[str]:
        port, data = str(self.port), str(self._data)
        if self.kind == "redis":
            # It writes what it has taken to its file before it answers.
            kept = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
            return [self._program, "--port", port, "--bind", "127.0.0.1", "--dir", data, *kept]
        return [self._program, "-a", "127.0.0.1", "-p", port, "-js", "-sd", data]

    def _listens(self) -> bool:
        import socket

        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def kill(self) -> None:
        assert self._running is not None
        self._running.process.send_signal(signal.SIGKILL)
        self._running.kill()

    def stop_reading(self) -> None:
        """Stop the process, as a machine that hangs."""
        assert self._running is not None
        self._running.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._running is not None
        self._running.process.send_signal(signal.SIGCONT)

    def url(self, port: int | None = None) -> str:
        return f"{self.kind}://127.0.0.1:{port or self.port}"

    def backplane(self, port: int | None = None, **given: Any) -> Brokered[str]:
        make = redis_streams if self.kind == "redis" else jetstream
        return make(self.url(port), max_back_off=0.2, **given)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *failure: object) -> None:
        assert self._running is not None
        self._running.kill()


class Link:
    """A way to a port that can be cut: what is on it is reset, and who comes is turned away."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_cut = False
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        self._is_cut = True
        for writer in self._open:
            writer.transport.abort()

    def heal(self) -> None:
        self._is_cut = False

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        there = await asyncio.open_connection("127.0.0.1", self._port)
        ends = {writer, there[1]}
        self._open |= ends
        try:
            await asyncio.gather(self._copy(reader, there[1]), self._copy(there[0], writer))
        finally:
            self._open -= ends

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while octets := await reader.read(65536):
                writer.write(octets)
                await writer.drain()
        writer.close()
