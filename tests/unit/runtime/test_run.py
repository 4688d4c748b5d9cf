from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.warm import Running

from pierhead import run
from pierhead.errors import UsageError
from pierhead.protocols import lines

SLOW = """
import asyncio
import pathlib
from pierhead import run
from pierhead.protocols import lines

async def slow(line, context):
    {body}
    {end}

run(lines.serve(slow), "tcp:127.0.0.1:0", drain_timeout={drain})
"""


def start(
    tmp_path: Path, body: str, drain: float = 10, end: str = "return line"
) -> tuple[Running, int]:
    program = tmp_path / "slow.py"
    program.write_text(SLOW.format(body=body, drain=drain, end=end))
    running = Running([sys.executable, str(program)], cwd=tmp_path)
    return running, int(running.line("ready").rpartition(":")[2])


UNTIL_TOLD = """yield 'begun'
    while not pathlib.Path("told").exists():
        await asyncio.sleep(0.01)"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_what_was_accepted(tmp_path: Path, number: signal.Signals) -> None:
    running, port = start(tmp_path, UNTIL_TOLD, end="yield line")
    with running, socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"a\n")
        assert client.recv(100) == b"begun\n"  # so that it was accepted
        running.process.send_signal(number)
        running.line("draining")
        (tmp_path / "told").touch()
        assert client.recv(100) == b"a\n"
        assert client.recv(100) == b""
        client.close()
        assert running.process.wait(10) == 0


def test_descriptors_are_allowed_for_every_connection_there_may_be(tmp_path: Path) -> None:
    """The soft limit, 256 here, would be met long before ``max_connections``."""
    program = tmp_path / "shout.py"
    program.write_text(
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE,\n"
        "                   (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
        + SLOW.format(body="pass", drain=1, end="return line")
    )
    with Running([sys.executable, str(program)], cwd=tmp_path) as running:
        running.line("ready")
        limits = Path(f"/proc/{running.process.pid}/limits").read_text()
    (row,) = [row for row in limits.splitlines() if row.startswith("Max open files")]
    assert int(row.split()[3]) == 1024 + 512


FOREVER = "yield 'begun'\n    await asyncio.sleep(1000)"

STUBBORN = """yield 'begun'
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass"""


def test_a_second_signal_gives_up_and_names_what_is_lost(tmp_path: Path) -> None:
    running, port = start(tmp_path, FOREVER, drain=1000, end="yield line")
    with running, socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"a\n")
        assert client.recv(100) == b"begun\n"  # so that it was accepted
        running.process.send_signal(signal.SIGTERM)
        running.line("draining")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(10) == 1  # a stop that lost requests
    assert "lost 1 accepted request" in running.err
    assert any("forced" in line for line in running.err), running.err


def test_a_service_that_does_not_let_go_is_left_behind(tmp_path: Path) -> None:
    running, port = start(tmp_path, STUBBORN, drain=1000, end="yield line")
    with running, socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"a\n")
        assert client.recv(100) == b"begun\n"
        running.process.send_signal(signal.SIGTERM)
        running.line("draining")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(10) == 1
    assert "forced: 1 requests did not stop when cancelled" in running.err


def test_a_service_that_blocks_the_loop_cannot_keep_the_process(tmp_path: Path) -> None:
    body = "import time\n    yield 'begun'\n    await asyncio.sleep(0.1)\n    time.sleep(60)"
    running, port = start(tmp_path, body, end="yield line")
    with running, socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"a\n")
        assert client.recv(100) == b"begun\n"
        assert running.process.poll() is None
        # The first comes before or after the loop is blocked; the second ends it either way.
        running.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(0.5)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(10) == 1
    assert any("blocks the event loop" in line for line in running.err)


@pytest.mark.parametrize(
    ("address", "code", "words"),
    [
        ("tcp:127.0.0.1", 2, "port"),
        ("tcp:203.0.113.1:1", 3, "cannot listen on tcp:203.0.113.1:1"),
    ],
)
def test_a_mistake_ends_the_program_with_a_message_and_no_traceback(
    tmp_path: Path, address: str, code: int, words: str
) -> None:
    program = tmp_path / "wrong.py"
    program.write_text(
        "from pierhead import run\nfrom pierhead.protocols import lines\n"
        f"run(lines.serve(lines.echo, encoding=None), {address!r})\n"
    )
    with Running([sys.executable, str(program)], cwd=tmp_path) as running:
        assert running.process.wait(20) == code
    said = "\n".join(running.err)
    assert words in said
    assert "Traceback" not in said


async def test_inside_an_event_loop_it_says_what_to_write() -> None:
    with pytest.raises(UsageError, match="write: async with Server"):
        run(lines.serve(lines.echo, encoding=None), "tcp:127.0.0.1:0")
