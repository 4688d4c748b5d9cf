"""ASGI and WSGI applications on hypercorn's server, served by the adapter."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
from email.utils import parsedate_to_datetime

import hypercorn as package
import pytest
import trustme
import uvloop
from web import (
    Application,
    Client,
    Http2,
    WebSocket,
    closed,
    converse,
    dialled,
    echo,
    facts,
    failing,
    http_only,
    opened,
    reply,
    whole_body,
)

from pierhead import Server
from pierhead.adapters import hypercorn
from pierhead.adapters.hypercorn_config import REPLACED
from pierhead.errors import StartupError, UsageError

#: Both of uvicorn's parsers.
PARSERS = ("httptools", "h11")


@pytest.fixture(params=PARSERS)
def http(request):
    return request.param


# -- requests ----------------------------------------------------------------------------------


async def test_requests_of_one_connection_are_answered_one_after_the_other(server):
    started = await server(hypercorn.serve(echo), "mem:web")
    async with dialled("mem:web") as client:
        for path in ("/one", "/two"):
            client.get(path)
            status, headers, body = await client.response()
            assert (status, body) == (200, path.encode())
            assert headers["server"] == "hypercorn-h11"
            assert parsedate_to_datetime(headers["date"]).tzinfo
    assert not started.lost


async def test_pipelined_requests_are_answered_in_order(server):
    await server(hypercorn.serve(echo), "mem:web")
    async with dialled("mem:web") as client:
        for number in range(10):
            client.get(f"/{number}")
        bodies = [(await client.response())[2] for _ in range(10)]
    assert bodies == [b"/%d" % number for number in range(10)]


async def test_a_client_may_wait_for_100_continue(server):
    await server(hypercorn.serve(echo), "mem:web")
    async with dialled("mem:web") as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n")
        client.send(b"Expect: 100-continue\r\n\r\n")
        assert (await client.response())[0] == 100
        client.send(b"hello")
        assert (await client.response())[2] == b"hello"


async def test_an_application_that_raises_answers_500_and_the_server_goes_on(server):
    async def broken(scope, receive, send):
        if scope.get("path") == "/good":
            await reply(send, b"good")
        raise RuntimeError("no")

    await server(hypercorn.serve(broken), "mem:web")
    async with dialled("mem:web") as client:
        client.get("/")
        status, headers, _ = await client.response()
        assert (status, headers["connection"]) == (500, "close")
        assert await client.rest() == b""
    async with dialled("mem:web") as client:
        client.get("/good")
        assert (await client.response())[2] == b"good"


async def test_what_is_no_http_is_answered_400(server):
    await server(hypercorn.serve(echo), "mem:web")
    async with dialled("mem:web") as client:
        client.send(b"\x16\x03\x01 hello\r\n\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")


async def test_the_end_of_input_after_a_whole_request_leaves_it_to_be_answered(server):
    started = await server(hypercorn.serve(echo), "mem:web")
    async with dialled("mem:web") as client:
        client.get("/one")
        client.get("/two")
        client.writer.write_eof()
        assert (await client.response())[2] == b"/one"
        assert (await client.response())[2] == b"/two"
        assert await client.rest() == b""
    assert closed(started) == {"eof": 1}
    assert not started.lost


async def test_who_ends_its_input_and_waits_has_not_gone(server):
    """An application that stops when its client leaves would stop for nothing."""

    @http_only
    async def attentive(scope, receive, send):
        await whole_body(receive)
        leaving = asyncio.ensure_future(receive())
        await asyncio.wait([leaving], timeout=2)
        await reply(send, b"gone" if leaving.done() else b"there")
        leaving.cancel()

    started = await server(hypercorn.serve(attentive), "mem:web")
    async with dialled("mem:web") as client:
        client.get()
        client.writer.write_eof()
        await asyncio.sleep(1)
        assert started.in_flight == 1
        assert (await client.response())[2] == b"there"
        assert await client.rest() == b""
    assert not started.lost


@pytest.mark.parametrize("when", ["in the body", "while it is answered"])
async def test_a_client_that_breaks_off_has_gone(server, when):
    told = asyncio.Queue()

    @http_only
    async def slow(scope, receive, send):
        if when != "in the body":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while True:
            event = await receive()
            told.put_nowait(event["type"])
            if event["type"] == "http.disconnect":
                return

    started = await server(hypercorn.serve(slow), "mem:web")
    async with dialled("mem:web") as client:
        if when == "in the body":
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel")
            assert await told.get() == "http.request"
        else:
            client.get("/")
            await client.reader.readuntil(b"\r\n1\r\nx")
            assert await told.get() == "http.request"
        client.writer.write_eof()
        await client.rest()
        assert await told.get() == "http.disconnect"
    assert closed(started) == {"eof": 1}


async def test_large_bodies_are_held_back_both_ways(network, server):
    """The application reads in its own time, and so does the client: nobody holds it all."""
    held = []

    @http_only
    async def there_and_back(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            event = await receive()
            held.append(len(event["body"]))
            more = event["more_body"]
            await send({"type": "http.response.body", "body": event["body"], "more_body": more})

    size = 4_000_000
    await server(hypercorn.serve(there_and_back), "mem:web")
    async with dialled("mem:web") as client:
        client.send(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        octets = bytes(range(250)) * (size // 250)
        client.send(octets)
        await asyncio.sleep(1)
        assert sum(held) < 1_000_000  # the client has read nothing
        assert (await client.response())[2] == octets
    assert max(held) < 300_000
    assert sum(held) == size


async def test_an_end_of_a_memory_network_has_no_port_and_is_no_client(server):
    await server(hypercorn.serve(facts), "mem:web")
    async with dialled("mem:web") as client:
        client.get()
        told = json.loads((await client.response())[2])
    assert (told["client"], told["scheme"]) == (None, "http")


async def test_the_client_is_whom_the_proxy_names():
    address = "proxy+tcp:127.0.0.1:0?proxy.from=127.0.0.1"
    async with Server(hypercorn.serve(facts), address) as server:
        for header, client_is in (
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n", ["192.0.2.7", 4711]),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n", ["2001:db8::7", 4711]),
        ):
            client = await connected(server.addresses[0], None)
            client.send(header)
            client.get()
            assert json.loads((await client.response())[2])["client"] == client_is
            await client.close()


async def test_an_application_may_answer_without_reading_the_body(server):
    @http_only
    async def refuse(scope, receive, send):
        await reply(send, b"too large", status=413)

    started = await server(hypercorn.serve(refuse), "mem:web", idle_timeout=10)
    size = 4_000_000
    async with dialled("mem:web") as client:
        client.send(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        client.send(bytes(size))
        assert (await client.response())[0] == 413
        assert await client.rest() == b""
    assert started.in_flight == 0


# -- deadlines ---------------------------------------------------------------------------------


async def test_a_request_head_that_trickles_is_cut_off(clock, server):
    started = await server(hypercorn.serve(echo), "mem:web", message_timeout=3)
    async with dialled("mem:web") as client:
        for octet in b"GET / H":
            client.send(bytes([octet]))
            await clock.advance(1.0)
        assert await client.rest() == b""
    assert closed(started) == {"message": 1}


async def test_a_client_that_says_nothing_is_cut_off(clock, server):
    started = await server(hypercorn.serve(echo), "mem:web", first_byte_timeout=3)
    async with dialled("mem:web") as client:
        await clock.advance(6.0)
        assert await client.rest() == b""
    assert closed(started) == {"first_byte": 1}


async def test_a_body_that_does_not_go_on_is_cut_off(clock, server):
    started = await server(hypercorn.serve(echo), "mem:web", idle_timeout=10)
    async with dialled("mem:web") as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel")
        await clock.advance(11.0)
        await client.rest()
    assert closed(started) == {"idle": 1}


async def test_an_application_may_take_longer_than_the_idle_timeout(clock, server):
    app = Application()
    await server(hypercorn.serve(app), "mem:web", idle_timeout=2, message_timeout=2)
    async with dialled("mem:web") as client:
        client.get("/wait")
        await clock.advance(60.0)
        app.go.set()
        assert (await client.response())[2] == b"done"


async def test_a_connection_between_requests_is_closed_by_the_sooner_of_two(clock, server):
    """hypercorn's keep-alive timeout and the idle timeout of the address."""
    for kept, idle, reason in ((5, 30, "service"), (60, 10, "idle")):
        endpoint = hypercorn.serve(echo, configured(keep_alive_timeout=kept))
        started = await server(endpoint, f"mem:{reason}", idle_timeout=idle)
        async with dialled(f"mem:{reason}") as client:
            client.get()
            await client.response()
            await clock.advance(min(kept, idle) - 1.0)
            assert not client.reader.at_eof()
            await clock.advance(2.0)
            assert await client.rest() == b""
        assert closed(started) == {reason: 1}


