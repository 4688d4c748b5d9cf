"""What each example promises, asked from outside by a client that knows nothing of Pierhead.

That every example starts and stops is shown in `tests/docs`; here they are spoken to.
"""

from __future__ import annotations

import re
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest
from tests.processes import ROOT
from tests.warm import Running

PORT = re.compile(r"127\.0\.0\.1:\d+")


@contextmanager
def example(name: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Run an example with ports of the system's choice; give its addresses by scheme."""
    text = PORT.sub("127.0.0.1:0", (ROOT / "examples" / name).read_text())
    text = text.replace("Path(__file__)", f"Path({str(ROOT / 'examples' / name)!r})")
    (tmp_path / name).write_text(text)
    command = [sys.executable, "-W", "error", name]
    with Running(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT / "examples")}) as running:
        addresses = running.line("ready").split()[1:]
        yield {scheme: target for scheme, _, target in (a.partition(":") for a in addresses)}
        assert running.stop() == 0


def tcp(target: str, data: bytes) -> bytes:
    host, port = target.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(4096), b""))


def udp(target: str, data: bytes) -> bytes:
    host, port = target.split(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.sendto(data, (host, int(port)))
        return client.recv(4096)


def test_shout_answers_on_tcp_and_on_a_unix_socket(tmp_path: Path) -> None:
    with example("shout.py", tmp_path) as at:
        assert tcp(at["tcp"], b"hello\nworld\n") == b"HELLO\nWORLD\n"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "shout.sock"))
            client.sendall(b"hello\n")
            assert client.recv(100) == b"HELLO\n"
    assert not (tmp_path / "shout.sock").exists()


def test_computed_names_answers_from_the_file_and_from_the_function(tmp_path: Path) -> None:
    with example("computed_names.py", tmp_path) as at:
        for scheme, ask in (("udp", dns.query.udp), ("tcp", dns.query.tcp)):
            host, port = at[scheme].split(":")
            computed = ask(
                dns.message.make_query("four.dyn.example.", "A"), host, port=int(port), timeout=10
            )
            assert [str(rdata) for rrset in computed.answer for rdata in rrset] == ["192.0.2.4"]
            assert computed.answer[0].ttl == 60
            zone = ask(
                dns.message.make_query("www.example.", "A"), host, port=int(port), timeout=10
            )
            assert {str(rdata) for rdata in zone.answer[0]} == {"192.0.2.80"}
            missing = ask(
                dns.message.make_query("nothing.example.", "A"), host, port=int(port), timeout=10
            )
            assert missing.rcode() == dns.rcode.NXDOMAIN


def test_forward_dns_asks_other_servers_by_suffix(tmp_path: Path) -> None:
    (tmp_path / "upstream").mkdir()
    with example("computed_names.py", tmp_path / "upstream") as upstream:
        text = (ROOT / "examples" / "forward_dns.py").read_text()
        assert len([line for line in text.splitlines()[1:] if line]) <= 8
        text = text.replace("127.0.0.1:5300", "127.0.0.1:0")
        text = text.replace("tcp:127.0.0.1:5302", f"tcp:{upstream['tcp']}")
        text = re.sub(r"127\.0\.0\.1:530[13]", upstream["udp"], text)
        (tmp_path / "forward_dns.py").write_text(text)
        command = [sys.executable, "-W", "error", "forward_dns.py"]
        with Running(command, cwd=tmp_path) as running:
            addresses = running.line("ready").split()[1:]
            at = {scheme: target for scheme, _, target in (a.partition(":") for a in addresses)}
            for scheme, ask in (("udp", dns.query.udp), ("tcp", dns.query.tcp)):
                host, port = at[scheme].split(":")
                query = dns.message.make_query("four.dyn.example.", "A")
                answer = ask(query, host, port=int(port), timeout=10)
                assert [str(rdata) for rrset in answer.answer for rdata in rrset] == ["192.0.2.4"]
                assert answer.answer[0].ttl == 60
            assert running.stop() == 0


def test_own_protocol_answers_on_streams_and_datagrams_alike(tmp_path: Path) -> None:
    reading = struct.pack("!Hf", 7, 21.5)
    with example("own_protocol.py", tmp_path) as at:
        assert tcp(at["tcp"], b"\0\x06" + reading) == b"\0\x04" + b"\0\0\0\1"
        assert udp(at["udp"], reading) == b"\0\0\0\2"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.bind(str(tmp_path / "client.sock"))
            client.sendto(reading, str(tmp_path / "r.sock"))
            assert client.recv(100) == b"\0\0\0\3"


