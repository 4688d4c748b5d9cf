"""Servers that stall, lie, flood and cut off: what callers get, and that the next server is served.

Each attack is a script for one connection. Five requests are made at once, then the server turns
honest and one more is made. Whatever a server does, each caller gets its own reply or an error of
ours, within its deadline; the counters name what happened; and the client goes on.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest

from pierhead import ById, Client, Json, Lines, Server, WireFormat, connect, hosting
from pierhead.client.options import ClientLimits
from pierhead.errors import ConnectionEnded, PeerUnavailable, PierheadError
from pierhead.protocols import lines

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Ask(NamedTuple):
    id: int
    text: str


IN_ORDER = lines.wire_format(max_length_bytes=70_000)
BY_ID = WireFormat(Lines(70_000), Json(Ask), matching=ById.field("id", range(1000)))
MANY = WireFormat(
    Lines(70_000),
    Json(Ask),
    matching=ById.field("id", range(1000)),
    last=lambda reply: reply.text.endswith("last"),
)

#: Times that pass on a held clock, or in truth.
LIMITS: ClientLimits = {
    "connect_timeout": 2.0,
    "request_timeout": 0.3,
    "message_timeout": 0.15,
    "write_timeout": 0.2,
    "linger_timeout": 0.05,
    "drain_timeout": 0.2,
    "max_back_off": 0.1,
}
PATIENT: ClientLimits = {**LIMITS, "request_timeout": 1.5}  # for a machine that is busy


# -- what a server does on one connection ------------------------------------------------------


async def honest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)


async def never_reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(2)


async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def answers_then(number: int, then: Script) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(number):
            writer.write(await reader.readline())
        await writer.drain()
        await reader.readline()
        await then(reader, writer)

    return script


def says(octets: bytes, then: Script = says_nothing) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(octets)
        await then(reader, writer)

    return script


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def half_closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write_eof()
    await reader.read()


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_INET:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def trickles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"a")
        await asyncio.sleep(0.02)


async def never_ends_a_message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(bytes(16_384))
        await writer.drain()
        await asyncio.sleep(0.001)


def floods(frame: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(frame)
            await writer.drain()
            await asyncio.sleep(0.001)

    return script


async def answers_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line + line)


async def answers_backwards(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = [await reader.readline() for _ in range(5)]
    writer.write(b"".join(reversed(asked)))
    await honest(reader, writer)


# -- the table ---------------------------------------------------------------------------------


class Attack(NamedTuple):
    """What a server does, and what becomes of five requests."""

    name: str
    script: Script
    wire: WireFormat[Any, Any]
    outcomes: dict[str, int]
    counted: tuple[str, str]  # (metric, reason)


CUT, LATE = {"ConnectionEnded": 5}, {"RequestTimedOut": 5}
WRONG, TOO_LONG = {"DecodeError": 5}, {"FramingError": 5}
ENDED = "requests_failed_total", "ended"
TIMEOUT = "requests_failed_total", "timeout"
UNEXPECTED = "dropped_total", "unexpected"
CLOSED = "connections_closed_total"
FLOOD = b"x" * 65_000 + b"\n"
NOBODY = b'[999,"%s"]\n' % (b"x" * 65_000)

ATTACKS = [
    Attack("never reads", never_reads, IN_ORDER, LATE, TIMEOUT),
    Attack("says nothing", says_nothing, IN_ORDER, LATE, TIMEOUT),
    Attack("says nothing", says_nothing, BY_ID, LATE, TIMEOUT),
    Attack("says nothing", says_nothing, MANY, LATE, TIMEOUT),
    Attack("stalls within a frame", says(b"zer"), IN_ORDER, CUT, (CLOSED, "message")),
    Attack("stalls within a frame", says(b"{"), BY_ID, CUT, (CLOSED, "message")),
    Attack(
        "stalls after two",
        answers_then(2, says_nothing),
        IN_ORDER,
        {"own": 2, "RequestTimedOut": 3},
        TIMEOUT,
    ),
    Attack(
        "stalls after two",
        answers_then(2, says_nothing),
        BY_ID,
        {"own": 2, "RequestTimedOut": 3},
        TIMEOUT,
    ),
    Attack("closes at once", closes, IN_ORDER, CUT, ENDED),
    Attack("half-closes at once", half_closes, IN_ORDER, CUT, ENDED),
    Attack("resets at once", resets, IN_ORDER, CUT, ENDED),
    Attack("resets at once", resets, BY_ID, CUT, ENDED),
    Attack("resets at once", resets, MANY, CUT, ENDED),
    *(
        Attack(
            f"{then.__name__} after two",
            answers_then(2, then),
            wire,
            {"own": 2, "ConnectionEnded": 3},
            ENDED,
        )
        for then in (closes, half_closes, resets)
        for wire in (IN_ORDER, BY_ID)
    ),
    Attack("closes within a frame", says(b"zer", closes), BY_ID, WRONG, (CLOSED, "undecodable")),
    Attack("resets within a frame", says(b"zer", resets), BY_ID, CUT, ENDED),
    Attack("replies before asked", says(b'[900,"x"]\n', honest), BY_ID, {"own": 5}, UNEXPECTED),
    Attack("replies twice", answers_twice, BY_ID, {"own": 5}, UNEXPECTED),
    Attack("replies backwards", answers_backwards, BY_ID, {"own": 5}, ("", "")),
    Attack("replies to nobody", says(b'[999,"x"]\n', honest), BY_ID, {"own": 5}, UNEXPECTED),
    # A lie in the right place cannot be told from a reply; one too many can.
    Attack("floods in order", floods(FLOOD), IN_ORDER, {"forged": 5}, (CLOSED, "unexpected")),
    Attack("floods nobody", floods(NOBODY), BY_ID, LATE, UNEXPECTED),
    Attack(
        "floods empty lines",
        floods(b"\n" * 5000),
        BY_ID,
        {"DecodeError": 5},
        (CLOSED, "undecodable"),
    ),
    Attack(
        "never ends a frame",
        never_ends_a_message,
        IN_ORDER,
        {"FramingError": 5},
        (CLOSED, "framing"),
    ),
    Attack("trickles", trickles, IN_ORDER, CUT, (CLOSED, "message")),
    Attack("sends what is no message", says(b"nonsense\n"), BY_ID, WRONG, (CLOSED, "undecodable")),
    Attack("sends what is no text", says(b"\xff\xfe\n"), IN_ORDER, WRONG, (CLOSED, "undecodable")),
]


class Turncoat:
    """Follows a script until it turns honest."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await self.script(reader, writer)


