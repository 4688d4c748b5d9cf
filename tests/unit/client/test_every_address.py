"""Requests and conversations on every form of address that a client can reach."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pierhead import Context, Conversation, Server, connect
from pierhead.errors import ListenError
from pierhead.protocols import lines

FORMAT = lines.wire_format()


class Form(NamedTuple):
    """How an address is listened on, and what a client adds to the one it got."""

    listen: str
    is_stream: bool = True

    @property
    def scheme(self) -> str:
        return self.listen.partition(":")[0].partition("?")[0]


STREAMS = [
    Form("tcp:127.0.0.1:0"),
    Form("tcp:[::1]:0"),
    Form("unix:./s"),
    Form("unix:@pierhead-{pid}"),
    Form("unix:@pierhead-{pid}?pad=full"),
    Form("vsock:local:any"),
    Form("mem:b"),
]
PACKETS = [
    Form("unixseq:./s"),
    Form("unixseq:@pierhead-{pid}"),
    Form("vsockseq:local:any"),
]
DATAGRAMS = [
    Form("udp:127.0.0.1:0", is_stream=False),
    Form("unixgram:./s", is_stream=False),
    Form("unixgram:@pierhead-{pid}", is_stream=False),
    Form("memgram:b", is_stream=False),
]


async def shout(line: str, context: Context) -> str:
    return line.upper()


async def echo(conversation: Conversation[str, str]) -> None:
    async for line in conversation:
        await conversation.send(line.upper())


@contextlib.asynccontextmanager
async def serving(endpoint, form: Form) -> AsyncIterator[tuple[Server, str]]:
    """Serve on a form of address; skip where the machine does not have it."""
    if "@" in form.listen and sys.platform != "linux":
        pytest.skip("abstract names are Linux's")
    if "[" in form.listen and not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    try:
        server = Server(endpoint, form.listen.format(pid=os.getpid()))
        async with server:
            address = server.addresses[0]
            if form.scheme.startswith("vsock"):
                address = address.replace(":4294967295:", ":local:").replace(":any:", ":local:")
                skip_without_loopback(address)
            yield server, address
    except ListenError as error:
        if form.scheme.startswith("vsock"):
            pytest.skip(str(error))
        raise


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def skip_without_loopback(address: str) -> None:
    kind = socket.SOCK_SEQPACKET if address.startswith("vsockseq") else socket.SOCK_STREAM
    with socket.socket(socket.AF_VSOCK, kind) as sock:
        try:
            sock.connect((1, int(address.rpartition(":")[2])))
        except OSError:
            pytest.skip("a connection to oneself needs vsock_loopback (modprobe vsock_loopback)")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("form", [*STREAMS, *PACKETS, *DATAGRAMS], ids=lambda form: form.listen)
async def test_requests(form: Form) -> None:
    async with serving(lines.serve(shout), form) as (_, address):
        async with connect(address, FORMAT) as client:
            assert await client.request("hello") == "HELLO"
            assert await client.request("again") == "AGAIN"
            assert all(client.addresses)


@pytest.mark.parametrize("form", [*STREAMS, *PACKETS], ids=lambda form: form.listen)
async def test_conversations(form: Form) -> None:
    async with serving(lines.converse(echo), form) as (_, address):
        async with connect(address, FORMAT).conversation() as talk:
            await talk.send("hello")
            assert await talk.receive() == "HELLO"
            assert talk.via.scheme == form.scheme
            assert talk.via.local
            assert (talk.via.tls, talk.via.encrypted) == (None, False)
            if form.scheme == "tcp":
                assert f"tcp:{talk.peer}" == address
                assert talk.via.local.rpartition(":")[0] in address
            if form.scheme.startswith("unix") and sys.platform == "linux":
                assert talk.via.credentials is not None
                assert talk.via.credentials.pid == os.getpid()