# -- the end -----------------------------------------------------------------------------------


async def test_a_stop_answers_what_is_in_flight_and_closes_the_rest_at_once(network):
    app = Application()
    server = Server(hypercorn.serve(app), "mem:web")
    await server.__aenter__()
    async with dialled("mem:web") as busy, dialled("mem:web") as idle:
        busy.get("/wait")
        idle.get("/")
        assert (await idle.response())[2] == b"at startup"
        await app.waiting.wait()
        assert server.in_flight == 1
        stopping = asyncio.ensure_future(server.__aexit__(None, None, None))
        assert await idle.rest() == b""
        assert app.told == ["startup"]
        app.go.set()
        assert (await busy.response())[2] == b"done"
        assert await busy.rest() == b""
        await stopping
    assert app.told == ["startup", "answered", "shutdown"]
    assert not server.lost


async def test_pipelined_requests_are_answered_before_a_stop_closes(network):
    app = Application()
    server = Server(hypercorn.serve(app), "mem:web")
    async with server:
        client = await Client.dial("mem:web")
        client.get("/wait")
        for _ in range(3):
            client.get("/")
        await app.waiting.wait()
        stopping = asyncio.ensure_future(server.drain())
        await asyncio.sleep(0.1)
        app.go.set()
        assert [(await client.response())[2] for _ in range(4)] == [b"done", *[b"at startup"] * 3]
        assert await client.rest() == b""
        await stopping
        await client.close()
    assert not server.lost


