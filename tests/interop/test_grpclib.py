"""gRPC on what a super-server and systemd hand over."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.encoding.base import CodecBase
from tests.processes import PATIENCE_S, ROOT, Running, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is for Linux")

METHOD = "/example.Shouter/Shout"


class Octets(CodecBase):
    __content_subtype__ = "proto"

    def encode(self, message, message_type):
        return message

    def decode(self, data, message_type):
        return data


@pytest.fixture
def shouter(tmp_path: Path):
    """The example of gRPC, on another address."""

    def write(address: str) -> list[str]:
        text = (ROOT / "examples" / "grpclib_app.py").read_text()
        asked = '"127.0.0.1:50051", "unix:./shouter.sock"'
        assert asked in text
        path = tmp_path / "shouter.py"
        path.write_text(text.replace(asked, f'"{address}"'))
        return [sys.executable, str(path)]

    return write


def test_one_connection_on_standard_input_is_served(shouter) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        process = subprocess.Popen(
            shouter("inetd"), stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL
        )
    try:
        assert asyncio.run(shouted_over(ours)) == b"HELLO"
        assert process.wait(PATIENCE_S) == 0  # with its one connection
    finally:
        process.kill()
        process.wait()


async def shouted_over(ours: socket.socket) -> bytes:
    class OverSocket(Channel):
        async def _create_connection(self):
            _, protocol = await self._loop.create_connection(self._protocol_factory, sock=ours)
            return protocol

    async with OverSocket("nowhere", 0, codec=Octets()) as channel:
        return await UnaryUnaryMethod(channel, METHOD, bytes, bytes)(b"hello")


def test_a_socket_that_systemd_passes_is_served(program, shouter, tmp_path: Path) -> None:
    path = tmp_path / "s"
    activate = [program("systemd-socket-activate"), "-l", str(path), "--fdname=rpc"]
    with Running([*activate, *shouter("sd-listen:rpc")], cwd=tmp_path) as running:
        wait_until(path.exists, running)
        with grpc.insecure_channel(f"unix:{path}") as channel:
            assert channel.unary_unary(METHOD)(b"hello", timeout=PATIENCE_S) == b"HELLO"
