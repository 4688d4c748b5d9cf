"""Octets between descriptors of every kind, whole and in order."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pierhead.console.descriptors import Input
from pierhead.console.pump import Pump

CONTENT = random.Random(11).randbytes(3_000_000)


class Ends:
    """Makes descriptors: one to read that gives the content, one to write, and what it got."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.undo = ExitStack()

    def pair(self) -> tuple[socket.socket, socket.socket]:
        ends = socket.socketpair()
        for end in ends:
            end.setblocking(False)
            self.undo.enter_context(end)
        return ends

    def pipe(self) -> tuple[Any, Any]:
        reading, writing = os.pipe()
        files = os.fdopen(reading, "rb", buffering=0), os.fdopen(writing, "wb", buffering=0)
        for file in files:
            self.undo.enter_context(file)
        os.set_blocking(writing, False)
        return files


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Ends]:
    ends = Ends(tmp_path)
    with ends.undo:
        yield ends


async def fill(end: Any) -> None:
    rest = CONTENT
    while rest:
        try:
            rest = rest[os.write(end.fileno(), rest) :]
        except BlockingIOError:
            await asyncio.sleep(0)
    end.close()


async def everything(descriptor: int) -> bytes:
    source, found = Input(descriptor), b""
    while octets := await source.read():
        found += octets
    return found


@pytest.mark.parametrize("source", ["file", "pipe", "socket"])
@pytest.mark.parametrize("target", ["file", "pipe", "socket"])
async def test_everything_arrives(ends: Ends, source: str, target: str) -> None:
    tasks: list[asyncio.Future[Any]] = []
    reading, writing = ends.pipe() if source == "pipe" else ends.pair()
    if source == "file":
        (ends.folder / "from").write_bytes(CONTENT)
        reading = ends.undo.enter_context((ends.folder / "from").open("rb", buffering=0))
    else:
        tasks.append(asyncio.ensure_future(fill(writing)))
    arriving, to = ends.pipe() if target == "pipe" else ends.pair()
    if target == "file":
        to = ends.undo.enter_context((ends.folder / "to").open("wb", buffering=0))
    else:
        tasks.append(asyncio.ensure_future(everything(arriving.fileno())))
    await Pump(reading.fileno(), to.fileno()).run()
    to.close()
    if target == "file":
        assert (ends.folder / "to").read_bytes() == CONTENT
    else:
        assert await tasks[-1] == CONTENT
    await asyncio.gather(*tasks)


async def test_it_can_be_cancelled_while_it_waits(ends: Ends) -> None:
    reading, writing = ends.pipe()
    arriving, to = ends.pair()
    pumping = asyncio.ensure_future(Pump(reading.fileno(), to.fileno()).run())
    writing.write(b"hello")
    assert await Input(arriving.fileno()).read() == b"hello"
    pumping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pumping
