from __future__ import annotations

import asyncio
import sys

import pytest

from pierhead.address import ListenSpec
from pierhead.client.dial import dial_datagram
from pierhead.codec import LengthPrefixed
from pierhead.errors import DecodeError, ListenError, PeerError, TimedOut, UsageError
from pierhead.listener.bind.memory import MemoryStreamListener
from pierhead.net.memory import MemoryDatagramEnd, Network
from pierhead.protocols import dns
from pierhead.protocols.dns.codec import DatagramReplyCodec, ReplyCodec
from pierhead.protocols.dns.response import parse_head, parse_response
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.query import build_query, parse_query
from pierhead.server.server import Server
from pierhead.testing.clock import HeldLoop


def held(main):
    """Run a coroutine function on a simulated clock."""
    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        return runner.run(main())


def answer(frame, *records, change=bytes):
    query = parse_query(frame)
    return change(DatagramReplyCodec().encode(query.reply(*records or [dns.A("192.0.2.1")])))


class Peer:
    """A datagram server that sends what a function returns for each query."""

    def __init__(self, react):
        self.asked = []
        self._react = react
        self._end = MemoryDatagramEnd(ListenSpec.parse("memgram:b"), "b", Network.current())
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
async def test_a_question_that_cannot_be_sent_is_refused(arguments, options):
    with pytest.raises(UsageError):
        await dns.query(*arguments, **options)


def test_a_source_in_use_is_an_error():
    async def main():
        Peer(lambda frame: [])
        with pytest.raises(ListenError):
            await dns.query("memgram:c", "a.", source="memgram:b")

    held(main)


QUERY = build_query(7, b"\x01a\x00", 1, edns=dns.Edns())
GOOD = ReplyCodec().encode(parse_query(QUERY).reply(dns.A("192.0.2.1")))
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
def test_a_message_that_is_not_a_response_is_refused(frame, reason):
    with pytest.raises(DecodeError, match=reason):
        parse_response(frame)


def test_rdata_that_its_type_does_not_allow_says_so_when_asked():
    broken = GOOD.replace(b"\x00\x04\xc0\x00\x02\x01", b"\x00\x03\xc0\x00\x02")
    (record,) = parse_response(broken).answer
    with pytest.raises(DecodeError, match=r"RDATA of a\. A"):
        record.data  # noqa: B018


# Many queries on one socket or connection


def test_many_queries_share_one_socket_and_get_their_own_answers():
    async def main():
        held_back = []

        def react(frame):
            held_back.append(frame)
            if len(held_back) < 300:
                return []
            # The last one asked is answered first.
            return [
                answer(one, dns.A(f"192.0.2.{parse_query(one).name.split('.')[0]}"))
                for one in reversed(held_back)
            ]

        peer = Peer(react)
        async with dns.Client("memgram:b", source="memgram:a", attempts=1) as client:
            names = [f"{n % 250}.{n}.test." for n in range(300)]
            responses = await asyncio.gather(*(client.query(name) for name in names))
        assert [r.answer[0].name for r in responses] == names
        assert [r.answer[0].data for r in responses] == [f"192.0.2.{n % 250}" for n in range(300)]
        assert len({frame[:2] for frame in peer.asked}) == 300

    held(main)


def test_queries_over_the_limit_wait_for_their_turn():
    async def main():
        peer = Peer(lambda frame: [])
        start = asyncio.get_running_loop().time()
        async with dns.Client("memgram:b", max_in_flight=2, attempts=1, timeout=1) as client:
            done = await asyncio.gather(
                *(client.query("a.") for _ in range(5)), return_exceptions=True
            )
        assert all(isinstance(error, TimedOut) for error in done)
        assert len(peer.asked) == 5
        # Two at a time, a second each.
        assert asyncio.get_running_loop().time() - start == pytest.approx(3.0)

    held(main)


@pytest.mark.rfc("5452", "9.1")
def test_messages_that_are_no_answer_are_counted():
    async def main():
        def react(frame):
            good = answer(frame)
            yield b"junk"
            yield bytes([good[0] ^ 255]) + good[1:]
            yield bytes([*good[:2], good[2] | 0x20, *good[3:]])  # another opcode
            yield good
            yield good  # once more

        Peer(react)
        async with dns.Client("memgram:b", attempts=1) as client:
            assert client.ignored == 0
            await client.query("a.")
            await asyncio.sleep(0)
            await client.query("b.")
            assert client.ignored >= 7

    held(main)


