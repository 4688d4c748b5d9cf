"""Remedies for addresses that cannot be opened: each is followed, and the address opens.

Most of them are provoked for real. What this machine cannot be brought to, because it has no such
device, or the test runs as root, is refused by a stand-in of the system call; those cases say so
with `refuses`, and undo it as the remedy says.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import resource
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from inheriting import bound
from test_listening_sockets import REMEDIES as OPENED_FOR_OTHERS
from test_refused_at_opening import Around, around  # noqa: F401  # a fixture
from tests.processes import require_program
from tests.remedies import remedies_of
from tests.unit.listener.conftest import FIRST_PASSED
from tls_client import Certificates, certificate_for_clients

from pierhead.address import ListenSpec
from pierhead.buffer import BufferPool
from pierhead.listener.adopt.inetd import StandardStreams
from pierhead.listener.bind import unix, vsock
from pierhead.listener.bind.locked_path import LockedPath
from pierhead.listener.bind.memory import MemoryStreamListener
from pierhead.listener.open import open_all
from pierhead.net.memory import Network

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="most of it in Linux's words")

Addresses = list[str]
#: Yields what is refused, is sent the remedy, and yields what is opened then, way by way.
Prepare = Callable[[Around], Generator[Addresses, str, None]]


@dataclass(frozen=True)
class Case:
    """One way to get it wrong.

    Attributes:
        module: the file that gives the remedy, below ``pierhead``.
        advice: the words of the remedy that are followed.
        prepare: the steps.
    """

    module: str
    advice: str
    prepare: Prepare


CASES: list[Case] = []


def case(module: str, advice: str) -> Callable[[Prepare], Prepare]:
    def note(prepare: Prepare) -> Prepare:
        CASES.append(Case(f"{module}.py", advice, prepare))
        return prepare

    return note


@case("listener/os_errors", "create the directory first: mkdir -p")
def a_folder_is_missing(it):
    remedy = yield [f"unix:{it.folder}/no/s"]
    subprocess.run(shlex.split(remedy.partition(": ")[2]), check=True)
    yield [f"unix:{it.folder}/no/s"]


@case("listener/bind/locked_path", "it is left alone: move it away, or choose another path")
def a_path_that_others_have(it):
    it.path.write_text("precious")
    remedy = yield [f"unix:{it.path}?unlink=always"]
    assert remedy == "it is left alone: move it away, or choose another path"
    yield [f"unix:{it.folder}/other"]
    it.path.rename(it.folder / "elsewhere")
    yield [f"unix:{it.path}"]


@case("listener/bind/locked_path", "stop it first, or choose another path")
def a_path_that_is_served(it):
    live = it.stack.enter_context(socket.socket(socket.AF_UNIX))
    live.bind(str(it.path))
    live.listen()
    remedy = yield [f"unix:{it.path}"]
    assert remedy == "stop it first, or choose another path"
    yield [f"unix:{it.folder}/other"]
    live.close()
    yield [f"unix:{it.path}"]


@case("listener/bind/unix", "name another, or its number")
def a_user_that_is_unknown(it):
    remedy = yield [f"unix:{it.path}?user=no-one"]
    assert remedy == "name another, or its number"
    yield [f"unix:{it.path}?user={os.getuid()}"]


@case("listener/adopt/descriptors", "name another descriptor, or correct type=")
def a_descriptor_of_another_type(it):
    number = it.leave(bound())
    remedy = yield [f"fd:{number}?type=dgram"]
    assert remedy == "name another descriptor, or correct type="
    yield [f"fd:{it.leave(bound(socket.SOCK_DGRAM))}?type=dgram"]
    yield [f"fd:{number}?type=stream"]


@case("listener/adopt/inspection", "name another descriptor")
def a_descriptor_that_is_no_socket(it):
    reading, writing = os.pipe()
    for number in (reading, writing):
        it.stack.callback(os.close, number)
    remedy = yield [f"fd:{reading}"]
    assert remedy == "name another descriptor"
    yield [f"fd:{it.leave(bound())}"]


@case("listener/adopt/reserved", "remove one of the two addresses; a descriptor is served once")
def a_descriptor_twice(it):
    number = it.leave(bound())
    remedy = yield [f"fd:{number}", f"fd:{number}?name=again"]
    assert remedy.startswith("remove one of the two addresses")
    yield [f"fd:{number}"]


def _passed_to_another(variables):
    def passed_to_another(it):
        it.passed(bound(), **variables)
        remedy = yield ["sd:"]
        assert "?pid=ignore takes the sockets anyway" in remedy
        yield ["sd:?pid=ignore"]

    return passed_to_another


for _variables in ({"LISTEN_PID": "1"}, {"LISTEN_PID": "x"}, {"LISTEN_PIDFDID": "1"}):
    case("listener/adopt/systemd", "?pid=ignore takes the sockets anyway")(
        _passed_to_another(_variables)
    )


@case("listener/adopt/systemd", "give one name for each, separated by :")
def names_that_are_too_few(it):
    it.passed(bound(), bound(), names="a")
    remedy = yield ["sd:"]
    assert remedy == "give one name for each, separated by :"
    it.passed(bound(), bound(), names="a:b")
    yield ["sd:*"]


@case("listener/adopt/systemd", "or sd:* for all of them")
def one_of_several_that_were_passed(it):
    it.passed(bound(), bound(), names="a:b")
    remedy = yield ["sd:"]
    for written in re.fullmatch(r"write (\S+), (\S+) or (\S+) for all of them", remedy).groups():
        it.passed(bound(), bound(), names="a:b")
        yield [written]


@case("listener/adopt/systemd", "; FileDescriptorName= in the .socket unit names them")
def a_name_that_none_has(it):
    it.passed(bound(), bound(), names="a:b")
    remedy = yield ["sd:x"]
    for number, name in re.findall(r"descriptor (\d+) \((\w)\)", remedy):
        assert int(number) in (700, 701)
        it.passed(bound(), bound(), names="a:b")
        yield [f"sd:{name}"]


@case("listener/os_errors", "stop that program, choose another port, or port 0 for any free one")
def a_port_that_is_taken(it):
    taken = it.stack.enter_context(socket.socket())
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    remedy = yield [f"tcp:127.0.0.1:{port}"]
    assert "stop that program, choose another port, or port 0 for any free one" in remedy
    yield ["tcp:127.0.0.1:0"]
    taken.close()
    yield [f"tcp:127.0.0.1:{port}"]


@case("listener/open", "this server listens there itself, as")
def two_addresses_that_overlap(it):
    with socket.socket() as free:
        free.bind(("0.0.0.0", 0))
        port = free.getsockname()[1]
    remedy = yield [f"tcp:0.0.0.0:{port}", f"tcp::{port}"]
    assert remedy.endswith("leave one out")
    yield [f"tcp:0.0.0.0:{port}"]
    yield [f"tcp::{port}"]


@case("listener/wrap/tls_context", "add cert=FILE to the address")
def no_certificate(it):
    remedy = yield ["tls+tcp:127.0.0.1:0"]
    assert remedy == "add cert=FILE to the address"
    yield [f"tls+tcp:127.0.0.1:0?cert={Certificates(it.folder).issue('a.example')}"]


@case("listener/wrap/tls_context", "add key=FILE, one for each cert= in their order")
def a_certificate_without_its_key(it):
    cert, key = _apart(it)
    remedy = yield [f"tls+tcp:127.0.0.1:0?cert={cert}"]
    assert remedy.startswith("add key=FILE")
    yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={key}"]


@case("listener/wrap/tls_context", "name the key that belongs to the certificate")
def a_key_of_another(it):
    made = Certificates(it.folder)
    first, second = made.issue("a.example"), made.issue("b.example")
    remedy = yield [f"tls+tcp:127.0.0.1:0?cert={first}&key={second}"]
    assert remedy == "name the key that belongs to the certificate"
    yield [f"tls+tcp:127.0.0.1:0?cert={first}&key={first}"]


@case(
    "listener/wrap/tls_context", "name the file that has the private key: it begins with -----BEGIN"
)
def a_key_that_is_a_certificate(it):
    cert, key = _apart(it)
    remedy = yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={it.folder}/authority.pem"]
    assert remedy == "name the file that has the private key: it begins with -----BEGIN"
    yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={key}"]


@case(
    "listener/wrap/tls_context", "name the file that has the certificate: it begins with -----BEGIN"
)
def a_certificate_that_is_a_key(it):
    cert, key = _apart(it)
    remedy = yield [f"tls+tcp:127.0.0.1:0?cert={key}&key={key}"]
    assert remedy == "name the file that has the certificate: it begins with -----BEGIN"
    yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={key}"]


@case("listener/wrap/tls_context", "convert it, and name the result: ")
def a_certificate_in_der_form(it):
    cert, key = _apart(it)
    der = _converted(it, "x509", cert, "-outform", "DER")
    remedy = yield [f"tls+tcp:127.0.0.1:0?cert={der}&key={key}"]
    made = _run(remedy)
    yield [f"tls+tcp:127.0.0.1:0?cert={made}&key={key}&strict-permissions"]


@case("listener/wrap/tls_context", "convert it, and name the result: ")
def a_key_in_der_form(it):
    cert, key = _apart(it)
    der = _converted(it, "pkey", key, "-outform", "DER")
    remedy = yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={der}"]
    made = _run(remedy)
    yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={made}&strict-permissions"]


@case("listener/wrap/tls_context", "decrypt it, and name the result: ")
def a_key_that_is_encrypted(it):
    cert, key = _apart(it)
    hidden = _converted(it, "pkey", key, "-aes256", "-passout", "pass:secret")
    remedy = yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={hidden}"]
    made = _run(remedy, "-passin", "pass:secret")
    yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={made}&strict-permissions"]


def _apart(it) -> tuple[str, str]:
    """Return a certificate and its key, each in a file of its own."""
    whole = Certificates(it.folder).issue("a.example")
    cert, key = it.folder / "cert.pem", it.folder / "key.pem"
    shutil.copy(whole, key)
    text = key.read_text()
    first = text.index("-----BEGIN CERTIFICATE")
    key.write_text(text[:first])
    cert.write_text(text[first:])
    return str(cert), str(key)


def _converted(it, command: str, path: str, *arguments: str) -> str:
    made = f"{it.folder}/a file"
    openssl = require_program("openssl")
    subprocess.run([openssl, command, "-in", path, "-out", made, *arguments], check=True)
    os.chmod(made, 0o600)
    return made.replace(" ", "%20")


def _run(remedy: str, *more: str) -> str:
    """Run the command of a remedy; return the file that comes out, as addresses have it."""
    command = shlex.split(remedy.partition(": ")[2])
    subprocess.run([*command, *more], check=True, capture_output=True)
    return command[command.index("-out") + 1].replace(" ", "%20")


# -- paths ---------------------------------------------------------------------------------------

ERRORS = "listener/os_errors"
PATHS = "listener/bind/locked_path"


@case(ERRORS, "is not a directory")
def a_file_where_a_directory_should_be(it):
    it.path.write_text("")
    remedy = yield [f"unix:{it.path}/s"]
    assert remedy == f"{it.path} is not a directory"
    it.path.unlink()
    it.path.mkdir()
    yield [f"unix:{it.path}/s"]


@case(ERRORS, "the symbolic links on the way lead back to themselves: write the path without them")
def links_that_lead_to_themselves(it):
    (it.folder / "a").symlink_to(it.folder / "b")
    (it.folder / "b").symlink_to(it.folder / "a")
    yield [f"unix:{it.folder}/a/s"]
    yield [f"unix:{it.folder}/s"]


def _system_call_on_paths(number: int) -> Prepare:
    """The test may run as root, who may write to everything."""

    def refused_by_the_system(it):
        it.patch.setattr(
            "pierhead.listener.bind.locked_path.os.open", it.refuse_with(getattr(errno, number))
        )
        remedy = yield [f"unix:{it.path}"]
        assert str(it.folder) in remedy
        it.patch.undo()
        yield [f"unix:{it.path}"]

    return refused_by_the_system


case(ERRORS, " may not write to ")(_system_call_on_paths("EACCES"))
case(ERRORS, " is on a file system that is mounted read-only")(_system_call_on_paths("EROFS"))


@case(ERRORS, "only root may give a socket to another user, or to a group it is not in")
def a_socket_for_another_user(it):
    it.patch.setattr(unix.os, "chown", it.refuse_with(errno.EPERM))
    yield [f"unix:{it.path}?user=65534"]
    it.patch.undo()  # as root, or for the user that it is
    yield [f"unix:{it.path}?user={os.getuid()}"]


@case(ERRORS, "stop the program that uses it, or choose another name")
def an_abstract_name_that_is_taken(it):
    taken = it.stack.enter_context(socket.socket(socket.AF_UNIX))
    name = f"pierhead-{os.getpid()}-{id(it)}"
    taken.bind(f"\0{name}")
    yield [f"unix:@{name}"]
    yield [f"unix:@{name}-2"]
    taken.close()
    yield [f"unix:@{name}"]


@case("listener/bind/unix", "choose a shorter path, or a relative one")
def a_path_that_is_too_long(it):
    it.patch.setattr(unix, "SUN_PATH_BYTES", len(bytes(it.path)) + 10)
    it.patch.chdir(it.folder)
    name = "a-name-of-more-than-ten-octets"
    yield [f"unix:{it.folder}/{name}"]
    yield [f"unix:{it.path}"]
    yield [f"unix:./{name}"]


@case(PATHS, "it is left alone: move it away if no server uses it, or choose another path")
def a_lock_file_with_content(it):
    lock = it.folder / "s.lock"
    lock.write_text("precious")
    yield [f"unix:{it.path}"]
    yield [f"unix:{it.folder}/other"]
    lock.rename(it.folder / "elsewhere")
    yield [f"unix:{it.path}"]


@case(PATHS, "let its owner write to it, chmod u+rw ")
def a_lock_file_that_may_not_be_opened(it):
    lock = it.folder / "s.lock"
    lock.touch(0o000)
    it.patch.setattr("pierhead.listener.bind.locked_path.Place.open", it.refuse_with(errno.EACCES))
    remedy = yield [f"unix:{it.path}"]
    it.patch.undo()
    yield [f"unix:{it.folder}/other"]
    _, command, rest = remedy.partition("chmod ")
    subprocess.run(shlex.split(command + rest.partition(";")[0]), check=True)
    assert lock.stat().st_mode & 0o600 == 0o600
    yield [f"unix:{it.path}"]


@case(PATHS, "choose a folder that only its owner may write to")
def a_socket_that_is_replaced_at_once(it):
    """Somebody else's doing, between two system calls."""
    taken = LockedPath.taken

    def replaced(path):
        it.path.unlink()
        it.path.mkdir()
        return taken(path)

    it.patch.setattr(LockedPath, "taken", replaced)
    yield [f"unix:{it.path}"]
    it.patch.undo()
    mine = it.folder / "mine"
    mine.mkdir(0o700)
    yield [f"unix:{mine}/s"]


