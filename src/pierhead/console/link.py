"""What a console is connected to: messages on a stream, octets as they come, or datagrams.

async with open_link(address, framing, source=None) as link:
    await link.send(b"hello")
    while (message := await link.receive()) is not None: …
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, cast

from pierhead.address import ListenSpec
from pierhead.client.client import connect
from pierhead.client.datagram_end import DatagramClient
from pierhead.client.dial import dial_datagram, dial_stream
from pierhead.client.route import DATAGRAMS
from pierhead.codec.base import Framing, WireFormat
from pierhead.codec.octets import Octets
from pierhead.connection.conversation import Conversation
from pierhead.errors import ConnectionEnded

__all__ = ["Link", "open_link"]

#: Octets that wait to be shown; beyond this, reading pauses.
_MAX_WAITING_BYTES = 4_194_304
#: Octets that wait for the peer; beyond this, the input is not read.
_MAX_UNSENT_BYTES = 1_048_576
_CONNECT_S = 10.0
_A_DAY_S = 86_400.0


class Link(Protocol):
    """The way to one peer and back."""

    #: Whether each message is a datagram: then there is no end.
    is_datagram: bool

    def plain_socket(self) -> socket.socket | None:
        """Return the socket of a stream, a descriptor of its own, if nothing wraps its octets."""
        ...

    async def send(self, octets: bytes, /) -> None:
        """Send a message, or some octets; wait while the peer does not keep up.

        Raises:
            ConnectionEnded: nothing more can be sent.
        """
        ...

    async def receive(self) -> bytes | None:
        """Return the next message, or what has come; None when the peer has ended its side.

        Raises:
            ConnectionEnded: the connection was cut off.
        """
        ...

    def end_output(self) -> None:
        """Tell the peer that nothing more will be sent, as far as that can be told."""
        ...


@asynccontextmanager
async def open_link(
    address: ListenSpec, framing: Framing | None, source: str | None = None
) -> AsyncIterator[Link]:
    """Open the way to an address.

    Args:
        address: as in `pierhead.connect`.
        framing: splits a stream into messages; None to take octets as they come.
        source: the address of this end; None to let the system choose.

    Raises:
        ConnectError: it cannot be reached.
        UsageError: it cannot be dialled.
    """
    if address.address.scheme in DATAGRAMS:
        datagrams = _Datagrams(await dial_datagram(address, source=source, timeout_s=_CONNECT_S))
        try:
            yield datagrams
        finally:
            datagrams.close()
    elif framing is not None:
        wire_format = WireFormat(framing, Octets())
        client = connect(
            address,
            wire_format,
            source=source,
            idle_timeout="off",
            message_timeout=_A_DAY_S,
            connect_timeout=_CONNECT_S,
        )
        async with client.conversation() as conversation:
            yield _Messages(conversation)
    else:
        octets = _Stream(str(address), is_plain=not address.wrappers)
        await dial_stream(address, lambda: octets, source=source, timeout_s=_CONNECT_S)
        try:
            yield octets
        except BaseException:
            octets.abort()
            raise
        await octets.close()


def _no_socket() -> None:
    return None


class _Messages:
    """Messages of a conversation."""

    is_datagram = False
    plain_socket = staticmethod(_no_socket)

    def __init__(self, conversation: Conversation[bytes, bytes]) -> None:
        self._conversation = conversation
        self.send = conversation.send
        self.end_output = conversation.end_output

    async def receive(self) -> bytes | None:
        try:
            return await self._conversation.receive()
        except ConnectionEnded as end:
            if end.is_clean:
                return None
            raise


class _Datagrams:
    """Datagrams to and from one peer."""

    is_datagram = True
    plain_socket = staticmethod(_no_socket)

    def __init__(self, client: DatagramClient) -> None:
        self._client = client
        self.receive = client.receive
        self.close = client.close

    async def send(self, octets: bytes) -> None:
        self._client.send(octets)
        await asyncio.sleep(0)

    def end_output(self) -> None:
        """Nothing tells a peer that no more datagrams come."""


class _Stream(asyncio.Protocol):
    """Octets of a stream as they come, in both directions, with back-pressure."""

    is_datagram = False

    def __init__(self, name: str, *, is_plain: bool) -> None:
        self._name = name
        self._is_plain = is_plain
        self._chunks: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._is_paused = False
        self._news: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._has_ended = False
        self._error: ConnectionEnded | None = None
        self._transport: asyncio.Transport
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- of the transport ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_MAX_UNSENT_BYTES)

    def data_received(self, data: bytes) -> None:
        self._chunks.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= _MAX_WAITING_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        _wake(self._news)

    def eof_received(self) -> bool:
        self._has_ended = True
        _wake(self._news)
        return True  # this side may still send

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None:
            reason = getattr(error, "strerror", None) or str(error)
            self._error = ConnectionEnded(self._name, reason)
        self._has_ended = True
        _wake(self._news)
        _wake(self._room)
        if not self._gone.done():
            self._gone.set_result(None)

    def pause_writing(self) -> None:
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        _wake(self._room)
        self._room = None

    def plain_socket(self) -> socket.socket | None:
        """Return the socket, from now on read and written by the caller alone."""
        sock = self._transport.get_extra_info("socket")
        if not self._is_plain or sock is None or self._chunks:
            return None
        if sock.type != socket.SOCK_STREAM or self._transport.is_closing():
            return None
        self._transport.pause_reading()
        duplicate = socket.socket(fileno=os.dup(sock.fileno()))
        duplicate.setblocking(False)
        return duplicate

    # -- of the console ------------------------------------------------------------------------

    async def send(self, octets: bytes) -> None:
        if self._transport.is_closing():
            raise self._error or ConnectionEnded(self._name, "it has ended", is_clean=True)
        self._transport.write(octets)
        if (room := self._room) is not None:
            await room

    async def receive(self) -> bytes | None:
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._has_ended:
                return None
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        chunk = self._chunks.popleft()
        self._waiting_bytes -= len(chunk)
        if self._is_paused and self._waiting_bytes < _MAX_WAITING_BYTES // 2:
            self._is_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return chunk

    def end_output(self) -> None:
        if not self._transport.is_closing() and self._transport.can_write_eof():
            self._transport.write_eof()

    def abort(self) -> None:
        self._transport.abort()

    async def close(self) -> None:
        """Close, after what has been sent."""
        self._transport.close()
        try:
            async with asyncio.timeout(_CONNECT_S):
                await asyncio.shield(self._gone)
        except TimeoutError:
            self._transport.abort()


def _wake(waiter: asyncio.Future[Any] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
