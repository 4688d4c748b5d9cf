"""NSID, keepalive, padding, client subnet and EXPIRE: one option each."""

from __future__ import annotations

import pytest
from tests.unit.protocols.dns.middleware.asking import Connection, answer, ask, context, option

from pierhead.errors import UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.codec import DatagramReplyCodec, ReplyCodec
from pierhead.protocols.dns.response import parse_response
from pierhead.protocols.dns.trace import Trace
from pierhead.protocols.dns.wire import iana
from pierhead.protocols.dns.wire.edns import Edns
from pierhead.protocols.dns.wire.message import Reply

NSID, SUBNET, EXPIRE = iana.OPTION_NSID, iana.OPTION_CLIENT_SUBNET, iana.OPTION_EXPIRE
KEEPALIVE, PADDING = iana.OPTION_KEEPALIVE, iana.OPTION_PADDING


def asking(*options):
    return ask("www.example.", "A", *options)


@pytest.mark.rfc("5001", "2.1")
async def test_nsid_is_sent_on_request():
    service = dns.stack(answer, dns.nsid("north-2"))
    assert option(await service(asking((NSID, b"")), context()), NSID) == b"north-2"
    assert (await service(asking((65001, b"")), context())).options == ()
    assert (await service(ask(edns=False), context())).options == ()
    # "MUST ignore any non-empty payload data"
    assert option(await service(asking((NSID, b"x")), context()), NSID) == b"north-2"


@pytest.mark.parametrize("identifier", ["", b"", "x" * 129])
def test_nsid_has_a_length_that_fits_into_any_message(identifier):
    with pytest.raises(UsageError, match="1 to 128"):
        dns.nsid(identifier)


@pytest.mark.rfc("7828", "3.3.2")
@pytest.mark.parametrize(
    ("seconds", "told"), [(30.0, 300), (0.25, 2), (6553.5, 65535), (2_592_000.0, 65535)]
)
async def test_keepalive_tells_the_idle_timeout_of_the_connection(seconds, told):
    service = dns.stack(answer, dns.keepalive())
    where = context(tcp=True, connection=Connection(seconds))
    reply = await service(asking((KEEPALIVE, b"")), where)
    assert option(reply, KEEPALIVE) == told.to_bytes(2, "big")


async def test_keepalive_tells_what_the_service_has_set():
    async def brief(query, inner):
        inner.connection.set_idle_timeout(2.0)
        return query.reply()

    reply = await dns.stack(brief, dns.keepalive())(asking((KEEPALIVE, b"")), context(tcp=True))
    assert option(reply, KEEPALIVE) == b"\x00\x14"


@pytest.mark.rfc("7828", "3.2.1")
async def test_a_client_that_names_a_timeout_gets_a_format_error():
    service = dns.stack(answer, dns.keepalive())
    trace = Trace()
    reply = await service(asking((KEEPALIVE, b"\x00\x64")), context(tcp=True, facts=[trace]))
    assert (reply.rcode, reply.options) == (iana.FORMERR, ())
    assert "names a timeout" in str(trace)


@pytest.mark.rfc("7828", "3.2.2")
@pytest.mark.parametrize("data", [b"", b"\x00\x64"])
async def test_keepalive_is_ignored_in_datagrams(data):
    reply = await dns.stack(answer, dns.keepalive())(asking((KEEPALIVE, data)), context())
    assert reply.answer
    assert reply.options == ()


@pytest.mark.rfc("8467", "4.1")
@pytest.mark.parametrize("block", [468, 128, 1])
async def test_encrypted_answers_to_padded_queries_are_padded_to_whole_blocks(block):
    service = dns.stack(answer, dns.padding(block))
    query = asking((PADDING, bytes(11)))
    reply = await service(query, context(tcp=True, encrypted=True))
    message = ReplyCodec().encode(reply)
    assert len(message) % block == 0
    assert len(message) < 60 + 2 * block
    response = parse_response(message)
    assert response.edns.options[-1][1].strip(b"\x00") == b""  # RFC 7830 §3: zeros


@pytest.mark.rfc("7830", "6")
async def test_nothing_is_padded_that_is_not_encrypted_or_not_asked_for():
    service = dns.stack(answer, dns.padding())
    clear = await service(asking((PADDING, b"")), context(tcp=True))
    unasked = await service(asking((NSID, b"")), context(tcp=True, encrypted=True))
    plain = await service(asking(), context(tcp=True, encrypted=True))
    assert [reply.padding for reply in (clear, unasked, plain)] == [0, 0, 0]


