"""``inetd``: standard input and output taken over, with numbers of the test's own."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import ExitStack

import pytest
from inheriting import bound, is_open

from pierhead.address import ListenSpec
from pierhead.buffer import BufferPool
from pierhead.errors import ListenError
from pierhead.listener.adopt import inetd
from pierhead.listener.adopt.inspection import kind_of_file
from pierhead.listener.adopt.reserved import ReservedDescriptors
from pierhead.listener.base import ListenerEnded, credentials_of
from pierhead.service.context import Credentials, Transport

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no super-servers")

NO_FACTS: dict[str, str] = {}


class Streams:
    """Three descriptors that stand for the standard ones, and what was written to the last."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.reserved = ReservedDescriptors()
        self.error_read, error = os.pipe()
        self._stack.callback(os.close, self.error_read)
        self.error = self.keep(error)

    def keep(self, number: int) -> int:
        def close() -> None:
            if is_open(number):
                os.close(number)

        self._stack.callback(close)
        return number

    def take(self, standard_input, standard_output=None, address="inetd", facts=NO_FACTS, **given):
        streams = inetd.StandardStreams(standard_input, standard_output, given.get("error"))
        spec = ListenSpec.parse(address)
        listener = inetd.open_inetd(
            spec, BufferPool(), None, self.reserved, streams, environment=facts
        )
        self._stack.callback(listener.close)
        return listener


@pytest.fixture
def streams():
    with ExitStack() as stack:
        yield Streams(stack)


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.gone = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.transport.write(data)

    def eof_received(self):
        self.transport.close()

    def connection_lost(self, exc):
        self.gone.set_result(exc)


def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    client.settimeout(20)
    return client, ours


async def test_a_connected_socket_is_one_connection_with_its_real_peer(streams):
    client, ours = tcp_pair()
    with client:
        number = streams.keep(ours.detach())
        listener = streams.take(number)
        assert (listener.local, listener.transport) == ("inetd", Transport.STREAM)
        accepted = await listener.accept()
        assert accepted.peer.port == client.getsockname()[1]
        assert accepted.local == f"tcp:127.0.0.1:{client.getpeername()[1]}"
        protocol = Echo()
        await accepted.attach(protocol)
        client.sendall(b"a")
        client.shutdown(socket.SHUT_WR)
        got = await asyncio.to_thread(lambda: client.recv(10) + client.recv(10))
        assert got == b"a"
        await protocol.gone
        with pytest.raises(ListenerEnded):
            await listener.accept()


async def test_closing_leaves_no_files_behind(streams):
    client, ours = tcp_pair()
    with client:
        number = streams.keep(ours.detach())
        output = streams.keep(os.dup(number))
        listener = streams.take(number, output, error=streams.error)
        os.write(output, b"stray")
        assert os.read(streams.error_read, 100) == b"stray"
        assert os.read(number, 100) == b""
        listener.close()
        assert await asyncio.to_thread(client.recv, 10) == b""  # nobody else holds it open


async def test_an_error_stream_that_is_the_connection_is_put_out_of_reach(streams):
    client, ours = tcp_pair()
    with client:
        number = streams.keep(ours.detach())
        output, error = streams.keep(os.dup(number)), streams.keep(os.dup(number))
        listener = streams.take(number, output, error=error)
        os.write(output, b"stray")
        os.write(error, b"stray")
        listener.close()
        assert await asyncio.to_thread(client.recv, 10) == b""


async def test_output_printed_before_adoption_goes_to_its_destination(streams, monkeypatch):
    client, ours = tcp_pair()
    read, write = os.pipe()
    output = streams.keep(write)
    with client, os.fdopen(output, "w", closefd=False) as printed:
        monkeypatch.setattr(sys, "stdout", printed)
        printed.write("early")  # still in Python's buffer
        streams.take(streams.keep(ours.detach()), output, error=streams.error)
    assert os.read(streams.keep(read), 100) == b"early"


async def test_a_pair_of_pipes_is_one_connection(streams):
    reading, asks = os.pipe()
    answers, writing = os.pipe()
    facts = {"PROTO": "TCP", "TCPREMOTEIP": "192.0.2.1", "TCPREMOTEPORT": "7"}
    facts |= {"TCPLOCALIP": "2001:db8::1", "TCPLOCALPORT": "53"}
    listener = streams.take(streams.keep(reading), streams.keep(writing), facts=facts)
    accepted = await listener.accept()
    assert (str(accepted.peer), accepted.local) == ("192.0.2.1:7", "tcp:[2001:db8::1]:53")
    protocol = Echo()
    await accepted.attach(protocol)
    os.write(asks, b"q")
    os.close(asks)
    assert await protocol.gone is None
    assert os.read(answers, 10) == b"q"
    os.close(answers)


async def test_a_connection_that_is_never_taken_is_closed(streams):
    reading, asks = os.pipe()
    answers, writing = os.pipe()
    number, output = streams.keep(reading), streams.keep(writing)
    listener = streams.take(number, output, error=streams.error)
    listener.close()
    with pytest.raises(ListenerEnded):
        await listener.accept()
    assert os.read(answers, 10) == b""
    os.close(asks)
    os.close(answers)


