"""``pierhead serve http``: your own service, from the command line."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from click.testing import CliRunner
from tests.warm import Running

from pierhead.cli.serve import serve
from pierhead.cli.serve_http import serve_http
from pierhead.errors import UsageError

PROGRAM = """
from pierhead.protocols import http

async def hello(request, context):
    return f"hello, {request.target}"

site = (http.path("add", int) & http.get()).map(lambda number: {"sum": number + 1})
"""


def ask(address: str, request: bytes) -> bytes:
    host, _, port = address.partition("tcp:")[2].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        return client.makefile("rb").read()


def test_it_serves_a_function_and_filters(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "pierhead", "serve", "http", "-l", "tcp:127.0.0.1:0"]
    for name, path, answer in (("hello", b"/x", b"hello, /x"), ("site", b"/add/2", b'{"sum":3}')):
        with Running([*command, f"shop:{name}"], cwd=tmp_path) as running:
            address = running.line("ready")
            reply = ask(address, b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
            assert reply.endswith(b"\r\n\r\n" + answer)
            assert running.stop() == 0


def test_the_largest_content_is_given_by_an_option(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "pierhead", "serve", "http", "-l", "tcp:127.0.0.1:0"]
    with Running([*command, "--max-body-bytes", "2", "shop:hello"], cwd=tmp_path) as running:
        request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        assert ask(running.line("ready"), request).startswith(b"HTTP/1.1 413 ")


def test_requests_are_logged_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "pierhead", "serve", "http", "-l", "tcp:127.0.0.1:0"]
    with Running([*command, "--access-log", "1", "shop:hello"], cwd=tmp_path) as running:
        ask(running.line("ready"), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert "replies=1" in running.line("INFO pierhead.access")


def test_mistakes_are_explained() -> None:
    run = CliRunner().invoke
    assert "Missing argument 'MODULE:SERVICE'" in run(serve_http, ["-l", ":0"]).output
    wrong = run(serve, ["http", "json:dumps", "-l", ":0", "--max-body-bytes", "many"])
    assert isinstance(wrong.exception, UsageError)
    wrong = run(serve, ["http", "asyncio:sleep", "-l", ":0", "--max-body-bytes", "many"])
    assert isinstance(wrong.exception, UsageError)
