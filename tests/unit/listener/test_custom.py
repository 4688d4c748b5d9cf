"""Listeners of a program's own: by subclass and by functions, streams and datagrams."""

from __future__ import annotations

import asyncio
import errno
import itertools
from typing import Any

import pytest

from pierhead import Context, Peer, Server, raw
from pierhead.errors import UsageError
from pierhead.failure_log import Where
from pierhead.listener.base import ListenerEnded
from pierhead.listener.custom import (
    CustomConnection,
    CustomDatagramListener,
    CustomStreamListener,
)
from pierhead.protocols import lines

_DEVICES = itertools.count()


class Wire:
    """One connection as a program may have it: two queues."""

    def __init__(self, *lines: bytes) -> None:
        self.asked: asyncio.Queue[bytes] = asyncio.Queue()
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed = 0
        for line in lines:
            self.asked.put_nowait(line)

    async def write(self, octets: bytes) -> None:
        self.answers.put_nowait(octets)

    def close(self) -> None:
        self.closed += 1


async def name_peer(line: str, context: Context) -> str:
    return f"{line} {context.peer} {context.via.local} {context.via.scheme}"


class Wires(CustomStreamListener):
    """By subclass."""

    def __init__(self) -> None:
        super().__init__("mem:wires?name=wires")
        self.plugged: asyncio.Queue[Wire] = asyncio.Queue()

    async def accept(self) -> CustomConnection:
        wire = await self.plugged.get()
        return CustomConnection(wire.asked.get, wire.write, peer="ann", close=wire.close)


def by_functions() -> tuple[CustomStreamListener, asyncio.Queue[Wire]]:
    plugged: asyncio.Queue[Wire] = asyncio.Queue()

    async def accept() -> CustomConnection:
        wire = await plugged.get()
        return CustomConnection(wire.asked.get, wire.write, peer="ann", close=wire.close)

    return CustomStreamListener("mem:wires?name=wires", accept), plugged


@pytest.mark.parametrize("make", [lambda: (w := Wires(), w.plugged), by_functions])
async def test_connections_of_coroutines_are_served_to_their_end(make) -> None:
    listener, plugged = make()
    wire = Wire(b"a\nb", b"c\n")
    async with Server(lines.serve(name_peer), listener) as server:
        plugged.put_nowait(wire)
        answers = b""
        while answers.count(b"\n") < 2:
            answers += await asyncio.wait_for(wire.answers.get(), 10)
        assert answers == b"a ann mem:wires mem\nbc ann mem:wires mem\n"
        wire.asked.put_nowait(b"")
        while not wire.closed:
            await asyncio.sleep(0)
        assert server.metrics.total("connections_accepted_total", listener="wires") == 1
        assert server.addresses == ["mem:wires"]
    assert wire.closed == 1


async def test_a_connection_that_is_not_served_is_closed_once() -> None:
    wire = Wire()
    connection = CustomConnection(
        wire.asked.get, wire.write, peer=("192.0.2.1", 5), close=wire.close
    )
    connection.close()
    connection.close()
    assert wire.closed == 1
    assert str(connection.peer) == "192.0.2.1:5"
    CustomConnection(wire.asked.get, wire.write, peer="b").close()  # with nothing to let go


