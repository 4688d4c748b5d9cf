"""Guests that record what they are told, each under its own plain server and under ours."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct

import h2.connection
import uvicorn
from aiohttp import WSMsgType, web
from grpclib.const import Cardinality, Handler
from grpclib.server import Server as GrpcServer
from hypercorn.asyncio import serve as serve_by_hypercorn
from hypercorn.config import Config

from pierhead import Server, hosting
from pierhead.hosting import aiohttp as our_aiohttp
from pierhead.hosting import grpclib as our_grpclib
from pierhead.hosting import hypercorn as our_hypercorn
from pierhead.hosting import uvicorn as our_uvicorn

GET = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"
PUT = b"PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nbo"

#: So many messages of a WebSocket, of 60,000 octets each, are more than two sockets hold.
FLOOD = 500
#: Far more than any of this takes; a test that hangs fails by it.
PATIENCE_S = 20


class Diary:
    """What a guest was told, as text."""

    def __init__(self):
        self.heard = asyncio.Queue()
        self.begun = asyncio.Event()
        self.at_begin = None

    async def has_begun(self):
        """Wait until the guest works on its request, and do what is to be done then."""
        await self.begun.wait()
        if self.at_begin is not None:
            await self.at_begin()

    def note(self, word):
        self.heard.put_nowait(word)

    async def until(self, last):
        """Return all that is heard up to the first word that begins with this one."""
        heard = []
        while not heard or not heard[-1].startswith(last):
            heard.append(await self.heard.get())
        return heard


# -- the guests, each with its plain server ----------------------------------------------------


def asgi_application(diary, responds):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await _live(receive, send)
        if scope["type"] == "websocket":
            await _converse(diary, receive, send, responds)
        if scope["type"] != "http":
            return
        if responds:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        diary.begun.set()
        while (event := await receive())["type"] == "http.request":
            pass
        diary.note(event["type"])

    return app


async def _live(receive, send):
    for _ in range(2):
        event = await receive()
        await send({"type": f"{event['type']}.complete"})


async def _converse(diary, receive, send, floods):
    """Be a WebSocket: write a lot if asked to; listen until the client disconnects; then answer."""
    await receive()
    await send({"type": "websocket.accept"})
    diary.begun.set()
    message = {"type": "websocket.send", "bytes": bytes(60_000)}
    try:
        for _ in range(FLOOD if floods else 0):
            await send(message)
        while (event := await receive())["type"] == "websocket.receive":
            diary.note(f"receive {event.get('text')}")
        diary.note(f"disconnect {event.get('code')} {event.get('reason')!r}")
        await send(message)
        diary.note("end: sent")
    except BaseException as error:
        diary.note(f"end: {type(error).__name__}")
        raise


@contextlib.asynccontextmanager
async def plainly_uvicorn(app, sock, pem):
    config = uvicorn.Config(
        app, log_level="critical", lifespan="off", ssl_certfile=pem, ssl_keyfile=pem
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[sock])
    try:
        yield
    finally:
        await server.shutdown(sockets=[sock])


@contextlib.asynccontextmanager
async def plainly_hypercorn(app, sock, pem):
    config = Config()
    config.bind = [f"fd://{sock.fileno()}"]
    config.errorlog = config.accesslog = None
    config.certfile = config.keyfile = pem
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
        if "upgrade" in request.headers:
            return await _converse_by_aiohttp(diary, request, responds)
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


async def _converse_by_aiohttp(diary, request, floods):
    """Do as `_converse` does."""
    conversation = web.WebSocketResponse()
    await conversation.prepare(request)
    diary.begun.set()
    try:
        for _ in range(FLOOD if floods else 0):
            await conversation.send_bytes(bytes(60_000))
        async for message in conversation:
            diary.note(f"receive {WSMsgType(message.type).name} {message.data}")
        error = conversation.exception()
        diary.note(f"disconnect {conversation.close_code} {type(error).__name__}")
        await conversation.send_bytes(bytes(60_000))
        diary.note("end: sent")
    except BaseException as error:
        diary.note(f"end: {_kind(error)}")
        raise
    return conversation


def _kind(error):
    for kind in (ConnectionError, asyncio.CancelledError, web.RequestPayloadError):
        if isinstance(error, kind):
            return kind.__name__
    return repr(error)


def plainly_aiohttp(**settings):
    @contextlib.asynccontextmanager
    async def serve(app, sock, pem):
        runner = web.AppRunner(app, shutdown_timeout=0.1, **settings)
        await runner.setup()
        await web.SockSite(runner, sock, ssl_context=_context(pem)).start()
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
async def plainly_streams(callback, sock, pem):
    async with await asyncio.start_server(callback, sock=sock, ssl=_context(pem)):
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
async def plainly_protocol(factory, sock, pem):
    loop = asyncio.get_running_loop()
    async with await loop.create_server(factory, sock=sock, ssl=_context(pem)):
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
async def plainly_grpclib(handlers, sock, pem):
    server = GrpcServer(handlers)
    await server.start(sock=sock, ssl=_context(pem, "h2"))
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


def _context(pem, *protocols):
    if pem is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.set_alpn_protocols(protocols)
    return context


def http_2_request(path="/", **headers):
    """Return the client's side of HTTP/2 with a request on stream 1, and what it sends."""
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    pseudo = {"method": "POST", "path": path, "scheme": "http", "authority": "t"}
    fields = [(f":{name}", value) for name, value in pseudo.items()]
    connection.send_headers(1, fields + [(k.replace("_", "-"), v) for k, v in headers.items()])
    return connection, connection.data_to_send()


