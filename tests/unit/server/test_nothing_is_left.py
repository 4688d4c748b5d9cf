"""A closed connection is freed at once: it leaves no reference cycle for the garbage collector."""

from __future__ import annotations

import asyncio
import functools
import gc
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from pierhead import hosting
from pierhead.client.client import connect
from pierhead.client.dial import dial_stream
from pierhead.connection.conversation import Conversation
from pierhead.errors import DecodeError, PeerUnavailable, PierheadError
from pierhead.middleware import limit
from pierhead.protocols import lines
from pierhead.server.endpoint import Endpoint
from pierhead.server.server import Server

MANY = 15


async def shout(line: str, context: Any) -> str:
    return line.upper()


async def shout_slowly(line: str, context: Any) -> str:
    await asyncio.sleep(0)
    return line.upper()


async def fail_slowly(line: str, context: Any) -> str:
    await asyncio.sleep(0)
    raise ValueError("of the service")


async def converse(conversation: Conversation[str, str]) -> None:
    async for line in conversation:
        await conversation.send(line.upper())


async def converse_badly(conversation: Conversation[str, str]) -> None:
    await conversation.send((await conversation.receive()).upper())
    raise ValueError("of the handler")


async def shout_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async for line in reader:
        writer.write(line.upper())
        await writer.drain()
    writer.close()


class Shouting(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data.upper())


ENDPOINTS: dict[str, Callable[[], Endpoint]] = {
    "framed": lambda: lines.serve(shout),
    "framed, waiting": lambda: lines.serve(shout_slowly),
    "waiting, failing": lambda: lines.serve(fail_slowly),
    "conversation": lambda: lines.converse(converse),
    "conversation, failing": lambda: lines.converse(converse_badly),
    "callback": lambda: hosting.streams.serve(shout_back),
    "protocol": lambda: hosting.protocol.serve(Shouting),
}
ADDRESSES = {
    "tcp": "tcp:127.0.0.1:0",
    "tls": "tls+tcp:127.0.0.1:0?cert={cert}",
    "proxy": "proxy+tcp:127.0.0.1:0?proxy.from=127.0.0.1",
    "unix": "unix:{folder}/socket",
    "unixseq": "unixseq:{folder}/socket",
    "mem": "mem:nothing-is-left",
}
CASES = [
    (kind, scheme)
    for kind in ENDPOINTS
    for scheme in ADDRESSES
    if kind[0] == "f" or scheme != "unixseq"
]


class Client(asyncio.Protocol):
    """Sends one request, and closes or resets once it is answered."""

    def __init__(self, question: bytes, *, resets: bool) -> None:
        self.question, self.resets = question, resets
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.question)

    def data_received(self, data: bytes) -> None:
        if self.resets:
            self.transport.abort()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)


async def visit(scheme: str, address: str, context: ssl.SSLContext, *, resets: bool) -> None:
    if scheme == "unixseq":
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
            peer.setblocking(False)
            peer.connect(address.removeprefix("unixseq:"))
            await loop.sock_sendall(peer, b"hello")
            assert await loop.sock_recv(peer, 100) == b"HELLO"
        return
    header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" if scheme == "proxy" else b""
    client = Client(header + b"hello\n", resets=resets)
    if scheme == "tls":
        port = address.rpartition(":")[2]
        await asyncio.get_running_loop().create_connection(
            lambda: client, "127.0.0.1", int(port), ssl=context, server_hostname="localhost"
        )
    else:
        await dial_stream(address.removeprefix("proxy+"), lambda: client)
    await client.ended
    del client.transport


