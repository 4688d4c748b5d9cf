"""The command line as a contract: help, exit codes, messages instead of tracebacks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest
from tests.processes import pierhead_command
from tests.warm import Running, pierhead

from pierhead.config.loading import load_object

ZONE = """$TTL 300
@ SOA ns host 1 2 3 4 5
@ NS ns
ns A 192.0.2.1
"""


ECHO = "pierhead.protocols.lines:echo"


def test_help_lists_every_command_and_the_exit_codes() -> None:
    shown = pierhead("--help")
    assert shown.returncode == 0
    for word in ("serve", "address", "Exit codes: 0 ok, 1 runtime, 2 usage or configuration"):
        assert word in shown.stdout


def test_help_imports_no_server_no_protocol_and_no_event_loop() -> None:
    code = (
        "import sys\n"
        "from pierhead.cli.main import main\n"
        "sys.argv = ['pierhead', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'asyncio', 'uvloop', 'dns', 'ssl', 'pierhead.server.server'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert shown.stdout.splitlines()[-1] == "loaded: []"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--nonsense"], 2, "No such option"),
        (["serve"], 2, "dns"),
        (["serve", "dns"], 2, "--zone"),
        (["serve", "echo"], 2, "no address to listen on"),
        (["serve", "echo", "-l", "tcp:127.0.0.1"], 2, "the port is missing"),
        (["serve", "echo", "-l", "tcp:127.0.0.1:0?backlgo=5"], 2, "backlog"),
        (["serve", "echo", "-l", "unix:/no/such/folder/a.sock"], 3, "cannot listen on unix:"),
        (["serve", "echo", "-l", "tcp:192.0.2.1:1"], 3, "cannot listen on tcp:192.0.2.1:1"),
        (["serve", "lines", "shout", "-l", "mem:a"], 2, "MODULE:FUNCTION"),
        (["serve", "lines", "./shout.py:shout", "-l", "mem:a"], 2, "is not a module name"),
        (["serve", "lines", "no_such_module:f", "-l", "mem:a"], 2, "no_such_module"),
        (["serve", "lines", "json:nothing", "-l", "mem:a"], 2, "has no 'nothing'"),
        (["serve", "lines", ECHO, "-l", "mem:a", "--encoding", "klingon"], 2, "klingon"),
        (["serve", "lines", ECHO, "-l", "mem:a", "--encoding", "undefined"], 2, "undefined"),
        (["serve", "lines", ECHO, "-l", "mem:a", "--encoding", os.fsdecode(b"\xff")], 2, "text"),
        (["serve", "lines", "os.path:join", "-l", "mem:a"], 2, "write it with 'async def'"),
        (["serve", "lines", "json:loads", "-l", "mem:a"], 2, "does not take (request"),
        (
            ["serve", "lines", "json:JSONDecoder", "-l", "mem:a"],
            2,
            "is a class; write a service with 'async def'",
        ),
        (["serve", "lines", "json:__name__", "-l", "mem:a"], 2, "async function"),
        (["serve", "dns", "--zone", "a" * 300], 4, "cannot be read: File name too long"),
        (["serve", "dns", "--zone", "a..b=/no/such"], 2, "'a..b' is not the name of a zone"),
        (["zone", "check", "a..b=/no/such"], 2, "'a..b' is not the name of a zone"),
        (["serve", "dns", "--zone", "/no/such.zone"], 4, "/no/such.zone"),
        (["address", "explain", "tcp:1.2.3:80"], 2, "1.2.3"),
    ],
)
def test_a_mistake_has_its_exit_code_and_a_message(
    arguments: list[str], code: int, words: str
) -> None:
    ended = pierhead(*arguments)
    assert (ended.returncode, words in ended.stderr + ended.stdout) == (code, True), ended
    assert "Traceback" not in ended.stderr


def test_a_module_that_ends_the_program_when_imported_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys\nsys.exit(9)\n")
    ended = pierhead("serve", "lines", "script:f", "-l", "mem:a", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "importing 'script' exited the program: SystemExit: 9" in ended.stderr


def test_a_module_that_serves_when_imported_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "from pierhead import run\nfrom pierhead.protocols import lines\n"
        "async def f(line, context):\n    return line\n"
        "run(lines.serve(f), 'tcp:127.0.0.1:0')\n"
    )
    ended = pierhead("serve", "lines", "script:f", "-l", "mem:a", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "put run(…) under: if __name__ == '__main__'" in ended.stderr
    assert "ready" not in ended.stderr


FORMS = """\
import functools

async def function(line, context):
    return line

async def many(line, context):
    yield line

class Instance:
    async def __call__(self, line, context):
        return line

class Many:
    async def __call__(self, line, context):
        yield line

