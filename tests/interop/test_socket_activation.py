"""Sockets from others: systemd's own activator, socat as a super-server, mixed types."""

from __future__ import annotations

import re
import socket
import sys
import time
from pathlib import Path

import pytest
from tests.interop.activation import activated_over_tcp
from tests.processes import PATIENCE_S, Running, may_connect, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is for Linux")

ACTIVATOR = Path(__file__).with_name("activator.py")

#: Says who is asking; and prints what must not end up in the protocol.
PROGRAM = """
import sys
from pierhead import run
from pierhead.protocols import lines

async def who(line, context):
    print("stray")
    who = context.via.credentials
    return f"{line} {context.peer} {context.via.scheme} {who.uid if who else '-'}"

run(lines.serve(who), *sys.argv[1:])
"""


@pytest.fixture
def served(tmp_path: Path) -> list[str]:
    """The command line of a server; addresses follow."""
    program = tmp_path / "who.py"
    program.write_text(PROGRAM)
    return [sys.executable, str(program)]


def ask(where: str | tuple[str, int], kind: int = socket.SOCK_STREAM) -> bytes:
    """Send one line and return all that comes back until the server closes."""
    family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
    with socket.socket(family, kind) as client:
        client.settimeout(PATIENCE_S)
        if kind == socket.SOCK_DGRAM:
            client.bind("")  # a name of the system's choice, to be answered at
        client.connect(where)
        if kind != socket.SOCK_STREAM:
            client.send(b"hello")
            return client.recv(1000)
        client.sendall(b"hello\n")
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(1000), b""))


@pytest.fixture
def activate(program, tmp_path: Path):
    """Start systemd-socket-activate on a path; yields it running and the path."""
    activator = program("systemd-socket-activate")

    def start(*arguments: str) -> tuple[Running, str]:
        path = str(tmp_path / "s")
        running = Running([activator, "-l", path, *arguments])
        wait_until(lambda: may_connect(path), running)
        return running, path

    return start


@pytest.mark.parametrize(
    ("flags", "address", "kind", "scheme"),
    [
        ([], "sd-listen", socket.SOCK_STREAM, "unix"),
        (["--fdname=web"], "sd-listen:web", socket.SOCK_STREAM, "unix"),
        (["--fdname=web"], "sd:w*?type=stream", socket.SOCK_STREAM, "unix"),
        ([], "fd:3", socket.SOCK_STREAM, "unix"),
        (["-d"], "sd:?type=dgram", socket.SOCK_DGRAM, "unixgram"),
        (["--seqpacket"], "sd:#0", socket.SOCK_SEQPACKET, "unixseq"),
    ],
)
def test_systemd_s_activator_hands_a_socket_over(
    activate, served, flags, address, kind, scheme
) -> None:
    running, path = activate(*flags, *served, address)
    with running:
        reply = ask(path, kind).decode().split()
        assert (reply[0], reply[2]) == ("hello", scheme)
        running.line(f"ready {scheme}:{path}")


def test_two_sockets_are_one_server(program, tmp_path, served) -> None:
    activator = program("systemd-socket-activate")
    paths = [str(tmp_path / name) for name in "ab"]
    command = [activator, "-l", paths[0], "-l", paths[1], "--fdname=foo:bar"]
    with Running([*command, *served, "sd-listen:*"]) as running:
        wait_until(lambda: all(map(may_connect, paths)), running)
        for path in paths:
            assert ask(path).startswith(b"hello ")


def test_a_passed_socket_that_no_address_asks_for_is_reported(program, tmp_path, served) -> None:
    activator = program("systemd-socket-activate")
    paths = [str(tmp_path / name) for name in "ab"]
    command = [activator, "-l", paths[0], "-l", paths[1], "--fdname=foo:bar"]
    with Running([*command, *served, "sd:foo"]) as running:
        wait_until(lambda: all(map(may_connect, paths)), running)
        assert ask(paths[0]).startswith(b"hello ")
        line = running.line("systemd passed sockets that no address serves")
        assert line.endswith("descriptor 4 (bar)")


def test_over_tcp_the_peer_is_the_client(program, served) -> None:
    activator = program("systemd-socket-activate")
    running, where = activated_over_tcp(activator, [], [*served, "sd-listen"])
    with running:
        reply = ask(where).decode().split()
    assert reply[1].startswith("127.0.0.1:")
    assert reply[2:] == ["tcp", "-"]


