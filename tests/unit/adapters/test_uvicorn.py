"""ASGI applications on uvicorn's protocol classes, served by the adapter."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
from email.utils import parsedate_to_datetime

import pytest
import trustme
import uvicorn as package
import uvloop
from web import (
    Application,
    Client,
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
from wsproto.events import RejectConnection

from pierhead import Server
from pierhead.adapters import uvicorn
from pierhead.adapters.uvicorn_config import REPLACED
from pierhead.errors import StartupError, UsageError

#: Both of uvicorn's parsers.
PARSERS = ("httptools", "h11")


@pytest.fixture(params=PARSERS)
def http(request):
    return request.param


# -- requests ----------------------------------------------------------------------------------


async def test_requests_of_one_connection_are_answered_one_after_the_other(server, http):
    started = await server(uvicorn.serve(echo, http=http), "mem:web")
    async with dialled("mem:web") as client:
        for path in ("/one", "/two"):
            client.get(path)
            status, headers, body = await client.response()
            assert (status, body) == (200, path.encode())
            assert headers["server"] == "uvicorn"
            assert parsedate_to_datetime(headers["date"]).tzinfo
    assert not started.lost


async def test_pipelined_requests_are_answered_in_order(server, http):
    await server(uvicorn.serve(echo, http=http), "mem:web")
    async with dialled("mem:web") as client:
        for number in range(10):
            client.get(f"/{number}")
        bodies = [(await client.response())[2] for _ in range(10)]
    assert bodies == [b"/%d" % number for number in range(10)]


async def test_a_client_may_wait_for_100_continue(server, http):
    await server(uvicorn.serve(echo, http=http), "mem:web")
    async with dialled("mem:web") as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n")
        client.send(b"Expect: 100-continue\r\n\r\n")
        assert (await client.response())[0] == 100
        client.send(b"hello")
        assert (await client.response())[2] == b"hello"


async def test_an_application_that_raises_answers_500_and_the_server_goes_on(server, http):
    async def broken(scope, receive, send):
        if scope.get("path") == "/good":
            await reply(send, b"good")
        raise RuntimeError("no")

    await server(uvicorn.serve(broken, http=http), "mem:web")
    async with dialled("mem:web") as client:
        client.get("/")
        status, headers, _ = await client.response()
        assert (status, headers["connection"]) == (500, "close")
        assert await client.rest() == b""
    async with dialled("mem:web") as client:
        client.get("/good")
        assert (await client.response())[2] == b"good"


async def test_what_is_no_http_is_answered_400(server, http):
    await server(uvicorn.serve(echo, http=http), "mem:web")
    async with dialled("mem:web") as client:
        client.send(b"\x16\x03\x01 hello\r\n\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")


async def test_the_end_of_input_after_a_whole_request_leaves_it_to_be_answered(server, http):
    started = await server(uvicorn.serve(echo, http=http), "mem:web")
    async with dialled("mem:web") as client:
        client.get("/one")
        client.get("/two")
        client.writer.write_eof()
        assert (await client.response())[2] == b"/one"
        assert (await client.response())[2] == b"/two"
        assert await client.rest() == b""
    assert closed(started) == {"eof": 1}
    assert not started.lost


async def test_who_ends_its_input_and_waits_has_not_gone(server, http):
    """An application that stops when its client leaves would stop for nothing."""

    @http_only
    async def attentive(scope, receive, send):
        await whole_body(receive)
        leaving = asyncio.ensure_future(receive())
        await asyncio.wait([leaving], timeout=2)
        await reply(send, b"gone" if leaving.done() else b"there")
        leaving.cancel()

    started = await server(uvicorn.serve(attentive, http=http), "mem:web")
    async with dialled("mem:web") as client:
        client.get()
        client.writer.write_eof()
        await asyncio.sleep(1)
        assert started.in_flight == 1
        assert (await client.response())[2] == b"there"
        assert await client.rest() == b""
    assert not started.lost


@pytest.mark.parametrize("when", ["in the body", "while it is answered"])
async def test_a_client_that_breaks_off_has_gone(server, http, when):
    told = asyncio.Queue()

    async def slow(scope, receive, send):
        if when != "in the body":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while True:
            event = await receive()
            told.put_nowait(event["type"])
            if event["type"] == "http.disconnect":
                return

    started = await server(uvicorn.serve(slow, http=http, lifespan="off"), "mem:web")
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


async def test_large_bodies_are_held_back_both_ways(network, server, http):
    """The application reads in its own time, and so does the client: nobody holds it all."""
    held = []

    async def there_and_back(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            event = await receive()
            held.append(len(event["body"]))
            more = event["more_body"]
            await send({"type": "http.response.body", "body": event["body"], "more_body": more})

    size = 4_000_000
    await server(uvicorn.serve(there_and_back, http=http, lifespan="off"), "mem:web")
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
    await server(uvicorn.serve(facts), "mem:web")
    async with dialled("mem:web") as client:
        client.get()
        told = json.loads((await client.response())[2])
    assert (told["client"], told["scheme"]) == (None, "http")


PROXIED = "proxy+tcp:127.0.0.1:0?proxy.from=127.0.0.1"


@pytest.mark.parametrize(
    ("options", "host"), [({}, "127.0.0.1"), ({"proxy_headers": True}, "203.0.113.9")]
)
async def test_the_client_is_whom_the_proxy_names(options, host):
    """By the header that the address asks for; those that anybody can send are not heard."""
    async with Server(uvicorn.serve(facts, **options), PROXIED) as server:
        client = await connected(server.addresses[0], None)
        client.send(b"PROXY TCP4 127.0.0.1 198.51.100.1 4711 80\r\n")
        client.get("/", "X-Forwarded-For: 203.0.113.9")
        told = json.loads((await client.response())[2])["client"]
        assert told[0] == host
        assert host != "127.0.0.1" or told[1] == 4711
        await client.close()


async def test_an_application_may_answer_without_reading_the_body(server, http):
    @http_only
    async def refuse(scope, receive, send):
        await reply(send, b"too large", status=413)

    started = await server(uvicorn.serve(refuse, http=http), "mem:web", idle_timeout=10)
    size = 4_000_000
    async with dialled("mem:web") as client:
        client.send(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        client.send(bytes(size))
        assert (await client.response())[0] == 413
        assert await client.rest() == b""
    assert started.in_flight == 0


# -- deadlines ---------------------------------------------------------------------------------


async def test_a_request_head_that_trickles_is_cut_off(clock, server, http):
    started = await server(uvicorn.serve(echo, http=http), "mem:web", message_timeout=5)
    async with dialled("mem:web") as client:
        for octet in b"GET / H":
            client.send(bytes([octet]))
            await clock.advance(1.0)
        assert await client.rest() == b""
    assert closed(started) == {"message": 1}


async def test_a_client_that_says_nothing_is_cut_off(clock, server):
    started = await server(uvicorn.serve(echo), "mem:web", first_byte_timeout=5)
    async with dialled("mem:web") as client:
        await clock.advance(6.0)
        assert await client.rest() == b""
    assert closed(started) == {"first_byte": 1}


async def test_a_body_that_does_not_go_on_is_cut_off(clock, server, http):
    started = await server(uvicorn.serve(echo, http=http), "mem:web", idle_timeout=10)
    async with dialled("mem:web") as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel")
        await clock.advance(11.0)
        await client.rest()
    assert closed(started) == {"idle": 1}


async def test_an_application_may_take_longer_than_the_idle_timeout(clock, server, http):
    app = Application()
    await server(uvicorn.serve(app, http=http), "mem:web", idle_timeout=2, message_timeout=2)
    async with dialled("mem:web") as client:
        client.get("/wait")
        await clock.advance(60.0)
        app.go.set()
        assert (await client.response())[2] == b"done"


async def test_a_connection_between_requests_is_closed_by_the_sooner_of_two(clock, server, http):
    """uvicorn's keep-alive timeout and the idle timeout of the address."""
    for kept, idle, reason in ((5, 30, "service"), (60, 10, "idle")):
        endpoint = uvicorn.serve(echo, http=http, timeout_keep_alive=kept)
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


