"""Queries are forwarded to other servers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
import trustme

from pierhead import Context, Peer, Server, Via, raw
from pierhead.errors import UsageError
from pierhead.protocols import dns
from pierhead.protocols.dns.services.upstream import DnsUpstream
from pierhead.protocols.dns.wire.query import parse_query
from pierhead.service.context import Transport

VIA = Via(transport=Transport.DATAGRAM, scheme="udp", local="", listener="udp")
BIG = dns.TXT(*["x" * 200] * 9)


async def upstream(query: dns.Query, context: Context) -> dns.Reply:
    if query.name == "big.example.":
        return query.reply(BIG)
    if query.name == "no.example.":
        raise dns.NXDomain
    return query.reply(dns.A("192.0.2.1"), dns.A("192.0.2.2"), ttl=77)


@asynccontextmanager
async def front(*upstreams: str, address: str = "memgram:front", **how):
    forwarding = dns.forward(*upstreams, **how)
    async with Server(dns.serve(forwarding), address) as server:
        async with dns.Client(server.addresses[0], attempts=1, timeout=5) as client:
            yield client, forwarding


@pytest.fixture
async def up():
    async with Server(dns.serve(upstream), "memgram:up"):
        yield "memgram:up"


async def test_the_answer_is_that_of_the_upstream(up) -> None:
    async with front(up) as (client, _):
        answer = await client.query("wWw.example.")
        assert [record.data for record in answer.answer] == ["192.0.2.1", "192.0.2.2"]
        assert [record.ttl for record in answer.answer] == [77, 77]
        assert answer.question is not None
        assert answer.question[0] == b"\3wWw\7example\0"
        assert (await client.query("no.example.")).rcode == dns.NXDOMAIN


@pytest.mark.rfc("6891", "6.2.6")
async def test_the_opt_record_and_the_identifier_are_those_of_each_hop() -> None:
    seen: list[dns.Query] = []

    async def record(frame: bytes, context: Context) -> bytes:
        seen.append(parse_query(frame))
        return frame[:2] + b"\x84\0" + frame[4:]

    async with Server(raw(record), "memgram:up"), front("memgram:up") as (client, _):
        options = ((10, b"8 octets"), (65001, b"private"))
        edns = dns.Edns(4000, do=True, options=options)
        answer = await client.query("a.example.", edns=edns, recursion_desired=True)
        await client.query("a.example.", edns=None)
    first, second = seen
    assert (first.options, first.udp_payload, first.dnssec_ok) == ((), 1232, True)
    assert (second.udp_payload, second.dnssec_ok) == (1232, False)
    assert first.recursion_desired
    assert not second.recursion_desired
    assert answer.edns is not None
    assert 65001 not in dict(answer.edns.options)


@pytest.mark.rfc("6891", "7")
async def test_an_upstream_that_knows_no_edns_is_asked_without() -> None:
    async def old(frame: bytes, context: Context) -> bytes:
        query = parse_query(frame)
        flags = b"\x84\1" if query.udp_payload >= 0 else b"\x84\0"
        return frame[:2] + flags + frame[4:6] + bytes(6) + query.question

    async with Server(raw(old), "memgram:up"), front("memgram:up") as (client, _):
        assert (await client.query("a.example.")).rcode == dns.NOERROR


@pytest.mark.rfc("7766", "5")
async def test_a_truncated_answer_is_asked_for_again_over_tcp() -> None:
    async with Server(dns.serve(upstream), "127.0.0.1:0") as server:
        address = server.addresses[0].removeprefix("udp:")
        async with front(address, address="127.0.0.1:0") as (client, _):
            answer = await client.query("big.example.", "TXT", edns=dns.Edns(1232))
            assert not answer.truncated
            assert len(answer.answer[0].octets) == 9 * 201


async def test_over_a_stream_all_share_one_connection(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with Server(dns.serve(upstream), "unix:./up") as server:
        async with front("unix:./up") as (client, forwarding):
            many = [client.query(f"{n}.example.") for n in range(20)]
            assert {answer.rcode for answer in await asyncio.gather(*many)} == {dns.NOERROR}
            assert server.metrics.total("connections_accepted_total") == 1
            assert forwarding.balance.metrics.total("upstream_answered_total") == 20


@pytest.mark.rfc("5452", "9.2")
async def test_each_query_leaves_from_a_port_of_its_own() -> None:
    ports: list[int | None] = []

    async def record(query: dns.Query, context: Context) -> dns.Reply:
        ports.append(context.peer.port)
        return query.reply()

    async with Server(dns.serve(record), "udp:127.0.0.1:0") as server:
        async with front(server.addresses[0]) as (client, _):
            for number in range(10):
                await client.query(f"{number}.example.")
    assert len(set(ports)) >= 9


@pytest.mark.rfc("5452", "9.1")
async def test_an_answer_to_another_question_is_ignored() -> None:
    async def forge(frame: bytes, context: Context):
        yield frame[:2] + b"\x84\0" + frame[4:12] + b"\5other\7example\0\0\1\0\1" + frame[-11:]
        yield bytes([frame[0] ^ 1]) + frame[1:2] + b"\x84\3" + frame[4:]
        yield frame[:2] + b"\x84\0" + frame[4:]

    async with Server(raw(forge), "memgram:up"), front("memgram:up") as (client, _):
        assert (await client.query("a.example.")).rcode == dns.NOERROR


async def test_a_dead_upstream_costs_nothing_after_its_first_miss(clock) -> None:
    loop = asyncio.get_running_loop()

    async def silent(frame: bytes, context: Context) -> None:
        return None

    async with Server(raw(silent), "memgram:dead"), Server(dns.serve(upstream), "memgram:up"):
        async with front("memgram:dead", "memgram:up", policy="round-robin") as (
            client,
            forwarding,
        ):
            took = []
            for number in range(100):
                began = loop.time()
                answer = await client.query(f"{number}.example.")
                assert answer.rcode == dns.NOERROR
                took.append(loop.time() - began)
                await asyncio.sleep(0.5)
            assert took[0] == pytest.approx(1.0, abs=0.02)
            assert max(took[1:]) < 0.02
            failed = forwarding.balance.metrics.total
            assert failed("upstream_failed_total", upstream="memgram:dead") == 1
            assert failed("upstream_checks_failed_total", upstream="memgram:dead") > 5


async def test_an_upstream_that_is_well_again_is_used_again(clock) -> None:
    is_well = False

    async def sometimes(query: dns.Query, context: Context) -> dns.Reply | None:
        return query.reply(dns.A("192.0.2.9")) if is_well else None

    other = Server(dns.serve(sometimes), "memgram:other")
    async with other, Server(dns.serve(upstream), "memgram:up"):
        how = {"policy": "round-robin", "slow_return": 0}
        async with front("memgram:other", "memgram:up", **how) as (client, _):
            await client.query("a.example.")
            is_well = True
            await asyncio.sleep(10)
            got = {(await client.query("a.example.")).answer[0].data for _ in range(4)}
            assert got == {"192.0.2.9", "192.0.2.1"}


@pytest.mark.rfc("8914", "4.23")
async def test_servfail_says_that_no_upstream_answers() -> None:
    async def silent(frame: bytes, context: Context) -> None:
        return None

    async with Server(raw(silent), "memgram:dead"):
        async with front("memgram:dead", timeout=0.02) as (client, _):
            answer = await client.query("a.example.")
            assert answer.rcode == dns.SERVFAIL
            assert answer.edns is not None
            assert (15, b"\0\x16no upstream answers") in answer.edns.options


async def asked_by(service, peer: Peer) -> int:
    query = parse_query(b"\0\7\0\0\0\1\0\0\0\0\0\0\1a\7example\0\0\1\0\1")
    try:
        return (await service(query, Context(peer, 0.0, VIA))).rcode
    except dns.RcodeError as error:
        return error.rcode


@pytest.mark.rfc("5358", "4")
async def test_this_machine_alone_may_ask_unless_networks_are_named(up) -> None:
    by_default = dns.forward(up)
    assert await asked_by(by_default, Peer(("127.0.0.9", 53))) == dns.NOERROR
    assert await asked_by(by_default, Peer(("::1", 53))) == dns.NOERROR
    assert await asked_by(by_default, Peer(("192.0.2.1", 53))) == dns.REFUSED
    office = dns.forward(up, allow=["192.0.2.0/24"])
    assert await asked_by(office, Peer(("192.0.2.1", 53))) == dns.NOERROR
    assert await asked_by(office, Peer(("198.51.100.1", 53))) == dns.REFUSED
    with pytest.raises(UsageError, match=r"expected a list of networks: \['192"):
        dns.forward(up, allow="192.0.2.0/24")


async def test_over_tls(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    authority = trustme.CA()
    authority.cert_pem.write_to_path("ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path("cert.pem")
    async with Server(dns.serve(upstream), "tls+tcp:127.0.0.1:0?cert=cert.pem") as server:
        async with front(f"{server.addresses[0]}?ca=ca.pem") as (client, _):
            assert (await client.query("big.example.", "TXT", edns=dns.Edns(4096))).truncated
            assert (await client.query("a.example.")).answer[0].data == "192.0.2.1"
        async with front(server.addresses[0], timeout=5) as (client, _):  # nobody vouches for it
            assert (await client.query("a.example.")).rcode == dns.SERVFAIL


async def test_hedged_queries_do_not_wait_for_a_silent_upstream(clock) -> None:
    async def silent(frame: bytes, context: Context) -> None:
        return None

    loop = asyncio.get_running_loop()
    async with Server(raw(silent), "memgram:dead"), Server(dns.serve(upstream), "memgram:up"):
        async with front("memgram:dead", "memgram:up", policy="hedged") as (client, _):
            for number in range(20):
                began = loop.time()
                assert (await client.query(f"{number}.example.")).rcode == dns.NOERROR
                assert loop.time() - began < 0.15


async def test_by_suffix(up) -> None:
    site = dns.Router()
    site.mount("example.", dns.forward(up))
    site.mount("local.", dns.static({"a.local.": dns.A("192.0.2.5")}))
    async with Server(dns.serve(site), "memgram:front"):
        async with dns.Client("memgram:front") as client:
            assert (await client.query("a.example.")).answer[0].data == "192.0.2.1"
            assert (await client.query("a.local.")).answer[0].data == "192.0.2.5"
            assert (await client.query("a.test.")).rcode == dns.REFUSED


async def test_zone_transfers_are_not_forwarded(up) -> None:
    async with front(up) as (client, _):
        assert (await client.query("example.", "AXFR")).rcode == dns.NOTIMP


async def test_an_address_that_cannot_be_dialled_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing to choose among"):
        dns.forward()
    assert DnsUpstream("192.0.2.1:53", 1.0, 1).name == "192.0.2.1:53"
