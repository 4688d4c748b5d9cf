"""A peer that sends any octets, and reads responses by h11."""

from __future__ import annotations

import asyncio
from typing import Any

import h11

from pierhead.client.dial import dial_stream

HOST = b"Host: a\r\n"


def get(path: bytes = b"/", fields: bytes = HOST, method: bytes = b"GET") -> bytes:
    return method + b" " + path + b" HTTP/1.1\r\n" + fields + b"\r\n"


def post(content: bytes, fields: bytes = HOST, path: bytes = b"/") -> bytes:
    return get(path, fields + b"Content-Length: %d\r\n" % len(content), b"POST") + content


class Reply:
    """One response, as h11 reads it."""

    def __init__(self, status: int, fields: dict[str, str]) -> None:
        self.status = status
        self.fields = fields
        self.content = b""
        self.trailers: dict[str, str] = {}


class RawPeer(asyncio.Protocol):
    """One connection."""

    transport: Any

    def __init__(self) -> None:
        self.received = b""
        self.has_ended = False
        self._changed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._changed.set()

    def eof_received(self) -> bool:
        self.has_ended = True
        self._changed.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.has_ended = True
        self._changed.set()

    def send(self, octets: bytes) -> None:
        self.transport.write(octets)

    def end(self) -> None:
        self.transport.write_eof()

    async def until(self, octets: bytes) -> bytes:
        """Return what has come once it has these octets."""
        while octets not in self.received and not self.has_ended:
            self._changed.clear()
            await self._changed.wait()
        assert octets in self.received, self.received
        return self.received

    async def all(self) -> bytes:
        """Return everything, once the server has ended its side."""
        while not self.has_ended:
            self._changed.clear()
            await self._changed.wait()
        return self.received

    async def replies(self, *methods: str) -> list[Reply]:
        """Return the responses to requests of these methods; the connection must end."""
        return read_replies(await self.all(), *methods)


def read_replies(octets: bytes, *methods: str) -> list[Reply]:
    found: list[Reply] = []
    rest = octets
    for method in methods:
        it = h11.Connection(h11.CLIENT)
        it.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        it.send(h11.EndOfMessage())
        it.receive_data(rest)
        it.receive_data(b"")
        while not isinstance(event := it.next_event(), h11.EndOfMessage):
            assert event is not h11.NEED_DATA, octets
            if isinstance(event, h11.InformationalResponse):
                continue
            if isinstance(event, h11.Response):
                found.append(Reply(event.status_code, _fields(event.headers)))
            elif isinstance(event, h11.Data):
                found[-1].content += bytes(event.data)
        found[-1].trailers = _fields(event.headers)
        rest = it.trailing_data[0]
    assert rest == b""
    return found


def _fields(headers: Any) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}


async def connect(address: str) -> RawPeer:
    peer = RawPeer()
    peer.transport = await dial_stream(address, lambda: peer)
    return peer


async def exchange(address: str, octets: bytes, *methods: str) -> list[Reply]:
    """Send these octets, end, and return the responses."""
    peer = await connect(address)
    peer.send(octets)
    peer.end()
    return await peer.replies(*methods)