def _dead(it) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(it.path))


@case(PATHS, "remove it, or allow that with unlink=stale")
def a_socket_that_nobody_serves(it):
    _dead(it)
    yield [f"unix:{it.path}?unlink=never"]
    yield [f"unix:{it.path}?unlink=stale"]
    _dead(it)
    it.path.unlink()
    yield [f"unix:{it.path}?unlink=never"]


@case(PATHS, "remove it if it is not, or say unlink=always")
def a_socket_that_may_not_be_asked(it):
    """Of another user: root may connect to all."""
    _dead(it)
    it.patch.setattr("pierhead.listener.bind.locked_path._probe", lambda *_: errno.EACCES)
    yield [f"unix:{it.path}"]
    yield [f"unix:{it.path}?unlink=always"]
    _dead(it)
    it.path.unlink()
    it.patch.undo()
    yield [f"unix:{it.path}"]


# -- descriptors and passed sockets ----------------------------------------------------------------

ADOPT = "listener/adopt/descriptors"
SYSTEMD = "listener/adopt/systemd"
INETD = "listener/adopt/inetd"


def _streams(it, reading: int | None, writing: int | None = None) -> None:
    it.process.streams = StandardStreams(reading, writing, None)


def _pipe(it) -> tuple[int, int]:
    """Return the near ends of two pipes, as standard input and output."""
    (reading, their_writing), (their_reading, writing) = os.pipe(), os.pipe()
    for number in (reading, their_writing, their_reading, writing):
        it.stack.callback(os.close, number)
    return reading, writing


