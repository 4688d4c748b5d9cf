"""An incomplete user-supplied part is refused at once, with its name and what it lacks."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from pierhead import ById, Lines, Server, WireFormat, coded, serve
from pierhead.client.dial import dial_datagram
from pierhead.codec.octets import Octets
from pierhead.errors import UsageError
from pierhead.protocols import lines
from pierhead.server.framed import framed
from pierhead.service.context import Transport


async def echo(request: bytes, context: Any) -> bytes:
    return request


class NoEncode:
    def decode(self, frame: bytes) -> bytes:
        return frame


class NoDecode:
    def encode(self, reply: bytes) -> bytes:
        return reply


class NoFrame:
    def new(self) -> object:
        return Lines().new()


class NoFramer:
    def new(self) -> object:
        return SimpleNamespace(feed=print, frames=print)

    def frame(self, payload: bytes) -> bytes:
        return payload


class NoBuffered(NoFramer):
    def new(self) -> object:
        return SimpleNamespace(feed=print, frames=print, finish=print)


PARTS: list[Any] = [
    (lambda: WireFormat(Lines(), NoEncode()), "NoEncode is not a codec: it has no encode()"),
    (
        lambda: WireFormat(Lines(), Octets(), NoEncode()),
        "NoEncode is not a codec: it has no encode()",
    ),
    (lambda: coded(echo, NoEncode()), "NoEncode is not a codec of replies: it has no encode()"),
    (lambda: coded(echo, NoDecode(), Octets()), "NoDecode is not a codec of requests"),
    (lambda: WireFormat(Lines(), Octets(), matching=ById), "ById is a class; give an instance"),
    (lambda: WireFormat(Lines(), Octets(), matching=len), "is not a matching: it has no new()"),
    (lambda: WireFormat(Lines(), Octets(), order="any"), "the order is 'any', expected Order."),
    (lambda: WireFormat(Lines(), Octets(), last=True), "last is True, expected a function"),
    (lambda: ById(get=len, put=max, range=range(0)), "identifiers is range(0, 0), expected"),
    (lambda: ById(get=len, put=max, range=65_536), "identifiers is 65536, expected one such as"),
    (lambda: WireFormat(NoFrame(), Octets()), "NoFrame is not a framing: it has no frame()"),
    (lambda: framed(coded(echo, Octets()), NoFrame()), "NoFrame is not a framing"),
    (
        lambda: WireFormat(NoFramer(), Octets()),
        "SimpleNamespace is not a framer: it has no finish()",
    ),
    (lambda: WireFormat(NoBuffered(), Octets()), "it has no attribute buffered"),
    (
        lambda: WireFormat(Octets(), Lines()),
        "Octets is not a framing: it has no new() and no frame()",
    ),
    (lambda: WireFormat(Lines, Octets()), "Lines is a class; give an instance, Lines(…)"),
    (
        lambda: Server(
            serve(echo, WireFormat(Lines(), Octets())),
            SimpleNamespace(transport=Transport.STREAM, spec=None, close=print),
        ),
        "SimpleNamespace is not a stream listener: it has no local and no accept",
    ),
    (
        lambda: Server(
            serve(echo, WireFormat(Lines(), Octets())),
            SimpleNamespace(transport=Transport.DATAGRAM, spec=None, local="x", close=print),
        ),
        "it has no start and no stop and no receive_batch",
    ),
]


@pytest.mark.parametrize(("build", "message"), PARTS)
def test_an_incomplete_part_is_refused_by_name(build: Any, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        build()
    assert message in str(refused.value)


class ForgetsToReturn:
    """A codec one of whose methods returns nothing."""

    def __init__(self, method: str) -> None:
        self._method = method

    def decode(self, frame: bytes) -> bytes | None:
        return None if self._method == "decode" else frame

    def encode(self, reply: bytes) -> bytes | None:
        return None if self._method == "encode" else reply


@pytest.mark.parametrize("method", ["decode", "encode"])
async def test_a_codec_that_returns_none_fails_the_request_and_is_named(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    codec: Any = ForgetsToReturn(method)
    endpoint = serve(echo, WireFormat(Lines(), codec))
    async with Server(endpoint, "memgram:forgets") as server:
        client = await dial_datagram("memgram:forgets")
        client.send(b"hello")
        async with asyncio.timeout(20):
            while not server.metrics.total("requests_failed_total"):
                await asyncio.sleep(0)
        client.close()
        assert server.metrics.total("requests_silent_total") == 0
    assert f"ForgetsToReturn.{method} returned None, expected" in caplog.text


def test_a_complete_part_is_accepted() -> None:
    Server(lines.serve(lines.echo), "mem:x")
