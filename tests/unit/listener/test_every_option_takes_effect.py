"""No option parses and does nothing: a proof for every row for listening, on every scheme of it.

Whoever adds a row adds its proof: a test here that opens the address and reads the effect back,
or the name of one elsewhere.
"""

from __future__ import annotations

import ast
import asyncio
import errno
import os
import socket
import stat
import struct
import sys
from functools import cache
from pathlib import Path

import pytest
from every_place import UNIX_KINDS

from pierhead.address import ListenSpec
from pierhead.address.registry import OPTIONS, AppliedBy, Effect, Side
from pierhead.errors import ListenError
from pierhead.listener import socket_option
from pierhead.listener.bind import inet, vsock
from pierhead.listener.open import open_all
from pierhead.net import socket_option as socket_option_table
from pierhead.net.datagram import ancillary
from pierhead.protocols import lines
from pierhead.server.server import Server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="read back by Linux's numbers")

PASSED = ("fd", "sd", "launchd")
KERNEL = ("tcp", "udp", "unix", "unixgram", "unixseq", *PASSED, "inetd")
IP, IPV6, TCP, SOL = (
    socket.IPPROTO_IP,
    socket.IPPROTO_IPV6,
    socket.IPPROTO_TCP,
    socket.SOL_SOCKET,
)

#: What tests here have proven: key, and scheme or wrapper.
PROVEN: set[tuple[str, str]] = set()

#: What tests elsewhere have proven.
ELSEWHERE = {
    ("pktinfo", "udp"): "listener/test_open.py::test_packet_info_is_requested_on_wildcards",
    ("ecn", "udp"): "listener/test_ancillary_datagram.py::"
    "test_every_mark_is_seen_and_replies_find_back",
    ("broadcast", "udp"): "server/test_socket_conversations.py::"
    "test_broadcast_is_an_option_of_the_address",
    ("gro", "udp"): "listener/test_ancillary_datagram.py::test_the_kernel_does_coalesce_here",
    (
        "force",
        "fd",
    ): "listener/adopt/test_descriptors.py::test_standard_input_is_not_taken_by_accident",
    (
        "pid",
        "sd",
    ): "listener/adopt/test_systemd.py::test_pid_ignore_takes_sockets_meant_for_a_parent",
    ("optional", "sd"): "listener/adopt/test_systemd.py::"
    "test_optional_takes_nothing_where_there_is_nothing",
    (
        "mode",
        "inetd",
    ): "listener/adopt/test_inetd.py::test_waiting_serves_a_socket_that_has_no_peer_yet",
    ("loss", "memgram"): "net/memory/test_link.py::test_a_listener_may_lose_by_its_address",
    ("cert", "tls+"): "listener/wrap/test_tls.py::"
    "test_the_certificate_is_chosen_by_the_requested_name",
    ("key", "tls+"): "listener/wrap/test_tls_context.py::"
    "test_a_certificate_and_its_key_may_stand_in_one_file_or_in_two",
    ("alpn", "tls+"): "listener/wrap/test_tls.py::"
    "test_a_protocol_is_agreed_on_by_alpn_or_refused_by_alert",
    ("client-ca", "tls+"): "listener/wrap/test_tls.py::"
    "test_clients_show_a_certificate_of_the_authority_or_are_refused",
    (
        "min",
        "tls+",
    ): "listener/wrap/test_tls.py::test_older_versions_are_refused_as_the_address_says",
    ("strict-permissions", "tls+"): "listener/wrap/test_tls_context.py::"
    "test_a_key_that_others_can_read_causes_a_warning_or_an_error",
    ("handshake-timeout", "tls+"): "listener/wrap/test_tls.py::"
    "test_an_address_may_have_a_shorter_deadline_of_its_own",
    ("proxy.from", "proxy+"): "listener/wrap/test_proxy.py::"
    "test_a_stranger_is_refused_before_anything_is_read",
    ("proxy.version", "proxy+"): "listener/wrap/test_proxy.py::"
    "test_a_version_other_than_the_configured_one_is_refused",
    ("proxy.timeout", "proxy+"): "listener/wrap/test_proxy.py::"
    "test_a_header_that_does_not_come_in_time_ends_the_connection",
}


def pairs(keys, *places):
    return [(key, place) for key in keys.split() for place in places]