async def ask(client: Client[Any, Any], wire: WireFormat[Any, Any], text: str) -> str:
    """Return "own" for the reply that belongs to this request, and else the error's type."""
    try:
        if wire is IN_ORDER:
            reply = await client.request(text)
        elif wire is BY_ID:
            reply = (await client.request(Ask(0, text))).text
        else:
            reply = [reply.text async for reply in client.replies(Ask(0, text))][-1]
    except PierheadError as error:
        if isinstance(error, PeerUnavailable):
            is_honest = str(error).startswith(client.name) and not error.is_retry_safe
            return type(error).__name__ if is_honest else repr(error)
        return type(error).__name__
    assert reply == text or reply.startswith("x"), f"{text} got the reply to another: {reply}"
    return "own" if reply == text else "forged"


async def attacked(attack: Attack, turncoat: Turncoat, address: Any, limits: ClientLimits) -> None:
    loop = asyncio.get_running_loop()
    async with connect(address, attack.wire, **limits) as client:
        began = loop.time()
        texts = [f"{number} last" for number in range(5)]
        got = await asyncio.gather(*(ask(client, attack.wire, text) for text in texts))
        assert loop.time() - began < limits["request_timeout"] + 1
        assert Counter(got) == attack.outcomes
        turncoat.script = honest
        await asyncio.sleep(0.02)  # a reply too many is seen when it comes
        assert await ask(client, attack.wire, "again last") == "own"
        metric, reason = attack.counted
        if metric:
            assert client.metrics.total(metric, reason=reason) >= 1
    total = client.metrics.total
    assert total("requests_total") == 6
    assert total("requests_answered_total") + total("requests_failed_total") == 6
    assert total("connections_open") == 0
    assert total("connects_total") == total("connections_closed_total")


NAMES = {id(IN_ORDER): "in order", id(BY_ID): "by id", id(MANY): "many"}


def name(attack: Attack) -> str:
    return f"{attack.name}, {NAMES[id(attack.wire)]}"


@pytest.mark.parametrize("attack", ATTACKS, ids=name)
async def test_a_hostile_server_in_memory(attack: Attack, server: Any) -> None:
    turncoat = Turncoat(attack.script)
    await server(hosting.streams.serve(turncoat), "mem:b", drain_timeout=0.1)
    await attacked(attack, turncoat, "mem:b", LIMITS)


#: Where the system has a say: how a stream ends, and what waits in its buffers.
ON_SOCKETS = [
    attack
    for attack in ATTACKS
    if attack.script is never_reads
    or not ("RequestTimedOut" in attack.outcomes or attack.counted[1] == "message")
]


