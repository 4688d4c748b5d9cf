"""The law of transports holds for each of ours and for asyncio's, and finds what is broken."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme
import uvloop

from pierhead.address import ListenSpec
from pierhead.client.dial import dial_stream
from pierhead.client.route import Route
from pierhead.errors import UsageError
from pierhead.hosting import protocol as protocols
from pierhead.listener.base import StreamListener, complete_handshake
from pierhead.listener.open import open_listeners
from pierhead.net.memory import Link, MemoryTransport
from pierhead.net.transport.channel import PipeChannel, StreamChannel
from pierhead.net.transport.channel_transport import ChannelTransport
from pierhead.net.transport.coroutine_transport import ByteStream, CoroutineTransport
from pierhead.server.server import Server
from pierhead.testing.laws import LawBroken
from pierhead.testing.transports import check_transport

Ends = tuple[asyncio.Transport, asyncio.Transport]


# -- memory, channels and asyncio's own ----------------------------------------------------------


def opened(one: MemoryTransport, two: MemoryTransport, near: Any, far: Any) -> Ends:
    one.open(near)
    two.open(far)
    return one, two


async def memory(near: Any, far: Any) -> Ends:
    return opened(*MemoryTransport.pair(Link("a", "b"), "a", "b"), near, far)


async def delayed_memory(near: Any, far: Any) -> Ends:
    link = Link("a", "b").delay(0.002, jitter=0.001)
    return opened(*MemoryTransport.pair(link, "a", "b"), near, far)


async def sockets(near: Any, far: Any) -> Ends:
    loop, ends = asyncio.get_running_loop(), socket.socketpair()
    return tuple(  # type: ignore[return-value]
        ChannelTransport(loop, StreamChannel(end), protocol)
        for end, protocol in zip(ends, (near, far), strict=True)
    )


async def pipes(near: Any, far: Any) -> Ends:
    loop, (here, to_here), (there, to_there) = asyncio.get_running_loop(), os.pipe(), os.pipe()
    return (
        ChannelTransport(loop, PipeChannel(here, to_there), near),
        ChannelTransport(loop, PipeChannel(there, to_here), far),
    )


class Pipe:
    """One way of a stream of coroutines, which holds so many octets."""

    def __init__(self, room: int = 4096) -> None:
        self._octets, self._room, self._ended = bytearray(), room, False
        self._changed = asyncio.Event()

    async def _until(self, is_so: Callable[[], Any]) -> None:
        while not is_so():
            self._changed.clear()
            await self._changed.wait()

    async def read(self) -> bytes:
        await self._until(lambda: self._octets or self._ended)
        octets = bytes(self._octets)
        self._octets.clear()
        self._changed.set()
        return octets

    async def write(self, octets: bytes) -> None:
        for start in range(0, len(octets), self._room):
            await self._until(lambda: self._ended or len(self._octets) < self._room)
            if self._ended:
                raise BrokenPipeError
            self._octets += octets[start : start + self._room]
            self._changed.set()

    async def write_eof(self) -> None:
        self.end()

    def end(self) -> None:
        self._ended = True
        self._changed.set()


def coroutines(near: Any, far: Any, *, ends_alone: bool = True) -> Ends:
    there, back = Pipe(), Pipe()

    def close() -> None:
        there.end()
        back.end()

    facts = {"peername": "b"}
    write_eof = there.write_eof if ends_alone else None
    return (
        CoroutineTransport(ByteStream(back.read, there.write, write_eof, close, facts), near),
        CoroutineTransport(ByteStream(there.read, back.write, back.write_eof, close), far),
    )


async def functions(near: Any, far: Any) -> Ends:
    return coroutines(near, far)


async def functions_without_half_close(near: Any, far: Any) -> Ends:
    return coroutines(near, far, ends_alone=False)


async def loopback(near: Any, far: Any) -> Ends:
    """Connect two of asyncio's own transports through a real socket."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: near, "127.0.0.1", 0)
    other, _ = await loop.create_connection(lambda: far, *server.sockets[0].getsockname())
    transport = await made(near)
    server.close()
    return transport, other


async def made(protocol: Any) -> asyncio.Transport:
    async with asyncio.timeout(20):
        while protocol.transport is None:
            await asyncio.sleep(0)
    return protocol.transport  # type: ignore[no-any-return]


LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
both_loops = pytest.mark.parametrize("factory", LOOPS, ids=["asyncio", "uvloop"])


def run(factory: Any, main: Any) -> None:
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


