"""``fd:``: sockets that were inherited, checked and then owned."""

from __future__ import annotations

import errno
import os
import socket
import sys

import pytest
from inheriting import bound, is_open

from pierhead.address import ListenSpec
from pierhead.buffer import BufferPool
from pierhead.errors import UsageError
from pierhead.service.context import Transport

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no inherited sockets")


async def test_a_listening_socket_is_served_under_its_own_address(opened, leave):
    sock = bound()
    port = sock.getsockname()[1]
    number = leave(sock)
    (listener,) = await opened(f"fd:{number}")
    assert (str(listener.spec), listener.local) == (f"fd:{number}", f"tcp:127.0.0.1:{port}")
    with socket.create_connection(("127.0.0.1", port)) as client:
        accepted = await listener.accept()
        assert accepted.peer.port == client.getsockname()[1]
        assert accepted.local == f"tcp:127.0.0.1:{port}"
        accepted.close()
    listener.close()
    assert not is_open(number)


async def test_a_datagram_socket_is_served_too(opened, leave):
    sock = bound(socket.SOCK_DGRAM)
    address = sock.getsockname()
    (listener,) = await opened(f"fd:{leave(sock)}?type=dgram")
    assert listener.transport is Transport.DATAGRAM
    assert listener.local == f"udp:127.0.0.1:{address[1]}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"q", address)
        ((payload, _),) = listener.receive_batch(8)
    assert payload == b"q"


async def test_an_adopted_wildcard_names_the_address_that_was_reached(opened, leave):
    sock = socket.create_server(("0.0.0.0", 0))
    port = sock.getsockname()[1]
    (listener,) = await opened(f"fd:{leave(sock)}")
    with socket.create_connection(("127.0.0.1", port)):
        accepted = await listener.accept()
        assert accepted.local == f"tcp:127.0.0.1:{port}"
        accepted.close()


async def test_several_descriptors_are_a_listener_each(opened, leave):
    numbers = [leave(bound()), leave(bound(socket.SOCK_DGRAM))]
    listeners = await opened(f"fd:{numbers[0]},{numbers[1]}")
    assert [listener.transport for listener in listeners] == [
        Transport.STREAM,
        Transport.DATAGRAM,
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's abstract names")
@pytest.mark.parametrize(
    ("kind", "scheme"),
    [
        (socket.SOCK_STREAM, "unix"),
        (socket.SOCK_DGRAM, "unixgram"),
        (socket.SOCK_SEQPACKET, "unixseq"),
    ],
)
async def test_a_passed_unix_socket_is_recognised_by_its_type(opened, leave, kind, scheme):
    sock = bound(kind, socket.AF_UNIX)
    name = sock.getsockname()[1:].decode()
    (listener,) = await opened(f"fd:{leave(sock)}")
    assert listener.local == f"{scheme}:@{name}"
    assert ListenSpec.parse(listener.local).address.scheme == scheme


async def test_an_adopted_unix_socket_reports_its_path(opened, leave, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind("s")
    sock.listen()
    (listener,) = await opened(f"fd:{leave(sock)}")
    assert listener.local == "unix:./s"
    listener.close()
    assert (tmp_path / "s").exists()  # whoever bound it removes it


async def test_an_adopted_socket_is_closed_on_exec_and_does_not_block(opened, leave):
    number = leave(bound())
    assert os.get_inheritable(number)
    (listener,) = await opened(f"fd:{number}")
    assert listener.fileno() == number
    assert not os.get_inheritable(number)
    assert not os.get_blocking(number)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's numbers")
async def test_options_reach_an_adopted_socket(opened, leave):
    number = leave(bound())
    (listener,) = await opened(f"fd:{number}?rcvbuf=64KiB&nodelay&keepalive=60s")
    with socket.socket(fileno=socket.dup(listener.fileno())) as same:
        assert same.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 131_072
        assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


async def test_an_option_of_tcp_is_not_for_another_socket(leave, refusal):
    number = leave(bound(socket.SOCK_DGRAM))
    error = await refusal(f"fd:{number}?nodelay")
    assert error.step == "option nodelay"
    assert is_open(number)


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (lambda: bound(socket.SOCK_DGRAM), "?type=stream", "bound IPv4 datagram socket, expected"),
        (bound, "?type=dgram", "is a listening IPv4 stream socket, expected type dgram"),
        (lambda: socket.socketpair()[0], "", "a connected Unix stream socket, expected one that"),
        (lambda: socket.socket(), "", "an unbound IPv4 stream socket, expected a listening one"),
        (lambda: socket.socket(type=socket.SOCK_DGRAM), "", "no peer can send to it"),
    ],
)
@pytest.mark.filterwarnings("ignore:unclosed <socket")  # the other end of the pair
async def test_a_socket_of_the_wrong_kind_is_refused_and_left_alone(
    leave, make, options, words, refusal
):
    number = leave(make())
    error = await refusal(f"fd:{number}{options}")
    assert f"descriptor {number}" in error.reason
    assert words in error.reason
    assert error.remedy
    assert is_open(number)
    assert os.get_blocking(number)