async def test_a_body_on_its_way_at_the_stop_is_read_to_its_end(network):
    begun = asyncio.Event()

    @http_only
    async def upload(scope, receive, send):
        begun.set()
        await reply(send, await whole_body(receive))

    server = Server(hypercorn.serve(upload), "mem:web")
    async with server:
        client = await Client.dial("mem:web")
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n")
        client.send(bytes(100_000))
        await begun.wait()
        stopping = asyncio.ensure_future(server.drain())
        await asyncio.sleep(0.1)
        client.send(bytes(100_000))
        assert (await client.response())[2] == bytes(200_000)
        await stopping
        await client.close()
    assert not server.lost


async def test_a_request_that_takes_too_long_for_the_stop_is_named(clock, network):
    app = Application()
    server = Server(hypercorn.serve(app), "mem:web", clock=clock, drain_timeout=3)
    async with server:
        client = await Client.dial("mem:web")
        client.get("/wait")
        await app.waiting.wait()
    await client.rest()
    await client.close()
    (lost,) = server.lost
    assert (lost.reason, lost.listener) == ("drain", "mem:web")
    assert app.told == ["startup", "shutdown"]


async def test_work_in_the_background_of_a_response_is_waited_for(network):
    done = []

    @http_only
    async def later(scope, receive, send):
        await reply(send, b"soon")
        await asyncio.sleep(2)
        done.append(scope["path"])

    endpoint = hypercorn.serve(later)
    async with Server(endpoint, "mem:web", drain_timeout=5) as server:
        async with dialled("mem:web") as client:
            client.get("/work")
            assert (await client.response())[2] == b"soon"
            assert server.in_flight == 0
    assert done == ["/work"]
    assert not server.lost


# -- the lifespan ------------------------------------------------------------------------------


