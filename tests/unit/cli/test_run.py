"""``pierhead run``, in a process of its own."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from tests.processes import pierhead_command
from tests.warm import Running, pierhead

SHOUT = "async def shout(line, context):\n    return line.upper()\n"
SITE = """\
[[serve]]
protocol = "lines"
service = "shout:shout"
listen = ["unix:./shout.sock"]
"""


def say(path: Path, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(line)
        return client.recv(100)


def test_a_file_is_served_from_the_folder_it_is_in(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "shout.py").write_text(SHOUT)
    (folder / "pierhead.toml").write_text(SITE)
    command = [*pierhead_command(), "run", "site/pierhead.toml"]
    with Running(command, cwd=tmp_path) as running:
        assert running.line("lines on ").endswith("lines on unix:./shout.sock")
        assert running.line("ready")
        assert say(folder / "shout.sock", b"hello\n") == b"HELLO\n"
        # The second start of the same file finds the address in use.
        second = pierhead("run", "site/pierhead.toml", cwd=tmp_path)
        assert (second.returncode, "cannot listen on unix:" in second.stderr) == (3, True)
        assert running.stop() == 0


def test_what_is_wrong_with_a_file_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "pierhead.toml").write_text("a = 1\nb = 2\n")
    ended = pierhead("run", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("[config/unknown-key]") == 2
    assert "Traceback" not in ended.stderr
    (tmp_path / "pierhead.toml").write_text(SITE)
    ended = pierhead("run", "--set", "serve[0].listen=./a.sock", cwd=tmp_path)
    assert "pierhead.toml:3:12: cannot import 'shout'" in ended.stderr


ZONE = "@ 300 SOA ns h {serial} 2 3 4 5\n@ 300 NS ns\nns 300 A 192.0.2.1\n"
TWO = """\
[[serve]]
protocol = "lines"
service = "shout:shout"
listen = ["unix:./shout.sock"]

[[serve]]
protocol = "dns"
zones = ["example.zone"]
listen = ["127.0.0.1:0"]
"""


def test_a_reload_puts_all_of_a_file_in_force_or_nothing(tmp_path: Path) -> None:
    (tmp_path / "shout.py").write_text(SHOUT)
    (tmp_path / "example.zone").write_text(ZONE.format(serial=41))
    file = tmp_path / "pierhead.toml"
    file.write_text(TWO)
    with Running([*pierhead_command(), "run"], cwd=tmp_path) as running:
        running.line("ready")
        with socket.socket(socket.AF_UNIX) as open_before:
            open_before.settimeout(10)
            open_before.connect(str(tmp_path / "shout.sock"))
            open_before.sendall(b"one\n")
            assert open_before.recv(100) == b"ONE\n"

            # Three faults, of which a zone is one: everything stays, the open connection too.
            (tmp_path / "example.zone").write_text("nonsense\n")
            file.write_text(TWO.replace("shout:shout", "shout:whisper") + "zone = 1\n")
            running.process.send_signal(signal.SIGHUP)
            assert running.line("not reloaded: everything stays as it was")
            assert any("did you mean zones?" in line for line in running.err)
            open_before.sendall(b"two\n")
            assert open_before.recv(100) == b"TWO\n"

            (tmp_path / "example.zone").write_text(ZONE.format(serial=42))
            more = '\n[[serve]]\nprotocol = "echo"\nlisten = ["unix:./echo.sock"]\n'
            file.write_text(f"limits.idle_timeout = '5s'\n{TWO}{more}")
            running.process.send_signal(signal.SIGHUP)
            assert running.line("reloaded")
            open_before.sendall(b"three\n")
            assert open_before.recv(100) == b"THREE\n"
        said = running.err
        assert "unix:./echo.sock: opened for echo" in said
        assert "zone example. serial 41, now 42" in said
        assert "lines: idle_timeout is 5.0, was 30.0" in said
        assert say(tmp_path / "echo.sock", b"hello\n") == b"hello\n"

        file.write_text(TWO)
        running.process.send_signal(signal.SIGHUP)
        assert running.line("unix:./echo.sock: closed")
        assert running.stop() == 0