def test_own_protocol_survives_what_is_no_reading(tmp_path: Path) -> None:
    with example("own_protocol.py", tmp_path) as at:
        assert tcp(at["tcp"], b"\0\x01x") == b""  # closed: a missing reply would be misread
        assert tcp(at["tcp"], b"\0\x06" + bytes(6)) == b"\0\x04\0\0\0\1"


def test_layers_pass_the_request_on_and_log_it(tmp_path: Path) -> None:
    with example("layers.py", tmp_path) as at:
        assert tcp(at["tcp"], b"hello\n") == b"HELLO\n"


def test_countdown_sends_many_replies_in_the_place_of_one(tmp_path: Path) -> None:
    with example("countdown.py", tmp_path) as at:
        assert tcp(at["tcp"], b"3\n2\n") == b"3\n2\n1\n2\n1\n"
        assert tcp(at["tcp"], b"1\nnonsense\n") == b"1\n"  # then closed: it has failed


def test_embedded_prints_where_it_served_and_that_nothing_was_lost(tmp_path: Path) -> None:
    with Running([sys.executable, str(ROOT / "examples" / "embedded.py")], cwd=tmp_path) as running:
        assert running.process.wait(20) == 0
    assert re.fullmatch(r"\['tcp:127\.0\.0\.1:\d+'\]", running.out[0])
    assert running.out[-1] == "<LostRequests 0>"


@pytest.mark.parametrize(
    ("program", "option"),
    [("click_program.py", ["-l"]), ("argparse_program.py", []), ("typer_program.py", ["--listen"])],
    ids=["click", "argparse", "typer"],
)
class TestProgramsThatReadTheirCommandLine:
    def test_it_listens_where_it_is_told_to(
        self, program: str, option: list[str], tmp_path: Path
    ) -> None:
        told = [*option, "127.0.0.1:0", *option, "./shout.sock"]
        flags = ["--unix-listen-chmod", "owner", "--recv-buffer-size", "65536"]
        command = [sys.executable, "-W", "error", str(ROOT / "examples" / program)]
        with Running([*command, *flags, *told], cwd=tmp_path) as running:
            at = dict(one.split(":", 1) for one in running.line("ready").split()[1:])
            assert tcp(at["tcp"], b"hello\n") == b"HELLO\n"
            assert stat.S_IMODE((tmp_path / "shout.sock").stat().st_mode) == 0o600
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(tmp_path / "shout.sock"))
                client.sendall(b"hello\n")
                assert client.recv(100) == b"HELLO\n"
            assert running.stop() == 0

    @pytest.mark.parametrize(
        ("words", "found"),
        [
            (["127.0.0.1"], "the port is missing"),
            (["127.0.0.1:0?backlgo=5"], "did you mean backlog?"),
            (["127.0.0.1:0", "--unix-listen-chmod", "owner"], "none of the addresses"),
            (["127.0.0.1:0", "--tcp-keepalive", "1:2:3:4"], "more than three parts"),
        ],
        ids=["no port", "unknown option", "flag without effect", "bad value"],
    )
    def test_a_mistake_ends_it_with_2_and_no_traceback(
        self, program: str, option: list[str], words: list[str], found: str, tmp_path: Path
    ) -> None:
        command = [sys.executable, str(ROOT / "examples" / program), *option, *words]
        with Running(command, cwd=tmp_path, env={"COLUMNS": "200"}) as running:
            assert running.line_or_end("ready") is None
            assert running.process.wait(20) == 2, running
        said = "\n".join(running.err)
        assert found in said
        assert "Traceback" not in said


def test_own_transport_serves_a_program_and_a_queue_beside_an_address(tmp_path: Path) -> None:
    text = PORT.sub("127.0.0.1:0", (ROOT / "examples" / "own_transport.py").read_text())
    (tmp_path / "own_transport.py").write_text(text)
    command = [sys.executable, "-W", "error", "own_transport.py"]
    with Running(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT / "examples")}) as running:
        addresses = running.line("ready").split()[1:]
        assert addresses[:2] == ["mem:programs", "memgram:queue"]
        assert running.line("program: ") == "program: AHOY"
        assert running.line("ann: ") == "ann: HELLO"
        assert tcp(addresses[2].removeprefix("tcp:"), b"hello\n") == b"HELLO\n"
        assert running.stop() == 0
