"""A small HTTP/1.1 client on streams, a WebSocket client, and applications to serve."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager, suppress

import h2.connection
import h2.events
import trustme
import wsproto
from wsproto.events import AcceptConnection, Message, Ping, Pong, Request

from pierhead.client.dial import dial_stream


class Client:
    """One connection, on which requests are sent as octets and responses are read."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    @classmethod
    async def dial(cls, address):
        reader = asyncio.StreamReader()
        transport = await dial_stream(address, lambda: asyncio.StreamReaderProtocol(reader))
        loop = asyncio.get_running_loop()
        return cls(reader, asyncio.StreamWriter(transport, transport.get_protocol(), reader, loop))

    def send(self, octets):
        self.writer.write(octets)

    def get(self, path="/", *headers):
        lines = [f"GET {path} HTTP/1.1", "Host: example", *headers, "", ""]
        self.send("\r\n".join(lines).encode())

    async def response(self):
        """Read one response; return its status, headers and body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
        status = int(head[0].split()[1])
        if status < 200:
            return status, headers, b""
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, await self._chunks()
        return status, headers, await self.reader.readexactly(int(headers["content-length"]))

    async def _chunks(self):
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return body

    async def rest(self):
        """Read to the end, whichever way it comes."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""

    async def close(self):
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def secured(folder):
    """Return an authority, and an address with a certificate by it."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "web.pem"))
    return authority, f"tls+tcp:127.0.0.1:0?cert={folder}/web.pem"


async def connected(address, authority=None, alpn=("http/1.1",)):
    """Dial what a server has opened, by TLS where there is an authority."""
    if authority is None:
        return await Client.dial(address.partition("?")[0].removeprefix("proxy+"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(alpn)
    authority.configure_trust(context)
    _, host, port = address.partition("?")[0].split(":")
    return Client(*await asyncio.open_connection(host, int(port), ssl=context))


@asynccontextmanager
async def dialled(address):
    client = await Client.dial(address)
    try:
        yield client
    finally:
        await client.close()


class Http2:
    """The client's side of HTTP/2."""

    def __init__(self, client):
        self.client = client
        self.connection = h2.connection.H2Connection()
        self.connection.initiate_connection()
        self.bodies = {}
        self.ended = set()

    def get(self, path):
        return self._ask("GET", path, end_stream=True)

    def post(self, path):
        return self._ask("POST", path, end_stream=False)

    def _ask(self, method, path, **options):
        stream = self.connection.get_next_available_stream_id()
        pseudo = {"method": method, "path": path, "scheme": "http", "authority": "example"}
        headers = [(f":{name}", value) for name, value in pseudo.items()]
        self.connection.send_headers(stream, headers, **options)
        self.bodies[stream] = b""
        self._flush()
        return stream

    def allow_more(self):
        self.connection.increment_flow_control_window(1000)
        self._flush()

    async def body(self, stream, upload=None):
        """Send a body, then read the body of the response."""
        while True:
            upload = self._send_some(stream, upload)
            if stream in self.ended:
                return self.bodies[stream]
            octets = await self.client.reader.read(65_536)
            assert octets, "the connection has ended"
            for event in self.connection.receive_data(octets):
                self._note(event)
            self._flush()

    def _send_some(self, stream, upload):
        while upload:
            window = self.connection.local_flow_control_window(stream)
            size = min(window, self.connection.max_outbound_frame_size, len(upload))
            if not size:
                break
            self.connection.send_data(stream, upload[:size], end_stream=size == len(upload))
            upload = upload[size:]
        self._flush()
        return upload

    def _note(self, event):
        if isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            size = event.flow_controlled_length
            self.connection.acknowledge_received_data(size, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(event.stream_id)
        assert not isinstance(event, h2.events.StreamReset)

    def _flush(self):
        self.client.send(self.connection.data_to_send())


class WebSocket:
    """The client's side of a WebSocket."""

    def __init__(self, client):
        self.client = client
        self.connection = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)

    def connect(self, path="/"):
        self.client.send(self.connection.send(Request(host="example", target=path)))

    def send(self, text):
        self.client.send(self.connection.send(Message(data=text)))

    async def event(self):
        """Return the next event that is not a ping."""
        while True:
            for event in self.connection.events():
                if isinstance(event, Ping):
                    self.client.send(self.connection.send(event.response()))
                elif not isinstance(event, Pong):
                    return event
            octets = await self.client.reader.read(65_536)
            self.connection.receive_data(octets or None)

    async def text(self):
        """Return the next message, whole."""
        text = ""
        while True:
            event = await self.event()
            assert isinstance(event, Message), event
            text += event.data
            if event.message_finished:
                return text


async def opened(client, path="/"):
    socket = WebSocket(client)
    socket.connect(path)
    assert isinstance(await socket.event(), AcceptConnection)
    return socket


async def reply(send, body=b"", status=200, **headers):
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    length = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": pairs + length})
    await send({"type": "http.response.body", "body": body})


async def whole_body(receive):
    body = b""
    while True:
        event = await receive()
        assert event["type"] == "http.request"
        body += event["body"]
        if not event["more_body"]:
            return body


async def no_lifespan(scope):
    raise RuntimeError(f"there is no {scope['type']} here")


def http_only(app):
    """Return the application, without part in the lifespan."""

    async def wrapped(scope, receive, send):
        if scope["type"] == "lifespan":
            await no_lifespan(scope)
        await app(scope, receive, send)

    return wrapped


async def echo(scope, receive, send):
    """Answer with the body, or the path; echo WebSocket messages."""
    if scope["type"] == "websocket":
        await converse(receive, send)
    elif scope["type"] == "http":
        await reply(send, await whole_body(receive) or scope["path"].encode())
    else:
        await no_lifespan(scope)


async def converse(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"].upper()})


async def facts(scope, receive, send):
    """Answer with what the scope says."""
    if scope["type"] == "lifespan":
        await no_lifespan(scope)
    names = ("client", "server", "scheme", "http_version")
    await reply(send, json.dumps({name: scope[name] for name in names}).encode())


class Application:
    """Has a lifespan, and requests that wait for the test."""

    def __init__(self):
        self.told = []
        self.go = asyncio.Event()
        self.waiting = asyncio.Event()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.live(scope, receive, send)
        elif scope["path"] == "/wait":
            self.waiting.set()
            await self.go.wait()
            await reply(send, b"done")
            self.told.append("answered")
        else:
            await reply(send, scope["state"].get("made", "nothing").encode())

    async def live(self, scope, receive, send):
        for stage in ("startup", "shutdown"):
            event = await receive()
            assert event["type"] == f"lifespan.{stage}"
            self.told.append(stage)
            scope["state"]["made"] = "at startup"
            await send({"type": f"lifespan.{stage}.complete"})


def failing(stage, message):
    """Return an application whose lifespan fails at this stage."""

    async def app(scope, receive, send):
        if scope["type"] != "lifespan":
            await reply(send, b"ok")
            return
        while True:
            event = await receive()
            told = event["type"]
            outcome = "failed" if told == f"lifespan.{stage}" else "complete"
            await send({"type": f"{told}.{outcome}", "message": message})
            if told == "lifespan.shutdown" or outcome == "failed":
                return

    return app


def closed(server):
    """Return why connections were closed, and how many."""
    reasons = (
        "drain", "eof", "error", "evicted", "first_byte", "idle", "message", "peer_gone",
        "service", "write",
    )  # fmt: skip
    return {
        reason: count
        for reason in reasons
        if (count := server.metrics.total("connections_closed_total", reason=reason))
    }
