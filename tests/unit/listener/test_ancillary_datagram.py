"""``ecn`` and ``gro``: what the kernel says beside a datagram, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from itertools import chain

import pytest

from pierhead import Context, Server
from pierhead.address import ListenSpec
from pierhead.errors import ListenError
from pierhead.listener.base import PerDatagramVia
from pierhead.listener.open import open_listeners
from pierhead.net.datagram import ancillary
from pierhead.net.datagram.batch import has_batch_io
from pierhead.protocols import lines
from pierhead.service.context import Ecn, Transport, Via

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux's numbers")

VIA = Via(transport=Transport.DATAGRAM, scheme="udp", local="udp:x:1", listener="udp:x:1")
UDP_SEGMENT = 103

#: Addresses to bind, and how to reach them: IPv4, IPv6, and IPv4 through an IPv6 socket.
WAYS = [
    pytest.param("127.0.0.1", socket.AF_INET, "127.0.0.1", id="ipv4"),
    pytest.param("0.0.0.0", socket.AF_INET, "127.0.0.9", id="ipv4-wildcard"),
    pytest.param("[::1]", socket.AF_INET6, "::1", id="ipv6"),
    pytest.param("[::]", socket.AF_INET6, "::1", id="ipv6-wildcard"),
    pytest.param("[::]", socket.AF_INET, "127.0.0.1", id="mapped"),
]


@pytest.fixture(params=[pytest.param(True, id="batched"), pytest.param(False, id="single")])
def batched(request):
    if request.param and not has_batch_io():
        pytest.skip("no recvmmsg here")
    return request.param


@pytest.fixture
def sender():
    """A function that gives a client's socket, connected; closed at the end."""
    clients = []

    def connect(family, host, listener):
        client = socket.socket(family, socket.SOCK_DGRAM)
        clients.append(client)
        client.settimeout(20)
        client.connect((host, int(listener.local.rpartition(":")[2])))
        return client

    yield connect
    for client in clients:
        client.close()


async def open_one(opened, host, options, batched=None):
    v6only = "&v6only=off" if host == "[::]" else ""
    try:
        (listener,) = await opened(f"udp:{host}:0?{options}{v6only}", batched=batched)
    except ListenError as error:
        if "::" in host and error.step in ("socket", "bind"):
            pytest.skip("no IPv6 here")
        raise
    return listener


def mark(client, family, ecn, dscp=0):
    octet = dscp << 2 | ecn.value
    if family == socket.AF_INET6:
        client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, octet)
    else:
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, octet)


def send_coalesced(client, data, segment_bytes):
    client.sendmsg([data], [(17, UDP_SEGMENT, struct.pack("=H", segment_bytes))])


# -- congestion marks --------------------------------------------------------------------------


@pytest.mark.rfc("3168", "5")
@pytest.mark.parametrize(("host", "family", "target"), WAYS)
async def test_every_mark_is_seen_and_replies_find_back(
    opened, sender, batched, host, family, target
):
    listener = await open_one(opened, host, "ecn", batched)
    client = sender(family, target, listener)
    for ecn in Ecn:
        mark(client, family, ecn, dscp=46)
        client.send(ecn.name.encode())
    batch = listener.receive_batch(16)
    assert [payload.decode() for payload, _ in batch] == [ecn.name for ecn in Ecn]
    assert [listener.via(back, VIA).ecn for _, back in batch] == list(Ecn)
    # Connected, the client takes replies from the address that it asked alone.
    assert listener.send_batch([(b"!" + payload, back) for payload, back in batch]) == []
    assert [client.recv(50) for _ in Ecn] == [b"!" + ecn.name.encode() for ecn in Ecn]
    assert {listener.peer(back).port for _, back in batch} == {client.getsockname()[1]}


async def test_a_mark_does_not_tell_two_ways_back_apart(opened, sender, batched):
    listener = await open_one(opened, "127.0.0.1", "ecn", batched)
    client, other = (sender(socket.AF_INET, "127.0.0.1", listener) for _ in range(2))
    client.send(b"1")
    mark(client, socket.AF_INET, Ecn.CE)
    client.send(b"2")
    other.send(b"3")
    (_, first), (_, second), (_, third) = listener.receive_batch(16)
    assert first == second != third
    assert len({first, second, third}) == 2


async def test_the_ways_of_one_listener_are_made_once(opened, sender):
    listener = await open_one(opened, "127.0.0.1", "ecn")
    client = sender(socket.AF_INET, "127.0.0.1", listener)
    client.send(b"1")
    client.send(b"2")
    (_, first), (_, second) = listener.receive_batch(16)
    assert listener.via(first, VIA) is listener.via(second, VIA)
    assert listener.via(first, VIA).listener == VIA.listener


