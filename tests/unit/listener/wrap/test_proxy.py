"""PROXY headers: taken from trusted proxies alone, required, never guessed, in time."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket

import pytest
import uvloop
from tls_client import PATIENCE_S, Certificates, TlsClient

from pierhead.client.dial import dial_datagram, dial_stream
from pierhead.codec.proxy_header import ProxyHeader, encode_v1, encode_v2
from pierhead.errors import ListenError
from pierhead.listener.wrap.proxy_trust import ProxyRules, header_peer
from pierhead.protocols import lines
from pierhead.server.server import Server
from pierhead.service.admission import Drop
from pierhead.service.context import Peer

CLIENT, REACHED = ("192.0.2.1", 4000), ("198.51.100.9", 853)
V1 = encode_v1(CLIENT, REACHED)
HEADER = ProxyHeader(version=2, source=CLIENT, destination=REACHED, tlvs=((5, b"id"),))
V2 = encode_v2(HEADER, checksum=True)
LOCAL = encode_v2(ProxyHeader(version=2))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def cert(certificates):
    return certificates.issue("dns.example")


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0)


class Noted:
    """A service that keeps the contexts it saw; and the endpoint of it."""

    def __init__(self, *admission):
        self.contexts = []
        self.endpoint = lines.serve(self.note, admission=admission)

    async def note(self, line, context):
        self.contexts.append(context)
        return line.upper()


class Client(asyncio.Protocol):
    def __init__(self):
        self.received = b""
        self.ended = False

    @classmethod
    async def dial(cls, server, data=b""):
        client = cls()
        await dial_stream(server.addresses[0].rpartition("+")[2], lambda: client)
        client.transport.write(data)
        return client

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.received += data

    def eof_received(self):
        self.ended = True

    def connection_lost(self, exc):
        self.ended = True

    async def expect(self, data):
        await until(lambda: self.received == data or self.ended)
        assert self.received == data

    async def over(self):
        await until(lambda: self.ended)


def closed(server, reason):
    return server.metrics.total("connections_closed_total", reason=reason)


def run(main, factory):
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    gc.collect()


both_loops = pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
TRUSTED = "proxy.from=127.0.0.0/8"


@both_loops
@pytest.mark.parametrize("header", [V1, V2])
@pytest.mark.parametrize("address", [f"tcp:127.0.0.1:0?{TRUSTED}", "unix:{folder}/s", "mem:a"])
def test_the_client_is_whom_the_header_names_and_the_proxy_is_kept_apart(
    factory, header, address, tmp_path
):
    it = Noted()

    async def main():
        async with Server(it.endpoint, f"proxy+{address.format(folder=tmp_path)}") as server:
            assert server.addresses[0].startswith("proxy+")
            client = await Client.dial(server, header + b"one\ntwo\n")
            await client.expect(b"ONE\nTWO\n")
            client.transport.write(b"three\n")
            await client.expect(b"ONE\nTWO\nTHREE\n")
            client.transport.close()
            await client.over()

    run(main, factory)
    context = it.contexts[-1]
    assert str(context.peer) == "192.0.2.1:4000"
    assert context.via.socket_peer not in (None, context.peer)
    assert (context.via.proxy.source, context.via.proxy.destination) == (CLIENT, REACHED)
    assert context.via.scheme == address.partition(":")[0]
    assert not context.via.encrypted
    if header is V2:
        assert context.via.proxy.unique_id == b"id"


@pytest.mark.parametrize("header", [V1, V2])
async def test_a_header_that_trickles_in_is_read_and_nothing_spins(header):
    it = Noted()
    async with Server(it.endpoint, "proxy+mem:a") as server:
        client = await Client.dial(server)
        for octet in header + b"x\n":
            client.transport.write(bytes([octet]))
            await asyncio.sleep(0)
        await client.expect(b"X\n")
        client.transport.close()


async def test_a_partial_header_is_waited_for_without_turning_the_loop():
    it = Noted()
    async with Server(it.endpoint, "proxy+mem:a") as server:
        client = await Client.dial(server, V2[:20])
        await until(lambda: server.metrics.total("connections_accepted_total") == 1)
        for _ in range(10):
            await asyncio.sleep(0)
        # Nothing is ready to run, so that nobody polls for the rest.
        assert not asyncio.get_running_loop()._ready
        client.transport.write(V2[20:] + b"x\n")
        await client.expect(b"X\n")
        client.transport.close()


async def test_a_header_that_does_not_come_in_time_ends_the_connection():
    it = Noted()
    async with Server(
        it.endpoint, "proxy+mem:a?proxy.timeout=20ms", handshake_timeout=60
    ) as server:
        client = await Client.dial(server, V2[:20])
        await client.over()
        assert closed(server, "handshake") == 1


@pytest.mark.parametrize("data", [b"no header\n", b"\x16\x03\x01\0\x05", V1[:-2] + b"\n"])
async def test_without_a_header_the_connection_is_closed(data, caplog):
    caplog.set_level(logging.INFO)
    it = Noted()
    async with Server(it.endpoint, "proxy+mem:a") as server:
        client = await Client.dial(server, data)
        await client.over()
        assert closed(server, "proxy_header") == 1
    assert not it.contexts
    assert not caplog.records


async def test_a_header_without_the_proxy_wrapper_is_ordinary_input():
    it = Noted()
    async with Server(it.endpoint, "mem:a") as server:
        client = await Client.dial(server, V1)
        await client.expect(V1.rstrip().upper() + b"\n")
        assert it.contexts[0].via.proxy is None
        client.transport.close()


async def test_a_version_other_than_the_configured_one_is_refused():
    for version, good, bad in ((1, V1, V2), (2, V2, V1)):
        it = Noted()
        async with Server(it.endpoint, f"proxy+mem:a?proxy.version={version}") as server:
            await (await Client.dial(server, bad)).over()
            assert closed(server, "proxy_header") == 1
            client = await Client.dial(server, good + b"x\n")
            await client.expect(b"X\n")
            client.transport.close()


@both_loops
def test_a_stranger_is_refused_before_anything_is_read(factory):
    it = Noted()

    async def main():
        address = "proxy+tcp:127.0.0.1:0?proxy.from=10.0.0.0/8,2001:db8::/32"
        async with Server(it.endpoint, address) as server:
            client = await Client.dial(server)
            await client.over()
            assert closed(server, "proxy_untrusted") == 1

    run(main, factory)
    assert not it.contexts


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"])
async def test_a_proxy_that_speaks_for_itself_is_the_peer(header):
    it = Noted()
    async with Server(it.endpoint, "proxy+mem:a") as server:
        client = await Client.dial(server, header + b"x\n")
        await client.expect(b"X\n")
        (context,) = it.contexts
        assert context.via.proxy.source is None
        assert context.via.socket_peer is None
        client.transport.close()


@pytest.mark.parametrize("data", [b"", V2[:20]])
async def test_a_proxy_that_leaves_during_its_header_is_counted_as_gone(data):
    it = Noted()
    async with Server(it.endpoint, "proxy+mem:a") as server:
        client = await Client.dial(server, data)
        client.transport.write_eof()
        await client.over()
        assert closed(server, "peer_gone") == 1


async def test_connection_checks_ask_about_the_client_and_not_the_proxy():
    asked = []

    class Asks:
        def __call__(self, frame, peer, via):
            return None

        def admit_connection(self, peer, via):
            asked.append((str(peer), via.socket_peer is not None))
            return Drop("not_you") if peer.host == "192.0.2.1" else None

    it = Noted(Asks())
    async with Server(it.endpoint, "proxy+mem:a") as server:
        client = await Client.dial(server, V2 + b"x\n")
        await client.over()
        assert asked == [("192.0.2.1:4000", True)]
        assert server.metrics.total("dropped_total", reason="not_you") == 1
    assert not it.contexts


# -- with TLS --------------------------------------------------------------------------------


async def test_the_header_before_tls(certificates, cert):
    it = Noted()
    context = certificates.client_context()
    async with Server(it.endpoint, f"proxy+tls+tcp:127.0.0.1:0?{TRUSTED}&cert={cert}") as server:
        address = server.addresses[0]
        assert address.startswith("proxy+tls+tcp:")  # in wire order, as it was asked for
        client = await TlsClient.dial(address.rpartition("+")[2], context, prefix=V2)
        client.transport.pause_reading()
        client.transport.resume_reading()
        await client.ready()
        client.send(b"x\n")
        await client.expect(b"X\n")
        await client.leave()
    via = it.contexts[0].via
    assert (via.tls.server_name, via.proxy.source, via.encrypted) == ("dns.example", CLIENT, True)
    assert str(it.contexts[0].peer) == "192.0.2.1:4000"
    assert via.socket_peer.host == "127.0.0.1"


@both_loops
def test_the_header_inside_tls(factory, certificates, cert):
    it = Noted()

    async def main():
        address = f"tls+proxy+tcp:127.0.0.1:0?{TRUSTED}&cert={cert}"
        async with Server(it.endpoint, address) as server:
            assert server.addresses[0].startswith("tls+proxy+tcp:")
            below = server.addresses[0].rpartition("+")[2]
            client = await (await TlsClient.dial(below, certificates.client_context())).ready()
            client.send(V2[:30])
            client.send(V2[30:] + b"x\ny")
            client.end()
            await client.expect(b"X\nY\n")
            await client.gone()
            await server.reload()

    run(main, factory)
    via = it.contexts[0].via
    assert (via.tls.server_name, via.proxy.source) == ("dns.example", CLIENT)


async def test_an_untrusted_peer_gets_no_tls_handshake(certificates, cert):
    it = Noted()
    address = f"tls+proxy+tcp:127.0.0.1:0?proxy.from=10.0.0.1&cert={cert}"
    async with Server(it.endpoint, address) as server:
        client = await Client.dial(server)
        await client.over()
        assert client.received == b""
        assert closed(server, "proxy_untrusted") == 1


async def test_garbage_inside_tls_is_not_a_header(certificates, cert):
    it = Noted()
    async with Server(it.endpoint, f"tls+proxy+mem:a?cert={cert}") as server:
        client = await (await TlsClient.dial("mem:a", certificates.client_context())).ready()
        client.send(b"garbage\n")
        await client.gone()
        assert closed(server, "proxy_header") == 1


async def test_a_connection_closed_before_it_is_served_notifies_the_proxy(opened):
    (listener,) = await opened("proxy+mem:a")
    assert repr(listener) == "<ProxyListener proxy+mem:a>"
    for with_handshake in (False, True):
        client = Client()
        await dial_stream("mem:a", lambda client=client: client)
        client.transport.write(V2)
        accepted = await listener.accept()
        if with_handshake:
            await accepted.handshake()
        accepted.close()
        await client.over()


async def test_a_protocol_that_refuses_its_connection_loses_it(opened):
    class Refuses(Client):
        def connection_made(self, transport):
            raise ValueError("no")

    (listener,) = await opened("proxy+mem:a")
    client = Client()
    await dial_stream("mem:a", lambda: client)
    client.transport.write(V2)
    accepted = await listener.accept()
    await accepted.handshake()
    with pytest.raises(ValueError, match="no"):
        await accepted.attach(Refuses())
    await client.over()


@pytest.mark.parametrize("behind", [b"", b"first"])
async def test_a_protocol_gets_exactly_the_input_after_the_header(opened, behind):
    class Notes(Client):
        def __init__(self):
            super().__init__()
            self.pieces = []

        def data_received(self, data):
            self.pieces.append(data)

    (listener,) = await opened("proxy+mem:a")
    client, notes = Client(), Notes()
    await dial_stream("mem:a", lambda: client)
    client.transport.write(V2 + behind)
    accepted = await listener.accept()
    await accepted.handshake()
    await accepted.attach(notes)
    client.transport.write(b"second")
    await until(lambda: b"second" in notes.pieces)
    assert notes.pieces == [piece for piece in (behind, b"second") if piece]
    client.transport.abort()


async def test_a_connection_that_broke_after_the_header_is_not_attached(opened):
    (listener,) = await opened("proxy+mem:a")
    client = Client()
    await dial_stream("mem:a", lambda: client)
    client.transport.write(V2)
    accepted = await listener.accept()
    await accepted.handshake()
    client.transport.abort()
    await client.over()
    await asyncio.sleep(0)
    with pytest.raises(ConnectionAbortedError):
        await accepted.attach(Client())


# -- datagrams -------------------------------------------------------------------------------

DATAGRAM = encode_v2(ProxyHeader(version=2, source=CLIENT, destination=REACHED, is_datagram=True))


@both_loops
@pytest.mark.parametrize(
    "address", [f"udp:127.0.0.1:0?{TRUSTED}", "unixgram:{folder}/s", "memgram:a"]
)
def test_each_datagram_has_a_header_and_its_reply_has_none(factory, address, tmp_path):
    it = Noted()

    async def main():
        async with Server(it.endpoint, f"proxy+{address.format(folder=tmp_path)}") as server:
            below = server.addresses[0].rpartition("+")[2]
            client = await dial_datagram(below)
            for junk in (b"no header", DATAGRAM[:-1], V1):
                client.send(junk)
            client.send(DATAGRAM + b"one")
            client.send(LOCAL + b"two")
            async with asyncio.timeout(PATIENCE_S):
                assert [await client.receive(), await client.receive()] == [b"ONE", b"TWO"]
            assert server.metrics.total("dropped_total", reason="proxy_header") == 3
            client.close()

    run(main, factory)
    first, second = it.contexts
    assert str(first.peer) == "192.0.2.1:4000"
    assert first.via.socket_peer == second.peer
    assert first.via.proxy.is_datagram
    assert first.via.scheme == address.partition(":")[0]
    assert first.via.local.startswith(f"{first.via.scheme}:")
    assert second.via.proxy == ProxyHeader(version=2)
    assert second.via.socket_peer is None


async def test_datagrams_of_strangers_are_dropped_and_counted():
    it = Noted()
    async with Server(it.endpoint, "proxy+udp:127.0.0.1:0?proxy.from=10.0.0.0/8") as server:
        client = await dial_datagram(server.addresses[0].rpartition("+")[2])
        client.send(DATAGRAM + b"one")
        await until(lambda: server.metrics.total("dropped_total", reason="proxy_untrusted") == 1)
        client.close()
    assert not it.contexts


async def test_ways_back_are_equal_by_proxy_and_client(opened):
    (listener,) = await opened("proxy+memgram:a")
    assert repr(listener) == "<ProxyDatagramListener proxy+memgram:a>"
    readable = asyncio.Event()
    listener.start(readable.set)
    client = await dial_datagram("memgram:a", source="memgram:b")
    other = encode_v2(ProxyHeader(version=2, source=("192.0.2.9", 1), destination=REACHED))
    for header in (DATAGRAM, V2, other):
        client.send(header + b"x")
    await readable.wait()
    listener.stop()
    (_, one), (_, same), (_, another) = listener.receive_batch(10)
    assert one == same != another
    assert hash(one) == hash(same)
    assert listener.truncated == 0
    client.close()


async def test_version_1_has_no_datagrams_on_a_passed_socket_either(opened, passed):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    passed(sock)
    with pytest.raises(ListenError, match="version 1 of the PROXY protocol has no datagrams"):
        await opened(f"proxy+sd:?proxy.version=1&{TRUSTED}")


# -- what an address has to say --------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("proxy+tcp:127.0.0.1:0", "any peer could claim to be any client"),
        ("proxy+udp:127.0.0.1:0", "add proxy.from="),
        ("proxy+mem:a?proxy.from=10.0.0.0/8", "have no IP address"),
        ("proxy+memgram:a?proxy.from=10.0.0.0/8", "leave it out"),
    ],
)
async def test_trusted_proxies_are_required_exactly_where_peers_have_addresses(
    opened, address, why
):
    with pytest.raises(ListenError, match=why):
        await opened(address)


def test_trust_is_by_network_whatever_socket_a_peer_came_through():
    rules = ProxyRules(["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"])
    trusted = [("10.9.9.9", 1), ("192.0.2.7", 1), ("2001:db8::1", 1, 0, 0), ("::ffff:10.1.1.1", 1)]
    assert all(rules.trusts(Peer(raw)) for raw in trusted)
    strangers = [("11.0.0.1", 1), ("192.0.2.8", 1), ("2001:db9::1", 1, 0, 0), "/run/a", ""]
    assert not any(rules.trusts(Peer(raw)) for raw in strangers)
    assert ProxyRules().trusts(Peer("/run/a"))
    assert not ProxyRules().trusts(Peer(("10.0.0.1", 1)))


def test_clients_of_unix_sockets_are_named_by_path():
    def name(source):
        return str(header_peer(ProxyHeader(version=2, source=source), Peer("proxy")))

    assert [name(b"/run/a"), name(b"\0abs"), name(b""), name(None)] == [
        "/run/a",
        "@abs",
        "unnamed",
        "proxy",
    ]