def grpc_request():
    return http_2_request("/t/t", te="trailers", content_type="application/grpc")


GUESTS = {
    "uvicorn-httptools": (asgi_application, plainly_uvicorn, our_uvicorn.serve),
    "hypercorn": (asgi_application, plainly_hypercorn, our_hypercorn.serve),
    "aiohttp": (aiohttp_application, plainly_aiohttp(), our_aiohttp.serve),
    "aiohttp-cancelling": (
        aiohttp_application,
        plainly_aiohttp(handler_cancellation=True),
        lambda app: our_aiohttp.serve(app, handler_cancellation=True),
    ),
    "streams": (streams_callback, plainly_streams, hosting.streams.serve),
    "protocol": (protocol_class, plainly_protocol, hosting.protocol.serve),
    "grpclib": (grpc_handlers, plainly_grpclib, our_grpclib.serve),
}


# -- both ways ---------------------------------------------------------------------------------


async def alone(guest, talk, responds=False, pem=None):
    """Serve the guest by its own server while a client talks; return what the talk does.

    Args:
        guest: of `GUESTS`.
        talk: takes the guest's diary and the port.
        responds: for what makes the guest.
        pem: certificate and key, for TLS.
    """
    make, plainly, _ = guest
    diary = Diary()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        port = sock.getsockname()[1]
        async with asyncio.timeout(PATIENCE_S), plainly(make(diary, responds), sock, pem):
            return await talk(diary, port)


async def here(guest, talk, responds=False, pem=None):
    """Do the same by our server."""
    make, _, serve = guest
    diary = Diary()
    server = Server(serve(make(diary, responds)), _address(pem), drain_timeout=0.1)
    async with asyncio.timeout(PATIENCE_S), server:
        return await talk(diary, port_of(server))


async def here_while_it_drains(guest, talk, pem=None):
    """Do the same by our server, which drains from the moment the guest has begun."""
    make, _, serve = guest
    diary, draining = Diary(), []
    server = Server(serve(make(diary, False)), _address(pem), drain_timeout=PATIENCE_S)

    async def drain():
        draining.append(asyncio.create_task(server.drain()))
        await asyncio.sleep(0)

    diary.at_begin = drain
    async with asyncio.timeout(PATIENCE_S), server:
        heard = await talk(diary, port_of(server))
        await draining[0]
        return heard


def _address(pem):
    return "tcp:127.0.0.1:0" if pem is None else f"tls+tcp:127.0.0.1:0?cert={pem}"


def port_of(server):
    return int(str(server.addresses[0]).partition("?")[0].rpartition(":")[2])


async def connected(client, port):
    """Connect a socket that does not block."""
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))


# -- clients of TLS ----------------------------------------------------------------------------


class TlsClient:
    """A client of TLS that can leave in every way: the records are ours to send."""

    def __init__(self, sock, authority, protocol):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(context)
        context.set_alpn_protocols([protocol])
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="127.0.0.1")
        self._sock = sock

    async def shake_hands(self):
        loop = asyncio.get_running_loop()
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                self._in.write(await loop.sock_recv(self._sock, 65_536))
        await self._flush()

    async def send(self, octets):
        self._tls.write(octets)
        await self._flush()

    async def notify(self):
        """Say that nothing more is sent."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        await self._flush()

    async def _flush(self):
        await asyncio.get_running_loop().sock_sendall(self._sock, self._out.read())


# -- how a client leaves -----------------------------------------------------------------------


def close(sock):
    sock.close()


def end_side(sock):
    sock.shutdown(socket.SHUT_WR)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


LEAVINGS = {"closes": close, "ends its side": end_side, "resets": reset}
