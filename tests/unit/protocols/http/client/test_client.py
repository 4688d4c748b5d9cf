"""The HTTP client against servers that follow a script, octet by octet."""

from __future__ import annotations

import asyncio
import gc
import re

import pytest

from pierhead import hosting
from pierhead.errors import (
    ConnectError,
    ConnectionEnded,
    DecodeError,
    Overloaded,
    RequestTimedOut,
    UsageError,
)
from pierhead.protocols import http
from pierhead.protocols.http.wire.body import ContentTooLarge

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Scripted:
    """A server that answers each request with the next of its replies."""

    def __init__(self, *replies, closes=False):
        self.replies = list(replies)
        self.requests = []
        self.connections = 0
        self.closes = closes

    async def __call__(self, reader, writer):
        self.connections += 1
        while self.replies and (request := await read_request(reader)):
            self.requests.append(request)
            if (reply := self.replies.pop(0)) is None:
                break
            if callable(reply):
                await reply(reader, writer)
            else:
                writer.write(reply)
            if self.closes:
                break
        writer.close()


async def read_request(reader):
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    if found := re.search(rb"(?i)content-length: (\d+)", head):
        return head + await reader.readexactly(int(found[1]))
    if b"chunked" in head:
        return head + await reader.readuntil(b"0\r\n\r\n")
    return head


async def quiet(reader, writer):
    await reader.read()


@pytest.fixture
def scripted(network, server):
    async def start(*replies, **options):
        script = Scripted(*replies, **options)
        await server(hosting.streams.serve(script), "mem:web")
        return script

    return start


@pytest.mark.rfc("9112", "3.2")
async def test_a_request_has_a_host_and_its_content_a_length(scripted):
    script = await scripted(OK, OK)
    async with http.Client("mem:web", fields={"X-Of": "all"}) as client:
        response = await client.post("/a?b=c", query={"d": "e f"}, json={"n": 1})
        assert (response.status, await response.text()) == (200, "hi")
        await client.get("/", fields={"x-of": "one"})
    assert script.requests == [
        b"POST /a?b=c&d=e+f HTTP/1.1\r\nHost: localhost\r\nX-Of: all\r\n"
        b'Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"n":1}',
        b"GET / HTTP/1.1\r\nHost: localhost\r\nx-of: one\r\n\r\n",
    ]
    assert script.connections == 1


