"""Forged datagrams do not make servers answer each other for ever."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
from typing import Any

import pytest
from fakes import FakeDatagramListener, HandClock, settle  # type: ignore[import-not-found]

from pierhead import Server, raw
from pierhead.client.dial import dial_datagram
from pierhead.codec.proxy_header import ProxyHeader, encode_v2
from pierhead.connection.tasks import EagerTasks
from pierhead.listener.own_addresses import OwnAddresses
from pierhead.listener.process_sockets import ProcessSockets
from pierhead.metrics import Metrics
from pierhead.net.memory import Network
from pierhead.protocols import lines
from pierhead.server.datagram import DatagramServer
from pierhead.server.loops import Reflections
from pierhead.server.options import ServerOptions
from pierhead.service import FrameHandler
from pierhead.service.context import Peer


def sockaddr(host: str, port: int) -> bytes:
    """Return the raw address from which the batch path creates a peer."""
    address = ipaddress.ip_address(host)
    family = 2 if address.version == 4 else 10
    start = family.to_bytes(2, sys.byteorder) + port.to_bytes(2, "big")
    if address.version == 4:
        return start + address.packed + bytes(8)
    return start + bytes(4) + address.packed + bytes(4)


def unix_sockaddr(name: bytes) -> bytes:
    return (1).to_bytes(2, sys.byteorder) + name


#: A listener, a sender, and why it gets no answer.
SENDERS = [
    ("udp:127.0.0.1:7000", ("127.0.0.1", 7000), "own_address"),
    ("udp:127.0.0.1:7000", ("127.0.0.1", 7001), None),
    ("udp:127.0.0.1:7000", ("127.0.0.2", 7000), None),
    ("udp:127.0.0.1:7000", ("192.0.2.1", 7000), None),
    ("udp:127.0.0.1:7000", ("192.0.2.1", 0), "port_zero"),
    ("udp:127.0.0.1:7000", ("::ffff:127.0.0.1", 7000), "own_address"),
    ("udp:[::1]:7000", ("::1", 7000), "own_address"),
    ("udp:[::1]:7000", ("::1", 7001), None),
    ("udp:[::1]:7000", ("2001:db8::1", 0), "port_zero"),
    # A wildcard's own addresses are those of the host.
    ("udp:0.0.0.0:7000", ("127.0.0.1", 7000), "own_address"),
    ("udp:0.0.0.0:7000", ("127.77.0.1", 7000), "own_address"),
    ("udp:0.0.0.0:7000", ("192.0.2.1", 7000), None),
    ("udp:0.0.0.0:7000", ("127.0.0.1", 7001), None),
    ("udp:[::]:7000", ("::1", 7000), "own_address"),
    ("udp:[::]:7000", ("::ffff:127.0.0.1", 7000), "own_address"),
    ("udp:[::]:7000", ("2001:db8::1", 7000), None),
]


@pytest.mark.parametrize("spelling", ["raw", "tuple"])
@pytest.mark.parametrize(("local", "sender", "reason"), SENDERS)
def test_a_datagram_from_one_of_our_own_listeners_gets_no_answer(
    local: str, sender: tuple[str, int], reason: str | None, spelling: str
) -> None:
    own = OwnAddresses()
    own.add(local)
    peer = Peer(sockaddr(*sender) if spelling == "raw" else sender)
    glance = peer.raw[2:4] if spelling == "raw" else peer.raw[1]
    found = own.why_silent(peer) if glance in own.suspects else None
    assert found == reason
    own.remove(local)
    assert own.suspects.keys() == {0, b"\0\0"}
    assert not own._inet


@pytest.mark.parametrize(
    ("local", "raw_peer", "is_own"),
    [
        ("memgram:echo", "echo", True),
        ("memgram:echo", "client", False),
        ("unixgram:./s", unix_sockaddr(b"./s\0"), True),
        ("unixgram:/run/s", unix_sockaddr(b"/run/s\0"), True),
        ("unixgram:/run/s", unix_sockaddr(b"/run/t\0"), False),
        ("unixgram:@s", unix_sockaddr(b"\0s"), True),
        ("unixgram:@s", unix_sockaddr(b"\0t"), False),
        ("unixgram:@s?pad=full", unix_sockaddr(b"\0s".ljust(108, b"\0")), True),
    ],
)
def test_peers_without_ports_are_recognised_by_name(
    local: str, raw_peer: Any, is_own: bool
) -> None:
    own = OwnAddresses()
    own.add(local)
    own.add(local)
    own.remove(local)  # as if two listeners shared it
    glance = raw_peer[2:4] if isinstance(raw_peer, bytes) else raw_peer
    assert (glance in own.suspects) or not is_own
    assert (own.why_silent(Peer(raw_peer)) == "own_address") is is_own


def test_a_non_loopback_address_of_this_host_is_recognised_as_well() -> None:
    own = OwnAddresses()
    own.add("udp:0.0.0.0:7000")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this host has no route and no address but loopback")
        ours = probe.getsockname()[0]
    assert own.why_silent(Peer((ours, 7000))) == "own_address"


def test_the_same_datagram_of_the_same_sender_is_answered_once_in_a_while() -> None:
    reflections = Reflections()
    one, other = Peer(("192.0.2.1", 5000)), Peer(("192.0.2.1", 5001))
    assert reflections.why_silent(b"a", one, 0.0) is None
    assert reflections.why_silent(b"a", one, 0.01) == "reflected"
    assert reflections.why_silent(b"b", one, 0.01) is None
    assert reflections.why_silent(b"a", other, 0.01) is None
    assert reflections.why_silent(b"a", one, 0.51) == "reflected"
    assert reflections.why_silent(b"a", one, 1.01) is None


def test_the_memory_of_senders_is_bounded() -> None:
    reflections = Reflections()
    for port in range(50_000):
        reflections.why_silent(b"x" * 100, Peer(("192.0.2.1", 1024 + port)), 0.0)
    assert len(reflections._recent) + len(reflections._before) <= 2 * 8192


class Bench:
    """One datagram server with a fake listener and a fake clock."""

    def __init__(self, spec: str, *, reflects: bool) -> None:
        async def echo(frame: bytes, context: Any) -> bytes:
            return frame

        self.listener = FakeDatagramListener(spec)
        self.metrics = Metrics()
        self.clock = HandClock()
        self.server = DatagramServer(
            self.listener,
            FrameHandler(echo, reflects=reflects),
            options=ServerOptions(),
            admission=None,
            clock=self.clock,
            metrics=self.metrics,
            tasks=EagerTasks(),
            on_lost=lambda lost: None,
            wake_sweep=lambda: None,
            own_addresses=OwnAddresses(),
        )
        self.server.start()

    async def sends_back(self, sender: Any, frame: bytes = b"x") -> bool:
        before = len(self.listener.sent)
        self.listener.arrive(frame, sender=sender)
        await settle()
        return len(self.listener.sent) > before

    def dropped(self, reason: str) -> float:
        return self.metrics.total("dropped_total", reason=reason)


@pytest.mark.parametrize("port", [7, 13, 17, 19, 37])
async def test_small_services_are_not_answered_by_an_echo_and_by_others_are(port: int) -> None:
    echo, other = Bench("udp:127.0.0.1:7000", reflects=True), Bench("memgram:o", reflects=False)
    assert not await echo.sends_back(("192.0.2.1", port))
    assert await other.sends_back(("192.0.2.1", port))
    assert echo.dropped("small_service") == 1
    for one in (echo, other):
        one.server.close()


async def test_every_reason_is_counted_by_name() -> None:
    it = Bench("udp:127.0.0.1:7000", reflects=True)
    assert not await it.sends_back(("127.0.0.1", 7000))
    assert not await it.sends_back(("192.0.2.1", 0))
    assert await it.sends_back(("192.0.2.1", 5000))
    assert not await it.sends_back(("192.0.2.1", 5000))
    assert [it.dropped(r) for r in ("own_address", "port_zero", "reflected")] == [1, 1, 1]
    it.server.close()
    assert it.metrics.total("datagrams_sent_total") == 1


async def test_a_server_that_could_not_start_has_no_address() -> None:
    from pierhead.errors import ListenError

    shared = ProcessSockets({})
    before = dict(shared.own_addresses.suspects)
    with pytest.raises(ListenError):
        async with Server(
            raw(lines.echo), "udp:127.0.0.1:0", "udp:203.0.113.9:9", process_sockets=shared
        ):
            pass
    assert shared.own_addresses.suspects == before
    async with Server(raw(lines.echo), "udp:127.0.0.1:0", process_sockets=shared):
        assert shared.own_addresses.suspects != before
    assert shared.own_addresses.suspects == before


async def test_two_endpoints_of_one_process_do_not_answer_each_other() -> None:
    async def polite(line: bytes, context: Any) -> bytes:
        return line + b"!"

    async with (
        Server(raw(polite), "udp:127.0.0.1:0") as one,
        Server(raw(polite), "udp:127.0.0.1:0") as other,
    ):
        (first,), (second,) = one._serving(), other._serving()
        target = sockaddr("127.0.0.1", int(second.listener.local.rpartition(":")[2]))
        first.listener.send_batch([(b"ahoy", target)])  # this is what a forged sender looks like
        while not other.metrics.total("dropped_total", reason="own_address"):
            await asyncio.sleep(0.001)
        assert one.metrics.total("datagrams_received_total") == 0
        assert other.metrics.total("datagrams_sent_total") == 0


@pytest.mark.parametrize("address", ["udp:127.0.0.1:0", "udp:[::1]:0", "udp::0"])
async def test_a_client_on_this_host_is_answered(address: str) -> None:
    async with Server(raw(lines.echo), address) as server:
        port = server.addresses[0].rpartition(":")[2]
        host = "[::1]" if "::1" in address else "127.0.0.1"
        client = await dial_datagram(f"udp:{host}:{port}")
        client.send(b"a\n")
        assert await asyncio.wait_for(client.receive(), 20) == b"a\n"
        client.close()


async def test_ends_of_a_memory_network_do_not_echo_each_other(network: Any) -> None:
    async with Server(raw(lines.echo), "memgram:a", "memgram:b") as server:
        Network.current().datagrams["a"].arrive(b"forged", "b")
        await settle(40)
        assert server.metrics.total("datagrams_received_total") == 1
        assert server.metrics.total("datagrams_sent_total") == 0
        assert server.metrics.total("dropped_total", reason="own_address") == 1


async def test_a_foreign_echo_server_is_answered_once(network: Any) -> None:
    """Another process, or host, whose addresses are unknown here."""
    async with Server(raw(lines.echo), "memgram:a") as server:
        theirs = await dial_datagram("memgram:a", source="memgram:theirs")
        theirs.send(b"forged")
        for _ in range(5):
            try:
                async with asyncio.timeout(0.05):
                    theirs.send(await theirs.receive())
            except TimeoutError:
                break
        assert server.metrics.total("datagrams_sent_total") == 1
        assert server.metrics.total("dropped_total", reason="reflected") == 1
        theirs.close()


@pytest.mark.skipif(sys.platform != "linux", reason="needs named datagram peers")
async def test_a_listener_of_our_own_on_a_unix_socket_is_not_answered(tmp_path: Any) -> None:
    paths = f"unixgram:{tmp_path}/a", f"unixgram:{tmp_path}/b"
    async with Server(raw(lines.echo), *paths) as server:
        first, _ = server._serving()
        first.listener.send_batch([(b"ahoy", unix_sockaddr(f"{tmp_path}/b".encode() + b"\0"))])
        while not server.metrics.total("dropped_total", reason="own_address"):
            await asyncio.sleep(0.001)
        assert server.metrics.total("datagrams_sent_total") == 0


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (("127.0.0.1", 0), "port_zero"),
        (("192.0.2.1", 5000), None),
        (("own", -1), "own_address"),
    ],
)
async def test_a_client_named_by_a_proxy_is_checked(client: Any, reason: str | None) -> None:
    address = "proxy+udp:127.0.0.1:0?proxy.from=127.0.0.1"
    async with Server(raw(lines.echo), address) as server:
        port = int(server.addresses[0].rpartition(":")[2])
        source = ("127.0.0.1", port) if client[0] == "own" else client
        header = encode_v2(
            ProxyHeader(version=2, source=source, destination=("127.0.0.1", 9), is_datagram=True)
        )
        proxy = await dial_datagram(f"udp:127.0.0.1:{port}")
        proxy.send(header + b"ahoy")
        if reason is None:
            assert await asyncio.wait_for(proxy.receive(), 20) == b"ahoy"
        else:
            while not server.metrics.total("dropped_total", reason=reason):
                await asyncio.sleep(0.001)
            assert server.metrics.total("datagrams_sent_total") == 0
        proxy.close()