async def test_an_exception_of_write_ends_only_its_connection(caplog) -> None:
    async def broken(octets: bytes) -> None:
        raise OSError(errno.EPIPE, "unplugged")

    async def mistaken(octets: bytes) -> None:
        raise ValueError("a mistake")

    listener, _ = by_functions()
    good = Wire(b"a\n")
    connections: list[CustomConnection] = []
    for write in (broken, mistaken, good.write):
        wire = Wire(b"a\n")
        read = good.asked.get if write == good.write else wire.asked.get
        connections.append(CustomConnection(read, write, peer="b"))
    left = iter(connections)

    async def accept() -> CustomConnection:
        for connection in left:
            return connection
        raise ListenerEnded

    listener = CustomStreamListener("mem:wires", accept)
    async with Server(lines.serve(name_peer), listener) as server:
        assert await asyncio.wait_for(good.answers.get(), 10) == b"a b mem:wires mem\n"
        while server.metrics.total("connections_closed_total") < 2:
            await asyncio.sleep(0)
    (line,) = caplog.messages
    assert line.startswith("connection of b: write(): service failed: ValueError: a mistake at ")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (ValueError("a\nb"), r"ValueError: a\nb at "),
        (KeyError("k"), "KeyError: 'k' at "),
        ("text", "TypeError: read() returned str, expected bytes at "),
        (5, "TypeError: read() returned int, expected bytes at "),
        (OSError(errno.EIO, "unplugged"), None),
        (TimeoutError(), None),
        (b"", None),
        (None, None),
    ],
    ids=repr,
)
async def test_a_mistake_of_read_is_one_line_and_one_connection(given, told, caplog) -> None:
    closed: list[str] = []

    async def read() -> object:
        if isinstance(given, Exception):
            raise given
        return given

    async def write(octets: bytes) -> None:
        raise AssertionError("there is nothing to say")

    peer = f"device {next(_DEVICES)}"  # failures of one place and name are told once a second
    broken: Any = CustomConnection(read, write, peer=peer, close=lambda: closed.append("broken"))
    good = Wire(b"a\n")
    left = iter([broken, CustomConnection(good.asked.get, good.write, peer="b")])

    async def accept() -> CustomConnection:
        for connection in left:
            return connection
        raise ListenerEnded

    heard: list[tuple[str, object, str]] = []
    listener = CustomStreamListener("mem:wires", accept)

    def hears(error: BaseException, where: Where) -> None:
        heard.append((str(where), where.peer, type(error).__name__))

    async with Server(lines.serve(name_peer), listener, on_error=hears) as server:
        assert await asyncio.wait_for(good.answers.get(), 10) == b"a b mem:wires mem\n"
        async with asyncio.timeout(10):
            while not closed:
                await asyncio.sleep(0)
        assert server.metrics.total("connections_closed_total") == 1
    assert closed == ["broken"]
    shown = [record for record in caplog.records if record.levelname != "DEBUG"]
    assert [record.getMessage().count("\n") for record in shown] == [0] * (told is not None)
    assert all(not record.exc_info for record in shown)
    told_of = [] if told is None else [("read", Peer(peer), told.partition(":")[0])]
    assert heard == told_of
    if told is not None:
        begin = f"connection of {peer}: read(): service failed: {told}"
        assert shown[0].getMessage().startswith(begin)


# -- datagrams -----------------------------------------------------------------------------------


async def reverse(datagram: bytes, context: Context) -> bytes:
    return datagram[::-1] + str(context.peer).encode()


class Bus:
    def __init__(self) -> None:
        self.asked: asyncio.Queue[object] = asyncio.Queue()
        self.sent: asyncio.Queue[tuple[bytes, object]] = asyncio.Queue()
        self.raises: list[Exception] = []

    async def receive(self):
        asked = await self.asked.get()
        if isinstance(asked, Exception):
            raise asked
        return asked

    def send(self, datagram: bytes, to: object) -> None:
        if self.raises:
            raise self.raises.pop(0)
        self.sent.put_nowait((datagram, to))


class BusListener(CustomDatagramListener):
    def __init__(self, bus: Bus) -> None:
        super().__init__("memgram:bus")
        self._bus = bus

    async def receive(self):
        return await self._bus.receive()

    def send(self, datagram: bytes, to: object) -> None:
        self._bus.send(datagram, to)


@pytest.mark.parametrize(
    "make",
    [BusListener, lambda bus: CustomDatagramListener("memgram:bus", bus.receive, bus.send)],
)
async def test_datagrams_of_functions_are_answered(make) -> None:
    bus = Bus()
    async with Server(raw(reverse), make(bus)) as server:
        bus.asked.put_nowait((b"abc", "ann"))
        bus.asked.put_nowait((bytearray(b"de"), 7))  # a peer may be anything
        assert await asyncio.wait_for(bus.sent.get(), 10) == (b"cbaann", "ann")
        assert await asyncio.wait_for(bus.sent.get(), 10) == (b"ed7", 7)
        assert server.metrics.total("datagrams_received_total") == 2


@pytest.mark.parametrize(
    "fault",
    [OSError(errno.ENETDOWN, "down"), ValueError("a mistake"), (b"no peer",), ("text", "ann")],
    ids=repr,
)
async def test_receiving_continues_after_an_error(fault) -> None:
    bus, heard = Bus(), []
    listener = CustomDatagramListener("memgram:bus", bus.receive, bus.send)
    endpoint = raw(reverse)
    async with Server(endpoint, listener, on_error=lambda *a, **k: heard.append(a[0])) as server:
        bus.asked.put_nowait(fault)
        bus.asked.put_nowait((b"abc", "ann"))
        assert await asyncio.wait_for(bus.sent.get(), 10) == (b"cbaann", "ann")
        assert server.metrics.total("receive_errors_total") == 1
    assert len(heard) == 1


