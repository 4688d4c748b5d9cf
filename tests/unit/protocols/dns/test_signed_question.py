"""A client that signs its questions, and what it takes for an answer."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.protocols.dns.test_client import Peer, answer, held

from pierhead.errors import PeerError, TimedOut
from pierhead.protocols import dns
from pierhead.protocols.dns.signed_question import SignatureRefused
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.tsig import Key, Keyring, sign, verify
from pierhead.protocols.dns.wire.tsig.record import TsigRecord, find_tsig
from pierhead.protocols.dns.wire.tsig.signature import unsigned_error
from pierhead.server.server import Server

NOW = 1_700_000_000
KEY = Key("north.example", bytes(range(32)))
OTHER = Key("north.example", b"another")


class Wall:
    """A wall clock that stands still."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


async def site(query, context):
    signed = context.get(dns.SignedBy)
    texts = ["x" * 250] * 4 if query.name.startswith("long.") else []
    return query.reply(dns.TXT(signed.name if signed else "nobody", *texts))


def served(*keys: Key, clock: Wall | None = None):
    return dns.serve(dns.standard(site, tsig=dns.tsig(keys, clock=clock)))


def client(address: str, key: Key = KEY, *, clock: Wall | None = None, **more) -> dns.Client:
    return dns.Client(address, key=key, clock=clock or Wall(), **more)


@pytest.mark.rfc("8945", "5.4")
@pytest.mark.parametrize("address", ["memgram:b", "mem:b"])
def test_answers_are_verified_and_come_without_their_signature(address):
    async def main():
        async with Server(served(KEY, clock=Wall()), address), client(address) as asking:
            names = [f"{n}.example." for n in range(20)]
            for response in await asyncio.gather(*(asking.query(n, "TXT") for n in names)):
                assert response.answer[0].data == '"north.example."'
                assert response.additional == ()
                assert find_tsig(response.frame) is None

    held(main)


@pytest.mark.rfc("8945", "5.3")
async def test_a_truncated_answer_is_asked_for_again_over_tcp_signed():
    async with Server(served(KEY, clock=Wall()), "127.0.0.1:0") as server:
        address = server.addresses[0].partition(":")[2]
        async with client(address) as asking:
            response = await asking.query("long.example.", "TXT", edns=None)
    assert len(response.answer[0].octets) > 1000
    assert response.server.startswith("tcp:")


def test_one_question_is_signed_too():
    async def main():
        async with Server(served(KEY), "memgram:b"):
            response = await dns.query("memgram:b", "www.example.", "TXT", key=KEY)
        assert response.answer[0].data == '"north.example."'

    held(main)


def test_a_cookie_that_is_demanded_is_shown_signed():
    async def main():
        cookies = dns.cookies(required=["0.0.0.0/0", "::/0"])
        stack = dns.standard(site, cookies=cookies, tsig=dns.tsig([KEY], clock=Wall()))
        async with Server(dns.serve(stack), "udp:127.0.0.1:0") as server:
            edns = dns.Edns(options=((iana.OPTION_COOKIE, b"8 octets"),))
            async with client(server.addresses[0]) as asking:
                response = await asking.query("www.example.", "TXT", edns=edns)
        assert response.rcode == dns.NOERROR
        assert response.answer[0].data == '"north.example."'

    asyncio.run(main())


REFUSALS = [
    pytest.param(Key("south.example", b"x"), 0, "BADKEY: it does not know a key south", id="key"),
    pytest.param(OTHER, 0, "BADSIG: its key north.example. has another secret", id="secret"),
    pytest.param(KEY, 400, "BADTIME: its clock is 400 s ahead of this one", id="ahead"),
    pytest.param(KEY, -400, "BADTIME: its clock is 400 s behind this one", id="behind"),
    pytest.param(
        Key("north.example", KEY.secret, algorithm="hmac-sha256-128"),
        0,
        "BADTRUNC: it demands longer MACs than 128 bits",
        id="length",
    ),
]


@pytest.mark.rfc("8945", "5.3.2")
@pytest.mark.parametrize("address", ["memgram:b", "mem:b"])
@pytest.mark.parametrize(("key", "ahead", "text"), REFUSALS)
def test_a_refusal_says_what_to_mend(address, key, ahead, text):
    async def main():
        clock = Wall(NOW + ahead)
        async with Server(served(KEY, clock=clock), address), client(address, key) as asking:
            for _ in range(2):  # the connection is good for more
                with pytest.raises(SignatureRefused, match=text):
                    await asking.query("www.example.", "TXT")

    held(main)


def forged(frame: bytes, reply: bytes) -> bytes:
    return sign(reply, OTHER, NOW, request_mac=find_tsig(frame).mac).frame


def for_another(frame: bytes, reply: bytes) -> bytes:
    return sign(reply, KEY, NOW, request_mac=bytes(32)).frame


def unsigned(frame: bytes, reply: bytes) -> bytes:
    return reply


def refused_with_another_name(frame: bytes, reply: bytes) -> bytes:
    record = TsigRecord(b"\1x\0", KEY.algorithm.name, NOW, 300)
    return unsigned_error(reply, record, iana.BADKEY)


FORGERIES = [forged, for_another, unsigned, refused_with_another_name]


@pytest.mark.rfc("8945", "5.4")
@pytest.mark.parametrize("make", FORGERIES, ids=lambda make: make.__name__)
def test_a_datagram_that_is_not_signed_as_it_should_be_is_ignored(make):
    async def main():
        def react(frame):
            found = verify(frame, Keyring([KEY]), NOW)
            reply = answer(found.frame)
            good = sign(reply, KEY, NOW, request_mac=found.record.mac).frame
            return [make(frame, reply), good] if is_answered else [make(frame, reply)]

        is_answered = True
        Peer(react)
        async with client("memgram:b", attempts=2, timeout=1) as asking:
            response = await asking.query("www.example.")
            assert response.answer[0].data == "192.0.2.1"
            assert asking.ignored == 1
            is_answered = False
            with pytest.raises(TimedOut, match="one was ignored: "):
                await asking.query("www.example.")

    held(main)


@pytest.mark.rfc("8945", "5.4")
def test_a_stream_whose_answer_is_not_signed_is_not_trusted():
    async def main():
        async with Server(dns.serve(dns.stack(site)), "mem:b"), client("mem:b") as asking:
            with pytest.raises(PeerError, match="not trusted: the reply to a signed request"):
                await asking.query("www.example.", "TXT")

    held(main)
