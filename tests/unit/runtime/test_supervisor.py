"""Several workers: real processes, each found by what the supervisor and the system say of it."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest
import trustme
from tests.processes import ROOT, may_connect, pierhead_command, wait_until
from tests.warm import Running, pierhead

from pierhead.runtime.supervisor import divided

PROGRAM = """
import asyncio, os, pathlib, signal

async def who(line, context):
    if line == "slow":
        while not pathlib.Path("told").exists():
            await asyncio.sleep(0.01)
    if line == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return str(os.getpid())
"""


@pytest.fixture
def served(tmp_path: Path):
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [*pierhead_command(), *["serve", "lines", "program:who", "--workers", "2"]]
    addresses = [*["-l", "tcp:127.0.0.1:0", "-l", "unix:./w.sock", "-l", "udp:127.0.0.1:0"]]
    with Running([*command, *addresses], cwd=tmp_path) as running:
        yield running, int(port_of(running.line("ready tcp")))


def said(running: Running, words: str) -> None:
    """Wait until the supervisor or a worker says this."""
    wait_until(lambda: any(words in line for line in running.err), running)


def port_of(line: str) -> str:
    return line.split()[1].rpartition(":")[2]


def ask(port: int, line: str = "", socket_path: Path | None = None) -> str:
    """Ask on a connection of its own; "" if it ends without an answer."""
    if socket_path is None:
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
    else:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(10)
        client.connect(os.fspath(socket_path))
    with client:
        client.sendall(line.encode() + b"\n")
        try:
            return client.recv(100).decode().strip()
        except ConnectionResetError:
            return ""


def workers_seen(port: int) -> set[str]:
    """Return the workers that answered some of many connections."""
    return {ask(port) for _ in range(40)} - {""}


def children(running: Running) -> set[str]:
    pid = running.process.pid
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc of Linux")
class TestWorkers:
    def test_each_answers_its_share_and_shared_sockets_work(self, served, tmp_path):
        running, port = served
        assert workers_seen(port) == children(running)
        assert ask(0, socket_path=tmp_path / "w.sock") in children(running)

    def test_one_that_is_killed_is_replaced_and_nobody_is_refused(self, served):
        running, port = served
        before = children(running)
        assert ask(port, "die") == ""
        for _ in range(20):
            assert ask(port) != ""
        said(running, "has ended by SIGKILL; the next one begins at once")
        wait_until(lambda: len(workers_seen(port)) == 2, running)
        assert len(children(running) & before) == 1

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_stop_drains_every_worker(self, served, tmp_path, number):
        running, port = served
        clients = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(8)]
        for client in clients:
            client.sendall(b"first\nslow\n")
            assert client.recv(100)
        running.process.send_signal(number)
        running.line("draining 2 workers")
        (tmp_path / "told").touch()
        for client in clients:
            assert client.recv(100).decode().strip().isdigit()
            client.close()
        assert running.process.wait(10) == 0
        assert not (tmp_path / "w.sock").exists()

    def test_a_second_signal_forces_and_says_what_was_lost(self, served):
        running, port = served
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"first\nslow\n")
            assert client.recv(100)
            running.process.send_signal(signal.SIGTERM)
            running.line("draining 2 workers")
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(10) == 1
            assert any("lost 1 accepted request" in line for line in running.err)

    def test_none_outlives_a_supervisor_that_is_killed(self, served):
        running, port = served
        pids = children(running)
        running.process.send_signal(signal.SIGKILL)
        assert running.process.wait(10)
        deadline = time.monotonic() + 10
        while any(is_alive(pid) for pid in pids):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=10)

    def test_a_port_in_use_is_refused_for_tcp_and_udp(self, served, tmp_path):
        _, port = served
        for scheme in ("tcp", "udp"):
            with socket.socket(
                socket.AF_INET, socket.SOCK_STREAM if scheme == "tcp" else socket.SOCK_DGRAM
            ) as other:
                other.bind(("127.0.0.1", 0))
                other.listen() if scheme == "tcp" else None
                taken = f"{scheme}:127.0.0.1:{other.getsockname()[1]}"
                result = pierhead("serve", "echo", "-l", taken, "--workers", "2")
                assert (result.returncode, "EADDRINUSE" in result.stderr) == (3, True)
        again = pierhead("serve", "echo", "-l", f"tcp:127.0.0.1:{port}", "--workers", "2")
        assert again.returncode == 3


def is_alive(pid: str) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_files_are_checked_before_any_worker_reads_them(tmp_path):
    zone = tmp_path / "example.zone"
    text = "@ 300 SOA ns h {} 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n"
    zone.write_text("$ORIGIN example.\n" + text.format(1))
    with Running(
        [
            *pierhead_command(),
            *("serve", "dns", "--zone", os.fspath(zone), "-l", "127.0.0.1:0", "--workers", "2"),
        ],
        cwd=ROOT,
    ) as running:
        running.line("ready udp")
        zone.write_text("$ORIGIN example.\n@ 300 SOA ns\n")
        running.process.send_signal(signal.SIGHUP)
        running.line("not reloaded: everything stays as it was")
        zone.write_text("$ORIGIN example.\n" + text.format(2))
        running.process.send_signal(signal.SIGHUP)
        for number in (0, 1):
            said(running, f"worker {number}: reloaded")


def test_workers_serve_with_every_standard_stream_closed(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    place = tmp_path / "w.sock"
    words = ["serve", "lines", "program:who", "-l", f"unix:{place}", "--workers", "2"]
    command = shlex.join([*pierhead_command(), *words])
    with subprocess.Popen(["sh", "-c", f"exec {command} <&- >&- 2>&-"], cwd=tmp_path) as served:
        try:
            deadline = time.monotonic() + 20
            while not may_connect(place):
                assert time.monotonic() < deadline
                assert served.poll() is None
                time.sleep(0.02)
            assert ask(0, socket_path=place).isdigit()
        finally:
            served.send_signal(signal.SIGTERM)
        assert served.wait(20) == 0


def test_systemd_hears_of_all_workers_at_once(tmp_path):
    """A worker whose event loop does not answer starves the watchdog."""
    (tmp_path / "program.py").write_text(PROGRAM)
    place = os.fspath(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(place)
        systemd.settimeout(10)
        command = [*pierhead_command(), *["serve", "lines", "program:who", "-l", "tcp:127.0.0.1:0"]]
        with Running(
            [*command, "--workers", "2"],
            cwd=tmp_path,
            env={"NOTIFY_SOCKET": place, "WATCHDOG_USEC": "400000", "WATCHDOG_PID": ""},
        ) as running:
            running.line("ready tcp")
            assert "with 2 workers" in heard_until(systemd, "READY=1")
            heard_until(systemd, "WATCHDOG=1")
            stuck = int(min(children(running)))
            os.kill(stuck, signal.SIGSTOP)
            systemd.settimeout(1.0)
            with pytest.raises(TimeoutError):
                [heard_until(systemd, "WATCHDOG=1") for _ in range(20)]
            os.kill(stuck, signal.SIGCONT)
            systemd.settimeout(10)
            heard_until(systemd, "WATCHDOG=1")
            running.process.send_signal(signal.SIGTERM)
            assert "draining 2 workers" in heard_until(systemd, "STOPPING=1")


def heard_until(systemd: socket.socket, word: str) -> str:
    """Return the next message with this word."""
    while True:
        message = systemd.recv(1000).decode()
        if word in message:
            return message


def test_a_tls_session_is_resumed_at_any_worker(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        os.fspath(tmp_path / "cert.pem")
    )
    context = ssl.create_default_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # the ticket comes with the handshake
    authority.configure_trust(context)
    address = "tls+tcp:127.0.0.1:0?cert=cert.pem"
    command = [*pierhead_command(), *f"serve lines program:who --workers 2 -l {address}".split()]
    with Running(command, cwd=tmp_path) as running:
        port = int(port_of(running.line("ready tls")))
        session, resumed = None, set()
        for _ in range(40):
            plain = socket.create_connection(("127.0.0.1", port), timeout=10)
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as client:
                client.sendall(b"\n")
                worker = client.recv(100)
                if client.session_reused:
                    resumed.add(worker)
                session = session or client.session
        assert len(resumed) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workers", "0"], "expected 1 to 255, or auto"),
        (["--workers", "many"], "expected 1 to 255, or auto"),
        (["--workers", "2", "-l", "inetd"], "served by one process alone"),
        (["--workers", "2", "-l", "mem:a"], "served by one process alone"),
    ],
)
def test_what_workers_cannot_do_is_refused(words, message):
    result = pierhead("serve", "echo", "-l", "tcp:127.0.0.1:0", *words)
    assert (result.returncode, message in result.stderr) == (2, True)


@pytest.mark.parametrize("words", [["--journal", "j"], ["--notify", "192.0.2.1"]])
def test_what_one_process_owns_is_refused(words):
    zones = os.fspath(ROOT / "examples" / "zones")
    result = pierhead("serve", "dns", "--zone", zones, "--workers", "2", *words)
    assert result.returncode == 2
    assert f"{words[0]} is for one process" in result.stderr


def test_limits_of_the_whole_server_are_divided():
    limits = divided({"max_connections": 5, "idle_timeout": 7.0}, 2)
    assert (limits["max_connections"], limits["idle_timeout"]) == (3, 7.0)
    assert divided({"max_connections": 1}, 4)["max_connections"] == 1