async def test_a_socket_bound_but_not_listening_says_so(leave, refusal):
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    error = await refusal(f"fd:{leave(sock)}")
    assert "a bound IPv4 stream socket, expected a listening one" in error.reason


async def test_a_connected_datagram_socket_is_refused(leave, refusal):
    sock = bound(socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", 9))
    error = await refusal(f"fd:{leave(sock)}")
    assert "peers can reach" in error.reason


async def test_a_closed_descriptor_is_refused(refusal):
    error = await refusal("fd:65000")
    assert (error.step, error.errno) == ("adopt", errno.EBADF)
    assert "descriptor 65000 is not open" in error.reason


async def test_a_descriptor_that_is_not_a_socket_is_described(refusal):
    read, write = os.pipe()
    try:
        error = await refusal(f"fd:{read}")
    finally:
        os.close(read)
        os.close(write)
    assert "is a pipe, expected a socket" in error.reason


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's netlink")
async def test_a_family_that_nothing_serves_is_refused(leave, refusal):
    error = await refusal(f"fd:{leave(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))}")
    assert "is a socket of family 16" in error.reason


async def test_a_descriptor_is_served_once(opened, leave, refusal, process):
    number = leave(bound())
    (listener,) = await opened(f"fd:{number}")
    error = await refusal(f"fd:{number}?rcvbuf=4KiB")
    assert f"is already served, as fd:{number}" in error.reason
    listener.close()
    assert number not in process.reserved


async def test_after_a_failure_every_descriptor_is_as_it_was(leave, opened, refusal, process):
    stream, datagram = bound(), bound(socket.SOCK_DGRAM)
    port = stream.getsockname()[1]
    numbers = [leave(stream), leave(datagram)]
    error = await refusal(f"fd:{numbers[0]},{numbers[1]}", "fd:65000")
    assert "65000" in error.reason
    error = await refusal(f"fd:{numbers[0]},65001")
    assert "65001" in error.reason
    assert not any(number in process.reserved for number in numbers)
    (listener,) = await opened(f"fd:{numbers[0]}")  # another attempt
    assert listener.local == f"tcp:127.0.0.1:{port}"


async def test_without_buffers_a_descriptor_is_left_alone(leave, refusal, process):
    number = leave(bound(socket.SOCK_DGRAM))
    error = await refusal(f"fd:{number}", buffers=BufferPool(max_bytes=1000))
    assert error.step == "buffers"
    assert is_open(number)
    assert number not in process.reserved


def test_standard_input_is_not_taken_by_accident():
    with pytest.raises(UsageError, match="standard input, output or error"):
        ListenSpec.parse("fd:0")
    assert ListenSpec.parse("fd:0?force").address.numbers == (0,)