async def test_the_application_starts_before_and_stops_after_everything_else(network):
    app = Application()
    async with Server(hypercorn.serve(app), "mem:web"):
        assert app.told == ["startup"]
        async with dialled("mem:web") as client:
            client.get()
            assert (await client.response())[2] == b"at startup"
    assert app.told == ["startup", "shutdown"]


async def test_an_application_that_cannot_start_is_an_error_and_nothing_is_opened(network):
    endpoint = hypercorn.serve(failing("startup", "no database"))
    with pytest.raises(StartupError, match=r"did not start: no database$"):
        await Server(endpoint, "mem:web").__aenter__()
    with pytest.raises(OSError, match="nobody listens"):
        await Client.dial("mem:web")


async def test_of_a_traceback_sent_as_message_the_last_line_is_the_reason(network):
    message = "Traceback (most recent call last):\n  File …\nKeyError: 'DATABASE'\n"
    with pytest.raises(StartupError, match=r"did not start: KeyError: 'DATABASE'$"):
        await Server(hypercorn.serve(failing("startup", message)), "mem:web").__aenter__()


async def test_a_shutdown_that_fails_is_logged(network, caplog):
    async with Server(hypercorn.serve(failing("shutdown", "disk full")), "mem:web"):
        pass
    assert "the application did not stop well: disk full" in caplog.text


async def test_an_application_that_does_not_answer_in_time_is_an_error(clock, network):
    async def silent(scope, receive, send):
        await asyncio.sleep(3600)

    endpoint = hypercorn.serve(silent, configured(startup_timeout=5))
    with pytest.raises(StartupError, match="did not start within 5 s"):
        await Server(endpoint, "mem:web").__aenter__()


