"""Pierhead's HTTP server, queried by curl."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.processes import PATIENCE_S, Running, ready_port

PROGRAM = """
import hashlib
from pierhead.protocols.http import Response

async def site(request, context):
    if request.segments == ("digest",):
        seen, size = hashlib.sha256(), 0
        async for part in request.body:
            seen.update(part)
            size += len(part)
        return f"{size} {seen.hexdigest()}"
    if request.segments == ("parts",):
        async def parts():
            for number in range(3):
                yield b"part %d\\n" % number
        return Response(200, parts())
    if request.segments == ("big",):
        async def big():
            for _ in range(200):
                yield b"x" * 100_000
        return Response(200, big(), length=20_000_000)
    return f"{request.method} {request.scheme} {request.authority}\\n"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(PROGRAM)
    return tmp_path


@pytest.fixture
def serve(folder: Path) -> list[str]:
    command = [sys.executable, "-m", "pierhead", "serve", "http", "shop:site"]
    return [*command, "--max-body-bytes", "off", "-l"]


@pytest.fixture
def server(serve: list[str], folder: Path) -> Iterator[str]:
    """A server on TCP: its URL."""
    with Running([*serve, "tcp:127.0.0.1:0"], cwd=folder) as running:
        yield f"http://127.0.0.1:{ready_port(running)}"
        assert running.stop() == 0


def ask(curl: str, *arguments: str, content: bytes | None = None) -> bytes:
    command = [curl, "--silent", "--show-error", "--max-time", str(PATIENCE_S), *arguments]
    done = subprocess.run(command, input=content, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_a_connection_is_used_again(program, server: str) -> None:
    out = ask(program("curl"), "-w", "%{num_connects}\n", f"{server}/a", f"{server}/b").decode()
    host = server.removeprefix("http://")
    assert out.splitlines() == [f"GET http {host}", "1", f"GET http {host}", "0"]


def test_head_has_no_content(program, server: str) -> None:
    out = ask(program("curl"), "--head", f"{server}/").decode()
    assert out.startswith("HTTP/1.1 200 OK\r\n")
    assert out.endswith("\r\n\r\n")


def test_a_response_in_chunks(program, server: str) -> None:
    assert ask(program("curl"), f"{server}/parts") == b"part 0\npart 1\npart 2\n"
    assert ask(program("curl"), "--http1.0", f"{server}/parts") == b"part 0\npart 1\npart 2\n"


@pytest.mark.parametrize("how", ["--header=Transfer-Encoding: chunked", "--header=X: y"])
def test_a_long_upload_arrives_whole(program, server: str, how: str) -> None:
    """Without the coding curl sends a length, and expects 100 (Continue) first."""
    content = b"0123456789" * 500_000
    how = how.partition("=")[2]
    out = ask(
        *(program("curl"), "--data-binary", "@-", "-H", how, "-w", " %{http_code}"),
        f"{server}/digest",
        content=content,
    )
    assert out.decode() == f"5000000 {hashlib.sha256(content).hexdigest()} 200"


def test_curl_is_told_to_continue(program, server: str) -> None:
    curl = program("curl")
    command = [curl, "-sv", "-H", "Expect: 100-continue", "-d", "abc", f"{server}/digest"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE_S)
    assert b"< HTTP/1.1 100 Continue" in done.stderr
    assert done.stdout.startswith(b"3 ")


def test_a_long_download_arrives_whole(program, server: str) -> None:
    assert ask(program("curl"), f"{server}/big") == b"x" * 20_000_000


def test_a_unix_socket(program, serve: list[str], folder: Path) -> None:
    with Running([*serve, "unix:./http.sock"], cwd=folder) as running:
        running.line("ready")
        out = ask(program("curl"), "--unix-socket", str(folder / "http.sock"), "http://localhost/")
        assert out == b"GET http localhost\n"


def test_tls_with_its_protocol_negotiated(program, serve: list[str], folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "cert.pem"))
    with Running([*serve, "tls+tcp:127.0.0.1:0?cert=cert.pem"], cwd=folder) as running:
        port = ready_port(running)
        out = ask(
            *(program("curl"), "--cacert", str(folder / "ca.pem"), "-w", "%{http_version}"),
            f"https://localhost:{port}/",
            "--resolve",
            f"localhost:{port}:127.0.0.1",
        )
        assert out == f"GET https localhost:{port}\n1.1".encode()


def test_a_request_of_another_protocol_is_refused(program, server: str) -> None:
    host, _, port = server.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as raw:
        raw.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 505 ")
