"""aiohttp applications, served by the adapter over the memory network."""

from __future__ import annotations

import asyncio
import gc
import re
import ssl
import sys

import pytest
import trustme
import uvloop
from aiohttp import WSMsgType, web

from pierhead import Server, hosting
from pierhead.client.dial import dial_stream
from pierhead.errors import ConnectError, ServiceFailed, StartupError, UsageError

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


class Client:
    """One connection, spoken to in octets."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def dial(cls, address):
        reader = asyncio.StreamReader()
        transport = await dial_stream(address, lambda: asyncio.StreamReaderProtocol(reader))
        loop = asyncio.get_running_loop()
        return cls(reader, asyncio.StreamWriter(transport, transport.get_protocol(), reader, loop))

    def send(self, data):
        self.writer.write(data)

    async def response(self):
        """Read one response with a Content-Length; return its status line, head and body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, _, rest = head.partition("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in rest.splitlines() if line)
        body = await self.reader.readexactly(int(fields.get("content-length", 0)))
        return status.split()[1], fields, body

    async def rest(self):
        return await self.reader.read()

    def close(self):
        self.writer.close()


async def hello(request):
    return web.Response(text="hello\n")


def application(handler=hello, **settings):
    app = web.Application(**settings)
    app.router.add_route("*", "/", handler)
    return app


async def test_one_connection_carries_many_requests(network, server):
    started = await server(hosting.aiohttp.serve(application()), "mem:web")
    client = await Client.dial("mem:web")
    for _ in range(3):
        client.send(GET)
        assert (await client.response())[::2] == ("200", b"hello\n")
    client.close()
    assert started.metrics.total("requests_answered_total") == 3


async def test_pipelined_requests_are_answered_in_order(network, server):
    async def number(request):
        return web.Response(text=request.query["n"])

    await server(hosting.aiohttp.serve(application(number)), "mem:web")
    client = await Client.dial("mem:web")
    client.send(b"".join(b"GET /?n=%d HTTP/1.1\r\nHost: t\r\n\r\n" % n for n in range(100)))
    assert [int((await client.response())[2]) for _ in range(100)] == list(range(100))
    client.close()


async def test_a_chunked_body_waits_for_its_reader(network, server):
    go = asyncio.Event()

    async def count(request):
        await go.wait()
        size = 0
        async for piece in request.content.iter_any():
            size += len(piece)
        return web.Response(text=str(size))

    started = await server(hosting.aiohttp.serve(application(count)), "mem:web", idle_timeout=5)
    client = await Client.dial("mem:web")
    client.send(b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    for _ in range(64):
        client.send(chunk)
    client.send(b"0\r\n\r\n")
    await asyncio.sleep(20)  # longer than a client may be silent that is expected to send
    assert started.metrics.total("reads_paused_total") >= 1
    assert started.metrics.total("bytes_received_total") < 2**20
    go.set()
    assert (await client.response())[2] == str(64 * 65_536).encode()
    client.close()


async def test_a_client_is_told_to_send_its_body(network, server):
    async def echo(request):
        return web.Response(body=await request.read())

    await server(hosting.aiohttp.serve(application(echo)), "mem:web")
    client = await Client.dial("mem:web")
    client.send(b"PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"body")
    assert (await client.response())[2] == b"body"
    client.close()


async def test_a_client_that_closes_its_side_is_answered(network, server):
    started = await server(hosting.aiohttp.serve(application()), "mem:web")
    client = await Client.dial("mem:web")
    client.send(GET + GET)
    client.writer.write_eof()
    assert (await client.rest()).count(b"hello\n") == 2
    client.close()
    assert _closed(started) == {"eof": 1}


async def test_a_body_that_is_cut_off_ends_the_connection(network, server, caplog):
    async def echo(request):
        return web.Response(body=await request.read())

    await server(hosting.aiohttp.serve(application(echo)), "mem:web")
    client = await Client.dial("mem:web")
    client.send(b"PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbo")
    await asyncio.sleep(0.1)
    client.writer.write_eof()
    assert await client.rest() == b""
    client.close()
    assert caplog.records == []


@pytest.mark.parametrize("loop_factory", [asyncio.SelectorEventLoop, uvloop.new_event_loop])
@pytest.mark.parametrize("address", ["mem:web", "tcp:127.0.0.1:0", "tls+tcp:127.0.0.1:0"])
def test_files_are_sent_on_every_loop(tmp_path, loop_factory, address):
    content = bytes(range(256)) * 4096
    (tmp_path / "file.bin").write_bytes(content)
    trusting = None
    if address.startswith("tls"):
        authority, trusting = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(trusting)
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "cert.pem"))
        address += f"?cert={tmp_path}/cert.pem"

    async def file(request):
        return web.FileResponse(tmp_path / "file.bin")

    async def fetch():
        async with Server(hosting.aiohttp.serve(application(file)), address) as server:
            bound = server.addresses[0]
            if trusting is not None:
                port = int(re.search(r"0.0.1:(\d+)", bound)[1])
                client = Client(*await asyncio.open_connection("127.0.0.1", port, ssl=trusting))
            else:
                client = await Client.dial(bound)
            client.send(GET)
            assert (await client.response())[::2] == ("200", content)
            client.send(GET.replace(b"\r\n\r\n", b"\r\nRange: bytes=5-9\r\n\r\n"))
            assert (await client.response())[::2] == ("206", content[5:10])
            client.close()
            await client.writer.wait_closed()
            assert server.metrics.total("bytes_sent_total") > len(content)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(fetch())


# -- limits ----------------------------------------------------------------------------------------


async def test_a_silent_client_is_closed(clock, server):
    started = await server(hosting.aiohttp.serve(application()), "mem:web", first_byte_timeout=3)
    client = await Client.dial("mem:web")
    await clock.advance(4)
    assert await client.rest() == b""
    client.close()
    assert _closed(started) == {"first_byte": 1}


async def test_a_head_must_be_whole_in_time(clock, server):
    started = await server(hosting.aiohttp.serve(application()), "mem:web", message_timeout=3)
    client = await Client.dial("mem:web")
    for octet in GET[:5]:
        client.send(bytes([octet]))
        await clock.advance(0.5)
    await clock.advance(1)
    assert await client.rest() == b""
    client.close()
    assert _closed(started) == {"message": 1}


async def test_an_idle_connection_is_closed_after_our_time_not_aiohttps(clock, server):
    started = await server(hosting.aiohttp.serve(application()), "mem:web", idle_timeout=5000)
    client = await Client.dial("mem:web")
    client.send(GET)
    await client.response()
    await clock.advance(4990)  # aiohttp's own timeout is 3630 s
    client.send(GET)
    await client.response()
    await clock.advance(5001)
    assert await client.rest() == b""
    client.close()
    assert _closed(started) == {"idle": 1}


async def test_a_body_that_does_not_come_on_is_given_up(clock, server):
    async def read(request):
        return web.Response(body=await request.read())

    started = await server(hosting.aiohttp.serve(application(read)), "mem:web", idle_timeout=3)
    client = await Client.dial("mem:web")
    client.send(b"PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbo")
    await clock.advance(4)
    assert await client.rest() == b""
    client.close()
    assert _closed(started) == {"idle": 1}


async def test_a_connection_with_a_slow_answer_is_not_idle(clock, server):
    async def slow(request):
        await asyncio.sleep(100)
        return web.Response(text="at last")

    await server(hosting.aiohttp.serve(application(slow)), "mem:web", idle_timeout=3)
    client = await Client.dial("mem:web")
    client.send(GET)
    assert (await client.response())[2] == b"at last"
    client.close()


async def test_an_unread_upload_lingers_as_long_as_ours(clock, server):
    started = await server(hosting.aiohttp.serve(application()), "mem:web", linger_timeout=2)
    client = await Client.dial("mem:web")
    client.send(b"PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbo")
    assert (await client.response())[2] == b"hello\n"
    await clock.advance(3)
    assert await client.rest() == b""
    client.close()
    await clock.advance(1)
    assert _closed(started) == {"service": 1}


async def test_a_client_that_does_not_read_its_answer_is_cut_off(clock, server, caplog):
    async def flood(request):
        return web.Response(body=bytes(2**22))

    started = await server(hosting.aiohttp.serve(application(flood)), "mem:web", write_timeout=3)
    client = await Client.dial("mem:web")
    client.writer.transport.pause_reading()
    client.send(GET)
    await clock.advance(10)
    client.close()
    assert _closed(started) == {"write": 1}
    assert started.metrics.total("requests_lost_total", reason="write") == 1
    assert caplog.records == []


async def test_a_new_client_replaces_an_idle_one_and_never_a_busy_one(network, server):
    go = asyncio.Event()

    async def wait(request):
        await go.wait()
        return web.Response(text="done")

    app = application(wait)
    app.router.add_get("/quick", hello)
    started = await server(hosting.aiohttp.serve(app), "mem:web", max_connections=1)
    idle = await Client.dial("mem:web")
    idle.send(GET.replace(b"/ ", b"/quick "))
    await idle.response()
    busy = await Client.dial("mem:web")
    busy.send(GET)
    with pytest.raises(ConnectionResetError):
        await idle.rest()
    late = await Client.dial("mem:web")
    with pytest.raises(ConnectionResetError):
        await late.rest()
    go.set()
    assert (await busy.response())[2] == b"done"
    for client in (idle, busy, late):
        client.close()
    assert started.metrics.total("connections_closed_total", reason="evicted") == 1
    assert started.metrics.total("dropped_total", reason="max_connections") == 1


async def test_a_body_that_is_no_body_is_the_peers_mistake(network, server, caplog):
    async def read(request):
        return web.Response(body=await request.read())

    started = await server(hosting.aiohttp.serve(application(read)), "mem:web")
    client = await Client.dial("mem:web")
    client.send(b"PUT / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
    await asyncio.sleep(0.1)
    client.send(b"not a size\r\n")
    await client.rest()
    client.close()
    assert caplog.records == []
    assert started.metrics.total("dropped_total", reason="http") == 1


async def test_input_that_is_not_http_is_refused_and_counted_and_not_logged(
    network, server, caplog
):
    started = await server(hosting.aiohttp.serve(application()), "mem:web")
    client = await Client.dial("mem:web")
    client.send(GET)
    assert (await client.response())[0] == "200"
    client.send(b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n")
    assert (await client.rest()).startswith(b"HTTP/1.0 400 ")
    client.close()
    assert caplog.records == []
    assert started.metrics.total("dropped_total", reason="http") == 1


async def test_a_handler_that_raises_is_reported_in_one_line(network, server, caplog):
    async def broken(request):
        raise RuntimeError("no")

    await server(hosting.aiohttp.serve(application(broken)), "mem:web")
    client = await Client.dial("mem:web")
    client.send(GET)
    assert (await client.response())[0] == "500"
    client.close()
    (record,) = caplog.records
    assert "RuntimeError: no" in record.getMessage()
    assert "Traceback" not in caplog.text


async def test_a_handler_that_returns_nothing_is_reported(network, server, caplog):
    async def nothing(request):
        pass

    await server(hosting.aiohttp.serve(application(nothing)), "mem:web")
    client = await Client.dial("mem:web")
    client.send(GET)
    assert (await client.response())[0] == "500"
    client.close()
    assert "Missing return statement" in caplog.text


# -- WebSocket -------------------------------------------------------------------------------------

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
#: Masked with zeros: a client's frames have to be masked (RFC 6455 §5.3).
HELLO = b"\x81\x85\0\0\0\0hello"
CLOSE = b"\x88\x82\0\0\0\0\x03\xe9"


async def websocket(request):
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    request.app[SOCKETS].add(ws)
    try:
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                await ws.send_str(message.data.upper())
    finally:
        request.app[SOCKETS].discard(ws)
    return ws


async def close_websockets(app):
    for ws in set(app[SOCKETS]):
        await ws.close(code=1001)


SOCKETS = web.AppKey("sockets", set)


def sockets_application():
    app = application(websocket)
    app[SOCKETS] = set()
    app.on_shutdown.append(close_websockets)
    return app


async def upgraded(address):
    client = await Client.dial(address)
    client.send(UPGRADE)
    assert (await client.response())[0] == "101"
    return client


async def test_a_websocket_echoes_and_may_be_silent(clock, server):
    started = await server(hosting.aiohttp.serve(sockets_application()), "mem:web", idle_timeout=5)
    client = await upgraded("mem:web")
    client.send(HELLO)
    assert await client.reader.readexactly(7) == b"\x81\x05HELLO"
    await clock.advance(100)
    client.send(HELLO)
    assert await client.reader.readexactly(7) == b"\x81\x05HELLO"
    client.send(CLOSE)
    assert (await client.rest())[:2] == b"\x88\x02"
    client.close()
    await clock.advance(1)
    assert _closed(started) == {"service": 1}


async def test_a_websocket_is_told_of_the_stop_and_closes_at_once(clock, network):
    server = Server(
        hosting.aiohttp.serve(sockets_application()), "mem:web", clock=clock, linger_timeout=0
    )
    async with server:
        client = await upgraded("mem:web")
        before = clock.monotonic()
    assert await client.rest() == b"\x88\x02\x03\xe9"
    assert clock.monotonic() == before
    client.close()
    assert not server.lost


async def test_the_closing_handshake_of_a_websocket_is_processed_during_a_stop(clock, network):
    async def push(request):  # reads nothing itself, so that closing waits for the peer
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        request.app[SOCKETS].add(ws)
        await asyncio.sleep(5)
        return ws

    app = application(push)
    app[SOCKETS] = set()
    app.on_shutdown.append(close_websockets)
    server = Server(hosting.aiohttp.serve(app), "mem:web", clock=clock)
    async with server:
        client = await upgraded("mem:web")
        before = clock.monotonic()
        draining = asyncio.create_task(server.drain())
        assert await client.reader.readexactly(4) == b"\x88\x02\x03\xe9"
        client.send(CLOSE)
        assert await client.rest() == b""
        assert clock.monotonic() == before
        await draining
    client.close()
    assert not server.lost


async def test_a_websocket_whose_peer_has_left_ends(clock, server):
    started = await server(hosting.aiohttp.serve(sockets_application()), "mem:web")
    client = await upgraded("mem:web")
    client.writer.write_eof()
    await client.rest()
    client.close()
    await clock.advance(0)
    assert not started.in_flight


# -- the stop of the server ------------------------------------------------------------------------


async def test_a_stop_closes_idle_connections_and_answers_busy_ones(clock, network):
    async def slow(request):
        await asyncio.sleep(2)
        return web.Response(text="done")

    app = application(slow)
    app.router.add_get("/quick", hello)
    server = Server(hosting.aiohttp.serve(app), "mem:web", clock=clock)
    async with server:
        idle, busy = await Client.dial("mem:web"), await Client.dial("mem:web")
        idle.send(GET.replace(b"/ ", b"/quick "))
        await idle.response()
        busy.send(GET + GET.replace(b"/ ", b"/quick "))
        await asyncio.sleep(0.1)
        assert server.in_flight == 2
        before = clock.monotonic()
        draining = asyncio.create_task(server.drain())
        assert await idle.rest() == b""
        assert clock.monotonic() == before
        await draining
    _, fields, body = await busy.response()
    assert body == b"done"
    assert "connection" not in fields
    _, fields, body = await busy.response()
    assert body == b"hello\n"
    assert fields["connection"] == "close"
    assert await busy.rest() == b""
    idle.close()
    busy.close()
    assert not server.lost
    assert _closed(server) == {"drain": 2}


async def test_a_body_that_is_on_its_way_is_read_during_a_stop(clock, network):
    async def echo(request):
        return web.Response(body=await request.read())

    server = Server(hosting.aiohttp.serve(application(echo)), "mem:web", clock=clock)
    async with server:
        client = await Client.dial("mem:web")
        client.send(b"PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbo")
        await asyncio.sleep(0.1)
        draining = asyncio.create_task(server.drain())
        await asyncio.sleep(0.1)
        client.send(b"d")
        await asyncio.sleep(0.1)
        client.send(b"y")
        await asyncio.sleep(0)
        client.send(GET)  # this one comes too late
        await draining
    assert (await client.response())[2] == b"body"
    assert await client.rest() == b""
    client.close()
    assert not server.lost


async def test_a_handler_that_does_not_end_is_cancelled_and_named(clock, network):
    undone = []

    async def stubborn(request):
        try:
            await asyncio.sleep(3600)
        finally:
            undone.append(True)

    server = Server(
        hosting.aiohttp.serve(application(stubborn)), "mem:web", clock=clock, drain_timeout=3
    )
    async with server:
        client = await Client.dial("mem:web")
        client.send(GET)
        await asyncio.sleep(0.1)
    client.close()
    assert undone == [True]
    (lost,) = server.lost
    assert (lost.listener, lost.reason) == ("mem:web", "drain")


async def test_a_handler_whose_client_has_left_is_waited_for(clock, network):
    done = []

    async def slow(request):
        await asyncio.sleep(2)
        done.append(True)
        return web.Response()

    async with Server(hosting.aiohttp.serve(application(slow)), "mem:web", clock=clock) as server:
        client = await Client.dial("mem:web")
        client.send(GET)
        await asyncio.sleep(0.1)
        client.writer.transport.abort()
    assert done == [True]
    assert server.metrics.total("requests_lost_total", reason="peer_gone") == 1


async def test_a_handler_may_be_cancelled_when_its_client_leaves(network, server):
    cancelled = asyncio.Event()

    async def slow(request):
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()

    endpoint = hosting.aiohttp.serve(application(slow), handler_cancellation=True)
    await server(endpoint, "mem:web")
    client = await Client.dial("mem:web")
    client.send(GET)
    await asyncio.sleep(0.1)
    client.writer.transport.abort()
    await cancelled.wait()


async def test_a_client_that_leaves_at_once_troubles_nobody(network, server, caplog):
    await server(hosting.aiohttp.serve(application()), "mem:web")
    client = await Client.dial("mem:web")
    client.writer.transport.abort()
    await asyncio.sleep(0.1)
    gc.collect()  # an exception never retrieved is reported then
    assert caplog.records == []


# -- the life of the application -------------------------------------------------------------------


def telling(log):
    """An application that notes what becomes of it."""
    app = application()

    async def context(app):
        log.append("context")
        yield
        log.append("context ends")

    for name in ("on_startup", "on_shutdown", "on_cleanup"):

        async def note(app, name=name):
            log.append(name)

        getattr(app, name).append(note)
    app.cleanup_ctx.append(context)
    return app


STEPS = ["context", "on_startup", "on_shutdown", "context ends", "on_cleanup"]


@pytest.mark.parametrize("is_connected", [False, True])
async def test_each_step_of_an_applications_life_comes_once_and_in_order(network, is_connected):
    log = []
    async with Server(hosting.aiohttp.serve(telling(log)), "mem:a", "mem:b"):
        assert log == STEPS[:2]
        if is_connected:
            clients = [await Client.dial(address) for address in ("mem:a", "mem:b")]
    assert sorted(log) == sorted(STEPS)
    assert log[:3] == STEPS[:3]
    if is_connected:
        for client in clients:
            client.close()


async def test_a_function_makes_the_application_when_serving_begins(network, server):
    async def make():
        return application()

    for factory in (application, make):
        async with Server(hosting.aiohttp.serve(factory), "mem:web"):
            client = await Client.dial("mem:web")
            client.send(GET)
            assert (await client.response())[2] == b"hello\n"
            client.close()


async def test_the_low_level_server_is_served_with_its_settings(network, server):
    async def handler(request):
        return web.Response(text=request.path)

    await server(hosting.aiohttp.serve(lambda: web.Server(handler, max_line_size=64)), "mem:web")
    client = await Client.dial("mem:web")
    client.send(GET)
    assert (await client.response())[2] == b"/"
    client.send(GET.replace(b"/ ", b"/" + b"x" * 64 + b" "))
    assert b"400" in await client.rest()
    client.close()


async def test_a_startup_that_fails_opens_nothing_and_cleans_up(network):
    log = []
    app = telling(log)

    async def fail(app):
        raise OSError("no database")

    app.on_startup.append(fail)
    with pytest.raises(StartupError, match=r"^aiohttp: startup failed: OSError: no database$"):
        async with Server(hosting.aiohttp.serve(app), "mem:web"):
            pass
    assert log == ["context", "on_startup", "context ends"]  # as aiohttp has it
    with pytest.raises(ConnectError):
        await Client.dial("mem:web")


@pytest.mark.parametrize("step", ["shutdown", "cleanup"])
async def test_an_end_that_fails_is_reported_after_all_else_is_done(network, step):
    log = []
    app = telling(log)

    async def fail(app):
        raise OSError("no database")

    getattr(app, f"on_{step}").append(fail)
    with pytest.raises(ServiceFailed, match=f"^shop: {step} failed: OSError: no database$"):
        async with Server(hosting.aiohttp.serve(app, name="shop"), "mem:web"):
            pass
    assert sorted(log) == sorted(STEPS)


async def test_a_function_that_raises_or_makes_something_else_is_reported(network):
    for make, kind, expected in [
        (lambda: 7, UsageError, "the function returned 7; expected an aiohttp.web.Application"),
        (lambda: 1 // 0, StartupError, "creating the application failed: ZeroDivisionError"),
        (lambda: _raise(UsageError("mine")), UsageError, "^mine$"),
    ]:
        with pytest.raises(kind, match=expected):
            async with Server(hosting.aiohttp.serve(make), "mem:web"):
                pass


async def test_an_endpoint_is_served_by_one_server_at_a_time(network):
    endpoint = hosting.aiohttp.serve(application)
    async with Server(endpoint, "mem:a"):
        with pytest.raises(UsageError, match="already being served"):
            async with Server(endpoint, "mem:b"):
                pass
    async with Server(endpoint, "mem:b"):
        pass


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"port": 80}, "aiohttp's port has no effect here: give addresses"),
        ({"ssl_context": None}, "aiohttp's ssl_context has no effect here: write 'tls+"),
        ({"keepalive_timeout": 7}, "here: give idle_timeout to run"),
        ({"acces_log": None}, r"aiohttp has no option 'acces_log'; did you mean access_log\?"),
    ],
)
def test_what_is_said_elsewhere_or_nowhere_is_no_setting(settings, expected):
    with pytest.raises(UsageError, match=expected):
        hosting.aiohttp.serve(application(), **settings)


def test_a_value_that_is_not_an_application_is_refused():
    with pytest.raises(UsageError, match="7 cannot be served; expected an aiohttp"):
        hosting.aiohttp.serve(7)


async def test_a_low_level_server_has_its_settings_already(network):
    async def make():
        return web.Server(hello)

    with pytest.raises(UsageError, match=r"give max_line_size to aiohttp\.web.Server"):
        async with Server(hosting.aiohttp.serve(make, max_line_size=100), "mem:web"):
            pass


def test_without_aiohttp_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "pierhead.hosting.aiohttp.site", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "aiohttp"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "site-packages" not in p])
    with pytest.raises(UsageError, match=r"pip install 'pierhead\[aiohttp\]'"):
        hosting.aiohttp.serve(hello)


def _raise(error):
    raise error


def _closed(server):
    reasons = (
        "drain",
        "eof",
        "error",
        "first_byte",
        "idle",
        "message",
        "peer_gone",
        "service",
        "write",
    )
    return {
        reason: count
        for reason in reasons
        if (count := server.metrics.total("connections_closed_total", reason=reason))
    }
