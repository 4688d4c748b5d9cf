"""A plain function is served from threads if wrapped in `threaded`, and refused otherwise."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any
from unittest.mock import AsyncMock

import pytest

from pierhead import Server, stack, threaded
from pierhead.client.dial import dial_datagram
from pierhead.errors import Overloaded, UsageError
from pierhead.middleware import limit, timeout
from pierhead.protocols import dns, lines
from pierhead.service import as_service, is_many
from pierhead.testing import call

if TYPE_CHECKING:
    from nowhere import Unknown  # type: ignore[import-not-found]


def shout(line: str, context: Any) -> str:
    return line.upper()


class Gate:
    """A blocking function that a test releases, and that counts the calls inside it."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()

    def __call__(self, line: str, context: Any) -> str:
        self.entered.release()
        assert self.opened.wait(20)
        return line

    async def until_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.acquire, timeout=20)


@pytest.fixture
def gate() -> Any:
    gate = Gate()
    yield gate
    gate.opened.set()


# -- threaded ----------------------------------------------------------------------------------


async def test_a_blocking_function_answers_from_a_thread() -> None:
    def where(line: str, context: Any) -> str:
        return f"{line} {threading.current_thread() is threading.main_thread()}"

    assert await call(threaded(where), "main?") == "main? False"


@pytest.mark.parametrize("error", [ValueError("no"), StopIteration("no"), SystemExit("no")])
async def test_an_exception_of_a_blocking_function_is_raised(error: BaseException) -> None:
    def fails(line: str, context: Any) -> str:
        raise error

    # PEP 479: a coroutine cannot raise StopIteration.
    expected = RuntimeError if isinstance(error, StopIteration) else type(error)
    with pytest.raises(expected, match=r"no|StopIteration"):
        await call(threaded(fails), "x")


async def test_a_thread_sees_the_context_variables_of_its_request_and_changes_none() -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who")

    def whose(line: str, context: Any) -> str:
        found = who.get()
        who.set("the thread")
        return found

    who.set("the caller")
    assert await call(threaded(whose), "x") == "the caller"
    assert who.get() == "the caller"


async def test_busy_threads_shed_until_one_has_finished(gate: Gate) -> None:
    service = threaded(gate, threads=2)
    waiting = [asyncio.ensure_future(call(service, name)) for name in ("a", "b")]
    for _ in waiting:
        await gate.until_entered()

    with pytest.raises(Overloaded) as shed:
        await call(service, "c")
    assert shed.value.limit == "threads"
    gate.opened.set()
    assert await asyncio.gather(*waiting) == ["a", "b"]
    for name in "defghi":  # one after another: each finds the slot that the last has released
        assert await call(service, name) == name


async def test_a_cancelled_request_ends_at_once_and_its_thread_stays_busy_until_it_finishes(
    gate: Gate,
) -> None:
    service = threaded(gate, threads=1)
    asked = asyncio.ensure_future(call(service, "a"))
    await gate.until_entered()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked

    with pytest.raises(Overloaded):
        await call(service, "b")
    gate.opened.set()
    async with asyncio.timeout(20):
        while True:
            try:
                assert await call(service, "c") == "c"
            except Overloaded:
                await asyncio.sleep(0)
            else:
                return


async def test_a_deadline_answers_while_the_thread_continues(gate: Gate) -> None:
    def upper(line: str, context: Any) -> str:
        return gate(line, context) if line == "slow" else line.upper()

    endpoint = lines.serve(threaded(upper, threads=2))
    async with Server(endpoint, "memgram:blocking", request_timeout=0.05) as server:
        client = await dial_datagram("memgram:blocking")
        client.send(b"slow")
        await gate.until_entered()
        async with asyncio.timeout(20):
            while server.in_flight:
                await asyncio.sleep(0.01)
        client.send(b"quick")
        assert await client.receive() == b"QUICK"
        client.close()
        assert server.metrics.total("requests_failed_total", reason="deadline") == 1
    assert not gate.opened.is_set()


async def test_threads_end_with_their_service() -> None:
    before = set(threading.enumerate())
    service = threaded(shout)
    assert await call(service, "a") == "A"
    (thread,) = set(threading.enumerate()) - before
    assert thread.daemon  # one that never ends does not hold up the end of the program
    assert "shout" in thread.name

    del service
    gc.collect()
    await asyncio.to_thread(thread.join, 20)
    assert not thread.is_alive()


async def test_idle_threads_are_reused() -> None:
    def thread_id(line: str, context: Any) -> int:
        return threading.get_ident()

    service = threaded(thread_id)
    assert len({await call(service, "x") for _ in range(20)}) == 1


