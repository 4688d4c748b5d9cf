"""What a guest writes to a peer that never reads is bounded, for every kind of guest."""

from __future__ import annotations

import asyncio
import functools

import pytest
from web import dialled, opened

from pierhead import Server, hosting

LIMIT = 100_000
PIECE = bytes(30_000)
PIECES = 100


def settled():
    """Wait until nothing happens any more; the clock is held, and no time passes."""
    return asyncio.get_running_loop().settle()


class Members(list):
    """The members written to, whether or not they read; the most that was ever waiting for one."""

    most = 0

    async def write(self, transport, write):
        """Write far more than the limit, without ever waiting for the peer."""
        for _ in range(PIECES):
            write(PIECE)
            self.most = max(self.most, transport.get_write_buffer_size())
            await asyncio.sleep(0)


def callbacks(members):
    async def member(reader, writer):
        await members.write(writer.transport, writer.write)
        await reader.read()

    return hosting.streams.serve(member)


def protocols(members):
    class Member(asyncio.Protocol):
        def connection_made(self, transport):
            writing = members.write(transport, transport.write)
            members.append(asyncio.get_running_loop().create_task(writing))

    return hosting.protocol.serve(Member)


def greedy_protocols(members):
    class Member(asyncio.Protocol):
        def connection_made(self, transport):
            transport.set_write_buffer_limits(high=2**30)
            writing = members.write(transport, transport.write)
            members.append(asyncio.get_running_loop().create_task(writing))

    return hosting.protocol.serve(Member)


@pytest.mark.parametrize("make", [callbacks, protocols, greedy_protocols])
async def test_a_guest_that_never_waits_has_its_peer_cut_off(network, make, caplog):
    members = Members()
    server = Server(make(members), "mem:chat", max_unsent_bytes=LIMIT, linger_timeout=0)
    async with server:
        async with dialled("mem:chat") as client:
            client.writer.transport.pause_reading()
            await settled()
            reason = {"reason": "max_unsent_bytes"}
            assert server.metrics.total("connections_closed_total", **reason) == 1
    assert LIMIT < members.most <= LIMIT + 2 * len(PIECE)
    (record,) = caplog.records
    assert "max_unsent_bytes" in record.getMessage()
    assert "drain()" in record.getMessage()
    assert [lost.reason for lost in server.lost] == (
        ["max_unsent_bytes"] if make is callbacks else []
    )


async def test_a_callback_that_awaits_drain_waits_and_is_not_cut(network, server):
    written = []

    async def member(reader, writer):
        for _ in range(PIECES):
            writer.write(PIECE)
            await writer.drain()
            written.append(writer.transport.get_write_buffer_size())

    started = await server(hosting.streams.serve(member), "mem:chat", max_unsent_bytes=LIMIT)
    async with dialled("mem:chat") as client:
        client.writer.transport.pause_reading()
        await settled()
        assert len(written) < PIECES
        client.writer.transport.resume_reading()
        assert await client.reader.readexactly(PIECES * len(PIECE)) == PIECES * PIECE
    assert max(written) <= LIMIT
    assert not started.lost


async def test_a_long_answer_written_in_one_turn_is_sent_whole(network, server):
    async def member(reader, writer):
        for _ in range(PIECES):
            writer.write(PIECE)
        await writer.drain()

    await server(hosting.streams.serve(member), "mem:chat", max_unsent_bytes=LIMIT)
    async with dialled("mem:chat") as client:
        assert await client.reader.readexactly(PIECES * len(PIECE)) == PIECES * PIECE


ASGI = {
    "uvicorn-httptools": functools.partial(hosting.uvicorn.serve, http="httptools"),
    "uvicorn-h11": functools.partial(hosting.uvicorn.serve, http="h11"),
    "hypercorn": hosting.hypercorn.serve,
}


@pytest.mark.parametrize("serve", ASGI.values(), ids=ASGI)
async def test_an_asgi_application_waits_for_its_peer(server, serve):
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(PIECES):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
            sent.append(1)
        await send({"type": "http.response.body", "body": b""})

    started = await server(serve(app, **_no_lifespan(serve)), "mem:web", max_unsent_bytes=LIMIT)
    async with dialled("mem:web") as client:
        client.writer.transport.pause_reading()
        client.get()
        await settled()
        assert len(sent) < 20
        client.writer.transport.resume_reading()
        assert (await client.response())[2] == PIECES * PIECE
    assert not started.lost


@pytest.mark.parametrize("serve", ASGI.values(), ids=ASGI)
async def test_a_websocket_written_to_by_many_waits_for_its_peer(server, serve):
    sent = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(PIECES):
            await send({"type": "websocket.send", "bytes": PIECE})
            sent.append(1)

    await server(
        serve(app, **_no_lifespan(serve)), "mem:web", max_unsent_bytes=LIMIT, write_timeout=3
    )
    async with dialled("mem:web") as client:
        await opened(client)
        client.writer.transport.pause_reading()
        await settled()
        assert len(sent) < 20


async def test_an_aiohttp_handler_waits_for_its_peer(server):
    from aiohttp import web

    sent = []

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(PIECES):
            await response.write(PIECE)
            sent.append(1)
        return response

    app = web.Application()
    app.router.add_get("/", handler)
    await server(hosting.aiohttp.serve(app), "mem:web", max_unsent_bytes=LIMIT)
    async with dialled("mem:web") as client:
        client.writer.transport.pause_reading()
        client.get()
        await settled()
        assert len(sent) < 20
        client.writer.transport.resume_reading()
        assert (await client.response())[2] == PIECES * PIECE


async def test_an_aiohttp_websocket_waits_for_its_peer(server):
    from aiohttp import web

    sent = []

    async def handler(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for _ in range(PIECES):
            await socket.send_bytes(PIECE)
            sent.append(1)
        return socket

    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    started = await server(
        hosting.aiohttp.serve(app), "mem:web", max_unsent_bytes=LIMIT, write_timeout=3
    )
    async with dialled("mem:web") as client:
        await opened(client)
        client.writer.transport.pause_reading()
        await settled()
        assert 0 < len(sent) < 20
        reason = {"reason": "max_unsent_bytes"}
        assert started.metrics.total("connections_closed_total", **reason) == 0


def _no_lifespan(serve):
    return {"lifespan": "off"} if serve is not hosting.hypercorn.serve else {}
