"""`on_accept`: which connections it is called with, what it may do, and what its failures cost."""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pierhead import Lines, Server, WireFormat, run, serve
from pierhead.errors import UsageError
from pierhead.failure_log import Where
from pierhead.net.memory import connect_memory
from pierhead.protocols import lines
from pierhead.protocols.lines.wire import Text
from pierhead.service.admission import allow

HERE = "tcp:127.0.0.1:0"


async def upper(line: str, context: Any) -> str:
    return line.upper()


@asynccontextmanager
async def connected(server: Server) -> Any:
    async with asyncio.timeout(20):
        port = int(server.addresses[0].rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.close()


async def ask(server: Server) -> bytes:
    """Return the reply on a new connection, or nothing if it is closed."""
    async with connected(server) as (reader, writer):
        writer.write(b"ahoy\n")
        try:
            return await reader.readline()
        except ConnectionResetError:
            return b""


async def test_socket_options_set_by_on_accept_stay_in_effect() -> None:
    sockets: list[socket.socket] = []

    def prefer(sock: socket.socket, peer: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 7_000)
        sockets.append(sock)

    async with Server(lines.serve(upper), HERE, on_accept=prefer) as server:
        async with connected(server) as (reader, writer):
            writer.write(b"ahoy\n")
            assert await reader.readline() == b"AHOY\n"
            (sock,) = sockets
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7_000


async def test_an_exception_in_on_accept_is_reported_and_closes_only_its_connection(
    caplog: Any,
) -> None:
    heard: list[tuple[BaseException, Where]] = []
    calls = 0

    def refuse_the_first(sock: socket.socket, peer: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise LookupError("no such\nuser")

    async with Server(
        lines.serve(upper),
        f"{HERE}?name=public",
        on_accept=refuse_the_first,
        on_error=lambda error, where: heard.append((error, where)),
    ) as server:
        async with connected(server) as (reader, writer):
            assert await reader.read() == b""
            name = writer.get_extra_info("sockname")
        assert await ask(server) == b"AHOY\n"
        ((error, where),) = heard
        assert (type(error), str(where), where.listener) == (LookupError, "on_accept", "public")
        assert where.peer is not None
        assert (where.peer.host, where.peer.port) == name
        assert server.metrics.total("dropped_total", reason="on_accept_error") == 1
        assert server.metrics.total("connections_accepted_total") == 2
    (line,) = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert "public: on_accept" in line
    assert "\n" not in line


@pytest.mark.parametrize("leave", [socket.socket.close, socket.socket.detach])
async def test_a_connection_that_on_accept_closes_or_detaches_is_not_served(leave: Any) -> None:
    taken: list[int] = []

    def decline(sock: socket.socket, peer: Any) -> None:
        if (number := leave(sock)) is not None:
            taken.append(number)

    async with Server(lines.serve(upper), HERE, on_accept=decline) as server:
        async with connected(server) as (reader, _):
            for number in await until(taken, leave is socket.socket.detach):
                socket.socket(fileno=number).close()
            assert await reader.read() == b""
        assert server.metrics.total("dropped_total", reason="on_accept") == 1
        assert server.in_flight == 0
    assert not server.lost


async def until(taken: list[int], is_taken: bool) -> list[int]:
    while is_taken and not taken:
        await asyncio.sleep(0)
    return taken


@pytest.mark.parametrize("transport", ["unix", "unixseq"])
async def test_closing_in_on_accept_works_for_every_transport(
    transport: str, tmp_path: Any
) -> None:
    kind = socket.SOCK_STREAM if transport == "unix" else socket.SOCK_SEQPACKET
    where = str(tmp_path / "s")

    def decline(sock: socket.socket, peer: Any) -> None:
        sock.close()

    async with Server(lines.serve(upper), f"{transport}:{where}", on_accept=decline) as server:
        with socket.socket(socket.AF_UNIX, kind) as client:
            client.connect(where)
            client.setblocking(False)
            async with asyncio.timeout(20):
                assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        assert server.metrics.total("dropped_total", reason="on_accept") == 1


async def test_on_accept_is_not_called_for_refused_connections() -> None:
    told: list[Any] = []
    endpoint = serve(upper, WireFormat(Lines(), Text()), admission=[allow("192.0.2.0/24")])
    async with Server(endpoint, HERE, on_accept=lambda *call: told.append(call)) as server:
        assert await ask(server) == b""
    limits: Any = {"max_connections": 1, "when_full": "refuse"}
    async with Server(
        lines.serve(upper), HERE, on_accept=lambda *call: told.append(call), **limits
    ) as server:
        async with connected(server) as (reader, writer):
            writer.write(b"ahoy\n")
            assert await reader.readline() == b"AHOY\n"
            assert await ask(server) == b""
    assert len(told) == 1


@pytest.mark.parametrize("address", [HERE, f"proxy+{HERE}?proxy.from=127.0.0.1"])
async def test_an_admission_check_of_connections_that_raises_is_counted_too(address: str) -> None:
    class Faulty:
        def __call__(self, frame: bytes, peer: Any, via: Any) -> None:
            return None

        def admit_connection(self, peer: Any, via: Any) -> None:
            raise LookupError("a mistake")

    endpoint = serve(upper, WireFormat(Lines(), Text()), admission=[Faulty()])
    heard: list[str] = []
    async with Server(endpoint, address, on_error=lambda _, where: heard.append(where)) as server:
        async with connected(server) as (reader, writer):
            if address != HERE:
                writer.write(b"PROXY TCP4 192.0.2.7 192.0.2.1 7000 80\r\n")
            assert await reader.read() == b""
        assert server.metrics.total("dropped_total", reason="admission_error") == 1
    assert heard == ["admission"]


async def test_a_connection_in_memory_is_served_without_on_accept() -> None:
    class Client(asyncio.Protocol):
        def __init__(self) -> None:
            self.answer = asyncio.get_running_loop().create_future()

        def connection_made(self, transport: Any) -> None:
            transport.write(b"ahoy\n")

        def data_received(self, data: bytes) -> None:
            self.answer.set_result(data)

        def connection_lost(self, exc: Exception | None) -> None:
            if not self.answer.done():
                self.answer.set_result(b"")

    told: list[Any] = []
    async with Server(
        lines.serve(upper), "mem:a", on_accept=lambda *call: told.append(call)
    ) as server:
        client = Client()
        connect_memory("a", client, None)
        async with asyncio.timeout(20):
            assert await client.answer == b"AHOY\n"
        assert (told, server.metrics.total("connections_accepted_total")) == ([], 1)


class Awaited:
    async def __call__(self, first: Any, second: Any) -> None:
        """Do nothing."""


async def coroutine(first: Any, second: Any) -> None:
    """Do nothing."""


async def stream(first: Any, second: Any) -> Any:
    yield first


NOT_PLAIN = [coroutine, stream, Awaited(), functools.partial(coroutine), Awaited().__call__]


@pytest.mark.parametrize("keyword", ["on_accept", "on_error"])
@pytest.mark.parametrize("function", NOT_PLAIN)
def test_an_async_callback_is_refused(keyword: str, function: Any) -> None:
    given: Any = {keyword: function}
    with pytest.raises(UsageError, match=rf"{keyword} is called and not awaited, and .* is async"):
        Server(lines.serve(upper), HERE, **given)


@pytest.mark.parametrize("keyword", ["on_accept", "on_error"])
@pytest.mark.parametrize("given", ["print", 7, []])
def test_a_callback_that_is_not_callable_is_refused(keyword: str, given: Any) -> None:
    both: Any = {keyword: given}
    with pytest.raises(UsageError, match=rf"{keyword} is .*, expected a function"):
        Server(lines.serve(upper), HERE, **both)


@pytest.mark.parametrize("function", [print, functools.partial(print), dict.update, Where])
def test_any_plain_callable_is_accepted(function: Any) -> None:
    Server(lines.serve(upper), HERE, on_accept=function, on_error=function)


def test_run_passes_on_accept_on(capsys: pytest.CaptureFixture[str]) -> None:
    given: Any = {"on_accept": 7}
    with pytest.raises(SystemExit) as ended:
        run(lines.serve(upper), HERE, **given)
    assert ended.value.code == 2
    assert "on_accept is 7, expected a function" in capsys.readouterr().err


async def test_the_fixture_passes_on_accept_on(server: Any) -> None:
    with pytest.raises(UsageError, match="on_accept is 7, expected a function"):
        await server(lines.serve(upper), "mem:a", on_accept=7)
