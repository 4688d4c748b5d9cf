"""A reset is known to the system although nothing is read, and is told from an orderly end."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pierhead.net.transport.reset import was_reset

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it is known at the next read")


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def end(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_WR)


def close(sock: socket.socket) -> None:
    sock.close()


def tcp() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        return client, listening.accept()[0]


@pytest.mark.parametrize("make", [tcp, socket.socketpair], ids=["tcp", "unix"])
@pytest.mark.parametrize("leave", [reset, end, close])
async def test_only_a_reset_is_one(
    make: Callable[[], Any], leave: Callable[[socket.socket], None]
) -> None:
    client, served = make()
    with client:
        transport, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol, sock=served
        )
        try:
            transport.pause_reading()
            client.sendall(b"unread")
            assert not was_reset(transport)
            leave(client)
            assert was_reset(transport) == (leave is reset and make is tcp)
        finally:
            transport.abort()


async def test_a_unix_peer_that_closes_with_input_unread_has_reset_the_connection() -> None:
    client, served = socket.socketpair()
    with client:
        transport, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol, sock=served
        )
        transport.pause_reading()
        transport.write(b"never read")
        client.close()
        assert was_reset(transport) == (sys.platform == "linux")
        transport.abort()


async def test_a_closed_transport_and_one_without_a_socket_were_not_reset() -> None:
    client, served = socket.socketpair()
    with client:
        transport, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol, sock=served
        )
        transport.abort()
        served.close()
        assert not was_reset(transport)
    assert not was_reset(asyncio.Transport())


@pytest.mark.parametrize(
    "error", [OSError("closed"), ValueError("negative file descriptor"), AttributeError("pipe")]
)
def test_a_transport_that_cannot_be_asked_was_not_reset(error: Exception) -> None:
    """uvloop's answers with a ValueError once its socket is closed."""

    class Socket:
        def getsockopt(self, *option: int) -> int:
            raise error

    class Transport(asyncio.BaseTransport):
        def get_extra_info(self, name: str, default: object = None) -> object:
            return Socket()

    assert not was_reset(Transport())
