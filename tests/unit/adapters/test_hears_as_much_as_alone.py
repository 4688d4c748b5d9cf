"""A guest hears of every event of its connection that it would hear of under its own server.

Each event is brought about twice on a real connection: under the guest's plain server, and under
ours. What a plain server tells its guest is what ours has to tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

import h2.connection
import pytest
import uvicorn
from aiohttp import web
from grpclib.const import Cardinality, Handler
from grpclib.server import Server as GrpcServer
from hypercorn.asyncio import serve as serve_by_hypercorn
from hypercorn.config import Config

from pierhead import Server
from pierhead.adapters import aiohttp as our_aiohttp
from pierhead.adapters import grpclib as our_grpclib
from pierhead.adapters import hypercorn as our_hypercorn
from pierhead.adapters import protocol, streams
from pierhead.adapters import uvicorn as our_uvicorn

GET = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"
PUT = b"PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nbo"


class Diary:
    """What a guest hears, in words."""

    def __init__(self):
        self.heard = asyncio.Queue()
        self.begun = asyncio.Event()

    def note(self, word):
        self.heard.put_nowait(word)


# -- the guests, each with its plain server ----------------------------------------------------


def asgi_application(diary, responds):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            for _ in range(2):
                event = await receive()
                await send({"type": f"{event['type']}.complete"})
            return
        if responds:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        diary.begun.set()
        while (event := await receive())["type"] == "http.request":
            pass
        diary.note(event["type"])

    return app


@contextlib.asynccontextmanager
async def plainly_uvicorn(app, sock):
    config = uvicorn.Config(app, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[sock])
    try:
        yield
    finally:
        await server.shutdown(sockets=[sock])


@contextlib.asynccontextmanager
async def plainly_hypercorn(app, sock):
    config = Config()
    config.bind = [f"fd://{sock.fileno()}"]
    config.errorlog = config.accesslog = None
    stop = asyncio.Event()
    serving = asyncio.create_task(
        serve_by_hypercorn(app, config, mode="asgi", shutdown_trigger=stop.wait)
    )
    try:
        yield
    finally:
        stop.set()
        sock.detach()  # hypercorn closes it
        await serving


def aiohttp_application(diary, responds):
    async def handler(request):
        try:
            if responds:
                response = web.StreamResponse()
                await response.prepare(request)
                await response.write(b"x")
            diary.begun.set()
            if request.method == "PUT":
                await request.read()
            while request.transport is not None:
                await asyncio.sleep(0.01)
            diary.note("no transport")
            await web.StreamResponse().prepare(request)
        except BaseException as error:
            diary.note(_kind(error))
            raise

    app = web.Application()
    app.router.add_route("*", "/", handler)
    return app


def _kind(error):
    for kind in (ConnectionError, asyncio.CancelledError, web.RequestPayloadError):
        if isinstance(error, kind):
            return kind.__name__
    return repr(error)


def plainly_aiohttp(**settings):
    @contextlib.asynccontextmanager
    async def serve(app, sock):
        runner = web.AppRunner(app, shutdown_timeout=0.1, **settings)
        await runner.setup()
        await web.SockSite(runner, sock).start()
        try:
            yield
        finally:
            await runner.cleanup()

    return serve


def streams_callback(diary, responds):
    async def callback(reader, writer):
        if responds:
            writer.write(b"x")
        await reader.readexactly(len(GET))
        diary.begun.set()
        try:
            diary.note(f"read {await reader.read()!r}")
        except ConnectionError:
            diary.note("ConnectionError")
        writer.close()

    return callback


@contextlib.asynccontextmanager
async def plainly_streams(callback, sock):
    async with await asyncio.start_server(callback, sock=sock):
        yield


def protocol_class(diary, responds):
    class Guest(asyncio.Protocol):
        def connection_made(self, transport):
            if responds:
                transport.write(b"x")

        def data_received(self, data):
            diary.begun.set()

        def eof_received(self):
            diary.note("eof_received")

        def connection_lost(self, exc):
            diary.note(f"connection_lost {type(exc).__name__}")

    return Guest


@contextlib.asynccontextmanager
async def plainly_protocol(factory, sock):
    async with await asyncio.get_running_loop().create_server(factory, sock=sock):
        yield


def grpc_handlers(diary, responds):
    class Service:
        async def call(self, stream):
            diary.begun.set()
            try:
                await asyncio.sleep(3600)
            except BaseException as error:
                diary.note(_kind(error))
                raise

        def __mapping__(self):
            kind = Cardinality.UNARY_UNARY
            return {"/t/t": Handler(self.call, kind, bytes, bytes)}

    return [Service()]


@contextlib.asynccontextmanager
async def plainly_grpclib(handlers, sock):
    server = GrpcServer(handlers)
    await server.start(sock=sock)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


def grpc_request():
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    headers = [(":method", "POST"), (":path", "/t/t"), (":scheme", "http"), (":authority", "t")]
    headers += [("te", "trailers"), ("content-type", "application/grpc")]
    connection.send_headers(1, headers)
    return connection.data_to_send()


GUESTS = {
    "uvicorn-httptools": (asgi_application, plainly_uvicorn, our_uvicorn.serve),
    "hypercorn": (asgi_application, plainly_hypercorn, our_hypercorn.serve),
    "aiohttp": (aiohttp_application, plainly_aiohttp(), our_aiohttp.serve),
    "aiohttp-cancelling": (
        aiohttp_application,
        plainly_aiohttp(handler_cancellation=True),
        lambda app: our_aiohttp.serve(app, handler_cancellation=True),
    ),
    "streams": (streams_callback, plainly_streams, streams.serve),
    "protocol": (protocol_class, plainly_protocol, protocol.serve),
    "grpclib": (grpc_handlers, plainly_grpclib, our_grpclib.serve),
}

#: What the client does, after it has sent what it sends and the guest has begun.
ENDS = {
    "closes": lambda sock: sock.close(),
    "ends its side": lambda sock: sock.shutdown(socket.SHUT_WR),
    "resets": lambda sock: _reset(sock),
}

#: What the client has sent, and whether the guest has begun to answer.
WHENS = {
    "while its request is worked on": (GET, False),
    "within its request": (PUT, False),
    "while it is answered": (GET, True),
}


def _reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def _heard(diary, port, request, end):
    """Connect, ask, end; return the first thing that the guest heard."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, request)
        await diary.begun.wait()
        end(client)
        async with asyncio.timeout(5):
            return await diary.heard.get()