def test_types_may_be_mixed(tmp_path, served) -> None:
    paths = {kind: str(tmp_path / kind) for kind in ("stream", "dgram", "seqpacket")}
    wanted = [f"all={kind}:{path}" for kind, path in paths.items()]
    command = [sys.executable, str(ACTIVATOR), *wanted, "--", *served, "sd:all"]
    with Running(command) as running:
        ready = running.line("ready")
        assert ready.split()[1:] == [
            f"unix:{paths['stream']}",
            f"unixgram:{paths['dgram']}",
            f"unixseq:{paths['seqpacket']}",
        ]
        assert ask(paths["stream"]).startswith(b"hello ")
        assert ask(paths["dgram"], socket.SOCK_DGRAM).startswith(b"hello ")
        assert ask(paths["seqpacket"], socket.SOCK_SEQPACKET).startswith(b"hello ")


def test_sockets_that_were_passed_to_a_parent_are_refused(tmp_path, served) -> None:
    path = str(tmp_path / "s")
    # A shell that does not exec: the service is not the process that was meant.
    wrapper = ["/bin/sh", "-c", '"$@"; exit $?', "sh", *served, "sd:"]
    command = [sys.executable, str(ACTIVATOR), f"web=stream:{path}", "--", *wrapper]
    with Running(command) as running:
        assert running.process.wait(PATIENCE_S) == 3
    assert any("LISTEN_PID is" in line and "and this is" in line for line in running.err)


@pytest.mark.parametrize("over", ["unix", "tcp"])
def test_inetd_serves_one_connection_and_ends(activate, program, served, over) -> None:
    if over == "unix":
        running, where = activate("--inetd", "-a", *served, "inetd")
    else:
        activator = program("systemd-socket-activate")
        running, where = activated_over_tcp(activator, ["--inetd", "-a"], [*served, "inetd"])
    with running:
        for _ in range(2):  # each gets its own server
            reply = ask(where).decode().split()
            assert reply[0] == "hello"
            assert "stray" not in reply
            assert reply[-2] == over
            if over == "tcp":
                assert reply[1].startswith("127.0.0.1:")
        until = time.monotonic() + PATIENCE_S
        while sum("died with code" in line for line in running.err) < 2:
            running.assert_alive(pause_s=0.05)
            assert time.monotonic() < until, running
    ends = [line.rpartition("with code ")[2] for line in running.err if "with code " in line]
    assert ends == ["0", "0"]


@pytest.mark.parametrize("how", ["", ",pipes"])
def test_socat_as_a_super_server(program, tmp_path, served, how) -> None:
    path = str(tmp_path / "s")
    command = " ".join([*served, "inetd"])
    with Running([program("socat"), f"UNIX-LISTEN:{path},fork", f"EXEC:{command}{how}"]) as running:
        wait_until(lambda: may_connect(path), running)
        # Not `ask`: once a client has ended its side, socat gives the answer half a second.
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            client.connect(path)
            client.sendall(b"hello\n")
            reply = client.makefile().readline().split()
        assert reply[0] == "hello"
        assert "stray" not in reply


def test_inetd_waits_on_a_socket_that_listens(activate, served) -> None:
    running, path = activate("--inetd", *served, "inetd?mode=wait")
    with running:
        for _ in range(2):
            assert ask(path).startswith(b"hello ")
        running.line(f"ready unix:{path}")


def test_inetd_waits_on_a_socket_of_datagrams(activate, served) -> None:
    running, path = activate("-d", "--inetd", *served, "inetd?mode=wait")
    with running:
        assert ask(path, socket.SOCK_DGRAM).startswith(b"hello ")


def test_a_listening_standard_input_is_not_taken_for_a_connection(activate, served) -> None:
    running, path = activate("--inetd", *served, "inetd")
    with running, socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        running.line_or_end("error")
        assert running.process.wait(PATIENCE_S) == 3
    said = "\n".join(running.err)
    assert "is a listening Unix stream socket, expected one accepted connection" in said
    assert "inetd?mode=wait" in said


UNITS = Path(__file__).parents[2] / "deploy" / "systemd"


@pytest.mark.parametrize("name", sorted(unit.name for unit in UNITS.iterdir()))
def test_the_units_are_what_systemd_expects(name: str, program, tmp_path: Path) -> None:
    verify = [program("systemd-analyze"), "verify", "--man=no"]
    for unit in UNITS.iterdir():  # a package puts the program there; here it may be missing
        text = re.sub(
            r"^ExecStart=\S+", f"ExecStart={sys.executable}", unit.read_text(), flags=re.M
        )
        (tmp_path / unit.name).write_text(text)
    with Running([*verify, str(tmp_path / name)]) as running:
        assert running.process.wait(PATIENCE_S) == 0, running
    assert [line for line in running.err if "pierhead-" in line] == []
