"""What only opening can tell to be wrong: which address, which step, why, and what to do.

The groups are numbered as in tests/unit/address/test_invalid_input.py, which has what reading an
address tells; together they are every invalid input that was ever thought of.
"""

from __future__ import annotations

import errno
import gc
import os
import socket
import sys

import pytest
from inheriting import bound
from tls_client import Certificates

from pierhead.address import ListenSpec
from pierhead.errors import ListenError, UsageError
from pierhead.listener.adopt import inetd
from pierhead.listener.bind import unix, vsock
from pierhead.listener.open import open_all
from pierhead.protocols import lines
from pierhead.server.server import Server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="most of it in Linux's words")

CASES = []


def case(group, what, *, step, reason, remedy):
    """Note a way to get it wrong; the function prepares it and returns the addresses."""

    def note(prepare):
        CASES.append(pytest.param(prepare, step, reason, remedy, id=f"{group}-{what}"))
        return prepare

    return note


class Around:
    """What a case may need."""

    def __init__(self, leave, passed, process, monkeypatch, folder, stack) -> None:
        self.leave, self.passed, self.patch, self.folder = leave, passed, monkeypatch, folder
        self.process = process
        self.stack = stack  # closes what is put on it
        self.buffers = None  # the pool of receive buffers, if not the default one
        self.path = folder / "s"
        self.port = 0

    def refuse_with(self, number):
        def refuse(*arguments, **named):
            raise OSError(number, os.strerror(number))

        return refuse


@pytest.fixture
def around(leave, passed, process, monkeypatch, tmp_path, stack):
    return Around(leave, passed, process, monkeypatch, tmp_path, stack)


# -- 7: paths ----------------------------------------------------------------------------------


@case(7, "path-too-long", step="path", reason="the system allows 19", remedy="shorter path")
def _(it):
    it.patch.setattr(unix, "SUN_PATH_BYTES", 20)
    return ["unix:./a-name-of-more-than-twenty-octets"]


@case(7, "directory-missing", step="lock", reason="No such file", remedy="mkdir -p {folder}/no")
def _(it):
    return [f"unix:{it.folder}/no/s"]


@case(7, "no-directory", step="lock", reason="Not a directory", remedy="is not a directory")
def _(it):
    it.path.write_text("")
    return [f"unix:{it.path}/s"]


@case(7, "may-not-write", step="lock", reason="Permission denied", remedy="may not write to")
def _(it):
    it.patch.setattr("pierhead.listener.bind.locked_path.os.open", it.refuse_with(errno.EACCES))
    return [f"unix:{it.path}"]


@case(7, "lock-not-ours-to-open", step="lock", reason="may not be opened", remedy="chmod u+rw")
def _(it):
    lock = it.folder / "s.lock"
    lock.touch(0o000)
    it.patch.setattr("pierhead.listener.bind.locked_path.Place.open", it.refuse_with(errno.EACCES))
    return [f"unix:{it.path}"]


@case(7, "plain-file", step="bind", reason="a plain file is", remedy="move it away")
def _(it):
    it.path.write_text("precious")
    return [f"unix:{it.path}?unlink=always"]


@case(7, "directory", step="bind", reason="a directory is", remedy="move it away")
def _(it):
    it.path.mkdir()
    return [f"unix:{it.path}?unlink=always"]


@case(7, "symbolic-link", step="bind", reason="a symbolic link is", remedy="move it away")
def _(it):
    it.path.symlink_to(it.folder / "elsewhere")
    return [f"unix:{it.path}?unlink=always"]


@case(7, "live-server", step="bind", reason="another program serves it", remedy="another path")
def _(it):
    live = it.stack.enter_context(socket.socket(socket.AF_UNIX))
    live.bind(str(it.path))
    live.listen()
    return [f"unix:{it.path}?unlink=always"]


@case(7, "may-not-give-away", step="bind", reason="not permitted", remedy="only root may give")
def _(it):
    it.patch.setattr(unix.os, "chown", it.refuse_with(errno.EPERM))
    return [f"unix:{it.path}?user=0"]


@case(7, "unknown-user", step="option user", reason="no user is called no-one", remedy="number")
def _(it):
    return [f"unix:{it.path}?user=no-one"]


@case(7, "unknown-group", step="option group", reason="no group is called no-one", remedy="number")
def _(it):
    return [f"unix:{it.path}?group=no-one"]


