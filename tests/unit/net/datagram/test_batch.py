from __future__ import annotations

import errno
import socket
import sys

import pytest

from pierhead.buffer import BufferPool
from pierhead.errors import Overloaded
from pierhead.net.datagram.ancillary import IP_PKTINFO
from pierhead.net.datagram.batch import MAX_BATCH, STRIDE, BatchIO, has_batch_io
from pierhead.net.datagram.recvmsg import RecvmsgIO

KINDS = [
    pytest.param(BatchIO, marks=pytest.mark.skipif(not has_batch_io(), reason="no recvmmsg here")),
    RecvmsgIO,
]


class Ends:
    """A server's socket with its input and output, and a client's socket."""

    def __init__(self, kind, family=socket.AF_INET, host="127.0.0.1", packet_info=False):
        self.pool = BufferPool()
        self.server = socket.socket(family, socket.SOCK_DGRAM)
        if packet_info:
            ipv6 = family == socket.AF_INET6
            option = socket.IPV6_RECVPKTINFO if ipv6 else IP_PKTINFO
            self.server.setsockopt(socket.IPPROTO_IPV6 if ipv6 else 0, option, 1)
        self.server.bind((host, 0))
        self.server.setblocking(False)
        self.port = self.server.getsockname()[1]
        self.client = socket.socket(family, socket.SOCK_DGRAM)
        self.client.settimeout(10)
        self.io = kind(self.server, packet_info, self.pool)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.io.close()
        self.server.close()
        self.client.close()

    def ask(self, *payloads, host="127.0.0.1"):
        for payload in payloads:
            self.client.sendto(payload, (host, self.port))


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def test_nothing_waiting_gives_an_empty_batch(kind):
    with Ends(kind) as ends:
        assert ends.io.receive(16) == []


def test_a_batch_holds_the_datagrams_in_order_and_their_sender(kind):
    with Ends(kind) as ends:
        ends.ask(b"one", b"", b"three" * 100)
        batch = ends.io.receive(16)
        assert [payload for payload, _ in batch] == [b"one", b"", b"three" * 100]
        _host, port = ends.client.getsockname()
        assert {str(ends.io.peer(way_back)) for _, way_back in batch} == {f"127.0.0.1:{port}"}


def test_the_limit_leaves_the_rest_for_the_next_call(kind):
    with Ends(kind) as ends:
        ends.ask(*[bytes([i]) for i in range(5)])
        assert [len(ends.io.receive(limit)) for limit in (2, 2, 2)] == [2, 2, 1]


def test_more_than_a_batch_is_received_and_answered_completely(kind):
    count = MAX_BATCH + 7
    with Ends(kind) as ends:
        ends.ask(*[i.to_bytes(2, "big") for i in range(count)])
        batch = []
        while len(batch) < count:
            batch += ends.io.receive(MAX_BATCH)
        assert ends.io.send([(payload + b"!", back) for payload, back in batch]) == []
        replies = [ends.client.recv(100) for _ in range(count)]
        assert replies == [i.to_bytes(2, "big") + b"!" for i in range(count)]


def test_the_largest_datagram_of_all_arrives_whole_and_so_does_its_reply(kind):
    largest = bytes(range(256)) * 255 + bytes(227)
    assert len(largest) == 65_507
    with Ends(kind) as ends:
        ends.ask(b"before", largest, b"after")
        batch = ends.io.receive(16)
        assert [payload for payload, _ in batch] == [b"before", largest, b"after"]
        assert ends.io.truncated == 0
        assert ends.io.send([batch[1]]) == []
        assert ends.client.recv(70_000) == largest


def test_a_buffer_is_used_again_after_every_call(kind):
    with Ends(kind) as ends:
        for size in (500, 3, 1400):
            ends.ask(b"x" * size)
            assert [len(payload) for payload, _ in ends.io.receive(16)] == [size]


def test_a_refused_message_is_reported_and_the_others_are_sent(kind):
    with Ends(kind) as ends:
        ends.ask(b"q")
        ((_, back),) = ends.io.receive(16)
        refused = ends.io.send([(b"a", back), (bytes(70_000), back), (b"c", back)])
        assert refused == [(1, errno.EMSGSIZE)]
        assert [ends.client.recv(10), ends.client.recv(10)] == [b"a", b"c"]


def test_sending_nothing_is_allowed(kind):
    with Ends(kind) as ends:
        assert ends.io.send([]) == []


