"""ASGI and WSGI applications on hypercorn's server: what `test_asgi_servers` does not show."""

from __future__ import annotations

import asyncio
import json
import socket
import sys

import h11
import hypercorn as package
import pytest
from guests import GET, LEAVINGS, port_of
from guests import connected as connected_socket
from web import (
    Application,
    Client,
    Http2,
    WebSocket,
    closed,
    connected,
    dialled,
    echo,
    facts,
    http_only,
    opened,
    reply,
    secured,
)

from pierhead import Server, hosting
from pierhead.errors import StartupError, UsageError
from pierhead.hosting.hypercorn.config import REPLACED

# -- requests ----------------------------------------------------------------------------------


async def test_the_client_is_whom_the_proxy_names():
    address = "proxy+tcp:127.0.0.1:0?proxy.from=127.0.0.1"
    async with Server(hosting.hypercorn.serve(facts), address) as server:
        for header, client_is in (
            (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n", ["192.0.2.7", 4711]),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n", ["2001:db8::7", 4711]),
        ):
            client = await connected(server.addresses[0])
            client.send(header)
            client.get()
            assert json.loads((await client.response())[2])["client"] == client_is
            await client.close()


async def test_a_protocol_violation_is_one_line_in_the_log(network, server, caplog):
    """As an upgrade to h2c that makes no sense does, whose answer h11 refuses to write."""

    async def broken(scope, receive, send):
        if scope["type"] == "http" and scope["path"] == "/broken":
            raise h11.LocalProtocolError("cannot send now")
        await echo(scope, receive, send)

    await server(hosting.hypercorn.serve(broken), "mem:web", linger_timeout=0)
    async with dialled("mem:web") as client:
        client.get("/broken")
        assert await client.rest() == b""
    async with dialled("mem:web") as client:
        client.get()
        assert (await client.response())[0] == 200
    assert "LocalProtocolError: cannot send now" in caplog.text
    assert "Traceback" not in caplog.text


# -- clients that leave ------------------------------------------------------------------------