@pytest.mark.parametrize("threads", [0, -1, 2.5, 100_000, True])
def test_a_number_of_threads_out_of_range_is_refused(threads: Any) -> None:
    with pytest.raises(UsageError, match="threads is"):
        threaded(shout, threads)


async def already(line: str, context: Any) -> str:
    return line


async def replies(line: str, context: Any) -> AsyncIterator[str]:
    yield line


def generator(line: str, context: Any) -> Any:
    yield line


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (already, "already is async; serve it as it is"),
        (replies, "replies is async; serve it as it is"),
        (threaded(shout), "shout is async; serve it as it is"),
        (generator, "generator is a plain generator; .* or return one reply"),
        (dict, "dict is a class"),
        (lambda line: line, r"does not take \(request, context\)"),
        ("shout", "got 'shout'"),
    ],
)
def test_anything_but_a_blocking_function_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        threaded(wrong)


# -- annotations that promise not to block
# ----------------------------------------------------------


class Plain:
    def __call__(self, line: str, context: Any) -> str:
        return line

    def method(self, line: str, context: Any) -> str:
        return line


PLAIN = [shout, lambda line, context: line, Plain(), Plain().method, functools.partial(shout)]


@pytest.mark.parametrize("plain", PLAIN)
@pytest.mark.parametrize(
    "take",
    [
        as_service,
        lines.serve,
        dns.serve,
        dns.Router().answer("www.example."),
        stack,
        dns.stack,
        limit(),
        timeout(),
    ],
)
def test_a_plain_function_is_refused_at_once_naming_threaded(
    take: Callable[[Any], object], plain: Any
) -> None:
    with pytest.raises(UsageError, match=r"is a plain function.*'async def'.*threaded\("):
        take(plain)


def awaitable(line: str, context: Any) -> Awaitable[str]:
    return already(line, context)


def coroutine(line: str, context: Any) -> Coroutine[Any, Any, str]:
    return already(line, context)


def task(line: str, context: Unknown) -> asyncio.Task[str]:
    return asyncio.ensure_future(already(line, context))


def not_evaluated(line: str, context: Unknown) -> Awaitable[Unknown]:
    return already(line, context)


@pytest.mark.parametrize(
    "form", [awaitable, coroutine, task, not_evaluated, functools.partial(awaitable)]
)
async def test_a_plain_function_annotated_as_returning_an_awaitable_is_a_service(form: Any) -> None:
    assert as_service(form) is form
    assert await call(form, "a") == "a"


def iterator(line: str, context: Unknown) -> AsyncIterator[str]:
    return replies(line, context)


async def test_a_plain_function_annotated_as_returning_many_replies_is_a_service() -> None:
    reply: Any = await as_service(iterator)("a", None)  # type: ignore[arg-type]
    assert is_many(reply)
    assert [one async for one in reply] == ["a"]


@pytest.mark.parametrize("annotation", [str, Any, "str | None", Awaitable[str] | str, "Unknown"])
def test_any_other_annotation_is_not_enough(annotation: Any) -> None:
    def plain(line: str, context: Any) -> Any:
        return line

    plain.__annotations__["return"] = annotation
    with pytest.raises(UsageError, match="threaded"):
        as_service(plain)


async def test_a_mocked_service_is_a_service() -> None:
    assert await call(AsyncMock(return_value="a"), "x") == "a"


def passes_on(service: Any) -> Any:
    """Return a layer's result as a plain function that returns what the wrapped service returns."""

    def inner(request: Any, context: Any) -> Any:
        return service(request, context)

    return inner


@pytest.mark.parametrize("layers", [[passes_on], [limit(), passes_on], [passes_on, limit()]])
async def test_a_layer_returns_a_service(layers: list[Any]) -> None:
    assert await call(as_service(stack(already, *layers)), "a") == "a"


async def test_a_layer_of_a_dns_stack_may_return_a_plain_function() -> None:
    dns.serve(dns.stack(dns.refuse(), limit(), passes_on))


@pytest.mark.parametrize("stacked", [stack, dns.stack])
def test_a_layer_that_does_not_return_a_service_is_refused(stacked: Any) -> None:
    def forgetful(service: Any) -> Any:
        return None

    with pytest.raises(UsageError, match="forgetful returned None, expected a service"):
        stacked(already, forgetful)


def test_an_async_generator_of_one_argument_is_not_a_service() -> None:
    async def one_argument(line: str) -> AsyncIterator[str]:
        yield line

    with pytest.raises(UsageError, match=r"does not take \(request, context\)"):
        as_service(one_argument)  # type: ignore[arg-type]
