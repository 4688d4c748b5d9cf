"""The transport of our own: seqpacket, streams of unusual families, pairs of pipes."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from pierhead.net.transport.channel import PacketChannel, PipeChannel, StreamChannel
from pierhead.net.transport.channel_transport import ChannelTransport

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs Unix sockets")


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def on_loop(request) -> Callable[[Any], Any]:
    """Runs a coroutine on each kind of event loop."""

    def run(main: Any) -> Any:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(main)

    return run


class Recorder(asyncio.Protocol):
    """Writes down everything that happens."""

    def __init__(self, *, keeps_half_open: bool = True) -> None:
        self.events: list[Any] = []
        self.news = asyncio.Event()
        self.keeps_half_open = keeps_half_open
        self.gone = asyncio.get_running_loop().create_future()
        self.paused = False

    def note(self, event: Any) -> None:
        self.events.append(event)
        self.news.set()

    def connection_made(self, transport: Any) -> None:
        self.note("made")

    def data_received(self, data: bytes) -> None:
        self.note(data)

    def eof_received(self) -> bool:
        self.note("eof")
        return self.keeps_half_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set_result(exc)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.note("resumed")

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 20)


class Buffered(asyncio.BufferedProtocol):
    """Takes messages into a buffer of 4 octets."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.cut_off = 0
        self.news = asyncio.Event()

    def get_buffer(self, sizehint: int) -> bytearray:
        self.buffer = bytearray(4)
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.got.append(bytes(self.buffer[:nbytes]))
        self.news.set()

    def message_cut_off(self) -> None:
        self.cut_off += 1


def packet_pair() -> tuple[socket.socket, socket.socket]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    far.settimeout(20)
    return near, far


def over(sock: socket.socket, protocol: Any) -> ChannelTransport:
    packets = sock.type == socket.SOCK_SEQPACKET
    channel = PacketChannel(sock) if packets else StreamChannel(sock)
    return ChannelTransport(asyncio.get_running_loop(), channel, protocol)


linux = pytest.mark.skipif(sys.platform != "linux", reason="needs seqpacket")


@linux
def test_every_packet_is_one_message_both_ways_an_empty_one_too(on_loop) -> None:
    async def main() -> None:
        near, far = packet_pair()
        with far:
            protocol = Recorder()
            transport = over(near, protocol)
            for packet in (b"a", b"", b"bc"):
                far.send(packet)
            await protocol.until(lambda: protocol.events == ["made", b"a", b"", b"bc"])
            for packet in (b"x", b"", b"yz"):
                transport.write(packet)
            assert [far.recv(10) for _ in range(3)] == [b"x", b"", b"yz"]
            transport.close()
            assert await protocol.gone is None

    on_loop(main())


@linux
def test_the_end_of_input_is_distinguished_from_an_empty_packet(on_loop) -> None:
    async def main() -> None:
        near, far = packet_pair()
        with far:
            protocol = Recorder()
            transport = over(near, protocol)
            far.send(b"")
            await protocol.until(lambda: protocol.events == ["made", b""])
            far.shutdown(socket.SHUT_WR)
            await protocol.until(lambda: protocol.events[-1] == "eof")
            transport.write(b"still")
            assert far.recv(10) == b"still"
            transport.write_eof()
            assert far.recv(10) == b""
            transport.close()
            await protocol.gone

    on_loop(main())


@linux
def test_a_packet_larger_than_the_buffer_is_truncated_and_reported(on_loop) -> None:
    async def main() -> None:
        near, far = packet_pair()
        with far:
            protocol = Buffered()
            transport = over(near, protocol)
            far.send(b"12345")
            far.send(b"1234")
            await asyncio.wait_for(protocol.news.wait(), 20)
            assert (protocol.got, protocol.cut_off) == ([b"1234"], 1)
            transport.abort()
            await asyncio.sleep(0)

    on_loop(main())


@linux
def test_a_packet_that_can_never_be_sent_ends_the_connection(on_loop) -> None:
    async def main() -> None:
        near, far = packet_pair()
        with far:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            protocol = Recorder()
            over(near, protocol).write(bytes(1_000_000))
            error = await protocol.gone
            assert error.errno == errno.EMSGSIZE

    on_loop(main())


@pytest.mark.parametrize(
    "kind", [socket.SOCK_STREAM, pytest.param(socket.SOCK_SEQPACKET, marks=linux)]
)
def test_a_slow_reader_makes_the_writer_pause_and_loses_nothing(on_loop, kind) -> None:
    async def main() -> None:
        near, far = socket.socketpair(socket.AF_UNIX, kind)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        with far:
            protocol = Recorder()
            transport = over(near, protocol)
            transport.set_write_buffer_limits(high=10_000)
            sent = [bytes([n]) * 1000 for n in range(100)]
            for piece in sent:
                transport.write(piece)
            assert protocol.paused
            assert transport.get_write_buffer_size() > 10_000
            transport.write_eof()
            got = await asyncio.to_thread(lambda: list(iter(lambda: far.recv(1000), b"")))
            assert b"".join(got) == b"".join(sent)
            assert "resumed" in protocol.events
            assert transport.get_write_buffer_size() == 0
            transport.close()
            await protocol.gone

    on_loop(main())


