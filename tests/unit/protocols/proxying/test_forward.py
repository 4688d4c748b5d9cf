"""Connections and datagrams are passed on to other addresses."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trustme

from pierhead import Context, Peer, Server, Via, hosting, raw
from pierhead.client.dial import dial_datagram, dial_stream
from pierhead.codec.proxy_header import ProxyHeaderReader
from pierhead.errors import UsageError
from pierhead.protocols import proxying
from pierhead.protocols.proxying.targets import Target, forwarded
from pierhead.service.context import Transport

EVERYWHERE = ["mem:up", "tcp:127.0.0.1:0", "unix:./up"]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(params=[True, False], ids=["spliced", "copied"])
def how(request, tmp_path, monkeypatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    return {"splice": request.param}


@asynccontextmanager
async def upstream(callback, address: str = "tcp:127.0.0.1:0"):
    async with Server(hosting.streams.serve(callback), address, linger_timeout=0) as server:
        yield server.addresses[0]


@asynccontextmanager
async def front(*upstreams: str, at: str = "tcp:127.0.0.1:0", limits=None, **how):
    endpoint = proxying.forward(*upstreams, **how)
    async with Server(endpoint, at, drain_timeout=1, **(limits or {})) as server:
        yield server


async def connected(server: Server) -> Streams:
    scheme, _, target = server.addresses[0].partition(":")
    if scheme == "unix":
        return await asyncio.open_unix_connection(target)
    host, _, port = target.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def after_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer once the client has ended its side."""
    data = await reader.read()
    writer.write(b"%d:" % len(data) + hashlib.sha256(data).digest())
    await writer.drain()


@pytest.mark.parametrize("at", ["tcp:127.0.0.1:0", "unix:./front"])
@pytest.mark.parametrize("address", ["tcp:127.0.0.1:0", "unix:./up"])
async def test_octets_pass_both_ways(how, address: str, at: str) -> None:
    async with upstream(echo, address) as to, front(to, at=at, **how) as server:
        reader, writer = await connected(server)
        for n in range(20):
            writer.write(b"%d" % n * 100)
            assert await reader.readexactly(len(b"%d" % n * 100)) == b"%d" % n * 100
        writer.write_eof()
        assert await reader.read() == b""
        await closed(writer)
        assert server.metrics.total("bytes_received_total") == 20 * 100 + 10 * 100
        assert server.metrics.total("bytes_sent_total") == 20 * 100 + 10 * 100


async def test_each_side_ends_by_itself_and_a_large_transfer_keeps_its_digest(how) -> None:
    data = bytes(range(256)) * 40_000
    async with upstream(after_all) as to, front(to, **how) as server:
        reader, writer = await connected(server)
        writer.write(data)
        await writer.drain()
        writer.write_eof()
        expected = b"%d:" % len(data) + hashlib.sha256(data).digest()
        assert await asyncio.wait_for(reader.read(), 10) == expected
        await closed(writer)


def test_under_uvloop(how) -> None:
    uvloop = pytest.importorskip("uvloop")
    data = bytes(range(256)) * 40_000

    async def transfer() -> None:
        async with upstream(after_all) as to, front(f"proxy+{to}", **how) as server:
            reader, writer = await connected(server)
            writer.write(data)
            writer.write_eof()
            expected = b"%d:" % (len(data) + 28)
            assert (await asyncio.wait_for(reader.read(), 10)).startswith(expected)
            await closed(writer)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(transfer())


async def test_the_upstream_may_end_first(how) -> None:
    received = asyncio.get_running_loop().create_future()

    async def greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.write_eof()
        received.set_result(await reader.read())

    async with upstream(greets) as to, front(to, **how) as server:
        reader, writer = await connected(server)
        assert await reader.read() == b"hello"
        writer.write(b"still there")
        writer.write_eof()
        assert await asyncio.wait_for(received, 5) == b"still there"
        await closed(writer)


