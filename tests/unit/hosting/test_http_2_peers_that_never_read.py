"""What is written to a client of HTTP/2 that never reads is bounded, whatever windows it opens."""

from __future__ import annotations

import asyncio

import h2.connection
import pytest
from grpclib.const import Cardinality, Handler
from grpclib.encoding.base import CodecBase
from h2.settings import SettingCodes
from web import Http2, dialled, reply

from pierhead.hosting import grpclib, hypercorn

LIMIT = 100_000
MESSAGE = bytes(300_000)
MESSAGES = 20
STREAMS = 50

#: More than a network in memory takes for a peer that does not read, and what waits for it when
#: the guest is told to wait: the message that filled it is one frame.
UNDERWAY = len(MESSAGE) + 200_000


class Octets(CodecBase):
    """No protocol buffers: a message is its octets."""

    __content_subtype__ = "proto"

    def encode(self, message, message_type):
        return message

    def decode(self, data, message_type):
        return data


def grpc():
    class Service:
        async def call(self, stream):
            for _ in range(MESSAGES):
                await stream.send_message(MESSAGE)

        def __mapping__(self):
            kind = Cardinality.UNARY_STREAM
            return {"/t/t": Handler(self.call, kind, bytes, bytes)}

    return grpclib.serve([Service()], codec=Octets())


def asgi():
    async def app(scope, receive, send):
        assert scope["type"] == "http", "no lifespan"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(MESSAGES):
            await send({"type": "http.response.body", "body": MESSAGE, "more_body": True})

    return hypercorn.serve(app)


class Greedy:
    """A client that lets every stream send all it has, in frames as large as can be."""

    def __init__(self, client):
        self._client = client
        self.connection = h2.connection.H2Connection()
        self.connection.initiate_connection()
        wishes = {
            SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1,
            SettingCodes.MAX_FRAME_SIZE: 2**24 - 1,
        }
        self.connection.update_settings(wishes)
        self.connection.increment_flow_control_window(2**31 - 1 - 65_535)

    def ask(self, streams):
        pseudo = {"method": "POST", "path": "/t/t", "scheme": "http", "authority": "t"}
        headers = [(f":{name}", value) for name, value in pseudo.items()]
        headers += [("te", "trailers"), ("content-type", "application/grpc")]
        for _ in range(streams):
            stream = self.connection.get_next_available_stream_id()
            self.connection.send_headers(stream, headers, end_stream=True)
        self.send()

    def send(self):
        self._client.send(self.connection.data_to_send())


def settled():
    """Wait until nothing happens any more: the clock is held."""
    return asyncio.get_running_loop().settle()


GUESTS = {"grpclib": grpc, "hypercorn": asgi}


@pytest.mark.parametrize("streams", [1, STREAMS])
@pytest.mark.parametrize("make", GUESTS.values(), ids=GUESTS)
async def test_streams_wait_for_a_client_that_never_reads(server, make, streams):
    started = await server(make(), "mem:h2", max_unsent_bytes=LIMIT, drain_timeout=0)
    async with dialled("mem:h2") as client:
        client.writer.transport.pause_reading()
        Greedy(client).ask(streams)
        await settled()
        sent = started.metrics.total("bytes_sent_total")
        assert 0 < sent < UNDERWAY
        assert started.metrics.total("connections_closed_total") == 0


@pytest.mark.parametrize("make", GUESTS.values(), ids=GUESTS)
async def test_a_client_that_reads_a_little_gets_what_the_first_streams_wait_with(server, make):
    """All waiting calls resume at once, and each has a message that is one frame."""
    started = await server(make(), "mem:h2", max_unsent_bytes=LIMIT, drain_timeout=0)
    async with dialled("mem:h2") as client:
        client.writer.transport.pause_reading()
        Greedy(client).ask(STREAMS)
        await settled()
        for _ in range(3):
            before = started.metrics.total("bytes_sent_total")
            client.writer.transport.resume_reading()
            await client.reader.readexactly(290_000)
            client.writer.transport.pause_reading()
            await settled()
            sent = started.metrics.total("bytes_sent_total") - before
            assert 0 < sent < UNDERWAY
        assert started.metrics.total("connections_closed_total") == 0


@pytest.mark.parametrize("make", GUESTS.values(), ids=GUESTS)
async def test_unread_answers_to_pings_are_bounded(server, make):
    started = await server(make(), "mem:h2", max_unsent_bytes=LIMIT, drain_timeout=0)
    async with dialled("mem:h2") as client:
        client.writer.transport.pause_reading()
        greedy = Greedy(client)
        greedy.ask(1)
        for _ in range(300):
            for _ in range(100):
                greedy.connection.ping(bytes(8))
            greedy.send()
            await settled()
        assert started.metrics.total("bytes_sent_total") < UNDERWAY