@pytest.mark.rfc("7830", "4")
def test_padding_never_makes_a_message_too_long():
    query = asking((PADDING, b""))
    for octets in (1100, 1160, 1170, 1174):
        texts = [dns.TXT("x" * octets)]
        bare = Reply(query, answer=ask("www.example.", "TXT").reply(*texts).answer)
        message = DatagramReplyCodec().encode(bare.padded(468))
        assert len(message) <= 1232
        assert len(message) >= len(DatagramReplyCodec().encode(bare))
        assert not message[2] & 2, "padding must not truncate"
    without_opt = Reply(ask(edns=False)).padded(468)
    assert len(DatagramReplyCodec().encode(without_opt)) < 60


@pytest.mark.parametrize("block", [0, 4097])
def test_a_block_is_within_its_limits(block):
    with pytest.raises(UsageError, match="block"):
        dns.padding(block)


@pytest.mark.rfc("7871", "7.2.1")
@pytest.mark.parametrize(
    "subnet",
    [
        bytes.fromhex("0001 18 00 c00002"),
        bytes.fromhex("0002 38 00 20010db8000000"),
        bytes.fromhex("0001 00 00"),
        bytes.fromhex("0000 00 00"),
        bytes.fromhex("0001 0f 00 c002"),
    ],
)
async def test_a_client_subnet_comes_back_with_scope_zero(subnet):
    reply = await dns.stack(answer, dns.edns())(asking((SUBNET, subnet)), context())
    assert reply.answer
    assert option(reply, SUBNET) == subnet


@pytest.mark.rfc("7871", "6")
@pytest.mark.parametrize(
    "subnet",
    [
        "",
        "000118",
        "00011808c00002",
        "00011800c000",
        "00012100c000020100",
        "00010f00c003",
        "00031000c000",
        "00028100" + 17 * "00",
    ],
)
async def test_an_invalid_client_subnet_is_a_format_error(subnet):
    trace = Trace()
    query = asking((SUBNET, bytes.fromhex(subnet)))
    reply = await dns.stack(answer, dns.edns())(query, context(facts=[trace]))
    assert reply.rcode == iana.FORMERR
    assert "edns: " in str(trace)


async def test_a_service_that_looks_at_the_client_subnet_has_the_last_word():
    said = bytes.fromhex("00011818c00002")

    async def tailored(query, _context):
        return query.reply().having(SUBNET, said)

    query = asking((SUBNET, bytes.fromhex("00011800c00002")))
    assert option(await dns.stack(tailored, dns.edns())(query, context()), SUBNET) == said


async def has_soa(query, _context):
    soa = dns.SOA("ns.example.", "host.example.", 1, expire=604800)
    return query.reply(soa, dns.A("192.0.2.1"))


@pytest.mark.rfc("7314", "4")
async def test_expire_is_that_of_the_soa_record():
    service = dns.stack(has_soa, dns.expire())
    reply = await service(ask("example.", "SOA", (EXPIRE, b"")), context())
    assert option(reply, EXPIRE) == (604800).to_bytes(4, "big")
    for query in (ask("example.", "SOA"), ask("example.", "A", (EXPIRE, b""))):
        assert (await service(query, context())).options == ()


async def test_expire_is_left_alone_where_the_service_knows_better():
    async def secondary(query, inner):
        return (await has_soa(query, inner)).having(EXPIRE, b"\x00\x00\x00\x07")

    async def elsewhere(query, _context):
        return Reply(query, iana.REFUSED)

    query = ask("example.", "SOA", (EXPIRE, b""))
    layer = dns.expire()
    assert option(await layer(secondary)(query, context()), EXPIRE)[-1] == 7
    assert (await layer(elsewhere)(query, context())).options == ()


def test_a_query_says_what_the_layers_ask_of_it():
    query = ask("x.", "A", (NSID, b"1"), (NSID, b"2"), do=True)
    assert (query.option(NSID), query.option(KEEPALIVE)) == (b"1", None)
    assert query.dnssec_ok
    assert query.has_question
    assert query.edns == Edns(do=True, options=((NSID, b"1"), (NSID, b"2")))