def _connection(it) -> int:
    ours, theirs = socket.socketpair()
    it.stack.enter_context(theirs)
    number = it.leave(ours)
    it.stack.callback(os.close, number)
    return number


@case(ADOPT, "an already accepted connection is served as inetd, on standard input; in a .socket")
def a_connection_as_a_descriptor(it):
    number = _connection(it)
    remedy = yield [f"fd:{number}"]
    _streams(it, number)
    yield ["inetd"]
    assert remedy.endswith("Accept=no")  # then systemd passes the listening socket
    it.passed(bound())
    yield ["sd:"]


@case(ADOPT, "bind() it before passing it")
def a_datagram_socket_without_an_address(it):
    number = it.leave(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    yield [f"fd:{number}"]
    with socket.socket(fileno=os.dup(number)) as same:
        same.bind(("127.0.0.1", 0))
    yield [f"fd:{number}"]


@case(ADOPT, "listen() on it before passing it")
def a_socket_that_does_not_listen(it):
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    number = it.leave(sock)
    yield [f"fd:{number}"]
    with socket.socket(fileno=os.dup(number)) as same:
        same.listen()
    yield [f"fd:{number}"]


@case(ADOPT, "use a stream or seqpacket socket")
def datagrams_of_a_virtual_machine(it):
    """Sockets that look like vsock's, which this machine may not have."""
    datagrams = it.leave(bound(socket.SOCK_DGRAM))
    it.patch.setattr("pierhead.listener.adopt.descriptors._AF_VSOCK", int(socket.AF_INET))
    yield [f"fd:{datagrams}"]
    yield [f"fd:{it.leave(bound())}"]


@case(ADOPT, "leave it out, or write one address for the sockets of each type")
def an_option_for_one_of_two_types(it):
    it.passed(bound(), bound(socket.SOCK_DGRAM), names="dns:udp")
    yield ["sd:*?nodelay"]
    yield ["sd:*"]
    it.passed(bound(), bound(socket.SOCK_DGRAM), names="dns:udp")
    yield ["sd:dns?nodelay", "sd:udp"]
    numbers = it.leave(bound()), it.leave(bound(socket.SOCK_DGRAM))
    yield [f"fd:{numbers[0]}?nodelay", f"fd:{numbers[1]}"]


def _small_pool(module: str, address: Callable[[Any], str]) -> None:
    @case(module, "give the server a larger buffer pool, or listen on fewer datagram addresses")
    def a_pool_that_is_too_small(it):
        it.buffers = BufferPool(max_bytes=5 * 2**20)
        wanted = [address(it) for _ in range(3)]
        yield wanted
        yield wanted[:1]
        it.buffers = BufferPool()
        yield [address(it) for _ in range(3)]


_small_pool("listener/open", lambda it: "udp:127.0.0.1:0")
_small_pool(ADOPT, lambda it: f"fd:{it.leave(bound(socket.SOCK_DGRAM))}")


@case("listener/adopt/inspection", "pass it with close-on-exec off, and the same number in the ch")
def a_descriptor_that_is_closed(it):
    number = FIRST_PASSED
    yield [f"fd:{number}"]
    with bound() as parents:  # as a parent does, between fork and exec
        os.dup2(parents.fileno(), number, inheritable=True)
    yield [f"fd:{number}"]


@case("listener/adopt/inspection", "an IP, Unix or vsock socket can be served")
def a_socket_of_a_strange_family(it):
    strange = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM)
    yield [f"fd:{it.leave(strange)}"]
    yield [f"fd:{it.leave(bound())}"]
    yield [f"fd:{it.leave(bound(family=socket.AF_UNIX))}"]


