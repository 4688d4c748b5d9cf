"""Every row of the table in docs/howto/codecs.md is carried out."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from google.protobuf.duration_pb2 import Duration

import pierhead
from pierhead import Context, Server, codec, serve
from pierhead.client.client import connect
from pierhead.client.dial import dial_datagram
from pierhead.errors import DecodeError, PierheadError
from pierhead.protocols import lines, stomp, syslog

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "codecs.md"
CELL = re.compile(r"`([^`]+)`")

#: An octet that is not a message of any of these, unless every frame is one.
BAD = b"\xff"


class Reading(NamedTuple):
    number: int
    value: float


def names() -> dict[str, Any]:
    """Return what the cells of the table use; `Order` is that of the page."""
    known: dict[str, Any] = {name: getattr(codec, name) for name in codec.__all__}
    block = re.search(r"@dataclass\nclass Order:\n(?:    .+\n)+", PAGE.read_text())
    assert block is not None
    exec(f"from dataclasses import dataclass\n{block[0]}", known)
    known |= {"lines": lines, "syslog": syslog, "stomp": stomp, "Frame": stomp.Frame, "Duration": Duration, "Reading": Reading}
    return known | {name: getattr(syslog, name) for name in syslog.__all__ if name[0].isupper()}


def rows() -> list[Any]:
    found = []
    table = PAGE.read_text().partition("| wire format |")[2].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        cells = CELL.findall(line)
        found.append(pytest.param(*cells, line.split("|")[-2].strip(), id=cells[0]))
    return found


ROWS = rows()


@pytest.mark.parametrize(("wire_format", "message", "stream", "datagram", "refused"), ROWS)
async def test_a_row_is_true(
    wire_format: str, message: str, stream: str, datagram: str, refused: str
) -> None:
    known = names()
    wire, sent, on_stream, in_datagram = (
        eval(cell, known) for cell in (wire_format, message, stream, datagram)
    )
    assert wire.requests.encode(sent) == in_datagram
    assert wire.framing.frame(in_datagram) == on_stream
    for side in (wire.requests, wire.replies):
        assert side.decode(in_datagram) == sent
    bad: list[Any] = []
    try:
        bad.append(wire.requests.decode(BAD))
    except DecodeError:
        assert refused != "every frame is one"
    expected = [] if refused == "closes" else [*bad, sent]
    assert (await taken_from_a_stream(wire, on_stream)) == expected
    assert (await taken_from_datagrams(wire, in_datagram, len(bad) + 1)) == [*bad, sent]


def keeping(kept: asyncio.Queue[Any]) -> Any:
    async def keep(message: Any, context: Context) -> None:
        kept.put_nowait(message)

    return keep


async def taken_from_a_stream(wire: Any, on_stream: bytes) -> list[Any]:
    kept: asyncio.Queue[Any] = asyncio.Queue()
    async with Server(serve(keeping(kept), wire), "tcp:127.0.0.1:0") as server:
        host, _, port = server.addresses[0].removeprefix("tcp:").rpartition(":")
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(wire.framing.frame(BAD) + on_stream)
            writer.write_eof()
            assert await reader.read() == b""  # a refusal would be here
            writer.close()
    return [kept.get_nowait() for _ in range(kept.qsize())]


async def taken_from_datagrams(wire: Any, frame: bytes, count: int) -> list[Any]:
    kept: asyncio.Queue[Any] = asyncio.Queue()
    async with Server(serve(keeping(kept), wire), "memgram:rows"):
        client = await dial_datagram("memgram:rows")
        client.send(BAD)
        client.send(frame)
        async with asyncio.timeout(10):
            taken = [await kept.get() for _ in range(count)]
        client.close()
    return taken


def test_every_framing_and_codec_of_the_front_door_has_a_row() -> None:
    parts = {
        name
        for name in codec.__all__
        if name in pierhead.__all__
        and any(hasattr(getattr(codec, name), method) for method in ("frame", "decode"))
        and not getattr(getattr(codec, name), "_is_protocol", False)
    }
    used: set[str] = set()
    for row in ROWS:
        wire = eval(row.values[0], names())
        used |= {type(part).__name__ for part in (wire.framing, wire.requests)}
    assert parts <= used


WITH_REPLIES = [row for row in ROWS if "syslog" not in row.values[0]]


@pytest.mark.parametrize("address", ["mem:rows", "memgram:rows"])
@pytest.mark.parametrize(("wire_format", "message", "_s", "_d", "refused"), WITH_REPLIES)
async def test_a_client_asks_and_refuses_a_reply_that_is_no_message(
    wire_format: str, message: str, _s: str, _d: str, refused: str, address: str
) -> None:
    known = names()
    wire, sent = (eval(cell, known) for cell in (wire_format, message))

    async def reflect(asked: Any, context: Context) -> Any:
        return asked

    async def lie(frame: bytes, context: Context) -> bytes:
        return BAD

    async with Server(serve(reflect, wire), address), connect(address, wire) as client:
        assert await client.request(sent) == sent
    if address.startswith("memgram"):  # such a datagram may be forged: it is ignored there
        return
    octets = codec.WireFormat(wire.framing, codec.Octets())
    async with Server(serve(lie, octets), address), connect(address, wire) as client:
        if refused == "every frame is one":
            assert await client.request(sent) == BAD
        else:
            with pytest.raises(PierheadError):
                await client.request(sent)