def proves(*pairs):
    """Run a test for each of these options at its scheme, and note that it did."""

    def note(test):
        PROVEN.update(pairs)
        return pytest.mark.parametrize(("key", "place"), pairs)(test)

    return note


# -- what the server does ----------------------------------------------------------------------

IN_FORCE = {
    "name": ("name=public", lambda one: one._at.name, "public"),
    "drain": ("drain=7s", lambda one: one.options.drain_timeout, 7.0),
    "maxconn": ("maxconn=3", lambda one: one._at.max_connections, 3),
    "maxconn-per-network": (
        "maxconn-per-network=2",
        lambda one: one.options.max_connections_per_network,
        2,
    ),
    "when-full": ("when-full=wait", lambda one: one.options.when_full, "wait"),
    "maxrate": ("maxrate=4", lambda one: one._accept_rate._rate.interval_ns, 250_000_000),
    "accept-backoff": ("accept-backoff=300ms", lambda one: one._at.longest_back_off, 0.3),
    "idle-timeout": ("idle-timeout=9s", lambda one: one.options.idle_timeout, 9.0),
}
CONNECTIONS = ("tcp", "unix", "unixseq", "vsock", "vsockseq", *PASSED, "mem")


@proves(
    *pairs("name drain", *KERNEL, "vsock", "vsockseq", "mem", "memgram"),
    *pairs("maxconn idle-timeout", *CONNECTIONS, "inetd"),
    *pairs("maxrate accept-backoff maxconn-per-network when-full", *CONNECTIONS),
)
async def test_the_server_does_as_the_address_says(places, key, place):
    """What comes of it: test_listener_options.py and test_accept_rate.py in tests/unit/server."""
    option, read, expected = IN_FORCE[key]
    try:
        address = f"{places.address(place)}?{option}"
        async with Server(lines.serve(_upper), address, process_sockets=places.process) as server:
            (one,) = server._serving()
            assert read(one) == expected
            if key == "name":
                assert 'listener="public"' in " ".join(server.metrics.snapshot())
    except ListenError as error:
        if place.startswith("vsock") and error.step == "socket":
            pytest.skip(str(error))
        raise


async def _upper(line, context):
    return line.upper()


# -- what each connection is set to ------------------------------------------------------------

#: An option, and what the socket of a connection says then: level, number, value.
ON_CONNECTIONS = {
    "nodelay": ("nodelay=off", [(TCP, socket.TCP_NODELAY, 0)]),
    "keepalive": (
        "keepalive=60s:5s:3",
        [
            (SOL, socket.SO_KEEPALIVE, 1),
            (TCP, socket.TCP_KEEPIDLE, 60),
            (TCP, socket.TCP_KEEPINTVL, 5),
            (TCP, socket.TCP_KEEPCNT, 3),
        ],
    ),
    "keepalive-ms": (
        "keepalive-ms=60000:3:5000",
        [(TCP, socket.TCP_KEEPIDLE, 60), (TCP, socket.TCP_KEEPCNT, 3)],
    ),
    "user-timeout": ("user-timeout=30s", [(TCP, socket.TCP_USER_TIMEOUT, 30_000)]),
    "notsent-lowat": ("notsent-lowat=16KiB", [(TCP, 25, 16_384)]),
    # The kernel says double of what it was asked for (socket(7)).
    "rcvbuf": ("rcvbuf=64KiB", [(SOL, socket.SO_RCVBUF, 131_072)]),
    "sndbuf": ("sndbuf=64KiB", [(SOL, socket.SO_SNDBUF, 131_072)]),
}


@proves(
    *pairs("nodelay keepalive keepalive-ms user-timeout notsent-lowat", "tcp", *PASSED, "inetd"),
    *pairs("rcvbuf sndbuf", "tcp", "unix", "unixseq", *PASSED, "inetd"),
)
async def test_a_connection_is_set_as_the_address_says(places, key, place):
    option, expected = ON_CONNECTIONS[key]
    (listener,) = await places.open(place, option)
    served = await places.served_socket(listener)
    assert [served.getsockopt(level, number) for level, number, _ in expected] == [
        value for *_, value in expected
    ]


