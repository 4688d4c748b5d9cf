"""No future of a hosted connection ends with an exception that is never retrieved.

asyncio would report it ("Future exception was never retrieved") when the future is collected, as a
traceback in the log of whoever runs the server, for what a peer has done.
"""

from __future__ import annotations

import asyncio
import gc
import socket

import pytest
import trustme
from guests import GET, LEAVINGS, PATIENCE_S, Diary, TlsClient, connected, port_of

from pierhead import Server
from pierhead.hosting import streams

PIECE = bytes(200_000)


def waits(diary):
    async def callback(reader, writer):
        await reader.read(1)
        diary.begun.set()
        while True:
            writer.write(PIECE)
            await writer.drain()

    return callback


def waits_twice(diary):
    """Two tasks wait for one connection, as two members of a chat do."""

    async def callback(reader, writer):
        await reader.read(1)
        diary.begun.set()

        async def write():
            while True:
                writer.write(PIECE)
                await writer.drain()

        await asyncio.gather(write(), write(), return_exceptions=True)

    return callback


def never_waits(diary):
    async def callback(reader, writer):
        await reader.read(1)
        diary.begun.set()
        while not writer.is_closing():
            writer.write(PIECE)
            await asyncio.sleep(0)

    return callback


def closes(diary):
    async def callback(reader, writer):
        await reader.read(1)
        diary.begun.set()
        writer.write(PIECE * 50)
        writer.close()
        await writer.wait_closed()

    return callback


def reads(diary):
    async def callback(reader, writer):
        diary.begun.set()
        await reader.read()

    return callback


CALLBACKS = [waits, waits_twice, never_waits, closes, reads]


async def go(make, leave, drains, authority, pem):
    """Serve a client that asks, reads nothing, and leaves."""
    diary, draining = Diary(), None
    address = "tcp:127.0.0.1:0" if pem is None else f"tls+tcp:127.0.0.1:0?cert={pem}"
    limits = {
        "max_unsent_bytes": 2**20,
        "write_timeout": 0.2,
        "linger_timeout": 0.2,
        "idle_timeout": 0.3,
    }
    server = Server(streams.serve(make(diary)), address, drain_timeout=1, **limits)
    async with asyncio.timeout(PATIENCE_S), server:
        with socket.socket() as sock:
            await connected(sock, port_of(server))
            await _ask(sock, authority, pem)
            await diary.begun.wait()
            if drains:
                draining = asyncio.create_task(server.drain())
                await asyncio.sleep(0)
            if leave is not None:
                leave(sock)
            while server.metrics.total("connections_open"):
                await asyncio.sleep(0.01)
        if draining is not None:
            await draining


async def _ask(sock, authority, pem):
    if pem is None:
        await asyncio.get_running_loop().sock_sendall(sock, GET)
        return
    client = TlsClient(sock, authority, "http/1.1")
    await client.shake_hands()
    await client.send(GET)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def pem(authority, tmp_path):
    path = tmp_path / "server.pem"
    path.touch(mode=0o600)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(path))
    return str(path)


@pytest.mark.parametrize("is_secured", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("drains", [False, True], ids=["serving", "draining"])
@pytest.mark.parametrize("leave", [LEAVINGS["closes"], LEAVINGS["resets"], None])
@pytest.mark.parametrize("make", CALLBACKS)
def test_no_exception_of_a_future_goes_unasked_for(make, leave, drains, is_secured, authority, pem):
    unasked = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: unasked.append(context))
        await go(make, leave, drains, authority, pem if is_secured else None)

    asyncio.run(main())
    gc.collect()
    assert unasked == []