def test_closing_sends_pending_output_and_aborting_does_not(on_loop) -> None:
    async def main(end: str) -> int:
        near, far = socket.socketpair()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        with far:
            protocol = Recorder()
            transport = over(near, protocol)
            transport.write(bytes(200_000))
            getattr(transport, end)()
            assert transport.is_closing()
            transport.write(b"too late")
            got = await asyncio.to_thread(lambda: list(iter(lambda: far.recv(65_536), b"")))
            await protocol.gone
            return sum(map(len, got))

    assert on_loop(main("close")) == 200_000
    assert on_loop(main("abort")) < 200_000


def test_a_protocol_may_pause_its_reading(on_loop) -> None:
    async def main() -> None:
        near, far = socket.socketpair()
        with far:
            protocol = Recorder()
            transport = over(near, protocol)
            transport.pause_reading()
            transport.pause_reading()
            assert not transport.is_reading()
            far.send(b"a")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert protocol.events == ["made"]
            transport.resume_reading()
            assert transport.is_reading()
            await protocol.until(lambda: protocol.events == ["made", b"a"])
            transport.abort()
            assert await protocol.gone is None

    on_loop(main())


def test_a_protocol_that_does_not_stay_half_open_is_closed_at_the_end_of_input(on_loop) -> None:
    async def main() -> None:
        near, far = socket.socketpair()
        protocol = Recorder(keeps_half_open=False)
        transport = over(near, protocol)
        far.close()
        assert await protocol.gone is None
        assert transport.is_closing()

    on_loop(main())


def test_a_reset_is_the_error_the_protocol_gets(on_loop) -> None:
    async def main() -> None:
        near, far = socket.socketpair()
        protocol = Recorder()
        transport = over(near, protocol)
        far.close()
        transport.write(b"x")
        assert isinstance(await protocol.gone, BrokenPipeError)

    on_loop(main())


def test_a_protocol_that_raises_loses_its_connection(on_loop) -> None:
    class Raises(Recorder):
        def data_received(self, data: bytes) -> None:
            raise ValueError("mistake")

    async def main() -> None:
        told = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        near, far = socket.socketpair()
        with far:
            protocol = Raises()
            over(near, protocol)
            far.send(b"x")
            assert isinstance(await protocol.gone, ValueError)
            assert [str(context["exception"]) for context in told] == ["mistake"]

    on_loop(main())


def test_two_pipes_are_one_connection_and_get_their_blocking_back(on_loop) -> None:
    async def main() -> None:
        reading, asks = os.pipe()
        answers, writing = os.pipe()
        kept = [os.dup(reading), os.dup(writing)]  # another process has them too
        protocol = Recorder()
        channel = PipeChannel(reading, writing)
        transport = ChannelTransport(asyncio.get_running_loop(), channel, protocol)
        assert transport.get_extra_info("pipe") == (reading, writing)
        os.write(asks, b"q")
        await protocol.until(lambda: b"q" in protocol.events)
        transport.write(b"a")
        assert os.read(answers, 10) == b"a"
        os.close(asks)
        await protocol.until(lambda: "eof" in protocol.events)
        assert not os.get_blocking(kept[0])
        transport.close()
        await protocol.gone
        await asyncio.sleep(0)
        assert [os.get_blocking(number) for number in kept] == [True, True]
        for number in (*kept, answers):
            os.close(number)

    on_loop(main())


def test_a_plain_file_is_read_by_turns(on_loop, tmp_path) -> None:
    asks, answers = tmp_path / "asks", tmp_path / "answers"
    asks.write_bytes(b"q" * 100_000)

    async def main() -> None:
        protocol = Recorder()
        ends = os.open(asks, os.O_RDONLY), os.open(answers, os.O_WRONLY | os.O_CREAT)
        transport = ChannelTransport(asyncio.get_running_loop(), PipeChannel(*ends), protocol)
        transport.pause_reading()
        await asyncio.sleep(0)
        assert protocol.events == ["made"]
        transport.resume_reading()
        await protocol.until(lambda: "eof" in protocol.events)
        assert sum(map(len, protocol.events[1:-1])) == 100_000
        transport.write(b"a")
        transport.close()
        await protocol.gone

    on_loop(main())
    assert answers.read_bytes() == b"a"
