"""Coroutines that begin in place, and go on as a task where they have to wait."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pierhead.server.worker import Suspended, Workers

NOTE: contextvars.ContextVar[str] = contextvars.ContextVar("NOTE", default="")


class Bench:
    """Runs coroutines the way servers do, and keeps how each of them ended."""

    def __init__(self) -> None:
        self.workers = Workers()
        self.ended: list[Any] = []

    def begin(self, coroutine: Any) -> asyncio.Task[None] | None:
        """Begin in a callback of the loop, as a server does; None where it is through."""
        step = self.workers.first_step(coroutine, contextvars.copy_context())
        if not isinstance(step, Suspended):
            self.ended.append(step)
            return None
        return step.take_over(self._rest(step))

    async def _rest(self, step: Suspended) -> None:
        try:
            self.ended.append(await step)
        except BaseException as error:
            self.ended.append(type(error))
            raise

    async def in_callback(self, coroutine: Any) -> asyncio.Task[None] | None:
        """Begin outside of any task."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def begin() -> None:
            try:
                done.set_result(self.begin(coroutine))
            except BaseException as error:
                done.set_exception(error)

        asyncio.get_running_loop().call_soon(begin)
        return await done


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    it = Bench()
    yield it
    await it.workers.close()


async def now(value: Any) -> Any:
    return value


async def soon(value: Any) -> Any:
    await asyncio.sleep(0)  # else an eager task has ended before anybody waits for it
    return value


async def later(future: asyncio.Future[Any]) -> Any:
    return await future


def future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


async def test_a_coroutine_that_waits_for_nothing_is_through_at_once(bench: Bench) -> None:
    assert bench.begin(now("x")) is None
    assert bench.ended == ["x"]


async def test_one_that_waits_goes_on_as_a_task(bench: Bench) -> None:
    gate = future()
    task = await bench.in_callback(later(gate))
    assert isinstance(task, asyncio.Task)
    assert bench.ended == []
    gate.set_result("y")
    await task
    assert bench.ended == ["y"]


async def test_it_goes_on_through_any_number_of_waits(bench: Bench) -> None:
    async def steps() -> list[int]:
        seen = []
        for number in range(5):
            await asyncio.sleep(0)
            seen.append(number)
        return seen

    task = await bench.in_callback(steps())
    assert task is not None
    await task
    assert bench.ended == [[0, 1, 2, 3, 4]]


async def test_many_may_wait_for_the_same_future(bench: Bench) -> None:
    gate = future()
    tasks = [await bench.in_callback(later(gate)) for _ in range(5)]
    waiting = asyncio.ensure_future(later(gate))  # somebody else's task as well
    await asyncio.sleep(0)
    gate.set_result("z")
    await asyncio.gather(waiting, *filter(None, tasks))
    assert bench.ended == ["z"] * 5


async def test_the_task_is_the_same_from_the_first_step_to_the_last(bench: Bench) -> None:
    seen = []

    async def look(gate: asyncio.Future[None]) -> None:
        seen.append(asyncio.current_task())
        await gate
        seen.append(asyncio.current_task())

    gate = future()
    task = await bench.in_callback(look(gate))
    gate.set_result(None)
    assert task is not None
    await task
    assert seen == [task, task]


async def test_inside_another_task_that_is_put_back(bench: Bench) -> None:
    mine = asyncio.current_task()
    seen = []

    async def look() -> None:
        seen.append(asyncio.current_task())

    bench.begin(look())
    assert seen != [mine]
    assert asyncio.current_task() is mine


async def test_context_variables_are_each_coroutines_own(bench: Bench) -> None:
    async def write(text: str, gate: asyncio.Future[None] | None = None) -> tuple[str, str]:
        before = NOTE.get()
        NOTE.set(text)
        if gate is not None:
            await gate
        return before, NOTE.get()

    gate = future()
    task = await bench.in_callback(write("one", gate))
    await bench.in_callback(write("two"))
    gate.set_result(None)
    assert task is not None
    await task
    assert bench.ended == [("", "two"), ("", "one")]
    assert NOTE.get() == ""


