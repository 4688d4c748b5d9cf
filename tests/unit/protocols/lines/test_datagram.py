"""Lines over datagrams, and datagrams that are no lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pierhead import Endpoint, Octets, Server, raw
from pierhead.client.dial import dial_datagram
from pierhead.errors import UsageError
from pierhead.metrics import Metrics
from pierhead.protocols import lines
from pierhead.testing.laws import check_codec


async def asked(endpoint: Endpoint, datagram: bytes) -> tuple[bytes | None, Metrics]:
    """Return what comes back for a datagram, None for silence, and what was counted."""
    async with Server(endpoint, "memgram:a") as server:
        client = await dial_datagram("memgram:a")
        client.send(datagram)
        while not server.metrics.total("datagrams_received_total"):
            await asyncio.sleep(0)
        await server.drain()
        waiting = server.metrics.total("datagrams_sent_total")
        reply = await client.receive() if waiting else None
        client.close()
    return reply, server.metrics


async def upper(line: str, context: Any) -> str | None:
    return None if line == "hush" else line.upper()


@pytest.mark.parametrize(
    ("datagram", "reply"),
    [
        (b"a", b"A"),
        (b"a\n", b"A"),
        (b"a\r\n", b"A"),
        (b"a\nb", b"A\nB"),
        (b"a\nb\n", b"A\nB"),
        (b"a\r\nb\r\n", b"A\nB"),
        (b"a\n\nb\n", b"A\n\nB"),
        (b"a\nhush\nb\n", b"A\nB"),
        (b"hush\nhush\n", None),
        (b"", b""),
        (b"\n", b""),
    ],
)
async def test_each_line_of_a_datagram_is_a_request(
    network: Any, datagram: bytes, reply: bytes | None
) -> None:
    assert (await asked(lines.serve(upper), datagram))[0] == reply


async def test_many_replies_to_lines_of_one_datagram_come_together(network: Any) -> None:
    async def twice(line: str, context: Any) -> AsyncIterator[str]:
        yield line
        yield line

    assert (await asked(lines.serve(twice), b"a\nb\n"))[0] == b"a\na\nb\nb"


async def test_a_line_that_is_refused_refuses_its_datagram_and_is_counted(network: Any) -> None:
    reply, metrics = await asked(lines.serve(upper), b"a\n\xff\nb")
    assert reply is None
    assert metrics.total("dropped_total", reason="undecodable") == 1


@pytest.mark.parametrize("endless", [False, True])
async def test_lines_of_a_datagram_and_their_answers_are_bounded(
    network: Any, endless: bool
) -> None:
    async def many(line: str, context: Any) -> AsyncIterator[str]:
        for _ in range(10**9):
            yield line

    service: Any = many if endless else upper
    reply, metrics = await asked(lines.serve(service), b"a\n" * (2 if endless else 101))
    assert reply is None
    assert metrics.total("requests_failed_total", reason="max_replies_per_datagram") == 1


async def test_an_answer_that_is_known_at_once_is_one_of_one_line(network: Any) -> None:
    class Known:
        async def __call__(self, line: bytes, context: Any) -> bytes:
            return line + b"!"

        def answer_now(self, line: bytes, peer: Any, via: Any) -> bytes:
            return line + b"!"

    endpoint = lines.serve(Known(), encoding=None)
    reply, metrics = await asked(endpoint, b"a\n")
    assert (reply, metrics.total("ready_answers_total")) == (b"a!", 1)
    reply, metrics = await asked(endpoint, b"a\nb\n")
    assert (reply, metrics.total("ready_answers_total")) == (b"a!\nb!", 0)


@pytest.mark.parametrize("octets", [b"", b"a", b"a\n", b"a\r\n", b"a\nb\n\0\xff", b"\n" * 500])
async def test_a_service_of_raw_datagrams_gets_and_gives_octets_as_they_are(
    network: Any, octets: bytes
) -> None:
    seen: list[bytes] = []

    async def reverse(datagram: bytes, context: Any) -> bytes:
        seen.append(datagram)
        return datagram[::-1]

    assert (await asked(raw(reverse), octets))[0] == octets[::-1]
    assert (await asked(raw(lines.echo), octets))[0] == octets
    assert seen == [octets]


def test_octets_are_any_octets() -> None:
    check_codec(Octets(), [b"", b"\n", b"\xff"])
    with pytest.raises(UsageError, match="a message is str, expected bytes"):
        Octets().encode("text")  # type: ignore[arg-type]
