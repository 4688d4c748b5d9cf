"""The examples of configuration and of a listener of one's own, run as a user runs them."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.processes import PATIENCE_S, ROOT
from tests.warm import Running, run

EXAMPLES = ROOT / "examples"


@contextmanager
def example(
    name: str, tmp_path: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> Iterator[list[str]]:
    """Run an example until the block ends; give the addresses that it is ready on."""
    with Running(command(name, *arguments), cwd=tmp_path, env=env) as running:
        yield running.line("ready").split()[1:]
        assert running.stop() == 0


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]


def refusal(
    name: str, tmp_path: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> str:
    """Run an example that is to give up with exit code 4; return what it said."""
    done = run(command(name, *arguments), cwd=tmp_path, env=env)
    assert done.returncode == 4, done
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


def ask(address: str, tmp_path: Path, data: bytes) -> bytes:
    scheme, _, target = address.partition(":")
    if scheme == "unix":
        client = socket.socket(socket.AF_UNIX)
        where: object = str(tmp_path / target)
    else:
        client = socket.socket()
        host, port = target.split(":")
        where = (host, int(port))
    with client:
        client.settimeout(PATIENCE_S)
        client.connect(where)
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(4096), b""))


def test_echo_from_toml_listens_where_the_file_says(tmp_path: Path) -> None:
    with example("echo_from_toml.py", tmp_path) as addresses:
        assert [address.partition(":")[0] for address in addresses] == ["tcp", "tcp", "unix"]
        for address in addresses:
            assert ask(address, tmp_path, b"ahoy\n\xff\n") == b"ahoy\n\xff\n"
        assert (tmp_path / "echo.sock").stat().st_mode & 0o777 == 0o660


def test_echo_from_toml_takes_another_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[[listen]]\naddress = "./mine.sock"\nmode = "0600"\n')

    with example("echo_from_toml.py", tmp_path, "mine.toml") as addresses:
        assert addresses == ["unix:./mine.sock"]
        assert (tmp_path / "mine.sock").stat().st_mode & 0o777 == 0o600


def test_echo_from_toml_tells_every_mistake_at_once(tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text(
        "listen = [\n"
        '    ":8080",\n'
        '    "127.0.0.1",\n'
        '    { address = "tcp::80", backlog = 0, mode = "0660" },\n'
        "    7000,\n"
        "]\n"
    )

    assert refusal("echo_from_toml.py", tmp_path, "wrong.toml").splitlines() == [
        "wrong.toml: listen[1]: the port is missing",
        "  127.0.0.1",
        "           ^",
        "  write 127.0.0.1:PORT",
        "wrong.toml: listen[2]: 0 is not a value of backlog: expected a whole number from 1 to "
        "2147483647",
        "  backlog = 0",
        "            ^",
        "  write backlog = 512",
        "mode is not for tcp",
        '  mode = "0660"',
        "  ^",
        "  it is for unix, unixgram, unixseq",
        "wrong.toml: listen[3]: 7000 is not an address: expected text, or a table with address and "
        "options",
        "  7000",
        "  ^",
        '  write "127.0.0.1:7000"',
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("listen = [", "Invalid value (at end of document)"),
        ("lisen = []", "listen is missing"),
        ("listen = []", "listen is missing"),
        ('listen = ":80"', "listen is missing"),
    ],
)
def test_echo_from_toml_tells_what_is_wrong_with_the_file(
    tmp_path: Path, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "wrong.toml").write_text(content)

    assert said in refusal("echo_from_toml.py", tmp_path, "wrong.toml")


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    env = {"SHOUT_LISTEN": "127.0.0.1:0 ./s.sock?mode=0600", "SHOUT_MARK": "!"}

    with example("settings_from_environment.py", tmp_path, env=env) as addresses:
        assert [address.partition(":")[0] for address in addresses] == ["tcp", "unix"]
        for address in addresses:
            assert ask(address, tmp_path, b"hello\n") == b"HELLO!\n"
        assert (tmp_path / "s.sock").stat().st_mode & 0o777 == 0o600


def test_settings_that_are_wrong_are_told_by_their_variable(tmp_path: Path) -> None:
    env = {"SHOUT_LISTEN": "127.0.0.1:0 tpc:127.0.0.1:1", "SHOUT_MARK": "much too long"}

    said = refusal("settings_from_environment.py", tmp_path, env=env).splitlines()

    assert said == [
        "SHOUT_LISTEN: unknown scheme 'tpc'",
        "  tpc:127.0.0.1:1",
        "  ^",
        "  did you mean tcp:?",
        "SHOUT_MARK: String should have at most 3 characters",
    ]
    empty = refusal("settings_from_environment.py", tmp_path, env={"SHOUT_LISTEN": ""})
    assert empty.startswith("SHOUT_LISTEN: List should have at least 1 item")


def test_own_listener_serves_what_another_program_passes_on(tmp_path: Path) -> None:
    text = (EXAMPLES / "own_listener.py").read_text().replace("127.0.0.1:7000", "127.0.0.1:0")
    (tmp_path / "own_listener.py").write_text(text)
    program = [sys.executable, "-W", "error", "own_listener.py"]
    with Running(program, cwd=tmp_path, env={"PYTHONPATH": str(EXAMPLES)}) as running:
        passed, address = running.line("ready").split()[1:]
        assert passed == "mem:passed"
        assert ask(address, tmp_path, b"direct\n") == b"DIRECT\n"
        with socket.create_server(("127.0.0.1", 0)) as front:  # accepts, and passes on
            with socket.create_connection(front.getsockname(), timeout=PATIENCE_S) as client:
                accepted, _ = front.accept()
                with accepted, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
                    way.connect(str(tmp_path / "passed.sock"))
                    for wrong in (way.fileno(), front.fileno(), running.process.stdout.fileno()):
                        socket.send_fds(way, [b"no connection"], [wrong])
                    way.send(b"nothing with it")
                    socket.send_fds(way, [b"connection"], [accepted.fileno()])
                client.sendall(b"passed on\n")
                assert client.recv(100) == b"PASSED ON\n"
        assert running.stop() == 0
    assert not (tmp_path / "passed.sock").exists()
