"""A listener of your own: serves connections that another program accepts and passes on.

Anything that yields connections is served like an address, and beside addresses. Here they arrive
as descriptors in the datagrams of a UNIX socket, from a front end that accepts for many servers.
"""

import asyncio
import contextlib
import os
import socket

from services import shout

from pierhead import AcceptedSocket, ListenSpec, Peer, Transport, run
from pierhead.protocols import lines


class Passed:
    """Yields the connections that come over a Unix datagram socket, one in each datagram."""

    transport = Transport.STREAM
    local = "mem:passed"
    spec = ListenSpec.parse("mem:passed?idle-timeout=30s&name=passed")  # options hold here too

    def __init__(self, front: socket.socket) -> None:
        front.setblocking(False)
        self._front = front

    async def accept(self) -> AcceptedSocket:
        while True:
            await readable(self._front)
            _, descriptors, _, _ = socket.recv_fds(self._front, 1024, maxfds=1)
            for descriptor in descriptors:
                if (connection := self._take(descriptor)) is not None:
                    return connection

    def _take(self, descriptor: int) -> AcceptedSocket | None:
        """Return the connection, or close what is none or whose peer has left again."""
        try:
            sock = socket.socket(fileno=descriptor)
        except OSError:
            os.close(descriptor)
            return None
        with contextlib.suppress(OSError):
            if sock.type == socket.SOCK_STREAM:
                return AcceptedSocket(sock, Peer(sock.getpeername() or "passed"), self.local)
        sock.close()
        return None

    def close(self) -> None:
        self._front.close()


async def readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sock)


def main() -> None:
    path = "passed.sock"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as front:
        front.bind(path)
        try:
            run(lines.serve(shout), Passed(front), "tcp:127.0.0.1:7000")
        finally:
            os.unlink(path)


if __name__ == "__main__":
    main()