async def test_a_shutdown_that_takes_too_long_is_logged(clock, network, caplog):
    async def slow(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.sleep(3600)

    async with Server(hypercorn.serve(slow, configured(shutdown_timeout=5)), "mem:web"):
        pass
    assert "the application did not stop within 5 s" in caplog.text


async def test_one_endpoint_is_served_once_at_a_time(network):
    endpoint = hypercorn.serve(Application())
    for _ in range(2):  # one after the other is fine
        async with Server(endpoint, "mem:web"):
            with pytest.raises(UsageError, match="is being served already"):
                await Server(endpoint, "mem:other").__aenter__()


# -- WebSocket ---------------------------------------------------------------------------------


async def test_a_websocket_is_echoed(server):
    await server(hypercorn.serve(echo), "mem:web")
    async with dialled("mem:web") as client:
        socket = await opened(client)
        for text in ("hello", "x" * 100_000):
            socket.send(text)
            assert await socket.text() == text.upper()


async def test_an_open_websocket_is_not_idle_while_it_is_pinged(clock, server):
    config = configured(websocket_ping_interval=20)
    started = await server(hypercorn.serve(echo, config), "mem:web", idle_timeout=3)
    async with dialled("mem:web") as client:
        socket = await opened(client)
        hearing = asyncio.ensure_future(socket.text())
        await clock.advance(100.0)
        socket.send("still here")
        assert await hearing == "STILL HERE"
    assert closed(started).get("idle") is None


async def test_without_pings_silence_closes_a_websocket(clock, server):
    started = await server(hypercorn.serve(echo), "mem:web", idle_timeout=3)
    async with dialled("mem:web") as client:
        await opened(client)
        await clock.advance(4.0)
        await client.rest()
    assert closed(started) == {"idle": 1}


async def test_a_stop_closes_a_websocket_and_tells_the_application(network):
    ended = []

    @http_only
    async def app(scope, receive, send):
        await converse(receive, send)
        ended.append(True)

    server = Server(hypercorn.serve(app), "mem:web")
    async with server:
        client = await Client.dial("mem:web")
        socket = await opened(client)
    assert (await socket.event()).code == 1012
    await client.close()
    assert ended == [True]
    assert not server.lost


async def test_a_websocket_whose_application_does_not_end_is_named(clock, network):
    @http_only
    async def deaf(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.sleep(3600)

    endpoint = hypercorn.serve(deaf)
    server = Server(endpoint, "mem:web", clock=clock, drain_timeout=3)
    async with server:
        client = await Client.dial("mem:web")
        await opened(client)
        assert server.in_flight == 0  # a conversation, not a request
    await client.rest()
    await client.close()
    assert [lost.reason for lost in server.lost] == ["drain"]


async def test_a_websocket_that_is_not_answered_yet_is_refused_at_the_stop(network):
    asked = asyncio.Event()

    @http_only
    async def slow(scope, receive, send):
        asked.set()
        await asyncio.sleep(2)
        await send({"type": "websocket.accept"})

    server = Server(hypercorn.serve(slow), "mem:web")
    async with server:
        client = await Client.dial("mem:web")
        socket = WebSocket(client)
        socket.connect()
        await asked.wait()
        assert server.in_flight == 1
    assert (await socket.event()).status_code == 403
    await client.close()
    assert not server.lost


# -- HTTP/2 ------------------------------------------------------------------------------------


async def test_http_2_is_served_to_a_client_that_knows_it(server):
    started = await server(hypercorn.serve(echo), "mem:web")
    async with dialled("mem:web") as client:
        http2 = Http2(client)
        numbers = [http2.get(f"/{number}") for number in range(5)]
        for number, stream in enumerate(numbers):
            assert await http2.body(stream) == b"/%d" % number
    assert not started.lost


async def test_http_2_bodies_are_held_back_both_ways(network, server):
    taken = []

    @http_only
    async def there_and_back(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            event = await receive()
            taken.append(len(event["body"]))
            more = event["more_body"]
            await send({"type": "http.response.body", "body": event["body"], "more_body": more})

    await server(hypercorn.serve(there_and_back), "mem:web")
    async with dialled("mem:web") as client:
        http2 = Http2(client)
        stream = http2.post("/")
        octets = bytes(range(250)) * 4000
        assert await http2.body(stream, octets) == octets
    assert sum(taken) == len(octets)


async def test_an_idle_http_2_connection_is_not_taken_for_a_slow_request(clock, server):
    config = configured(keep_alive_timeout=60)
    started = await server(
        hypercorn.serve(echo, config), "mem:web", message_timeout=2, idle_timeout=10
    )
    async with dialled("mem:web") as client:
        http2 = Http2(client)
        assert await http2.body(http2.get("/1")) == b"/1"
        http2.allow_more()  # frames that are no request and get no answer
        await clock.advance(5.0)
        assert await http2.body(http2.get("/2")) == b"/2"
        await clock.advance(11.0)
        await client.rest()
    assert closed(started) == {"idle": 1}


async def test_a_stop_answers_the_streams_of_http_2(network):
    app = Application()
    server = Server(hypercorn.serve(app), "mem:web")
    async with server:
        client = await Client.dial("mem:web")
        http2 = Http2(client)
        first, second = http2.get("/wait"), http2.get("/wait")
        await app.waiting.wait()
        stopping = asyncio.ensure_future(server.drain())
        await asyncio.sleep(0.1)
        assert server.in_flight == 2
        app.go.set()
        assert await http2.body(first) == b"done"
        assert await http2.body(second) == b"done"
        await stopping
        await client.close()
    assert not server.lost


async def test_streams_of_http_2_that_take_too_long_for_the_stop_are_named(clock, network):
    app = Application()
    server = Server(hypercorn.serve(app), "mem:web", clock=clock, drain_timeout=3)
    async with server:
        client = await Client.dial("mem:web")
        http2 = Http2(client)
        http2.get("/wait")
        http2.get("/wait")
        await app.waiting.wait()
        await asyncio.sleep(0.1)
    await client.rest()
    await client.close()
    assert [lost.reason for lost in server.lost] == ["drain", "drain"]


# -- what is served ----------------------------------------------------------------------------


async def test_a_wsgi_application_is_served(network):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "3")])
        return [environ["PATH_INFO"].encode()]

    async with Server(hypercorn.serve(app), "mem:web"), dialled("mem:web") as client:
        client.get("/ab")
        assert (await client.response())[2] == b"/ab"


