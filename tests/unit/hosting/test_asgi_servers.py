"""What ASGI applications have on every server whose protocols are our guests."""

from __future__ import annotations

import asyncio
import functools
import json
from email.utils import parsedate_to_datetime

import pytest
import uvloop
from web import (
    Application,
    Client,
    closed,
    connected,
    converse,
    dialled,
    echo,
    facts,
    failing,
    http_only,
    opened,
    reply,
    secured,
    whole_body,
)

from pierhead import Server, hosting
from pierhead.errors import ConnectError, StartupError, UsageError

SERVERS = {
    "uvicorn-httptools": functools.partial(hosting.uvicorn.serve, http="httptools"),
    "uvicorn-h11": functools.partial(hosting.uvicorn.serve, http="h11"),
    "hypercorn": hosting.hypercorn.serve,
}


@pytest.fixture(params=SERVERS)
def serve(request):
    return SERVERS[request.param]


# -- requests ----------------------------------------------------------------------------------


async def test_requests_of_one_connection_are_answered_one_after_the_other(server, serve):
    started = await server(serve(echo), "mem:web")
    async with dialled("mem:web") as client:
        for path in ("/one", "/two"):
            client.get(path)
            status, headers, body = await client.response()
            assert (status, body) == (200, path.encode())
            assert headers["server"] in ("uvicorn", "hypercorn-h11")
            assert parsedate_to_datetime(headers["date"]).tzinfo
    assert not started.lost


async def test_pipelined_requests_are_answered_in_order(server, serve):
    await server(serve(echo), "mem:web")
    async with dialled("mem:web") as client:
        for number in range(10):
            client.get(f"/{number}")
        bodies = [(await client.response())[2] for _ in range(10)]
    assert bodies == [b"/%d" % number for number in range(10)]


async def test_a_client_may_wait_for_100_continue(server, serve):
    await server(serve(echo), "mem:web")
    async with dialled("mem:web") as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n")
        client.send(b"Expect: 100-continue\r\n\r\n")
        assert (await client.response())[0] == 100
        client.send(b"hello")
        assert (await client.response())[2] == b"hello"


async def test_an_application_that_raises_answers_500_and_the_server_goes_on(server, serve):
    async def broken(scope, receive, send):
        if scope.get("path") == "/good":
            await reply(send, b"good")
        raise RuntimeError("no")

    await server(serve(broken), "mem:web")
    async with dialled("mem:web") as client:
        client.get("/")
        status, headers, _ = await client.response()
        assert (status, headers["connection"]) == (500, "close")
        assert await client.rest() == b""
    async with dialled("mem:web") as client:
        client.get("/good")
        assert (await client.response())[2] == b"good"


async def test_input_that_is_not_http_is_answered_400(server, serve):
    await server(serve(echo), "mem:web")
    async with dialled("mem:web") as client:
        client.send(b"\x16\x03\x01 hello\r\n\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")


async def test_the_end_of_input_after_a_whole_request_leaves_it_to_be_answered(server, serve):
    started = await server(serve(echo), "mem:web")
    async with dialled("mem:web") as client:
        client.get("/one")
        client.get("/two")
        client.writer.write_eof()
        assert (await client.response())[2] == b"/one"
        assert (await client.response())[2] == b"/two"
        assert await client.rest() == b""
    assert closed(started) == {"eof": 1}
    assert not started.lost


async def test_a_client_that_ends_its_input_is_reported_disconnected_and_gets_its_answer(
    server, serve
):
    """Its waits are invisible; an application that stops must be told at once."""

    @http_only
    async def attentive(scope, receive, send):
        await whole_body(receive)
        event = await receive()
        await reply(send, event["type"].encode())

    started = await server(serve(attentive), "mem:web")
    async with dialled("mem:web") as client:
        client.get()
        await asyncio.sleep(1)
        client.writer.write_eof()
        assert (await client.response())[2] == b"http.disconnect"
        assert await client.rest() == b""
    assert not started.lost


async def test_an_application_that_stops_when_its_client_leaves_ends_the_connection(
    server, serve, caplog
):
    @http_only
    async def attentive(scope, receive, send):
        await whole_body(receive)
        await receive()

    started = await server(serve(attentive), "mem:web")
    async with dialled("mem:web") as client:
        client.get()
        await asyncio.sleep(1)
        client.writer.write_eof()
        assert await client.rest() == b""
    assert closed(started) == {"eof": 1}
    assert not [record for record in caplog.records if record.levelno > 20]


