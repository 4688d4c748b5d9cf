from __future__ import annotations

import asyncio

import pytest

from pierhead.address import ListenSpec
from pierhead.errors import DecodeError, ListenError, PeerError, TimedOut, UsageError
from pierhead.listener.memory import MemoryDatagramListener, MemoryStreamListener, Network
from pierhead.protocols import dns
from pierhead.protocols.dns.codec import DatagramCodec, StreamCodec
from pierhead.protocols.dns.response import parse_response
from pierhead.protocols.dns.wire.query import build_query, parse_query
from pierhead.server.server import Server
from pierhead.testing.clock import HeldLoop


def held(main):
    """Run a coroutine function on a clock that nobody has to wait for."""
    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        return runner.run(main())


def answer(frame, *records, change=bytes):
    query = parse_query(frame)
    return change(DatagramCodec().encode(query.reply(*records or [dns.A("192.0.2.1")])))


class Peer:
    """A server of datagrams that sends what a function makes of each query."""

    def __init__(self, react):
        self.asked = []
        self._react = react
        self._end = MemoryDatagramListener(ListenSpec.parse("memgram:b"), "b", Network.current())
        self._end.start(self._readable)

    def _readable(self):
        for frame, sender in self._end.receive_batch(10):
            self.asked.append(frame)
            for reply in self._react(frame):
                self._end.send_batch([(reply, sender)])


async def site(query, context):
    return query.reply(
        dns.A("192.0.2.1"), dns.TXT("x" * 255, "y" * 255, "z" * 255, "w" * 255), ttl=60
    )


def test_an_answer_is_read_into_values():
    async def main():
        peer = Peer(lambda frame: [answer(frame)])
        response = await dns.query("memgram:b", "www.Example", source="memgram:a")
        (asked,) = (parse_query(frame) for frame in peer.asked)
        assert (asked.name, asked.rtype, asked.recursion_desired) == ("www.Example.", "A", False)
        assert asked.edns == dns.Edns()
        assert (response.id, response.rcode) == (asked.id, dns.NOERROR)
        assert (response.authoritative, response.truncated) == (True, False)
        assert not response.recursion_available
        assert not response.authentic_data
        assert response.edns == dns.Edns()
        (record,) = response.answer
        assert (record.name, record.type, record.ttl, record.data) == (
            "www.Example.",
            "A",
            300,
            "192.0.2.1",
        )
        assert str(record) == "www.Example. 300 IN A 192.0.2.1"
        assert repr(response) == f"<Response {asked.id} NOERROR 1+0+0 records>"

    held(main)


def test_a_query_is_asked_again_with_another_identifier_until_the_attempts_are_used():
    async def main():
        peer = Peer(lambda frame: [])
        loop = asyncio.get_running_loop()
        start = loop.time()
        with pytest.raises(TimedOut, match=r"memgram:b in 4 attempts of 0\.5 s"):
            await dns.query("memgram:b", "a.", attempts=4, timeout=0.5, edns=None)
        assert loop.time() - start == pytest.approx(2.0)
        assert len(peer.asked) == 4
        assert parse_query(peer.asked[0]).edns is None
        assert len({frame[:2] for frame in peer.asked}) > 1

    held(main)


def test_an_answer_comes_through_a_bad_network():
    async def main():
        Network.current().between("a", "b").lose(0.3, seed=7)
        async with Server(dns.serve(site), "memgram:b"):
            reply = await dns.query("memgram:b", "a.", attempts=9, source="memgram:a")
        assert reply.rcode == dns.NOERROR

    held(main)


def test_a_late_answer_to_an_earlier_attempt_counts():
    async def main():
        held_back = []

        def react(frame):
            held_back.append(frame)
            return [answer(held_back[0])] if len(held_back) == 2 else []

        peer = Peer(react)
        response = await dns.query("memgram:b", "a.")
        assert response.id == int.from_bytes(peer.asked[0][:2], "big")

    held(main)


@pytest.mark.rfc("5452", "9.1")
def test_answers_to_other_questions_are_waited_past():
    def forged(frame):
        yield answer(frame, change=lambda f: bytes([f[0] ^ 1]) + f[1:])  # another identifier
        yield frame  # a query
        yield frame[:2] + b"\x80"  # a stump
        yield answer(frame[:12] + b"\x01b\x00" + frame[15:])  # another name
        yield answer(frame[:16] + b"\x1c" + frame[17:], dns.AAAA("::1"))  # another type
        yield frame[:2] + b"\x80" + bytes(9)  # no question, and no refusal either
        yield answer(frame, dns.A("192.0.2.99"))

    async def main():
        Peer(forged)
        response = await dns.query("memgram:b", "a.", attempts=1)
        assert response.answer[0].data == "192.0.2.99"

    held(main)


