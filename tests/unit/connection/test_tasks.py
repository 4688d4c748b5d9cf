"""Coroutines that start in place, and continue as a task if they have to wait."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pierhead.connection.tasks import EagerTasks
from pierhead.service.suspended import Suspended

NOTE: contextvars.ContextVar[str] = contextvars.ContextVar("NOTE", default="")


class Bench:
    """Runs coroutines the way servers do, and records how each of them ended."""

    def __init__(self) -> None:
        self.tasks = EagerTasks()
        self.ended: list[Any] = []

    def begin(self, coroutine: Any) -> asyncio.Task[None] | None:
        """Start in a callback of the loop, as a server does; None if it has finished."""
        step = self.tasks.first_step(coroutine, contextvars.copy_context(), "the service")
        if not isinstance(step, Suspended):
            self.ended.append(step)
            return None
        step.task.add_done_callback(self._rest)
        return step.task

    def _rest(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self.ended.append(asyncio.CancelledError)
        else:
            error = task.exception()
            self.ended.append(task.result() if error is None else type(error))

    async def in_callback(self, coroutine: Any) -> asyncio.Task[None] | None:
        """Start outside any task."""
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
    await it.tasks.close()


async def now(value: Any) -> Any:
    return value


async def soon(value: Any) -> Any:
    await asyncio.sleep(0)  # otherwise an eager task has ended before it is awaited
    return value


async def later(future: asyncio.Future[Any]) -> Any:
    return await future


def future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


async def test_a_coroutine_that_never_waits_finishes_at_once(bench: Bench) -> None:
    assert bench.begin(now("x")) is None
    assert bench.ended == ["x"]


async def test_a_coroutine_that_waits_continues_as_a_task(bench: Bench) -> None:
    gate = future()
    task = await bench.in_callback(later(gate))
    assert isinstance(task, asyncio.Task)
    assert bench.ended == []
    gate.set_result("y")
    await task
    assert bench.ended == ["y"]


async def test_a_coroutine_continues_through_any_number_of_waits(bench: Bench) -> None:
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


async def test_many_coroutines_may_wait_for_the_same_future(bench: Bench) -> None:
    gate = future()
    tasks = [await bench.in_callback(later(gate)) for _ in range(5)]
    waiting = asyncio.ensure_future(later(gate))  # an unrelated task as well
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


async def test_a_first_step_inside_another_task_restores_the_current_task(bench: Bench) -> None:
    mine = asyncio.current_task()
    seen = []

    async def look() -> None:
        seen.append(asyncio.current_task())

    bench.begin(look())
    assert seen != [mine]
    assert asyncio.current_task() is mine


async def test_each_coroutine_has_its_own_context_variables(bench: Bench) -> None:
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


async def test_an_exception_before_the_first_wait_goes_to_the_caller(bench: Bench) -> None:
    async def fail() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        bench.begin(fail())
    assert bench.begin(now("next")) is None


async def test_an_exception_after_the_first_wait_ends_the_task(bench: Bench) -> None:
    gate = future()
    task = await bench.in_callback(later(gate))
    gate.set_exception(LookupError("no"))
    assert task is not None
    with pytest.raises(LookupError):
        await task
    assert bench.ended == [LookupError]


@pytest.mark.parametrize("turns", range(4))
async def test_cancelling_the_task_cancels_the_future_it_waits_for(
    bench: Bench, turns: int
) -> None:
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

    for _ in range(turns):  # workers that have been used before
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
    await asyncio.sleep(0)  # the callbacks of the task
    bench.begin(now("others are not touched"))
    assert bench.ended == [asyncio.CancelledError, "others are not touched"]


async def test_cancelling_the_task_of_a_finished_coroutine_affects_no_other(bench: Bench) -> None:
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


async def test_a_coroutine_that_cancels_and_uncancels_itself_affects_no_other(bench: Bench) -> None:
    async def waver() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        task.uncancel()
        return "stayed"

    for turns in range(3):
        with contextlib.suppress(asyncio.CancelledError):  # Python 3.12 does not withdraw it
            await bench.in_callback(waver())
        gate = future()
        next_one = await bench.in_callback(later(gate))
        for _ in range(turns):
            await asyncio.sleep(0)
        gate.set_result("fine")
        assert next_one is not None
        await next_one
    assert [one for one in bench.ended if one != "stayed"] == ["fine"] * 3


async def test_a_cancellation_withdrawn_before_the_first_wait_has_no_effect(bench: Bench) -> None:
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
    await asyncio.wait([task])
    # The tasks of Python 3.12 are cancelled all the same.
    stays = sys.version_info[:2] != (3, 12)
    assert bench.ended[-1] == ("stayed" if stays else asyncio.CancelledError)


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_a_generator_exit_raised_by_a_coroutine_is_its_own_error(
    bench: Bench, turns: int
) -> None:
    async def mistaken() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        raise GeneratorExit

    raised: list[Any] = []

    def begin() -> None:
        try:
            raised.append(bench.begin(mistaken()))
        except GeneratorExit as error:
            raised.append(error)

    asyncio.get_running_loop().call_soon(begin)
    await asyncio.sleep(0)
    task = raised[0]
    if turns:
        await asyncio.wait([task])
        raised[0] = task.exception()
    assert isinstance(raised[0], GeneratorExit)


async def test_a_coroutine_may_start_inside_another(bench: Bench) -> None:
    async def outer() -> str:
        bench.begin(now("inner"))
        return "outer"

    await bench.in_callback(outer())
    assert bench.ended == ["inner", "outer"]


async def test_a_task_is_named_after_the_service_and_shows_its_stack(bench: Bench) -> None:
    async def waiting_service() -> None:
        await gate

    gate = future()
    task = await bench.in_callback(waiting_service())
    assert task is not None
    assert task.get_name() == "the service"
    assert [frame.f_code.co_name for frame in task.get_stack()] == ["waiting_service"]
    gate.set_result(None)
    await task


async def test_closing_leaves_no_task_behind(bench: Bench) -> None:
    before = asyncio.all_tasks()
    for _ in range(3):
        await bench.in_callback(now(None))
    # Python 3.12 and later keep none for the next request.
    assert bool(asyncio.all_tasks() - before) == (sys.version_info < (3, 12))
    await bench.tasks.close()
    assert asyncio.all_tasks() == before