def test_a_forgery_is_not_parsed_beyond_what_tells_that_it_is_one(monkeypatch):
    """64 KB of records take 18 ms to parse, and sixty of them a second."""
    parsed = []

    def parse(frame, *arguments, **options):
        parsed.append(frame)
        return parse_response(frame, *arguments, **options)

    monkeypatch.setattr("pierhead.protocols.dns.exchange.parse_response", parse)
    records = (b"\0" + (1).to_bytes(2, "big") + bytes(8)) * 5900

    async def main():
        def react(frame):
            good = answer(frame)
            head = good[:6] + (5900).to_bytes(2, "big") + good[8:12]
            asked = frame[12 : frame.index(b"\0", 12) + 5]
            yield bytes((good[0] ^ 255,)) + head[1:] + asked + records  # another identifier
            yield head + b"\1z\0" + asked[-4:] + records  # another question
            yield bytes((*head[:2], head[2] | 0x20, *head[3:])) + asked + records  # another opcode
            yield good

        Peer(react)
        async with dns.Client("memgram:b", attempts=1) as client:
            assert (await client.query("a.")).rcode == dns.NOERROR
            assert client.ignored == 3

    held(main)
    assert [len(frame) < 200 for frame in parsed] == [True]


@pytest.mark.parametrize("read", [parse_head, parse_response])
def test_reading_a_response_takes_time_in_proportion_to_its_length(read):
    """In calls of functions, Python's and C's; nothing in it may be read again and again."""

    def calls(records):
        body = (b"\xc0\x0c" + (1).to_bytes(2, "big") + bytes(8)) * records
        head = bytes(2) + b"\x80\0\0\1" + records.to_bytes(2, "big") + bytes(4)
        frame = head + b"\3www\7example\0\0\1\0\1" + body
        count = 0

        def note(_frame, event, _argument):
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(note)
        try:
            read(frame)
        finally:
            sys.setprofile(None)
        return count

    few, more, many = calls(500), calls(1000), calls(2000)
    assert many - more <= 2.05 * (more - few) + 10


def test_a_flood_of_forgeries_cannot_keep_a_deadline_from_passing(monkeypatch):
    async def main():
        class Flood:
            """An end that always has one more datagram."""

            ignored = 0
            closed = False

            def send(self, data):
                pass

            async def receive(self):
                return b"forged"

            def close(self):
                self.closed = True

        flood = Flood()

        async def dial(address, *, source=None):
            return flood

        monkeypatch.setattr("pierhead.protocols.dns.client.dial_datagram", dial)
        with pytest.raises(TimedOut):
            await dns.query("127.0.0.1:53", "a.", attempts=1, timeout=0.01)
        assert flood.closed

    asyncio.run(main())


def test_a_socket_that_fails_tells_everybody():
    async def main():
        async with dns.Client("memgram:b") as client:
            Peer(lambda frame: [])
            waiting = asyncio.create_task(client.query("a."))
            await asyncio.sleep(0.1)
            client._datagrams._client.close()
            with pytest.raises(OSError, match="closed"):
                await waiting
            with pytest.raises(OSError, match="closed"):
                await client.query("b.")

    held(main)


def test_closing_a_client_fails_its_pending_queries():
    async def main():
        Peer(lambda frame: [])
        listener = MemoryStreamListener(ListenSpec.parse("mem:s"), "s", Network.current())
        for address in ("memgram:b", "mem:s"):
            client = dns.Client(address)
            with pytest.raises(UsageError, match="not open"):
                await client.query("a.")
            async with client:
                waiting = asyncio.create_task(client.query("a."))
                await asyncio.sleep(0.1)
            with pytest.raises(UsageError, match="closed before the answer"):
                await waiting
        listener.close()

    held(main)


async def nowhere(*arguments, **options):
    """Dial an address that nothing ever comes back from."""
    await asyncio.get_running_loop().create_future()


@pytest.fixture
def slow_tcp(monkeypatch):
    """Let a client reach its server over datagrams, and get lost on the way over TCP."""

    async def dial(address, *, source=None):
        return await dial_datagram("memgram:b")

    monkeypatch.setattr("pierhead.protocols.dns.client.dial_datagram", dial)
    monkeypatch.setattr("pierhead.protocols.dns.exchange.dial_stream", nowhere)


def truncated_if_large(frame):
    reply = answer(frame)
    is_large = parse_query(frame).name == "large."
    return [bytes([*reply[:2], reply[2] | 2, *reply[3:]]) if is_large else reply]


