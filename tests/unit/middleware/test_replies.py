"""Every layer covers all of many replies, and ends them once."""

from __future__ import annotations

import asyncio

import pytest

from pierhead.middleware import access_log, catch, limit, timeout
from pierhead.service import is_many, stack
from pierhead.service.context import Context, Peer, Transport, Via

VIA = Via(transport=Transport.STREAM, scheme="mem", local="mem:a", listener="mem:a")
CONTEXT = Context(Peer("b"), 0.0, VIA)


class Counting:
    """Many replies that count how often they are closed."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.closed = 0

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.replies:
            raise StopAsyncIteration
        reply = self.replies.pop(0)
        if isinstance(reply, BaseException):
            raise reply
        if reply == "wait":
            await asyncio.Event().wait()
        return reply

    async def aclose(self):
        self.closed += 1


LAYERS = [
    pytest.param(timeout(60), id="timeout"),
    pytest.param(limit(1), id="limit"),
    pytest.param(access_log(), id="access_log"),
    pytest.param(catch(lambda *_: None), id="catch"),
    pytest.param(
        lambda service: stack(
            service, access_log(), catch(lambda *_: None), limit(1), timeout(60), timeout(60)
        ),
        id="all",
    ),
]


@pytest.fixture(autouse=True)
def _logged(caplog):
    caplog.set_level("INFO", "pierhead")


async def many(layer, inner):
    async def service(request, context):
        return inner

    replies = await layer(service)("request", CONTEXT)
    assert is_many(replies)
    return replies


@pytest.mark.parametrize("layer", LAYERS)
async def test_a_single_reply_and_silence_pass_through(layer):
    async def service(request, context):
        return request

    assert await layer(service)("reply", CONTEXT) == "reply"
    assert await layer(service)(None, CONTEXT) is None


@pytest.mark.parametrize("layer", LAYERS)
async def test_an_async_generator_function_is_a_service(layer):
    async def service(request, context):
        yield request
        yield request

    replies = await layer(service)("reply", CONTEXT)
    assert [reply async for reply in replies] == ["reply", "reply"]


@pytest.mark.parametrize("layer", LAYERS)
async def test_an_exhausted_iterator_is_closed_once_and_stays_exhausted(layer):
    replies = await many(layer, inner := Counting("a", "b"))
    assert [reply async for reply in replies] == ["a", "b"]
    assert inner.closed == 1
    assert [reply async for reply in replies] == []
    await replies.aclose()
    assert inner.closed == 1


@pytest.mark.parametrize("layer", LAYERS)
async def test_a_consumer_that_stops_early_closes_it_once(layer):
    replies = await many(layer, inner := Counting("a", "b"))
    assert await anext(replies) == "a"
    await replies.aclose()
    await replies.aclose()
    assert inner.closed == 1
    with pytest.raises(StopAsyncIteration):
        await anext(replies)


@pytest.mark.parametrize("layer", LAYERS)
async def test_replies_that_were_never_iterated_are_closed_too(layer):
    replies = await many(layer, inner := Counting("a"))
    await replies.aclose()
    assert inner.closed == 1


@pytest.mark.parametrize("layer", LAYERS)
async def test_a_cancelled_consumer_closes_it_once(layer):
    replies = await many(layer, inner := Counting("a", "wait"))
    assert await anext(replies) == "a"
    task = asyncio.ensure_future(anext(replies))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert inner.closed == 1


@pytest.mark.parametrize("layer", LAYERS[:3])
async def test_a_failure_in_the_middle_closes_it_once(layer):
    replies = await many(layer, inner := Counting("a", OSError("disk")))
    assert await anext(replies) == "a"
    with pytest.raises(OSError, match="disk"):
        await anext(replies)
    assert inner.closed == 1


@pytest.mark.parametrize("layer", LAYERS)
async def test_an_iterator_without_aclose_counts_as_many_replies(layer):
    class Bare:
        def __init__(self):
            self.left = 2

        def __aiter__(self):
            return self

        async def __anext__(self):
            self.left -= 1
            if self.left < 0:
                raise StopAsyncIteration
            return self.left

    replies = await many(layer, Bare())
    assert [reply async for reply in replies] == [1, 0]


async def test_a_failure_to_close_still_ends_the_layer():
    class Stuck(Counting):
        async def aclose(self):
            raise OSError("cannot close")

    layered = limit(1, max_waiting=0)

    async def service(request, context):
        return Stuck("a")

    service = layered(service)
    for _ in range(2):  # the slot is free again
        replies = await service("request", CONTEXT)
        with pytest.raises(OSError, match="cannot close"):
            await replies.aclose()
