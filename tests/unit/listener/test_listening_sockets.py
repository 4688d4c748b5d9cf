from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import sys
from concurrent.futures import Future

import inheriting
import pytest
from tls_client import Certificates

from pierhead.address import ListenSpec
from pierhead.address.registry import OPTIONS
from pierhead.errors import AddressError, ListenError, UsageError
from pierhead.listener import listening_sockets as opening
from pierhead.listener.adopt.inetd import StandardStreams
from pierhead.listener.listening_sockets import listening_sockets
from pierhead.listener.open import open_all
from pierhead.listener.process_sockets import ProcessSockets
from pierhead.listener.set import ListenerSet


def connect(where, family=socket.AF_INET):
    client = socket.socket(family)
    client.settimeout(10)
    try:
        client.connect(where)
    except BaseException:
        client.close()
        raise
    return client


def is_served(sock):
    """Whether somebody who connects there is accepted."""
    with connect(sock.getsockname(), sock.family) as client:
        accepted, _ = sock.accept()
        with accepted:
            client.sendall(b"x")
            return accepted.recv(1) == b"x"


def test_a_short_form_is_tcp_and_gives_an_ordinary_listening_socket():
    with listening_sockets("127.0.0.1:0") as listening:
        (sock,) = listening.sockets
        assert listening.addresses == [f"tcp:127.0.0.1:{sock.getsockname()[1]}"]
        assert [str(spec) for spec in listening.specs] == ["tcp:127.0.0.1:0"]
        assert sock.getblocking()
        assert not sock.get_inheritable()
        assert is_served(sock)
    assert sock.fileno() == -1


def test_nothing_listens_after_the_block():
    with listening_sockets("tcp:127.0.0.1:0") as listening:
        where = listening.sockets[0].getsockname()
    with pytest.raises(ConnectionRefusedError):
        connect(where)


def test_several_addresses_a_name_and_a_range_are_opened_together():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with listening_sockets(f"127.0.0.1:{port}", "tcp:localhost:0", "tcp:[::]:0?v6only") as all_:
        assert len(all_.sockets) == len(all_.addresses) == len(all_.specs) >= 3
        assert all_.addresses[0] == f"tcp:127.0.0.1:{port}"
        assert all_.addresses[-1].startswith("tcp:[::]:")
        assert all(is_served(sock) for sock in all_.sockets[:-1])


def test_options_reach_the_socket():
    with listening_sockets("127.0.0.1:0?reuseport&nodelay=off&rcvbuf=32KiB") as listening:
        (sock,) = listening.sockets
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 32 * 1024


def test_a_unix_socket_has_its_mode_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "s"
    with listening_sockets(f"unix:{path}?mode=0640") as listening:
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert is_served(listening.sockets[0])
    assert list(tmp_path.iterdir()) == []


def test_a_live_servers_socket_is_kept_and_a_stale_one_replaced(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(ListenError, match="another program serves it"):
            with listening_sockets(f"unix:{path}"):
                pass
    with listening_sockets(str(path)) as listening:
        assert is_served(listening.sockets[0])


def test_the_socket_of_a_successor_stays(tmp_path):
    path = tmp_path / "s"
    with listening_sockets(f"unix:{path}"):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(path))
    assert [one.name for one in tmp_path.iterdir()] == ["s"]


@pytest.mark.skipif(sys.platform != "linux", reason="abstract names are for Linux")
def test_an_abstract_name_is_served():
    name = f"pierhead-test-{os.getpid()}"
    with listening_sockets(f"@{name}") as listening:
        assert listening.addresses == [f"unix:@{name}"]
        assert is_served(listening.sockets[0])


def test_listening_sockets_include_vsock():
    try:
        socket.socket(socket.AF_VSOCK).close()
    except (AttributeError, OSError):
        pytest.skip("no vsock here")
    with listening_sockets("vsock:any:any") as listening:
        assert listening.sockets[0].family == socket.AF_VSOCK
        assert listening.addresses[0].startswith("vsock:any:")


def test_an_inherited_descriptor_is_adopted_and_closed(leave):
    number = leave(inheriting.bound())
    with listening_sockets(f"fd:{number}?type=stream") as listening:
        assert is_served(listening.sockets[0])
    assert not inheriting.is_open(number)


def test_sockets_that_systemd_passed_are_found_by_name(passed, process):
    passed(inheriting.bound(), inheriting.bound(family=socket.AF_UNIX), names="web:local")
    with listening_sockets("sd-listen:web", "sd:local", process_sockets=process) as listening:
        assert [sock.family for sock in listening.sockets] == [socket.AF_INET, socket.AF_UNIX]
        assert all(is_served(sock) for sock in listening.sockets)