@pytest.mark.parametrize("key", ["rcvbuf", "sndbuf"])
@pytest.mark.parametrize(
    ("place", "kind"),
    [
        # Where the connection itself is passed, one kind is enough.
        ("inetd", socket.SOCK_STREAM),
        *(
            (place, kind)
            for place in PASSED
            for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)
        ),
    ],
)
async def test_unix_sockets_that_are_passed_are_set_too(places, key, place, kind):
    option, ((level, number, value),) = ON_CONNECTIONS[key]
    (listener,) = await places.open(place, option, kind=kind, family=socket.AF_UNIX)
    served = await places.served_socket(listener)
    assert served.getsockopt(level, number) == value


@proves(*pairs("rcvbuf sndbuf", "udp", "unixgram"))
async def test_a_datagram_socket_is_set_as_the_address_says(places, key, place):
    option, ((level, number, value),) = ON_CONNECTIONS[key]
    (listener,) = await places.open(place, option)
    assert places.own_socket(listener).getsockopt(level, number) == value


@pytest.mark.parametrize("key", ["rcvbuf", "sndbuf"])
@pytest.mark.parametrize("place", PASSED)
async def test_a_datagram_socket_that_is_passed_is_set_too(places, key, place):
    option, ((level, number, value),) = ON_CONNECTIONS[key]
    (listener,) = await places.open(place, option, kind=socket.SOCK_DGRAM)
    assert places.own_socket(listener).getsockopt(level, number) == value


@proves(*pairs("rcvbuf", "vsock", "vsockseq"))
async def test_vsock_has_a_buffer_of_its_own_kind(places, key, place):
    (listener,) = await places.open(place, "rcvbuf=1MiB")  # above the usual maximum
    own = places.own_socket(listener)
    assert own.getsockopt(socket.AF_VSOCK, socket.SO_VM_SOCKETS_BUFFER_SIZE) == 2**20


# -- what the socket itself is set to ----------------------------------------------------------

#: An option, then level, number and value for IPv4 and for IPv6.
ON_SOCKETS = {
    "reuseport": ("reuseport", (SOL, socket.SO_REUSEPORT, 1), (SOL, socket.SO_REUSEPORT, 1)),
    "transparent": ("transparent", (IP, 19, 1), (IPV6, 75, 1)),
    "mark": ("mark=7", (SOL, 36, 7), (SOL, 36, 7)),
    "dscp": ("dscp=46", (IP, socket.IP_TOS, 184), (IPV6, socket.IPV6_TCLASS, 184)),
    "freebind": ("freebind", (IP, 15, 1), (IPV6, 78, 1)),
    "defer-accept": (
        "defer-accept",
        (TCP, socket.TCP_DEFER_ACCEPT, 1),
        (TCP, socket.TCP_DEFER_ACCEPT, 1),
    ),
    "fastopen": ("fastopen=16", (TCP, socket.TCP_FASTOPEN, 16), (TCP, socket.TCP_FASTOPEN, 16)),
    "maxseg": ("maxseg=1200", (TCP, socket.TCP_MAXSEG, 1200), (TCP, socket.TCP_MAXSEG, 1200)),
    "mtu-discover": ("mtu-discover=do", (IP, 10, 2), (IPV6, 23, 2)),
}


async def open_inet(places, place, host, options):
    try:
        (listener,) = await open_all([(ListenSpec.parse(f"{place}:{host}:0?{options}"),)])
    except ListenError as error:
        if "::" in host and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            pytest.skip("no IPv6 here")
        if error.errno == errno.EPERM:
            pytest.skip("only root may")
        raise
    places.stack.callback(listener.close)
    return listener


@proves(
    *pairs("reuseport transparent mark dscp mtu-discover freebind", "tcp", "udp"),
    *pairs("defer-accept fastopen maxseg", "tcp"),
)
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_a_socket_is_set_as_the_address_says(places, monkeypatch, tmp_path, key, place, host):
    switch = tmp_path / "tcp_fastopen"
    switch.write_text("3\n")
    monkeypatch.setattr(socket_option_table, "_FASTOPEN_SWITCH", switch)
    option, *expected = ON_SOCKETS[key]
    level, number, value = expected[host != "127.0.0.1"]
    own = places.own_socket(await open_inet(places, place, host, option))
    assert own.getsockopt(level, number) == value


