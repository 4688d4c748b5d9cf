"""Address options about how it is served: limits, names, sharing of slots, draining."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pierhead import Application, Context, ListenSpec, Server
from pierhead.errors import ListenError, UsageError
from pierhead.listener.base import ListenerEnded, OutOfDescriptors
from pierhead.listener.process_sockets import ProcessSockets
from pierhead.net.memory import connect_memory
from pierhead.protocols import lines
from pierhead.server.listener_options import ListenerOptions
from pierhead.server.options import ServerOptions
from pierhead.service.context import Peer, Transport


async def upper(line: str, context: Context) -> str:
    return line.upper()


class Client(asyncio.Protocol):
    """One end of a memory connection: sends lines and keeps the replies."""

    def __init__(self) -> None:
        self.received = b""
        self.news = asyncio.Event()
        self.is_gone = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_gone = True
        self.news.set()

    async def ask(self, line: bytes) -> bytes:
        """Return the reply, or b"" if the connection ends instead."""
        self.news.clear()
        if not self.is_gone:
            self.transport.write(line + b"\n")
            await asyncio.wait_for(self.news.wait(), 20)
        received, self.received = self.received, b""
        return received


def connect(name: str) -> Client:
    client = Client()
    connect_memory(name, client, None)
    return client


def test_an_address_overrides_its_server() -> None:
    spec = ListenSpec.parse(
        "tls+tcp:h:1?cert=a&name=public&maxconn=5&idle-timeout=2s&handshake-timeout=3s"
        "&drain=4s&accept-backoff=500ms"
    )
    at = ListenerOptions.of(spec)
    assert (at.name, at.max_connections, at.longest_back_off) == ("public", 5, 0.5)
    options = at.apply(ServerOptions(idle_timeout=9.0, request_timeout=8.0))
    assert (options.idle_timeout, options.handshake_timeout) == (2.0, 3.0)
    assert (options.drain_timeout, options.request_timeout) == (4.0, 8.0)


def test_an_address_without_options_changes_nothing() -> None:
    at = ListenerOptions.of(ListenSpec.parse("tcp:h:1"))
    assert (at.name, at.max_connections) == ("tcp:h:1", None)
    assert at.apply(ServerOptions(idle_timeout=9.0)) == ServerOptions(idle_timeout=9.0)


async def test_a_name_appears_in_metrics_and_in_via() -> None:
    async def whose(line: str, context: Context) -> str:
        return context.via.listener

    async with Server(lines.serve(whose), "mem:a?name=public", "memgram:b?name=plain") as server:
        assert await connect("a").ask(b"") == b"public\n"
        keys = server.metrics.snapshot()
    assert keys['connections_accepted_total{listener="public"}'] == 1
    assert 'datagrams_received_total{listener="plain"}' in keys


async def test_maxconn_is_a_limit_of_its_own_address() -> None:
    async with Server(lines.serve(upper), "mem:a?maxconn=1", "mem:b") as server:
        first = connect("a")
        assert await first.ask(b"x") == b"X\n"
        other = connect("b")
        assert await other.ask(b"x") == b"X\n"
        second = connect("a")
        assert await second.ask(b"y") == b"Y\n"
        assert first.is_gone  # the idle one of that address
        assert await other.ask(b"z") == b"Z\n"
        assert server.metrics.total("connections_closed_total", reason="evicted") == 1


async def test_a_new_connection_above_maxconn_is_closed_if_all_are_busy() -> None:
    gate = asyncio.Event()

    async def waits(line: str, context: Context) -> str:
        await gate.wait()
        return line

    async with Server(lines.serve(waits), "mem:a?maxconn=1") as server:
        busy = connect("a")
        asking = asyncio.ensure_future(busy.ask(b"x"))
        while not server.metrics.total("frames_received_total"):
            await asyncio.sleep(0)
        assert await connect("a").ask(b"y") == b""
        assert server.metrics.total("dropped_total", reason="maxconn") == 1
        gate.set()
        assert await asking == b"x\n"


async def test_one_full_address_does_not_close_another_of_the_same_endpoint() -> None:
    async with Server(lines.serve(upper), "mem:a", "mem:b", max_connections=2) as server:
        quiet = connect("b")
        assert await quiet.ask(b"x") == b"X\n"
        crowd = [connect("a") for _ in range(5)]
        for one in crowd:
            await one.ask(b"y")
        assert not quiet.is_gone
        assert await quiet.ask(b"z") == b"Z\n"
        assert server.metrics.total("connections_open", listener="mem:a") == 2
        assert server.metrics.total("connections_open", listener="mem:b") == 1


async def test_full_addresses_with_refuse_close_new_connections() -> None:
    address = "mem:a?maxconn=1&when-full=refuse"
    async with Server(lines.serve(upper), address) as server:
        first = connect("a")
        assert await first.ask(b"x") == b"X\n"
        assert await connect("a").ask(b"y") == b""
        assert await first.ask(b"z") == b"Z\n"
        assert server.metrics.total("dropped_total", reason="maxconn") == 1


@pytest.mark.parametrize("where", ["address", "server"])
async def test_full_addresses_with_wait_leave_new_connections_in_the_backlog(where: str) -> None:
    option, keywords = (
        ("&when-full=wait", {}) if where == "address" else ("", {"when_full": "wait"})
    )
    async with Server(lines.serve(upper), f"mem:a?maxconn=1{option}", **keywords) as server:
        first = connect("a")
        assert await first.ask(b"x") == b"X\n"
        second, third = connect("a"), connect("a")
        asking = asyncio.ensure_future(second.ask(b"y"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not asking.done()
        assert server.metrics.total("connections_accepted_total") == 1
        assert server.metrics.total("accepts_paused_total") == 1
        first.transport.close()
        assert await asking == b"Y\n"
        second.transport.close()
        assert await third.ask(b"z") == b"Z\n"
        assert server.metrics.total("connections_closed_total", reason="evicted") == 0


async def test_waiting_for_room_ends_when_the_limit_is_raised_or_the_server_stops() -> None:
    server = Server(lines.serve(upper), "mem:a", max_connections=1, when_full="wait")
    async with server:
        first, second, third = connect("a"), connect("a"), connect("a")
        assert await first.ask(b"x") == b"X\n"
        server.reconfigure(max_connections=2)
        assert await second.ask(b"y") == b"Y\n"
        assert not third.received
    assert third.is_gone


async def test_one_network_may_have_a_limit_of_its_own() -> None:
    address = "tcp:127.0.0.1:0?maxconn-per-network=2"
    async with Server(lines.serve(upper), address, network_ipv4_prefix=32) as server:
        port = int(server.addresses[0].rpartition(":")[2])
        greedy = [await _talk("127.0.0.1", port) for _ in range(3)]
        other = await _talk("127.0.0.2", port)
        assert await greedy[0][0].read() == b""  # it was the longest idle of its network
        assert await _ask(other) == await _ask(greedy[1]) == await _ask(greedy[2]) == b"X\n"
        server.reconfigure(when_full="refuse")
        refused = await asyncio.open_connection("127.0.0.1", port)
        assert await refused[0].read() == b""
        assert server.metrics.total("dropped_total", reason="max_connections_per_network") == 1
        for _, writer in (*greedy, other, refused):
            writer.close()


async def _talk(source: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    pair = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    assert await _ask(pair) == b"X\n"
    return pair


async def _ask(pair: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bytes:
    pair[1].write(b"x\n")
    return await asyncio.wait_for(pair[0].readline(), 20)


@pytest.mark.parametrize("octets", [b"", b"x", b"\x16\x03\x01"])
async def test_half_done_connections_of_one_network_do_not_block_a_listener(octets: bytes) -> None:
    async with Server(lines.serve(upper), "tcp:127.0.0.1:0", max_connections=20) as server:
        port = int(server.addresses[0].rpartition(":")[2])
        honest = await _talk("127.0.1.1", port)
        flood = []
        for _ in range(60):
            pair = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.2.1", 0))
            pair[1].write(octets)
            flood.append(pair)
        late = await _talk("127.0.3.1", port)
        neighbour = await _talk("127.0.2.2", port)
        assert await _ask(honest) == await _ask(late) == await _ask(neighbour) == b"X\n"
        assert server.metrics.total("dropped_total") == 0
        for _, writer in (honest, late, neighbour, *flood):
            writer.close()


async def test_the_client_named_by_a_proxy_is_counted() -> None:
    async with Server(lines.serve(upper), "proxy+mem:a?maxconn=4"):

        async def come(client: str) -> Client:
            one = connect("a")
            one.transport.write(f"PROXY TCP4 {client} 192.0.2.1 7 80\r\n".encode())
            assert await one.ask(b"x") == b"X\n"
            return one

        honest = await come("198.51.100.1")
        flood = [await come(f"203.0.113.{n}") for n in range(6)]
        late = await come("198.51.100.2")
        assert [one.is_gone for one in flood] == [True, True, True, True, False, False]
        assert await honest.ask(b"x") == await late.ask(b"x") == b"X\n"


@pytest.mark.skipif(sys.platform != "linux", reason="needs SO_PEERCRED")
async def test_peers_of_a_unix_socket_are_counted_by_account(tmp_path) -> None:
    import os

    address = f"unix:{tmp_path}/s?maxconn-per-network=1&when-full=refuse"
    async with Server(lines.serve(upper), address) as server:
        first = await asyncio.open_unix_connection(f"{tmp_path}/s")
        assert await _ask(first) == b"X\n"
        (one,) = server._serving()
        assert one._places.held_by(("uid", os.geteuid())) == 1
        second = await asyncio.open_unix_connection(f"{tmp_path}/s")
        assert await second[0].read() == b""
        for _, writer in (first, second):
            writer.close()


def test_when_full_is_one_of_three_words() -> None:
    with pytest.raises(UsageError, match="when_full is 'panic', expected evict, refuse or wait"):
        Server(lines.serve(upper), "mem:a", when_full="panic")


async def test_endpoints_share_no_limit() -> None:
    application = Application(
        endpoints=[(lines.serve(upper), ["mem:a"]), (lines.serve(upper), ["mem:b"])]
    )
    async with Server(application, max_connections=1):
        first, second = connect("a"), connect("b")
        assert await first.ask(b"x") == b"X\n"
        assert await second.ask(b"x") == b"X\n"
        assert not first.is_gone


async def test_an_idle_timeout_of_an_address_survives_reconfiguring() -> None:
    async with Server(lines.serve(upper), "mem:a?idle-timeout=50ms", "mem:b") as server:
        quick, slow = connect("a"), connect("b")
        assert await quick.ask(b"x") == b"X\n"
        assert await slow.ask(b"x") == b"X\n"
        server.reconfigure(idle_timeout=20.0)
        quick.news.clear()
        await asyncio.wait_for(quick.news.wait(), 20)
        assert quick.is_gone
        assert not slow.is_gone


async def test_each_address_drains_for_as_long_as_it_says() -> None:
    gate = asyncio.Event()
    begun: list[str] = []

    async def waits(line: str, context: Context) -> str:
        begun.append(line)
        await gate.wait()
        return line

    server = Server(lines.serve(waits), "mem:a?drain=0s", "mem:b", drain_timeout=20.0)
    async with server:
        hasty, patient = connect("a"), connect("b")
        asking = [asyncio.ensure_future(one.ask(b"x")) for one in (hasty, patient)]
        while len(begun) < 2:
            await asyncio.sleep(0)
        draining = asyncio.ensure_future(server.drain())
        assert await asking[0] == b""
        assert not draining.done()
        gate.set()
        assert await asking[1] == b"x\n"
        patient.transport.close()
        await draining
    assert [(lost.listener, lost.reason) for lost in server.lost] == [("mem:a?drain=0s", "drain")]


@pytest.mark.skipif(sys.platform != "linux", reason="needs SO_PEERCRED")
@pytest.mark.parametrize(
    ("option", "is_let_in"),
    [("allow-uid={uid}", True), ("allow-uid=4000000000", False), ("allow-gid={gid}", True)],
)
async def test_connections_of_other_users_are_closed_unread(
    tmp_path, monkeypatch, option, is_let_in
) -> None:
    import os

    async def who(line: str, context: Context) -> str:
        credentials = context.via.credentials
        assert credentials is not None
        return f"{credentials.pid == os.getpid()} {credentials.uid}"

    monkeypatch.chdir(tmp_path)
    option = option.format(uid=os.geteuid(), gid=os.getegid())
    async with Server(lines.serve(who), f"unix:./s?{option}") as server:
        reader, writer = await asyncio.open_unix_connection("./s")
        expected = b"True %d\n" % os.geteuid() if is_let_in else b""
        if is_let_in:
            writer.write(b"\n")
        assert await reader.readline() == expected
        writer.close()
        dropped = server.metrics.total("dropped_total", reason="not_allowed")
        assert dropped == (0 if is_let_in else 1)


@pytest.mark.skipif(sys.platform != "linux", reason="needs SO_PEERCRED")
async def test_credentials_are_known_below_a_wrapper_too(tmp_path, monkeypatch) -> None:
    import os

    async def who(line: str, context: Context) -> str:
        assert context.via.credentials is not None
        return f"{context.via.credentials.uid} {context.peer}"

    monkeypatch.chdir(tmp_path)
    address = f"proxy+unix:./s?allow-uid={os.geteuid()}"
    async with Server(lines.serve(who), address):
        reader, writer = await asyncio.open_unix_connection("./s")
        writer.write(b"PROXY TCP4 192.0.2.1 192.0.2.2 7 53\r\n\n")
        assert await reader.readline() == b"%d 192.0.2.1:7\n" % os.geteuid()
        writer.close()


async def test_an_unknown_account_is_an_error_of_the_address(tmp_path) -> None:
    with pytest.raises(ListenError, match="no user is called no-such-user"):
        async with Server(lines.serve(upper), f"unix:{tmp_path}/s?allow-uid=no-such-user"):
            pass
    assert not (tmp_path / "s").exists()


async def test_tcp_refuses_account_options() -> None:
    number = socket.create_server(("127.0.0.1", 0)).detach()
    try:
        with pytest.raises(ListenError, match="allow-uid has no effect on"):
            async with Server(lines.serve(upper), f"fd:{number}?allow-uid=0"):
                pass
    finally:
        socket.close(number)  # it was left as it was


def test_a_limit_out_of_range_is_refused_before_anything_opens() -> None:
    with pytest.raises(UsageError, match="drain_timeout"):
        Server(lines.serve(upper), "mem:a", drain_timeout=-1)


# -- custom listeners ---------------------------------------------------------------------


class Scripted:
    """Yields connections of a memory network, errors, or its end, as a test directs."""

    transport = Transport.STREAM
    local = "mem:scripted"

    def __init__(self, spec: str = "mem:scripted") -> None:
        self.spec = ListenSpec.parse(spec)
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.closed = 0

    async def accept(self) -> Any:
        item = await self.queue.get()
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        self.closed += 1


class OneLine:
    """An accepted connection: sends a line and records the reply."""

    local = "mem:scripted"

    def __init__(self, line: bytes) -> None:
        self.peer = Peer("scripted")
        self.line = line
        self.reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def attach(self, protocol: Any) -> Any:
        line, reply = self.line, self.reply

        class Transport(asyncio.Transport):
            def write(self, data: Any) -> None:
                reply.set_result(bytes(data))

            def get_write_buffer_size(self) -> int:
                return 0

            def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None:
                pass

            def can_write_eof(self) -> bool:
                return False

            def is_closing(self) -> bool:
                return False

            def pause_reading(self) -> None:
                pass

            def close(self) -> None:
                asyncio.get_running_loop().call_soon(protocol.connection_lost, None)

        transport = Transport()
        protocol.connection_made(transport)
        buffer = protocol.get_buffer(-1)
        buffer[: len(line)] = line
        protocol.buffer_updated(len(line))
        protocol.eof_received()
        return transport

    def close(self) -> None:
        self.reply.set_result(b"closed")


async def test_a_custom_listener_is_served() -> None:
    mine = Scripted("mem:mine?name=mine")
    async with Server(lines.serve(upper), mine, "mem:b") as server:
        assert server.addresses == ["mem:scripted", "mem:b"]
        one = OneLine(b"a\n")
        mine.queue.put_nowait(one)
        assert await one.reply == b"A\n"
        assert server.metrics.total("connections_accepted_total", listener="mine") == 1
    assert mine.closed >= 1


async def test_a_memory_listener_is_served_like_a_custom_one() -> None:
    from pierhead.listener.bind.memory import MemoryStreamListener
    from pierhead.net.memory import Network

    mine = MemoryStreamListener(ListenSpec.parse("mem:own"), "own", Network.current())
    async with Server(lines.serve(upper), mine):
        assert await connect("own").ask(b"x") == b"X\n"


async def test_a_custom_listener_is_left_untouched_if_another_address_fails() -> None:
    mine = Scripted()
    for address in ("tcp:203.0.113.9:1", "memgram:x"):
        with pytest.raises(ListenError):
            async with Server(_streams_only(), mine, address):
                pass
    assert mine.closed == 0


def _streams_only() -> Any:
    from pierhead import Endpoint

    return Endpoint(name="streams", stream=lines.serve(upper).stream)


def test_an_object_that_is_not_an_address_is_refused() -> None:
    with pytest.raises(UsageError, match="expected text, a ListenSpec or a listener object"):
        Server(lines.serve(upper), 7000)  # type: ignore[arg-type]


async def test_a_server_ends_when_every_listener_has_ended(monkeypatch) -> None:
    first, second = Scripted(), Scripted()
    async with Server(lines.serve(upper), first, second) as server:
        ended = asyncio.ensure_future(server.wait_ended())
        one = OneLine(b"a\n")
        first.queue.put_nowait(one)
        first.queue.put_nowait(ListenerEnded())
        assert await one.reply == b"A\n"
        await asyncio.sleep(0)
        assert not ended.done()
        second.queue.put_nowait(ListenerEnded())
        await asyncio.wait_for(ended, 20)


async def test_datagrams_never_end() -> None:
    mine = Scripted()
    async with Server(lines.serve(upper), mine, "memgram:d") as server:
        mine.queue.put_nowait(ListenerEnded())
        ended = asyncio.ensure_future(server.wait_ended())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not ended.done()
        ended.cancel()


async def test_accepting_continues_whatever_it_raises(monkeypatch, caplog) -> None:
    monkeypatch.setattr("pierhead.server.stream._SHORTEST_BACK_OFF_S", 0.001)
    caplog.set_level(logging.WARNING)
    mine = Scripted()
    async with Server(lines.serve(upper), mine) as server:
        for error in (
            OutOfDescriptors(errno.EMFILE, "Too many open files", 3),
            ValueError("a bug of the object's own"),
            OSError(errno.ENOBUFS, "No buffer space available"),
        ):
            mine.queue.put_nowait(error)
        one = OneLine(b"a\n")
        mine.queue.put_nowait(one)
        assert await asyncio.wait_for(one.reply, 20) == b"A\n"
        assert server.metrics.total("accept_errors_total") == 3
        assert server.metrics.total("dropped_total", reason="no_descriptor") == 3
    assert len([r for r in caplog.records if "cannot accept" in r.message]) == 1


async def test_the_pause_grows_up_to_the_limit_of_the_address(monkeypatch) -> None:
    pauses: list[float] = []
    really = asyncio.sleep

    async def sleep(seconds: float) -> None:
        if seconds:
            pauses.append(seconds)
        await really(0)

    monkeypatch.setattr("pierhead.server.stream.asyncio.sleep", sleep)
    mine = Scripted("mem:mine?accept-backoff=300ms")
    async with Server(lines.serve(upper), mine):
        for _ in range(6):
            mine.queue.put_nowait(OSError(errno.EMFILE, "Too many open files"))
        while len(pauses) < 6:
            await really(0)
    expected = [0.05, 0.1, 0.2, 0.3, 0.3, 0.3]
    for pause, middle in zip(pauses, expected, strict=True):
        assert 0.75 * middle <= pause <= 1.25 * middle


async def test_an_admission_check_that_raises_closes_only_that_connection(caplog) -> None:
    class Faulty:
        def __call__(self, frame: bytes, peer: Peer, via: Any) -> None:
            return None

        def admit_connection(self, peer: Peer, via: Any) -> None:
            if via.listener == "mem:scripted" and not checked:
                checked.append(peer)
                raise ValueError("mistake")

    checked: list[Peer] = []
    from dataclasses import replace

    endpoint = replace(lines.serve(upper), admission=(Faulty(),))
    mine = Scripted()
    async with Server(endpoint, mine):
        first, second = OneLine(b"a\n"), OneLine(b"b\n")
        mine.queue.put_nowait(first)
        mine.queue.put_nowait(second)
        assert await asyncio.wait_for(first.reply, 20) == b"closed"
        assert await asyncio.wait_for(second.reply, 20) == b"B\n"
    assert "mistake" in caplog.text


async def test_an_empty_set_of_listeners_is_an_error() -> None:
    addresses = ("sd:web?optional", "sd:*?optional")
    with pytest.raises(ListenError, match="nothing is left to serve") as caught:
        async with Server(lines.serve(upper), *addresses, process_sockets=ProcessSockets({})):
            pass
    assert caught.value.address == "sd:web?optional, sd:*?optional"
    assert "optional" in caught.value.remedy


@asynccontextmanager
async def _both(*addresses: str) -> AsyncIterator[Server]:
    async with Server(lines.serve(upper), *addresses) as server:
        yield server


async def test_two_addresses_that_overlap_are_named() -> None:
    async with Server(lines.serve(upper), "tcp:127.0.0.1:0") as probe:
        port = int(probe.addresses[0].rpartition(":")[2])
    with pytest.raises(ListenError, match="this server listens there itself") as caught:
        async with _both(f"tcp:127.0.0.1:{port}", f"tcp:127.0.0.1:{port}"):
            pass
    assert f"as tcp:127.0.0.1:{port}" in caught.value.remedy
    async with _both(f"tcp:127.0.0.1:{port}", f"udp:127.0.0.1:{port}"):
        pass


# -- half-done connections, whatever serves them -----------------------------------------------


def _by_streams() -> Any:
    from pierhead import hosting

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    return hosting.streams.serve(shout)


def _by_protocol() -> Any:
    from pierhead import hosting

    class Shout(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data.upper())

    return hosting.protocol.serve(Shout)


KINDS = {
    "lines": lambda: lines.serve(upper),
    "streams": _by_streams,
    "protocol": _by_protocol,
}


@pytest.mark.parametrize("kind", KINDS)
async def test_silent_connections_of_the_same_network_are_evicted_whatever_serves_them(
    kind: str,
) -> None:
    async with Server(KINDS[kind](), "tcp:127.0.0.1:0", max_connections=8) as server:
        port = int(server.addresses[0].rpartition(":")[2])
        honest = await _talk("127.0.0.1", port)
        flood = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        late = await _talk("127.0.0.1", port)
        assert await _ask(honest) == await _ask(late) == b"X\n"
        assert server.metrics.total("dropped_total") == 0
        for _, writer in (honest, late, *flood):
            writer.close()


async def test_waiting_connections_are_in_the_systems_backlog() -> None:
    address = "tcp:127.0.0.1:0?maxconn=1&when-full=wait"
    async with Server(lines.serve(upper), address) as server:
        port = int(server.addresses[0].rpartition(":")[2])
        first = await _talk("127.0.0.1", port)
        second = await asyncio.open_connection("127.0.0.1", port)  # the system accepts it
        second[1].write(b"x\n")
        assert await _ask(first) == b"X\n"
        assert server.metrics.total("connections_accepted_total") == 1
        first[1].close()
        assert await asyncio.wait_for(second[0].readline(), 20) == b"X\n"
        second[1].close()