@pytest.mark.parametrize("attack", ON_SOCKETS, ids=name)
async def test_a_hostile_server_on_a_socket(attack: Attack) -> None:
    turncoat = Turncoat(attack.script)
    evil = Server(hosting.streams.serve(turncoat), "tcp:127.0.0.1:0", drain_timeout=0.05)
    async with evil as server:
        await attacked(attack, turncoat, server.addresses[0], PATIENT)


@pytest.mark.parametrize("address", ["mem:b", "unix:./s"])
async def test_a_reply_before_any_request_ends_the_connection(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    turncoat = Turncoat(says(b"zero\n", honest))
    async with Server(hosting.streams.serve(turncoat), address):
        async with connect(address, IN_ORDER, **PATIENT) as client:
            while client.addresses:
                await asyncio.sleep(0.01)
            turncoat.script = honest
            assert await client.request("one") == "one"
            assert client.metrics.total("dropped_total", reason="unexpected") == 1


async def test_cancelled_requests_do_not_keep_a_connection_that_has_stopped(server: Any) -> None:
    """As with `asyncio.timeout` around each: the client's own deadlines never pass."""
    turncoat = Turncoat(says_nothing)
    await server(hosting.streams.serve(turncoat), "mem:b", drain_timeout=0.1)
    async with connect("mem:b", IN_ORDER, **LIMITS) as client:
        replies = []
        for number in range(20):
            try:
                async with asyncio.timeout(0.05):
                    replies.append(await client.request(str(number)))
            except TimeoutError:
                turncoat.script = honest
        assert replies == [str(number) for number in range(20 - len(replies), 20)]
        assert len(replies) > 8
        assert client.metrics.total("connects_total") == 2


async def test_a_flood_takes_no_more_memory_than_one_read(server: Any) -> None:
    await server(hosting.streams.serve(Turncoat(floods(NOBODY))), "mem:b", drain_timeout=0.1)
    async with connect("mem:b", BY_ID, **LIMITS) as client:
        await ask(client, BY_ID, "one")  # warm
        tracemalloc.start()
        try:
            await asyncio.gather(*(ask(client, BY_ID, str(number)) for number in range(50)))
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert client.metrics.total("bytes_received_total") > 5_000_000
    assert most < 1_500_000  # both ends of the flood are in this process


async def test_a_server_that_cuts_every_connection_is_dialled_once_for_a_request(
    server: Any,
) -> None:
    await server(hosting.streams.serve(Turncoat(resets)), "mem:b", drain_timeout=0.1)
    async with connect("mem:b", IN_ORDER, **LIMITS) as client:
        for number in range(20):
            assert await ask(client, IN_ORDER, str(number)) == "ConnectionEnded"
        assert client.metrics.total("connects_total") <= 22


async def test_a_codec_that_fails_fails_its_request_alone_and_is_counted(server: Any) -> None:
    def encode(message: str) -> bytes:
        return {"one": b"one", "two": b"two"}[message]

    await server(hosting.streams.serve(Turncoat(honest)), "mem:b", drain_timeout=0.1)
    wire = WireFormat(Lines(), _Codec(encode))
    async with connect("mem:b", wire, **LIMITS) as client:
        first = asyncio.ensure_future(client.request("one"))
        with pytest.raises(KeyError):
            await client.request("three")
        assert await first == "one"
        assert await client.request("two") == "two"
    total = client.metrics.total
    assert total("requests_answered_total") + total("requests_failed_total") == 3
    assert total("requests_failed_total", reason="error") == 1


class _Codec:
    """Decodes text, and encodes as it is told."""

    def __init__(self, encode: Callable[[str], bytes]) -> None:
        self.encode = encode

    def decode(self, frame: bytes) -> str:
        return frame.decode()


# -- datagrams ---------------------------------------------------------------------------------


class Liar(asyncio.DatagramProtocol):
    """Answers each datagram with others before the right one; it can be made silent."""

    def __init__(self) -> None:
        self.lies: list[bytes] = []
        self.copies = 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: Any) -> None:
        for octets in [*self.lies, *([data] * self.copies)]:
            self.transport.sendto(octets, address)


@asynccontextmanager
async def liar() -> AsyncIterator[tuple[Liar, str]]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Liar, ("127.0.0.1", 0))
    try:
        yield protocol, f"udp:127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