@pytest.mark.parametrize("place", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("word", "number"),
    [("dont", 0), ("want", 1), ("do", 2), ("probe", 3), ("interface", 4), ("omit", 5)],
)
async def test_every_way_to_find_the_mtu_is_set_for_both_families(places, place, word, number):
    listener = await open_inet(places, place, "[::]", f"v6only=off&mtu-discover={word}")
    own = places.own_socket(listener)
    assert (own.getsockopt(IPV6, 23), own.getsockopt(IP, 10)) == (number, number)


async def test_a_connection_announces_and_sends_segments_of_the_largest_size(places):
    (listener,) = await places.open("tcp", "maxseg=1200")
    served = await places.served_socket(listener)
    client = places.client(listener.local)
    # Options of each segment, time stamps for one, take some of it (RFC 9293 §3.7.1).
    assert 1160 <= served.getsockopt(TCP, socket.TCP_MAXSEG) <= 1200
    assert 1160 <= client.getsockopt(TCP, socket.TCP_MAXSEG) <= 1200


@pytest.mark.parametrize("size", [88, 32_767])
async def test_the_system_takes_segments_of_every_size_that_an_address_may_say(places, size):
    (listener,) = await places.open("tcp", f"maxseg={size}")
    assert places.own_socket(listener).getsockopt(TCP, socket.TCP_MAXSEG) == size


async def test_fast_open_that_the_system_forbids_is_a_warning(
    places, monkeypatch, tmp_path, caplog
):
    switch = tmp_path / "tcp_fastopen"
    switch.write_text("1\n")
    monkeypatch.setattr(socket_option_table, "_FASTOPEN_SWITCH", switch)
    (listener,) = await places.open("tcp", "fastopen=16")
    (warning,) = [record for record in caplog.records if record.name == "pierhead.net"]
    assert warning.levelname == "WARNING"
    assert "fastopen has no effect" in warning.getMessage()
    assert "sysctl net.ipv4.tcp_fastopen=3" in warning.getMessage()
    assert listener.local.startswith("tcp:")


LISTENING = [row for row in OPTIONS if Side.LISTEN in row.sides]
SOCKET_ROWS = [row for row in LISTENING if AppliedBy.SOCKET in row.applied_by]


@pytest.mark.parametrize(
    "row", [row for row in SOCKET_ROWS if row.effect is Effect.NEW_CONNECTIONS], ids=lambda r: r.key
)
async def test_a_change_on_a_listening_socket_reaches_the_next_connection(places, row):
    if "tcp" not in row.schemes:
        pytest.skip("an option of datagrams: the socket is the only one")
    expected = [*ON_CONNECTIONS.get(row.key, ("", []))[1], *ON_SOCKETS.get(row.key, ())[1:2]]
    option = {**ON_CONNECTIONS, **ON_SOCKETS}[row.key][0]
    (listener,) = await places.open("tcp", "nodelay=on")
    own = places.own_socket(listener)
    try:
        socket_option.apply_options(own, ListenSpec.parse(f"tcp:127.0.0.1:0?{option}"))
    except PermissionError:
        pytest.skip("only root may")
    # What these do is over once a connection is accepted; it says less than maxseg by its options.
    of_listeners = ("defer-accept", "fastopen", "maxseg")
    one = own if row.key in of_listeners else await places.served_socket(listener)
    assert [one.getsockopt(level, number) for level, number, _ in expected] == [
        value for *_, value in expected
    ]


async def test_a_change_of_the_backlog_is_in_force_at_once(places):
    (listener,) = await places.open("tcp", "backlog=7")
    own = places.own_socket(listener)
    own.listen(9)
    info = own.getsockopt(TCP, socket.TCP_INFO, 64)
    assert struct.unpack_from("=I", info, 28) == (9,)


@proves(*pairs("reuseaddr", "tcp", "udp"))
@pytest.mark.parametrize(("value", "expected"), [("on", 1), ("off", 0)])
async def test_an_address_in_use_is_taken_or_not(places, key, place, value, expected):
    (listener,) = await places.open(place, f"reuseaddr={value}")
    assert places.own_socket(listener).getsockopt(SOL, socket.SO_REUSEADDR) == expected


@pytest.mark.parametrize("place", ["tcp", "udp"])
async def test_a_port_is_shared_by_all_sockets_that_set_reuseport(places, place):
    (first,) = await places.open(place, "reuseport")
    (second,) = await open_all([(ListenSpec.parse(f"{first.local}?reuseport"),)])
    assert second.local == first.local
    second.close()
    with pytest.raises(ListenError, match="Address already in use"):
        await open_all([(ListenSpec.parse(first.local),)])