@case(8, "abstract-elsewhere", step="open", reason="no abstract names", remedy="another address")
def _(it):
    it.patch.setattr(sys, "platform", "freebsd14")
    return ["unix:@a"]


# -- 9: descriptors ----------------------------------------------------------------------------


@case(9, "closed", step="adopt", reason="descriptor 65000 is not open", remedy="pass")
def _(it):
    return ["fd:65000"]


@case(9, "no-socket", step="adopt", reason="is a pipe, expected a socket", remedy="another")
def _(it):
    reading, writing = os.pipe()
    for number in (reading, writing):
        it.stack.callback(os.close, number)
    return [f"fd:{reading}"]


@case(9, "wrong-type", step="adopt", reason="expected type dgram", remedy="correct type=")
def _(it):
    return [f"fd:{it.leave(bound())}?type=dgram"]


@case(9, "connected", step="adopt", reason="a connected Unix stream", remedy="inetd")
def _(it):
    ours, theirs = socket.socketpair()
    it.stack.enter_context(theirs)
    return [f"fd:{it.leave(ours)}"]


@case(9, "twice-in-a-set", step="adopt", reason="is already served", remedy="once")
def _(it):
    number = it.leave(bound())
    return [f"fd:{number}", f"fd:{number}?name=again"]


# -- 10: passed sockets ------------------------------------------------------------------------


def passing(what, reason, remedy, *, address="sd:", names=None, **variables):
    @case(10, what, step="adopt", reason=reason, remedy=remedy)
    def _(it):
        it.passed(bound(), bound(), names=names, **variables)
        return [address]


passing("no-variables", "LISTEN_FDS is not set", "systemd-socket-activate", LISTEN_FDS=None)
passing("other-pid", f"LISTEN_PID is 1, and this is {os.getpid()}", "exec", LISTEN_PID="1")
passing("pid-is-no-number", "LISTEN_PID is x", "exec", LISTEN_PID="x")
passing("other-pidfd", "LISTEN_PIDFDID is 1", "exec", LISTEN_PIDFDID="1")
passing(
    "count-is-no-number", "LISTEN_FDS is 'none'", "start it by a .socket unit", LISTEN_FDS="none"
)
passing("count-is-0", "LISTEN_FDS is '0'", "start it by a .socket unit", LISTEN_FDS="0")
passing("count-is-negative", "LISTEN_FDS is '-1'", "start it by a .socket unit", LISTEN_FDS="-1")
passing(
    "count-is-huge",
    "LISTEN_FDS is '99999999999'",
    "start it by a .socket unit",
    LISTEN_FDS="9" * 11,
)
passing("names-are-too-few", "1 names (a) for 2 sockets", "one name for each", names="a")
passing(
    "no-such-name",
    "no passed socket is called x",
    "FileDescriptorName=",
    address="sd:x",
    names="a:b",
)
passing(
    "no-such-index", "no socket #2: they are counted from 0 to 1", "descriptor 700", address="sd:#2"
)
passing("which-of-them", "2 sockets were passed", "sd:a, sd:b or sd:*", names="a:b")


@case(10, "twice", step="adopt", reason="is already served, as sd:a", remedy="once")
def _(it):
    it.passed(bound(), names="a")
    return ["sd:a", "sd:*"]


@case(10, "a-connection", step="adopt", reason="(connection) is a connected", remedy="Accept=no")
def _(it):
    ours, theirs = socket.socketpair()
    it.stack.enter_context(theirs)
    it.passed(ours, names="connection")
    return ["sd:"]


# -- 11: standard input ------------------------------------------------------------------------


def standard_input(it, number):
    it.process.streams = inetd.StandardStreams(number, None, None)
    return "inetd"


@case(11, "closed", step="adopt", reason="standard input is closed", remedy="systemd-socket-act")
def _(it):
    return [standard_input(it, None)]


@case(11, "terminal", step="adopt", reason="is a terminal", remedy="systemd-socket-activate")
def _(it):
    numbers = os.openpty()
    for number in numbers:
        it.stack.callback(os.close, number)
    return [standard_input(it, numbers[1])]


@case(11, "twice", step="adopt", reason="standard input is already served", remedy="once")
def _(it):
    client, ours = socket.socketpair()
    it.stack.enter_context(client)
    number = it.leave(ours)
    it.stack.callback(os.close, number)
    return [standard_input(it, number), "inetd?name=again"]


# -- 12: virtual machines ----------------------------------------------------------------------