async def test_a_stop_answers_what_is_in_flight_and_closes_the_rest_at_once(network, http):
    app = Application()
    server = Server(uvicorn.serve(app, http=http), "mem:web")
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


async def test_pipelined_requests_are_answered_before_a_stop_closes(network, http):
    app = Application()
    server = Server(uvicorn.serve(app, http=http), "mem:web")
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


async def test_a_body_on_its_way_at_the_stop_is_read_to_its_end(network, http):
    begun = asyncio.Event()

    async def upload(scope, receive, send):
        begun.set()
        await reply(send, await whole_body(receive))

    server = Server(uvicorn.serve(upload, http=http, lifespan="off"), "mem:web")
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


async def test_a_request_that_takes_too_long_for_the_stop_is_named(clock, network, http, caplog):
    app = Application()
    server = Server(uvicorn.serve(app, http=http), "mem:web", clock=clock, drain_timeout=3)
    async with server:
        client = await Client.dial("mem:web")
        client.get("/wait")
        await app.waiting.wait()
    await client.rest()
    await client.close()
    (lost,) = server.lost
    assert (lost.reason, lost.listener) == ("drain", "mem:web")
    assert [record.levelname for record in caplog.records if record.levelno > 20] == []
    assert app.told == ["startup", "shutdown"]


