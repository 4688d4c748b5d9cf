from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import socket

import pytest
import uvloop

from pierhead.address import ListenSpec
from pierhead.listener.open import open_listeners
from pierhead.listener.stream import SocketStreamListener, StreamSettings


class Recorder(asyncio.Protocol):
    def __init__(self):
        self.events = []
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def data_received(self, data):
        self.events.append(data)
        self.transport.write(data.upper())

    def connection_lost(self, exc):
        self.lost.set_result(exc)


def run(main, factory):
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    gc.collect()  # what is left open is a ResourceWarning, and so an error


both_loops = pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])


async def listen(address="tcp:127.0.0.1:0"):
    (listener,) = await open_listeners(ListenSpec.parse(address))
    return listener, int(listener.local.rpartition(":")[2])


@both_loops
def test_a_connection_is_accepted_attached_and_served(factory):
    async def main():
        listener, port = await listen()
        accepting = asyncio.create_task(listener.accept())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        accepted = await accepting
        name = writer.get_extra_info("sockname")
        assert (str(accepted.peer), accepted.local) == (f"127.0.0.1:{name[1]}", listener.local)
        protocol = Recorder()
        transport = await accepted.attach(protocol)
        assert protocol.events == ["made"]
        accepted.close()  # no longer its business
        writer.write(b"abc")
        assert await reader.readexactly(3) == b"ABC"
        assert not transport.is_closing()
        writer.close()
        assert await protocol.lost is None
        await writer.wait_closed()
        listener.close()

    run(main, factory)


@both_loops
@pytest.mark.parametrize(("option", "expected"), [("nodelay", 1), ("nodelay=off", 0)])
def test_nodelay_holds_on_the_attached_connection(factory, option, expected):
    async def main():
        listener, port = await listen(f"tcp:127.0.0.1:0?{option}")
        with socket.create_connection(("127.0.0.1", port)):
            transport = await (await listener.accept()).attach(Recorder())
            sock = transport.get_extra_info("socket")
            assert bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) == expected
            transport.abort()
            await asyncio.sleep(0)
        listener.close()

    run(main, factory)


@both_loops
def test_accepted_sockets_inherit_the_options_of_the_listener(factory):
    async def main():
        listener, port = await listen("tcp:127.0.0.1:0?keepalive=60s:5s:3")
        with socket.create_connection(("127.0.0.1", port)):
            transport = await (await listener.accept()).attach(Recorder())
            sock = transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
            transport.abort()
            await asyncio.sleep(0)
        listener.close()

    run(main, factory)


@both_loops
def test_a_cancelled_accept_loses_no_connection(factory):
    async def main():
        listener, port = await listen()
        accepting = asyncio.create_task(listener.accept())
        await asyncio.sleep(0)
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await accepting
            accepted = await listener.accept()
            assert accepted.peer.port == client.getsockname()[1]
            accepted.close()
        listener.close()

    run(main, factory)


@both_loops
def test_a_cancelled_attach_closes_the_connection(factory):
    async def main():
        listener, port = await listen()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        accepted = await listener.accept()
        attaching = asyncio.create_task(accepted.attach(Recorder()))
        await asyncio.sleep(0)
        attaching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attaching
        with contextlib.suppress(ConnectionResetError):  # closed either way
            assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        listener.close()

    run(main, factory)


@both_loops
def test_closing_the_listener_ends_a_waiting_accept(factory):
    async def main():
        listener, _ = await listen()
        accepting = asyncio.create_task(listener.accept())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        listener.close()
        with pytest.raises(OSError, match="is closed") as caught:
            await accepting
        assert caught.value.errno == errno.EBADF
        listener.close()

    run(main, factory)


class Failing:
    """A listening socket whose accept fails first."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.real = socket.create_server(("127.0.0.1", 0))
        self.real.setblocking(False)
        self.family = self.real.family

    def accept(self):
        if self.errors:
            raise OSError(self.errors.pop(0), "injected")
        return self.real.accept()

    def fileno(self):
        return self.real.fileno()

    def close(self):
        self.real.close()


def over(sock):
    return SocketStreamListener(
        ListenSpec.parse("tcp:127.0.0.1:0"), "tcp:x", sock, StreamSettings()
    )


async def test_connections_that_broke_before_they_were_accepted_are_skipped():
    sock = Failing(errno.ECONNABORTED, errno.EPROTO, errno.ENETUNREACH)
    listener = over(sock)
    with socket.create_connection(sock.real.getsockname()):
        accepted = await listener.accept()
        assert sock.errors == []
        accepted.close()
    listener.close()


async def test_a_lack_of_descriptors_is_the_callers_business():
    listener = over(Failing(errno.EMFILE))
    with pytest.raises(OSError, match="injected") as caught:
        await listener.accept()
    assert caught.value.errno == errno.EMFILE
    listener.close()


async def test_a_wildcard_listener_tells_which_address_was_reached():
    listener, port = await listen("tcp:0.0.0.0:0")
    with socket.create_connection(("127.0.0.1", port)):
        accepted = await listener.accept()
        assert accepted.local == f"tcp:127.0.0.1:{port}"
        accepted.close()
    listener.close()