async def test_what_it_raises_at_once_goes_to_the_caller(bench: Bench) -> None:
    async def fail() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        bench.begin(fail())
    assert bench.begin(now("next")) is None


async def test_what_it_raises_later_reaches_the_rest(bench: Bench) -> None:
    gate = future()
    task = await bench.in_callback(later(gate))
    gate.set_exception(LookupError("no"))
    assert task is not None
    with pytest.raises(LookupError):
        await task
    assert bench.ended == [LookupError]


@pytest.mark.parametrize("turns", range(4))
async def test_cancelling_cancels_what_it_waits_for(bench: Bench, turns: int) -> None:
    gate = future()
    task = await bench.in_callback(later(gate))
    assert task is not None
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.cancelled()
    assert bench.ended == [asyncio.CancelledError]


@pytest.mark.parametrize("turns", range(4))
async def test_a_timeout_inside_works_as_in_any_task(bench: Bench, turns: int) -> None:
    async def give_up() -> str:
        try:
            async with asyncio.timeout(0):
                await future()
        except TimeoutError:
            return "late"
        return "in time"

    for _ in range(turns):  # workers that were used before
        bench.begin(now(None))
    task = await bench.in_callback(give_up())
    assert task is not None
    await task
    assert bench.ended[-1] == "late"


async def test_a_task_group_inside_works_as_in_any_task(bench: Bench) -> None:
    async def together() -> str:
        async with asyncio.TaskGroup() as group:
            first, second = group.create_task(soon("a")), group.create_task(soon("b"))
        return first.result() + second.result()

    task = await bench.in_callback(together())
    assert task is not None
    await task
    assert bench.ended == ["ab"]


async def test_a_coroutine_may_cancel_itself_before_it_waits(bench: Bench) -> None:
    async def give_up() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    task = await bench.in_callback(give_up())
    assert task is not None
    with pytest.raises(asyncio.CancelledError):
        await task
    bench.begin(now("others are not touched"))
    assert bench.ended == [asyncio.CancelledError, "others are not touched"]


async def test_cancelling_the_task_of_one_that_is_through_touches_nobody(bench: Bench) -> None:
    kept = []

    async def keep() -> None:
        kept.append(asyncio.current_task())

    await bench.in_callback(keep())
    kept[0].cancel()
    gate = future()
    task = await bench.in_callback(later(gate))
    gate.set_result("fine")
    assert task is not None
    await task
    assert bench.ended == [None, "fine"]


async def test_one_that_cancels_itself_and_thinks_better_of_it_spoils_nobody(bench: Bench) -> None:
    async def waver() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        task.uncancel()
        return "stayed"

    for turns in range(3):
        await bench.in_callback(waver())
        gate = future()
        next_one = await bench.in_callback(later(gate))
        for _ in range(turns):
            await asyncio.sleep(0)
        gate.set_result("fine")
        assert next_one is not None
        await next_one
    assert bench.ended == ["stayed", "fine"] * 3


async def test_a_cancellation_taken_back_before_the_first_wait_is_none(bench: Bench) -> None:
    async def waver() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        task.uncancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return "stayed"

    await bench.in_callback(now("a worker is there"))
    task = await bench.in_callback(waver())
    assert task is not None
    await task
    assert bench.ended[-1] == "stayed"


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_what_closes_coroutines_is_an_error_where_one_raises_it(
    bench: Bench, turns: int
) -> None:
    async def mistaken() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        raise GeneratorExit

    async def in_callback() -> None:
        task = await bench.in_callback(mistaken())
        assert task is not None
        await task

    with pytest.raises(RuntimeError, match="raised GeneratorExit"):
        await in_callback()


async def test_one_may_begin_inside_another(bench: Bench) -> None:
    async def outer() -> str:
        bench.begin(now("inner"))
        return "outer"

    await bench.in_callback(outer())
    assert bench.ended == ["inner", "outer"]


async def test_closing_leaves_no_task_behind(bench: Bench) -> None:
    before = asyncio.all_tasks()
    for _ in range(3):
        await bench.in_callback(now(None))
    assert asyncio.all_tasks() != before
    await bench.workers.close()
    assert asyncio.all_tasks() == before