async def test_a_send_without_room_is_retried_and_a_failed_one_counted() -> None:
    bus = Bus()
    heard: list[BaseException] = []

    def hears(error: BaseException, where: Where) -> None:
        assert (str(where), where.listener, where.peer) == ("write", "memgram:bus", Peer("ann"))
        heard.append(error)

    listener = CustomDatagramListener("memgram:bus", bus.receive, bus.send)
    async with Server(raw(reverse), listener, on_error=hears) as server:
        bus.raises = [BlockingIOError()]
        bus.asked.put_nowait((b"a", "ann"))
        assert await asyncio.wait_for(bus.sent.get(), 10) == (b"aann", "ann")
        bus.raises = [OSError(errno.EMSGSIZE, "long"), ValueError("a mistake")]
        for _ in range(3):
            bus.asked.put_nowait((b"a", "ann"))
        assert await asyncio.wait_for(bus.sent.get(), 10) == (b"aann", "ann")
        dropped = server.metrics.total
        assert dropped("dropped_total", reason="reply_too_large") == 1
        assert dropped("dropped_total", reason="send_error") == 1
    # A mistake, and the loss of its datagram.
    assert [type(error).__name__ for error in heard] == ["OSError", "ValueError", "OSError"]


async def test_a_mistake_of_close_reaches_the_log_and_on_error(caplog) -> None:
    wire = Wire(b"a\n")
    heard: list[tuple[str, str]] = []

    def close() -> None:
        raise KeyError("no such wire")

    peer = f"device {next(_DEVICES)}"
    left = iter([CustomConnection(wire.asked.get, wire.write, peer=peer, close=close)])

    async def accept() -> CustomConnection:
        for connection in left:
            return connection
        raise ListenerEnded

    def hears(error: BaseException, where: Where) -> None:
        heard.append((str(where), repr(error)))

    listener = CustomStreamListener("mem:wires", accept)
    async with Server(lines.serve(name_peer), listener, on_error=hears):
        await asyncio.wait_for(wire.answers.get(), 10)
    assert heard == [("close", "KeyError('no such wire')")]
    shown = [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"]
    assert [line.partition(" at ")[0] for line in shown] == [
        f"connection of {peer}: close(): service failed: KeyError: 'no such wire'"
    ]


async def test_a_bus_that_ends_leaves_the_server_serving_other_addresses() -> None:
    bus = Bus()
    listener = CustomDatagramListener("memgram:bus", bus.receive, bus.send)
    async with Server(raw(reverse), listener, "memgram:other"):
        bus.asked.put_nowait((b"a", "ann"))
        bus.asked.put_nowait(ListenerEnded())
        assert await asyncio.wait_for(bus.sent.get(), 10) == (b"aann", "ann")


async def test_missing_methods_are_refused_before_anything_is_served() -> None:
    async def send(datagram: bytes, to: object) -> None: ...

    async def receive() -> tuple[bytes, object]:
        raise AssertionError

    with pytest.raises(UsageError, match="CustomStreamListener has no accept; override it"):
        CustomStreamListener("mem:a")
    with pytest.raises(UsageError, match="CustomDatagramListener has no receive"):
        CustomDatagramListener("memgram:a", send=print)
    with pytest.raises(UsageError, match="CustomDatagramListener has no send"):
        CustomDatagramListener("memgram:a", receive)
    with pytest.raises(UsageError, match="send is async"):
        CustomDatagramListener("memgram:a", receive, send)


def test_an_accept_that_is_no_coroutine_function_is_refused() -> None:
    def accept() -> int:
        return 5

    with pytest.raises(UsageError, match="accept is a plain function; write it with 'async def'"):
        CustomStreamListener("mem:ports", accept)  # type: ignore[arg-type]


async def test_an_accept_that_returns_something_else_is_reported_and_accepting_goes_on() -> None:
    given: list[object] = [5, None, ("a", "b")]
    heard: list[BaseException] = []
    wire = Wire(b"hello\n")

    async def accept() -> object:
        if given:
            return given.pop()
        if wire is not None and not heard_all.is_set():
            heard_all.set()
            return CustomConnection(wire.asked.get, wire.write, peer="ann", close=wire.close)
        return await asyncio.get_running_loop().create_future()

    heard_all = asyncio.Event()
    listener = CustomStreamListener("mem:ports", accept)  # type: ignore[arg-type]
    endpoint = lines.serve(name_peer)
    async with Server(endpoint, listener, on_error=lambda error, where: heard.append(error)):
        async with asyncio.timeout(10):
            assert await wire.answers.get() == b"hello ann mem:ports mem\n"
    assert len(heard) == 3
