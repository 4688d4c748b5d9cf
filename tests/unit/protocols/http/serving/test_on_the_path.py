"""What every protocol has, HTTP has unchanged: layers, limits, metrics, reload, TLS."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from peer import HOST, connect, exchange, get, post, read_replies  # type: ignore[import-not-found]

from pierhead import Server, stack
from pierhead.errors import PeerUnavailable
from pierhead.metrics import Metrics
from pierhead.middleware import access_log, limit, retry, timeout
from pierhead.protocols import http
from pierhead.protocols.http import Request, Response
from pierhead.service.admission import allow, per_source_rate
from pierhead.service.context import Context

A = "mem:a"


async def hello(request: Request, context: Context) -> str:
    return "hello"


async def slow(request: Request, context: Context) -> str:
    await asyncio.sleep(60)
    return "late"


async def test_a_layer_of_deadlines(server: Any) -> None:
    await server(http.serve(stack(slow, timeout(2))), A)
    (reply,) = await exchange(A, get(), "GET")
    assert reply.status == 503


async def test_a_layer_of_concurrent_requests(server: Any) -> None:
    await server(http.serve(stack(slow, limit(1, max_waiting=0))), A, request_timeout="off")
    replies = await exchange(A, get() + get(), "GET", "GET")
    assert [one.status for one in replies] == [200, 503]


async def test_a_layer_of_retries(server: Any) -> None:
    failures = [PeerUnavailable("tcp:b", "gone", is_retry_safe=True)]

    async def service(request: Request, context: Context) -> str:
        if failures:
            raise failures.pop()
        return "second"

    await server(http.serve(stack(service, retry(2))), A)
    (reply,) = await exchange(A, get(), "GET")
    assert reply.content == b"second"


async def test_a_layer_that_logs(server: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pierhead.access")
    await server(http.serve(stack(hello, access_log())), A)
    await exchange(A, get(), "GET")
    assert "via=mem:a outcome=answered replies=1" in caplog.text


async def test_filters_are_a_service(server: Any) -> None:
    site = (http.path("add") & http.get() & http.query("n", int)).map(lambda n: {"n": n + 1})
    await server(http.serve(site), A)
    first, second = await exchange(A, get(b"/add?n=2") + get(b"/no"), "GET", "GET")
    assert (first.status, first.content) == (200, b'{"n":3}')
    assert second.status == 404


async def test_every_request_is_counted_once(server: Any) -> None:
    metrics = Metrics()

    async def service(request: Request, context: Context) -> Response:
        if request.target == "/fail":
            raise RuntimeError("no")
        content = await request.body.read(3)
        return Response(200, content)

    await server(http.serve(service), A, metrics=metrics, on_error=lambda *_: None)
    octets = get() + get(b"/fail") + post(b"long") + post(b"abc") + b"junk\r\n\r\n"
    replies = await exchange(A, octets, "GET", "GET", "POST", "POST", "GET")
    assert [one.status for one in replies] == [200, 500, 413, 200, 400]

    def count(name: str, **labels: str) -> float:
        return metrics.counter(name, listener=A, **labels).value

    assert count("frames_received_total") == 4
    assert count("requests_answered_total") == 2
    assert count("requests_failed_total", reason="error") == 1
    assert count("dropped_total", reason="undecodable") == 1
    assert count("dropped_total", reason="framing") == 1
    assert count("connections_closed_total", reason="framing") == 1


async def test_a_dropped_request_closes_its_connection(server: Any) -> None:
    await server(http.serve(hello, admission=[per_source_rate(1, burst=1)]), A)
    (reply,) = await exchange(A, get() + get(), "GET")
    assert reply.status == 200


async def test_a_network_that_is_not_allowed_is_not_answered(server: Any) -> None:
    await server(http.serve(hello, admission=[allow("192.0.2.0/24")]), A)
    assert await (await connect(A)).all() == b""


async def test_limits_change_while_it_runs(server: Any) -> None:
    running = await server(http.serve(slow), A)
    peer = await connect(A)
    await asyncio.sleep(1)
    running.reconfigure(request_timeout=3)
    peer.send(get(fields=HOST + b"Connection: close\r\n"))
    (reply,) = await peer.replies("GET")
    assert reply.status == 503


async def test_another_service_takes_over_connections_that_are_open(server: Any) -> None:
    gate = asyncio.Event()

    async def before(request: Request, context: Context) -> str:
        await gate.wait()
        return "before"

    running = await server(http.serve(before), A)
    peer = await connect(A)
    peer.send(get())
    await asyncio.sleep(0.01)
    await running.replace(http.serve(hello), A)
    peer.send(get(fields=HOST + b"Connection: close\r\n"))
    gate.set()
    first, second = await peer.replies("GET", "GET")
    assert (first.content, second.content) == (b"before", b"hello")


async def test_a_request_that_is_lost_is_named(server: Any) -> None:
    running = await server(http.serve(slow), A, request_timeout="off", drain_timeout=2)
    peer = await connect(A)
    peer.send(get())
    await asyncio.sleep(0.01)
    await running.drain()
    assert [one.reason for one in running.lost] == ["drain"]
    assert await peer.all() == b""


async def test_a_peer_that_does_not_read_is_waited_for_and_then_cut_off(server: Any) -> None:
    sent = 0

    async def endless(request: Request, context: Context) -> Response:
        async def parts() -> Any:
            nonlocal sent
            while True:
                sent += 10_000
                yield b"x" * 10_000

        return Response(200, parts())

    running = await server(http.serve(endless), A, write_timeout=5)
    peer = await connect(A)
    peer.transport.pause_reading()
    peer.send(get())
    await asyncio.sleep(4)
    waits_at = sent
    assert waits_at < 1_000_000
    await asyncio.sleep(10)
    assert sent == waits_at
    assert [one.reason for one in running.lost] == ["write"]


async def test_a_download_may_take_longer_than_a_request(server: Any) -> None:
    async def service(request: Request, context: Context) -> Response:
        async def parts() -> Any:
            for _ in range(10):
                await asyncio.sleep(2)
                yield b"x"

        return Response(200, parts())

    await server(http.serve(service), A, request_timeout=5)
    (reply,) = await exchange(A, get(), "GET")
    assert reply.content == b"x" * 10


async def test_content_of_a_response_is_closed_when_its_peer_goes(server: Any) -> None:
    ended = asyncio.Event()

    async def service(request: Request, context: Context) -> Response:
        async def parts() -> Any:
            try:
                while True:
                    yield b"x"
                    await asyncio.sleep(1)
            finally:
                ended.set()

        return Response(200, parts())

    await server(http.serve(service), A)
    peer = await connect(A)
    peer.send(get())
    await peer.until(b"x")
    peer.transport.abort()
    await ended.wait()


async def test_a_connection_that_ends_leaves_its_service_an_error(server: Any) -> None:
    seen: list[BaseException] = []

    async def service(request: Request, context: Context) -> str:
        try:
            await request.body.read(100)
        except BaseException as error:
            seen.append(error)
            raise
        return "whole"

    await server(http.serve(service), A, on_error=lambda *_: None)
    peer = await connect(A)
    peer.send(get(fields=HOST + b"Content-Length: 3\r\n", method=b"POST") + b"a")
    await asyncio.sleep(0.01)
    peer.transport.abort()
    await asyncio.sleep(1)
    assert len(seen) == 1


async def test_a_flood_of_pipelined_requests_is_answered_in_order(server: Any) -> None:
    async def service(request: Request, context: Context) -> str:
        if request.target.endswith("7"):
            await asyncio.sleep(0)
        return request.target

    await server(http.serve(service), A, max_requests_per_connection=4)
    octets = b"".join(get(b"/%d" % n) for n in range(500))
    replies = await exchange(A, octets, *["GET"] * 500)
    assert [one.content for one in replies] == [b"/%d" % n for n in range(500)]


async def test_real_sockets_and_tls(tmp_path: Any) -> None:
    async with Server(http.serve(hello), "tcp:127.0.0.1:0", f"unix:{tmp_path}/s") as running:
        for address in running.addresses:
            (reply,) = await exchange(str(address), get(), "GET")
            assert reply.content == b"hello"


def test_an_endpoint_says_what_it_is() -> None:
    endpoint = http.serve(hello)
    assert (endpoint.name, endpoint.short_form, endpoint.alpn) == ("http", ("tcp",), ("http/1.1",))


def test_the_peer_of_these_tests_sees_what_is_missing() -> None:
    with pytest.raises(Exception, match=r"peer (unexpectedly )?closed"):
        read_replies(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na", "GET")
