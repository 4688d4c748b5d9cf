"""Requests and responses on a connection of HTTP/1.1, in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from peer import HOST, connect, exchange, get, post, read_replies  # type: ignore[import-not-found]

from pierhead.errors import UsageError
from pierhead.protocols import http
from pierhead.protocols.http import Request, Response
from pierhead.service.context import Context

A = "mem:a"


async def echo(request: Request, context: Context) -> Response | str | bytes:
    content = await request.body.read(1_000_000)
    return f"{request.method} {request.target} {len(content)}"


async def test_text_and_octets_are_a_response(server: Any) -> None:
    async def text(request: Request, context: Context) -> str | bytes:
        return "é" if request.target == "/text" else b"\xff"

    await server(http.serve(text), A)
    first, second = await exchange(A, get(b"/text") + get(b"/octets"), "GET", "GET")
    assert (first.status, first.content) == (200, "é".encode())
    assert first.fields["content-type"] == "text/plain; charset=utf-8"
    assert second.content == b"\xff"
    assert second.fields["content-length"] == "1"


@pytest.mark.rfc("9110", "6.6.1")
async def test_a_response_has_the_date_of_the_clock(server: Any, clock: Any) -> None:
    clock.set_wall(784111777)
    await server(http.serve(echo), A)
    (reply,) = await exchange(A, get(), "GET")
    assert reply.fields["date"] == "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.rfc("9112", "9.3.2")
async def test_pipelined_requests_run_in_parallel_and_are_answered_in_order(server: Any) -> None:
    gate = asyncio.Event()

    async def service(request: Request, context: Context) -> str:
        if request.target == "/second":
            gate.set()
        await gate.wait()
        return request.target

    await server(http.serve(service), A)
    replies = await exchange(A, get(b"/first") + get(b"/second"), "GET", "GET")
    assert [one.content for one in replies] == [b"/first", b"/second"]


@pytest.mark.rfc("9112", "9.6")
async def test_a_connection_closes_when_a_request_says_so(server: Any) -> None:
    await server(http.serve(echo), A)
    peer = await connect(A)
    peer.send(get() + get(b"/last", HOST + b"Connection: close\r\n") + get(b"/never"))
    replies = await peer.replies("GET", "GET")
    assert "connection" not in replies[0].fields
    assert replies[1].fields["connection"] == "close"


@pytest.mark.rfc("9112", "9.3")
async def test_http_1_0_closes_unless_it_asks(server: Any) -> None:
    await server(http.serve(echo), A)
    peer = await connect(A)
    peer.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n")
    first, second = await peer.replies("GET", "GET")
    assert first.fields["connection"] == "keep-alive"
    assert second.fields["connection"] == "close"


@pytest.mark.rfc("9110", "9.3.2")
async def test_head_has_the_fields_and_no_content(server: Any) -> None:
    async def service(request: Request, context: Context) -> Response:
        return Response(200, b"content", [("X", "y")])

    await server(http.serve(service), A)
    (reply,) = await exchange(A, get(method=b"HEAD"), "HEAD")
    assert (reply.content, reply.fields["content-length"], reply.fields["x"]) == (b"", "7", "y")


@pytest.mark.rfc("9110", "15.3.5")
@pytest.mark.parametrize("status", [204, 304])
async def test_some_responses_have_no_content(server: Any, status: int) -> None:
    async def service(request: Request, context: Context) -> Response:
        return Response(status, b"dropped")

    await server(http.serve(service), A)
    replies = await exchange(A, get() + get(), "GET", "GET")
    assert [(one.status, one.content) for one in replies] == [(status, b"")] * 2


async def parts(*given: bytes) -> AsyncIterator[bytes]:
    for part in given:
        await asyncio.sleep(0)
        yield part


@pytest.mark.rfc("9112", "7.1")
async def test_content_that_comes_in_parts_is_chunked(server: Any) -> None:
    async def service(request: Request, context: Context) -> Response:
        return Response(200, parts(b"a", b"", b"bc"))

    await server(http.serve(service), A)
    replies = await exchange(A, get() + get(method=b"HEAD") + get(), "GET", "HEAD", "GET")
    assert [one.content for one in replies] == [b"abc", b"", b"abc"]
    assert replies[0].fields["transfer-encoding"] == "chunked"


async def test_content_in_parts_with_a_length_is_not_chunked(server: Any) -> None:
    async def service(request: Request, context: Context) -> Response:
        return Response(200, parts(b"a", b"bc"), length=3)

    await server(http.serve(service), A)
    (reply,) = await exchange(A, get(), "GET")
    assert (reply.content, reply.fields["content-length"]) == (b"abc", "3")


@pytest.mark.rfc("9112", "6.3")
async def test_http_1_0_gets_content_without_length_until_the_end(server: Any) -> None:
    async def service(request: Request, context: Context) -> Response:
        return Response(200, parts(b"a", b"bc"))

    await server(http.serve(service), A)
    peer = await connect(A)
    peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    (reply,) = await peer.replies("GET")
    assert (reply.content, reply.fields["connection"]) == (b"abc", "close")
    assert "transfer-encoding" not in reply.fields


class WithTrailers:
    """Content with a trailer field."""

    trailers = http.Fields([("Digest", "x")])

    def __init__(self) -> None:
        self._left = [b"a"]

    def __aiter__(self) -> WithTrailers:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


@pytest.mark.rfc("9110", "6.5.1")
async def test_trailers_go_to_those_who_want_them(server: Any) -> None:
    async def service(request: Request, context: Context) -> Response:
        return Response(200, WithTrailers())

    await server(http.serve(service), A)
    octets = get() + get(fields=HOST + b"TE: trailers\r\n")
    first, second = await exchange(A, octets, "GET", "GET")
    assert (first.trailers, second.trailers) == ({}, {"digest": "x"})


@pytest.mark.parametrize("end", ["raises", "is short", "is long"])
async def test_a_response_that_fails_half_way_is_cut_off(server: Any, end: str) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"abcd" if end == "is long" else b"a"
        if end == "raises":
            raise RuntimeError("no")

    async def service(request: Request, context: Context) -> Response:
        return Response(200, failing(), length=None if end == "raises" else 3)

    await server(http.serve(service), A, on_error=lambda *_: None)
    peer = await connect(A)
    peer.send(get() + get())
    received = await peer.all()
    assert received.count(b"HTTP/1.1") == 1
    assert not received.endswith(b"0\r\n\r\n")


async def test_a_request_with_content_that_arrives_later(server: Any) -> None:
    await server(http.serve(echo), A)
    peer = await connect(A)
    peer.send(get(fields=HOST + b"Content-Length: 10\r\n", method=b"POST"))
    await asyncio.sleep(0.01)
    peer.send(b"01234")
    await asyncio.sleep(0.01)
    peer.send(b"56789" + get(b"/next", HOST + b"Connection: close\r\n"))
    first, second = await peer.replies("POST", "GET")
    assert (first.content, second.content) == (b"POST / 10", b"GET /next 0")


@pytest.mark.rfc("9112", "7.1.2")
async def test_chunks_and_trailers_reach_the_service(server: Any) -> None:
    async def service(request: Request, context: Context) -> str:
        content = await request.body.read(100)
        return f"{content!r} {dict(request.body.trailers)}"

    await server(http.serve(service), A)
    octets = get(fields=HOST + b"Transfer-Encoding: chunked\r\n", method=b"POST")
    octets += b"3\r\nabc\r\n1\r\nd\r\n0\r\nDigest: x\r\n\r\n"
    (reply,) = await exchange(A, octets, "POST")
    assert reply.content == b"b'abcd' {'Digest': 'x'}"


@pytest.mark.rfc("9110", "10.1.1")
async def test_the_peer_is_told_to_continue_when_the_content_is_first_read(server: Any) -> None:
    gate = asyncio.Event()

    async def service(request: Request, context: Context) -> str:
        await gate.wait()
        return str(len(await request.body.read(10)))

    await server(http.serve(service), A)
    peer = await connect(A)
    fields = HOST + b"Content-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n"
    peer.send(get(fields=fields, method=b"POST"))
    await asyncio.sleep(0.01)
    assert peer.received == b""
    gate.set()
    assert await peer.until(b"100 Continue\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.send(b"abc")
    (reply,) = await peer.replies("POST")
    assert reply.content == b"3"


@pytest.mark.rfc("9110", "10.1.1")
async def test_a_peer_that_is_not_told_to_continue_gets_the_response_and_the_end(
    server: Any,
) -> None:
    async def service(request: Request, context: Context) -> Response:
        return Response(403)

    await server(http.serve(service), A)
    peer = await connect(A)
    peer.send(get(fields=HOST + b"Content-Length: 3\r\nExpect: 100-continue\r\n", method=b"POST"))
    (reply,) = await peer.replies("POST")
    assert (reply.status, reply.fields["connection"]) == (403, "close")


async def test_content_that_nobody_reads_is_not_received(server: Any) -> None:
    gate = asyncio.Event()

    async def service(request: Request, context: Context) -> str:
        await gate.wait()
        return str(len(await request.body.read(10_000_000)))

    endpoint = http.serve(service, max_body_bytes="off")
    metrics = (await server(endpoint, A, read_size_bytes=1024)).metrics
    peer = await connect(A)
    peer.send(post(b"x" * 1_000_000))
    peer.end()
    await asyncio.sleep(0.01)
    received = metrics.counter("bytes_received_total", listener=A)
    assert received.value <= 2 * 1024
    gate.set()
    (reply,) = await peer.replies("POST")
    assert reply.content == b"1000000"


async def test_short_content_that_nobody_reads_is_dropped_and_the_connection_goes_on(
    server: Any,
) -> None:
    async def service(request: Request, context: Context) -> str:
        return request.target

    await server(http.serve(service), A, read_size_bytes=512)
    octets = post(b"x" * 5000, path=b"/first") + get(b"/second")
    first, second = await exchange(A, octets, "POST", "GET")
    assert (first.content, second.content) == (b"/first", b"/second")


async def test_long_content_that_nobody_reads_closes_the_connection(server: Any) -> None:
    async def service(request: Request, context: Context) -> str:
        return request.target

    await server(http.serve(service), A, read_size_bytes=512)
    peer = await connect(A)
    peer.send(get(fields=HOST + b"Content-Length: 500000\r\n", method=b"POST"))
    (reply,) = await peer.replies("POST")
    assert reply.fields["connection"] == "close"


@pytest.mark.rfc("9110", "15.5.1")
async def test_a_malformed_request_is_refused_after_the_responses_still_due(server: Any) -> None:
    async def service(request: Request, context: Context) -> str:
        await asyncio.sleep(1)
        return "late"

    await server(http.serve(service), A)
    peer = await connect(A)
    peer.send(get() + b"GET / HTTP/1.1\r\nHost : a\r\n\r\n" + get(b"/smuggled"))
    first, second = await peer.replies("GET", "GET")
    assert first.content == b"late"
    assert (second.status, second.fields["connection"]) == (400, "close")
    assert "no field line" in json.loads(second.content)["detail"]


async def test_a_service_that_raises_is_500_and_says_nothing_of_it(server: Any) -> None:
    async def service(request: Request, context: Context) -> str:
        raise RuntimeError("secret")

    await server(http.serve(service), A, on_error=lambda *_: None)
    first, second = await exchange(A, get() + get(), "GET", "GET")
    assert (first.status, second.status) == (500, 500)
    assert b"secret" not in first.content


async def test_a_wrong_answer_of_a_service_is_500(server: Any) -> None:
    async def service(request: Request, context: Context) -> Any:
        return {"/none": None, "/many": parts(b"a"), "/number": 3}.get(
            request.target, Response(200, b"", [("Transfer-Encoding", "gzip")])
        )

    await server(http.serve(service), A, on_error=lambda *_: None)
    octets = get(b"/none") + get(b"/many") + get(b"/number") + get(b"/coding")
    replies = await exchange(A, octets, *["GET"] * 4)
    assert [one.status for one in replies] == [500] * 4


async def test_content_longer_than_the_service_wants_is_413(server: Any) -> None:
    async def service(request: Request, context: Context) -> str:
        return str(len(await request.body.read(3)))

    await server(http.serve(service), A)
    first, second = await exchange(A, post(b"abcd") + post(b"abc"), "POST", "POST")
    assert (first.status, second.status) == (413, 200)


async def test_a_request_past_its_deadline_is_503(server: Any, clock: Any) -> None:
    async def service(request: Request, context: Context) -> str:
        await asyncio.sleep(100)
        return "late"

    await server(http.serve(service), A, request_timeout=5)
    (reply,) = await exchange(A, get(), "GET")
    assert reply.status == 503
    assert clock.monotonic() < 1050


@pytest.mark.rfc("9110", "15.5.9")
async def test_a_slow_head_is_408(server: Any) -> None:
    await server(http.serve(echo), A)
    peer = await connect(A)
    peer.send(b"GET / HT")
    (reply,) = await peer.replies("GET")
    assert (reply.status, reply.fields["connection"]) == (408, "close")


async def test_an_idle_connection_is_closed_without_a_word(server: Any) -> None:
    await server(http.serve(echo), A, idle_timeout=3)
    peer = await connect(A)
    peer.send(get())
    (reply,) = await peer.replies("GET")
    assert reply.status == 200


@pytest.mark.rfc("9110", "15.5.9")
async def test_slow_content_is_408(server: Any, clock: Any) -> None:
    await server(http.serve(echo, body_timeout=20, min_body_rate=500), A)
    peer = await connect(A)
    peer.send(get(fields=HOST + b"Content-Length: 100000\r\n", method=b"POST"))
    begun = clock.monotonic()
    while not peer.has_ended:
        peer.send(b"x" * 100)
        await asyncio.sleep(1)
    (reply,) = await peer.replies("POST")
    assert reply.status == 408
    assert 20 <= clock.monotonic() - begun <= 30


async def test_content_that_is_slow_because_of_its_service_is_not_late(server: Any) -> None:
    async def service(request: Request, context: Context) -> str:
        size = 0
        async for part in request.body:
            await asyncio.sleep(2)
            size += len(part)
        return str(size)

    endpoint = http.serve(service, body_timeout=1)
    await server(endpoint, A, read_size_bytes=512, request_timeout="off")
    (reply,) = await exchange(A, post(b"x" * 10_000), "POST")
    assert reply.content == b"10000"


async def test_content_that_ends_early_is_400(server: Any) -> None:
    await server(http.serve(echo), A)
    octets = get(fields=HOST + b"Content-Length: 10\r\n", method=b"POST") + b"abc"
    (reply,) = await exchange(A, octets, "POST")
    assert reply.status == 400


async def test_a_service_may_close_the_connection(server: Any) -> None:
    async def service(request: Request, context: Context) -> Response | str:
        if request.target == "/field":
            return Response(200, b"", [("Connection", "close")])
        assert context.connection is not None
        context.connection.close_after_reply()
        return "bye"

    await server(http.serve(service), A)
    for path in (b"/field", b"/command"):
        peer = await connect(A)
        peer.send(get(path))
        (reply,) = await peer.replies("GET")
        assert reply.fields["connection"] == "close"


async def test_a_drain_answers_what_has_begun_and_says_so(server: Any) -> None:
    gate = asyncio.Event()

    async def service(request: Request, context: Context) -> str:
        await gate.wait()
        return str(len(await request.body.read(10)))

    running = await server(http.serve(service), A)
    idle, busy = await connect(A), await connect(A)
    busy.send(get(fields=HOST + b"Content-Length: 3\r\n", method=b"POST"))
    await asyncio.sleep(0.01)
    drained = asyncio.ensure_future(running.drain())
    assert await idle.all() == b""
    gate.set()
    await asyncio.sleep(0.01)
    busy.send(b"abc")
    (reply,) = await busy.replies("POST")
    assert (reply.content, reply.fields["connection"]) == (b"3", "close")
    await drained
    assert not list(running.lost)


@pytest.mark.rfc("9112", "9.6")
async def test_a_drain_begins_no_more_of_the_requests_that_wait(server: Any) -> None:
    gate = asyncio.Event()
    begun = []

    async def service(request: Request, context: Context) -> str:
        begun.append(request.target)
        await gate.wait()
        return request.target

    running = await server(http.serve(service), A, max_requests_per_connection=2)
    peer = await connect(A)
    peer.send(get(b"/a") + get(b"/b") + get(b"/c") + get(b"/d"))
    await asyncio.sleep(0.01)
    drained = asyncio.ensure_future(running.drain())
    await asyncio.sleep(0.01)
    gate.set()
    replies = await peer.replies("GET", "GET")
    await drained
    assert begun == ["/a", "/b"]
    assert [one.content for one in replies] == [b"/a", b"/b"]
    assert [one.fields.get("connection") for one in replies] == [None, "close"]
    assert not list(running.lost)


async def test_a_drain_tells_a_peer_whose_requests_wait_for_their_turn(server: Any) -> None:
    """More than one loop iteration takes, which are answered at once: no response is due."""
    begun, draining = [], []

    async def service(request: Request, context: Context) -> str:
        begun.append(request.target)
        if len(begun) == 10:
            draining.append(asyncio.ensure_future(running.drain()))
        return request.target

    running = await server(http.serve(service), A)
    peer = await connect(A)
    peer.send(b"".join(get(b"/%d" % n) for n in range(1000)))
    octets = await peer.all()
    replies = read_replies(octets, *["GET"] * len(begun))
    assert len(replies) < 500
    assert [n for n, one in enumerate(replies) if "connection" in one.fields] == [len(begun) - 1]
    await draining[0]
    assert not list(running.lost)


async def test_the_request_says_how_it_came(server: Any) -> None:
    async def service(request: Request, context: Context) -> str:
        return f"{request.scheme} {request.authority} {request.version} {context.via.scheme}"

    await server(http.serve(service), A)
    (reply,) = await exchange(A, get(), "GET")
    assert reply.content == b"http a 1.1 mem"


def test_mistakes_of_a_program_fail_at_once() -> None:
    with pytest.raises(UsageError, match="plain function"):
        http.serve(lambda request, context: "x")  # type: ignore[arg-type,return-value]
    with pytest.raises(UsageError, match="max_head_bytes is 1 bytes"):
        http.serve(echo, max_head_bytes=1)
