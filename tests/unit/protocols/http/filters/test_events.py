import asyncio

import pytest

from pierhead.errors import UsageError
from pierhead.protocols import http


@pytest.mark.parametrize(
    ("event", "octets"),
    [
        (http.Event("a"), b"data: a\n\n"),
        (http.Event(""), b"data: \n\n"),
        (http.Event("a\nb\r\nc\rd"), b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
        (
            http.Event("é", event="x", id="1", retry_ms=5),
            "event: x\nid: 1\nretry: 5\ndata: é\n\n".encode(),
        ),
    ],
)
def test_events_as_they_are_sent(event, octets):
    assert event.encode() == octets


@pytest.mark.parametrize("wrong", [{"event": "a\nb"}, {"id": "a\r"}, {"id": "\0"}])
def test_a_name_cannot_smuggle_a_line(wrong):
    with pytest.raises(UsageError, match="expected one line"):
        http.Event("a", **wrong)


async def test_events_are_sent_as_they_come_and_silence_is_filled():
    go_on = asyncio.Event()

    async def source():
        yield "one"
        await go_on.wait()
        yield http.Event("two")

    response = http.events(source(), keep_alive=0.01)
    assert response.fields["content-type"] == "text/event-stream"
    assert response.fields["cache-control"] == "no-store"
    read = []
    async for part in response.body:
        read.append(part)
        if part == b":\n\n":
            go_on.set()
    assert read[0] == b"data: one\n\n"
    assert read[1] == b":\n\n"
    assert read[-1] == b"data: two\n\n"


async def test_the_source_is_closed_when_the_client_is_gone():
    closed = []

    async def source():
        try:
            yield "one"
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    response = http.events(source())
    reading = aiter(response.body._content)
    assert await anext(reading) == b"data: one\n\n"
    waiting = asyncio.ensure_future(anext(reading))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert closed == [True]


async def test_an_error_of_the_source_ends_the_stream():
    async def source():
        yield "one"
        raise RuntimeError("gone")

    reading = aiter(http.events(source()).body)
    assert await anext(reading) == b"data: one\n\n"
    with pytest.raises(RuntimeError, match="gone"):
        await anext(reading)