@pytest.mark.parametrize("place", ["tcp", "udp"])
@pytest.mark.parametrize("host", ["192.0.2.77", "[2001:db8::77]"])
async def test_an_address_that_is_not_there_yet_is_bound(places, place, host):
    listener = await open_inet(places, place, host, "freebind")
    assert listener.local.startswith(f"{place}:{host}:")


@proves(*pairs("device", "tcp", "udp"))
async def test_a_device_is_kept_to(places, key, place):
    listener = await open_inet(places, place, "127.0.0.1", "device=lo")
    name = places.own_socket(listener).getsockopt(SOL, socket.SO_BINDTODEVICE, 16)
    assert name.rstrip(b"\0") == b"lo"


@proves(*pairs("v6only", "tcp", "udp"))
async def test_ipv4_comes_in_or_not(places, key, place):
    for value in ("on", "off"):
        listener = await open_inet(places, place, "[::]", f"v6only={value}")
        assert places.own_socket(listener).getsockopt(IPV6, socket.IPV6_V6ONLY) == (value == "on")


@pytest.mark.parametrize("place", ["tcp", "udp"])
async def test_v6only_needs_an_ipv6_address(places, monkeypatch, place):
    async def resolve(host, port, kind):
        return [(socket.AF_INET, ("127.0.0.1", 0))]

    monkeypatch.setattr(inet, "resolve_host", resolve)
    with pytest.raises(ListenError, match=r"old\.example has only IPv4 addresses"):
        await open_all([(ListenSpec.parse(f"{place}:old.example:0?v6only"),)])


async def test_the_code_point_is_sent_to_ipv4_clients_of_both_families_too(places):
    listener = await open_inet(places, "udp", "[::]", "v6only=off&dscp=46")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.setsockopt(IP, socket.IP_RECVTOS, 1)
        client.sendto(b"q", ("127.0.0.1", int(listener.local.rpartition(":")[2])))
        assert listener.send_batch(listener.receive_batch(1)) == []
        _, ((_, _, octet),), _, _ = client.recvmsg(10, 100)
    assert octet[0] >> 2 == 46


async def test_missing_packet_info_is_reported(places, monkeypatch):
    monkeypatch.setattr(ancillary, "IP_PKTINFO", None)
    with pytest.raises(ListenError, match="the option pktinfo does not exist for IPv4"):
        await places.open("udp", "pktinfo")
    await places.open("udp", "pktinfo=off")


@proves(*pairs("backlog", "tcp"))
async def test_the_system_queues_as_many_connections_as_the_backlog(places, key, place):
    (listener,) = await places.open(place, "backlog=7")
    # struct tcp_info of a listening socket: tcpi_sacked is the most that may wait (tcp(7)).
    info = places.own_socket(listener).getsockopt(TCP, socket.TCP_INFO, 64)
    assert struct.unpack_from("=I", info, 28) == (7,)


@proves(*pairs("backlog", "unix", "unixseq"))
async def test_clients_beyond_the_backlog_get_eagain(places, key, place):
    (listener,) = await places.open(place, "backlog=2")
    codes = []
    for _ in range(5):
        client = places.stack.enter_context(socket.socket(socket.AF_UNIX, UNIX_KINDS[place]))
        client.setblocking(False)
        codes.append(client.connect_ex(listener.local.partition(":")[2]))
    assert codes == [0, 0, 0, errno.EAGAIN, errno.EAGAIN]  # one more than asked, as ever


@proves(*pairs("backlog", "vsock", "vsockseq"))
async def test_the_backlog_of_vsock_is_set(places, monkeypatch, key, place):
    class Noting(socket.socket):
        def listen(self, backlog):
            asked.append(backlog)
            super().listen(backlog)

    asked = []
    monkeypatch.setattr(vsock.socket, "socket", Noting)
    await places.open(place, "backlog=7")
    assert asked == [7]


# -- multicast ---------------------------------------------------------------------------------


def multicast_interface():
    """Return an interface that takes IPv6 groups and is up; None where there is none."""
    for _, name in socket.if_nameindex():
        try:
            flags = int((Path("/sys/class/net") / name / "flags").read_text(), 16)
        except OSError:
            continue
        if flags & 0x1001 == 0x1001:  # IFF_UP, IFF_MULTICAST
            return name
    return None