def test_passed_sockets_that_no_address_uses_are_reported(passed, process, caplog):
    passed(inheriting.bound(), inheriting.bound(), names="web:other")
    with listening_sockets("sd-listen:web", process_sockets=process):
        assert "no address serves" in caplog.text
        assert "(other)" in caplog.text


def test_optional_may_give_nothing_but_not_nothing_at_all(process):
    with listening_sockets("sd:?optional", "127.0.0.1:0", process_sockets=process) as listening:
        assert len(listening.sockets) == 1
    with pytest.raises(ListenError, match="none of the addresses has a socket"):
        with listening_sockets("sd:?optional", process_sockets=process):
            pass


async def test_listening_sockets_work_inside_a_running_loop_which_stays_set():
    loop = asyncio.get_running_loop()
    with listening_sockets("127.0.0.1:0") as listening:
        server = await asyncio.start_server(lambda *_: None, sock=listening.sockets[0])
        assert asyncio.get_running_loop() is loop
        server.close()
        await server.wait_closed()


def test_the_server_that_takes_a_socket_may_close_it(tmp_path):
    with listening_sockets(f"unix:{tmp_path}/s") as listening:
        listening.sockets[0].close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_that_leaves_the_block_takes_nothing_from_its_parent(tmp_path):
    path = tmp_path / "s"
    with listening_sockets(f"unix:{path}") as listening:
        child = _fork_out_of(listening, path)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert is_served(listening.sockets[0])
        with pytest.raises(ListenError, match="another server of this kind"):
            with listening_sockets(f"unix:{path}"):
                pass
    assert list(tmp_path.iterdir()) == []


def _fork_out_of(listening, path):
    """Fork a child that closes all of it as leaving the block would; return its number."""
    import gc

    claimed = [
        one
        for one in gc.get_objects()
        if type(one).__name__ == "SocketStreamListener" and one.local == f"unix:{path}"
    ]
    assert len(claimed) == 1
    child = os.fork()
    if not child:
        try:
            claimed[0].close()
            os._exit(0 if path.exists() else 1)
        finally:
            os._exit(2)
    return child


@pytest.mark.parametrize(
    ("address", "named", "remedy"),
    [
        ("tls+127.0.0.1:0?cert=a.pem", "tls+", "certificate to the server"),
        ("tls+127.0.0.1:0", "tls+", "certificate to the server"),
        ("proxy+tcp:127.0.0.1:0?proxy.from=::1", "proxy+", "read the header"),
        ("mem:a", "memory", "tcp:127.0.0.1:0"),
        ("inetd", "standard input is one connection", "?mode=wait"),
        ("udp:127.0.0.1:0", "datagram", "write tcp:"),
        ("unixgram:/nowhere/s", "datagram", "write tcp:"),
        ("unixseq:/nowhere/s", "seqpacket", "write tcp:"),
        ("vsockseq:any:any", "seqpacket", "write tcp:"),
        ("127.0.0.1:0?maxconn=5", "maxconn", "leave it out"),
        ("unix:/nowhere/s?allow-uid=0", "allow-uid", "leave it out"),
    ],
)
def test_options_that_need_more_than_a_socket_are_refused_by_name(address, named, remedy):
    with pytest.raises(ListenError) as refused:
        with listening_sockets(address):
            pass
    assert named in refused.value.reason
    assert remedy in refused.value.remedy


STREAM_OPTIONS = sorted(
    {
        (option.key, scheme)
        for option in OPTIONS
        for scheme in ("tcp", "unix", "fd", "sd", "vsock")
        if scheme in option.schemes and option.example and not option.abstract
    }
)
PLACES = {
    "tcp": "[::1]:0",
    "unix": "./s",
    "fd": "7",
    "sd": "",
    "vsock": "any:any",
}


@pytest.mark.parametrize(("key", "scheme"), STREAM_OPTIONS)
def test_every_option_is_the_sockets_or_is_refused(key, scheme):
    """Nothing that only our server keeps gets through: the listener would drop it in silence."""
    (example,) = {o.example for o in OPTIONS if o.key == key and scheme in o.schemes}
    if (key, scheme) == ("type", "fd"):
        example = "type=stream"
    spec = ListenSpec.parse(f"{scheme}:{PLACES[scheme]}?{example}")
    servers = {"name", "drain", "maxconn", "maxrate", "accept-backoff", "idle-timeout"}
    servers |= {"maxconn-per-network", "when-full"}
    servers |= {"allow-uid", "allow-gid", "handshake-timeout"}
    if key == "type" and "dgram" in example:
        return
    if key in servers:
        with pytest.raises(ListenError, match=f"option {key}"):
            opening._check(spec)
    else:
        opening._check(spec)