async def test_a_reply_carries_no_mark_of_its_request(opened, sender, batched):
    listener = await open_one(opened, "0.0.0.0", "ecn", batched)
    client = sender(socket.AF_INET, "127.0.0.1", listener)
    client.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    mark(client, socket.AF_INET, Ecn.CE)
    client.send(b"q")
    listener.send_batch(listener.receive_batch(16))
    _, said, _, _ = client.recvmsg(50, 100)
    assert ancillary.read_ancillary(said).ecn is Ecn.NOT_ECT


@pytest.mark.parametrize("options", ["gro", "ecn=off", "ecn=off&gro", "pktinfo"])
async def test_without_the_ecn_option_there_is_no_congestion_mark(opened, sender, batched, options):
    listener = await open_one(opened, "127.0.0.1", options, batched)
    client = sender(socket.AF_INET, "127.0.0.1", listener)
    mark(client, socket.AF_INET, Ecn.CE)
    client.send(b"q")
    ((payload, back),) = listener.receive_batch(16)
    assert payload == b"q"
    if isinstance(listener, PerDatagramVia):
        assert listener.via(back, VIA) is VIA


async def test_listeners_without_the_options_are_as_they_were(opened):
    (plain,) = await opened("udp:127.0.0.1:0?ecn=off&gro=off")
    assert type(plain).__name__ == "SocketDatagramListener"
    assert not isinstance(plain, PerDatagramVia)


async def test_a_service_sees_the_mark():
    async def mark_of(line: str, context: Context) -> str:
        return f"{context.via.ecn} {context.via.listener}"

    async with Server(lines.serve(mark_of), "udp:127.0.0.1:0?ecn&name=marked") as server:
        port = int(server.addresses[0].rpartition(":")[2])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(("127.0.0.1", port))
            mark(client, socket.AF_INET, Ecn.CE)
            client.send(b"x")
            answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 100), 20)
    assert answer.strip() == b"Ecn.CE marked"


async def test_a_service_behind_a_proxy_sees_the_mark_and_the_client():
    async def mark_of(line: str, context: Context) -> str:
        return f"{context.via.ecn} {context.peer} {context.via.proxy is not None}"

    header = b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c" + bytes(
        [192, 0, 2, 1, 192, 0, 2, 2, 0, 7, 0, 53]
    )
    address = "proxy+udp:127.0.0.1:0?ecn&gro&proxy.from=127.0.0.1"
    async with Server(lines.serve(mark_of), address) as server:
        port = int(server.addresses[0].rpartition(":")[2])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(("127.0.0.1", port))
            mark(client, socket.AF_INET, Ecn.ECT_0)
            send_coalesced(client, (header + b"x") * 3, len(header) + 1)
            loop = asyncio.get_running_loop()
            for _ in range(3):
                answer = await asyncio.wait_for(loop.sock_recv(client, 100), 20)
                assert answer.strip() == b"Ecn.ECT_0 192.0.2.1:7 True"


# -- coalesced datagrams -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "host", "family", "target"),
    [
        pytest.param(options, *way.values, id=f"{options}-{way.id}")
        for options in ("gro", "gro&ecn", "gro&pktinfo", "gro&pktinfo=off")
        for way in WAYS
        # Without packet information the reply leaves from another address than that.
        if options != "gro&pktinfo=off" or way.values[2] != "127.0.0.9"
    ],
)
async def test_coalesced_datagrams_arrive_as_they_were_sent(
    opened, sender, batched, host, family, target, options
):
    listener = await open_one(opened, host, options, batched)
    client = sender(family, target, listener)
    client.send(b"before")
    sent = [bytes([i]) * 100 for i in range(9)]
    send_coalesced(client, b"".join(sent) + b"last", 100)
    client.send(b"after")
    batch = listener.receive_batch(32)
    assert [payload for payload, _ in batch] == [b"before", *sent, b"last", b"after"]
    assert len({back for _, back in batch}) == 1
    assert listener.send_batch([(payload[:1], back) for payload, back in batch]) == []
    assert [client.recv(10) for _ in batch] == [payload[:1] for payload, _ in batch]


async def test_the_kernel_does_coalesce_here(opened, sender, monkeypatch):
    """Without this, the other tests would say nothing."""
    listener = await open_one(opened, "127.0.0.1", "gro")
    seen = []

    def split(data, segment_bytes):
        seen.append((len(data), segment_bytes))
        return ancillary.split_coalesced(data, segment_bytes)

    monkeypatch.setattr("pierhead.net.datagram.ancillary_io.split_coalesced", split)
    send_coalesced(sender(socket.AF_INET, "127.0.0.1", listener), bytes(2500), 1000)
    assert len(listener.receive_batch(32)) == 3
    assert seen == [(2500, 1000)]


