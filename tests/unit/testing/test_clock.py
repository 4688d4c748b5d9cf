from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from pierhead.errors import UsageError
from pierhead.testing import HeldClock, HeldLoop


def held(main):
    with asyncio.Runner(loop_factory=HeldLoop) as runner:
        return runner.run(main())


def test_a_long_sleep_takes_no_time():
    async def main():
        before = asyncio.get_running_loop().time()
        await asyncio.sleep(1_000_000)
        return asyncio.get_running_loop().time() - before

    began = time.monotonic()
    assert held(main) == pytest.approx(1_000_000)
    assert time.monotonic() - began < 1_000


def test_time_stands_still_while_anything_is_runnable():
    async def main():
        loop = asyncio.get_running_loop()
        fired = []
        loop.call_later(1, fired.append, 1)
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not fired
        await asyncio.sleep(2)
        assert fired

    held(main)


def test_timers_fire_in_order_and_each_at_its_own_time():
    async def main():
        loop, fired = asyncio.get_running_loop(), []
        start = loop.time()
        for delay in (3, 1, 2):
            loop.call_later(delay, lambda: fired.append(loop.time() - start))
        await HeldClock.current().advance(2.5)
        assert fired == [pytest.approx(1), pytest.approx(2)]
        await HeldClock.current().advance(0.5)
        assert fired[2:] == [pytest.approx(3)]

    held(main)


def test_advance_returns_when_everything_due_has_happened():
    async def main():
        clock, steps = HeldClock.current(), []

        async def worker():
            await asyncio.sleep(5)
            for step in range(10):
                await asyncio.sleep(0)
                steps.append(step)

        async with asyncio.TaskGroup() as group:
            group.create_task(worker())
            await clock.advance(5)
            assert len(steps) == 10

    held(main)


def test_advancing_by_nothing_settles_without_moving_time():
    async def main():
        clock, done = HeldClock.current(), []

        async def worker():
            for _ in range(10):
                await asyncio.sleep(0)
            done.append(1)

        task = asyncio.create_task(worker())
        before = clock.monotonic()
        await clock.advance(0)
        assert done
        assert clock.monotonic() == before
        await task

    held(main)


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_time_does_not_go_back(seconds):
    async def main():
        with pytest.raises(UsageError, match="forward only"):
            await HeldClock.current().advance(seconds)

    held(main)


def test_the_wall_clock_moves_along_and_can_be_set():
    async def main():
        clock = HeldClock.current()
        assert clock.wall() == 1_767_225_600
        await clock.advance(10)
        assert clock.wall() == pytest.approx(1_767_225_610)
        clock.set_wall(0)
        await clock.advance(5)
        assert clock.wall() == pytest.approx(5)
        assert clock.monotonic() == asyncio.get_running_loop().time()

    held(main)


def test_a_deadlock_is_an_error_that_says_where_tasks_wait():
    async def waits_for_ever():
        await asyncio.Event().wait()

    async def main():
        await waits_for_ever()

    with pytest.raises(UsageError, match=r"nothing can happen any more.*in Event.wait"):
        held(main)


def test_time_waits_for_threads():
    release = threading.Event()

    async def main():
        loop = asyncio.get_running_loop()
        before = loop.time()
        timer = asyncio.create_task(asyncio.sleep(1))
        working = asyncio.create_task(asyncio.to_thread(release.wait, 10))
        await asyncio.sleep(0)
        threading.Timer(0.01, release.set).start()
        assert await working
        assert loop.time() == before
        await timer
        assert loop.time() == pytest.approx(before + 1)

    held(main)


def test_a_timeout_fires_at_once_in_real_time():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.Event().wait()

    held(main)


def test_real_sockets_are_refused_with_a_reason():
    async def main():
        loop = asyncio.get_running_loop()
        refused = pytest.raises(UsageError, match="memory network only")
        with refused:
            await asyncio.open_connection("127.0.0.1", 9)
        with refused:
            await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        with refused:
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
        with refused:
            await asyncio.create_subprocess_exec("true")
        with socket.socket() as sock, refused:
            loop.add_reader(sock, print)

    held(main)


def test_a_listener_with_a_real_socket_is_refused_when_it_opens():
    from pierhead.address import ListenSpec
    from pierhead.listener.open import open_listeners

    async def main():
        with pytest.raises(UsageError, match="memory network only"):
            await open_listeners(ListenSpec.parse("tcp:127.0.0.1:0"))

    held(main)


def test_another_loop_has_no_held_clock():
    async def main():
        with pytest.raises(UsageError, match="not a HeldLoop"):
            HeldClock.current()

    asyncio.run(main())
