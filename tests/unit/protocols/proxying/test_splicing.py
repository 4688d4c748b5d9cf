"""Octets pass from socket to socket through a pipe."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import pytest

from pierhead.protocols.proxying.splicing import Pipes, Splice, can_splice

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="splice(2) is Linux's")


class Ends:
    """A splice between two pairs of sockets."""

    def __init__(self) -> None:
        self.into, source = socket.socketpair()
        sink, self.out = socket.socketpair()
        self.own = (source, sink)
        for one in (self.into, self.out, *self.own):
            one.setblocking(False)
        self.pipes = Pipes()
        self.moved = 0
        self.ended: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
        self.splice = Splice(
            source.fileno(), sink.fileno(), self.pipes, self._moved, self.ended.set_result
        )
        self.splice.start()

    def _moved(self, size: int) -> None:
        self.moved += size

    async def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += await asyncio.get_running_loop().sock_recv(self.out, 65536)
        return data

    def close(self) -> None:
        self.splice.stop()
        self.pipes.close()
        for one in (self.into, self.out, *self.own):
            one.close()


@pytest.fixture
async def ends():
    made = Ends()
    yield made
    made.close()


async def test_octets_pass_and_an_idle_splice_has_no_pipe(ends: Ends) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        ends.into.send(b"hello")
        assert await ends.read(5) == b"hello"
    assert ends.moved == ends.splice.handed_over == 15
    assert len(os.listdir("/proc/self/fd")) == before + 2  # one pipe, kept for the next


async def test_the_end_comes_after_the_last_octet(ends: Ends) -> None:
    ends.into.send(b"last")
    ends.into.shutdown(socket.SHUT_WR)
    assert await asyncio.wait_for(ends.ended, 5) is None
    assert await ends.read(4) == b"last"


async def test_a_full_sink_stops_the_source_until_it_has_room(ends: Ends) -> None:
    data = os.urandom(4 << 20)
    sending = asyncio.ensure_future(asyncio.get_running_loop().sock_sendall(ends.into, data))
    for _ in range(1000):
        await asyncio.sleep(0)
    assert not sending.done()
    assert ends.splice.held <= 1 << 20
    assert await ends.read(len(data)) == data
    await sending
    assert ends.splice.held == 0


async def test_a_sink_that_is_gone_ends_it_with_an_error(ends: Ends) -> None:
    ends.out.close()
    ends.into.send(b"x")
    assert isinstance(await asyncio.wait_for(ends.ended, 5), OSError)


async def test_what_is_no_plain_socket_is_not_spliced() -> None:
    assert not can_splice(asyncio.BaseTransport())