def test_a_connection_that_is_slow_to_open_keeps_no_datagram_waiting(slow_tcp):
    async def main():
        Peer(truncated_if_large)
        now = asyncio.get_running_loop().time
        async with dns.Client("127.0.0.1:53", timeout=3) as client:
            start = now()
            over_tcp = [asyncio.create_task(client.query("large.")) for _ in range(2)]
            await asyncio.sleep(1)
            assert (await client.query("small.")).answer
            assert now() == start + 1
            with pytest.raises(TimedOut, match=r"tcp:127\.0\.0\.1:53 in 3 s"):
                await over_tcp[0]
            # Who waits for another's connection waits no longer than for its own.
            assert now() == pytest.approx(start + 3)
            with pytest.raises(TimedOut):
                await over_tcp[1]
            assert now() == pytest.approx(start + 3)

    held(main)


def test_closing_does_not_wait_for_what_is_being_opened(slow_tcp):
    async def main():
        Peer(truncated_if_large)
        async with dns.Client("127.0.0.1:53", timeout=3) as client:
            over_tcp = [asyncio.create_task(client.query("large.")) for _ in range(2)]
            await asyncio.sleep(1)
            start = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() == start
        for one in over_tcp:
            with pytest.raises(UsageError, match=r"closed before the answer|not open"):
                await one

    held(main)


def test_opening_the_socket_has_the_time_of_an_attempt(monkeypatch):
    async def main():
        # An address may be a name that does not resolve.
        monkeypatch.setattr("pierhead.protocols.dns.client.dial_datagram", nowhere)
        start = asyncio.get_running_loop().time()
        async with asyncio.timeout(60), dns.Client("127.0.0.1:53", timeout=3) as client:
            with pytest.raises(TimedOut, match=r"127\.0\.0\.1:53 in 3 s"):
                await client.query("a.")
            assert asyncio.get_running_loop().time() == pytest.approx(start + 3)

    held(main)


@pytest.mark.parametrize(
    "options", [{"attempts": 16}, {"timeout": -1}, {"max_in_flight": 0}, {"max_in_flight": 4001}]
)
def test_limits_of_a_client_are_checked(options):
    with pytest.raises(UsageError):
        dns.Client("127.0.0.1:53", **options)


def test_class_flags_and_opcode_are_sent_and_expected_back():
    async def main():
        def react(frame):
            # A server copies opcode and question; this one changes nothing else.
            return [frame[:2] + bytes([frame[2] | 0x80]) + frame[3:]]

        peer = Peer(react)
        response = await dns.query(
            "memgram:b", "a.", "TXT", rclass="CH", flags=0x2020, recursion_desired=True, edns=None
        )
        assert response.question == (b"\x01a\x00", iana.type_number("TXT"), iana.CLASS_CH)
        assert peer.asked[0][2:4] == b"\x21\x20"
        assert response.server == "memgram:b"

    held(main)


class Streams:
    """A stream server whose connections answer as a function says; it counts them."""

    def __init__(self, make):
        self.opened = 0
        self._make = make
        self._listener = MemoryStreamListener(ListenSpec.parse("mem:s"), "s", Network.current())
        self._task = asyncio.create_task(self._run())

    async def _run(self):
        while True:
            accepted = await self._listener.accept()
            self.opened += 1
            await accepted.attach(self._make())

    async def close(self):
        self._task.cancel()
        await asyncio.wait([self._task])
        self._listener.close()


class Connection(asyncio.Protocol):
    """Splits what comes into queries, and answers when there are enough, the last one first."""

    def __init__(self, together=1, close_after=0, late=()):
        self._framer = LengthPrefixed(2).new()
        self._held = []
        self._together = together
        self._left = close_after
        self._late = late

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        self._framer.feed(data)
        for frame in self._framer.frames(1000):
            self._held.append(frame)
        if len(self._held) >= self._together:
            for frame in reversed(self._held):
                reply = ReplyCodec().encode(parse_query(frame).reply(dns.A("192.0.2.1")))
                for message in (*self._late, reply):
                    self._transport.write(len(message).to_bytes(2, "big") + message)
            self._held.clear()
            self._left -= 1
            if self._left == 0:
                self._transport.close()


@pytest.mark.rfc("7766", "7")
def test_queries_on_one_connection_are_answered_in_any_order():
    async def main():
        server = Streams(lambda: Connection(together=50))
        async with dns.Client("mem:s") as client:
            names = [f"n{n}.test." for n in range(50)]
            responses = await asyncio.gather(*(client.query(name) for name in names))
        assert [response.answer[0].name for response in responses] == names
        assert server.opened == 1
        await server.close()

    held(main)


