"""A listener of your own as a test double: the test says what is accepted, and when it fails."""

import asyncio
import errno
import os
import socket

from pierhead import (
    AcceptedSocket,
    Context,
    ListenerEnded,
    ListenSpec,
    Peer,
    Server,
    Transport,
)
from pierhead.protocols import lines


class Scripted:
    """Yields the connections that a test makes, and raises what it is told to."""

    transport = Transport.STREAM
    local = "mem:scripted"
    spec = ListenSpec.parse("mem:scripted?accept-backoff=1ms&name=scripted")

    def __init__(self) -> None:
        self.script: asyncio.Queue[AcceptedSocket | Exception] = asyncio.Queue()
        self.closed = False

    def connect(self, name: str) -> socket.socket:
        """Return the client's end of a new connection."""
        client, served = socket.socketpair()
        self.script.put_nowait(AcceptedSocket(served, Peer(name), self.local))
        return client

    async def accept(self) -> AcceptedSocket:
        step = await self.script.get()
        if isinstance(step, Exception):
            raise step
        return step

    def close(self) -> None:
        self.closed = True


async def greet(line: str, context: Context) -> str:
    return f"{line}, {context.peer}"


async def ask(client: socket.socket, line: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(sock=client)
    writer.write(line)
    reply = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return reply


async def test_every_connection_is_served_and_has_its_peer():
    scripted = Scripted()
    async with Server(lines.serve(greet), scripted) as server:
        ann, bob = scripted.connect("ann"), scripted.connect("bob")
        assert await ask(bob, b"hello\n") == b"hello, bob\n"
        assert await ask(ann, b"ahoy\n") == b"ahoy, ann\n"
        assert server.metrics.total("connections_accepted_total", listener="scripted") == 2
    assert scripted.closed


async def test_the_server_goes_on_after_the_system_could_not_accept():
    scripted = Scripted()
    async with Server(lines.serve(greet), scripted):
        scripted.script.put_nowait(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
        assert await ask(scripted.connect("ann"), b"hello\n") == b"hello, ann\n"


async def test_the_server_ends_when_the_listener_does():
    scripted = Scripted()
    async with Server(lines.serve(greet), scripted) as server:
        scripted.script.put_nowait(ListenerEnded())
        await server.wait_ended()