def test_the_way_back_is_equal_for_one_sender_and_can_be_a_key(kind):
    with Ends(kind) as ends:
        ends.ask(b"1", b"2")
        (_, first), (_, second) = ends.io.receive(16)
        assert first == second
        assert len({first, second}) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="all of 127/8 is local on Linux only")
def test_a_reply_leaves_from_the_ipv4_address_that_the_request_reached(kind):
    with Ends(kind, host="0.0.0.0", packet_info=True) as ends:
        ends.ask(b"q", host="127.0.0.77")
        ends.ask(b"r", host="127.0.0.78")
        batch = ends.io.receive(16)
        assert ends.io.send(batch) == []
        sources = [ends.client.recvfrom(10)[1][0] for _ in range(2)]
        assert sources == ["127.0.0.77", "127.0.0.78"]
        assert [str(ends.io.peer(back)).split(":")[0] for _, back in batch] == ["127.0.0.1"] * 2


def test_a_reply_leaves_from_the_ipv6_address_that_the_request_reached(kind):
    try:
        ends = Ends(kind, socket.AF_INET6, "::", packet_info=True)
    except OSError:
        pytest.skip("no IPv6 here")
    with ends:
        ends.ask(b"q", host="::1")
        # An IPv4 client reaches the same socket by its mapped address.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as old:
            old.settimeout(10)
            old.sendto(b"old", ("127.0.0.1", ends.port))
            assert ends.io.send(ends.io.receive(16)) == []
            assert old.recvfrom(10) == (b"old", ("127.0.0.1", ends.port))
        assert ends.client.recvfrom(10)[1][0] == "::1"


@pytest.mark.parametrize("bound", [True, False])
def test_unix_names_of_any_length_find_their_way_back(kind, tmp_path, bound):
    names = [tmp_path / "a", tmp_path / ("b" * 30)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "server"))
        server.setblocking(False)
        pool = BufferPool()
        io = kind(server, False, pool)
        clients = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in names]
        for client, name in zip(clients, names, strict=True):
            client.settimeout(10)
            if bound:
                client.bind(str(name))
            client.sendto(name.name.encode(), str(tmp_path / "server"))
        batch = io.receive(16)
        refused = io.send(batch)
        if bound:
            assert refused == []
            assert [client.recv(50) for client in clients] == [n.name.encode() for n in names]
            assert [str(io.peer(back)) for _, back in batch] == [str(name) for name in names]
        else:
            assert [index for index, _ in refused] == [0, 1]
            assert [str(io.peer(back)) for _, back in batch] == ["unnamed", "unnamed"]
        for client in clients:
            client.close()
        io.close()


def test_a_datagram_above_the_slot_is_counted_and_left_out(kind, tmp_path):
    # UDP cannot carry one, a Unix socket can.
    path = str(tmp_path / "server")
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client,
    ):
        server.bind(path)
        server.setblocking(False)
        io = kind(server, False, BufferPool())
        client.sendto(bytes(70_000), path)
        client.sendto(b"small", path)
        assert [payload for payload, _ in io.receive(16)] == [b"small"]
        assert io.truncated == 1
        io.close()


def test_an_icmp_error_that_is_pending_disturbs_neither_receiving_nor_sending(kind):
    with Ends(kind) as ends, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = closed.getsockname()
        closed.close()
        _host, _port = ends.client.getsockname()
        ends.ask(b"q")
        ((_, back),) = ends.io.receive(16)
        # Only a connected socket hears of ICMP errors.
        ends.server.connect(nobody)
        ends.server.send(b"into the void")
        assert ends.io.receive(16) == []
        ends.server.send(b"into the void")
        assert ends.io.send([(b"a", back)]) == []
        assert ends.client.recv(10) == b"a"


def test_the_buffer_is_borrowed_from_the_source_and_given_back(kind):
    ends = Ends(kind)
    with ends:
        assert ends.pool.lent_bytes > 65_507
    assert ends.pool.lent_bytes == 0


def test_an_empty_buffer_pool_is_reported_at_once(kind):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(Overloaded):
        kind(sock, False, BufferPool(max_bytes=1000))


def test_no_two_slots_share_a_line_of_the_cache():
    lines = {(i * STRIDE % 4096) // 64 for i in range(MAX_BATCH)}
    assert len(lines) == MAX_BATCH


def test_a_way_back_from_elsewhere_is_refused():
    if not has_batch_io():
        pytest.skip("no recvmmsg here")
    with Ends(BatchIO) as ends, pytest.raises(ValueError, match="not made by this listener"):
        ends.io.send([(b"x", b"short")])