async def test_work_in_the_background_of_a_response_is_waited_for(network, http):
    done = []

    async def later(scope, receive, send):
        await reply(send, b"soon")
        await asyncio.sleep(2)
        done.append(scope["path"])

    endpoint = uvicorn.serve(later, http=http, lifespan="off")
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
    async with Server(uvicorn.serve(app), "mem:web"):
        assert app.told == ["startup"]
        async with dialled("mem:web") as client:
            client.get()
            assert (await client.response())[2] == b"at startup"
    assert app.told == ["startup", "shutdown"]


async def test_an_application_that_cannot_start_is_an_error_and_nothing_is_opened(network):
    endpoint = uvicorn.serve(failing("startup", "no database"))
    with pytest.raises(StartupError, match=r"did not start: no database$"):
        await Server(endpoint, "mem:web").__aenter__()
    with pytest.raises(OSError, match="nobody listens"):
        await Client.dial("mem:web")


async def test_of_a_traceback_sent_as_message_the_last_line_is_the_reason(network):
    message = "Traceback (most recent call last):\n  File …\nKeyError: 'DATABASE'\n"
    with pytest.raises(StartupError, match=r"did not start: KeyError: 'DATABASE'$"):
        await Server(uvicorn.serve(failing("startup", message)), "mem:web").__aenter__()


async def test_a_shutdown_that_fails_is_logged(network, caplog):
    async with Server(uvicorn.serve(failing("shutdown", "disk full")), "mem:web"):
        pass
    assert "the application did not stop well: disk full" in caplog.text


async def test_an_application_without_a_lifespan_is_served_unless_it_must_have_one(network):
    async with Server(uvicorn.serve(echo), "mem:web"):
        async with dialled("mem:web") as client:
            client.get("/x")
            assert (await client.response())[2] == b"/x"
    with pytest.raises(StartupError, match="RuntimeError: there is no lifespan here"):
        await Server(uvicorn.serve(echo, lifespan="on"), "mem:web").__aenter__()


async def test_one_endpoint_is_served_once_at_a_time(network):
    endpoint = uvicorn.serve(Application())
    for _ in range(2):  # one after the other is fine
        async with Server(endpoint, "mem:web"):
            with pytest.raises(UsageError, match="is being served already"):
                await Server(endpoint, "mem:other").__aenter__()


# -- WebSocket ---------------------------------------------------------------------------------


async def test_a_websocket_is_echoed(server, http):
    await server(uvicorn.serve(echo, http=http), "mem:web")
    async with dialled("mem:web") as client:
        socket = await opened(client)
        for text in ("hello", "x" * 100_000):
            socket.send(text)
            assert await socket.text() == text.upper()


async def test_an_open_websocket_is_not_idle_while_it_is_pinged(clock, server):
    started = await server(uvicorn.serve(echo), "mem:web", idle_timeout=3)
    async with dialled("mem:web") as client:
        socket = await opened(client)
        hearing = asyncio.ensure_future(socket.text())
        await clock.advance(100.0)
        socket.send("still here")
        assert await hearing == "STILL HERE"
    assert closed(started).get("idle") is None


async def test_without_pings_silence_closes_a_websocket(clock, server):
    started = await server(uvicorn.serve(echo, ws_ping_interval=None), "mem:web", idle_timeout=3)
    async with dialled("mem:web") as client:
        await opened(client)
        await clock.advance(4.0)
        await client.rest()
    assert closed(started) == {"idle": 1}


async def test_a_stop_closes_a_websocket_and_tells_the_application(network):
    ended = []

    async def app(scope, receive, send):
        await converse(receive, send)
        ended.append(True)

    server = Server(uvicorn.serve(app, lifespan="off"), "mem:web")
    async with server:
        client = await Client.dial("mem:web")
        socket = await opened(client)
    assert (await socket.event()).code == 1012
    await client.close()
    assert ended == [True]
    assert not server.lost