async def test_no_batch_is_larger_than_its_limit(opened, sender, batched):
    listener = await open_one(opened, "127.0.0.1", "gro", batched)
    client = sender(socket.AF_INET, "127.0.0.1", listener)
    sent = [bytes([i]) for i in range(60)]
    send_coalesced(client, b"".join(sent), 1)
    client.send(b"after")
    batches = []
    while batch := listener.receive_batch(16):
        batches.append([payload for payload, _ in batch])
    assert max(map(len, batches)) == 16
    assert list(chain.from_iterable(batches)) == [*sent, b"after"]


async def test_the_largest_buffer_of_all_is_split(opened, sender, batched):
    listener = await open_one(opened, "127.0.0.1", "gro&rcvbuf=1MiB", batched)
    client = sender(socket.AF_INET, "127.0.0.1", listener)
    data = bytes(range(250)) * 260  # with all headers just below what the kernel keeps together
    send_coalesced(client, data, 1250)
    batch = listener.receive_batch(100)
    assert b"".join(payload for payload, _ in batch) == data
    assert {len(payload) for payload, _ in batch[:-1]} == {1250}
    assert listener.truncated == 0


async def test_remaining_datagrams_are_reported_in_the_next_iteration_and_not_after_stop(sender):
    (listener,) = await open_listeners(ListenSpec.parse("udp:127.0.0.1:0?gro"))
    try:
        client = sender(socket.AF_INET, "127.0.0.1", listener)
        loop, taken, done = asyncio.get_running_loop(), [], asyncio.Event()
        turns = 0

        def count_turns():
            nonlocal turns
            turns += 1
            loop.call_soon(count_turns)

        def on_readable():
            taken.append((turns, [payload for payload, _ in listener.receive_batch(4)]))
            if sum(len(batch) for _, batch in taken) in (8, 19):
                listener.stop()
                done.set()

        send_coalesced(client, bytes(range(18)), 1)
        client.send(b"!")
        count_turns()
        listener.start(on_readable)
        await asyncio.wait_for(done.wait(), 20)
        before = len(taken)
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(taken) == before == 2  # stopped with ten left here and one in the socket
        done.clear()
        listener.start(on_readable)
        await asyncio.wait_for(done.wait(), 20)
        assert b"".join(chain.from_iterable(batch for _, batch in taken)) == bytes(range(18)) + b"!"
        assert all(len(batch) <= 4 for _, batch in taken)
        in_turn = [turn for turn, batch in taken]
        assert len(set(in_turn)) == len(in_turn)  # one batch in a turn of the loop
    finally:
        listener.close()


async def test_a_server_answers_each_of_them():
    async def upper(line: str, context: Context) -> str:
        return line.upper()

    async with Server(lines.serve(upper), "udp:127.0.0.1:0?gro", batch_size=4) as server:
        port = int(server.addresses[0].rpartition(":")[2])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(("127.0.0.1", port))
            sent = [b"%02dx" % i for i in range(20)]
            send_coalesced(client, b"".join(sent), 3)
            loop = asyncio.get_running_loop()
            answers = [
                (await asyncio.wait_for(loop.sock_recv(client, 100), 20)).strip() for _ in sent
            ]
        assert sorted(answers) == [one.upper() for one in sent]
        assert server.metrics.total("datagrams_received_total") == 20
        assert server.metrics.total("batches_total") == 5


# -- where it cannot be ------------------------------------------------------------------------


async def test_a_platform_without_the_option_is_named(opened, monkeypatch):
    monkeypatch.delattr(socket, "IP_RECVTOS")
    with pytest.raises(ListenError, match="the option ecn does not exist on linux"):
        await opened("udp:127.0.0.1:0?ecn")


async def test_a_kernel_that_refuses_is_quoted(opened, monkeypatch):
    monkeypatch.setattr(ancillary, "_UDP_GRO", 9999)
    with pytest.raises(ListenError, match="option gro: Protocol not available"):
        await opened("udp:127.0.0.1:0?gro")


def test_a_group_address_is_never_a_source_address():
    group, interface = bytes([0xFF, 2]) + bytes(13) + b"\1", b"\7\0\0\0"
    level = socket.IPPROTO_IPV6
    assert ancillary.reply_info((level, 50, group + interface)) == (level, 50, bytes(20))
    own = b"\xfd" + group[1:]
    assert ancillary.reply_info((level, 50, own + interface)) == (level, 50, own + bytes(4))
