"""A server and a client that know one wire format and nothing else of the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from pierhead import ById, Context, Json, Lines, Server, WireFormat, serve
from pierhead.client.dial import dial_stream
from pierhead.codec import Matcher
from pierhead.protocols import dns, lines


class Client(asyncio.Protocol):
    """Hands each reply to who asked; ``strays`` are replies to nobody."""

    def __init__(self, wire: WireFormat[Any, Any]) -> None:
        self._wire = wire
        self._framer = wire.framing.new()
        self._matcher: Matcher[Any, Any, asyncio.Queue[Any]] = wire.matcher()
        self.strays: list[Any] = []
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self, *requests: Any) -> list[Any]:
        """Send requests in one write; return what `give_up` of the matcher takes."""
        asked = [self._matcher.ask(request, asyncio.Queue()) for request in requests]
        frames = [self._wire.requests.encode(each.request) for each in asked]
        self._transport.write(b"".join(map(self._wire.framing.frame, frames)))
        return asked

    def give_up(self, asked: Any) -> None:
        self._matcher.give_up(asked)

    def data_received(self, data: bytes) -> None:
        self._framer.feed(data)
        for frame in self._framer.frames(100):
            reply = self._wire.replies.decode(frame)
            asked = self._matcher.take(reply)
            if asked is None or asked.is_given_up:
                self.strays.append(reply)
            else:
                asked.token.put_nowait(reply)


@asynccontextmanager
async def connected(
    endpoint: Any, wire: WireFormat[Any, Any], name: str
) -> AsyncIterator[tuple[Client, Server]]:
    async with Server(endpoint, f"mem:{name}") as server, asyncio.timeout(20):
        client = Client(wire)
        transport = await dial_stream(f"mem:{name}", lambda: client)
        yield client, server
        transport.close()


class Ask(NamedTuple):
    number: int
    what: str


class Answer(NamedTuple):
    number: int
    what: str | None
    is_last: bool = True


class Answers(Json[Answer]):
    def reject(self, error: Exception, frame: bytes) -> bytes:
        return self.encode(Answer(Json(Ask).decode(frame).number, None))


BY_NUMBER = ById.field("number", range(1, 100))


async def test_quick_replies_overtake_slow_ones_and_each_finds_its_request() -> None:
    released = asyncio.Event()

    async def answer(asked: Ask, context: Context) -> Answer:
        if asked.what == "slow":
            await released.wait()
        if asked.what == "wrong":
            raise ValueError
        return Answer(asked.number, asked.what.upper())

    wire = WireFormat(Lines(), Json(Ask), Answers(Answer), matching=BY_NUMBER)
    async with connected(serve(answer, wire), wire, "numbers") as (client, _):
        slow, late, wrong, quick = client.ask(
            Ask(0, "slow"), Ask(0, "slow"), Ask(0, "wrong"), Ask(0, "quick")
        )
        assert (await quick.token.get()).what == "QUICK"
        assert (await wrong.token.get()).what is None  # the server's refusal is a reply
        client.give_up(late)
        released.set()
        assert (await slow.token.get()).what == "SLOW"
        (next_one,) = client.ask(Ask(0, "next"))
        assert (await next_one.token.get()).what == "NEXT"
        assert [stray.number for stray in client.strays] == [late.request.number]


async def test_many_replies_go_to_their_request_until_the_last() -> None:
    async def count(asked: Ask, context: Context) -> AsyncIterator[Answer]:
        for number in range(3):
            await asyncio.sleep(0)
            yield Answer(asked.number, f"{asked.what}{number}", is_last=number == 2)

    wire = WireFormat(
        Lines(), Json(Ask), Json(Answer), matching=BY_NUMBER, last=lambda answer: answer.is_last
    )
    async with connected(serve(count, wire), wire, "counts") as (client, _):
        both = client.ask(Ask(0, "a"), Ask(0, "b"))
        for asked, name in zip(both, "ab", strict=True):
            got = [(await asked.token.get()).what for _ in range(3)]
            assert got == [f"{name}0", f"{name}1", f"{name}2"]
            assert asked.is_answered


async def test_replies_in_order_need_no_identifier() -> None:
    async def shout(line: str, context: Context) -> str:
        await asyncio.sleep(0)
        return line.upper()

    wire = lines.wire_format()
    async with connected(lines.serve(shout), wire, "shout") as (client, _):
        asked = client.ask("a", "b", "c")
        client.give_up(asked[1])
        assert [await each.token.get() for each in (asked[0], asked[2])] == ["A", "C"]
        assert client.strays == ["B"]


@pytest.mark.rfc("7766", "7")
async def test_dns_is_one_such_format() -> None:
    released = asyncio.Event()

    async def site(query: dns.Query, context: Context) -> dns.Reply:
        if query.name == "slow.example.":
            await released.wait()
        return query.reply(dns.TXT(query.name))

    wire = dns.wire_format()
    async with connected(dns.serve(site), wire, "dns") as (client, _):
        slow, quick = client.ask(
            dns.Question("slow.example.", "TXT"), dns.Question("quick.example.", "TXT")
        )
        assert (await quick.token.get()).answer[0].data == '"quick.example."'
        released.set()
        assert (await slow.token.get()).answer[0].data == '"slow.example."'
        assert client.strays == []
