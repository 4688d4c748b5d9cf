"""A hosted connection: guests that do not leave, and peers that reset it unnoticed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from typing import Any

import pytest
from fakes import Bench, settle  # type: ignore[import-not-found]

from pierhead.connection.life import Waits
from pierhead.server.hosted import hosted


class Guest(asyncio.Protocol):
    """Records its end; its tasks may outlast the connection."""

    in_flight = 0
    waits = Waits.NOTHING

    def __init__(self) -> None:
        self.protocol: asyncio.BaseProtocol = self
        self.transport: Any = None
        self.tasks: list[asyncio.Task[None]] = []
        self.heard: list[object] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.heard.append(exc)

    def end_of_input(self, transport: Any) -> bool:
        return False

    def finish(self, transport: Any) -> None:
        transport.close()

    def unfinished(self) -> list[asyncio.Task[None]]:
        return self.tasks


async def stubborn() -> None:
    """Swallow the first cancellation."""
    with contextlib.suppress(asyncio.CancelledError):
        await obedient()
    await obedient()


async def obedient() -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("work", [obedient, stubborn])
async def test_a_guest_that_does_not_leave_keeps_its_place_for_a_limited_time(
    work: Any, caplog: pytest.LogCaptureFixture
) -> None:
    guest = Guest()
    it = Bench(hosted(lambda _: guest), after_close_timeout=20.0)
    guest.tasks = [asyncio.create_task(work(), name=f"work {n}") for n in range(9)]
    it.transport.close()
    await settle()
    it.after(19.0)
    await settle()
    assert (it.closed, caplog.records) == (0, [])
    it.after(1.5)
    await settle()
    assert it.closed == (work is obedient)
    it.after(1.0)
    assert it.closed == 1
    (record,) = caplog.records
    words = ["9 tasks (work 0 at ", "20 s after", "after_close_timeout"]
    assert [word for word in words if word not in record.getMessage()] == []
    for task in guest.tasks:
        task.cancel()
    await settle()
    assert it.closed == 1


async def test_a_guest_may_take_as_long_as_it_likes_if_the_timeout_is_off() -> None:
    guest = Guest()
    options: Any = {"after_close_timeout": "off"}
    it = Bench(hosted(lambda _: guest), **options)
    guest.tasks = [asyncio.create_task(obedient())]
    it.transport.close()
    await settle()
    it.after(1e9)
    await settle()
    assert it.closed == 0
    guest.tasks[0].cancel()
    await settle()
    assert it.closed == 1


class Resettable:
    """A socket whose peer may reset the connection."""

    error = 0

    def getsockopt(self, level: int, name: int) -> int:
        return self.error


async def test_a_reset_is_noticed_while_the_guest_does_not_read() -> None:
    guest = Guest()
    it = Bench(hosted(lambda _: guest))
    sock = it.transport._extra["socket"] = Resettable()
    guest.in_flight = 2
    guest.transport.pause_reading()
    it.after(1.0)
    sock.error = errno.ECONNRESET
    it.after(1.0)
    await settle()
    assert it.transport.aborted
    assert [type(exc) for exc in guest.heard] == [ConnectionResetError]
    assert (it.closed, it.close_reasons()) == (1, ["peer_gone"])
    assert it.lost == ["peer_gone"] * 2
    it.connection.abort("drain")
    assert it.lost == ["peer_gone"] * 2, "counted twice"
