"""Unusual sockets: seqpacket, vsock, peers that are full, and running out of descriptors."""

from __future__ import annotations

import errno
import os
import resource
import socket
import sys

import pytest

from pierhead.address import ListenSpec
from pierhead.errors import ListenError
from pierhead.listener.base import OutOfDescriptors
from pierhead.listener.bind import vsock
from pierhead.listener.spare_descriptor import SpareDescriptor
from pierhead.net import credentials
from pierhead.service.context import Transport

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux's sockets")


async def test_a_seqpacket_socket_has_its_place_in_the_file_system(opened, tmp_path):
    path = tmp_path / "s"
    (listener,) = await opened(f"unixseq:{path}?mode=0600&backlog=5")
    assert (listener.transport, listener.local) == (Transport.SEQPACKET, f"unixseq:{path}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(str(path))
        accepted = await listener.accept()
        assert accepted.credentials.uid == os.geteuid()
        accepted.close()
        assert client.recv(10) == b""
    listener.close()
    assert not path.exists()


@pytest.mark.parametrize("scheme", ["unix", "unixseq"])
@pytest.mark.parametrize("pad", ["", "?pad=full"])
async def test_abstract_names_are_exact_or_padded(opened, scheme, pad):
    name = f"pierhead-test-{os.getpid()}"
    (listener,) = await opened(f"{scheme}:@{name}{pad}")
    kind = socket.SOCK_SEQPACKET if scheme == "unixseq" else socket.SOCK_STREAM
    exact = b"\0" + name.encode()
    served, other = (exact.ljust(108, b"\0"), exact) if pad else (exact, exact.ljust(108, b"\0"))
    with socket.socket(socket.AF_UNIX, kind) as client:
        with pytest.raises(ConnectionRefusedError):
            client.connect(other)
        client.connect(served)
        (await listener.accept()).close()


async def test_a_full_datagram_peer_is_not_waited_for(opened, tmp_path):
    (listener,) = await opened(f"unixgram:{tmp_path}/s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.bind(str(tmp_path / "peer"))
        peer.sendto(b"q", str(tmp_path / "s"))
        ((_, back),) = listener.receive_batch(8)
        replies = [(b"%d" % n, back) for n in range(1000)]
        refused = listener.send_batch(replies)  # returns, though the peer reads nothing
        assert {number for _, number in refused} == {errno.EAGAIN}
        assert [index for index, _ in refused][-1] == 999
        kept = 1000 - len(refused)
        assert [peer.recv(10) for _ in range(kept)] == [b"%d" % n for n in range(kept)]


async def test_vsock_tells_the_port_that_the_system_chose(opened):
    try:
        (listener,) = await opened("vsock:any:any?backlog=5")
    except ListenError as error:
        pytest.skip(str(error))
    assert listener.transport is Transport.STREAM
    address = ListenSpec.parse(listener.local).address
    assert (address.scheme, address.cid) == ("vsock", 2**32 - 1)
    assert address.port not in (0, 2**32 - 1)
    with pytest.raises(ListenError, match="port any"):
        await opened(listener.local)


async def test_vsock_packets_are_another_transport(opened):
    try:
        (listener,) = await opened("vsockseq:any:any")
    except ListenError as error:
        pytest.skip(str(error))
    assert listener.transport is Transport.SEQPACKET


async def test_without_vsock_there_is_a_remedy(opened, monkeypatch):
    def refuse(spec, kind):
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(vsock, "_socket", refuse)
    with pytest.raises(ListenError, match="modprobe vsock") as caught:
        await opened("vsock:any:5000")
    assert caught.value.step == "socket"
    monkeypatch.undo()
    monkeypatch.delattr(socket, "AF_VSOCK")
    with pytest.raises(ListenError, match="built without vsock"):
        await opened("vsock:any:5000")


async def test_a_cid_of_another_machine_is_refused(opened):
    if not hasattr(socket, "AF_VSOCK"):
        pytest.skip("no vsock here")
    with pytest.raises(ListenError, match=r"does not have that CID|lacks vsock|no vsock device"):
        await opened("vsock:4000000000:5000")


# -- out of descriptors ------------------------------------------------------------------------


@pytest.fixture
def no_descriptors():
    """A function that takes away every free descriptor of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def take_away():
        probe = os.open(os.devnull, os.O_RDONLY)
        os.close(probe)
        resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))

    yield take_away
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_out_of_descriptors_waiting_connections_are_closed(opened, no_descriptors):
    (listener,) = await opened("tcp:127.0.0.1:0")
    where = ("127.0.0.1", int(listener.local.rpartition(":")[2]))
    clients = [socket.create_connection(where, timeout=20) for _ in range(3)]
    no_descriptors()
    with pytest.raises(OutOfDescriptors) as caught:
        await listener.accept()
    assert (caught.value.errno, caught.value.shed) == (errno.EMFILE, 3)
    for client in clients:
        assert client.recv(10) == b""
        client.close()


async def test_with_descriptors_again_connections_are_accepted(opened, no_descriptors):
    (listener,) = await opened("tcp:127.0.0.1:0")
    where = ("127.0.0.1", int(listener.local.rpartition(":")[2]))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_connection(where):
        no_descriptors()
        with pytest.raises(OutOfDescriptors):
            await listener.accept()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with socket.create_connection(where):
        (await listener.accept()).close()


def test_losing_the_spare_descriptor_is_not_an_error(monkeypatch):
    reserve = SpareDescriptor()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)

        def refuse(*arguments):
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(os, "open", refuse)  # somebody was quicker
        assert reserve.shed(server) == 0
        monkeypatch.undo()
        with socket.create_connection(server.getsockname()):
            assert reserve.shed(server) == 1
    reserve.close()


# -- credentials -------------------------------------------------------------------------------


def test_the_system_vouches_for_the_other_end():
    near, far = socket.socketpair()
    with near, far:
        who = credentials.peer_credentials(near)
        assert (who.pid, who.uid, who.gid) == (os.getpid(), os.geteuid(), os.getegid())
        assert set(who.groups) <= set(os.getgroups())


def test_the_process_is_the_same_by_its_pidfd():
    from pierhead.net.pidfd import pidfd_id

    near, far = socket.socketpair()
    with near, far:
        assert credentials.peer_credentials(near).pidfd_id in (pidfd_id(os.getpid()), None)


def test_there_are_no_credentials_where_the_system_has_none(monkeypatch):
    near, far = socket.socketpair()
    with near, far:
        monkeypatch.setattr(sys, "platform", "plan9")
        assert credentials.peer_credentials(near) is None


def test_a_socket_that_has_no_peer_has_no_credentials():
    with socket.socket(socket.AF_INET) as sock:
        monkey = credentials.peer_credentials(sock)
    assert monkey is None or monkey.pid == 0


def test_the_bsd_structure_is_read():
    class Kernel:
        def getsockopt(self, level, option, size):
            groups = [20, 12, 61] + [0] * 13
            return credentials._XUCRED.pack(0, 501, 3, *groups)

    who = credentials._bsd(Kernel())
    assert (who.pid, who.uid, who.gid, who.groups) == (0, 501, 20, (12, 61))