def test_an_adopted_socket_of_another_kind_is_refused_and_stays_open(leave):
    number = leave(inheriting.bound(socket.SOCK_DGRAM))
    with pytest.raises(ListenError, match="is datagram, expected streams"):
        with listening_sockets(f"fd:{number}"):
            pass
    assert inheriting.is_open(number)


def test_no_address_and_one_that_does_not_parse_are_usage_errors():
    with pytest.raises(UsageError, match="no address"):
        with listening_sockets():
            pass
    with pytest.raises(AddressError):
        with listening_sockets("127.0.0.1"):
            pass


def test_all_or_nothing():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError) as refused:
            with listening_sockets("127.0.0.1:0", f"127.0.0.1:{port}?reuseaddr=off"):
                pass
    assert refused.value.errno == errno.EADDRINUSE


def test_an_error_in_the_block_closes_everything(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with listening_sockets(f"unix:{tmp_path}/s"):
            raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_while_names_resolve_leaves_nothing_open(monkeypatch, tmp_path):
    spec = ListenSpec.parse(f"unix:{tmp_path}/s")
    result = Future.result

    def interrupted(future, timeout=None):
        monkeypatch.setattr(Future, "result", result)
        raise KeyboardInterrupt

    monkeypatch.setattr(Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        opening._open([(spec,)], ProcessSockets({}))
    assert list(tmp_path.iterdir()) == []


def test_a_set_is_what_the_server_would_open():
    listeners = opening._open([(ListenSpec.parse("tcp:127.0.0.1:0"),)], ProcessSockets({}))
    assert isinstance(listeners, ListenerSet)
    listeners.close()


PATH = "unix:{folder}/s"
#: What is refused, what is advised, and what is opened then.
REMEDIES = [
    (
        "tls+tcp:127.0.0.1:0?cert={folder}/a.example.pem",
        "give the certificate to the server that takes the sockets, or serve with Pierhead",
        ["tcp:127.0.0.1:0"],
    ),
    (
        "proxy+tcp:127.0.0.1:0?proxy.from=10.0.0.0/8",
        "let the server that takes the sockets read the header, or serve with Pierhead",
        ["tcp:127.0.0.1:0"],
    ),
    ("mem:a", "write tcp:127.0.0.1:0 or unix:PATH", ["tcp:127.0.0.1:0", PATH]),
    (
        "inetd",
        "have the super-server pass the listening socket (wait, Accept=no): ?mode=wait",
        ["inetd?mode=wait"],
    ),
    (
        "tcp:127.0.0.1:0?maxconn=5",
        "leave it out, and set its equivalent at the server that takes the sockets",
        ["tcp:127.0.0.1:0"],
    ),
    (
        "udp:127.0.0.1:0",
        "write tcp: or unix:; servers that take sockets accept only streams",
        ["tcp:127.0.0.1:0", PATH],
    ),
    (
        "sd:?optional",
        "leave optional out of one of them, so that its absence is an error",
        ["sd:"],
    ),
]


@pytest.mark.parametrize(("address", "advice", "written"), REMEDIES)
async def test_following_the_remedy_opens(
    address, advice, written, process, passed, leave, tmp_path
):
    Certificates(tmp_path).issue("a.example")
    if address == "inetd":
        process.streams = StandardStreams(leave(inheriting.bound()), None, None)
    with pytest.raises(ListenError) as refused:
        with listening_sockets(address.format(folder=tmp_path), process_sockets=process):
            pytest.fail("it was opened")
    assert refused.value.remedy == advice
    if "sd:" in written:  # what is missing is named now, and there once it is passed
        with pytest.raises(ListenError, match="no socket was passed"):
            with listening_sockets("sd:", process_sockets=process):
                pytest.fail("it was opened")
        passed(inheriting.bound())
    for one in written:
        with listening_sockets(one.format(folder=tmp_path), process_sockets=process) as listening:
            assert len(listening.sockets) == 1
    if "serve with Pierhead" in advice:
        spec = ListenSpec.parse(address.format(folder=tmp_path))
        for listener in await open_all([(spec,)], process_sockets=process):
            listener.close()
