"""What each of the stock layers does."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from pierhead.errors import Overloaded, TimedOut, UsageError
from pierhead.middleware import access_log, catch, limit, timeout
from pierhead.service.context import Context, Peer, Transport, Via

VIA = Via(transport=Transport.STREAM, scheme="mem", local="mem:a", listener="mem:a")
CONTEXT = Context(Peer("b"), 0.0, VIA)


async def echo(request, context):
    return request


async def never(request, context):
    await asyncio.Event().wait()


async def settle():
    """Let every task run until all of them wait."""
    for _ in range(10):
        await asyncio.sleep(0)


# --- timeout -----------------------------------------------------------------------------------


async def test_an_answer_that_takes_too_long_is_timed_out():
    with pytest.raises(TimedOut, match=r"no complete answer within 0\.001 s"):
        await timeout(0.001)(never)("request", CONTEXT)


async def test_a_timeout_error_that_the_service_raises_is_its_own_failure():
    async def service(request, context):
        raise TimeoutError("database")

    with pytest.raises(TimeoutError, match="database"):
        await timeout(60)(service)("request", CONTEXT)

    async def replies(request, context):
        yield 1
        raise TimeoutError("database")

    many = await timeout(60)(replies)("request", CONTEXT)
    assert await anext(many) == 1
    with pytest.raises(TimeoutError, match="database"):
        await anext(many)


async def test_a_cancellation_from_outside_is_no_timeout():
    task = asyncio.create_task(timeout(60)(never)("request", CONTEXT))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_deadline_is_one_for_all_replies():
    closed = []

    async def service(request, context):
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    many = await timeout(0.01)(service)("request", CONTEXT)
    assert await anext(many) == 1
    with pytest.raises(TimedOut):
        await anext(many)
    assert closed == [True]


async def test_a_slow_consumer_uses_up_the_time_and_is_not_cancelled(monkeypatch):
    async def service(request, context):
        yield 1
        yield 2

    many = await timeout(5)(service)("request", CONTEXT)
    assert await anext(many) == 1
    loop = asyncio.get_running_loop()
    later = loop.time() + 10
    monkeypatch.setattr(loop, "time", lambda: later)
    with pytest.raises(TimedOut):
        await anext(many)


async def test_the_inner_of_two_deadlines_is_distinguished():
    inner = timeout(0.001)(never)

    async def service(request, context):
        with contextlib.suppress(TimedOut):
            await inner(request, context)
        return "late"

    assert await timeout(60)(service)("request", CONTEXT) == "late"


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "2"])
def test_a_timeout_is_a_number_of_seconds(seconds):
    with pytest.raises(UsageError, match="timeout is"):
        timeout(seconds)


# --- limit -------------------------------------------------------------------------------------


class Gate:
    """A service that holds each request until it is released."""

    def __init__(self):
        self.inside = {}
        self.order = []

    async def __call__(self, request, context):
        self.order.append(request)
        self.inside[request] = asyncio.Event()
        try:
            await self.inside[request].wait()
        finally:
            del self.inside[request]
        return request


async def test_no_more_than_n_are_inside_and_the_others_follow_in_order():
    gate = Gate()
    service = limit(2)(gate)
    tasks = [asyncio.create_task(service(n, CONTEXT)) for n in range(5)]
    await settle()
    assert set(gate.inside) == {0, 1}
    for n in range(5):
        gate.inside[n].set()
        await settle()
        assert len(gate.inside) <= 2
    assert await asyncio.gather(*tasks) == gate.order == [0, 1, 2, 3, 4]


async def test_a_request_is_shed_when_the_queue_is_full():
    gate = Gate()
    service = limit(1, max_waiting=1)(gate)
    tasks = [asyncio.create_task(service(n, CONTEXT)) for n in range(2)]
    await settle()
    with pytest.raises(Overloaded) as error:
        await service(2, CONTEXT)
    assert error.value.limit == "limit"
    for n in range(2):
        gate.inside[n].set()
        await settle()
    assert await asyncio.gather(*tasks) == [0, 1]


async def test_cancelled_and_failed_requests_release_their_slots():
    gate = Gate()
    service = limit(1, max_waiting=1)(gate)
    inside, waiting = (asyncio.create_task(service(n, CONTEXT)) for n in range(2))
    await settle()
    for task in (waiting, inside):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def fails(request, context):
        raise OSError("disk")

    failing = limit(1, max_waiting=0)(fails)
    for _ in range(2):
        with pytest.raises(OSError, match="disk"):
            await failing("request", CONTEXT)
    task = asyncio.create_task(service(3, CONTEXT))
    await settle()
    gate.inside[3].set()
    assert await task == 3


async def test_a_request_cancelled_as_it_is_admitted_passes_its_slot_on():
    gate = Gate()
    service = limit(1)(gate)
    first, second, third = (asyncio.create_task(service(n, CONTEXT)) for n in range(3))
    await settle()
    gate.inside[0].set()
    await asyncio.sleep(0)
    assert first.done()  # so the slot belongs to the second, which has not run yet
    second.cancel()
    await settle()
    assert (second.cancelled(), set(gate.inside)) == (True, {2})
    gate.inside[2].set()
    assert await third == 2


async def test_requests_cancelled_in_the_queue_are_skipped():
    gate = Gate()
    service = limit(1)(gate)
    tasks = [asyncio.create_task(service(n, CONTEXT)) for n in range(4)]
    await settle()
    tasks[1].cancel()
    tasks[2].cancel()
    gate.inside[0].set()
    await settle()
    assert set(gate.inside) == {3}
    gate.inside[3].set()
    assert await tasks[3] == 3


async def test_a_slot_is_held_until_the_last_reply():
    async def service(request, context):
        yield 1
        yield 2

    service = limit(1, max_waiting=0)(service)
    many = await service("request", CONTEXT)
    assert await anext(many) == 1
    with pytest.raises(Overloaded):
        await service("request", CONTEXT)
    assert [reply async for reply in many] == [2]
    await (await service("request", CONTEXT)).aclose()
    await (await service("request", CONTEXT)).aclose()


# --- access log --------------------------------------------------------------------------------


class Held:
    """A clock that the test moves."""

    now = 0.0

    def monotonic(self):
        return self.now

    def wall(self):
        return self.now


async def test_one_line_has_the_peer_the_listener_the_outcome_and_the_duration(caplog):
    caplog.set_level("INFO")
    clock = Held()

    async def service(request, context):
        clock.now += 0.0015
        return request

    context = Context(Peer(("2001:db8::1", 5353)), 0.0, VIA)
    await access_log(clock=clock)(service)("reply", context)
    assert caplog.messages == [
        "peer=[2001:db8::1]:5353 via=mem:a outcome=answered replies=1 ms=1.500"
    ]
    assert caplog.records[0].name == "pierhead.access"


async def test_the_outcome_is_named(caplog):
    caplog.set_level("INFO")

    async def fails(request, context):
        raise Overloaded("limit")

    async def counts(request, context):
        for n in range(request):
            yield n

    async def breaks(request, context):
        yield 1
        raise OSError("disk")

    logged = access_log(clock=Held())
    await logged(echo)(None, CONTEXT)
    with pytest.raises(Overloaded):
        await logged(fails)("request", CONTEXT)
    async for _ in await logged(counts)(3, CONTEXT):
        assert len(caplog.messages) == 2  # nothing before the last reply
    async for _ in await logged(counts)(0, CONTEXT):
        pass
    with pytest.raises(OSError, match="disk"):
        async for _ in await logged(breaks)("request", CONTEXT):
            pass
    many = await logged(counts)(3, CONTEXT)
    await anext(many)
    await many.aclose()
    task = asyncio.create_task(logged(never)("request", CONTEXT))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [message.split(maxsplit=2)[2] for message in caplog.messages] == [
        "outcome=silent replies=0 ms=0.000",
        "outcome=Overloaded replies=0 ms=0.000",
        "outcome=answered replies=3 ms=0.000",
        "outcome=silent replies=0 ms=0.000",
        "outcome=OSError replies=1 ms=0.000",
        "outcome=abandoned replies=1 ms=0.000",
        "outcome=cancelled replies=0 ms=0.000",
    ]


async def test_text_chosen_by_a_peer_cannot_forge_a_field_or_a_line(caplog):
    caplog.set_level("INFO")
    for name in ("a\npeer=b", "a via=c", 'a"', "a\x1b[2J", "a\u2028", "a\udc80", "ä"):
        await access_log(clock=Held())(echo)("reply", Context(Peer(name), 0.0, VIA))
    assert [message.split(" via=mem:a ")[0] for message in caplog.messages] == [
        r'peer="a\\npeer=b"',
        r'peer="a via=c"',
        r'peer="a\""',
        r'peer="a\\x1b[2J"',
        r'peer="a\\xe2\\x80\\xa8"',
        r'peer="a\\x80"',
        r'peer="\\xc3\\xa4"',
    ]


async def test_a_disabled_logger_costs_no_layer(caplog):
    logger = logging.getLogger("test.access")
    logger.setLevel(logging.WARNING)

    async def service(request, context):
        return iterator

    async def generate():
        yield 1

    iterator = generate()
    assert await access_log(logger)(service)("request", CONTEXT) is iterator
    await iterator.aclose()
    assert caplog.messages == []


async def test_a_peer_that_cannot_be_formatted_does_not_fail_the_request(capsys):
    class Unshown(Peer):
        __slots__ = ()

        def __str__(self):
            raise OSError("no name")

    logger = logging.getLogger("test.unshown")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(handler := logging.StreamHandler())
    try:
        assert await access_log(logger)(echo)("reply", Context(Unshown("x"), 0.0, VIA)) == "reply"
    finally:
        logger.removeHandler(handler)
    assert "no name" in capsys.readouterr().err


# --- catch -------------------------------------------------------------------------------------


def sorry(error, request, context):
    return f"sorry, {request}: {error}"


async def test_a_failure_becomes_a_reply_and_one_line_with_the_traceback_at_debug(caplog):
    caplog.set_level("DEBUG")

    async def service(request, context):
        raise OSError("disk")

    assert await catch(sorry)(service)("request", CONTEXT) == "sorry, request: disk"
    line, trace = caplog.records
    assert (line.levelname, line.exc_info) == ("ERROR", None)
    assert line.getMessage().startswith("mem:a: service failed: OSError: disk at ")
    assert (trace.levelname, trace.exc_info) == ("DEBUG", None)
    assert trace.getMessage().endswith('raise OSError("disk")\nOSError: disk')


async def test_a_failure_between_replies_becomes_the_last_reply(caplog):
    async def service(request, context):
        yield "one"
        raise OSError("disk")

    replies = await catch(sorry)(service)("request", CONTEXT)
    assert [reply async for reply in replies] == ["one", "sorry, request: disk"]
    assert len(caplog.records) == 1
    replies = await catch(lambda *_: None)(service)("request", CONTEXT)
    assert [reply async for reply in replies] == ["one"]


@pytest.mark.parametrize("error", [TimedOut("late"), Overloaded("limit")])
async def test_service_errors_pass_through_catch(error, caplog):
    async def one(request, context):
        raise error

    async def many(request, context):
        yield 1
        raise error

    with pytest.raises(type(error)):
        await catch(sorry)(one)("request", CONTEXT)
    replies = await catch(sorry)(many)("request", CONTEXT)
    await anext(replies)
    with pytest.raises(type(error)):
        await anext(replies)
    assert caplog.records == []


async def test_a_cancellation_is_never_caught(caplog):
    task = asyncio.create_task(catch(sorry)(never)("request", CONTEXT))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caplog.records == []


async def test_around_octets_the_sizes_are_logged(caplog):
    caplog.set_level("INFO")

    async def counts(request, context):
        for n in range(3):
            yield b"%d" % n

    async for _ in await access_log(clock=Held())(counts)(b"count", CONTEXT):
        pass
    assert caplog.messages[0].endswith("outcome=answered replies=3 ms=0.000 in=5 out=3")


async def test_one_of_so_many_is_logged_and_every_failure(caplog):
    caplog.set_level("INFO")

    async def service(request, context):
        if request == "fail":
            raise OSError("disk")
        return None if request == "quiet" else request

    logged = access_log(clock=Held(), one_of=3)(service)
    for request in ("1", "quiet", "2", "3", "4", "5"):
        await logged(request, CONTEXT)
    for _ in range(2):
        with pytest.raises(OSError, match="disk"):
            await logged("fail", CONTEXT)
    outcomes = [message.partition("outcome=")[2].split()[0] for message in caplog.messages]
    assert outcomes == ["answered", "silent", "answered", "OSError", "OSError"]

    with pytest.raises(UsageError, match="one_of is 0, expected 1 or more"):
        access_log(one_of=0)
