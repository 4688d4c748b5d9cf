"""The example session: seven servers and Caddy, asked by curl, print what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.processes import PATIENCE_S, ROOT, Running, free_port, require_program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is for Linux")

FOLDER = ROOT / "examples" / "five-ways"

#: The variable of each port that the page names.
PORTS = {
    "4000": "CADDY_PORT",
    "8080": "TCP_PORT",
    "8081": "SD_LISTEN_PORT",
    "8082": "INETD_PORT",
    "8083": "FOO_PORT",
    "8084": "BAR_PORT",
    "8085": "FIRST_PORT",
    "8086": "SECOND_PORT",
}

README = (FOLDER / "README.md").read_text()


def transcript() -> str:
    """What the page says is asked and answered."""
    blocks = re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if "$ curl" in block]
    return found


def run_session(folder: Path) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run it on ports that are free now; return what happened and what was to be printed."""
    own = {port: str(free_port()) for port in PORTS}
    name = f"pierhead-five-ways-{own['4000']}"
    environment = {variable: own[port] for port, variable in PORTS.items()}
    environment |= {"ABSTRACT_NAME": name, "PYTHON": sys.executable, "TMPDIR": str(folder)}
    done = subprocess.run(
        [str(FOLDER / "session.sh")],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_S,
    )
    expected = re.sub("|".join(own), lambda found: own[found[0]], transcript())
    return done, expected.replace("abstract_socket", name)


def processes_in(folder: Path) -> list[str]:
    """The command lines of what works inside a folder, be it removed or not."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            place = os.readlink(process / "cwd")
            command = (process / "cmdline").read_text()
        except (OSError, ValueError):  # it has ended, or is somebody else's
            continue
        if place.startswith(str(folder)):
            found.append(command.replace("\0", " "))
    return found


@pytest.mark.timeout(3 * PATIENCE_S)  # eight servers, one after the other
def test_the_session_prints_what_the_page_says_and_leaves_nothing_behind(tmp_path: Path) -> None:
    for name in ("caddy", "curl", "systemd-socket-activate"):
        require_program(name)
    for _ in range(3):
        done, expected = run_session(tmp_path)
        if done.returncode == 0 or "in use" not in done.stderr:
            break  # or somebody was quicker to take a port that was free
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
    assert processes_in(tmp_path) == []


def test_the_page_shows_what_the_script_starts() -> None:
    """Word for word, but for the variables that the script has for ports and programs."""
    script = (FOLDER / "session.sh").read_text().replace("\\\n", " ")
    started = [line.split(maxsplit=1)[1] for line in script.splitlines() if line[:6] == "start "]
    replaced = {
        '"${hello[@]}"': "python hello.py",
        "$activate": "systemd-socket-activate",
        "$here/": "",
        "$foo": "8083",
        "$bar": "8084",
        "$first": "8085",
        "$second": "8086",
        "$ABSTRACT_NAME": "abstract_socket",
        **{f"${variable}": port for port, variable in PORTS.items()},
        '"': "",
    }
    for written, meant in replaced.items():
        started = [line.replace(written, meant) for line in started]
    (shown,) = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert [line.split() for line in started] == [line.split() for line in shown.splitlines()]


def test_hello_takes_the_flags_of_the_command_line_it_is_modelled_on(tmp_path: Path) -> None:
    flags = ["--unix-listen-unlink", "--unix-listen-chmod", "everybody"]
    program = [sys.executable, "-W", "error", str(FOLDER / "hello.py")]
    with Running([*program, *flags, "./path_socket", "hello\n"], cwd=tmp_path) as running:
        running.line("ready unix:./path_socket")
        assert (tmp_path / "path_socket").stat().st_mode & 0o777 == 0o666
        command = [require_program("curl"), "-sS", "--unix-socket", "./path_socket", "http://q/"]
        assert subprocess.check_output(command, cwd=tmp_path) == b"hello\n"
        assert running.stop() == 0