@proves(*pairs("multicast iface", "udp"))
async def test_a_group_is_received_on_its_interface(places, key, place):
    (listener,) = await open_all([(ListenSpec.parse("udp:239.255.7.9:0?multicast=join&iface=lo"),)])
    places.stack.callback(listener.close)
    where = ("239.255.7.9", int(listener.local.rpartition(":")[2]))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.setsockopt(IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        client.sendto(b"all", where)
        batch = listener.receive_batch(8)
        assert [payload for payload, _ in batch] == [b"all"]
        assert listener.send_batch(batch) == []  # from an address of this host, not the group's
        assert client.recv(10) == b"all"


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("form", ["[ff01::7:9]:0?iface={}&", "[ff01::7:9%25{}]:0?", "pktinfo"])
async def test_an_ipv6_group_is_received_on_its_interface(places, form, batched):
    name = multicast_interface()
    if name is None or not socket.has_ipv6:
        pytest.skip("no interface takes IPv6 groups here")
    if form == "pktinfo":
        form = "[ff01::7:9]:0?iface={}&pktinfo&"
    address = f"udp:{form.format(name)}multicast=join"
    (listener,) = await open_all([(ListenSpec.parse(address),)], batched=batched)
    places.stack.callback(listener.close)
    index = socket.if_nametoindex(name)
    where = ("ff01::7:9", int(listener.local.rpartition(":")[2]), 0, index)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.setsockopt(IPV6, socket.IPV6_MULTICAST_IF, index)
        client.setsockopt(IPV6, socket.IPV6_MULTICAST_HOPS, 0)  # it does not leave this host
        try:
            client.sendto(b"all", where)
        except OSError as error:
            pytest.skip(f"no IPv6 groups here: {error}")
        batch = listener.receive_batch(8)
        assert [payload for payload, _ in batch] == [b"all"]
        assert listener.send_batch(batch) == []
        assert client.recv(10) == b"all"


# -- sockets in the file system ----------------------------------------------------------------


@proves(*pairs("mode user group", *UNIX_KINDS))
async def test_a_socket_file_has_its_mode_and_owner(places, tmp_path, key, place):
    is_root = os.geteuid() == 0
    wanted = {"mode": "0604", "user": 65534, "group": 65533}[key]
    if key != "mode" and not is_root:
        wanted = os.geteuid() if key == "user" else os.getegid()
    await places.open(place, f"{key}={wanted}")
    found = (tmp_path / "s").stat()
    seen = {"mode": f"0{stat.S_IMODE(found.st_mode):o}", "user": found.st_uid}
    assert seen.get(key, found.st_gid) == wanted


@proves(*pairs("unlink", *UNIX_KINDS))
async def test_an_existing_socket_is_removed_or_kept_according_to_unlink(
    places, tmp_path, key, place
):
    def leave_a_dead_socket():
        with socket.socket(socket.AF_UNIX, UNIX_KINDS[place]) as dead:
            dead.bind(str(tmp_path / "s"))

    leave_a_dead_socket()
    with pytest.raises(ListenError, match="allow that with unlink=stale"):
        await places.open(place, "unlink=never")
    for unlink in ("stale", "always"):
        (listener,) = await places.open(place, f"unlink={unlink}")
        listener.close()
        leave_a_dead_socket()


@proves(*pairs("pad", *UNIX_KINDS))
async def test_an_abstract_name_is_filled_up_or_not(places, key, place):
    name = f"pierhead-pad-{os.getpid()}"
    (listener,) = await open_all([(ListenSpec.parse(f"{place}:@{name}?pad=full"),)])
    places.stack.callback(listener.close)
    exact = b"\0" + name.encode()
    with socket.socket(socket.AF_UNIX, UNIX_KINDS[place]) as client:
        with pytest.raises(ConnectionRefusedError):
            client.connect(exact)
        client.connect(exact.ljust(108, b"\0"))


# -- who and what is let in --------------------------------------------------------------------


@proves(*pairs("allow-uid allow-gid", "unix", "unixseq", *PASSED, "inetd"))
async def test_connections_of_other_accounts_are_closed_unread(places, key, place):
    own = os.geteuid() if key == "allow-uid" else os.getegid()
    for wanted, is_let_in in ((own, True), (4_000_000_000, False)):
        if place in (*PASSED, "inetd"):
            address = places.address(place, family=socket.AF_UNIX)
        else:
            address = places.address(place)
        async with Server(
            lines.serve(_upper), f"{address}?{key}={wanted}", process_sockets=places.process
        ) as server:
            client = places.client(server.addresses[0])
            client.setblocking(False)
            client.send(b"a\n") if is_let_in else None
            answer = await _received(client)
            assert (answer.strip(), is_let_in) in ((b"A", True), (b"", False))
            refused = server.metrics.total("dropped_total", reason="not_allowed")
            assert refused == (0 if is_let_in else 1)
            client.close()


async def _received(client):
    loop = asyncio.get_running_loop()
    return await asyncio.wait_for(loop.sock_recv(client, 10), 20)


@proves(*pairs("type", *PASSED))
async def test_a_socket_of_another_type_is_refused(places, key, place):
    await places.open(place, "type=stream")
    with pytest.raises(ListenError, match="expected type dgram"):
        await places.open(place, "type=dgram")


@proves(*pairs("seed", "memgram"))
async def test_the_same_seed_loses_the_same(key, place):
    async def survivors(seed):
        address = f"memgram:b?loss=0.5&seed={seed}"
        (b,) = await open_all([(ListenSpec.parse(address),)])
        (a,) = await open_all([(ListenSpec.parse("memgram:a"),)])
        a.send_batch([(bytes([n]), "b") for n in range(40)])
        left = [payload for payload, _ in b.receive_batch(40)]
        a.close()
        b.close()
        return left

    assert await survivors(7) == await survivors(7) != await survivors(8)


# -- what has no effect is refused -------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "kind", "family"),
    [
        *[
            (option, socket.SOCK_DGRAM, socket.AF_INET)
            for option in (
                "nodelay",
                "keepalive=60s",
                "user-timeout=30s",
                "notsent-lowat=16KiB",
                "maxconn=3",
                "maxconn-per-network=2",
                "when-full=wait",
                "maxrate=3",
                "accept-backoff=1s",
                "idle-timeout=9s",
                "allow-uid=0",
            )
        ],
        ("allow-uid=0", socket.SOCK_DGRAM, socket.AF_UNIX),
        ("allow-gid=0", socket.SOCK_STREAM, socket.AF_INET),
        ("nodelay", socket.SOCK_STREAM, socket.AF_UNIX),
    ],
)
@pytest.mark.parametrize("place", PASSED)
async def test_options_that_do_not_apply_to_a_passed_socket_are_refused(
    places, place, option, kind, family
):
    key = option.partition("=")[0]
    with pytest.raises(ListenError, match=f"{key} has no effect on .*socket") as caught:
        await places.open(place, option, kind=kind, family=family)
    assert caught.value.step == f"option {key}"
    assert caught.value.remedy


