"""Syslog as an endpoint: both framings, datagrams, and what happens to what is not a message."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pierhead import Context, Server
from pierhead.client.dial import dial_datagram
from pierhead.codec import Order, SyslogFraming
from pierhead.protocols import syslog
from pierhead.protocols.syslog import BsdMessage, Message

MESSAGE = Message(app_name="su", text="failed")
FRAME = b"<13>1 - - su - - - failed"


def keeping(kept: asyncio.Queue[Any]) -> Any:
    async def store(message: Any, context: Context) -> None:
        kept.put_nowait(message)

    return store


async def taken(kept: asyncio.Queue[Any], count: int) -> list[Any]:
    async with asyncio.timeout(10):
        return [await kept.get() for _ in range(count)]


@pytest.mark.rfc("6587", "3.4")
async def test_a_connection_may_mix_framings_and_goes_on_after_what_is_no_message() -> None:
    kept: asyncio.Queue[Any] = asyncio.Queue()
    async with Server(syslog.serve(keeping(kept)), "tcp:127.0.0.1:0") as server:
        host, port = server.addresses[0].removeprefix("tcp:").rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"%d %b" % (len(FRAME), FRAME) + b"<13>nothing\n" + FRAME + b"\r\n" + FRAME)
        writer.write_eof()
        assert await reader.read() == b""  # nothing is answered
        writer.close()
        assert await taken(kept, 3) == [MESSAGE] * 3
        assert server.metrics.total("dropped_total", reason="undecodable") == 1


@pytest.mark.rfc("5426", "3.1")
async def test_a_datagram_is_one_message() -> None:
    kept: asyncio.Queue[Any] = asyncio.Queue()
    async with Server(syslog.serve(keeping(kept), bsd=True), "memgram:log"):
        client = await dial_datagram("memgram:log")
        for frame in (FRAME, b"<13>Oct 11 22:14:15 host su: hm\n", b"anything\nat all"):
            client.send(frame)
        assert await taken(kept, 3) == [
            MESSAGE,
            BsdMessage(timestamp="Oct 11 22:14:15", hostname="host", tag="su", text="hm"),
            BsdMessage(text="anything\nat all"),
        ]
        client.close()


def test_a_short_address_means_udp_and_tcp() -> None:
    assert syslog.serve(keeping(asyncio.Queue())).short_form == ("udp", "tcp")


def test_the_wire_format_is_one_for_senders_too() -> None:
    wire = syslog.wire_format(non_transparent=True)
    assert wire.framing == SyslogFraming(non_transparent=True)
    assert wire.order is Order.ANY
    assert wire.framing.frame(wire.requests.encode(MESSAGE)) == FRAME + b"\n"
    older = syslog.wire_format(bsd=True)
    assert older.requests.decode(b"x") == BsdMessage(text="x")
