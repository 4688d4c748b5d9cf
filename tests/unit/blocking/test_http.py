"""The blocking HTTP client against a real server of ours, in another thread's loop."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pierhead import blocking
from pierhead.blocking import http as web
from pierhead.errors import ConnectError, UsageError
from pierhead.protocols import http


async def answer(request, context):
    if request.raw_path == "/parts":
        return http.Response(200, parts())
    if request.raw_path == "/json":
        return http.Response(200, await request.body.read(1000), content_type="application/json")
    content = await request.body.read(1000)
    return f"{request.method} {request.target} {content.decode()}"


async def parts():
    for part in (b"a", b"b" * 100_000, b"c"):
        yield part


@pytest.fixture
def client(tmp_path):
    with blocking.serve(http.serve(answer), f"unix:{tmp_path}/web.sock"):
        with web.Client(f"unix:{tmp_path}/web.sock") as client:
            yield client


def test_every_method_is_sent_and_its_response_read(client):
    for method in ("get", "post", "put", "patch", "delete"):
        response = getattr(client, method)("/a", query={"b": "c"})
        assert (response.status, response.text()) == (200, f"{method.upper()} /a?b=c ")
    assert client.head("/a").read() == b""


def test_values_go_both_ways(client):
    assert client.post("/json", json={"n": 1}).json(dict[str, int]) == {"n": 1}
    assert client.post("/", body=iter([b"x", b"y"])).text() == "POST / xy"


def test_content_is_read_in_pieces(client):
    response = client.get("/parts")
    assert response.fields["transfer-encoding"] == "chunked"
    assert b"".join(response) == b"a" + b"b" * 100_000 + b"c"
    with client.get("/parts"):
        pass  # the rest is given up
    assert client.get("/").text() == "GET / "


def test_many_threads_ask_at_once(client):
    with ThreadPoolExecutor(8) as threads:
        texts = list(threads.map(lambda n: client.get(f"/{n}").text(), range(50)))
    assert texts == [f"GET /{n} " for n in range(50)]


def test_errors_are_those_of_the_async_client(tmp_path):
    with web.Client(f"unix:{tmp_path}/none.sock") as client, pytest.raises(ConnectError):
        client.get()
    with pytest.raises(UsageError, match="base address"):
        web.Client("http://")