@case(12, "no-vsock", step="socket", reason="Address family not supp", remedy="modprobe vsock")
def _(it):
    it.patch.setattr(vsock, "_socket", it.refuse_with(errno.EAFNOSUPPORT))
    return ["vsock:any:5000"]


@case(12, "python-without", step="socket", reason="was built without vsock", remedy="unix:")
def _(it):
    it.patch.delattr(socket, "AF_VSOCK")
    return ["vsock:any:5000"]


@case(12, "no-device", step="socket", reason="No such device", remedy="modprobe vhost_vsock")
def _(it):
    it.patch.setattr(vsock, "_socket", it.refuse_with(errno.ENODEV))
    return ["vsock:any:5000"]


@case(12, "other-platform", step="open", reason="darwin has no vsock", remedy="another address")
def _(it):
    it.patch.setattr(sys, "platform", "darwin")
    return ["vsock:any:5000"]


# -- 13: wrappers ------------------------------------------------------------------------------


@case(13, "no-certificate", step="certificate", reason="needs a certificate", remedy="cert=FILE")
def _(it):
    return ["tls+tcp:127.0.0.1:0"]


@case(
    13,
    "certificate-is-not-there",
    step="certificate",
    reason="No such file",
    remedy="is the path right",
)
def _(it):
    return [f"tls+tcp:127.0.0.1:0?cert={it.folder}/none.pem"]


@case(13, "key-of-another", step="key", reason="is not the key of the cert", remedy="key")
def _(it):
    made = Certificates(it.folder)
    first, second = made.issue("a.example"), made.issue("b.example")
    return [f"tls+tcp:127.0.0.1:0?cert={first}&key={second}"]


@case(13, "borders-found-out", step="tls", reason="tls+ needs a stream", remedy="leave tls+ out")
def _(it):
    cert = Certificates(it.folder).issue("a.example")
    return [f"tls+fd:{it.leave(bound(socket.SOCK_DGRAM))}?cert={cert}"]


@case(13, "no-key-anywhere", step="key", reason="and no key= names", remedy="add key=FILE")
def _(it):
    cert = Certificates(it.folder).authority_file
    return [f"tls+tcp:127.0.0.1:0?cert={cert}"]


@case(
    13, "key-without-key", step="key", reason="has no private key", remedy="name the file that has"
)
def _(it):
    made = Certificates(it.folder)
    return [f"tls+tcp:127.0.0.1:0?cert={made.issue('a.example')}&key={made.authority_file}"]


# -- 14 and 15: platforms and sets -------------------------------------------------------------


@case(14, "no-reuseport", step="open", reason="reuseport", remedy="leave it out")
def _(it):
    it.patch.setattr(sys, "platform", "sunos5")
    return ["tcp:127.0.0.1:0?reuseport"]


@case(15, "wildcard-taken", step="bind", reason="already in use", remedy="another socket has port")
def _(it):
    taken = it.stack.enter_context(socket.socket())
    taken.bind(("0.0.0.0", 0))
    taken.listen()
    return [f"tcp::{taken.getsockname()[1]}"]


@case(15, "another-host", step="bind", reason="already in use", remedy="another socket has port")
def _(it):
    taken = it.stack.enter_context(socket.socket())
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    return [f"tcp:127.0.0.2:{port}", f"tcp:127.0.0.1:{port}"]


@case(12, "no-scope", step="bind", reason="Invalid argument", remedy="needs its interface, as in")
def _(it):
    return ["tcp:[fe80::1]:0"]


@case(15, "overlapping", step="bind", reason="already in use", remedy="this server listens there")
def _(it):
    with socket.socket() as free:
        free.bind(("0.0.0.0", 0))
        port = free.getsockname()[1]
    return [f"tcp:0.0.0.0:{port}", f"tcp::{port}"]


@case(15, "both-families", step="bind", reason="already in use", remedy="as tcp:[::]:{port}")
def _(it):
    with socket.socket(socket.AF_INET6) as free:
        free.bind(("::", 0))
        it.port = free.getsockname()[1]
    return [f"tcp:[::]:{it.port}?v6only=no", f"tcp:127.0.0.1:{it.port}"]


