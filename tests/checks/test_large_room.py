"""Of 500 members one never reads: it is cut, alone and once, and memory stays bounded."""

from __future__ import annotations

import asyncio
import os
import resource
import selectors
import socket
import threading
from typing import Self

import pytest

from pierhead import Conversation, Room, Server
from pierhead.protocols import lines

MEMBERS, MESSAGES, SIZE = 500, 200, 8192
MIB = 2**20


def memory_mib() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


class Readers(threading.Thread):
    """Members that read all they are sent, and check its order."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.heard = dict.fromkeys(range(MEMBERS), 0)
        self.mistakes: list[str] = []
        self._selector = selectors.DefaultSelector()
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in self.heard]
        for number, sock in enumerate(self._sockets):
            sock.setblocking(False)
            self._selector.register(sock, selectors.EVENT_READ, (number, bytearray()))

    def run(self) -> None:
        while self._selector.get_map():
            for key, _ in self._selector.select():
                octets = key.fileobj.recv(65536)  # type: ignore[union-attr]
                if octets:
                    self._take(*key.data, octets)
                else:
                    self._selector.unregister(key.fileobj)

    def _take(self, number: int, buffer: bytearray, octets: bytes) -> None:
        buffer += octets
        while len(buffer) >= SIZE:
            expected = b"%08d" % self.heard[number]
            if buffer[:8] != expected:
                self.mistakes.append(f"{number} has {bytes(buffer[:8])!r}, expected {expected!r}")
            self.heard[number] += 1
            del buffer[:SIZE]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *failure: object) -> None:
        for sock in self._sockets:
            sock.shutdown(socket.SHUT_RDWR)
        self.join(20)
        for sock in self._sockets:
            sock.close()
        self._selector.close()


@pytest.fixture
def many_sockets():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def never_reads(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    sock.connect(("127.0.0.1", port))
    return sock


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from /proc")
async def test_of_500_members_one_who_never_reads_is_cut_alone_and_once(many_sockets) -> None:
    room = Room[bytes]()

    async def sit(conversation: Conversation[bytes, bytes]) -> None:
        async with room.join(conversation):
            await conversation.wait_closing()

    endpoint = lines.converse(sit, encoding=None)
    address = "tcp:127.0.0.1:0?sndbuf=65536"
    async with Server(endpoint, address, max_connections=2 * MEMBERS) as server:
        port = int(server.addresses[0].partition("?")[0].rpartition(":")[2])
        with Readers(port) as readers, never_reads(port) as slow:
            while len(room) < MEMBERS + 1:
                await asyncio.sleep(0.01)
            silent = room.members["{}:{}".format(*slow.getsockname())]
            before = most = memory_mib()
            for number in range(MESSAGES):
                await room.send(b"%08d" % number + b"x" * (SIZE - 9))
                # At the pace of the others, whatever the machine.
                while any(m.waiting > 8 for m in room.members.values() if m is not silent):
                    await asyncio.sleep(0.001)
                most = max(most, memory_mib())
            while min(readers.heard.values()) < MESSAGES:
                await asyncio.sleep(0.01)
            assert silent.is_cut
            assert len(room) == MEMBERS
        total = server.metrics.total
        assert readers.mistakes == []
        assert set(readers.heard.values()) == {MESSAGES}
        assert room.metrics.total("room_members_cut_total") == 1
        assert total("connections_closed_total", reason="slow") == 1
        assert most - before < 20
