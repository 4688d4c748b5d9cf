"""The lifespan of an ASGI application, whatever the application does with it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from pierhead.errors import StartupError
from pierhead.hosting.asgi.lifespan import asgi_lifespan


async def obedient(receive, send):
    for _ in range(2):
        event = await receive()
        await send({"type": f"{event['type']}.complete"})


async def test_an_application_is_told_of_startup_and_shutdown_and_awaited(clock):
    told = []

    async def app(receive, send):
        for _ in range(2):
            event = await receive()
            told.append(event["type"])
            await send({"type": f"{event['type']}.complete"})
        told.append("returned")

    async with asgi_lifespan(app):
        assert told == ["lifespan.startup"]
    assert told == ["lifespan.startup", "lifespan.shutdown", "returned"]


async def test_an_application_that_returns_does_not_support_the_lifespan(clock, caplog):
    async def app(receive, send):
        pass

    caplog.set_level(logging.INFO)
    async with asgi_lifespan(app):
        pass
    assert [record.getMessage() for record in caplog.records] == [
        "the application does not support the lifespan: it returned"
    ]
    with pytest.raises(StartupError, match="did not start: it returned"):
        async with asgi_lifespan(app, is_required=True):
            pass


async def test_a_failure_without_a_message_is_named_as_such(clock):
    async def app(receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed"})

    with pytest.raises(StartupError, match=r"failed without a reason$"):
        async with asgi_lifespan(app):
            raise AssertionError("never served")


@pytest.mark.parametrize("message", ["lifespan.shutdown.complete", "http.response.start"])
async def test_an_answer_to_another_question_is_the_applications_mistake(clock, message):
    async def app(receive, send):
        await receive()
        await send({"type": message})

    with pytest.raises(StartupError, match=f"the application sent '{message}' during its startup"):
        async with asgi_lifespan(app, is_required=True):
            pass


async def test_an_application_that_ends_while_being_served_is_named(clock, caplog):
    async def app(receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.sleep(1)
        raise OSError("the database left")

    async with asgi_lifespan(app):
        await asyncio.sleep(2)
    assert "lifespan ended while it was being served: OSError: the database left" in caplog.text
    assert "Traceback" not in caplog.text


async def test_an_application_that_raises_at_shutdown_is_named(clock, caplog):
    async def app(receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise OSError("disk full")

    async with asgi_lifespan(app):
        pass
    assert "the application did not stop cleanly: OSError: disk full" in caplog.text


async def test_an_application_that_does_not_return_is_cancelled(clock):
    undone = []

    async def app(receive, send):
        try:
            await obedient(receive, send)
            await asyncio.sleep(3600)
        finally:
            undone.append(clock.monotonic())

    async with asgi_lifespan(app):
        stopped = clock.monotonic()
    assert undone == [stopped + 1.0]


async def test_a_start_that_is_given_up_leaves_nothing_behind(clock):
    undone = []

    async def app(receive, send):
        try:
            await asyncio.sleep(3600)
        finally:
            undone.append(True)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1), asgi_lifespan(app):
            pass
    assert undone == [True]


async def test_a_failure_while_serving_still_ends_the_lifespan(clock):
    told = []

    async def app(receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        try:
            told.append((await receive())["type"])
        finally:
            told.append("ended")

    with pytest.raises(ZeroDivisionError):
        async with asgi_lifespan(app):
            raise ZeroDivisionError
    assert told == ["lifespan.shutdown", "ended"]
