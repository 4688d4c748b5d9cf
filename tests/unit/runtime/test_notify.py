"""What a supervisor hears, on a datagram socket as systemd's."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.warm import Running

from pierhead.runtime.notify import Notifier


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(10)
        yield receiver


def heard(receiver: socket.socket) -> dict[str, str]:
    return dict(line.split("=", 1) for line in receiver.recv(4096).decode().splitlines())


def environment(receiver: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": receiver.getsockname(), "HOME": "/", **more}


def test_each_state_is_said_in_the_words_of_the_protocol(supervisor: socket.socket) -> None:
    environ = environment(supervisor)
    teller = Notifier.from_environment(environ)
    assert environ == {"HOME": "/"}  # not for what this process starts
    assert teller.is_heard

    teller.ready("serving udp:127.0.0.1:53")
    assert heard(supervisor) == {"READY": "1", "STATUS": "serving udp:127.0.0.1:53"}
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    teller.reloading()
    said = heard(supervisor)
    assert said["RELOADING"] == "1"
    assert before <= int(said["MONOTONIC_USEC"]) <= before + 10_000_000
    teller.status("one\nREADY=0\x1b")
    assert heard(supervisor) == {"STATUS": "one\\nREADY=0\\x1b"}
    teller.alive()  # nothing: no watchdog is wanted
    teller.stopping("draining")
    assert heard(supervisor) == {
        "STOPPING": "1",
        "STATUS": "draining",
        "EXTEND_TIMEOUT_USEC": "10000000",
    }
    teller.alive()
    assert heard(supervisor) == {"EXTEND_TIMEOUT_USEC": "10000000"}
    teller.close()
    teller.ready("")
    assert not teller.is_heard


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("3000000", "", 3.0),
        ("3000000", "ours", 3.0),
        ("3000000", "1", None),
        ("0", "", None),
        ("-5", "", None),
        ("soon", "", None),
        ("٣", "", None),
        ("9" * 40, "", None),
    ],
)
def test_the_watchdog_is_fed_if_it_is_this_process_s(supervisor, usec, pid, seconds) -> None:
    pid = str(os.getpid()) if pid == "ours" else pid  # not in the name of a test
    environ = environment(supervisor, WATCHDOG_USEC=usec, WATCHDOG_PID=pid)
    with closing(Notifier.from_environment(environ)) as teller:
        assert teller.watchdog_s == seconds
        teller.alive()
        teller.status("end")
    assert ("WATCHDOG" in heard(supervisor)) == (seconds is not None)


def test_an_abstract_address_is_understood() -> None:
    name = f"\0pierhead-{os.getpid()}-notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name)
        receiver.settimeout(10)
        with closing(Notifier("@" + name[1:])) as teller:
            teller.ready("x")
        assert heard(receiver)["READY"] == "1"


@pytest.mark.parametrize("place", ["", "relative", "vsock:2:1", "/nonexistent/notify", "/" * 300])
def test_a_supervisor_that_cannot_be_reached_costs_nothing(place: str) -> None:
    with closing(Notifier(place, 1.0)) as teller:
        teller.ready("x")
        teller.alive()


def test_a_supervisor_that_does_not_read_is_not_waited_for(supervisor: socket.socket) -> None:
    with closing(Notifier(supervisor.getsockname())) as teller:
        for _ in range(2000):
            teller.status("x" * 1000)


PROGRAM = """
import sys, time
from pierhead import run
from pierhead.protocols import lines

async def service(line, context):
    if line == "block":
        time.sleep(1.6)
    return line

run(lines.serve(service), "tcp:127.0.0.1:0", drain_timeout=5)
"""


def test_a_server_says_what_it_does_and_is_silent_while_its_loop_is_blocked(
    supervisor: socket.socket, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environ = {"NOTIFY_SOCKET": supervisor.getsockname(), "WATCHDOG_USEC": "600000"}
    running = Running([sys.executable, str(program)], cwd=tmp_path, env={**os.environ, **environ})
    with running:
        port = int(running.line("ready").rpartition(":")[2])
        said: list[dict[str, str]] = []

        def until(word: str) -> dict[str, str]:
            while not said or word not in said[-1]:
                said.append(heard(supervisor))
            return said[-1]

        assert until("READY")["STATUS"] == f"serving tcp:127.0.0.1:{port}"
        until("WATCHDOG")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"block\n")
            warning = running.line("the event loop is blocked by")
            assert f"blocked by service ({program}:8)" in warning
            assert client.recv(100) == b"block\n"
        running.process.send_signal(signal.SIGHUP)
        until("RELOADING")
        until("READY")
        running.process.send_signal(signal.SIGTERM)
        assert "0 requests in flight" in until("STOPPING")["STATUS"]
        assert running.process.wait(10) == 0