instance, many_instance, method = Instance(), Many(), Instance().__call__
partial = functools.partial(function)
"""


@pytest.mark.parametrize(
    "form", ["function", "many", "instance", "many_instance", "method", "partial"]
)
def test_every_form_of_an_async_function_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    (tmp_path / "forms_of_functions.py").write_text(FORMS)
    monkeypatch.syspath_prepend(tmp_path)
    assert load_object(f"forms_of_functions:{form}") is not None


def test_a_zone_with_three_faults_reports_all_three_with_a_caret(tmp_path: Path) -> None:
    (tmp_path / "example.zone").write_text(ZONE + "a A 1.2.3\nb BOGUS x\nc MX ten mail\n")
    ended = pierhead("serve", "dns", "--zone", "example.zone", cwd=tmp_path)
    assert ended.returncode == 4
    places = [line for line in ended.stderr.splitlines() if "example.zone:" in line]
    assert [line.split("example.zone:")[1].split(": ")[0] for line in places] == [
        "5:5",
        "6:3",
        "7:6",
    ]
    assert ended.stderr.count("^") == 3
    assert "Traceback" not in ended.stderr


def test_a_folder_serves_every_zone_in_it_and_says_so(tmp_path: Path) -> None:
    for name in ("a.test", "b.test"):
        (tmp_path / f"{name}.zone").write_text(ZONE)
    (tmp_path / "notes.txt").write_text("not a zone")
    command = [*pierhead_command(), "serve", "dns", "--zone", str(tmp_path), "-l", "127.0.0.1:0"]
    with Running(command) as running:
        ready = running.line("ready").split()
        assert [address.partition(":")[0] for address in ready[1:]] == ["udp", "tcp"]
        # Both transports share the port that the system chose.
        assert len({address.rpartition(":")[2] for address in ready[1:]}) == 1
        assert running.line("try: dig @127.0.0.1").endswith("a.test. SOA")
        assert running.line("dns on udp:")
        assert running.stop() == 0


def test_dns_reveals_its_identity_only_if_configured(tmp_path: Path) -> None:
    (tmp_path / "example.zone").write_text(ZONE)
    (tmp_path / "secret").write_text("000102030405060708090a0b0c0d0e0f\n")
    told = ["--identity", "north-2", "--cookie-secret", "secret", "--query-log"]
    where = ["--zone", "example.zone", "-l", "127.0.0.1:0"]
    for options, expected in ((told, dns.rcode.NOERROR), ([], dns.rcode.REFUSED)):
        with Running([*pierhead_command(), "serve", "dns", *where, *options], cwd=tmp_path) as it:
            port = int(it.line("ready").rpartition(":")[2])
            asked = dns.message.make_query("id.server.", "TXT", "CH")
            reply = dns.query.udp(asked, "127.0.0.1", port=port, timeout=10)
            assert reply.rcode() == expected
        logged = [line for line in it.err if "query=id.server./CH/TXT" in line]
        assert len(logged) == len(options[-1:])


@pytest.mark.parametrize(
    "options",
    [["--rate-limit", "many"], ["--rate-limit", "0"], ["--cookie-secret", "example.zone"]],
    ids=str,
)
def test_dns_refuses_options_that_cannot_be(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "example.zone").write_text(ZONE)
    ended = pierhead("serve", "dns", "--zone", "example.zone", *options, cwd=tmp_path)
    assert ended.returncode == 2, ended
    assert "Traceback" not in ended.stderr


def test_echo_sends_datagrams_back_as_they_are_and_says_what_that_risks(tmp_path: Path) -> None:
    command = [*pierhead_command(), "serve", "echo", "-l", "udp:127.0.0.1:0"]
    with Running(command, cwd=tmp_path) as running:
        assert "replies to the source address, which may be forged" in running.line("warning:")
        port = int(running.line("ready").rpartition(":")[2])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            for octets in (b"a\n", b"a\nb\r\n", b"\n", b"\0\xff"):
                client.sendto(octets, ("127.0.0.1", port))
                assert client.recv(100) == octets
        assert running.stop() == 0


def test_echo_answers_on_all_four_kinds_of_socket(tmp_path: Path) -> None:
    addresses = ["tcp:127.0.0.1:0", "udp:127.0.0.1:0", "unix:./s.sock", "unixgram:./d.sock"]
    options = [word for address in addresses for word in ("-l", address)]
    with Running([*pierhead_command(), "serve", "echo", *options], cwd=tmp_path) as running:
        tcp, udp = (int(a.rpartition(":")[2]) for a in running.line("ready").split()[1:3])
        with socket.create_connection(("127.0.0.1", tcp), timeout=10) as client:
            client.sendall(b"\xff tcp\n")
            assert client.recv(100) == b"\xff tcp\n"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.sendto(b"udp", ("127.0.0.1", udp))
            assert client.recv(100) == b"udp"
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(tmp_path / "s.sock"))
            client.sendall(b"unix\n")
            assert client.recv(100) == b"unix\n"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.bind(str(tmp_path / "c.sock"))
            client.sendto(b"unixgram", str(tmp_path / "d.sock"))
            assert client.recv(100) == b"unixgram"
        assert running.stop() == 0
    assert not (tmp_path / "s.sock").exists()
    assert not (tmp_path / "d.sock").exists()


def test_lines_serves_a_function_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("async def reverse(line, context):\n    return line[::-1]\n")
    command = [*pierhead_command(), "serve", "lines", "mine:reverse", "-l", "unix:./s.sock"]
    with Running(command, cwd=tmp_path) as running:
        running.line("ready")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(tmp_path / "s.sock"))
            client.sendall("héllo\n".encode())
            assert client.recv(100) == "olléh\n".encode()


def test_a_reader_that_leaves_ends_the_command_without_a_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as gone:
        ended = subprocess.run(
            [*pierhead_command(), "address", "explain", "tcp:127.0.0.1:80"],
            stdout=gone,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a device of Linux")
def test_output_that_cannot_be_written_is_an_error_and_no_traceback() -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [*pierhead_command(), "address", "explain", "tcp:127.0.0.1:80"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr == "error: No space left on device\n"


def test_an_interrupt_drains_and_ends_well() -> None:
    command = [*pierhead_command(), "serve", "echo", "-l", "tcp:127.0.0.1:0"]
    with Running(command) as running:
        running.line("ready")
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(20) == 0
    assert any(line.startswith("draining") for line in running.err)
