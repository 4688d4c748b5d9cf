from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests import processes
from tests.processes import pierhead_command, ready_port
from tests.warm import Running, pierhead

from pierhead import run
from pierhead.errors import UsageError
from pierhead.protocols import lines
from pierhead.runtime.early import StoppedEarly
from pierhead.runtime.signals import LEFT, Action, Signals, action

ECHO = [*pierhead_command(), "serve", "echo", "-l", "tcp:127.0.0.1:0"]

ZONE = "@ 300 SOA ns h {serial} 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n"


def test_every_signal_of_this_system_has_a_decision() -> None:
    for number in signal.valid_signals():
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = ""  # of the real-time ones
        expected = {
            "SIGTERM": Action.STOP,
            "SIGINT": Action.STOP,
            "SIGQUIT": Action.STOP,
            "SIGXCPU": Action.STOP_ONCE,
            "SIGPWR": Action.STOP_ONCE,
            "SIGHUP": Action.RELOAD,
        }.get(name, Action.LEAVE if name in LEFT else Action.IGNORE)
        assert action(number) is expected, name


@pytest.mark.parametrize(
    "name",
    ["USR1", "USR2", "ALRM", "VTALRM", "PROF", "IO", "STKFLT"],
)
def test_a_signal_that_means_nothing_is_named_and_ignored(name: str) -> None:
    number = getattr(signal, f"SIG{name}", None)
    if number is None:
        pytest.skip(f"no SIG{name} here")
    with Running(ECHO) as running:
        running.line("ready")
        running.process.send_signal(number)
        assert "ignored" in running.line(number.name)
        assert running.stop() == 0


def test_so_is_a_real_time_signal() -> None:
    with Running(ECHO) as running:
        running.line("ready")
        running.process.send_signal(signal.SIGRTMIN + 3)
        assert "ignored" in running.line(f"signal {signal.SIGRTMIN + 3}")
        assert running.stop() == 0


@pytest.mark.parametrize("name", ["QUIT", "XCPU", "PWR"])
def test_signals_that_end_a_process_stop_it_in_good_order(name: str, tmp_path: Path) -> None:
    number = getattr(signal, f"SIG{name}")
    with Running([*ECHO, "-l", f"unix:{tmp_path}/s"]) as running:
        running.line("ready")
        running.process.send_signal(number)
        assert running.process.wait(10) == 0
    assert not (tmp_path / "s").exists()


HANDLED = """
import faulthandler, os, signal
from pierhead import run
from pierhead.protocols import lines

signal.signal(signal.SIGUSR2, lambda *_: os.write(2, b"mine\\n"))
faulthandler.register(signal.SIGUSR1)
run(lines.serve(lines.echo, encoding=None), "tcp:127.0.0.1:0")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_handlers_of_the_program_s_own_stay(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(HANDLED)
    with Running([sys.executable, "p.py"], cwd=tmp_path) as running:
        running.line("ready")
        running.process.send_signal(signal.SIGUSR2)
        running.line("mine")
        running.process.send_signal(signal.SIGUSR1)
        running.line("Current thread")
        assert running.stop() == 0
    assert not any("ignored" in line for line in running.err)


def test_hangup_reads_zones_again_and_says_what_is_different(tmp_path: Path) -> None:
    zone = tmp_path / "example.zone"
    zone.write_text(ZONE.format(serial=1))
    command = [*pierhead_command(), "serve", "dns", "--zone", str(tmp_path), "-l", "127.0.0.1:0"]
    with Running(command) as running:
        port = ready_port(running)
        assert _serial(port) == "1"
        zone.write_text(ZONE.format(serial=7))
        (tmp_path / "other.zone").write_text(ZONE.format(serial=3))
        running.process.send_signal(signal.SIGHUP)
        assert running.line("zone example. serial 1") == "zone example. serial 1, now 7"
        running.line("zone other. added, serial 3")
        running.line("reloaded")
        assert _serial(port) == "7"
        zone.write_text(ZONE.format(serial=8) + "@ 300 A nonsense\n")
        (tmp_path / "other.zone").unlink()
        running.process.send_signal(signal.SIGHUP)
        running.line("not reloaded: everything stays as it was")
        assert any("nonsense" in line for line in running.err)
        assert _serial(port) == "7"
        assert _serial(port, "other.") == "3"
        assert running.stop() == 0
    assert "Traceback" not in str(running)


def _serial(port: int, name: str = "example.") -> str:
    return pierhead("query", f"@127.0.0.1:{port}", name, "SOA", "+short").stdout.split()[2]


@pytest.mark.parametrize("keeps", [False, True])
def test_the_end_of_the_terminal_stops_unless_nohup_says_otherwise(
    tmp_path: Path, keeps: bool
) -> None:
    log = tmp_path / "log"
    leader, follower = pty.openpty()
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*(["nohup"] if keeps else []), *ECHO, "-l", f"unix:{tmp_path}/s"],
            stdin=follower,
            stdout=file,
            stderr=file,
            preexec_fn=_take_terminal,
        )
    os.close(follower)
    try:
        _wait_for(log, "ready", process)
        os.close(leader)
        if keeps:
            _wait_for(log, "SIGHUP ignored", process)
            process.send_signal(signal.SIGHUP)  # sent by a user, not the terminal
            _wait_for(log, "reloaded", process)
            process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    assert not (tmp_path / "s").exists()


def _take_terminal() -> None:
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup


def _wait_for(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(400):
        if text in log.read_text():
            return
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(f"no {text!r}, exit code {process.poll()}: {log.read_text()}")


SLOW_START = """
import asyncio, sys
from contextlib import asynccontextmanager
from pierhead import run
from pierhead.server.endpoint import Application
from pierhead.protocols import lines