@pytest.mark.rfc("7766", "6.2.4")
def test_a_connection_that_the_server_has_closed_is_opened_anew():
    async def main():
        server = Streams(lambda: Connection(close_after=1))
        async with dns.Client("mem:s") as client:
            assert (await client.query("a.")).rcode == dns.NOERROR
            # The end of the stream and this query cross each other.
            assert (await client.query("b.")).rcode == dns.NOERROR
            await asyncio.sleep(1)
            assert (await client.query("c.")).rcode == dns.NOERROR
        assert server.opened == 3
        await server.close()

    held(main)


def test_an_answer_to_an_abandoned_query_is_ignored_on_a_connection():
    async def main():
        late = ReplyCodec().encode(parse_query(QUERY).reply())
        server = Streams(lambda: Connection(late=[late]))
        async with dns.Client("mem:s") as client:
            assert (await client.query("b.")).answer
            assert client.ignored == 1
        await server.close()

    held(main)


def test_the_answer_to_another_question_ends_a_connection():
    class Wrong(Connection):
        def data_received(self, data):
            reply = bytearray(ReplyCodec().encode(parse_query(data[2:]).reply()))
            reply[13] ^= 1
            self._transport.write(len(reply).to_bytes(2, "big") + reply)

    async def main():
        server = Streams(Wrong)
        with pytest.raises(PeerError, match="not asked"):
            await dns.query("mem:s", "a.")
        await server.close()

    held(main)


def test_times_out_on_a_connection_that_was_good_before():
    class Once(Connection):
        def data_received(self, data):
            if not self._late:
                self._late = (1,)
                reply = ReplyCodec().encode(parse_query(data[2:]).reply())
                self._transport.write(len(reply).to_bytes(2, "big") + reply)

    async def main():
        server = Streams(Once)
        async with dns.Client("mem:s") as client:
            await client.query("a.")
            with pytest.raises(TimedOut):
                await client.query("b.")
        await server.close()

    held(main)


COOKIE = dns.Edns(options=((iana.OPTION_NSID, b""), (iana.OPTION_COOKIE, b"client!!")))


def with_cookie(frame, cookie, rcode=dns.NOERROR):
    reply = dns.Reply(parse_query(frame), rcode, options=((iana.OPTION_COOKIE, cookie),))
    return ReplyCodec().encode(reply)


@pytest.mark.rfc("7873", "5.3")
def test_a_cookie_that_the_server_wants_to_see_is_shown():
    def react(frame):
        shown = dict(parse_query(frame).edns.options)[iana.OPTION_COOKIE]
        good = shown == b"client!!server-cookie"
        return [with_cookie(frame, b"client!!server-cookie", 0 if good else iana.BADCOOKIE)]

    async def main():
        peer = Peer(react)
        response = await dns.query("memgram:b", "a.", edns=COOKIE)
        assert response.rcode == dns.NOERROR
        assert len(peer.asked) == 2
        assert parse_query(peer.asked[1]).edns.options[0] == (iana.OPTION_NSID, b"")

    held(main)


@pytest.mark.rfc("7873", "5.3")
@pytest.mark.parametrize(
    ("edns", "cookie"),
    [
        (COOKIE, b"client!!"),  # nothing of the server's in it
        (dns.Edns(options=((iana.OPTION_COOKIE, b"client!!server-1"),)), b"client!!server-1"),
        (dns.Edns(), b"client!!server-1"),  # none was sent
    ],
)
def test_a_badcookie_reply_without_a_cookie_is_returned_as_the_answer(edns, cookie):
    async def main():
        peer = Peer(lambda frame: [with_cookie(frame, cookie, iana.BADCOOKIE)])
        assert (await dns.query("memgram:b", "a.", edns=edns)).rcode == iana.BADCOOKIE
        assert len(peer.asked) == 1

    held(main)


@pytest.mark.rfc("7873", "5.3")
def test_an_answer_with_a_cookie_that_is_not_ours_is_waited_past():
    def react(frame):
        yield with_cookie(frame, b"another!server-cookie", dns.REFUSED)
        yield with_cookie(frame, b"client!!server-cookie")

    async def main():
        Peer(react)
        assert (await dns.query("memgram:b", "a.", edns=COOKIE)).rcode == dns.NOERROR

    held(main)