async def test_credentials_are_not_read_from_a_tcp_connection_on_standard_input(places):
    with pytest.raises(ListenError, match="allow-uid has no effect on standard input"):
        await places.open("inetd", "allow-uid=0")


@pytest.mark.parametrize("option", [row.example for row in OPTIONS if "quic" in row.schemes])
async def test_options_of_quic_are_refused_with_it(option):
    needed = "" if option.startswith("cert=") else "&cert=a.pem"
    with pytest.raises(ListenError, match="this version does not open quic:"):
        await open_all([(ListenSpec.parse(f"quic:localhost:0?{option}{needed}"),)])


# -- nothing is left out -----------------------------------------------------------------------


CLAIMED = [
    (row.key, place)
    for row in LISTENING
    for place in [*sorted(row.schemes - {"quic"}), *(f"{w}+" for w in sorted(row.wrappers))]
]


@cache
def functions_in(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, functions)}


@pytest.mark.parametrize(("key", "place"), CLAIMED)
def test_every_option_has_its_proof(key, place):
    if (key, place) in PROVEN:
        return
    there = ELSEWHERE.get((key, place))
    assert there, f"{key} claims to work on {place}: prove it in this module"
    path, _, name = there.partition("::")
    assert name in functions_in(Path(__file__).parents[1] / path)


def test_no_proof_is_of_something_that_is_gone():
    assert PROVEN | ELSEWHERE.keys() == set(CLAIMED)
    assert not PROVEN & ELSEWHERE.keys()