@asynccontextmanager
async def database():
    print("connecting", file=sys.stderr, flush=True)
    try:
        await asyncio.sleep(1000)
        yield
    finally:
        print("given up", file=sys.stderr, flush=True)

echo = lines.serve(lines.echo, encoding=None)
run(Application(endpoints=[(echo, ["tcp:127.0.0.1:0"])], resources=[database()]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_stop_during_the_start_ends_it_in_good_order(
    tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "p.py").write_text(SLOW_START)
    with Running([sys.executable, "p.py"], cwd=tmp_path) as running:
        running.line("connecting")
        running.process.send_signal(number)
        assert running.process.wait(10) == 0
    assert "given up" in running.err
    assert f"stopped by {number.name} before it was ready" in running.err
    assert "Traceback" not in str(running)


SLOW_ZONE = """
import sys, time
from pierhead.protocols.dns.services import zones
def load_zones(*_, **options):
    print("reading", file=sys.stderr, flush=True)
    while True:  # one long sleep would not notice a signal that came just before it
        time.sleep(0.01)
zones.load_zones = load_zones
from pierhead.cli.main import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_so_does_one_while_zones_are_read(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "p.py").write_text(SLOW_ZONE)
    command = [sys.executable, "p.py", "serve", "dns", "--zone", "x.zone", "-l", "127.0.0.1:0"]
    with Running(command, cwd=tmp_path) as running:
        running.line("reading")
        running.process.send_signal(number)
        assert running.process.wait(10) == 0
    assert "Traceback" not in str(running)


def test_as_process_one_a_stop_during_the_start_is_heard(tmp_path: Path) -> None:
    unshare = ["unshare", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no process namespaces here")
    (tmp_path / "p.py").write_text(SLOW_START)
    with processes.Running([*unshare, sys.executable, "p.py"], cwd=tmp_path) as running:
        running.line("connecting")
        children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
        os.kill(int(children.read_text()), signal.SIGTERM)
        assert running.process.wait(10) == 0
    assert "stopped by SIGTERM before it was ready" in running.err


class _Told:
    """A hearer that records what it is told."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def stop(self, name: str) -> None:
        self.words.append(f"stop {name}")

    def force(self) -> None:
        self.words.append("force")

    def reload(self) -> None:
        self.words.append("reload")

    def ignored(self, name: str) -> None:
        self.words.append(f"ignored {name}")


def test_a_signal_is_never_raised_inside_an_event_loop_that_begins_or_ends() -> None:
    told = _Told()

    async def serve() -> None:
        with signals.heard_by(told, lambda: 60.0):
            signal.raise_signal(signal.SIGUSR1)
            await asyncio.sleep(0)

    with Signals() as signals:
        signals.hold()
        signal.raise_signal(signal.SIGTERM)  # the loop is about to begin
        assert told.words == []
        asyncio.run(serve())
        assert told.words == ["stop SIGTERM", "ignored SIGUSR1"]
        signal.raise_signal(signal.SIGUSR2)  # the loop has ended


def test_before_there_is_an_event_loop_a_signal_to_stop_is_raised() -> None:
    with Signals(), pytest.raises(StoppedEarly, match="SIGTERM"):
        signal.raise_signal(signal.SIGTERM)


def test_outside_the_main_thread_run_says_what_to_write() -> None:
    raised: list[BaseException] = []

    def serve() -> None:
        try:
            run(lines.serve(lines.echo, encoding=None), "tcp:127.0.0.1:0")
        except UsageError as error:
            raised.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join(10)
    assert "main thread" in str(raised[0])
    assert "async with Server" in str(raised[0])


def test_after_a_server_in_a_larger_program_signals_mean_what_they_meant(tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(
        "import signal\nfrom pierhead import run\nfrom pierhead.protocols import lines\n"
        "before = [signal.getsignal(n) for n in sorted(signal.valid_signals())]\n"
        "run(lines.serve(lines.echo, encoding=None), 'tcp:127.0.0.1:0')\n"
        "after = [signal.getsignal(n) for n in sorted(signal.valid_signals())]\n"
        "print('same', before == after)\n"
    )
    with Running([sys.executable, "p.py"], cwd=tmp_path) as running:
        running.line("ready")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(10) == 0
        wait_until_read(running)
    assert running.out == ["same True"], str(running)


def wait_until_read(running: Running) -> None:
    for reader in running._readers:
        reader.join(10)