@pytest.mark.rfc("9112", "6.3")
@pytest.mark.parametrize(
    ("reply", "content"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc", None),
        (CHUNKED + b"2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n", b"abc"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            None,
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nabc", b"abc"),
        (b"HTTP/1.0 200 OK\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 204 No\r\n\r\n", b""),
        (b"HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\n" + OK, b"hi"),
        (b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", None),
        (b"HTTP/1.1 999 What\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n", None),
        (b"ICY 200 OK\r\n\r\n", None),
        (b"\0\1\2", None),
    ],
)
async def test_where_content_ends(scripted, reply, content):
    await scripted(reply, closes=True)
    async with http.Client("mem:web") as client:
        if content is None:
            with pytest.raises(DecodeError):
                await (await client.get()).read()
        else:
            assert await (await client.get()).read() == content


@pytest.mark.rfc("9112", "8")
@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
)
async def test_an_incomplete_response_is_told(scripted, reply):
    await scripted(reply, closes=True)
    async with http.Client("mem:web") as client:
        with pytest.raises(ConnectionEnded, match="before its response was complete"):
            await (await client.get()).read()


@pytest.mark.rfc("9110", "9.3.2")
async def test_a_response_to_head_has_a_length_and_no_content(scripted):
    script = await scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", OK)
    async with http.Client("mem:web") as client:
        response = await client.head()
        assert response.fields["content-length"] == "9"
        assert await response.read() == b""
        assert await (await client.get()).read() == b"hi"
    assert script.connections == 1


@pytest.mark.rfc("9112", "7.1.2")
async def test_trailers_follow_the_content(scripted):
    await scripted(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nSum: 7\r\n\r\n"
    )
    async with http.Client("mem:web") as client:
        response = await client.get()
        assert await response.read() == b"a"
        assert response.body.trailers == http.Fields({"sum": "7"})


@pytest.mark.rfc("9112", "7.1")
async def test_an_iterator_is_sent_in_chunks_or_by_its_length(scripted):
    script = await scripted(OK, OK)

    async def parts():
        for part in (b"ab", b"", b"c"):
            yield part

    async with http.Client("mem:web") as client:
        await (await client.put(body=parts())).read()
        await (await client.put(body=parts(), length=3)).read()
    assert script.requests[0].endswith(b"chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
    assert script.requests[1].endswith(b"Content-Length: 3\r\n\r\nabc")


@pytest.mark.parametrize("length", [2, 4])
async def test_an_iterator_of_another_length_is_the_callers_mistake(scripted, length):
    await scripted(quiet)

    async def parts():
        yield b"abc"

    async with http.Client("mem:web") as client:
        with pytest.raises(UsageError, match=f"expected length={length}"):
            await client.put(body=parts(), length=length)


@pytest.mark.rfc("9110", "10.1.1")
async def test_content_waits_until_it_is_asked_for(network, server):
    async def refuse(reader, writer):
        writer.write(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
        assert await reader.read() == b""

    async def proceed(reader, writer):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await reader.readexactly(3) == b"abc"
        writer.write(OK)

    steps = [refuse, proceed]

    async def connection(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await steps.pop(0)(reader, writer)
        writer.close()

    await server(hosting.streams.serve(connection), "mem:web")
    async with http.Client("mem:web", fields={"Expect": "100-continue"}) as client:
        assert (await client.post(body=b"abc")).status == 417
        assert await (await client.post(body=b"abc")).read() == b"hi"


@pytest.mark.rfc("9110", "9.2.2")
@pytest.mark.parametrize(("method", "is_repeated"), [("GET", True), ("POST", False)])
async def test_a_connection_that_has_closed_meanwhile(scripted, method, is_repeated):
    script = await scripted(OK, None, OK)
    async with http.Client("mem:web") as client:
        await (await client.get()).read()
        if is_repeated:
            assert await (await client.request(method)).read() == b"hi"
        else:
            with pytest.raises(ConnectionEnded):
                await client.request(method)
    assert script.connections == 1 + is_repeated


async def test_a_first_request_is_not_repeated(scripted):
    script = await scripted(None, OK)
    async with http.Client("mem:web") as client:
        with pytest.raises(ConnectionEnded):
            await client.get()
    assert script.connections == 1


async def test_octets_after_a_response_are_never_the_next_one(scripted):
    await scripted(OK + OK, OK)
    async with http.Client("mem:web") as client:
        assert await (await client.get()).read() == b"hi"
        await asyncio.sleep(0.01)
        assert client.addresses == ()


async def test_a_slow_server_times_out(scripted, clock):
    await scripted(quiet)
    async with http.Client("mem:web") as client:
        with pytest.raises(RequestTimedOut, match="no response in time"):
            await client.get(timeout=3)
    assert client.metrics.total("requests_failed_total", reason="timeout") == 1


async def test_content_that_stops_is_told(scripted, clock):
    async def stall(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na")
        await reader.read()

    await scripted(stall)
    async with http.Client("mem:web") as client:
        response = await client.get()
        with pytest.raises(ConnectionEnded, match="message_timeout"):
            await response.read()


async def test_content_nobody_reads_is_not_received(scripted, clock):
    async def much(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
        sent = 0
        while sent < 10_000_000:
            writer.write(bytes(100_000))
            await writer.drain()
            sent += 100_000

    await scripted(much, much)
    async with http.Client("mem:web", max_unread_bytes=50_000, unread_timeout=5) as client:
        response = await client.get()
        assert client.metrics.total("bytes_received_total") < 2_000_000
        size = 0
        async for part in response.body:
            size += len(part)
        assert size == 10_000_000
        response = await client.get()
        await asyncio.sleep(6)
        with pytest.raises(ConnectionEnded, match="unread_timeout"):
            await response.read()


async def test_content_is_read_whole_up_to_a_limit(scripted):
    await scripted(OK)
    async with http.Client("mem:web", max_content_bytes=1) as client:
        with pytest.raises(ContentTooLarge):
            await (await client.get()).read()


@pytest.mark.parametrize("fields", [b"A: " + b"x" * 2000, b"A: b\r\n" * 400], ids=["long", "many"])
async def test_fields_are_bounded(scripted, fields):
    await scripted(b"HTTP/1.1 200 OK\r\n" + fields)
    async with http.Client("mem:web", max_head_bytes=1024) as client:
        with pytest.raises(DecodeError, match="raise max_head_bytes"):
            await client.get()


async def test_requests_wait_for_a_connection_and_for_no_more_than_their_number(scripted):
    gate = asyncio.Event()

    async def held(reader, writer):
        await gate.wait()
        writer.write(OK)

    script = await scripted(held, OK)
    async with http.Client("mem:web", max_connections=1, max_waiting_requests=1) as client:
        async with asyncio.TaskGroup() as tasks:
            first, second = (tasks.create_task(client.get()) for _ in range(2))
            await asyncio.sleep(0.01)
            with pytest.raises(Overloaded, match="max_waiting_requests"):
                await client.get()
            gate.set()
        assert [await one.result().text() for one in (first, second)] == ["hi", "hi"]
    assert script.connections == 1


async def test_a_cancelled_request_leaves_no_reply_to_the_next(scripted):
    late = asyncio.Event()

    async def slow(reader, writer):
        await late.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")

    script = await scripted(slow, OK)
    async with http.Client("mem:web", max_connections=1) as client:
        task = asyncio.create_task(client.get())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        late.set()
        assert await (await client.get()).text() == "hi"
    assert script.connections == 2


async def test_idle_connections_close(scripted, clock):
    await scripted(OK)
    async with http.Client("mem:web", idle_timeout=5) as client:
        await (await client.get()).read()
        assert len(client.addresses) == 1
        await asyncio.sleep(6)
        assert client.addresses == ()


async def test_an_early_answer_ends_the_upload(network, server):
    async def refuse(reader, writer):
        writer.write(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    async def endless():
        while True:
            yield bytes(1000)
            await asyncio.sleep(0.001)

    async def connection(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await refuse(reader, writer)

    await server(hosting.streams.serve(connection), "mem:web")
    async with http.Client("mem:web") as client:
        assert (await client.put(body=endless())).status == 413


@pytest.mark.parametrize("charset", ["undefined", "nonsense", "base64", "utf-16"])
async def test_content_that_is_no_text_in_its_charset(scripted, charset):
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset={charset}\r\n"
    await scripted(head.encode() + b"Content-Length: 1\r\n\r\na")
    async with http.Client("mem:web") as client:
        with pytest.raises(DecodeError, match="not text in"):
            await (await client.get()).text()


async def test_a_request_that_is_given_up_leaves_no_error_behind(scripted, clock, caplog):
    await scripted(quiet)
    async with http.Client("mem:web", write_timeout=60) as client:
        with pytest.raises(RequestTimedOut):
            await client.post(body=bytes(10_000_000), timeout=2)
        await asyncio.sleep(1)
    gc.collect()
    assert caplog.records == []


async def test_nobody_listens(network):
    async with http.Client("mem:nobody") as client:
        with pytest.raises(ConnectError):
            await client.get()


async def test_a_closed_client_says_so(scripted):
    await scripted(OK)
    client = http.Client("mem:web")
    await client.close()
    with pytest.raises(ConnectionEnded, match="the client is closed"):
        await client.get()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "a"}, "expected '/'"),
        ({"path": "/a b"}, "expected '/'"),
        ({"path": "/\r\nX: y"}, "expected '/'"),
        ({"path": "/#x"}, "expected '/'"),
        ({"query": {"a": "\ud800"}}, "is not text"),
        ({"json": 1, "body": b""}, "either json or a body"),
        ({"body": 7}, "expected bytes"),
        ({"fields": {"Content-Length": "3"}}, "set by the client"),
        ({"fields": {"X": "a\r\nb: c"}}, "control characters"),
    ],
)
async def test_a_malformed_request_is_not_sent(network, options, message):
    async with http.Client("mem:nobody") as client:
        with pytest.raises(UsageError, match=re.escape(message)):
            await client.post(**options)
        with pytest.raises(UsageError, match="expected a token"):
            await client.request("G T")
