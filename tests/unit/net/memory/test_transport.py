from __future__ import annotations

import asyncio
import errno

import pytest

from pierhead.address import ListenSpec
from pierhead.client.dial import dial_stream
from pierhead.errors import ConnectError, ListenError
from pierhead.listener.open import open_listeners


class Recorder(asyncio.Protocol):
    """Writes down what happens to it."""

    keeps_open = False

    def __init__(self):
        self.events = []
        self.data = b""

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def data_received(self, data):
        self.data += data

    def eof_received(self):
        self.events.append("eof")
        return self.keeps_open

    def pause_writing(self):
        self.events.append("pause")

    def resume_writing(self):
        self.events.append("resume")

    def connection_lost(self, exc):
        self.events.append(f"lost {type(exc).__name__}" if exc else "lost")


class HalfOpen(Recorder):
    keeps_open = True


class Buffered(asyncio.BufferedProtocol):
    def __init__(self):
        self.buffer = bytearray(7)
        self.data = b""

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, size):
        self.data += self.buffer[:size]


@pytest.fixture
def pair(network):
    """A function that connects mem:a to a listener mem:b and attaches two protocols."""
    listeners = []

    async def connect(near=Recorder, far=Recorder):
        listeners.extend(await open_listeners(ListenSpec.parse("mem:b")))
        near_protocol, far_protocol = near(), far()
        await dial_stream("mem:b", lambda: near_protocol, source="mem:a")
        accepted = await listeners[0].accept()
        assert (str(accepted.peer), accepted.local) == ("a", "mem:b")
        await accepted.attach(far_protocol)
        return near_protocol, far_protocol

    yield connect
    for listener in listeners:
        listener.close()


async def test_bytes_go_both_ways(pair, clock):
    near, far = await pair()
    near.transport.write(b"to ")
    near.transport.write(b"b")
    far.transport.writelines([b"to", b" a"])
    await clock.advance(0)
    assert (near.data, far.data) == (b"to a", b"to b")
    assert near.transport.get_extra_info("peername") == "b"
    assert far.transport.get_extra_info("peername") == "a"
    assert far.transport.get_extra_info("socket") is None


async def test_data_written_before_the_server_attached_is_not_lost(network, clock):
    (listener,) = await open_listeners(ListenSpec.parse("mem:b"))
    near, far = Recorder(), Recorder()
    await dial_stream("mem:b", lambda: near)
    near.transport.write(b"early")
    await clock.advance(1)
    accepted = await listener.accept()
    assert str(accepted.peer) == "client-1"
    await accepted.attach(far)
    await clock.advance(0)
    assert far.data == b"early"
    listener.close()


async def test_closing_sends_pending_output_and_then_the_end(pair, clock):
    near, far = await pair()
    near.transport.write(b"bye")
    near.transport.close()
    assert near.transport.is_closing()
    await clock.advance(0)
    assert far.data == b"bye"
    assert far.events == ["made", "eof", "lost"]
    assert near.events == ["made", "lost"]


async def test_half_a_close_leaves_the_other_way_open(pair, clock):
    near, far = await pair(far=HalfOpen)
    assert near.transport.can_write_eof()
    near.transport.write(b"question")
    near.transport.write_eof()
    with pytest.raises(RuntimeError):
        near.transport.write(b"more")
    await clock.advance(0)
    assert (far.data, far.events) == (b"question", ["made", "eof"])
    far.transport.write(b"answer")
    await clock.advance(0)
    assert near.data == b"answer"
    far.transport.close()
    await clock.advance(0)
    assert near.events == ["made", "eof", "lost"]
    assert far.events == ["made", "eof", "lost"]


async def test_abort_is_a_reset_at_the_other_side(pair, clock):
    near, far = await pair()
    near.transport.abort()
    await clock.advance(0)
    assert near.events == ["made", "lost"]
    assert far.events == ["made", "lost ConnectionResetError"]


async def test_data_from_before_a_reset_can_still_be_read(pair, clock):
    near, far = await pair()
    near.transport.write(b"last words")
    near.transport.abort()
    await clock.advance(0)
    assert far.data == b"last words"
    assert far.events == ["made", "lost ConnectionResetError"]


async def test_writing_to_a_side_that_has_closed_is_answered_with_a_reset(pair, clock):
    near, far = await pair(near=HalfOpen)
    far.transport.close()
    await clock.advance(0)
    near.transport.write(b"anybody?")
    await clock.advance(0)
    assert near.events == ["made", "eof", "lost ConnectionResetError"]


async def test_a_side_that_closes_sends_the_rest_before_it_resets_what_it_has_not_read(pair, clock):
    much = bytes(300_000)
    near, far = await pair()
    for side in (near, far):
        side.transport.pause_reading()
        side.transport.write(much)
    near.transport.close()
    await clock.advance(0)
    assert far.events == ["made", "pause"]  # alive: there is more to come
    far.transport.resume_reading()
    await clock.advance(0)
    assert far.data == much
    assert far.events == ["made", "pause", "lost ConnectionResetError"]
    assert near.events == ["made", "pause", "lost"]


async def test_a_side_with_unsent_output_is_notified_of_a_reset(pair, clock):
    near, far = await pair()
    for side in (near, far):
        side.transport.pause_reading()
        side.transport.write(bytes(300_000))
    near.transport.close()
    await clock.advance(0)
    far.transport.abort()
    await clock.advance(0)
    assert near.events == ["made", "pause", "lost ConnectionResetError"]


