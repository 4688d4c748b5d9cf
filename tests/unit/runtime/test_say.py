from __future__ import annotations

import io
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import warm
from tests.processes import pierhead_command

from pierhead.clock import SystemClock
from pierhead.failure_log import FailureLog
from pierhead.runtime.log import BestEffortHandler
from pierhead.runtime.say import say

PROGRAM = """
import sys
{before}
from pierhead import run
from pierhead.protocols import lines

async def fails(line, context):
    if line == "fail":
        raise RuntimeError("x")
    return line

run(lines.serve(fails), "fd:{listening}")
"""


def ask(port: int, line: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(line)
        return client.recv(100)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket that listens already: a server inherits it, and clients need not try again."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def stops(process: warm.Process | subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGUSR1)  # named in the log, which is not read
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0


def serves_and_stops(process: warm.Process | subprocess.Popen[bytes], port: int) -> None:
    try:
        assert ask(port, b"a\n") == b"a\n"
        assert ask(port, b"fail\n") == b""  # which is logged
        assert ask(port, b"b\n") == b"b\n"
        stops(process)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=["full", "no reader"])
def unwritable(request: pytest.FixtureRequest) -> Iterator[int]:
    """A descriptor that nothing can be written to."""
    if request.param == "full":
        number = os.open("/dev/full", os.O_WRONLY)
    else:
        read_end, number = os.pipe()
        os.close(read_end)
    yield number
    os.close(number)


@pytest.mark.parametrize("before", ["", "sys.stderr.close()", "sys.stderr = None"])
def test_a_server_serves_and_stops_without_a_reader_of_its_output(
    tmp_path: Path, listening: socket.socket, unwritable: int, before: str
) -> None:
    number = listening.fileno()
    (tmp_path / "p.py").write_text(PROGRAM.format(listening=number, before=before))
    descriptors = {1: unwritable, 2: unwritable, number: number}
    process = warm.Process([sys.executable, "p.py"], cwd=tmp_path, descriptors=descriptors)
    serves_and_stops(process, listening.getsockname()[1])


@pytest.mark.parametrize("closing", ["2>&-", "0>&- 1>&- 2>&-"])
def test_so_does_one_that_begins_with_its_descriptors_closed(
    tmp_path: Path, listening: socket.socket, closing: str
) -> None:
    (tmp_path / "p.py").write_text(PROGRAM.format(listening=listening.fileno(), before=""))
    process = subprocess.Popen(
        ["sh", "-c", f"exec {sys.executable} p.py {closing}"],
        cwd=tmp_path,
        pass_fds=[listening.fileno()],
    )
    serves_and_stops(process, listening.getsockname()[1])


WORDS_AND_CODES = [("-l fd:{listening}", 0), ("-l nonsense:", 2), ("--nonsense", 2)]


def ends_with(
    code: int, process: warm.Process | subprocess.Popen[bytes], listening: socket.socket
) -> None:
    try:
        if code:
            assert process.wait(15) == code
        else:
            assert ask(listening.getsockname()[1], b"a\n") == b"a\n"
            stops(process)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("words", "code"), WORDS_AND_CODES)
@pytest.mark.parametrize("full", [[2], [1, 2]])
def test_the_command_line_keeps_its_exit_codes_where_the_disk_is_full(
    listening: socket.socket, full: list[int], words: str, code: int
) -> None:
    number = listening.fileno()
    command = [*pierhead_command(), "serve", "echo", *words.format(listening=number).split()]
    with open("/dev/full", "wb") as disk, open(os.devnull, "wb") as nothing:
        descriptors = {n: (disk if n in full else nothing).fileno() for n in (1, 2)}
        process = warm.Process(command, descriptors={**descriptors, number: number})
    ends_with(code, process, listening)


@pytest.mark.parametrize(("words", "code"), WORDS_AND_CODES)
def test_so_it_does_where_descriptors_are_closed(
    listening: socket.socket, words: str, code: int
) -> None:
    inherited = listening.fileno()
    command = " ".join([*pierhead_command(), "serve echo", words.format(listening=inherited)])
    process = subprocess.Popen(["sh", "-c", f"exec {command} 1>&- 2>&-"], pass_fds=[inherited])
    ends_with(code, process, listening)


def test_a_stalled_reader_delays_no_server() -> None:
    read_end, write_end = os.pipe()
    with open(read_end, "rb"), open(write_end, "w", encoding="utf-8") as stream:
        for _ in range(10_000):
            say("a line that will not be read, as the many before it were not", stream)
        os.set_blocking(read_end, False)
        assert len(os.read(read_end, 2**20)) > 10_000  # what the pipe takes, and no more


def test_a_line_longer_than_a_pipe_takes_at_once_arrives_whole_where_it_is_read(
    tmp_path: Path,
) -> None:
    with (tmp_path / "log").open("w+", encoding="utf-8") as file:
        say("ü" * 10_000, file)
        file.seek(0)
        assert file.read() == "ü" * 10_000 + "\n"


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_a_stream_needs_no_descriptor(stream: io.StringIO | None) -> None:
    say("a", stream)
    assert stream is None or stream.getvalue() == "a\n"


def test_what_cannot_be_encoded_or_written_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    say("ü", ascii_only)
    ascii_only.close()
    say("a", ascii_only)
    monkeypatch.setattr(sys, "stderr", None)
    say("a")


def test_a_log_handler_that_fails_is_no_failure_of_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Fails(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("nobody listens")

    log = logging.getLogger("pierhead.server")
    monkeypatch.setattr(log, "handlers", [Fails()])
    FailureLog(SystemClock()).report("here", RuntimeError("x"))


def test_the_command_line_s_handler_writes_whole_records(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler = BestEffortHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    handler.handle(logging.makeLogRecord({"msg": "a %s", "args": ("b",), "levelname": "ERROR"}))
    assert capsys.readouterr().err == "ERROR a b\n"