@case(INETD, "a super-server starts this; to try it: systemd-socket-activate --inetd -a -l ")
def nothing_on_standard_input(it):
    _streams(it, None)
    remedy = yield ["inetd"]
    _streams(it, _connection(it))  # what either program leaves there
    yield ["inetd"]
    assert remedy.endswith(", or a pipe")
    _streams(it, *_pipe(it))
    yield ["inetd"]


@case(INETD, "write inetd?mode=wait to serve it")
def a_listening_socket_on_standard_input(it):
    listening = it.stack.enter_context(bound())
    _streams(it, listening.fileno())
    yield ["inetd"]
    yield ["inetd?mode=wait"]


@case(INETD, "connect it to the client's input")
def no_standard_output(it):
    reading, writing = _pipe(it)
    _streams(it, reading)
    yield ["inetd"]
    _streams(it, reading, writing)
    yield ["inetd"]


@case(INETD, "leave it out")
def an_option_of_sockets_on_a_pipe(it):
    _streams(it, *_pipe(it))
    yield ["inetd?nodelay"]
    yield ["inetd"]


@case(SYSTEMD, "there are descriptor")
def an_index_that_is_too_high(it):
    it.passed(bound(), bound(), names="a:b")
    remedy = yield ["sd:#2"]
    for index, (_, name) in enumerate(re.findall(r"descriptor (\d+) \((\w)\)", remedy)):
        it.passed(bound(), bound(), names="a:b")
        yield [f"sd:#{index}", f"sd:{'ab'.replace(name, '')}"]