async def test_a_reader_that_pauses_makes_the_writer_pause(pair, clock):
    near, far = await pair()
    far.transport.pause_reading()
    assert not far.transport.is_reading()
    near.transport.set_write_buffer_limits(high=1000)
    assert near.transport.get_write_buffer_limits() == (250, 1000)
    near.transport.write(bytes(65_536))
    assert near.transport.get_write_buffer_size() == 0
    near.transport.write(bytes(1001))
    await clock.advance(0)
    assert near.events == ["made", "pause"]
    assert near.transport.get_write_buffer_size() == 1001
    assert far.data == b""
    far.transport.resume_reading()
    await clock.advance(0)
    assert near.events == ["made", "pause", "resume"]
    assert len(far.data) == 66_537


async def test_closing_waits_for_a_reader_that_pauses_and_abort_does_not(pair, clock):
    near, far = await pair()
    far.transport.pause_reading()
    near.transport.write(bytes(200_000))
    near.transport.close()
    await clock.advance(10)
    assert "lost" not in near.events
    far.transport.resume_reading()
    await clock.advance(0)
    assert near.events[-1] == "lost"
    assert len(far.data) == 200_000
    assert far.events == ["made", "eof", "lost"]


async def test_no_single_read_is_larger_than_a_sockets(pair, clock):
    sizes = []

    class Sizes(Recorder):
        def data_received(self, data):
            sizes.append(len(data))

    near, _ = await pair(far=Sizes)
    near.transport.write(bytes(150_000))
    near.transport.write(b"x")
    await clock.advance(0)
    assert sizes == [65_536, 65_536, 18_929]


async def test_a_buffered_protocol_is_filled_in_its_own_pieces(pair, clock):
    near, far = await pair(far=Buffered)
    near.transport.write(b"more than seven octets")
    await clock.advance(0)
    assert far.data == b"more than seven octets"


async def test_a_protocol_that_raises_loses_its_connection_only(pair, clock):
    class Broken(Recorder):
        def data_received(self, data):
            raise ValueError("broken on purpose")

    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, c: reported.append(c["exception"]))
    near, far = await pair(far=Broken)
    near.transport.write(b"x")
    await clock.advance(0)
    assert far.events == ["made", "lost ValueError"]
    assert near.events == ["made", "lost ConnectionResetError"]
    assert [str(error) for error in reported] == ["broken on purpose"]


async def test_a_delay_keeps_the_order(pair, network, clock):
    near, far = await pair()
    link = network.between("a", "b").delay(1.0, jitter=0.5, seed=2)
    for i in range(10):
        near.transport.write(bytes([i]))
    await clock.advance(0.9)
    assert far.data == b""
    link.delay(0.0)
    near.transport.write(bytes([10]))
    near.transport.close()
    await clock.advance(1)
    assert far.data == bytes(range(11))
    assert far.events == ["made", "eof", "lost"]


async def test_a_cut_link_resets_both_sides_and_refuses_new_connections(pair, network, clock):
    near, far = await pair()
    network.between("a", "b").cut()
    await clock.advance(0)
    assert near.events == far.events == ["made", "lost ConnectionResetError"]
    with pytest.raises(ConnectError, match="is cut") as caught:
        await dial_stream("mem:b", Recorder, source="mem:a")
    assert caught.value.errno == errno.EHOSTUNREACH
    network.between("a", "b").heal()
    (await dial_stream("mem:b", Recorder, source="mem:a")).abort()


async def test_an_absent_name_refuses(network):
    with pytest.raises(ConnectError, match="no listener on mem:b"):
        await dial_stream("mem:b", Recorder)


async def test_a_name_is_taken_once_for_streams_and_once_for_datagrams(network):
    (stream,) = await open_listeners(ListenSpec.parse("mem:b"))
    (datagram,) = await open_listeners(ListenSpec.parse("memgram:b"))
    with pytest.raises(ListenError, match=r"mem:b: open: .*already has an end called 'b'"):
        await open_listeners(ListenSpec.parse("mem:b"))
    stream.close()
    datagram.close()


async def test_a_connection_that_is_never_served_is_reset(network, clock):
    (listener,) = await open_listeners(ListenSpec.parse("mem:b"))
    refused, waiting = Recorder(), Recorder()
    await dial_stream("mem:b", lambda: refused)
    (await listener.accept()).close()
    await dial_stream("mem:b", lambda: waiting)
    listener.close()
    await clock.advance(0)
    assert refused.events == waiting.events == ["made", "lost ConnectionResetError"]


async def test_a_cancelled_accept_loses_no_connection(network, clock):
    (listener,) = await open_listeners(ListenSpec.parse("mem:b"))
    accepting = asyncio.create_task(listener.accept())
    await clock.advance(0)
    transport = await dial_stream("mem:b", Recorder)
    accepting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await accepting
    (await listener.accept()).close()
    transport.abort()
    listener.close()


async def test_a_full_backlog_refuses(network):
    (listener,) = await open_listeners(ListenSpec.parse("mem:b"))
    for _ in range(128):
        await dial_stream("mem:b", Recorder)
    with pytest.raises(ConnectError, match="backlog"):
        await dial_stream("mem:b", Recorder)
    listener.close()


async def test_closing_ends_a_waiting_accept(network, clock):
    (listener,) = await open_listeners(ListenSpec.parse("mem:b"))
    accepting = asyncio.create_task(listener.accept())
    await clock.advance(0)
    listener.close()
    listener.close()
    with pytest.raises(OSError, match="mem:b is closed"):
        await accepting


async def test_asyncio_streams_work_over_it(network, clock):
    (listener,) = await open_listeners(ListenSpec.parse("mem:b"))
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport = await dial_stream("mem:b", lambda: protocol)
    writer = asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
    far = Recorder()
    await (await listener.accept()).attach(far)
    writer.write(b"hello")
    await writer.drain()
    far.transport.write(b"world")
    assert await reader.readexactly(5) == b"world"
    writer.close()
    await writer.wait_closed()
    assert far.data == b"hello"
    listener.close()