async def test_a_slow_reader_stops_the_sender(how) -> None:
    sent = 0

    async def pours(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while True:
            writer.write(bytes(65536))
            await writer.drain()
            sent += 65536

    async with upstream(pours) as to, front(to, **how) as server:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            host, _, port = server.addresses[0].partition(":")[2].rpartition(":")
            await asyncio.get_running_loop().sock_connect(client, (host, int(port)))
            before = -1
            for _ in range(100):
                await asyncio.sleep(0.05)
                if sent == before:
                    break
                before = sent
            assert before == sent < 64 << 20
            assert server.metrics.total("unsent_bytes") <= 3 << 20


async def test_a_reset_passes_on(how) -> None:
    ended = asyncio.get_running_loop().create_future()

    async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x")
        try:
            ended.set_result(await reader.read())
        except ConnectionError as error:
            ended.set_result(error)

    async with upstream(waits) as to, front(to, **how) as server:
        reader, writer = await connected(server)
        await reader.read(1)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()
        await asyncio.wait_for(ended, 5)
        for _ in range(100):
            if not server.metrics.total("connections_open"):
                break
            await asyncio.sleep(0.01)
        assert server.metrics.total("connections_closed_total") == 1


async def test_an_upstream_that_is_away_is_passed_over(how) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = f"tcp:127.0.0.1:{nobody.getsockname()[1]}"
        async with upstream(echo) as to, front(away, to, **how) as server:
            for _ in range(5):
                reader, writer = await connected(server)
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
                await closed(writer)


async def test_without_an_upstream_the_connection_is_closed(how) -> None:
    async with front("unix:./nobody", **how) as server:
        reader, writer = await connected(server)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        await closed(writer)
        total = server.metrics.total
        assert total("connections_closed_total", reason="no_upstream") == 1


async def test_connections_are_spread_and_the_least_busy_gets_the_next(how) -> None:
    counts = {"one": 0, "two": 0}

    def counted(name: str):
        async def callback(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            counts[name] += 1
            await echo(reader, writer)

        return callback

    one, two = upstream(counted("one"), "unix:./one"), upstream(counted("two"), "unix:./two")
    async with one as first, two as second:
        async with front(first, second, policy="least-busy", **how) as server:
            open_ones = []
            for _ in range(10):
                reader, writer = await connected(server)
                writer.write(b"x")
                await reader.readexactly(1)
                open_ones.append(writer)
            assert counts == {"one": 5, "two": 5}
            for writer in open_ones:
                await closed(writer)


async def test_silence_ends_a_connection(how) -> None:
    async with upstream(echo) as to:
        async with front(to, limits={"idle_timeout": 0.3}, **how) as server:
            reader, writer = await connected(server)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            assert server.metrics.total("connections_closed_total", reason="idle") == 1
            await closed(writer)


async def test_the_upstream_is_told_who_the_client_is(how) -> None:
    told = asyncio.get_running_loop().create_future()

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        header = ProxyHeaderReader(2)
        while header.header is None:
            header.feed(await reader.read(4096))
        told.set_result(header.header)
        rest = header.rest
        while len(rest) < 5:
            rest += await reader.read(5)
        writer.write(rest)

    async with upstream(listens) as to, front(f"proxy+{to}", **how) as server:
        reader, writer = await connected(server)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        header = await told
        assert header.source == writer.get_extra_info("sockname")
        host, _, port = server.addresses[0].partition(":")[2].rpartition(":")
        assert header.destination == (host, int(port))
        await closed(writer)


async def test_over_tls_on_both_sides(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    authority = trustme.CA()
    authority.cert_pem.write_to_path("ca.pem")
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path("cert.pem")
    at = "tls+tcp:127.0.0.1:0?cert=cert.pem"
    async with upstream(after_all, at) as to, front(f"{to}?ca=ca.pem", at=at) as server:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport = await dial_stream(f"{server.addresses[0]}?ca=ca.pem", lambda: protocol)
        data = bytes(1 << 20)
        transport.write(data)
        transport.write_eof()
        assert await reader.read() == b"%d:" % len(data) + hashlib.sha256(data).digest()
        transport.close()


@pytest.mark.parametrize(
    ("peer", "local", "said"),
    [
        (("192.0.2.1", 7), "tcp:198.51.100.1:80", (("192.0.2.1", 7), ("198.51.100.1", 80))),
        (
            ("::ffff:192.0.2.1", 7),
            "tcp:[::ffff:198.51.100.1]:80",
            (("192.0.2.1", 7), ("198.51.100.1", 80)),
        ),
        (("2001:db8::1", 7), "tcp:[2001:db8::2]:80", (("2001:db8::1", 7), ("2001:db8::2", 80))),
        ("", "unix:/run/a.sock", None),
    ],
)
def test_whom_a_connection_is_for(peer, local: str, said) -> None:
    via = Via(transport=Transport.STREAM, scheme="tcp", local=local, listener=local)
    header = forwarded(Peer(peer), via)
    assert (header and (header.source, header.destination)) == said


async def test_over_memory_and_by_a_proxy_listener(server, network) -> None:
    await server(hosting.streams.serve(echo), "mem:up")
    await server(proxying.forward("mem:up"), "mem:front")
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport = await dial_stream("mem:front", lambda: protocol)
    transport.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    transport.write_eof()
    assert await reader.read() == b""


async def test_a_stop_lets_connections_end(how) -> None:
    async with upstream(echo) as to:
        async with front(to, **how) as server:
            reader, writer = await connected(server)
            writer.write(b"a")
            await reader.readexactly(1)
            stopping = asyncio.ensure_future(server.drain())
            await asyncio.sleep(0.05)
            writer.write(b"b")
            assert await reader.readexactly(1) == b"b"
            writer.write_eof()
            assert await reader.read() == b""
            await closed(writer)
            await stopping
            assert not server.lost


async def test_after_a_replacement_open_connections_stay_and_new_ones_get_the_new(how) -> None:
    def named(name: bytes):
        async def callback(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(100):
                writer.write(name)

        return callback

    async with upstream(named(b"1"), "unix:./1") as first, upstream(named(b"2"), "unix:./2") as two:
        async with front(first, **how) as server:
            reader, writer = await connected(server)
            writer.write(b"?")
            assert await reader.readexactly(1) == b"1"
            await server.replace(proxying.forward(two, **how), server.addresses[0])
            writer.write(b"?")
            assert await reader.readexactly(1) == b"1"
            other_reader, other = await connected(server)
            other.write(b"?")
            assert await other_reader.readexactly(1) == b"2"
            for each in (writer, other):
                await closed(each)


# --- datagrams --------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["udp:127.0.0.1:0", "memgram:up"])
async def test_datagrams_of_each_peer_have_an_upstream_socket_of_their_own(scheme: str) -> None:
    peers = set()

    async def answers(frame: bytes, context: Context):
        peers.add(str(context.peer))
        yield frame.upper()
        yield frame * 2

    at = "memgram:front" if scheme.startswith("mem") else scheme
    async with Server(raw(answers), scheme) as up:
        async with Server(proxying.forward(up.addresses[0]), at) as server:
            ends = [await dial_datagram(server.addresses[0]) for _ in range(3)]
            for number, end in enumerate(ends):
                for _ in range(2):
                    end.send(b"a%d" % number)
                    got = {await end.receive(), await end.receive()}
                    assert got == {b"A%d" % number, b"a%d" % number * 2}
            for end in ends:
                end.close()
    assert len(peers) == 3


async def test_a_peer_is_forgotten_after_silence(server, clock) -> None:
    async def answers(frame: bytes, context: Context) -> bytes:
        return frame

    await server(raw(answers), "memgram:up")
    started = await server(proxying.forward("memgram:up"), "memgram:front", idle_timeout=10)
    end = await dial_datagram("memgram:front")
    for datagram in (b"a", b"b"):
        end.send(datagram)
        assert await end.receive() == datagram
        assert started.metrics.total("conversations_open") == 1
        await asyncio.sleep(30)
        assert started.metrics.total("conversations_open") == 0
    end.close()


async def test_an_upstream_whose_port_is_closed_is_ejected() -> None:
    async def answers(frame: bytes, context: Context) -> bytes:
        return frame

    async with Server(raw(answers), "udp:127.0.0.1:0") as gone:
        away = gone.addresses[0]
    async with Server(raw(answers), "udp:127.0.0.1:0") as up:
        endpoint = proxying.forward(away, up.addresses[0])
        async with Server(endpoint, "udp:127.0.0.1:0") as server:
            end = await dial_datagram(server.addresses[0])
            async with asyncio.timeout(5):
                answered = asyncio.ensure_future(end.receive())
                while not answered.done():
                    end.send(b"hello")
                    await asyncio.wait([answered], timeout=0.02)
            assert await answered == b"hello"
            end.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (((), {}), "nothing to forward to"),
        ((("tcp:127.0.0.1:1",), {"policy": "hedged"}), "hedged is for requests"),
        ((("tcp:127.0.0.1:1",), {"connect_timeout": 0}), "connect_timeout is 0 s"),
    ],
)
def test_mistakes_are_explained(arguments, said: str) -> None:
    given, how = arguments
    with pytest.raises(UsageError, match=said):
        proxying.forward(*given, **how)


def test_targets() -> None:
    assert not Target("proxy+tcp:127.0.0.1:1").is_datagram
    assert Target("udp:127.0.0.1:1").is_datagram
    with pytest.raises(UsageError):
        Target("tcp::443")
    endpoint = proxying.forward("tcp:127.0.0.1:1", "udp:127.0.0.1:1")
    assert endpoint.short_form == ("tcp", "udp")