def ours() -> Counter[str]:
    """Count the objects of this package that the garbage collector tracks."""
    kinds = [type(one) for one in gc.get_objects() if type(type(one).__module__) is str]
    return Counter(
        f"{k.__module__}.{k.__name__}" for k in kinds if k.__module__.startswith("pierhead")
    )


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certificate(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("certificate") / "cert.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(path)
    return path


@pytest.fixture(scope="module")
def context(authority: trustme.CA) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(made)
    return made


@pytest.mark.parametrize(("kind", "scheme"), CASES)
async def test_closed_connections_are_freed_without_garbage_collection(
    kind: str, scheme: str, tmp_path: Path, certificate: Path, context: ssl.SSLContext
) -> None:
    asked = ADDRESSES[scheme].format(cert=certificate, folder=tmp_path)
    async with Server(ENDPOINTS[kind](), asked) as server:
        address = server.addresses[0]

        async def come_and_go(number: int) -> None:
            for visitor in range(number):
                await visit(scheme, address, context, resets=visitor % 3 == 0)
            async with asyncio.timeout(10):
                while server.metrics.total("connections_open"):
                    await asyncio.sleep(0)
            for _ in range(10):
                await asyncio.sleep(0)

        await come_and_go(4)  # what is created once exists by now
        gc.collect()
        gc.disable()
        try:
            before = ours()
            await come_and_go(MANY)
            left = ours() - before
            del left["pierhead.server.lost_requests.LostRequest"]  # the latest thousand are kept
        finally:
            gc.enable()
        assert not {name: number for name, number in left.items() if number > 2}


#: The address, what the client sends, and which limit of the server ends it if not the client.
HANDSHAKES = [
    ("tls+tcp:127.0.0.1:0?cert={cert}", b"\x16\x03\x01", {}),
    ("tls+tcp:127.0.0.1:0?cert={cert}", b"nonsense that is no hello", {}),
    ("tls+tcp:127.0.0.1:0?cert={cert}", b"\x16", {"handshake_timeout": 0.01}),
    ("tls+tcp:127.0.0.1:0?cert={cert}&handshake-timeout=10ms", b"\x16", {"handshake_timeout": 9}),
    ("proxy+tcp:127.0.0.1:0?proxy.from=127.0.0.1", b"PROXY TC", {}),
    ("proxy+tcp:127.0.0.1:0?proxy.from=127.0.0.1", b"nonsense\r\n", {}),
    ("proxy+tcp:127.0.0.1:0?proxy.from=127.0.0.1", b"PROXY", {"handshake_timeout": 0.01}),
    ("proxy+tcp:127.0.0.1:0?proxy.from=192.0.2.1", b"PROXY", {}),
    ("proxy+tls+tcp:127.0.0.1:0?cert={cert}&proxy.from=127.0.0.1", b"\x16\x03", {}),
]


@pytest.mark.parametrize("resets", [False, True], ids=["ends", "resets"])
@pytest.mark.parametrize(("asked", "octets", "limits"), HANDSHAKES, ids=range(len(HANDSHAKES)))
async def test_handshakes_that_fail_are_freed_without_garbage_collection(
    asked: str, octets: bytes, limits: Any, resets: bool, certificate: Path
) -> None:
    loop = asyncio.get_running_loop()
    async with Server(lines.serve(shout), asked.format(cert=certificate), **limits) as server:
        port = int(server.addresses[0].rpartition(":")[2])
        closed = functools.partial(server.metrics.total, "connections_closed_total")

        async def come_and_go(number: int) -> None:
            for _ in range(number):
                before = closed()
                with socket.create_connection(("127.0.0.1", port)) as client:
                    client.setblocking(False)
                    await loop.sock_sendall(client, octets)
                    while (
                        not limits and server.metrics.total("connections_accepted_total") == before
                    ):
                        await asyncio.sleep(0)
                    while limits and closed() == before:
                        await asyncio.sleep(0.001)
                    if resets:
                        hard = struct.pack("ii", 1, 0)
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, hard)
                async with asyncio.timeout(10):
                    while closed() == before:
                        await asyncio.sleep(0)
            for _ in range(10):
                await asyncio.sleep(0)

        await come_and_go(2)  # what is created once exists by now
        gc.collect()
        gc.disable()
        try:
            before = ours()
            await come_and_go(MANY)
            left = ours() - before
        finally:
            gc.enable()
        assert not {name: number for name, number in left.items() if number > 2}
        assert server.metrics.total("connections_open") == 0
        assert closed() == server.metrics.total("connections_accepted_total") == MANY + 2
        assert server.metrics.total("handshakes_failed_total") == MANY + 2


FORMAT = lines.wire_format()


async def ask(address: str) -> None:
    async with connect(address, FORMAT) as client:
        assert await client.request("hello") == "HELLO"


async def ask_through_layers(address: str) -> None:
    async with connect(address, FORMAT, layers=[limit(5)]) as client:
        assert await client.request("hello") == "HELLO"


async def ask_in_vain(address: str) -> None:
    async with connect(address, FORMAT) as client:
        with pytest.raises(PierheadError):
            await client.request("fail", timeout=0.02)


async def ask_nobody(address: str) -> None:
    client = connect("mem:nobody", FORMAT)
    with pytest.raises(PeerUnavailable):
        await client.request("hello")
    await client.close()


async def talk(address: str) -> None:
    async with connect(address, FORMAT) as client, client.conversation() as conversation:
        await conversation.send("hello")
        assert await conversation.receive() == "HELLO"
        conversation.end_output()
        assert [line async for line in conversation] == []


async def talk_and_fail(address: str) -> None:
    with pytest.raises(DecodeError):  # noqa: PT012
        async with connect(address, FORMAT).conversation() as conversation:
            await conversation.send("hello")
            assert await conversation.receive() == "HELLO"
            raise DecodeError("of the program")


@pytest.mark.parametrize(
    "visiting", [ask, ask_through_layers, ask_in_vain, ask_nobody, talk, talk_and_fail]
)
@pytest.mark.parametrize("scheme", ["tcp:127.0.0.1:0", "mem:nothing", "udp:127.0.0.1:0"])
async def test_closed_clients_are_freed_without_garbage_collection(
    visiting: Callable[[str], Awaitable[None]], scheme: str
) -> None:
    if scheme[0] == "u" and visiting in (talk, talk_and_fail):
        pytest.skip("conversations of datagrams are elsewhere")

    async def shout_or_not(line: str, context: Any) -> str | None:
        return None if line == "fail" else line.upper()

    is_talk = visiting in (talk, talk_and_fail)
    endpoint = lines.converse(converse) if is_talk else lines.serve(shout_or_not)
    async with Server(endpoint, scheme) as server:
        address = server.addresses[0]

        async def come_and_go(number: int) -> None:
            await asyncio.gather(*(visiting(address) for _ in range(number)))
            async with asyncio.timeout(10):
                while server.metrics.total("connections_open"):
                    await asyncio.sleep(0)
            for _ in range(10):
                await asyncio.sleep(0)

        await come_and_go(4)
        gc.collect()
        gc.disable()
        try:
            before = ours()
            await come_and_go(MANY)
            left = ours() - before
            del left["pierhead.server.lost_requests.LostRequest"]
        finally:
            gc.enable()
        assert not {name: number for name, number in left.items() if number > 2}
