"""The layer of signatures: what it lets in, what it refuses, and that every reply is signed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import dns.message
import dns.name
import dns.tsig
import pytest
from tests.unit.protocols.dns.middleware.asking import HeldClock, answer, context

from pierhead.errors import UsageError
from pierhead.protocols import dns as pdns
from pierhead.protocols.dns.answer_cache import AnswerCache
from pierhead.protocols.dns.codec import DatagramReplyCodec, QueryCodec, ReplyCodec
from pierhead.protocols.dns.response import parse_response
from pierhead.protocols.dns.trace import Trace
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.name import from_text
from pierhead.protocols.dns.wire.query import build_query
from pierhead.protocols.dns.wire.tsig import (
    Key,
    Keyring,
    StreamVerifier,
    find_tsig,
    sign,
    verify,
)
from pierhead.protocols.dns.wire.tsig.record import add_tsig, without_tsig
from pierhead.service.coding import coded
from pierhead.service.context import Context

NOW = 1_700_000_000
KEY = Key("north.example", bytes(range(32)))
OTHER = Key("south.example", b"another secret", algorithm="hmac-sha512")
RING = Keyring([KEY, OTHER])
NAME = from_text("www.example.")
EDNS = pytest.mark.parametrize("edns", [None, Edns(), Edns(do=True)], ids=["", "edns", "do"])


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock(NOW)


@pytest.fixture
def layer(clock):
    return pdns.tsig(RING, clock=clock)


def asking(rtype=iana.A, *, edns=None, opcode=0, name=NAME) -> bytes:
    return build_query(7, name, rtype, edns=edns, flags=opcode << 11)


async def ask(service, frame: bytes, *, tcp: bool = False, where: Context | None = None) -> bytes:
    """Return what a server with this stack sends for a frame."""
    queries = QueryCodec(service.opcodes)
    codec = (ReplyCodec if tcp else DatagramReplyCodec)(1232, extended_errors=True, queries=queries)
    handler = coded(service.service, queries, codec, None)
    where = where or context(tcp=tcp)
    try:
        return await handler.service(frame, where)
    except Exception as error:
        return handler.reject(error, frame)


def opened(frame: bytes, request_mac: bytes, key: Key = KEY):
    """Return the response in a frame with a valid signature, and its TSIG record."""
    found = verify(frame, Keyring([key]), NOW, request_mac=request_mac)
    assert found is not None
    return parse_response(found.frame), found.record


def changed(frame: bytes, **fields: object) -> bytes:
    record = find_tsig(frame)
    return add_tsig(without_tsig(frame, record), replace(record, **fields))


@pytest.mark.rfc("8945", "5.3")
@EDNS
@pytest.mark.parametrize("key", [KEY, OTHER], ids=str)
@pytest.mark.parametrize("tcp", [False, True])
async def test_the_reply_to_a_signed_question_is_signed(layer, edns, key, tcp):
    request = sign(asking(edns=edns), key, NOW)
    response, record = opened(
        await ask(pdns.stack(answer, layer), request.frame, tcp=tcp), request.mac, key
    )
    assert [str(each) for each in response.answer] == ["www.example. 300 IN A 192.0.2.80"]
    assert (record.error, record.original_id, record.time) == (0, 7, NOW)
    assert (response.edns is None) is (edns is None)


@EDNS
async def test_a_question_without_signature_passes_and_gets_none(layer, edns):
    frame = await ask(pdns.stack(answer, layer), asking(edns=edns))
    assert find_tsig(frame) is None
    assert len(parse_response(frame).answer) == 1


async def test_the_service_learns_the_key(layer):
    found = []

    async def service(query, context):
        found.append(context.get(pdns.SignedBy))
        return query.reply()

    stacked = pdns.stack(service, layer)
    await ask(stacked, sign(asking(), OTHER, NOW - 3).frame)
    await ask(stacked, asking())
    assert (found[0].key, found[0].name, found[0].time) == (OTHER, "south.example.", NOW - 3)
    assert found[1] is None


@pytest.mark.rfc("8945", "5.2.1")
@pytest.mark.rfc("8945", "5.3.2")
@EDNS
@pytest.mark.parametrize(
    ("key", "error"),
    [
        (Key("west.example", KEY.secret), iana.BADKEY),
        (Key("north.example", KEY.secret, algorithm="hmac-sha1"), iana.BADKEY),
        (Key("north.example", b"guessed"), iana.BADSIG),
    ],
)
async def test_a_wrong_key_or_signature_is_refused_unsigned(layer, edns, key, error):
    request = sign(asking(edns=edns), key, NOW)
    frame = await ask(pdns.stack(answer, layer), request.frame)
    record = find_tsig(frame)
    assert (record.error, record.mac, record.name) == (error, b"", key.name)
    assert (record.algorithm, record.original_id, record.other) == (key.algorithm.name, 7, b"")
    response = parse_response(frame)
    assert (response.rcode, response.answer) == (iana.NOTAUTH, ())
    assert len(frame) <= len(request.frame)  # of no use to who forges a source
    label = {iana.BADKEY: "badkey", iana.BADSIG: "badsig"}[error]
    assert layer.metrics.counter("tsig_refused_total", error=label).value == 1


@pytest.mark.rfc("8945", "5.2.3")
@EDNS
@pytest.mark.parametrize("skew", [-301, 301])
async def test_a_wrong_time_is_refused_signed_with_the_time_of_both(layer, edns, skew):
    request = sign(asking(edns=edns), KEY, NOW + skew)
    frame = await ask(pdns.stack(answer, layer), request.frame)
    found = verify(frame, RING, NOW + skew, request_mac=request.mac)
    assert (found.record.error, found.record.time) == (iana.BADTIME, NOW + skew)
    assert int.from_bytes(found.record.other, "big") == NOW
    assert (len(found.record.other), found.record.fudge) == (6, 300)
    assert parse_response(found.frame).rcode == iana.NOTAUTH


@pytest.mark.rfc("8945", "5.2.3")
async def test_dnspython_understands_badtime(layer, monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOW + 400)
    key = dns.tsig.Key(KEY.text, KEY.secret, dns.name.from_text("hmac-sha256"))
    request = dns.message.make_query("www.example.", "A")
    request.use_tsig(key)
    frame = await ask(pdns.stack(answer, layer), request.to_wire())
    with pytest.raises(dns.tsig.PeerBadTime):
        dns.message.from_wire(frame, keyring=key, request_mac=request.mac)


@pytest.mark.rfc("8945", "5.2.4")
async def test_a_mac_that_is_too_short_is_refused_signed(layer):
    request = sign(asking(), KEY, NOW)
    frame = await ask(pdns.stack(answer, layer), changed(request.frame, mac=request.mac[:16]))
    response, record = opened(frame, request.mac[:16])
    assert (response.rcode, record.error) == (iana.NOTAUTH, iana.BADTRUNC)
    assert len(record.mac) == 32


@pytest.mark.rfc("8945", "5.3.1")
async def test_a_key_with_short_macs_gets_short_macs(clock):
    short = Key("north.example", KEY.secret, algorithm="hmac-sha256-128")
    service = pdns.stack(answer, pdns.tsig([short], clock=clock))
    request = sign(asking(), short, NOW)
    _, record = opened(await ask(service, request.frame), request.mac, short)
    assert len(record.mac) == 16


SIGNED = sign(asking(edns=Edns()), KEY, NOW).frame
RECORD = find_tsig(SIGNED)


@pytest.mark.rfc("8945", "5.2")
@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(SIGNED[:11] + b"\3" + SIGNED[12:] + RECORD.octets, id="two"),
        pytest.param(SIGNED[:9] + b"\2\0\0" + SIGNED[12:], id="authority section"),
        pytest.param(SIGNED[:7] + b"\1\0\0\0\1" + SIGNED[12:29] + RECORD.octets + SIGNED[29:40]),
        pytest.param(SIGNED.replace(b"\0\xfa\0\xff", b"\0\xfa\0\x01"), id="class IN"),
        pytest.param(changed(SIGNED, algorithm=b"\xc0\x0c"), id="compressed algorithm"),
        pytest.param(changed(SIGNED, mac=b"short"), id="MAC"),
    ],
)
async def test_a_record_in_the_wrong_place_or_malformed_is_a_format_error(layer, frame):
    answered = await ask(pdns.stack(answer, layer), frame)
    assert parse_response(answered).rcode == iana.FORMERR
    assert find_tsig(answered) is None


@pytest.mark.rfc("8945", "5.3")
@pytest.mark.parametrize("octets", range(300, 500, 7))
@pytest.mark.parametrize("key", [KEY, OTHER], ids=str)
async def test_a_reply_that_does_not_fit_with_its_signature_is_truncated_and_signed(
    layer, octets, key
):
    site = pdns.static({"www.example.": pdns.TXT("x" * 200, "y" * (octets - 200))})
    request = sign(asking(iana.TXT), key, NOW)
    frame = await ask(pdns.stack(site, layer), request.frame)
    response, _ = opened(frame, request.mac, key)
    assert len(frame) <= 512
    assert response.rcode == iana.NOERROR
    assert response.truncated is not bool(response.answer)
    frame = await ask(pdns.stack(site, layer), request.frame, tcp=True)
    assert opened(frame, request.mac, key)[0].answer


LONG = from_text(".".join(["x" * 60] * 4) + ".")


@pytest.mark.parametrize("known", [True, False])
async def test_names_that_leave_no_room_for_a_reply_are_a_format_error(clock, known):
    key = Key(".".join(["k" * 60] * 4), b"secret", algorithm="hmac-sha512")
    service = pdns.stack(answer, pdns.tsig([key] if known else [], clock=clock))
    request = sign(asking(name=LONG), key, NOW)
    assert parse_response(await ask(service, request.frame)).rcode == iana.FORMERR
    found = (
        verify(
            await ask(service, request.frame, tcp=True),
            Keyring([key]),
            NOW,
            request_mac=request.mac,
        )
        if known
        else None
    )
    assert (found is not None) is known


@pytest.mark.rfc("8945", "5.3")
async def test_refusals_and_failures_are_signed(layer):
    async def service(query, context):
        if query.rtype == "A":
            raise pdns.Refused("no")
        raise KeyError("mine")

    stacked = pdns.standard(service, tsig=layer)
    expected = {iana.A: iana.REFUSED, iana.MX: iana.SERVFAIL, iana.TKEY: iana.NOTIMP}
    for rtype, rcode in expected.items():
        request = sign(asking(rtype), KEY, NOW)
        assert opened(await ask(stacked, request.frame), request.mac)[0].rcode == rcode


@pytest.mark.rfc("8945", "5.3")
@pytest.mark.parametrize("opcode", [iana.OPCODE_NOTIFY, iana.OPCODE_UPDATE])
async def test_other_kinds_of_messages_are_signed(layer, opcode):
    request = sign(asking(iana.SOA, opcode=opcode), KEY, NOW)
    response, _ = opened(await ask(pdns.stack(answer, layer), request.frame), request.mac)
    assert response.rcode == iana.NOTIMP


async def update(service, time: int, *, key: Key = KEY, peer: str = "192.0.2.1") -> int:
    request = sign(asking(iana.SOA, opcode=iana.OPCODE_UPDATE), key, time)
    frame = await ask(service, request.frame, where=context(peer))
    found = verify(frame, RING, time, request_mac=request.mac)
    return found.record.error or parse_response(found.frame).rcode


@pytest.fixture
def updating(layer):
    async def service(query, context):
        return query.reply()

    return pdns.stack(service, layer, pdns.mandatory(opcodes={iana.OPCODE_UPDATE}))


@pytest.mark.rfc("8945", "5.2.3")
async def test_an_update_older_than_the_last_is_badtime(updating):
    assert await update(updating, NOW) == iana.NOERROR
    assert await update(updating, NOW - 1) == iana.BADTIME
    assert await update(updating, NOW) == iana.NOERROR  # two in one second
    assert await update(updating, NOW - 1, key=OTHER) == iana.NOERROR
    assert await update(updating, NOW - 1, peer="192.0.2.2") == iana.NOERROR
    assert await update(updating, NOW + 9) == iana.NOERROR
    assert await update(updating, NOW) == iana.BADTIME


async def test_who_has_no_key_sets_no_time(updating):
    forged = Key("north.example", b"guessed")
    request = sign(asking(iana.SOA, opcode=iana.OPCODE_UPDATE), forged, NOW + 100)
    await ask(updating, request.frame)
    assert await update(updating, NOW) == iana.NOERROR


async def test_queries_may_be_older_than_the_last(layer):
    service = pdns.stack(answer, layer)
    for time in (NOW, NOW - 5):
        request = sign(asking(), KEY, time)
        assert opened(await ask(service, request.frame), request.mac)[1].error == 0


@pytest.mark.rfc("8945", "5.3.1")
async def test_each_of_many_replies_is_signed_in_turn(layer, clock):
    async def many(query, context) -> AsyncIterator[pdns.Reply]:
        for n in range(5):
            clock.now += 1
            yield query.reply(pdns.A(f"192.0.2.{n}"))

    service = pdns.stack(many, layer)
    request = sign(asking(), KEY, NOW)
    queries = QueryCodec(service.opcodes)
    handler = coded(service.service, queries, ReplyCodec(queries=queries), None)
    verifier = StreamVerifier(KEY, request.mac)
    frames = [frame async for frame in await handler.service(request.frame, context(tcp=True))]
    for n, frame in enumerate(frames):
        response = parse_response(verifier.verify(frame, NOW))
        assert response.answer[0].data == f"192.0.2.{n}"
    verifier.finish()
    assert [find_tsig(frame).time - NOW for frame in frames] == [1, 2, 3, 4, 5]


async def test_keys_are_replaced(layer):
    service = pdns.stack(answer, layer)
    request = sign(asking(), KEY, NOW)
    layer.keys = [OTHER]
    assert find_tsig(await ask(service, request.frame)).error == iana.BADKEY


async def test_a_refusal_is_logged_with_the_peer_and_the_key(layer, caplog):
    service = pdns.stack(answer, layer)
    with caplog.at_level(logging.DEBUG, "pierhead.dns"):
        await ask(service, sign(asking(), Key("west\\010\\027", b"x"), NOW).frame)
        await ask(service, sign(asking(), KEY, NOW).frame)
    (line,) = caplog.messages
    assert line == (
        "signature of 192.0.2.1:5353 to 127.0.0.1:53 refused: "
        "BADKEY: no key west\\010\\027. of hmac-sha256 is known"
    )


async def test_the_trace_says_what_was_decided(layer):
    service = pdns.stack(answer, layer)
    for key, text in ((KEY, "signed by north.example."), (Key("west.", b"x"), "BADKEY")):
        trace = Trace()
        await ask(service, sign(asking(), key, NOW).frame, where=context(facts=[trace]))
        assert text in str(trace)
        assert "RFC 8945" in str(trace)


@pytest.mark.parametrize("name", ["cookies", "edns", "keepalive"])
def test_layers_that_reply_by_themselves_are_inside(layer, name):
    inner = getattr(pdns, name)
    assert pdns.stack(answer, layer, inner())
    with pytest.raises(UsageError, match="must be inside tsig"):
        pdns.stack(answer, inner(), layer)


def test_standard_takes_a_layer_and_nothing_else(layer):
    assert "tsig > extended_errors" in repr(pdns.standard(answer, tsig=layer))
    with pytest.raises(UsageError, match=r"expected dns\.tsig") as caught:
        pdns.standard(answer, tsig=[KEY])
    assert "north" not in str(caught.value)


class Kept:
    """A service whose answers come from one snapshot."""

    def snapshot(self) -> object:
        return self

    async def __call__(self, query, context):
        return query.reply(pdns.A("192.0.2.1"))


async def test_answers_are_kept_ready_for_questions_that_are_not_signed(layer):
    service = pdns.stack(Kept(), layer)
    queries = QueryCodec(service.opcodes)
    ready = AnswerCache(service.snapshot, None)
    handler = coded(service.service, queries, DatagramReplyCodec(queries=queries), ready)
    where = context()
    request = sign(asking(), KEY, NOW)
    for _ in range(2):
        answered = await handler.service(request.frame, where)
        assert opened(answered, request.mac)[0].answer
        assert handler.answer_now(request.frame, where.peer, where.via) is None
        await handler.service(asking(), where)
        kept = handler.answer_now(asking(), where.peer, where.via)
        assert find_tsig(kept) is None
        assert len(parse_response(kept).answer) == 1


@pytest.mark.parametrize("most", [0, -1, 10**9])
def test_the_table_of_times_is_bounded(most):
    with pytest.raises(UsageError, match="max_tsig_times"):
        pdns.tsig([KEY], max_tsig_times=most)