async def test_forged_and_doubled_datagrams_are_dropped_and_named() -> None:
    async with liar() as (server, address), connect(address, BY_ID, **PATIENT) as client:
        server.lies, server.copies = [b"\xff", b"[]", b"nonsense", b'[5000,"x"]'], 3
        got = await asyncio.gather(*(ask(client, BY_ID, str(number)) for number in range(30)))
        assert got == ["own"] * 30
        total = client.metrics.total
        async with asyncio.timeout(5):
            while total("frames_received_total") < 30 * 7:
                await asyncio.sleep(0.001)
        assert total("dropped_total", reason="undecodable") == 90
        unexpected = total("dropped_total", reason="unexpected")
        assert unexpected >= 30
        assert unexpected + total("dropped_total", reason="late") == 90


async def test_datagrams_from_elsewhere_never_reach_a_client() -> None:
    async with liar() as (server, address), connect(address, BY_ID, **LIMITS) as client:
        server.copies = 0
        asked = asyncio.ensure_future(ask(client, BY_ID, "one"))
        await asyncio.sleep(0.01)
        host, port = client.addresses[0].removeprefix("udp:").split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as foreign:
            for ident in range(1000):
                foreign.sendto(b'[%d,"forged"]' % ident, (host, int(port)))
        assert await asked == "RequestTimedOut"
        assert client.metrics.total("frames_received_total") == 0


@pytest.mark.parametrize("wire", [IN_ORDER, BY_ID], ids=["in order", "by id"])
async def test_a_server_of_datagrams_that_is_away_for_a_while(wire: WireFormat[Any, Any]) -> None:
    """Each is told at once, by ICMP, and the client goes on with the next server there."""
    async with liar() as (_, address):
        pass
    await asyncio.sleep(0)  # it is closed in the next iteration
    async with connect(address, wire, **PATIENT) as client:
        loop = asyncio.get_running_loop()
        for number in range(5):
            began = loop.time()
            with pytest.raises(PeerUnavailable, match="refused") as refused:
                await client.request(str(number) if wire is IN_ORDER else Ask(0, str(number)))
            assert refused.value.is_retry_safe
            assert loop.time() - began < 1
        port = int(address.rpartition(":")[2])
        transport, _ = await loop.create_datagram_endpoint(Liar, ("127.0.0.1", port))
        assert await ask(client, wire, "again") == "own"
        transport.close()
        assert client.metrics.total("dropped_total", reason="unreachable") >= 5


# -- conversations -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "is_clean", "reason"),
    [
        (closes, True, ""),
        (half_closes, True, ""),
        (resets, False, ""),
        (says_nothing, False, "idle"),
        (says(b"zer", says_nothing), False, "message"),
        (trickles, False, "message"),
    ],
    ids=["closes", "half-closes", "resets", "says nothing", "stalls within", "trickles"],
)
async def test_a_conversation_with_a_hostile_server(
    server: Any, script: Script, is_clean: bool, reason: str
) -> None:
    await server(hosting.streams.serve(Turncoat(script)), "mem:b", drain_timeout=0.1)
    client = connect("mem:b", IN_ORDER, idle_timeout=1, **LIMITS)
    async with client.conversation() as conversation:
        with pytest.raises(ConnectionEnded) as ended:
            await asyncio.wait_for(conversation.receive(), 5)
        assert ended.value.is_clean is is_clean
    assert client.metrics.total("connections_open") == 0
    if reason:
        assert client.metrics.total(CLOSED, reason=reason) == 1


async def test_a_conversation_reads_no_more_of_a_flood_than_its_bounds(server: Any) -> None:
    await server(hosting.streams.serve(Turncoat(floods(FLOOD))), "mem:b", drain_timeout=0.1)
    client = connect("mem:b", IN_ORDER, **LIMITS)
    tracemalloc.start()
    try:
        async with client.conversation() as conversation:
            await asyncio.sleep(1)  # nobody receives
            assert client.metrics.total("bytes_received_total") < 400_000
            assert len(await conversation.receive()) == len(FLOOD) - 1
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2_000_000


async def test_replies_that_nobody_reads_to_the_end_are_counted_as_cancelled(server: Any) -> None:
    await server(hosting.streams.serve(Turncoat(honest)), "mem:b", drain_timeout=0.1)
    async with connect("mem:b", MANY, **LIMITS) as client:
        replies = client.replies(Ask(0, "first"))
        assert (await anext(replies)).text == "first"
        await replies.aclose()  # type: ignore[attr-defined]  # of a generator
        assert await ask(client, MANY, "last") == "own"
    total = client.metrics.total
    assert total("requests_failed_total", reason="cancelled") == 1
    assert total("requests_answered_total") == 1
