from __future__ import annotations

import errno
import gc
import socket
import sys

import pytest

from pierhead.address import ListenSpec
from pierhead.buffer import BufferPool
from pierhead.errors import ListenError, UsageError
from pierhead.listener import open as opening
from pierhead.listener.bind import inet
from pierhead.listener.open import open_all, open_listeners
from pierhead.service.context import Transport


def port_of(listener):
    return int(listener.local.rpartition(":")[2])


async def test_a_listener_has_the_given_and_the_bound_address(opened):
    (listener,) = await opened("tcp:127.0.0.1:0?backlog=5")
    assert str(listener.spec) == "tcp:127.0.0.1:0?backlog=5"
    assert listener.local == f"tcp:127.0.0.1:{port_of(listener)}"
    assert port_of(listener) > 0
    assert listener.transport is Transport.STREAM


async def test_a_group_shares_one_port_that_the_system_chose(opened):
    udp, tcp = await opened("udp:127.0.0.1:0", "tcp:127.0.0.1:0")
    assert port_of(udp) == port_of(tcp) > 0
    assert [udp.transport, tcp.transport] == [Transport.DATAGRAM, Transport.STREAM]


async def test_the_wildcard_is_a_pair_on_one_port(opened):
    pair = await opened("tcp:*:0")
    if len(pair) == 1:
        pytest.skip("no IPv6 here")
    assert [listener.local for listener in pair] == [
        f"tcp:[::]:{port_of(pair[0])}",
        f"tcp:0.0.0.0:{port_of(pair[0])}",
    ]


async def test_without_ipv6_the_wildcard_is_ipv4_alone(opened, monkeypatch):
    monkeypatch.setattr(inet, "_has_ipv6", lambda: False)
    (listener,) = await opened("udp:*:0")
    assert listener.local.startswith("udp:0.0.0.0:")


async def test_a_taken_port_makes_a_group_look_for_another(opened, monkeypatch):
    refused = []
    really = opening._open_inet

    def once_taken(one, *arguments):
        if one.scheme == "tcp" and not refused:
            refused.append(one.port)
            raise ListenError("tcp", "bind", "taken", errno=errno.EADDRINUSE)
        return really(one, *arguments)

    monkeypatch.setattr(opening, "_open_inet", once_taken)
    udp, tcp = await opened("udp:127.0.0.1:0", "tcp:127.0.0.1:0")
    assert refused
    assert port_of(udp) == port_of(tcp)


async def test_a_range_of_ports_is_a_listener_each(opened):
    # Taken from what the system just called free, so a neighbour may be in use: try a few.
    for _ in range(20):
        (probe,) = await opened("udp:127.0.0.1:0")
        first = port_of(probe)
        probe.close()
        try:
            listeners = await opened(f"udp:127.0.0.1:{first}-{first + 2}")
        except (ListenError, UsageError):
            continue
        assert [port_of(listener) for listener in listeners] == [first, first + 1, first + 2]
        return
    pytest.fail("no three free ports in a row in twenty attempts")


async def test_every_address_of_a_name_is_bound_and_reported(opened, monkeypatch):
    async def resolve(host, port, kind):
        assert host == "two.example"
        return [(socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_INET, ("127.0.0.2", 0))]

    if sys.platform != "linux":
        pytest.skip("127.0.0.2 is local on Linux only")
    monkeypatch.setattr(inet, "resolve_host", resolve)
    listeners = await opened("tcp:two.example:0")
    hosts = [listener.local.split(":")[1] for listener in listeners]
    assert hosts == ["127.0.0.1", "127.0.0.2"]
    assert port_of(listeners[0]) == port_of(listeners[1])


async def test_a_name_that_does_not_resolve_is_named(opened, monkeypatch):
    async def resolve(host, port, kind):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(inet, "resolve_host", resolve)
    with pytest.raises(ListenError, match=r"tcp:nosuch.example:80: resolve: Name or service"):
        await opened("tcp:nosuch.example:80")


async def test_all_or_nothing(opened):
    (taken,) = await opened("tcp:127.0.0.1:0")
    groups = [
        (ListenSpec.parse("tcp:127.0.0.1:0"), ListenSpec.parse("udp:127.0.0.1:0")),
        (ListenSpec.parse(taken.local),),
    ]
    pool = BufferPool()
    with pytest.raises(ListenError, match="bind: Address already in use"):
        await open_all(groups, buffers=pool)
    gc.collect()  # a socket left open would be a ResourceWarning, and so an error
    assert pool.lent_bytes == 0


async def test_the_error_for_a_port_in_use_says_how_to_find_its_owner(opened):
    (taken,) = await opened("tcp:127.0.0.1:0")
    with pytest.raises(ListenError) as caught:
        await opened(f"{taken.local}?backlog=3")
    error = caught.value
    assert (error.step, error.errno) == ("bind", errno.EADDRINUSE)
    assert error.address == f"{taken.local}?backlog=3"
    assert "ss -tulpn" in error.remedy


