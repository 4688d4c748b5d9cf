"""Ready answers are what the long way would have given, and are sent only where it would."""

from __future__ import annotations

import contextlib
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pierhead import Server
from pierhead.client.dial import dial_datagram
from pierhead.errors import DecodeError
from pierhead.middleware import limit
from pierhead.protocols import dns
from pierhead.protocols.dns.services.zones import ZoneService
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.zone.master_file import parse_zone
from pierhead.protocols.dns.zone.zone import Zones
from pierhead.service import FrameHandler
from pierhead.service.context import Context, Peer, Transport, Via

ZONE = b"""$ORIGIN example.
$TTL 300
@ SOA ns host 1 2 3 4 5
@ NS ns
ns A 192.0.2.1
www A 192.0.2.2
www AAAA 2001:db8::2
big TXT "%s"
big TXT "%s"
big TXT "%s"
alias CNAME www
*.wild A 192.0.2.3
moved DNAME other
www.other A 192.0.2.4
sub NS ns.sub
ns.sub A 192.0.2.5
""" % (b"x" * 250, b"y" * 250, b"z" * 250)

VIA = Via(transport=Transport.DATAGRAM, scheme="udp", local="udp:127.0.0.1:1", listener="l")
HERE = Peer(("127.0.0.1", 5))


def service(text: bytes = ZONE) -> ZoneService:
    return ZoneService(Zones([parse_zone(text, origin="example.")]))


def frame(
    name: str, rtype: int = 1, *, ident: int = 7, flags: int = 0, opt: bytes | None = None
) -> bytes:
    head = ident.to_bytes(2, "big") + flags.to_bytes(2, "big")
    counts = b"\0\1\0\0\0\0" + (b"\0\1" if opt is not None else b"\0\0")
    return head + counts + from_text(name) + rtype.to_bytes(2, "big") + b"\0\1" + (opt or b"")


def edns(size: int, do: bool = False) -> bytes:
    return (
        b"\0\0\x29" + size.to_bytes(2, "big") + b"\0\0" + (b"\x80\0" if do else b"\0\0") + b"\0\0"
    )


async def ask(handler: FrameHandler, query: bytes) -> bytes | None:
    reply: Any = await handler.service(query, Context(HERE, 0.0, VIA))
    return reply


def ready(handler: FrameHandler, query: bytes, peer: Peer = HERE) -> bytes | None:
    assert handler.answer_now is not None
    return handler.answer_now(query, peer, VIA)


def handler(stack: Any = None, **options: Any) -> FrameHandler:
    datagram = dns.serve(stack if stack is not None else service(), **options).datagram
    assert datagram is not None
    return datagram


#: Names that exist, lead to others or are delegated: their answers are the same for every client.
READY = ["www", "big", "alias", "ns", "sub", "a.sub", "wild"]
#: Names that do not exist, and names synthesized from another record.
NEVER = ["nothing", "www.moved"]


def must_not_be_ready(name: str, rtype: int) -> bool:
    # Truncated answers are kept as well: the size that the client can take is part of the key.
    return name in NEVER or (name == "a.wild" and rtype in (1, 255))  # what the wildcard has


@given(
    name=st.sampled_from([*READY, *NEVER, "a.wild"]),
    case=st.lists(st.booleans(), min_size=20, max_size=20),
    rtype=st.sampled_from([1, 2, 16, 28, 65, 97, 255]),
    ident=st.integers(0, 65535),
    flags=st.sampled_from([0, 0x0100, 0x0110, 0x0010, 0x0120, 0x0140]),
    size=st.sampled_from([None, 0, 512, 800, 1232, 0x4141, 0x6161]),
    do=st.booleans(),
)
async def test_a_ready_answer_is_the_answer(
    name: str,
    case: list[bool],
    rtype: int,
    ident: int,
    flags: int,
    size: int | None,
    do: bool,
) -> None:
    asked = f"{name}.example."
    spelt = "".join(c.upper() if up else c for c, up in zip(asked, case, strict=False))
    spelt += asked[len(spelt) :]
    opt = edns(size, do) if size is not None else None
    it = handler()
    first = frame(asked, rtype, ident=1, flags=flags, opt=opt)
    await ask(it, first)
    again = frame(spelt, rtype, ident=ident, flags=flags, opt=opt)
    now = ready(it, again)
    if name in READY:
        assert now is not None
    if must_not_be_ready(name, rtype):
        assert now is None
    if now is not None:
        assert now == await ask(handler(max_ready_answers=0), again)


async def test_a_repeated_query_is_ready_in_any_letter_case() -> None:
    it = handler()
    assert ready(it, frame("www.example.")) is None
    await ask(it, frame("www.example."))
    now = ready(it, frame("WwW.eXample.", ident=99))
    assert now is not None
    assert now[:2] == b"\0\x63"
    assert from_text("WwW.eXample.") in now