def test_a_refusal_without_question_is_an_answer():
    async def main():
        Peer(lambda frame: [frame[:2] + b"\x80\x01" + bytes(8)])
        assert (await dns.query("memgram:b", "a.")).rcode == dns.FORMERR

    held(main)


async def test_a_truncated_answer_is_asked_for_again_over_tcp():
    async with Server(dns.serve(site, max_udp_payload=512), "127.0.0.1:0") as server:
        place = server.addresses[0].partition(":")[2]
        for source in (None, "127.0.0.1:0"):
            response = await dns.query(place, "a.example.", "TXT", source=source)
            assert not response.truncated
            assert len(response.frame) > 1000
        assert (await dns.query(f"tcp:{place}", "a.")).answer


def test_where_there_is_no_tcp_the_truncated_answer_is_what_there_is():
    async def main():
        async with Server(dns.serve(site, max_udp_payload=512), "memgram:b", "mem:s"):
            assert (await dns.query("memgram:b", "a.", "TXT")).truncated
            assert not (await dns.query("mem:s", "a.", "TXT", source="mem:c")).truncated

    held(main)


class Stream(asyncio.Protocol):
    """A stream server that sends something and closes."""

    def __init__(self, make):
        self._make = make

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        reply = self._make(data[2:])
        if reply is not None:
            self._transport.write(reply)
            self._transport.close()


@pytest.mark.parametrize(
    ("make", "error", "reason"),
    [
        (lambda frame: b"", PeerError, "closed without an answer"),
        (lambda frame: b"\x00\x0c" + frame[:2], PeerError, "closed without an answer"),
        (lambda frame: b"\x00\x0c" + bytes(12), PeerError, "was not asked"),
        (lambda frame: None, TimedOut, r"mem:s in 2 s"),
    ],
)
def test_a_stream_that_gives_no_answer_is_an_error(make, error, reason):
    async def main():
        listener = MemoryStreamListener(ListenSpec.parse("mem:s"), "s", Network.current())

        async def accept():
            await (await listener.accept()).attach(Stream(make))

        accepting = asyncio.create_task(accept())
        with pytest.raises(error, match=reason):
            await dns.query("mem:s", "a.")
        await accepting
        listener.close()

    held(main)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("127.0.0.1:53", "a..b"), {}),
        (("127.0.0.1:53", "a.", "B"), {}),
        (("127.0.0.1:53", "a."), {"attempts": 0}),
        (("127.0.0.1:53", "a."), {"timeout": 0}),
        (("sd-listen", "a."), {}),
        (("127.0.0.1", "a."), {}),
    ],
)
async def test_what_cannot_be_asked_is_refused(arguments, options):
    with pytest.raises(UsageError):
        await dns.query(*arguments, **options)


def test_a_source_in_use_is_an_error():
    async def main():
        Peer(lambda frame: [])
        with pytest.raises(ListenError):
            await dns.query("memgram:c", "a.", source="memgram:b")

    held(main)


QUERY = build_query(7, b"\x01a\x00", 1, edns=dns.Edns())
GOOD = StreamCodec().encode(parse_query(QUERY).reply(dns.A("192.0.2.1")))
OPT = GOOD[-11:]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\x00" * 11, "expected 12 or more"),
        (QUERY, "QR is clear"),
        (GOOD[:5] + b"\x02" + GOOD[6:], "2 questions"),
        (GOOD[:11] + b"\x02" + GOOD[12:] + OPT, "more than one OPT"),
        (GOOD[:17], "inside the question"),
        (GOOD[:22], "inside a record"),
        (GOOD[:33], "record's data"),
        (GOOD[:12] + b"\xc0\x0c" + GOOD[14:], "backwards"),
        (GOOD[:12] + b"\x41" + GOOD[13:], "bad label"),
        (GOOD[:12] + b"\x3f" * 300, "longer than 255"),
        (GOOD[:12] + b"\x3f" * 20, "inside a name"),
    ],
)
def test_what_is_no_response_is_refused(frame, reason):
    with pytest.raises(DecodeError, match=reason):
        parse_response(frame)


def test_rdata_that_its_type_does_not_allow_says_so_when_asked():
    broken = GOOD.replace(b"\x00\x04\xc0\x00\x02\x01", b"\x00\x03\xc0\x00\x02")
    (record,) = parse_response(broken).answer
    with pytest.raises(DecodeError, match=r"RDATA of a\. A"):
        record.data  # noqa: B018