async def test_an_application_may_be_named(network):
    async with Server(hypercorn.serve("web:echo"), "mem:web"), dialled("mem:web") as client:
        client.get("/x")
        assert (await client.response())[2] == b"/x"


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("no_such_module:app", "there is no module no_such_module"),
        ("web:no_such_app", "has no attribute 'no_such_app'"),
        ("web", "expected 'module:name'"),
    ],
)
async def test_an_application_that_cannot_be_found_is_an_error(network, app, said):
    with pytest.raises(StartupError, match=f"cannot be loaded: .*{said}"):
        await Server(hypercorn.serve(app), "mem:web").__aenter__()


async def test_a_module_that_misses_another_says_so_itself(network, tmp_path, monkeypatch):
    (tmp_path / "misses_another.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        await Server(hypercorn.serve("misses_another:app"), "mem:web").__aenter__()


def test_what_is_no_application_or_no_configuration_is_refused():
    with pytest.raises(UsageError, match="7 is no application"):
        hypercorn.serve(7)
    with pytest.raises(UsageError, match=r"expected a hypercorn\.Config"):
        hypercorn.serve(echo, {"workers": 2})


@pytest.mark.parametrize("option", REPLACED)
def test_every_option_of_hypercorn_that_is_ours_is_refused_with_its_remedy(option):
    config = configured(**{option: ["x"] if option.endswith("bind") else "x"})
    with pytest.raises(UsageError, match=f"^hypercorn's {option} has no effect here") as raised:
        hypercorn.serve(echo, config)
    assert str(raised.value).endswith(REPLACED[option])


def test_tls_agrees_on_what_the_configuration_says():
    assert hypercorn.serve(echo).alpn == ("h2", "http/1.1")
    assert hypercorn.serve(echo, configured(alpn_protocols=["h2"])).alpn == ("h2",)


def test_without_hypercorn_the_error_says_how_to_install_it(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("pierhead.adapters.hypercorn_")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("hypercorn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hypercorn", None)
    with pytest.raises(UsageError, match=r"install it: pip install 'pierhead\[hypercorn\]'$"):
        hypercorn.serve(echo)


def configured(**options):
    config = package.Config()
    config.errorlog = None
    for name, value in options.items():
        setattr(config, name, value)
    return config


# -- loops and sockets -------------------------------------------------------------------------


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("over", ["tcp", "unix", "abstract", "tls"])
def test_every_kind_of_socket_on_both_event_loops(tmp_path, loop, over):
    authority, address = secured(tmp_path)
    where = {
        "tcp": "tcp:127.0.0.1:0",
        "unix": f"unix:{tmp_path}/web.sock",
        "abstract": f"@pierhead-{tmp_path.name}",
        "tls": address,
    }[over]

    async def main():
        async with Server(hypercorn.serve(facts), where) as server:
            client = await connected(server.addresses[0], authority if over == "tls" else None)
            client.get()
            told = json.loads((await client.response())[2])
            port = client.writer.get_extra_info("sockname")[1:]
            await client.close()
        assert told["scheme"] == ("https" if over == "tls" else "http")
        expected = ["127.0.0.1", *port] if over in ("tcp", "tls") else None
        assert told["client"] == expected

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


def secured(folder):
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "web.pem"))
    return authority, f"tls+tcp:127.0.0.1:0?cert={folder}/web.pem"


async def connected(address, authority):
    """Dial what a server has opened, TLS included."""
    if authority is None:
        return await Client.dial(address.partition("?")[0].removeprefix("proxy+"))
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    authority.configure_trust(context)
    return await over_tls(address, context)


async def over_tls(address, context):
    _, host, port = re.sub(r"\?.*", "", address).split(":")
    return Client(*await asyncio.open_connection(host, int(port), ssl=context))


async def test_http_2_is_agreed_on_in_tls(tmp_path):
    authority, address = secured(tmp_path)
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.configure_trust(context)
    async with Server(hypercorn.serve(facts), address) as server:
        client = await over_tls(server.addresses[0], context)
        http2 = Http2(client)
        told = json.loads(await http2.body(http2.get("/")))
        await client.close()
    assert (told["http_version"], told["scheme"]) == ("2", "https")
