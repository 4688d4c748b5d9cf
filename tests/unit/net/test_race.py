"""The race of attempts of RFC 8305, in held time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pierhead.net.race import NoneSucceeded, interleaved, race


class Attempts:
    """Attempts that take so long, and then succeed or fail; and what became of each."""

    def __init__(self, *plan: tuple[float, bool]) -> None:
        self.begun: dict[int, float] = {}
        self.cancelled: list[int] = []
        self.discarded: list[int] = []
        self.plan = plan

    async def _one(self, number: int) -> int:
        loop = asyncio.get_running_loop()
        self.begun[number] = loop.time() - self.start
        seconds, succeeds = self.plan[number]
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        if not succeeds:
            raise OSError(number, f"no {number}")
        return number

    async def run(self, delay_s: float = 0.25) -> int:
        self.start = asyncio.get_running_loop().time()
        each = [lambda number=number: self._one(number) for number in range(len(self.plan))]
        return await race(each, delay_s, self.discarded.append)


@pytest.mark.rfc("8305", "5")
async def test_one_that_does_not_answer_costs_one_delay(clock: Any) -> None:
    attempts = Attempts((3600, False), (0.01, True))
    assert await attempts.run() == 1
    assert attempts.begun == pytest.approx({0: 0.0, 1: 0.25})
    assert attempts.cancelled == [0]


async def test_one_that_refuses_costs_nothing(clock: Any) -> None:
    attempts = Attempts((0, False), (0.01, True), (0, True))
    assert await attempts.run() == 1
    assert attempts.begun == pytest.approx({0: 0.0, 1: 0.0})


async def test_the_first_may_win_though_others_have_begun(clock: Any) -> None:
    attempts = Attempts((0.6, True), (3600, True), (3600, True))
    assert await attempts.run() == 0
    assert attempts.begun == pytest.approx({0: 0.0, 1: 0.25, 2: 0.5})
    assert attempts.cancelled == [1, 2]


async def test_every_error_is_told_in_order(clock: Any) -> None:
    attempts = Attempts((0.7, False), (0.1, False), (0, False))
    with pytest.raises(NoneSucceeded) as failed:
        await attempts.run()
    assert [error.errno for error in failed.value.errors] == [0, 1, 2]


async def test_one_that_succeeds_too_late_is_discarded(clock: Any) -> None:
    async def now() -> int:
        return 7

    discarded: list[int] = []
    started = asyncio.Event()

    async def both() -> int:
        started.set()
        return 8

    assert await race([lambda: asyncio.sleep(0.25, 6), now, both], 0.25, discarded.append) in (6, 7)
    # Whatever was ready in the same iteration and did not win has been given back.
    assert len(discarded) <= 1


async def test_cancelling_the_race_cancels_all(clock: Any) -> None:
    attempts = Attempts((3600, True), (3600, True))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(attempts.run(), 1)
    assert attempts.cancelled == [0, 1]


async def test_a_bug_is_no_failed_attempt() -> None:
    async def wrong() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await race([wrong, wrong], 1, print)


@pytest.mark.rfc("8305", "4")
def test_families_take_turns_and_the_first_goes_first() -> None:
    six, four = 10, 2
    places = [(six, "a"), (six, "b"), (six, "c"), (four, "d")]
    assert interleaved(places) == [(six, "a"), (four, "d"), (six, "b"), (six, "c")]
