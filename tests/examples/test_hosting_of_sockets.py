"""The examples of granian and gRPC, asked by the clients that people have."""

from __future__ import annotations

import socket
from pathlib import Path

import grpc
import pytest
from tests.examples.test_examples import example


def http(family: int, where: str | tuple[str, int], path: str) -> bytes:
    with socket.socket(family) as client:
        client.settimeout(10)
        client.connect(where)
        client.sendall(b"GET %b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n" % path.encode())
        return b"".join(iter(lambda: client.recv(1000), b"")).partition(b"\r\n\r\n")[2]


def test_granian_answers_on_tcp_and_on_a_unix_socket(tmp_path: Path) -> None:
    with example("granian_app.py", tmp_path) as at:
        host, port = at["tcp"].split(":")
        assert http(socket.AF_INET, (host, int(port)), "/a") == b"hello, /a\n"
        assert http(socket.AF_UNIX, str(tmp_path / "granian.sock"), "/b") == b"hello, /b\n"
    assert not (tmp_path / "granian.sock").exists()


@pytest.mark.parametrize(
    ("name", "path"), [("grpclib_app.py", "shouter.sock"), ("grpcio_behind.py", "behind.sock")]
)
def test_grpc_answers_on_tcp_and_on_a_unix_socket(name: str, path: str, tmp_path: Path) -> None:
    with example(name, tmp_path) as at:
        for target in (at["tcp"], f"unix:{tmp_path}/{path}"):
            with grpc.insecure_channel(target) as channel:
                call = channel.unary_unary("/example.Shouter/Shout")
                assert call(b"hello", timeout=10) == b"HELLO"
    assert not (tmp_path / path).exists()