@pytest.mark.parametrize(
    ("why", "query"),
    [
        ("no such name: they are without number", frame("nothing.example.")),
        ("a wildcard's: they are without number", frame("any.wild.example.")),
        ("a DNAME spells the question out", frame("www.moved.example.")),
        (
            "a cookie is for one client",
            frame("www.example.", opt=edns(1232)[:-2] + b"\0\x0c\0\x0a\0\x08" + bytes(8)),
        ),
        ("a refusal", frame("www.elsewhere.")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_some_answers_are_never_ready(why: str, query: bytes) -> None:
    it = handler()
    assert await ask(it, query) is not None
    assert ready(it, query) is None, why


async def test_other_zones_make_every_ready_answer_stale() -> None:
    zones = service()
    it = handler(zones)
    query = frame("www.example.")
    await ask(it, query)
    assert ready(it, query) is not None
    zones.zones = service(ZONE.replace(b"192.0.2.2", b"192.0.2.99")).zones
    assert ready(it, query) is None
    fresh = await ask(it, query)
    assert fresh is not None
    assert bytes([192, 0, 2, 99]) in fresh
    assert ready(it, query) == fresh


async def test_an_answer_made_while_the_zones_changed_is_not_kept() -> None:
    old, new = service().zones, service(ZONE.replace(b"192.0.2.2", b"192.0.2.99")).zones

    class Changing(ZoneService):
        async def __call__(self, query: Any, context: Any) -> Any:
            reply = await super().__call__(query, context)
            self.zones = new
            return reply

    it = handler(Changing(old))
    query = frame("www.example.")
    await ask(it, query)
    assert ready(it, query) is None


async def test_rate_limiting_counts_ready_answers() -> None:
    limited = dns.standard(service(), rate_limit=dns.rate_limit(1, burst=3, exempt=()))
    it = handler(limited)
    query = frame("www.example.")
    await ask(it, query)
    assert [ready(it, query) is None for _ in range(4)] == [False, False, True, True]


@pytest.mark.parametrize(
    "stack",
    [
        dns.standard(service(), query_log=True),
        dns.standard(service(), cookies=dns.cookies(required=["0.0.0.0/0"])),
        dns.stack(service(), limit(10)),
        dns.refuse(),
    ],
    ids=["a query log", "required cookies", "a foreign layer", "a service without snapshot"],
)
def test_there_are_no_ready_answers_where_each_query_has_to_be_seen(stack: Any) -> None:
    assert handler(stack).answer_now is None


def test_no_answers_are_kept_ready_if_disabled() -> None:
    assert handler(max_ready_answers=0).answer_now is None


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(1, 20))
async def test_no_more_are_kept_than_allowed(numbers: list[int], most: int) -> None:
    names = b"".join(b"h%d A 192.0.2.1\n" % n for n in range(31))
    it = handler(service(ZONE + names), max_ready_answers=most)
    for number in numbers:
        query = frame(f"h{number}.example.")
        if ready(it, query) is None:
            await ask(it, query)
        assert len(it.answer_now) <= most  # type: ignore[arg-type]


async def test_a_server_answers_from_them_and_counts_it(network: Any) -> None:
    async with Server(dns.serve(service()), "memgram:dns") as server:
        client = await dial_datagram("memgram:dns")
        replies = []
        for ident in range(3):
            client.send(frame("www.example.", ident=ident))
            replies.append(await client.receive())
        client.close()
        assert [reply[2:] for reply in replies] == [replies[0][2:]] * 3
        assert server.metrics.total("ready_answers_total") == 2


LONGEST = ".".join(("a" * 63, "b" * 63, "c" * 63, "d" * 52, "example."))
MOST_EXPENSIVE = (
    ZONE
    + LONGEST.encode()
    + b' TXT "%s"\n' % (b"v" * 255)
    + b"".join(LONGEST.encode() + b' TXT "%s%d"\n' % (b"w" * 250, n) for n in range(3))
)


def with_junk(kind: str, number: int) -> bytes:
    """Return a query with octets after the question that a client may choose."""
    varied = number.to_bytes(4, "big")
    match kind:
        case "a padded OPT record":
            data = b"\xfe\x00" + (60_000).to_bytes(2, "big") + varied + bytes(59_996)
            opt = b"\0\0\x29\x04\xd0\0\0\0\0" + len(data).to_bytes(2, "big") + data
            return frame("www.example.", opt=opt)
        case "another record":
            record = b"\0\0\x10\0\x01\0\0\0\0" + (60_000).to_bytes(2, "big") + varied
            return frame("www.example.", opt=record + bytes(59_996))
        case "an owner in the answer section":
            whole = frame("www.example.", opt=b"\0\0\x10\0\x01" + varied + b"\0\0")
            return whole[:6] + b"\0\1" + whole[8:10] + b"\0\0" + whole[12:]
    return frame("www.example.") + varied + bytes(60_000)


@pytest.mark.parametrize(
    "kind",
    [
        "a padded OPT record",
        "another record",
        "an owner in the answer section",
        "octets behind the message",
    ],
)
async def test_a_query_with_client_chosen_octets_after_the_question_is_not_kept(kind: str) -> None:
    it = handler()
    for number in range(5):
        with contextlib.suppress(DecodeError):
            await ask(it, with_junk(kind, number))
    assert len(it.answer_now) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [LONGEST, "www.example.", "big.example."])
async def test_ready_answers_take_no_more_memory_than_they_may(name: str) -> None:
    most = 250_000
    it = handler(service(MOST_EXPENSIVE), max_ready_bytes=most, max_ready_answers=10_000_000)
    await ask(it, frame(name, 16, opt=edns(1232)))  # what is made at first use
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(1_000):  # sizes that all give the same answer
            await ask(it, frame(name, 16, opt=edns(1232 + number)))
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(it.answer_now) > 50  # type: ignore[arg-type]
    assert taken <= most


async def test_no_answer_is_kept_in_no_memory() -> None:
    assert handler(max_ready_bytes=0).answer_now is None
    it = handler(max_ready_bytes=1_000)
    await ask(it, frame("www.example."))
    assert len(it.answer_now) == 0  # type: ignore[arg-type]