@pytest.mark.skipif(sys.platform != "linux", reason="needs seqpacket")
async def test_a_seqpacket_connection_keeps_its_borders(streams):
    client, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with client:
        listener = streams.take(streams.keep(ours.detach()))
        assert listener.transport is Transport.SEQPACKET
        accepted = await listener.accept()
        assert credentials_of(accepted).uid == os.geteuid()
        protocol = Echo()
        await accepted.attach(protocol)
        client.setblocking(False)
        client.send(b"a")
        client.send(b"b")
        loop = asyncio.get_running_loop()
        assert [await loop.sock_recv(client, 10) for _ in range(2)] == [b"a", b"b"]
        client.close()
        await protocol.gone


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_waiting_serves_a_socket_that_has_no_peer_yet(streams, kind):
    sock = bound(kind)
    port = sock.getsockname()[1]
    number = streams.keep(sock.detach())
    listener = streams.take(number, address="inetd?mode=wait")
    scheme = "tcp" if kind == socket.SOCK_STREAM else "udp"
    assert listener.local == f"{scheme}:127.0.0.1:{port}"
    assert kind_of_file(number) == "a device"


@pytest.mark.parametrize(
    ("make", "address", "words"),
    [
        (bound, "inetd", "listening IPv4 stream socket, expected one accepted connection"),
        (lambda: bound(socket.SOCK_DGRAM), "inetd", "inetd?mode=wait"),
        (lambda: tcp_pair()[1], "inetd?mode=wait", "expected one that peers can reach"),
    ],
)
@pytest.mark.filterwarnings("ignore:unclosed <socket")
async def test_the_wrong_socket_is_refused_and_left_unchanged(streams, make, address, words):
    number = streams.keep(make().detach())
    before = os.fstat(number).st_ino
    with pytest.raises(ListenError) as caught:
        streams.take(number, address=address)
    assert words in f"{caught.value.reason} {caught.value.remedy}"
    assert os.fstat(number).st_ino == before
    assert number not in streams.reserved


async def test_a_terminal_is_not_served_as_a_connection(streams):
    ours, theirs = os.openpty()
    streams.keep(ours)
    with pytest.raises(ListenError, match="is a terminal, expected a connection"):
        streams.take(streams.keep(theirs))


async def test_a_closed_input_or_output_is_refused(streams):
    with pytest.raises(ListenError, match="is closed, expected a connection"):
        streams.take(None)
    read, write = os.pipe()
    streams.keep(write)
    number = streams.keep(read)
    with pytest.raises(ListenError, match="standard output is closed"):
        streams.take(number, None)
    assert kind_of_file(number) == "a pipe"


async def test_standard_input_is_served_once(streams):
    client, ours = tcp_pair()
    with client:
        number = streams.keep(ours.detach())
        streams.take(number)
        with pytest.raises(ListenError, match="standard input is already served"):
            streams.take(number)


async def test_an_option_of_tcp_is_not_for_pipes(streams):
    read, write = os.pipe()
    with pytest.raises(ListenError, match="option nodelay"):
        streams.take(streams.keep(read), streams.keep(write), address="inetd?nodelay")


async def test_options_reach_the_connection(streams):
    client, ours = tcp_pair()
    with client:
        listener = streams.take(streams.keep(ours.detach()), address="inetd?nodelay=off")
        accepted = await listener.accept()
        transport = await accepted.attach(Echo())
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
        transport.abort()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("facts", "peer"),
    [
        ({"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "7"}, "192.0.2.1:7"),
        ({"REMOTE_ADDR": "2001:db8::1", "REMOTE_PORT": "7"}, "[2001:db8::1]:7"),
        ({"TCPREMOTEIP": "192.0.2.1", "TCPREMOTEPORT": "7"}, "192.0.2.1:7"),
        ({"PROTO": "SSL", "SSLREMOTEIP": "192.0.2.1", "SSLREMOTEPORT": "7"}, "192.0.2.1:7"),
        ({"PROTO": "IPC", "IPCREMOTEPATH": "/run/client"}, "/run/client"),
        ({"REMOTE_ADDR": "nonsense", "REMOTE_PORT": "7"}, "None"),
        ({"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "70000"}, "None"),
        ({"REMOTE_ADDR": "192.0.2.1"}, "None"),
        ({}, "None"),
    ],
)
def test_a_super_server_names_the_peer(facts, peer):
    assert str(inetd.peer_from(facts)) == peer


@pytest.mark.parametrize(
    ("facts", "credentials"),
    [
        ({"PROTO": "IPC", "IPCREMOTEEUID": "5", "IPCREMOTEEGID": "6"}, Credentials(0, 5, 6)),
        ({"PROTO": "IPC", "IPCREMOTEEUID": "x", "IPCREMOTEEGID": "6"}, None),
        ({"IPCREMOTEEUID": "5", "IPCREMOTEEGID": "6"}, None),
    ],
)
def test_s6_names_the_client_s_user(facts, credentials):
    assert inetd.credentials_from(facts) == credentials