async def test_the_error_for_an_address_of_another_host_says_so(opened):
    with pytest.raises(ListenError, match="no network interface has this address"):
        await opened("udp:203.0.113.9:0")


def test_a_privileged_port_names_the_capability():
    error = inet.inet_refused("tcp:*:53", "bind", PermissionError(errno.EACCES, "denied"), 53)
    assert "CAP_NET_BIND_SERVICE" in error.remedy
    error = inet.inet_refused("tcp:*:5300", "bind", PermissionError(errno.EACCES, "denied"), 5300)
    assert "CAP_NET_BIND_SERVICE" not in error.remedy


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("quic:127.0.0.1:0?cert=a.pem", "quic:"),
    ],
)
async def test_forms_of_later_versions_are_refused_by_name(opened, address, form):
    with pytest.raises(ListenError, match=f"this version does not open {form}"):
        await opened(address)


async def test_a_short_form_has_to_be_resolved_first(opened):
    with pytest.raises(UsageError, match="has no scheme"):
        await opened("127.0.0.1:0")


@pytest.mark.parametrize(
    ("option", "level", "number", "expected"),
    [
        ("reuseport", socket.SOL_SOCKET, socket.SO_REUSEPORT, 1),
        ("rcvbuf=65536", socket.SOL_SOCKET, socket.SO_RCVBUF, 131_072),
        ("sndbuf=64KiB", socket.SOL_SOCKET, socket.SO_SNDBUF, 131_072),
        ("dscp=46", socket.IPPROTO_IP, socket.IP_TOS, 184),
        ("keepalive=60s:5s:3", socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        ("keepalive=60s:5s:3", socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
        ("keepalive=60s:5s:3", socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
        ("keepalive=60s:5s:3", socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        ("user-timeout=30s", socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
        ("notsent-lowat=16KiB", socket.IPPROTO_TCP, 25, 16_384),
        ("reuseaddr=off", socket.SOL_SOCKET, socket.SO_REUSEADDR, 0),
        ("backlog=7", socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
        ("nodelay", socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        ("nodelay=off", socket.IPPROTO_TCP, socket.TCP_NODELAY, 0),
        ("freebind", socket.IPPROTO_IP, 15, 1),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="Linux's numbers")
async def test_an_option_reaches_the_socket(opened, option, level, number, expected):
    (listener,) = await opened(f"tcp:127.0.0.1:0?{option}")
    with socket.socket(fileno=socket.dup(listener.fileno())) as same:
        assert same.getsockopt(level, number) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's numbers")
@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("udp:127.0.0.1:0", 0),
        ("udp:127.0.0.1:0?pktinfo", 1),
        ("udp:0.0.0.0:0", 1),
        ("udp:0.0.0.0:0?pktinfo=off", 0),
    ],
)
async def test_packet_info_is_requested_on_wildcards(opened, address, expected):
    (listener,) = await opened(address)
    with socket.socket(fileno=socket.dup(listener.fileno())) as same:
        assert same.getsockopt(socket.IPPROTO_IP, 8) == expected


async def test_one_socket_for_both_families_where_v6only_is_off(opened):
    try:
        (listener,) = await opened("tcp:[::]:0?v6only=off")
    except ListenError:
        pytest.skip("no IPv6 here")
    with socket.create_connection(("127.0.0.1", port_of(listener))):
        accepted = await listener.accept()
        assert accepted.local.startswith("tcp:[::ffff:127.0.0.1]:")
        accepted.close()


async def test_a_group_is_joined_only_where_there_is_one(opened):
    with pytest.raises(ListenError, match="is not a multicast group"):
        await opened("udp:127.0.0.1:0?multicast=join")
    with pytest.raises(ListenError, match="no group is joined"):
        await opened("udp:127.0.0.1:0?iface=lo")
    with pytest.raises(ListenError, match="no interface is called nosuch0"):
        await opened("udp:239.255.7.7:0?multicast=join&iface=nosuch0")


async def test_datagrams_to_a_joined_group_are_received(opened):
    (listener,) = await opened("udp:239.255.7.7:0?multicast=join&iface=lo")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        loopback = socket.inet_aton("127.0.0.1")
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
        try:
            sender.sendto(b"all", ("239.255.7.7", port_of(listener)))
        except OSError:
            pytest.skip("no multicast on the loopback interface here")
    batch = listener.receive_batch(8)
    assert [payload for payload, _ in batch] == [b"all"]


async def test_without_buffers_nothing_is_opened(opened):
    with pytest.raises(ListenError, match="buffers: limit reached: max_buffer_bytes"):
        await open_listeners(
            ListenSpec.parse("udp:127.0.0.1:0"), buffers=BufferPool(max_bytes=1000)
        )
    gc.collect()


async def test_datagrams_one_by_one_where_batches_are_not_wanted(opened):
    (listener,) = await opened("udp:127.0.0.1:0", batched=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.sendto(b"q", ("127.0.0.1", port_of(listener)))
        ((payload, back),) = listener.receive_batch(8)
        assert payload == b"q"
        assert listener.send_batch([(b"a", back)]) == []
        assert client.recv(10) == b"a"