@case(SYSTEMD, "restart the service to get it again")
def a_passed_socket_that_is_closed(it):
    it.passed(bound(), names="a")
    it.process.passed.ask(ListenSpec.parse("sd:a"))  # as the address that served it did
    os.close(FIRST_PASSED)
    yield ["sd:a"]
    it.passed(bound(), names="a")
    yield ["sd:a"]


@case(SYSTEMD, "start it by a .socket unit, or try systemd-socket-activate -l ADDRESS PROGRAM")
def no_passed_socket(it):
    remedy = yield ["sd:"]
    assert remedy.endswith("PROGRAM")
    it.passed(bound())  # as either does: tests/interop/test_socket_activation.py
    yield ["sd:"]


@case(SYSTEMD, "whatever starts Pierhead must exec it, so that it keeps the process ID")
def another_process_is_named(it):
    it.passed(bound(), LISTEN_PID="1")
    yield ["sd:"]
    it.passed(bound(), LISTEN_PID=str(os.getpid()))
    yield ["sd:"]


class Launchd:
    """launchd's call, which exists on macOS alone."""

    def __init__(self, code: int, number: int) -> None:
        self.code, self.number = code, number

    def launch_activate_socket(self, name, descriptors, count) -> int:
        if not self.code:
            self.array = (ctypes.c_int * 1)(self.number)
            place = ctypes.cast(self.array, ctypes.POINTER(ctypes.c_int))
            ctypes.memmove(descriptors, ctypes.byref(place), ctypes.sizeof(ctypes.c_void_p))
            ctypes.cast(count, ctypes.POINTER(ctypes.c_size_t))[0] = 1
        return self.code

    def free(self, array) -> None:
        pass


def _launchd(code: int, advice: str) -> None:
    @case("listener/adopt/launchd", advice)
    def a_socket_of_launchd(it):
        it.patch.setattr(sys, "platform", "darwin")
        it.patch.setattr(ctypes, "CDLL", lambda _: Launchd(code, -1))
        yield ["launchd:web"]
        number = it.leave(bound())
        it.patch.setattr(ctypes, "CDLL", lambda _: Launchd(0, number))
        yield ["launchd:web"]


_launchd(errno.ESRCH, "load its job with launchctl first")
_launchd(errno.ENOENT, "the name is a key of Sockets in the job's property list")
_launchd(errno.EALREADY, "ask for each name once")


# -- IP addresses ----------------------------------------------------------------------------------

INET = "listener/bind/inet"
LO = "%25lo"


@case(ERRORS, "no network interface has this address")
def an_address_of_another_machine(it):
    remedy = yield ["tcp:192.0.2.1:0"]
    assert "choose one of those, * for all, or add ?freebind if it will appear later" in remedy
    yield ["tcp:127.0.0.1:0"]
    yield ["tcp:*:0"]
    yield ["tcp:192.0.2.1:0?freebind"]