# -- windows that stay closed, in hypercorn ------------------------------------------------------


def slow_asgi(written, heard=None):
    """Send far more than a window; record what was let through, and the final event."""

    async def app(scope, receive, send):
        assert scope["type"] == "http", "no lifespan"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": bytes(10_000), "more_body": True})
            written.append(10_000)
        while (event := await receive())["type"] == "http.request":
            pass
        heard.append(event["type"])

    return hypercorn.serve(app)


def one_large_body(written, heard=None):
    async def app(scope, receive, send):
        assert scope["type"] == "http", "no lifespan"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(1_000_000)})
        written.append(1)

    return hypercorn.serve(app)


async def test_an_application_waits_for_the_window_of_its_stream(server):
    written = []
    await server(slow_asgi(written), "mem:h2", drain_timeout=0)
    async with dialled("mem:h2") as client:
        Http2(client).get("/")
        await settled()
        assert 65_536 <= sum(written) < 200_000


@pytest.mark.parametrize("make", [slow_asgi, one_large_body])
@pytest.mark.parametrize("ask", [lambda client: Http2(client).get("/"), lambda c: Greedy(c).ask(1)])
@pytest.mark.parametrize("leave", ["abort", "write_eof"])
async def test_a_client_that_leaves_a_stream_waiting_leaves_nothing_behind(
    server, make, ask, leave, caplog
):
    written, heard = [], []
    started = await server(make(written, heard), "mem:h2", drain_timeout=0)
    async with dialled("mem:h2") as client:
        client.writer.transport.pause_reading()
        ask(client)
        await settled()
        getattr(client.writer.transport, leave)()
        if leave == "write_eof":
            await client.rest()
        await settled()
        assert started.metrics.total("connections_open") == 0
    assert heard == (["http.disconnect"] if make is slow_asgi else [])
    assert not caplog.records


async def test_streams_that_wait_for_their_windows_alone_are_idle(server, clock):
    started = await server(slow_asgi([], []), "mem:h2", idle_timeout=5, drain_timeout=0)
    async with dialled("mem:h2") as client:
        Http2(client).get("/")
        await clock.advance(4)
        assert started.metrics.total("connections_open") == 1
        await clock.advance(3)
        assert started.metrics.total("connections_closed_total", reason="idle") == 1
        assert started.metrics.total("connections_open") == 0


async def test_a_stream_whose_application_works_is_not_idle(server, clock):
    done = asyncio.Event()

    async def app(scope, receive, send):
        assert scope["type"] == "http", "no lifespan"
        await done.wait()
        await reply(send, b"done")

    await server(hypercorn.serve(app), "mem:h2", idle_timeout=5)
    async with dialled("mem:h2") as client:
        http2 = Http2(client)
        stream = http2.get("/")
        await clock.advance(20)
        done.set()
        assert await http2.body(stream) == b"done"


# -- bodies that nobody reads, in hypercorn ------------------------------------------------------


def by_http_1(client):
    client.send(b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
    return lambda: client.send(b"1\r\nx\r\n")


def by_http_2(client):
    http2 = Http2(client)
    stream = http2.post("/")

    def send():
        http2.connection.send_data(stream, b"x")
        client.send(http2.connection.data_to_send())

    return send


@pytest.mark.parametrize("post", [by_http_1, by_http_2])
@pytest.mark.parametrize("pieces", [0, 1, 30])
async def test_an_application_that_answers_before_it_has_read_a_body_is_through(
    server, post, pieces
):
    may_answer = asyncio.Event()

    async def app(scope, receive, send):
        assert scope["type"] == "http", "no lifespan"
        for _ in range(pieces):
            await receive()
        await may_answer.wait()
        await reply(send, b"not taken", 413)

    started = await server(hypercorn.serve(app), "mem:web", drain_timeout=0)
    async with dialled("mem:web") as client:
        send_piece = post(client)
        for _ in range(60):
            send_piece()
            await settled()
        may_answer.set()
        await settled()
        client.writer.transport.abort()
        await settled()
        assert started.metrics.total("connections_open") == 0
    assert not started.lost


async def test_what_had_arrived_before_a_client_left_can_still_be_read(server):
    read = []
    may_read = asyncio.Event()

    async def app(scope, receive, send):
        assert scope["type"] == "http", "no lifespan"
        await may_read.wait()
        while (event := await receive())["type"] == "http.request":
            read.append(event["body"])

    await server(hypercorn.serve(app), "mem:web")
    async with dialled("mem:web") as client:
        send_piece = by_http_1(client)
        for _ in range(60):
            send_piece()
            await settled()
        client.writer.transport.write_eof()
        await settled()
        may_read.set()
        await settled()
        assert b"".join(read) == b"x" * 60
