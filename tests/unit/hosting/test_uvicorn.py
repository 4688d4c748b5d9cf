"""ASGI applications on uvicorn's protocols: what `test_asgi_servers` does not show."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
import uvicorn as package
from web import (
    Client,
    WebSocket,
    closed,
    connected,
    dialled,
    echo,
    facts,
    opened,
    secured,
)
from wsproto.events import RejectConnection

from pierhead import Server, hosting
from pierhead.errors import StartupError, UsageError
from pierhead.hosting.uvicorn.config import REPLACED

#: Both of uvicorn's parsers.
PARSERS = ("httptools", "h11")


@pytest.fixture(params=PARSERS)
def http(request):
    return request.param


# -- requests ----------------------------------------------------------------------------------


PROXIED = "proxy+tcp:127.0.0.1:0?proxy.from=127.0.0.1"


@pytest.mark.parametrize(
    ("options", "host"), [({}, "127.0.0.1"), ({"proxy_headers": True}, "203.0.113.9")]
)
async def test_the_client_is_whom_the_proxy_names(options, host):
    """Uses the header that the address names; headers that any client can send are ignored."""
    async with Server(hosting.uvicorn.serve(facts, **options), PROXIED) as server:
        client = await connected(server.addresses[0])
        client.send(b"PROXY TCP4 127.0.0.1 198.51.100.1 4711 80\r\n")
        client.get("/", "X-Forwarded-For: 203.0.113.9")
        told = json.loads((await client.response())[2])["client"]
        assert told[0] == host
        assert host != "127.0.0.1" or told[1] == 4711
        await client.close()


async def test_no_further_requests_are_read_while_some_wait_in_the_pipeline(clock, server):
    gate = asyncio.Semaphore(0)

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await gate.acquire()
        await echo(scope, receive, send)

    started = await server(hosting.uvicorn.serve(app, http="httptools"), "mem:web")
    client = await Client.dial("mem:web")
    for _ in range(2):
        for _ in range(20):
            client.get()
        await clock.advance(0.1)
    assert started.in_flight == 20
    gate.release()
    await clock.advance(0.1)
    assert started.in_flight == 19
    for _ in range(39):
        gate.release()
    for _ in range(40):
        assert (await client.response())[0] == 200
    await client.close()


# -- deadlines ---------------------------------------------------------------------------------


async def test_a_connection_between_requests_is_closed_by_the_sooner_of_two(clock, server, http):
    """uvicorn's keep-alive timeout and the idle timeout of the address."""
    for kept, idle, reason in ((5, 30, "service"), (60, 10, "idle")):
        endpoint = hosting.uvicorn.serve(echo, http=http, timeout_keep_alive=kept)
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


async def test_an_application_without_a_lifespan_is_served_unless_it_must_have_one(network):
    async with Server(hosting.uvicorn.serve(echo), "mem:web"):
        async with dialled("mem:web") as client:
            client.get("/x")
            assert (await client.response())[2] == b"/x"
    with pytest.raises(StartupError, match="RuntimeError: there is no lifespan here"):
        await Server(hosting.uvicorn.serve(echo, lifespan="on"), "mem:web").__aenter__()


# -- WebSocket ---------------------------------------------------------------------------------


async def test_an_open_websocket_is_not_idle_while_it_is_pinged(clock, server):
    started = await server(hosting.uvicorn.serve(echo), "mem:web", idle_timeout=3)
    async with dialled("mem:web") as client:
        socket = await opened(client)
        hearing = asyncio.ensure_future(socket.text())
        await clock.advance(100.0)
        socket.send("still here")
        assert await hearing == "STILL HERE"
    assert closed(started).get("idle") is None


async def test_without_pings_silence_closes_a_websocket(clock, server):
    started = await server(
        hosting.uvicorn.serve(echo, ws_ping_interval=None), "mem:web", idle_timeout=3
    )
    async with dialled("mem:web") as client:
        await opened(client)
        await clock.advance(4.0)
        await client.rest()
    assert closed(started) == {"idle": 1}


async def test_without_websockets_an_upgrade_is_a_request_like_any_other(server):
    await server(hosting.uvicorn.serve(echo, ws="none"), "mem:web")
    async with dialled("mem:web") as client:
        socket = WebSocket(client)
        socket.connect()
        assert isinstance(await socket.event(), RejectConnection)


# -- what is served ----------------------------------------------------------------------------


async def test_an_application_may_be_named(network, tmp_path, monkeypatch):
    (tmp_path / "named_app.py").write_text("from web import echo as app\ndef make(): return app\n")
    monkeypatch.syspath_prepend(tmp_path)
    endpoints = (
        hosting.uvicorn.serve("named_app:app"),
        hosting.uvicorn.serve("named_app:make", factory=True),
        hosting.uvicorn.serve(package.Config("named_app:app", log_config=None)),
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
        await Server(hosting.uvicorn.serve(app), "mem:web").__aenter__()


async def test_a_factory_that_needs_arguments_is_an_error(network):
    with pytest.raises(StartupError, match="cannot be called without"):
        await Server(hosting.uvicorn.serve("web:reply", factory=True), "mem:web").__aenter__()


def test_every_option_of_uvicorn_that_is_ours_is_refused_with_its_remedy():
    for option, remedy in REPLACED.items():
        with pytest.raises(UsageError, match="has no effect here") as raised:
            hosting.uvicorn.serve(echo, **{option: 1})
        assert option in str(raised.value)
        assert str(raised.value).endswith(remedy)


def test_an_unknown_option_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"no option 'acces_log'; did you mean access_log\?"):
        hosting.uvicorn.serve(echo, acces_log=False)


@pytest.mark.parametrize(
    "options", [{"port": 80}, {"workers": 2}, {"ssl_certfile": "x"}, {"limit_concurrency": 9}]
)
def test_a_ready_configuration_is_held_to_the_same(options):
    config = package.Config(echo, log_config=None, **options)
    with pytest.raises(UsageError, match=f"{next(iter(options))} has no effect here"):
        hosting.uvicorn.serve(config)


def test_a_ready_configuration_takes_no_options_beside_it():
    with pytest.raises(UsageError, match="set root_path in it"):
        hosting.uvicorn.serve(package.Config(echo, log_config=None), root_path="/x")


def test_a_value_that_is_not_an_application_is_refused():
    with pytest.raises(UsageError, match="7 is not an ASGI application"):
        hosting.uvicorn.serve(7)


async def test_a_protocol_class_that_is_not_known_is_refused(network):
    endpoint = hosting.uvicorn.serve(echo, http="asyncio:Protocol")
    with pytest.raises(UsageError, match="expected http='httptools', http='h11'"):
        await Server(endpoint, "mem:web").__aenter__()


def test_without_uvicorn_the_error_says_how_to_install_it(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("pierhead.hosting.uvicorn.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UsageError, match=r"install it: pip install 'pierhead\[uvicorn\]'$"):
        hosting.uvicorn.serve(echo)


async def test_tls_agrees_on_http_1_1_though_the_client_has_2(tmp_path):
    authority, address = secured(tmp_path)
    async with Server(hosting.uvicorn.serve(facts), address) as server:
        client = await connected(server.addresses[0], authority, alpn=["h2", "http/1.1"])
        tls = client.writer.get_extra_info("ssl_object")
        assert tls.selected_alpn_protocol() == "http/1.1"
        await client.close()