@case(ERRORS, "this system has no such protocol family; is IPv6 disabled?")
def no_ipv6(it):
    opened = socket.socket

    def refused(family=socket.AF_INET, *arguments, **named):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return opened(family, *arguments, **named)

    it.patch.setattr("pierhead.listener.bind.inet.socket.socket", refused)
    yield ["tcp:[::1]:0"]
    it.patch.undo()
    yield ["tcp:[::1]:0"]


@case(ERRORS, "there is no such network interface (`ip link` lists them)")
def a_device_that_is_missing(it):
    yield ["udp:239.1.2.3:0?multicast=join&iface=none"]
    yield ["udp:239.1.2.3:0?multicast=join&iface=lo"]


def _forbidden(it, address: str) -> Generator[Addresses, str, None]:
    """The test may run as root, who may do everything."""
    it.patch.setattr("pierhead.listener.bind.inet.apply_options", it.refuse_with(errno.EPERM))
    yield [address]
    it.patch.undo()


@case(ERRORS, "this needs the capability CAP_NET_ADMIN")
def a_mark_without_the_right(it):
    yield from _forbidden(it, "tcp:127.0.0.1:0?mark=5")
    if os.geteuid():
        yield ["tcp:127.0.0.1:0"]
    else:
        yield ["tcp:127.0.0.1:0?mark=5"]


@case(ERRORS, "raise the limit of open files (`ulimit -n`, LimitNOFILE=)")
def too_many_files(it):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    it.stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
    with socket.socket() as next_one:
        lowest = next_one.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    yield ["tcp:127.0.0.1:0"]
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    yield ["tcp:127.0.0.1:0"]


@case(
    ERRORS, " need the capability CAP_NET_BIND_SERVICE (AmbientCapabilities= in the unit); or let"
)
def a_privileged_port(it):
    """The test may run as root."""
    opened = socket.socket

    class Unprivileged(opened):
        def bind(self, address):
            if isinstance(address, tuple) and 0 < address[1] < 1024:
                raise PermissionError(errno.EACCES, "Permission denied")
            super().bind(address)

    it.patch.setattr("pierhead.listener.bind.inet.socket.socket", Unprivileged)
    remedy = yield ["tcp:127.0.0.1:853"]
    assert remedy.endswith("or let systemd open the socket, or choose another")
    yield ["tcp:127.0.0.1:0"]
    it.passed(bound())
    yield ["sd:"]
    if not os.geteuid():  # with that capability; port 1 is nobody's
        it.patch.undo()
        yield ["tcp:127.0.0.1:1"]


@case(ERRORS, "a link-local address needs its interface, as in ")
def a_link_local_address_without_its_zone(it):
    remedy = yield ["tcp:[fe80::1]:853?freebind"]
    shown, zone = re.search(r"as in (\[fe80::1%(\S+)\]:853) ", remedy).groups()
    if zone not in {name for _, name in socket.if_nameindex()}:
        shown = shown.replace(zone, "lo")  # this machine has no other
    yield [f"tcp:{shown.replace('853', '0')}?freebind"]


@case(ERRORS, "is the name right?")
def a_host_that_is_unknown(it):
    """What a resolver says; there may be none here, or it may be slow."""

    async def unknown(*_):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    it.patch.setattr("pierhead.listener.bind.inet.resolve_host", unknown)
    yield ["tcp:loaclhost:0"]
    it.patch.undo()
    yield ["tcp:localhost:0"]


@case(ERRORS, "is there such a network interface? (`ip link` lists them)")
def a_zone_that_is_unknown(it):
    yield ["tcp:[fe80::1%25none]:0?freebind"]
    yield [f"tcp:[fe80::1{LO}]:0?freebind"]


@case(INET, "leave it out")
def pktinfo_where_there_is_none(it):
    """On another system."""
    it.patch.setattr("pierhead.listener.bind.inet.enable_packet_info", lambda _: False)
    yield ["udp:0.0.0.0:0?pktinfo"]
    yield ["udp:0.0.0.0:0"]


@case(INET, "leave it out")
def v6only_of_a_host_without_ipv6(it):
    async def ipv4(*_):
        return [(socket.AF_INET, ("127.0.0.1", 0))]

    it.patch.setattr("pierhead.listener.bind.inet.resolve_host", ipv4)
    yield ["tcp:localhost:0?v6only"]
    yield ["tcp:localhost:0"]


@case(INET, "add multicast=join, or use device")
def an_interface_without_a_group(it):
    yield ["udp:239.1.2.3:0?iface=lo"]
    yield ["udp:239.1.2.3:0?iface=lo&multicast=join"]
    yield ["udp:239.1.2.3:0?device=lo"]


@case(INET, "name a group: 224.0.0.0 to 239.255.255.255, or ff00::/8")
def a_group_that_is_none(it):
    yield ["udp:127.0.0.1:0?multicast=join&iface=lo"]
    for group in ("224.0.0.251", "239.255.255.255", f"[ff02::1234{LO}]"):
        yield [f"udp:{group}:0?multicast=join&iface=lo"]