async def test_a_websocket_whose_application_does_not_end_is_named(clock, network):
    async def deaf(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.sleep(3600)

    endpoint = uvicorn.serve(deaf, lifespan="off")
    server = Server(endpoint, "mem:web", clock=clock, drain_timeout=3)
    async with server:
        client = await Client.dial("mem:web")
        await opened(client)
        assert server.in_flight == 0  # a conversation, not a request
    await client.rest()
    await client.close()
    assert [lost.reason for lost in server.lost] == ["drain"]


async def test_without_websockets_an_upgrade_is_a_request_like_any_other(server):
    await server(uvicorn.serve(echo, ws="none"), "mem:web")
    async with dialled("mem:web") as client:
        socket = WebSocket(client)
        socket.connect()
        assert isinstance(await socket.event(), RejectConnection)


# -- what is served ----------------------------------------------------------------------------


async def test_an_application_may_be_named(network, tmp_path, monkeypatch):
    (tmp_path / "named_app.py").write_text("from web import echo as app\ndef make(): return app\n")
    monkeypatch.syspath_prepend(tmp_path)
    endpoints = (
        uvicorn.serve("named_app:app"),
        uvicorn.serve("named_app:make", factory=True),
        uvicorn.serve(package.Config("named_app:app", log_config=None)),
    )
    for endpoint in endpoints:
        async with Server(endpoint, "mem:web"), dialled("mem:web") as client:
            client.get("/x")
            assert (await client.response())[2] == b"/x"


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("no_such_module:app", 'Could not import module "no_such_module"'),
        ("web:no_such_app", 'Attribute "no_such_app" not found'),
        ("web", "must be in format"),
    ],
)
async def test_an_application_that_cannot_be_found_is_an_error(network, app, said):
    with pytest.raises(StartupError, match=f"cannot be loaded: .*{said}"):
        await Server(uvicorn.serve(app), "mem:web").__aenter__()


async def test_a_factory_that_needs_arguments_is_an_error(network):
    with pytest.raises(StartupError, match="cannot be called without"):
        await Server(uvicorn.serve("web:reply", factory=True), "mem:web").__aenter__()


def test_every_option_of_uvicorn_that_is_ours_is_refused_with_its_remedy():
    for option, remedy in REPLACED.items():
        with pytest.raises(UsageError, match="has no effect here") as raised:
            uvicorn.serve(echo, **{option: 1})
        assert option in str(raised.value)
        assert str(raised.value).endswith(remedy)


def test_an_unknown_option_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"no option 'acces_log'; did you mean access_log\?"):
        uvicorn.serve(echo, acces_log=False)


@pytest.mark.parametrize(
    "options", [{"port": 80}, {"workers": 2}, {"ssl_certfile": "x"}, {"limit_concurrency": 9}]
)
def test_a_ready_configuration_is_held_to_the_same(options):
    config = package.Config(echo, log_config=None, **options)
    with pytest.raises(UsageError, match=f"{next(iter(options))} has no effect here"):
        uvicorn.serve(config)


def test_a_ready_configuration_takes_no_options_beside_it():
    with pytest.raises(UsageError, match="set root_path in it"):
        uvicorn.serve(package.Config(echo, log_config=None), root_path="/x")


def test_what_is_no_application_is_refused():
    with pytest.raises(UsageError, match="7 is no ASGI application"):
        uvicorn.serve(7)


async def test_a_protocol_class_that_is_not_known_is_refused(network):
    endpoint = uvicorn.serve(echo, http="asyncio:Protocol")
    with pytest.raises(UsageError, match="expected http='httptools', http='h11'"):
        await Server(endpoint, "mem:web").__aenter__()


def test_without_uvicorn_the_error_says_how_to_install_it(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("pierhead.adapters.uvicorn_")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UsageError, match=r"install it: pip install 'pierhead\[uvicorn\]'$"):
        uvicorn.serve(echo)


# -- loops and sockets -------------------------------------------------------------------------


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("over", ["tcp", "unix", "abstract", "tls"])
def test_every_kind_of_socket_on_both_event_loops(tmp_path, http, loop, over):
    authority, address = secured(tmp_path)
    where = {
        "tcp": "tcp:127.0.0.1:0",
        "unix": f"unix:{tmp_path}/web.sock",
        "abstract": f"@pierhead-{tmp_path.name}-{http}",
        "tls": address,
    }[over]

    async def main():
        async with Server(uvicorn.serve(facts, http=http), where) as server:
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
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.configure_trust(context)
    _, host, port = re.sub(r"\?.*", "", address).split(":")
    client = Client(*await asyncio.open_connection(host, int(port), ssl=context))
    tls = client.writer.get_extra_info("ssl_object")
    assert tls.selected_alpn_protocol() == "http/1.1"
    return client