UPGRADE = (
    b"GET /wait HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
FRAME = b"\x81\x82\x00\x00\x00\x00hi"

#: What hypercorn has not read, or refuses without telling the application.
BEHIND = {
    "pipelined": 3 * GET,
    "pipelined, the first asks to close": GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    + 2 * GET,
    "frames behind a handshake": UPGRADE + 3 * FRAME,
}


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("leave", LEAVINGS.values(), ids=LEAVINGS)
@pytest.mark.parametrize("sent", BEHIND.values(), ids=BEHIND)
async def test_a_client_that_leaves_with_more_unread_gives_its_place_back(sent, leave, answers):
    begun = asyncio.Event()
    gone = asyncio.Event()

    async def app(scope, receive, send):
        assert scope["type"] != "lifespan"
        begun.set()
        if answers and scope["type"] == "http":
            await gone.wait()
            await reply(send, b"x")
        while "disconnect" not in (await receive())["type"]:
            pass

    async with Server(hosting.hypercorn.serve(app), "tcp:127.0.0.1:0", drain_timeout=0.1) as server:
        with socket.socket() as client:
            await connected_socket(client, port_of(server))
            await asyncio.get_running_loop().sock_sendall(client, sent)
            await begun.wait()
            leave(client)
            gone.set()
            async with asyncio.timeout(10):
                while server.metrics.total("connections_open"):
                    await asyncio.sleep(0)
        assert server.metrics.total("connections_accepted_total") == 1


async def test_a_client_that_stays_after_a_refusal_does_not_keep_its_place(clock, server):
    """A handshake with frames behind it, one without its key, and an unknown host."""
    heard = []

    async def app(scope, receive, send):
        assert scope["type"] != "lifespan"
        while not heard or "disconnect" not in heard[-1]:
            heard.append((await receive())["type"])

    known = configured(server_names=["t"])
    started = await server(hosting.hypercorn.serve(app, known), "mem:web")
    no_key = UPGRADE.replace(b"Sec-WebSocket-Key", b"X-Key")
    for sent, status in (
        (UPGRADE + FRAME, b"400"),
        (no_key, b"400"),
        (GET.replace(b"Host: t", b"Host: other"), b"404"),
    ):
        async with dialled("mem:web") as client:
            client.send(sent)
            assert (await client.rest()).split()[1] == status
            await clock.advance(2.0)
            assert started.metrics.total("connections_open") == 0
            assert started.in_flight == 0
    assert heard == ["websocket.connect", "websocket.disconnect"]


# -- deadlines ---------------------------------------------------------------------------------


async def test_a_connection_between_requests_is_closed_by_the_sooner_of_two(clock, server):
    """hypercorn's keep-alive timeout and the idle timeout of the address."""
    for kept, idle, reason in ((5, 30, "service"), (60, 10, "idle")):
        endpoint = hosting.hypercorn.serve(echo, configured(keep_alive_timeout=kept))
        started = await server(endpoint, f"mem:{reason}", idle_timeout=idle)
        async with dialled(f"mem:{reason}") as client:
            client.get()
            await client.response()
            await clock.advance(min(kept, idle) - 1.0)
            assert not client.reader.at_eof()
            await clock.advance(2.0)
            assert await client.rest() == b""
        assert closed(started) == {reason: 1}


# -- the lifespan ------------------------------------------------------------------------------


async def test_an_application_that_does_not_answer_in_time_is_an_error(clock, network):
    async def silent(scope, receive, send):
        await asyncio.sleep(3600)

    endpoint = hosting.hypercorn.serve(silent, configured(startup_timeout=5))
    with pytest.raises(StartupError, match="did not start within 5 s"):
        await Server(endpoint, "mem:web").__aenter__()


async def test_a_shutdown_that_takes_too_long_is_logged(clock, network, caplog):
    async def slow(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.sleep(3600)

    async with Server(hosting.hypercorn.serve(slow, configured(shutdown_timeout=5)), "mem:web"):
        pass
    assert "the application did not stop within 5 s" in caplog.text


# -- WebSocket ---------------------------------------------------------------------------------


async def test_an_open_websocket_is_not_idle_while_it_is_pinged(clock, server):
    config = configured(websocket_ping_interval=20)
    started = await server(hosting.hypercorn.serve(echo, config), "mem:web", idle_timeout=3)
    async with dialled("mem:web") as client:
        socket = await opened(client)
        hearing = asyncio.ensure_future(socket.text())
        await clock.advance(100.0)
        socket.send("still here")
        assert await hearing == "STILL HERE"
    assert closed(started).get("idle") is None


async def test_without_pings_silence_closes_a_websocket(clock, server):
    started = await server(hosting.hypercorn.serve(echo), "mem:web", idle_timeout=3)
    async with dialled("mem:web") as client:
        await opened(client)
        await clock.advance(4.0)
        await client.rest()
    assert closed(started) == {"idle": 1}


async def test_a_websocket_that_is_not_answered_yet_is_refused_at_the_stop(network):
    asked = asyncio.Event()

    @http_only
    async def slow(scope, receive, send):
        asked.set()
        await asyncio.sleep(2)
        await send({"type": "websocket.accept"})

    server = Server(hosting.hypercorn.serve(slow), "mem:web", linger_timeout=0)
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
    started = await server(hosting.hypercorn.serve(echo), "mem:web")
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

    await server(hosting.hypercorn.serve(there_and_back), "mem:web")
    async with dialled("mem:web") as client:
        http2 = Http2(client)
        stream = http2.post("/")
        octets = bytes(range(250)) * 4000
        assert await http2.body(stream, octets) == octets
    assert sum(taken) == len(octets)


async def test_an_idle_http_2_connection_is_not_taken_for_a_slow_request(clock, server):
    config = configured(keep_alive_timeout=60)
    started = await server(
        hosting.hypercorn.serve(echo, config), "mem:web", message_timeout=2, idle_timeout=10
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
    server = Server(hosting.hypercorn.serve(app), "mem:web")
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
    server = Server(hosting.hypercorn.serve(app), "mem:web", clock=clock, drain_timeout=3)
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

    async with Server(hosting.hypercorn.serve(app), "mem:web"), dialled("mem:web") as client:
        client.get("/ab")
        assert (await client.response())[2] == b"/ab"


async def test_an_application_may_be_named(network):
    async with Server(hosting.hypercorn.serve("web:echo"), "mem:web"), dialled("mem:web") as client:
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
        await Server(hosting.hypercorn.serve(app), "mem:web").__aenter__()


async def test_a_module_that_misses_another_says_so_itself(network, tmp_path, monkeypatch):
    (tmp_path / "misses_another.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        await Server(hosting.hypercorn.serve("misses_another:app"), "mem:web").__aenter__()


def test_a_value_that_is_not_an_application_or_configuration_is_refused():
    with pytest.raises(UsageError, match="7 is not an application"):
        hosting.hypercorn.serve(7)
    with pytest.raises(UsageError, match=r"expected a hypercorn\.Config"):
        hosting.hypercorn.serve(echo, {"workers": 2})


@pytest.mark.parametrize("option", REPLACED)
def test_every_option_of_hypercorn_that_is_ours_is_refused_with_its_remedy(option):
    config = configured(**{option: ["x"] if option.endswith("bind") else "x"})
    with pytest.raises(UsageError, match=f"^hypercorn's {option} has no effect here") as raised:
        hosting.hypercorn.serve(echo, config)
    assert str(raised.value).endswith(REPLACED[option])


def test_tls_agrees_on_what_the_configuration_says():
    assert hosting.hypercorn.serve(echo).alpn == ("h2", "http/1.1")
    assert hosting.hypercorn.serve(echo, configured(alpn_protocols=["h2"])).alpn == ("h2",)


def test_without_hypercorn_the_error_says_how_to_install_it(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("pierhead.hosting.hypercorn.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("hypercorn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hypercorn", None)
    with pytest.raises(UsageError, match=r"install it: pip install 'pierhead\[hypercorn\]'$"):
        hosting.hypercorn.serve(echo)


def configured(**options):
    config = package.Config()
    config.errorlog = None
    for name, value in options.items():
        setattr(config, name, value)
    return config


async def test_http_2_is_agreed_on_in_tls(tmp_path):
    authority, address = secured(tmp_path)
    async with Server(hosting.hypercorn.serve(facts), address) as server:
        client = await connected(server.addresses[0], authority, alpn=["h2", "http/1.1"])
        http2 = Http2(client)
        told = json.loads(await http2.body(http2.get("/")))
        await client.close()
    assert (told["http_version"], told["scheme"]) == ("2", "https")
