"""The figures of a paper on network servers, mended; and a chat client and a pattern beside them.

Each is spoken to from outside, over the system's sockets.
"""

from __future__ import annotations

import contextlib
import io
import re
import socket
import sys
import tokenize
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import warm
from tests.processes import PATIENCE_S, ROOT
from tests.speaking import Speaking

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are forked")

PAPER = ROOT / "examples" / "paper"
PATTERN = ROOT / "examples" / "pattern"
ADDRESS = re.compile(r"127\.0\.0\.1:\d+")
NO_CODE = (tokenize.NL, tokenize.COMMENT, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)


def lines_of_code(path: Path) -> int:
    """Count lines that are neither blank, nor comments, nor the docstring."""
    tokens = list(tokenize.generate_tokens(io.StringIO(path.read_text()).readline))
    docstring = tokens[0].end[0] if tokens[0].type == tokenize.STRING else 0
    return len(
        {
            line
            for token in tokens
            if token.type not in (*NO_CODE, tokenize.ENDMARKER) and token.start[0] > docstring
            for line in range(token.start[0], token.end[0] + 1)
        }
    )


@pytest.mark.parametrize(
    ("path", "most"),
    [
        (PAPER / "figure_03_tcp_client.py", 5),
        (PAPER / "figure_09_tcp_client_async.py", 8),
        (PAPER / "figure_05_udp_sender.py", 5),
        (PAPER / "figure_05_udp_sender_async.py", 8),
        (PAPER / "chat_client.py", 8),
        (PATTERN / "server.py", 13),
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else "",
)
def test_it_is_short(path: Path, most: int) -> None:
    assert lines_of_code(path) <= most


@contextlib.contextmanager
def example(path: Path, tmp_path: Path, at: str = "127.0.0.1:0") -> Iterator[Speaking]:
    (tmp_path / path.name).write_text(ADDRESS.sub(at, path.read_text()))
    with Speaking([sys.executable, "-W", "error", path.name], cwd=tmp_path) as program:
        yield program


def ports(program: Speaking) -> dict[str, tuple[str, int]]:
    found = re.findall(r"(\w+):127\.0\.0\.1:(\d+)", program.line("ready"))
    return {scheme: ("127.0.0.1", int(port)) for scheme, port in found}


def say(address: tuple[str, int], octets: bytes, *, cut_off: bool = False) -> None:
    with socket.create_connection(address, timeout=PATIENCE_S) as client:
        client.sendall(octets)
        if cut_off:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.parametrize("name", ["figure_01_02_tcp_server", "figure_07_08_tcp_server_async"])
def test_one_bad_client_never_stops_the_server(name: str, tmp_path: Path) -> None:
    with example(PAPER / f"{name}.py", tmp_path) as server:
        address = ports(server)["tcp"]
        say(address, b"hello\n")
        server.hears("hello")
        say(address, b"\xff\xfe\n")
        say(address, b"half of a li", cut_off=True)
        say(address, b"caf\xc3\xa9\nworld\n")
        server.hears("café")
        server.hears("world")


@pytest.mark.parametrize("name", ["figure_04_udp_receiver", "figure_04_udp_receiver_async"])
def test_a_datagram_is_decoded_by_its_own_length(name: str, tmp_path: Path) -> None:
    with example(PAPER / f"{name}.py", tmp_path) as receiver:
        address = ports(receiver)["udp"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"a longer one", address)
            receiver.hears("a longer one")
            sender.sendto(b"\xff\xfe", address)
            sender.sendto(b"short", address)
            receiver.hears("short")


@contextlib.contextmanager
def serving() -> Iterator[tuple[socket.socket, str]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        yield listener, f"127.0.0.1:{listener.getsockname()[1]}"


CLIENTS = ["figure_03_tcp_client", "figure_09_tcp_client_async", "chat_client"]


@pytest.mark.parametrize("name", CLIENTS)
def test_exit_exits(name: str, tmp_path: Path) -> None:
    with serving() as (listener, at), example(PAPER / f"{name}.py", tmp_path, at) as client:
        peer, _ = listener.accept()
        with peer:
            client.say("hello\nexit\nnever\n")
            assert b"".join(iter(lambda: peer.recv(100), b"")) == b"hello\n"
        assert client.ends() == 0, str(client)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_lost_server_is_noticed_while_nobody_types(name: str, tmp_path: Path) -> None:
    with serving() as (listener, at), example(PAPER / f"{name}.py", tmp_path, at) as client:
        peer, _ = listener.accept()
        peer.close()
        assert client.ends() == 0, str(client)


def test_the_chat_client_prints_what_comes_while_it_waits_for_a_line(tmp_path: Path) -> None:
    with serving() as (listener, at), example(PAPER / "chat_client.py", tmp_path, at) as client:
        peer, _ = listener.accept()
        with peer:
            peer.sendall(b"welcome\n")
            client.hears("welcome")
            client.say("hello\n")
            assert peer.recv(100) == b"hello\n"


@pytest.mark.parametrize("name", ["figure_05_udp_sender", "figure_05_udp_sender_async"])
def test_each_line_is_a_datagram_and_exit_exits(name: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(PATIENCE_S)
        receiver.bind(("127.0.0.1", 0))
        at = f"127.0.0.1:{receiver.getsockname()[1]}"
        with example(PAPER / f"{name}.py", tmp_path, at) as sender:
            sender.say("one\ntwo\nexit\n")
            assert [receiver.recv(100), receiver.recv(100)] == [b"one", b"two"]
            assert sender.ends() == 0, str(sender)


def test_the_shorter_wait_ends_first() -> None:
    done = warm.run([sys.executable, str(PAPER / "figure_06_two_tasks.py")])
    assert done.stdout.splitlines() == [
        "Started task1",
        "Started task2",
        "Finished task2",
        "Finished task1",
    ]


def test_the_pattern_reads_writes_and_speaks_unasked_on_tcp_and_udp(tmp_path: Path) -> None:
    with example(PATTERN / "server.py", tmp_path) as server:
        addresses = ports(server)
        with socket.create_connection(addresses["tcp"], timeout=PATIENCE_S) as client:
            assert client.recv(100) == b'"send a number"\n'
            client.sendall(b"21\n")
            assert client.recv(100) == b'"twice 21 is 42"\n'
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE_S)
            client.sendto(b"21", addresses["udp"])
            assert {client.recv(100), client.recv(100)} == {b'"send a number"', b'"twice 21 is 42"'}


def test_a_typed_value_is_answered_over_http(tmp_path: Path) -> None:
    path = PAPER / "figure_11_typed_value_over_http.py"
    imports = [line for line in path.read_text().splitlines() if "import " in line]
    assert lines_of_code(path) - len(imports) <= 6
    with example(path, tmp_path) as server:
        host, port = ports(server)["tcp"]
        content = b'{"number": 5, "boolean": true}'
        fields = {"Content-Type": "application/json"}
        asked = urllib.request.Request(f"http://{host}:{port}/data", content, fields)
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as response:
            assert response.read() == b"Received: Data(number=5, boolean=True)"