@pytest.mark.filterwarnings("ignore:unclosed <socket")  # what a test passed and nobody took
@pytest.mark.parametrize(("prepare", "step", "reason", "remedy"), CASES)
async def test_a_refusal_names_address_step_reason_and_remedy(
    around, prepare, step, reason, remedy
):
    addresses = prepare(around)
    with pytest.raises(ListenError) as caught:
        await open_all(
            [(ListenSpec.parse(address),) for address in addresses],
            process_sockets=around.process,
        )
    around.patch.undo()
    error = caught.value
    assert error.address.startswith(addresses[-1])
    assert error.step == step
    assert reason in error.reason
    assert remedy.format(folder=around.folder, port=around.port) in error.remedy
    gc.collect()  # what was left half open would be a ResourceWarning, and so an error


# -- what is not the opening's to refuse, but belongs to those groups --------------------------


async def test_tls_on_standard_input_is_allowed_and_quic_is_not(around):
    client, ours = socket.socketpair()
    around.stack.enter_context(client)
    number = around.leave(ours)
    around.stack.callback(os.close, number)
    cert = Certificates(around.folder).issue("a.example")
    standard_input(around, number)
    (listener,) = await open_all(
        [(ListenSpec.parse(f"tls+inetd?cert={cert}"),)], process_sockets=around.process
    )
    assert listener.local == "tls+inetd"
    listener.close()
    with pytest.raises(UsageError, match="quic is a scheme, not a wrapper"):
        ListenSpec.parse("quic+inetd")


async def test_udp_and_tcp_on_one_port_do_not_overlap():
    for _ in range(20):
        (tcp,) = await open_all([(ListenSpec.parse("tcp:127.0.0.1:0"),)])
        try:
            (udp,) = await open_all([(ListenSpec.parse(tcp.local.replace("tcp", "udp")),)])
        except ListenError:  # somebody else's
            continue
        finally:
            tcp.close()
        udp.close()
        return
    pytest.fail("twenty ports in a row were taken")


async def test_an_empty_set_is_refused():
    async def upper(line, context):
        return line.upper()

    with pytest.raises(UsageError, match="no address to serve lines on; give one such as"):
        Server(lines.serve(upper))


# -- the eight hostile states of a path --------------------------------------------------------


def leave_dead(path, kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_UNIX, kind) as dead:
        dead.bind(str(path))


def a_plain_file(around):
    around.path.write_text("precious")


def a_directory(around):
    around.path.mkdir()


def a_pipe(around):
    os.mkfifo(around.path)


def a_link_to_a_dead_socket(around):
    leave_dead(around.folder / "other")
    around.path.symlink_to(around.folder / "other")


def a_link_to_nothing(around):
    around.path.symlink_to(around.folder / "nothing")


def a_socket_that_is_served(around):
    live = around.stack.enter_context(socket.socket(socket.AF_UNIX))
    live.bind(str(around.path))
    live.listen()


def a_socket_whose_backlog_is_full(around):
    live = around.stack.enter_context(socket.socket(socket.AF_UNIX))
    live.bind(str(around.path))
    live.listen(0)
    for _ in range(3):
        client = around.stack.enter_context(socket.socket(socket.AF_UNIX))
        client.setblocking(False)
        client.connect_ex(str(around.path))


def a_lock_that_is_a_link(around):
    """An attacker's, so that we create or lock a file of the attacker's choice."""
    leave_dead(around.path)
    (around.folder / "s.lock").symlink_to(around.folder / "victim")


HOSTILE = [
    a_plain_file,
    a_directory,
    a_pipe,
    a_link_to_a_dead_socket,
    a_link_to_nothing,
    a_socket_that_is_served,
    a_socket_whose_backlog_is_full,
    a_lock_that_is_a_link,
]


def seen(folder):
    """Return what is in a folder: names, inodes, and where links lead."""
    return sorted(
        (name, os.lstat(folder / name).st_ino, os.path.realpath(folder / name))
        for name in os.listdir(folder)
    )


@pytest.mark.parametrize("scheme", ["unix", "unixseq", "unixgram"])
@pytest.mark.parametrize("unlink", ["stale", "always", "never"])
@pytest.mark.parametrize("make", HOSTILE)
async def test_a_hostile_state_of_a_path_is_refused_and_left_unchanged(
    around, make, unlink, scheme
):
    make(around)
    before = seen(around.folder)
    with pytest.raises(ListenError) as caught:
        await open_all([(ListenSpec.parse(f"{scheme}:{around.path}?unlink={unlink}"),)])
    assert caught.value.remedy
    assert caught.value.errno in (errno.EADDRINUSE, errno.ELOOP)
    assert seen(around.folder) == before


def test_there_are_eight_of_them():
    assert len(HOSTILE) == 8