async def _alone(guest, request, responds, end):
    make, plainly, _ = guest
    diary = Diary()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        port = sock.getsockname()[1]
        async with plainly(make(diary, responds), sock):
            return await _heard(diary, port, request, end)


async def _here(guest, request, responds, end):
    make, _, serve = guest
    diary = Diary()
    async with Server(serve(make(diary, responds)), "tcp:127.0.0.1:0", drain_timeout=0.1) as server:
        port = int(str(server.addresses[0]).rpartition(":")[2])
        return await _heard(diary, port, request, end)


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize(("request_", "responds"), WHENS.values(), ids=WHENS)
@pytest.mark.parametrize("name", GUESTS)
async def test_a_guest_hears_its_client_leave_as_it_would_alone(name, request_, responds, end):
    if name in ("streams", "protocol"):
        request_ = GET
    if name == "grpclib":
        request_ = grpc_request()
    alone = await _alone(GUESTS[name], request_, responds, end)
    assert await _here(GUESTS[name], request_, responds, end) == alone


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("name", ["uvicorn-httptools", "hypercorn", "aiohttp", "grpclib"])
async def test_a_client_that_leaves_during_the_drain_is_heard_too(name, end):
    """Its own server reads on while it stops; so does ours."""
    make, _, serve = GUESTS[name]
    diary = Diary()
    server = Server(serve(make(diary, False)), "tcp:127.0.0.1:0", drain_timeout=20)
    request = grpc_request() if name == "grpclib" else GET
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        async with server:
            port = int(str(server.addresses[0]).rpartition(":")[2])
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, request)
            await diary.begun.wait()
            draining = asyncio.create_task(server.drain())
            await asyncio.sleep(0)
            end(client)
            async with asyncio.timeout(5):
                assert await diary.heard.get()
            await draining


#: More than the sockets between two processes of one host hold.
MUCH = bytes(16 * 2**20)


def writing_protocol(diary, _):
    """A guest that writes until it is paused, and once more after its own close."""

    class Guest(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            transport.write(MUCH)
            diary.note("written")
            diary.begun.set()

        def pause_writing(self):
            diary.note("pause_writing")

        def resume_writing(self):
            diary.note("resume_writing")
            self.transport.close()
            self.transport.write(b"too late")
            diary.note(f"closing {self.transport.is_closing()}")

        def connection_lost(self, exc):
            diary.note(f"connection_lost {exc!r}")

    return Guest


async def _read_late(diary, port):
    """Connect, read only when the guest has written; return all that it heard and what came."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", port))
        await diary.begun.wait()
        size = 0
        while octets := await loop.sock_recv(client, 2**20):
            size += len(octets)
    heard = [size]
    async with asyncio.timeout(5):
        while not str(heard[-1]).startswith("connection_lost"):
            heard.append(await diary.heard.get())
    return heard


async def test_a_protocol_hears_of_a_slow_reader_and_its_late_write_is_dropped():
    guest, diary = writing_protocol, Diary()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        port = sock.getsockname()[1]
        async with plainly_protocol(guest(diary, False), sock):
            alone = await _read_late(diary, port)
    diary = Diary()
    serving = Server(protocol.serve(guest(diary, False)), "tcp:127.0.0.1:0", drain_timeout=0.1)
    async with serving as server:
        port = int(str(server.addresses[0]).rpartition(":")[2])
        here = await _read_late(diary, port)
    words = ["pause_writing", "written", "resume_writing", "closing True", "connection_lost None"]
    assert here == alone == [len(MUCH), *words]