@case("listener/socket_option", "leave it out")
def an_option_that_python_lacks(it):
    it.patch.delattr(socket, "TCP_FASTOPEN")
    yield ["tcp:127.0.0.1:0?fastopen=5"]
    yield ["tcp:127.0.0.1:0"]


@case("listener/open", "leave it out, or write another address")
def an_option_that_the_platform_lacks(it):
    it.patch.setattr(sys, "platform", "sunos5")
    yield ["tcp:127.0.0.1:0?reuseport"]
    yield ["tcp:127.0.0.1:0"]


@case("listener/open", "leave it out, or write another address")
def a_scheme_that_the_platform_lacks(it):
    it.patch.setattr(sys, "platform", "freebsd14")
    yield ["unix:@a"]
    yield [f"unix:{it.path}"]


# -- virtual machines ------------------------------------------------------------------------------


class Vsock(socket.socket):
    """A socket that has the addresses of virtual machines, and is one of IP's."""

    taken: ClassVar[set[int]] = set()

    def bind(self, address):
        cid, port = address
        if port in self.taken:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        if 0 < port < 1024:
            raise OSError(errno.EACCES, "Permission denied")
        if cid not in (2, 0xFFFFFFFF):
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        super().bind(("127.0.0.1", 0))

    def getsockname(self):
        return 2, super().getsockname()[1]


def _vsock(advice: str, refused: str, *opened: str, number: int = 0, module: str = ERRORS) -> None:
    @case(module, advice)
    def an_address_of_a_virtual_machine(it):
        """This machine may have no vsock."""
        it.patch.setattr(Vsock, "taken", {5000})
        it.patch.setattr(vsock, "_socket", it.refuse_with(number) if number else _vsock_socket)
        yield [refused]
        it.patch.setattr(vsock, "_socket", _vsock_socket)  # as the module that was loaded does
        if refused in opened:
            it.patch.setattr(Vsock, "taken", set())
        for address in opened:
            yield [address]


