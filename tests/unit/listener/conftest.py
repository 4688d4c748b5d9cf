"""Opens listeners that are closed at the end of the test."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from pierhead.address import ListenSpec
from pierhead.errors import ListenError
from pierhead.listener.adopt.systemd import PassedSockets
from pierhead.listener.open import open_all
from pierhead.listener.process_sockets import ProcessSockets

sys.path.insert(0, str(Path(__file__).parent))
import inheriting
from every_place import Places

FIRST_PASSED = 700  # far above the descriptors of the test process


@pytest.fixture
def process():
    """What the servers of the test share; nothing is passed to it."""
    return ProcessSockets({}, first_passed=FIRST_PASSED)


@pytest.fixture
def opened(leave, passed, process):  # these two come first, so that they clean up last
    """A function that opens addresses as one group; a str gives a list of listeners."""
    listeners = []

    async def open_them(*addresses, **arguments):
        group = tuple(ListenSpec.parse(address) for address in addresses)
        new = await open_all([group], process_sockets=process, **arguments)
        listeners.extend(new)
        return new

    yield open_them
    for listener in listeners:
        listener.close()


@pytest.fixture
def refusal(process):
    """A function that opens addresses, each by itself, and returns the error."""

    async def refused(*addresses, **arguments):
        specs = [(ListenSpec.parse(address),) for address in addresses]
        with pytest.raises(ListenError) as caught:
            await open_all(specs, process_sockets=process, **arguments)
        return caught.value

    return refused


@pytest.fixture
async def stack():
    """Closes what a test enters."""
    async with AsyncExitStack() as entered:
        yield entered


@pytest.fixture
def leave():
    """Leave a socket as an inherited descriptor; what nobody took is closed at the end."""
    numbers = []

    def leave_it(sock):
        number = inheriting.leave(sock)
        numbers.append((number, os.fstat(number).st_ino))
        return number

    yield leave_it
    for number, inode in numbers:
        if inheriting.is_open(number) and os.fstat(number).st_ino == inode:
            os.close(number)


@pytest.fixture
def passed(process):
    """Pass sockets as systemd does."""
    first, numbers = FIRST_PASSED, []

    def pass_them(*sockets, names=None, **variables):
        for number, sock in enumerate(sockets, first):
            os.dup2(sock.fileno(), number)
            numbers.append((number, os.fstat(number).st_ino))
            sock.close()
        environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(sockets))}
        if names is not None:
            environment["LISTEN_FDNAMES"] = names
        environment.update(variables)
        environment = {key: value for key, value in environment.items() if value is not None}
        process.passed = PassedSockets(environment, process.reserved, first)
        return environment

    yield pass_them
    for number, inode in numbers:
        if inheriting.is_open(number) and os.fstat(number).st_ino == inode:
            os.close(number)


@pytest.fixture
async def places(leave, passed, process, monkeypatch, tmp_path):
    """Addresses of every scheme, with what they need around them."""
    with ExitStack() as stack:
        yield Places(leave, passed, process, monkeypatch, tmp_path, stack)
    await asyncio.sleep(0)  # a transport closes its socket a turn later
    await asyncio.sleep(0)