@both_loops
@pytest.mark.parametrize(
    ("connect", "facts"),
    [
        pytest.param(memory, ["peername", "sockname"], id="memory"),
        pytest.param(delayed_memory, ["peername", "sockname"], id="memory-delayed"),
        pytest.param(sockets, ["socket", "sockname"], id="channel-socket"),
        pytest.param(pipes, ["pipe"], id="channel-pipes"),
        pytest.param(functions, ["peername"], id="coroutines"),
        pytest.param(functions_without_half_close, ["peername"], id="coroutines-no-half-close"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="needs Unix sockets and pipes")
def test_the_law_of_transports_holds_for(factory, connect, facts) -> None:
    run(factory, check_transport(connect, facts=facts))


async def test_the_law_of_transports_holds_for_asyncios_own() -> None:
    await check_transport(loopback, facts=["peername", "sockname", "socket"])


# -- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> tuple[str, str]:
    """The options of a listener's address, and of a client's."""
    authority = trustme.CA()
    folder = tmp_path_factory.mktemp("certificates")
    file = folder / "a.pem"
    file.touch(0o600)
    authority.issue_cert("a.example").private_key_and_cert_chain_pem.write_to_path(str(file))
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    return f"cert={file}", f"ca={folder}/authority.pem&server-name=a.example"


@asynccontextmanager
async def tls_connections(
    address: str, trusting: str, *, is_dialled: bool
) -> AsyncIterator[Callable[[Any, Any], Awaitable[Ends]]]:
    (listener,) = await open_listeners(ListenSpec.parse(address))
    stream_listener: StreamListener = listener  # type: ignore[assignment]
    wrappers = address.partition("?")[0].rpartition("+")[0]
    place = listener.local.rpartition("+")[2]
    route = Route(f"{wrappers}+{place}?{trusting}")

    async def connect(near: Any, far: Any) -> Ends:
        served, dialled = (far, near) if is_dialled else (near, far)

        async def server() -> asyncio.Transport:
            accepted = await stream_listener.accept()
            await complete_handshake(accepted)
            return await accepted.attach(served)

        here, there = await asyncio.gather(server(), route.stream(lambda: dialled))
        return (there, here) if is_dialled else (here, there)

    yield connect
    listener.close()


@both_loops
@pytest.mark.parametrize("is_dialled", [False, True], ids=["served", "dialled"])
@pytest.mark.parametrize(
    "address",
    [
        "tls+mem:a",
        "tls+tcp:127.0.0.1:0",
        "tls+unix:{folder}/s",
        "proxy+tls+tcp:127.0.0.1:0?proxy.from=127.0.0.1",
    ],
)
def test_the_law_of_transports_holds_for_tls_over(
    factory, address, is_dialled, tls, tmp_path
) -> None:
    presenting, trusting = tls

    async def main() -> None:
        joint = "&" if "?" in address else "?"
        asked = f"{address.format(folder=tmp_path)}{joint}{presenting}"
        async with tls_connections(asked, trusting, is_dialled=is_dialled) as connect:
            await check_transport(connect, facts=["ssl_object", "cipher", "tls_facts"])

    run(factory, main())


# -- hosted --------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["mem:a", "tcp:127.0.0.1:0"])
@pytest.mark.parametrize("kind", [asyncio.Protocol, asyncio.BufferedProtocol])
async def test_the_law_of_transports_holds_for_a_guest_on(address, kind) -> None:
    waiting: list[Any] = []
    endpoint = protocols.serve(lambda: waiting.pop())
    async with Server(endpoint, address) as server:

        async def connect(near: Any, far: Any) -> Ends:
            waiting.append(near)
            other = await dial_stream(server.addresses[0], lambda: far)
            return await made(near), other

        facts = ["peer", "via", "peername", "sockname"]
        await check_transport(connect, facts=facts, protocols=[kind])


# -- the law can fail ----------------------------------------------------------------------------


class Reordered(MemoryTransport):
    def writelines(self, list_of_data: Any) -> None:
        super().writelines(list(list_of_data)[::-1])


class TakesText(MemoryTransport):
    def write(self, data: Any) -> None:
        super().write(data.encode() if isinstance(data, str) else data)


class Forgets(MemoryTransport):
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return None if self.is_closing() else super().get_extra_info(name, default)


class IgnoresDefault(MemoryTransport):
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return super().get_extra_info(name)


class ClosesWhole(MemoryTransport):
    def write_eof(self) -> None:
        self.close()


class WritesOn(MemoryTransport):
    ended = False

    def write_eof(self) -> None:
        if not self.ended:
            self.ended = True
            super().write_eof()

    def write(self, data: Any) -> None:
        if not self.ended:
            super().write(data)


class NeverHalf(MemoryTransport):
    def can_write_eof(self) -> bool:
        return False


class StaysOpen(MemoryTransport):
    def open(self, protocol: Any) -> None:
        super().open(protocol)
        hear = protocol.eof_received
        protocol.eof_received = lambda: hear() or True


class NeverStaysOpen(MemoryTransport):
    def open(self, protocol: Any) -> None:
        super().open(protocol)
        hear = protocol.eof_received
        protocol.eof_received = lambda: hear() and False


class ReadsOn(MemoryTransport):
    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_reading(self) -> bool:
        return super().is_reading() and not getattr(self, "paused", False)


class NeverPaused(MemoryTransport):
    def open(self, protocol: Any) -> None:
        super().open(protocol)
        protocol.pause_writing = protocol.resume_writing = lambda: None


class NeverResumed(MemoryTransport):
    def open(self, protocol: Any) -> None:
        super().open(protocol)
        protocol.resume_writing = lambda: None


class PausedTwice(MemoryTransport):
    def open(self, protocol: Any) -> None:
        super().open(protocol)
        pause = protocol.pause_writing
        protocol.pause_writing = lambda: (pause(), pause())


class AnyMarks(MemoryTransport):
    def set_write_buffer_limits(self, high: Any = None, low: Any = None) -> None:
        super().set_write_buffer_limits(high, None)


class CutsShort(MemoryTransport):
    def close(self) -> None:
        self.abort()


class RaisesLate(MemoryTransport):
    def write(self, data: Any) -> None:
        if self.is_closing():
            raise OSError("it is closed")
        super().write(data)


class SaysNothing(MemoryTransport):
    def is_closing(self) -> bool:
        return False


class AbortsSlowly(MemoryTransport):
    def abort(self) -> None:
        self.close()


class LosesTwice(MemoryTransport):
    def open(self, protocol: Any) -> None:
        super().open(protocol)
        lose = protocol.connection_lost
        protocol.connection_lost = lambda error: (lose(error), lose(error))


class LosesWithin(MemoryTransport):
    def open(self, protocol: Any) -> None:
        super().open(protocol)
        self.lose, protocol.connection_lost = protocol.connection_lost, lambda _: None

    def close(self) -> None:
        super().close()
        self.lose(None)


class SpeaksOn(MemoryTransport):
    def open(self, protocol: Any) -> None:
        super().open(protocol)
        lose = protocol.connection_lost
        protocol.connection_lost = lambda error: (lose(error), protocol.resume_writing())


class Forgives(MemoryTransport):
    def open(self, protocol: Any) -> None:
        super().open(protocol)
        if isinstance(protocol, asyncio.Protocol):
            receive = protocol.data_received

            def received(data: bytes) -> None:
                with contextlib.suppress(RuntimeError):
                    receive(data)

            protocol.data_received = received  # type: ignore[method-assign]


class KeepsProtocol(MemoryTransport):
    def set_protocol(self, protocol: Any) -> None:
        self.shown = protocol


class MadeTwice(MemoryTransport):
    def open(self, protocol: Any) -> None:
        super().open(protocol)
        protocol.connection_made(self)


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (Reordered, "octets, .* expected at the peer what was written"),
        (TakesText, r"octets, .*write\('text'\) went through, expected TypeError"),
        (MadeTwice, r"octets, .*connection_made\(\) came after connection_made\(\)"),
        (Forgets, "extra info, .* after the end"),
        (IgnoresDefault, "extra info, .* did not return the default"),
        (ClosesWhole, r"half-close, .*write_eof\(\) closed the connection"),
        (WritesOn, "half-close, .*expected RuntimeError"),
        (NeverHalf, "half-close, .*expected NotImplementedError"),
        (StaysOpen, r"end of input, .*as eof_received\(\) returned false"),
        (NeverStaysOpen, r"end of input, .*though eof_received\(\) returned true|answer after"),
        (ReadsOn, r"pause reading, .*arrived after pause_reading\(\)"),
        (NeverPaused, r"pause writing, .*expected pause_writing\(\)"),
        (NeverResumed, r"pause writing, .*expected resume_writing\(\)"),
        (PausedTwice, r"octets, .*pause_writing\(\) came twice"),
        (AnyMarks, "pause writing, .*expected ValueError"),
        (CutsShort, r"close, .*connection_lost\(\) came before|octets left at close"),
        (RaisesLate, "close, .*it raised OSError"),
        (SaysNothing, r"close, .*not is_closing\(\)"),
        (AbortsSlowly, r"abort, .*connection_lost\(\) after abort"),
        (LosesTwice, r"octets, .*connection_lost\(\) came after .*connection_lost\(\)"),
        (LosesWithin, r"octets, .*connection_lost\(\) was called inside close"),
        (SpeaksOn, r"octets, .*resume_writing\(\) came after .*connection_lost\(\)"),
        (Forgives, "mistake, .*expected the end, as the protocol raised"),
        (KeepsProtocol, "set protocol, .*returned another"),
    ],
)
async def test_a_broken_transport_is_found(broken, law, clock) -> None:
    async def connect(near: Any, far: Any) -> Ends:
        one, two = MemoryTransport.pair(Link("a", "b"), "a", "b")
        one.__class__ = broken
        return opened(one, two, near, far)

    with pytest.raises(LawBroken, match=law):
        await check_transport(connect, facts=["peername"])


async def test_a_peer_that_cannot_end_its_side_alone_is_of_no_use() -> None:
    async def connect(near: Any, far: Any) -> Ends:
        one, two = MemoryTransport.pair(Link("a", "b"), "a", "b")
        two.__class__ = NeverHalf
        return opened(one, two, near, far)

    with pytest.raises(UsageError, match="cannot end its side alone"):
        await check_transport(connect)