def _vsock_socket(spec, kind):
    made = Vsock(socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    return made


_vsock(
    "another program has this port: stop it, or choose port any",
    "vsock:any:5000",
    "vsock:any:any",
    "vsock:any:5000",
)
_vsock("this machine does not have that CID: write any", "vsock:9:6000", "vsock:any:6000")
_vsock("ports below 1024 need the capability CAP_NET_BIND_SERVICE", "vsock:any:80", "vsock:any:0")
_vsock(
    "the system has no vsock: modprobe vsock, and vhost_vsock on a host",
    "vsock:any:6000",
    "vsock:any:6000",
    number=errno.EAFNOSUPPORT,
)
_vsock(
    "there is no vsock device: modprobe vhost_vsock, or vsock_loopback for tests",
    "vsock:any:6000",
    "vsock:any:6000",
    number=errno.ENODEV,
)
_vsock(
    "this kernel has no vsock of that type: use vsock: (Linux 5.11 brought vsockseq:)",
    "vsockseq:any:6000",
    "vsock:any:6000",
    number=errno.ESOCKTNOSUPPORT,
)


@case("listener/bind/vsock", "listen on tcp: or unix: instead")
def a_python_without_virtual_machines(it):
    it.patch.delattr(socket, "AF_VSOCK")
    yield ["vsock:any:5000"]
    yield ["tcp:127.0.0.1:0"]
    yield [f"unix:{it.path}"]


# -- wrappers --------------------------------------------------------------------------------------

TLS = "listener/wrap/tls_context"
TRUST = "listener/wrap/proxy_trust"


@case(TLS, "name the file itself, in PEM form")
def a_certificate_that_is_a_folder(it):
    cert = Certificates(it.folder).issue("a.example")
    yield [f"tls+tcp:127.0.0.1:0?cert={it.folder}"]
    yield [f"tls+tcp:127.0.0.1:0?cert={cert}"]


@case(TLS, "is the path right, and may user ")
def a_certificate_that_is_missing(it):
    cert = Certificates(it.folder).issue("a.example")
    yield [f"tls+tcp:127.0.0.1:0?cert={it.folder}/none.pem"]
    yield [f"tls+tcp:127.0.0.1:0?cert={cert}"]


@case(TLS, "is the path right, and may user ")
def a_certificate_that_may_not_be_read(it):
    """Root may read everything."""
    cert = Certificates(it.folder).issue("a.example")
    it.patch.setattr("pierhead.listener.wrap.tls_context.read_secret", it.refuse_with(errno.EACCES))
    yield [f"tls+tcp:127.0.0.1:0?cert={cert}"]
    it.patch.undo()
    yield [f"tls+tcp:127.0.0.1:0?cert={cert}"]


@case(TLS, "both are PEM files, the server's certificate first and then its chain")
def a_certificate_that_is_cut_off(it):
    cert, key = _apart(it)
    broken = it.folder / "broken.pem"
    lines = Path(cert).read_text().splitlines()
    broken.write_text(
        "\n".join([lines[0], "AAAA", lines[lines.index("-----END CERTIFICATE-----")]])
    )
    yield [f"tls+tcp:127.0.0.1:0?cert={broken}&key={key}"]
    yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={key}"]


@case(TLS, "have a new one issued")
def a_certificate_for_clients(it):
    cert, key = _apart(it)
    only = it.folder / "clients.pem"
    only.write_bytes(certificate_for_clients(Path(key).read_bytes()))
    yield [f"tls+tcp:127.0.0.1:0?cert={only}&key={key}"]
    yield [f"tls+tcp:127.0.0.1:0?cert={cert}&key={key}"]


@case(TLS, "name the file with the authorities' certificates")
def authorities_that_are_a_key(it):
    cert, key = _apart(it)
    of_tls = f"tls+tcp:127.0.0.1:0?cert={cert}&key={key}"
    yield [f"{of_tls}&client-ca={key}"]
    yield [f"{of_tls}&client-ca={it.folder}/authority.pem"]


@case(TLS, "restrict it to its owner: ")
def a_key_that_others_can_read(it):
    cert = Certificates(it.folder).issue("a.example")
    os.chmod(cert, 0o644)
    remedy = yield [f"tls+tcp:127.0.0.1:0?cert={cert}&strict-permissions"]
    subprocess.run(shlex.split(remedy.partition(": ")[2]), check=True)
    yield [f"tls+tcp:127.0.0.1:0?cert={cert}&strict-permissions"]


@case(TRUST, "add proxy.from= with the proxies' networks, such as proxy.from=10.0.0.0/8")
def no_trusted_proxy(it):
    remedy = yield ["proxy+tcp:127.0.0.1:0"]
    yield [f"proxy+tcp:127.0.0.1:0?{remedy.rpartition('such as ')[2]}"]


@case(TRUST, "leave it out: every peer that can connect is trusted")
def a_trusted_network_on_a_path(it):
    number = it.leave(bound(family=socket.AF_UNIX))
    yield [f"proxy+fd:{number}?proxy.from=10.0.0.0/8"]
    yield [f"proxy+fd:{number}"]


@case("listener/wrap/wrappers", "+ out")
def encryption_of_datagrams(it):
    cert = Certificates(it.folder).issue("a.example")
    number = it.leave(bound(socket.SOCK_DGRAM))
    remedy = yield [f"tls+fd:{number}?cert={cert}"]
    assert remedy == "leave tls+ out"
    yield [f"fd:{number}"]


@case("listener/wrap/wrappers", "write proxy.version=2")
def a_header_without_datagrams(it):
    trusted = f"proxy+fd:{it.leave(bound(socket.SOCK_DGRAM))}?proxy.from=127.0.0.0/8"
    yield [f"{trusted}&proxy.version=1"]
    yield [f"{trusted}&proxy.version=2"]


@case("net/memory/network", "close that one first, or choose another name")
def a_name_in_memory_that_is_taken(it):
    taken = MemoryStreamListener(ListenSpec.parse("mem:a"), "a", Network.current())
    yield ["mem:a"]
    yield ["mem:b"]
    taken.close()
    yield ["mem:a"]


# -- followed elsewhere ----------------------------------------------------------------------------

#: Remedies of what opens sockets for other servers, in `test_listening_sockets`, and of a change
#: of a server, in tests/unit/server.
ELSEWHERE = {
    "listener/listening_sockets.py": [advice for _, advice, _ in OPENED_FOR_OTHERS],
    "listener/open.py": ["this server itself listens there until the change is made, as "],
}


@pytest.mark.filterwarnings("ignore:unclosed <socket")  # what a test passed and nobody took
@pytest.mark.parametrize("one", CASES, ids=lambda one: one.prepare.__name__)
async def test_following_the_remedy_opens(one: Case, around: Around, refusal) -> None:  # noqa: F811
    ways = one.prepare(around)
    refused = next(ways)
    error = await refusal(*refused, buffers=around.buffers)
    assert one.advice in error.remedy
    tried = 0
    addresses = ways.send(error.remedy)
    while addresses is not None:
        groups = [(ListenSpec.parse(address),) for address in addresses]
        opened = await open_all(groups, process_sockets=around.process, buffers=around.buffers)
        for listener in opened:
            listener.close()
        tried += 1
        addresses = next(ways, None)
    assert tried


def test_no_remedy_is_without_its_case() -> None:
    given = remedies_of("listener", "net")
    assert len(given) >= 80
    followed = {(one.module, one.advice) for one in CASES}
    followed |= {(module, advice) for module, list_ in ELSEWHERE.items() for advice in list_}
    untested = [
        str(remedy)
        for remedy in given
        if not any(module == remedy.module and advice in remedy for module, advice in followed)
    ]
    assert untested == []
