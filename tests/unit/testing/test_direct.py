from __future__ import annotations

import pytest

from pierhead.errors import UsageError
from pierhead.service import stack
from pierhead.service.context import Transport
from pierhead.testing import call


async def shout(line, context):
    return f"{context.peer}: {line.upper()}"


async def countdown(start, context):
    for number in range(start, 0, -1):
        yield number


async def test_one_reply():
    assert await call(shout, "hello", peer="ann") == "ann: HELLO"


async def test_many_replies_are_a_list():
    assert await call(countdown, 3) == [3, 2, 1]


async def test_silence_is_none():
    async def silent(request, context):
        return None

    assert await call(silent, "x") is None


async def test_a_stack_of_layers_sees_the_context():
    seen = []

    def layer(service):
        async def inner(request, context):
            seen.append((context.via.transport, context.connection, context.received_at >= 0))
            return await service(request, context)

        return inner

    assert await call(stack(shout, layer), "x") == "client: X"
    assert seen == [(Transport.DATAGRAM, None, True)]


async def test_call_refuses_an_object_that_is_not_a_service():
    with pytest.raises(UsageError, match="a service is an async function"):
        await call("not a function", "x")