async def test_waiting_for_the_client_to_leave_can_be_given_up(server, serve):
    """As frameworks do to ask whether it has left, without waiting."""
    found = []

    @http_only
    async def asking(scope, receive, send):
        await whole_body(receive)
        while len(found) < 2:
            leaving = asyncio.ensure_future(receive())
            await asyncio.wait([leaving], timeout=0.1)
            if leaving.cancel():
                continue
            found.append(leaving.result()["type"])
        await reply(send, b"done")

    await server(serve(asking), "mem:web")
    async with dialled("mem:web") as client:
        client.get()
        await asyncio.sleep(1)
        assert not found
        client.writer.write_eof()
        assert (await client.response())[2] == b"done"
    assert found == 2 * ["http.disconnect"]


@pytest.mark.parametrize("when", ["in the body", "while it is answered"])
async def test_a_client_that_breaks_off_has_gone(server, when, serve):
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

    started = await server(serve(slow), "mem:web")
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


async def test_large_bodies_are_held_back_both_ways(network, server, serve):
    """The application reads at its own pace, and so does the client: nothing buffers it all."""
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
    await server(serve(there_and_back), "mem:web")
    async with dialled("mem:web") as client:
        client.send(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        octets = bytes(range(250)) * (size // 250)
        client.send(octets)
        await asyncio.sleep(1)
        assert sum(held) < 1_000_000  # the client has read nothing
        assert (await client.response())[2] == octets
    assert max(held) < 300_000
    assert sum(held) == size


async def test_an_end_of_a_memory_network_has_no_port_and_is_no_client(server, serve):
    await server(serve(facts), "mem:web")
    async with dialled("mem:web") as client:
        client.get()
        told = json.loads((await client.response())[2])
    assert (told["client"], told["scheme"]) == (None, "http")


async def test_an_application_may_answer_without_reading_the_body(server, serve):
    @http_only
    async def refuse(scope, receive, send):
        await reply(send, b"too large", status=413)

    started = await server(serve(refuse), "mem:web", idle_timeout=10)
    size = 4_000_000
    async with dialled("mem:web") as client:
        client.send(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        client.send(bytes(size))
        assert (await client.response())[0] == 413
        assert await client.rest() == b""
    assert started.in_flight == 0


# -- deadlines ---------------------------------------------------------------------------------


async def test_a_request_head_that_trickles_is_cut_off(clock, server, serve):
    started = await server(serve(echo), "mem:web", message_timeout=3)
    async with dialled("mem:web") as client:
        for octet in b"GET / H":
            client.send(bytes([octet]))
            await clock.advance(1.0)
        assert await client.rest() == b""
    assert closed(started) == {"message": 1}


async def test_a_client_that_says_nothing_is_cut_off(clock, server, serve):
    started = await server(serve(echo), "mem:web", first_byte_timeout=3)
    async with dialled("mem:web") as client:
        await clock.advance(6.0)
        assert await client.rest() == b""
    assert closed(started) == {"first_byte": 1}


async def test_a_body_that_does_not_go_on_is_cut_off(clock, server, serve):
    started = await server(serve(echo), "mem:web", idle_timeout=10)
    async with dialled("mem:web") as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel")
        await clock.advance(11.0)
        await client.rest()
    assert closed(started) == {"idle": 1}


async def test_an_application_may_take_longer_than_the_idle_timeout(clock, server, serve):
    app = Application()
    await server(serve(app), "mem:web", idle_timeout=2, message_timeout=2)
    async with dialled("mem:web") as client:
        client.get("/wait")
        await clock.advance(60.0)
        app.go.set()
        assert (await client.response())[2] == b"done"


# -- the stop ----------------------------------------------------------------------------------


async def test_a_stop_answers_what_is_in_flight_and_closes_the_rest_at_once(network, serve):
    app = Application()
    server = Server(serve(app), "mem:web")
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


async def test_pipelined_requests_are_answered_before_a_stop_closes(network, serve):
    app = Application()
    server = Server(serve(app), "mem:web")
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


async def test_a_body_on_its_way_at_the_stop_is_read_to_its_end(network, serve):
    begun = asyncio.Event()

    @http_only
    async def upload(scope, receive, send):
        begun.set()
        await reply(send, await whole_body(receive))

    server = Server(serve(upload), "mem:web")
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


async def test_a_request_that_takes_too_long_for_the_stop_is_named(clock, network, caplog, serve):
    app = Application()
    server = Server(serve(app), "mem:web", clock=clock, drain_timeout=3)
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


async def test_work_in_the_background_of_a_response_is_waited_for(network, serve):
    done = []

    @http_only
    async def later(scope, receive, send):
        await reply(send, b"soon")
        await asyncio.sleep(2)
        done.append(scope["path"])

    endpoint = serve(later)
    async with Server(endpoint, "mem:web", drain_timeout=5) as server:
        async with dialled("mem:web") as client:
            client.get("/work")
            assert (await client.response())[2] == b"soon"
            assert server.in_flight == 0
    assert done == ["/work"]
    assert not server.lost


# -- the lifespan ------------------------------------------------------------------------------


async def test_the_application_starts_before_and_stops_after_everything_else(network, serve):
    app = Application()
    async with Server(serve(app), "mem:web"):
        assert app.told == ["startup"]
        async with dialled("mem:web") as client:
            client.get()
            assert (await client.response())[2] == b"at startup"
    assert app.told == ["startup", "shutdown"]


async def test_an_application_that_cannot_start_is_an_error_and_nothing_is_opened(network, serve):
    endpoint = serve(failing("startup", "no database"))
    with pytest.raises(StartupError, match=r"did not start: no database$"):
        await Server(endpoint, "mem:web").__aenter__()
    with pytest.raises(ConnectError, match="no listener on"):
        await Client.dial("mem:web")


async def test_of_a_traceback_sent_as_message_the_last_line_is_the_reason(network, serve):
    message = "Traceback (most recent call last):\n  File …\nKeyError: 'DATABASE'\n"
    with pytest.raises(StartupError, match=r"did not start: KeyError: 'DATABASE'$"):
        await Server(serve(failing("startup", message)), "mem:web").__aenter__()


async def test_a_shutdown_that_fails_is_logged(network, caplog, serve):
    async with Server(serve(failing("shutdown", "disk full")), "mem:web"):
        pass
    assert "the application did not stop cleanly: disk full" in caplog.text


async def test_one_endpoint_is_served_once_at_a_time(network, serve):
    endpoint = serve(Application())
    for _ in range(2):  # one after the other is fine
        async with Server(endpoint, "mem:web"):
            with pytest.raises(UsageError, match="is already being served"):
                await Server(endpoint, "mem:other").__aenter__()


# -- WebSocket ---------------------------------------------------------------------------------


async def test_a_websocket_is_echoed(server, serve):
    await server(serve(echo), "mem:web")
    async with dialled("mem:web") as client:
        socket = await opened(client)
        for text in ("hello", "x" * 100_000):
            socket.send(text)
            assert await socket.text() == text.upper()


async def test_a_stop_closes_a_websocket_and_tells_the_application(network, serve):
    ended = []

    @http_only
    async def app(scope, receive, send):
        await converse(receive, send)
        ended.append(True)

    server = Server(serve(app), "mem:web", linger_timeout=0)
    async with server:
        client = await Client.dial("mem:web")
        socket = await opened(client)
    assert (await socket.event()).code == 1012
    await client.close()
    assert ended == [True]
    assert not server.lost


async def test_a_websocket_whose_application_does_not_end_is_named(clock, network, serve):
    @http_only
    async def deaf(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.sleep(3600)

    endpoint = serve(deaf)
    server = Server(endpoint, "mem:web", clock=clock, drain_timeout=3)
    async with server:
        client = await Client.dial("mem:web")
        await opened(client)
        assert server.in_flight == 0  # a conversation, not a request
    await client.rest()
    await client.close()
    assert [lost.reason for lost in server.lost] == ["drain"]


# -- loops and sockets -------------------------------------------------------------------------


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("over", ["tcp", "unix", "abstract", "tls"])
def test_every_kind_of_socket_on_both_event_loops(tmp_path, serve, loop, over):
    authority, address = secured(tmp_path)
    where = {
        "tcp": "tcp:127.0.0.1:0",
        "unix": f"unix:{tmp_path}/web.sock",
        "abstract": f"@pierhead-{tmp_path.name}",
        "tls": address,
    }[over]

    async def main():
        async with Server(serve(facts), where) as server:
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
